import { LBR_FAR, LBR_IND_CALL, LBR_IND_JMP, LBR_JCC } from './msr_index.js';
import { LBR_REL_CALL, LBR_REL_JMP, LBR_RETURN } from './msr_index.js';

/**
 * The addresses of a branch name the VM, vCPU and task that executed it, so each record shows whose
 * it is. An address is canonical. Its high word holds
 *
 *   31..15 sign (kernel or user) | 14..11 kind | 10..8 vm | 7..5 vcpu | 4..0 task
 *
 * The low word is a sequence number, which is never 0, so an address is never 0. The kind stands in
 * for the instruction bytes that a kernel would decode at that address.
 */
export const BRANCH_JCC = 0;
export const BRANCH_REL_CALL = 1;
export const BRANCH_IND_CALL = 2;
export const BRANCH_RET = 3;
export const BRANCH_IND_JMP = 4;
export const BRANCH_REL_JMP = 5;
/** A relative call to the next instruction: no frame, though some CPUs push it as one. */
export const BRANCH_ZERO_CALL = 6;
/** Far branches from here on: all of them are in the FAR_BRANCH class of LBR_SELECT. */
export const BRANCH_SYSCALL = 7;
export const BRANCH_SYSRET = 8;
export const BRANCH_IRQ = 9;
export const BRANCH_IRET = 10;

/** Kind of an address that is not a branch instruction: a branch target, or a value WRMSR left. */
export const BRANCH_NONE = 15;

export const BRANCH_NAMES: readonly string[] = [
  'jcc',
  'call',
  'ind-call',
  'ret',
  'ind-jmp',
  'jmp',
  'call+0',
  'syscall',
  'sysret',
  'irq',
  'iret',
];

/** VM number of the host in an address; guests are 0 to 6. */
export const HOST_VM = 7;

/** Bits of a sequence number below its group. */
const SEQ_BITS = 26;

/**
 * The number of a VM in addresses. Where a machine has more than seven VMs, several share a number,
 * and the group of their sequence numbers tells them apart.
 */
export function addressedVm(vm: number): number {
  return vm % HOST_VM;
}

/** The sequence number before a VM's first one. A VM may take 2^26 branches. */
export function firstSeq(vm: number): number {
  return Math.trunc(vm / HOST_VM) << SEQ_BITS;
}

/** The most VMs that can be told apart. */
export const VMS_MAX: number = HOST_VM << (32 - SEQ_BITS);

/** The VM of a FROM or TO register, HOST_VM apart. @param seq - its low word. */
export function recordedVm(edx: number, seq: number): number {
  return addressVm(edx) + HOST_VM * (seq >>> SEQ_BITS);
}

/** LBR_SELECT bit that suppresses each kind, indexed by BRANCH_*. */
export const SELECT_BIT: readonly number[] = [
  LBR_JCC,
  LBR_REL_CALL,
  LBR_IND_CALL,
  LBR_RETURN,
  LBR_IND_JMP,
  LBR_REL_JMP,
  LBR_REL_CALL,
  LBR_FAR,
  LBR_FAR,
  LBR_FAR,
  LBR_FAR,
];

const TAG_KERNEL: number = 0xffff8000 | 0;

/** High word of an address that `task` of `vcpu` of `vm` executes. */
export function addressHigh(
  kernel: boolean,
  kind: number,
  vm: number,
  vcpu: number,
  task: number,
): number {
  return (kernel ? TAG_KERNEL : 0) | (kind << 11) | (vm << 8) | (vcpu << 5) | task;
}

/** VM number in an address or a raw FROM register, flags and all. */
export function addressVm(edx: number): number {
  return (edx >>> 8) & 7;
}

/** Number of the vCPU within its VM in an address or a raw FROM register. */
export function addressVcpu(edx: number): number {
  return (edx >>> 5) & 7;
}

/** Task number in an address or a raw FROM register. */
export function addressTask(edx: number): number {
  return edx & 31;
}

/** Branch kind in an address or a raw FROM register. */
export function addressKind(edx: number): number {
  return (edx >>> 11) & 15;
}

/** Whether an address lies in the kernel half; needs bit 47 only, so raw FROM values do as well. */
export function addressIsKernel(edx: number): boolean {
  return (edx & 0x8000) !== 0;
}

/**
 * Encodes the VM in a record's cycle count, so that an INFO register, too, shows whose it is.
 *
 * Returns a value in [1, 0xffff]: vm in 15..13, low bits of the sequence below.
 */
export function branchCycles(vm: number, seq: number): number {
  return (vm << 13) | (seq & 0xfff) | 0x1000;
}
