/** LBR stacks as plain data that says of each record whose it is. */
import * as branch from '../../hw/branch.js';
import type { LbrStack } from '../../hw/lbr_stack.js';
import { recordWords } from '../../hw/lbr_map.js';
import type { x86_perf_task_context } from '../../guest/perf/perf_structs.js';
import { plainHex } from '../msr_name.js';
import { branchText, NEUTRAL, stackRecords } from '../record_text.js';

/** Stands for the host where the number of a VM is asked for. */
export const HOST_OWNS = -1;

/** One record of a stack. */
export interface StoryRecord {
  readonly slot: number;
  /** The VM that has made the branch, or HOST_OWNS. */
  readonly vm: number;
  /** The task of that VM; -1 for the host. */
  readonly task: number;
  /** `call`, `ret` and so on; `address` for what is no branch. */
  readonly kind: string;
  /** The number of the branch within its VM. */
  readonly number: number;
  /** The same in words: `VM 0 task 1 call#7`. */
  readonly text: string;
  /** The 64-bit values of the registers; `info` is empty where the CPU has no such register. */
  readonly from: string;
  readonly to: string;
  readonly info: string;
}

/** LBR_SELECT, LBR_TOS, and the records that are not empty, newest first, once around from TOS. */
export interface StoryStack {
  readonly select: number;
  readonly tos: number;
  readonly records: readonly StoryRecord[];
}

/** FROM, TO and INFO, low word first; INFO is left out where the CPU has none. */
type RecordWords = readonly number[];

function recordOf(slot: number, words: RecordWords): StoryRecord {
  const [from, fromHi, to, toHi] = words;
  // A record may be lost in part: what is left of it says whose it is.
  const [lo, hi] = (from | fromHi) === 0 ? [to, toHi] : [from, fromHi];
  const vm = branch.addressVm(hi);
  const host = vm === branch.HOST_VM;
  return {
    slot,
    vm: host ? HOST_OWNS : vm,
    task: host ? -1 : branch.addressTask(hi),
    kind: branch.BRANCH_NAMES[branch.addressKind(hi)] ?? 'address',
    number: lo >>> 0,
    text: branchText(lo, hi, NEUTRAL),
    from: plainHex(from, fromHi),
    to: plainHex(to, toHi),
    info: words.length > 4 ? plainHex(words[4], words[5]) : '',
  };
}

function isEmpty(words: RecordWords): boolean {
  return words.every((word) => word === 0);
}

/** The registers of a pCPU, or a copy of all of them. */
export function storyStack(stack: LbrStack): StoryStack {
  const { lbr_to, lbr_info } = stack.model;
  const registers = (slot: number, from: readonly number[]): number[] => {
    const bases = lbr_info === 0 ? [lbr_to] : [lbr_to, lbr_info];
    return [
      ...from,
      ...bases.flatMap((base) => [stack.readLow(base + slot), stack.readHigh(base + slot)]),
    ];
  };
  const all = stackRecords(stack).map(({ slot, lo, hi }) => ({
    slot,
    words: registers(slot, [lo, hi]),
  }));
  const records = all.filter(({ words }) => !isEmpty(words));
  return {
    select: stack.lbr_select,
    tos: stack.tos,
    records: records.map(({ slot, words }) => recordOf(slot, words)),
  };
}

/**
 * What lbr.c keeps for a task, or, on a host, for a vCPU's thread.
 *
 * @param words - the memory of the kernel.
 */
export function keptStack(
  words: Int32Array,
  kept: x86_perf_task_context,
  model: LbrStack['model'],
): StoryStack {
  const { tos, valid_lbrs, lbr_sel } = kept;
  const records = Array.from({ length: Math.min(valid_lbrs, model.lbr_nr) }, (_, i) => {
    const at = kept.lbr(i);
    const slot = (tos - i) & (model.lbr_nr - 1);
    return recordOf(slot, Array.from(words.subarray(at, at + recordWords(model))));
  });
  return { select: lbr_sel, tos, records };
}

/** What of a record is compared: captured flags of FROM may not survive any host (HSD172). */
function identity({ vm, task, kind, number, to, info }: StoryRecord): string {
  return [vm, task, kind, number, to, info].join(' ');
}

/** The slots in which two stacks differ, in the order of the slots. */
export function differingSlots(a: StoryStack, b: StoryStack): number[] {
  const of = (stack: StoryStack): ReadonlyMap<number, string> =>
    new Map(stack.records.map((record) => [record.slot, identity(record)]));
  const [there, here] = [of(a), of(b)];
  const slots = new Set([...there.keys(), ...here.keys()]);
  return [...slots].filter((slot) => there.get(slot) !== here.get(slot)).sort((x, y) => x - y);
}
