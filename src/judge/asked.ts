/**
 * What a branch_sample_type asks for, by the comments of include/uapi/linux/perf_event.h alone:
 * the oracle of `sample-true` and `filter-true` shares no line with the driver.
 */
import * as perf from '../guest/perf/perf_event.js';
import * as branch from '../hw/branch.js';

/** Bits that tell transactions apart: the model has none, so what they ask for is not judged. */
export const ASKS_TX: number =
  perf.PERF_SAMPLE_BRANCH_IN_TX | perf.PERF_SAMPLE_BRANCH_NO_TX | perf.PERF_SAMPLE_BRANCH_ABORT_TX;

const ASKS_ANY_LEVEL: number =
  perf.PERF_SAMPLE_BRANCH_ANY | perf.PERF_SAMPLE_BRANCH_USER | perf.PERF_SAMPLE_BRANCH_KERNEL;

function kinds(...list: readonly number[]): number {
  return list.reduce((mask, kind) => mask | (1 << kind), 0);
}

const DIRECT_CALL: number = kinds(branch.BRANCH_REL_CALL, branch.BRANCH_ZERO_CALL);
const INDIRECT_CALL: number = kinds(branch.BRANCH_IND_CALL);

/** Bits of branch_sample_type, and the BRANCH_* kinds, one bit each, that each of them wants. */
const WANTS: readonly (readonly [bit: number, mask: number])[] = [
  [perf.PERF_SAMPLE_BRANCH_ANY, -1],
  [
    perf.PERF_SAMPLE_BRANCH_ANY_CALL,
    DIRECT_CALL | INDIRECT_CALL | kinds(branch.BRANCH_SYSCALL, branch.BRANCH_IRQ),
  ],
  [
    perf.PERF_SAMPLE_BRANCH_ANY_RETURN,
    kinds(branch.BRANCH_RET, branch.BRANCH_SYSRET, branch.BRANCH_IRET),
  ],
  [perf.PERF_SAMPLE_BRANCH_IND_CALL, INDIRECT_CALL],
  [perf.PERF_SAMPLE_BRANCH_COND, kinds(branch.BRANCH_JCC)],
  // A call to the next instruction makes no frame.
  [
    perf.PERF_SAMPLE_BRANCH_CALL_STACK,
    kinds(branch.BRANCH_REL_CALL, branch.BRANCH_IND_CALL, branch.BRANCH_RET),
  ],
  [perf.PERF_SAMPLE_BRANCH_IND_JUMP, kinds(branch.BRANCH_IND_JMP)],
  [perf.PERF_SAMPLE_BRANCH_CALL, DIRECT_CALL],
];

/** The BRANCH_* kinds that a branch_sample_type asks for, one bit each. */
export function kindsAsked(type: number): number {
  let mask = 0;
  for (let i = 0; i < WANTS.length; i++) if ((type & WANTS[i][0]) !== 0) mask |= WANTS[i][1];
  return mask;
}

/** Whether branches that end in the kernel, or else in user mode, are asked for. */
export function levelAsked(type: number, kernel: boolean): boolean {
  const bit = kernel ? perf.PERF_SAMPLE_BRANCH_KERNEL : perf.PERF_SAMPLE_BRANCH_USER;
  return (type & bit) !== 0;
}

/** Whether nothing is to be left out, so that nobody looks at the records, empty ones included. */
export function everythingAsked(type: number): boolean {
  const saves = (type & perf.PERF_SAMPLE_BRANCH_TYPE_SAVE) !== 0;
  return !saves && (type & ASKS_ANY_LEVEL) === ASKS_ANY_LEVEL;
}

export function callstackAsked(type: number): boolean {
  return (type & perf.PERF_SAMPLE_BRANCH_CALL_STACK) !== 0;
}

/**
 * Whether a record is asked for. Levels go by its target, but who asks for user mode only is not
 * shown the kernel's addresses.
 *
 * @param mask - kindsAsked(type).
 * @param fromHi, toHi - high words of canonical addresses.
 */
export function recordAsked(type: number, mask: number, fromHi: number, toHi: number): boolean {
  const kind = branch.addressKind(fromHi);
  const fromKernel = branch.addressIsKernel(fromHi);
  if (fromKernel && !levelAsked(type, true)) return false;
  if (!levelAsked(type, branch.addressIsKernel(toHi))) return false;
  // The source of an interrupt is any instruction: one of the kernel is not known as an interrupt.
  if (kind === branch.BRANCH_NONE || (kind === branch.BRANCH_IRQ && fromKernel)) return false;
  return (mask & (1 << kind)) !== 0;
}

/** PERF_BR_* of include/uapi/linux/perf_event.h, by BRANCH_*. */
const PERF_BR: readonly number[] = [1, 4, 5, 6, 3, 2, 4, 7, 8, 12, 11];

/** The branch type that PERF_SAMPLE_BRANCH_TYPE_SAVE puts into an entry; 0 without it. */
export function typeAsked(type: number, fromHi: number): number {
  if ((type & perf.PERF_SAMPLE_BRANCH_TYPE_SAVE) === 0) return 0;
  return PERF_BR[branch.addressKind(fromHi)] ?? 0;
}

/** What a call stack goes with: levels, and what narrows no branch down by its kind. */
const CALLSTACK_EXCLUDES: number =
  perf.PERF_SAMPLE_BRANCH_ANY |
  perf.PERF_SAMPLE_BRANCH_ANY_CALL |
  perf.PERF_SAMPLE_BRANCH_ANY_RETURN |
  perf.PERF_SAMPLE_BRANCH_IND_CALL |
  perf.PERF_SAMPLE_BRANCH_ABORT_TX |
  perf.PERF_SAMPLE_BRANCH_IN_TX |
  perf.PERF_SAMPLE_BRANCH_NO_TX |
  perf.PERF_SAMPLE_BRANCH_COND;

/** Whether a type asks for call stacks, and for what the driver does not give with them. */
export function refusesCallstack(type: number): boolean {
  return callstackAsked(type) && (type & CALLSTACK_EXCLUDES) !== 0;
}
