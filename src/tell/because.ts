/** Why a property breaks, in words: where the machine parts, what decided it, what should be. */
import { PartingBench } from '../campaign/because.js';
import type { Breaker, ReplayCase } from '../campaign/replay_file.js';
import { ascii, wrap } from '../console/text.js';
import { driverOf } from '../guest/perf/kernel.js';
import type { CpuModel } from '../hw/cpu_models.js';
import { causeKey } from '../judge/cause.js';
import type { PropertyName } from '../judge/properties.js';
import type { Actor } from '../judge/running.js';
import type { Point, WrongValue } from '../judge/trails.js';
import type { Value } from '../judge/view.js';
import type { MachineConfig } from '../machine/config.js';
import { isLbrMsr, msrName, msrSlot, valueText } from './msr_name.js';
import { registerText } from './record_text.js';

/** Why the property of a case breaks. */
export interface Because {
  /** The key of its cause (judge/cause.ts). */
  readonly cause: string;
  /** Number of the action, from 1, in which the machine parts from the reference machine. */
  readonly step: number;
  /** Name of the hook or the kernel function that decided it, or `hardware`. */
  readonly decidedBy: string;
  /** Whose that is, in words: `policy merged`, `the host's perf`. */
  readonly of: string;
  /** Where its C is defined, if it is C of a tree: `arch/x86/kvm/vmx/pmu_intel.c:237`. */
  readonly at?: string;
  /** The hook, or the function of the tree's KVM, that has called it, if one has. */
  readonly calledBy?: string;
  /** Where that is defined, likewise. */
  readonly calledAt?: string;
  /** What should have been there. */
  readonly expected: string;
  /** What was there. */
  readonly found: string;
}

/** What should be, where the property is not about the value of a register. */
const EXPECTED: Readonly<Record<PropertyName, string>> = {
  'no-loss/callstack': 'the stack of the guest',
  'no-loss/any': 'the records of the guest',
  'no-leak/vm': 'no record of another VM or of the host',
  'no-leak/task': 'no record of another task',
  'callstack-true': "the task's own call stack",
  'sample-true': 'the records that the event asks for, and no others',
  'host-intact': "the records, the filter and the DEBUGCTL of the host's own event",
  'owner-only': 'accesses for the vCPU that is loaded alone, and none under a host event',
  'recorder-owned': 'no records but those of the vCPU that is recorded',
  'active-agrees': 'ACTIVE exactly while a call-stack user is on the vCPU',
  'no-needless-switch': 'no save and no restore once the guest has stopped',
  'no-premature-stop': 'a stack that is kept until the guest gives it up',
  'no-fault': 'no #GP that a pCPU of its own would not raise',
  balanced: 'counts of users that agree with the events that count',
  'filter-true': 'a filter that lets through what the events ask for',
  'no-loss/task': 'the stack that the task left',
  'no-warn': 'no WARN_ON that is true',
  'events-true': 'the events that were opened for the task, one of each',
  'events-count': 'the events that are on, and no others, counting',
  'pass-through': 'the LBR MSRs passed through exactly while they are the guest\u2019s',
  'debugctl-true': 'the DEBUGCTL that the guest has left',
  'pmi-true': 'a counter that counts, and a PMI at its overflow',
};

/**
 * Says why a case breaks its property, by running it again.
 *
 * @param text - what the check has found, in a line.
 * Returns null if nobody breaks it.
 */
export function becauseOf(replay: ReplayCase, breaker: Breaker, text: string): Because | null {
  if (breaker === 'nobody') return null;
  const { property, config, schedule } = replay;
  const parting = new PartingBench(config).partingOf(schedule, { property, by: breaker });
  const { point, wrong } = parting;
  const { by, within } = point;
  const at = placeOf(by, config);
  const calledAt = placeOf(within, config);
  return {
    cause: causeKey(parting),
    step: point.step + 1,
    decidedBy: nameOf(by),
    of: ownerOf(point, breaker, config.policy.name),
    ...(at === undefined ? {} : { at }),
    ...(within === null ? {} : { calledBy: within.name }),
    ...(calledAt === undefined ? {} : { calledAt }),
    ...(wrong === null
      ? { expected: ascii(EXPECTED[property]), found: text }
      : valuesOf(config.model, wrong, config.shape.vcpus)),
  };
}

/** Where the C of a function is defined; a hook may have the name of one. */
function placeOf(actor: Actor | null, config: MachineConfig): string | undefined {
  const isC = actor !== null && actor.who !== 'hook';
  return isC ? driverOf(config).definitions?.get(actor.name) : undefined;
}

function nameOf({ who, name }: Actor): string {
  return who === 'hardware' ? 'hardware' : name;
}

function ownerOf({ by }: Point, breaker: Breaker, policy: string): string {
  switch (by.who) {
    case 'hook':
      return `policy ${policy}`;
    case 'kvm':
      return 'KVM';
    case 'perf':
      return breaker === 'kernel' ? "the guest's perf" : "the host's perf";
    default:
      return 'the machine';
  }
}

/** @param vcpus - of each VM. */
function valuesOf(
  model: CpuModel,
  { vcpu, msr, expected, found }: WrongValue,
  vcpus: number,
): Pick<Because, 'expected' | 'found'> {
  const viewer = { vm: Math.trunc(vcpu / vcpus), task: -1 };
  const text = ({ lo, hi }: Value): string =>
    isLbrMsr(model, msr) && msrSlot(model, msr) >= 0
      ? registerText(model, msr, lo, hi, viewer)
      : valueText(msr, lo, hi);
  return { expected: `${msrName(model, msr)} of v${vcpu}: ${text(expected)}`, found: text(found) };
}

/** The reason in words: step, who decided it, expected, found. */
export function becauseText(because: Because): string {
  const { step, decidedBy, of, at, calledBy, calledAt, expected, found } = because;
  const who = decidedBy === 'hardware' ? decidedBy : `${decidedBy}() of ${of}${placeText(at)}`;
  const caller = calledBy === undefined ? '' : `, called by ${calledBy}()${placeText(calledAt)}`;
  return `#${step}, ${who}${caller}; expected ${expected}; found ${found}`;
}

function placeText(place: string | undefined): string {
  return place === undefined ? '' : ` (${place})`;
}

/** The same, wrapped. @param indent - what each line begins with. */
export function becauseLines(because: Because, indent: string): string[] {
  return wrap(becauseText(because), `${indent}because: `, `${indent}  `);
}
