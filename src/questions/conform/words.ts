/** Compares the memory of two kernels of one layout word by word, and names words. */
import type { KernelLayout } from '../../guest/perf/kernel.js';
import { BRANCH_ENTRY_WORDS, LBR_ENTRY_WORDS } from '../../guest/perf/perf_event.js';
import { COUNTER_SLOTS, cpu_hw_events, perf_cpu_context } from '../../guest/perf/cpu_structs.js';
import * as structs from '../../guest/perf/perf_structs.js';
import type { ObjectTable } from '../../guest/perf/struct.js';
import { CONTEXTS, CPUS, EVENTS } from './sequence.js';

/** The first of the last words of cpu_hw_events, which the C code alone has. */
const PRIVATE_FROM: number = cpu_hw_events.FIELDS.indexOf('lbr_sel');

/** Word offsets [from, to) to compare: everything except the words that only the C code uses. */
function comparedRanges(layout: KernelLayout): readonly (readonly [number, number])[] {
  const ranges: (readonly [number, number])[] = [];
  let from = layout.start;
  for (let cpu = 0; cpu < CPUS; cpu++) {
    const cpuc = layout.percpu + cpu * layout.percpuWords;
    ranges.push([from, cpuc + PRIVATE_FROM]);
    from = cpuc + cpu_hw_events.WORDS;
  }
  return [...ranges, [from, layout.statics]];
}

function bytes(words: Int32Array, from: number, to: number): Buffer {
  return Buffer.from(words.buffer, words.byteOffset + 4 * from, 4 * (to - from));
}

/** Finds the first word that differs between two kernels of the same layout. */
export class WordComparison {
  private readonly ranges: readonly {
    readonly from: number;
    readonly a: Buffer;
    readonly b: Buffer;
  }[];
  private readonly a: Int32Array;
  private readonly b: Int32Array;

  constructor(layout: KernelLayout, a: Int32Array, b: Int32Array) {
    this.a = a;
    this.b = b;
    this.ranges = comparedRanges(layout).map(([from, to]) => ({
      from,
      a: bytes(a, from, to),
      b: bytes(b, from, to),
    }));
  }

  /** Word offset of the first difference, or -1. */
  firstDifference(): number {
    for (const { from, a, b } of this.ranges) {
      if (a.equals(b)) continue;
      let at = from;
      while (this.a[at] === this.b[at]) at++;
      return at;
    }
    return -1;
  }
}

const ENTRY_FIELDS = ['from', 'from, high', 'to', 'to, high'];
const LBR_FIELDS: readonly string[] = [...ENTRY_FIELDS, 'info', 'info, high'];
const BRANCH_FIELDS: readonly string[] = [...ENTRY_FIELDS, 'flags and cycles'];

function entryField(name: string, at: number, words: number, fields: readonly string[]): string {
  return `${name}[${Math.floor(at / words)}].${fields[at % words]}`;
}

/** Name of a word in a CPU's part. */
function percpuName(layout: KernelLayout, at: number): string {
  const { WORDS } = cpu_hw_events;
  if (at < WORDS) return `cpu_hw_events.${cpu_hw_events.FIELDS[at]}`;
  const slots = at - WORDS;
  if (slots < COUNTER_SLOTS) return `cpu_hw_events.events[${slots}]`;
  const list = slots - COUNTER_SLOTS;
  if (list < EVENTS) return `cpu_hw_events.event_list[${list}]`;
  const cpuctx = at - (layout.percpuWords - perf_cpu_context.WORDS);
  if (cpuctx >= 0) return `perf_cpu_context.${perf_cpu_context.FIELDS[cpuctx]}`;
  return entryField('cpu_hw_events.lbr_entries', list - EVENTS, BRANCH_ENTRY_WORDS, BRANCH_FIELDS);
}

/** Events by their turns, then event_list. */
function listName(at: number): string {
  return at < EVENTS ? `turn[${at}]` : `event_list[${at - EVENTS}]`;
}

/** The name that a kernel developer would use for the word at an offset. */
export function wordName(layout: KernelLayout, offset: number): string {
  const { percpu, percpuWords, tasks, contexts, contextWords, data, dataWords, events } = layout;
  const { x86_perf_task_context, perf_event_context, perf_event, task_struct } = structs;
  if (offset >= events) {
    const at = offset - events;
    const event = Math.floor(at / perf_event.WORDS);
    return `event${event}: perf_event.${perf_event.FIELDS[at % perf_event.WORDS]}`;
  }
  if (offset >= data) {
    const at = (offset - data) % dataWords;
    const which = `data${Math.floor((offset - data) / dataWords)}: x86_perf_task_context.`;
    const { WORDS } = x86_perf_task_context;
    if (at < WORDS) return which + x86_perf_task_context.FIELDS[at];
    return which + entryField('lbr', at - WORDS, LBR_ENTRY_WORDS, LBR_FIELDS);
  }
  if (offset >= contexts) {
    const at = (offset - contexts) % contextWords;
    const ctx = Math.floor((offset - contexts) / contextWords);
    const { WORDS } = perf_event_context;
    const field = at < WORDS ? perf_event_context.FIELDS[at] : listName(at - WORDS);
    return `${ctx < CONTEXTS ? `ctx${ctx}` : `cpu${ctx - CONTEXTS}`}: perf_event_context.${field}`;
  }
  if (offset >= tasks) {
    const at = offset - tasks;
    const task = Math.floor(at / task_struct.WORDS);
    return `task${task}: task_struct.${task_struct.FIELDS[at % task_struct.WORDS]}`;
  }
  const at = offset - percpu;
  return `cpu${Math.floor(at / percpuWords)}: ${percpuName(layout, at % percpuWords)}`;
}

/** A pointer as the object that it points to, any other word as a number. */
export function wordValue(layout: KernelLayout, name: string, word: number): number | string {
  const object = (table: ObjectTable, kind: string): string =>
    word === 0 ? 'NULL' : `${kind}${table.plusOne(word) - 1}`;
  if (/\.(task_ctx_data|last_task_ctx)$/.test(name)) return object(layout.dataTable, 'data');
  return name.endsWith(': perf_event.ctx') ? object(layout.contextTable, 'ctx') : word;
}
