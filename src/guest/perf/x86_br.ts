/**
 * Models arch/x86/events/utils.c and the X86_BR_* masks of arch/x86/events/perf_event.h, Linux
 * 6.1. Deviation F1: no instruction bytes are decoded; the model's addresses name their branch.
 */
import * as branch from '../../hw/branch.js';

export const X86_BR_NONE = 0;
export const X86_BR_USER: number = 1 << 0;
export const X86_BR_KERNEL: number = 1 << 1;
export const X86_BR_CALL: number = 1 << 2;
export const X86_BR_RET: number = 1 << 3;
export const X86_BR_SYSCALL: number = 1 << 4;
export const X86_BR_SYSRET: number = 1 << 5;
export const X86_BR_INT: number = 1 << 6;
export const X86_BR_IRET: number = 1 << 7;
export const X86_BR_JCC: number = 1 << 8;
export const X86_BR_JMP: number = 1 << 9;
export const X86_BR_IRQ: number = 1 << 10;
export const X86_BR_IND_CALL: number = 1 << 11;
export const X86_BR_ABORT: number = 1 << 12;
export const X86_BR_IN_TX: number = 1 << 13;
export const X86_BR_NO_TX: number = 1 << 14;
export const X86_BR_ZERO_CALL: number = 1 << 15;
export const X86_BR_CALL_STACK: number = 1 << 16;
export const X86_BR_IND_JMP: number = 1 << 17;
export const X86_BR_TYPE_SAVE: number = 1 << 18;

export const X86_BR_PLM: number = X86_BR_USER | X86_BR_KERNEL;
export const X86_BR_ANYTX: number = X86_BR_NO_TX | X86_BR_IN_TX;
export const X86_BR_ANY: number =
  X86_BR_CALL |
  X86_BR_RET |
  X86_BR_SYSCALL |
  X86_BR_SYSRET |
  X86_BR_INT |
  X86_BR_IRET |
  X86_BR_JCC |
  X86_BR_JMP |
  X86_BR_IRQ |
  X86_BR_ABORT |
  X86_BR_IND_CALL |
  X86_BR_IND_JMP |
  X86_BR_ZERO_CALL;
export const X86_BR_ALL: number = X86_BR_PLM | X86_BR_ANY;
export const X86_BR_ANY_CALL: number =
  X86_BR_CALL | X86_BR_IND_CALL | X86_BR_ZERO_CALL | X86_BR_SYSCALL | X86_BR_IRQ | X86_BR_INT;

/** decode_branch_type() of the instruction at an address, indexed by BRANCH_*. */
const DECODED: readonly number[] = [
  X86_BR_JCC,
  X86_BR_CALL,
  X86_BR_IND_CALL,
  X86_BR_RET,
  X86_BR_IND_JMP,
  X86_BR_JMP,
  X86_BR_ZERO_CALL,
  X86_BR_SYSCALL,
  X86_BR_SYSRET,
  X86_BR_NONE,
  X86_BR_IRET,
];

/**
 * Returns the X86_BR_* type of a branch, with the privilege level of its target.
 *
 * Kernel: utils.c:branch_type(), get_branch_type().
 */
export function branch_type(
  fromLo: number,
  fromHi: number,
  toLo: number,
  toHi: number,
  abort: boolean,
): number {
  const to_plm = toHi < 0 ? X86_BR_KERNEL : X86_BR_USER;
  const from_plm = fromHi < 0 ? X86_BR_KERNEL : X86_BR_USER;
  if ((fromLo | fromHi) === 0 || (toLo | toHi) === 0) return X86_BR_NONE;
  if (abort) return X86_BR_ABORT | to_plm;
  let ret = DECODED[branch.addressKind(fromHi)] ?? X86_BR_NONE;
  // Only an interrupt can enter the kernel from an instruction that is not an entry instruction.
  if (from_plm === X86_BR_USER && to_plm === X86_BR_KERNEL && ret !== X86_BR_SYSCALL) {
    ret = X86_BR_IRQ;
  }
  return ret === X86_BR_NONE ? ret : ret | to_plm;
}

/** PERF_BR_*, include/uapi/linux/perf_event.h, in the order of X86_BR_CALL and up. */
const BRANCH_MAP: readonly number[] = [4, 6, 7, 8, 0, 11, 1, 2, 12, 5, 0, 0, 14, 4, 0, 3];

/** Kernel: utils.c:common_branch_type(). Returns a PERF_BR_* value. */
export function common_branch_type(type: number): number {
  const bits = type >> 2;
  if (bits === 0) return 0;
  return BRANCH_MAP[31 - Math.clz32(bits & -bits)] ?? 0;
}

/** Kernel: lbr.c:branch_user_callstack(). */
export function branch_user_callstack(br_sel: number): boolean {
  return (br_sel & X86_BR_USER) !== 0 && (br_sel & X86_BR_CALL_STACK) !== 0;
}
