/**
 * What a machine's guests are in after an action, as words: the states of events, the counts of
 * CPUs, the tasks, and what the judge has found. Words have names, for the one that differs.
 */
import type { Kernel } from '../../../guest/perf/kernel.js';
import type { Verdicts } from '../../../judge/verdicts.js';
import { PROPERTY, PROPERTY_NAMES } from '../../../judge/properties.js';
import type { Machine } from '../../../machine/machine.js';

const EVENT_FIELDS = [
  'there',
  'state',
  'oncpu',
  "its context's task, plus one",
  'hw.idx',
  'attr.branch_sample_type',
  'parent, plus one',
] as const;

const CPU_FIELDS = [
  'cpu_hw_events.lbr_users',
  'cpu_hw_events.n_events',
  'current',
  'whether perf_cpu_context.task_ctx is set',
  'sched_cb_usage of its context',
  'perf_sched_cb_usages',
  'pmu_disable_count',
] as const;

const TASK_FIELDS = ['alive', 'on_cpu, plus one', 'whether it has a context of events'] as const;

const VCPU_FIELDS = [
  'GUEST_IA32_DEBUGCTL',
  'whether there is a guest LBR event',
  'whether that is ACTIVE',
] as const;

/**
 * Compared verdicts. The port has no WARN_ON, and warnings are compared one by one. Of the bitmaps
 * of MSRs, the judge looks at those of a KVM that runs alone: where they differ, accesses differ.
 */
const JUDGED: readonly number[] = PROPERTY_NAMES.map((name) => PROPERTY[name]).filter(
  (property) => property !== PROPERTY['no-warn'] && property !== PROPERTY['pass-through'],
);

/** The words of one machine. */
export class State {
  readonly words: Int32Array;
  /** Events that were there, summed up over all looks. */
  events = 0;
  private readonly machine: Machine;
  private readonly verdicts: Verdicts;

  constructor(machine: Machine, verdicts: Verdicts) {
    this.machine = machine;
    this.verdicts = verdicts;
    const ofGuests = machine.guests.reduce((sum, guest) => sum + wordsOf(guest), 0);
    const ofVcpus = machine.vcpus.length * VCPU_FIELDS.length;
    this.words = new Int32Array(ofGuests + ofVcpus + 2 * JUDGED.length);
  }

  /** Brings the words up to date. */
  look(): void {
    const { words, verdicts } = this;
    let at = 0;
    const { guests, host, vcpus } = this.machine;
    for (const guest of guests) at = this.lookAt(guest, at);
    for (const vcpu of vcpus) {
      const event = host.guestLbrEvent(vcpu);
      words[at++] = vcpu.vmcs.guestDebugctl;
      words[at++] = event === 'none' ? 0 : 1;
      words[at++] = event === 'active' ? 1 : 0;
    }
    for (const property of JUDGED) {
      words[at++] = verdicts.own[property];
      words[at++] = verdicts.broken[property];
    }
  }

  private lookAt(guest: Kernel, from: number): number {
    const { words } = this;
    let at = from;
    for (const event of guest.events) {
      if (event.used === 0) {
        words.fill(0, at, at + EVENT_FIELDS.length);
        at += EVENT_FIELDS.length;
        continue;
      }
      this.events++;
      words[at++] = 1;
      words[at++] = event.state;
      words[at++] = event.oncpu;
      // An event of a task that has exited is nobody's.
      words[at++] = Math.max(0, guest.ctx(event.ctx).task);
      words[at++] = event.idx;
      words[at++] = event.branch_sample_type;
      words[at++] = event.parent;
    }
    for (const { cpuc, cpuctx } of guest.cpus) {
      words[at++] = cpuc.lbr_users;
      words[at++] = cpuc.n_events;
      words[at++] = cpuctx.current;
      words[at++] = cpuctx.task_ctx === 0 ? 0 : 1;
      words[at++] = cpuctx.sched_cb_usage;
      words[at++] = cpuctx.perf_sched_cb_usages;
      words[at++] = cpuctx.pmu_disable_count;
    }
    for (const task of guest.tasks) {
      words[at++] = task.alive;
      words[at++] = task.on_cpu;
      words[at++] = task.perf_event_ctxp === 0 ? 0 : 1;
    }
    return at;
  }

  /** What a word is, and which group of words it belongs to. */
  name(word: number): {
    readonly in: 'event' | 'cpu' | 'task' | 'vcpu' | 'verdict';
    readonly name: string;
  } {
    let at = word;
    for (const [vm, guest] of this.machine.guests.entries()) {
      if (at < wordsOf(guest)) return nameIn(guest, vm, at);
      at -= wordsOf(guest);
    }
    const ofVcpus = this.machine.vcpus.length * VCPU_FIELDS.length;
    if (at < ofVcpus) {
      const [vcpu, field] = [Math.floor(at / VCPU_FIELDS.length), at % VCPU_FIELDS.length];
      return { in: 'vcpu', name: `v${vcpu}: ${VCPU_FIELDS[field]}` };
    }
    at -= ofVcpus;
    const property = PROPERTY_NAMES[JUDGED[at >> 1]];
    const whose = at % 2 === 0 ? "the guest's kernel" : 'the policy';
    return { in: 'verdict', name: `whether ${whose} has broken ${property}` };
  }
}

function wordsOf({ events, cpus, tasks }: Kernel): number {
  const ofEvents = events.length * EVENT_FIELDS.length;
  return ofEvents + cpus.length * CPU_FIELDS.length + tasks.length * TASK_FIELDS.length;
}

function nameIn({ events, cpus }: Kernel, vm: number, word: number): ReturnType<State['name']> {
  const part = (of: string, fields: readonly string[], at: number): string =>
    `VM ${vm}, ${of} ${Math.floor(at / fields.length)}: ${fields[at % fields.length]}`;
  let at = word;
  const ofEvents = events.length * EVENT_FIELDS.length;
  if (at < ofEvents) return { in: 'event', name: part('event', EVENT_FIELDS, at) };
  at -= ofEvents;
  const ofCpus = cpus.length * CPU_FIELDS.length;
  if (at < ofCpus) return { in: 'cpu', name: part('CPU', CPU_FIELDS, at) };
  return { in: 'task', name: part('task', TASK_FIELDS, at - ofCpus) };
}

/** Index of the first word in which two machines differ, or -1. */
export function differingWord({ words: a }: State, { words: b }: State): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return i;
  return -1;
}
