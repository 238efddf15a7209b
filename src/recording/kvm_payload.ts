/**
 * The payloads of KVM's events and of the host's MSR accesses, as ftrace, perf and `-R` print
 * them. All of them are short: what is longer than SHOWN is not looked at.
 */
import { isAt, isDigit, latin1, numberIn, skipDigits, skipWord, word } from './bytes.js';

/** Bytes of a payload that are looked at. */
const SHOWN = 160;

export function shownPayload(bytes: Buffer, from: number, to: number): string {
  return latin1(bytes, from, Math.min(to, from + SHOWN));
}

const VCPU_WORD = word('vcpu ');
const REASON_WORD = word('reason ');

/** The vCPU and, of an exit, the reason. One object is filled for each line. */
export class KvmPayload {
  /** -1 where there is none. */
  vcpu = -1;
  /** In KVM's words, as `HLT`; `?` where the payload has none. */
  reason = '?';
}

/** Reads the payload of kvm_entry or kvm_exit. What most kernels print is read without strings. */
export function readKvm(
  bytes: Buffer,
  from: number,
  to: number,
  isExit: boolean,
  payload: KvmPayload,
): void {
  payload.vcpu = -1;
  let at = from;
  if (isAt(bytes, at, to, VCPU_WORD)) {
    const digits = at + VCPU_WORD.length;
    const end = skipDigits(bytes, digits, Math.min(to, digits + 9));
    if (end > digits) payload.vcpu = numberIn(bytes, digits, end);
    at = end + 1;
    if (!isExit && payload.vcpu >= 0) return;
  }
  if (isExit && isAt(bytes, at, to, REASON_WORD)) {
    const begin = at + REASON_WORD.length;
    const end = skipWord(bytes, begin, Math.min(to, begin + REASON_MAX));
    if (end > begin && !isDigit(bytes[begin])) {
      payload.reason = latin1(bytes, begin, end);
      return;
    }
  }
  const text = shownPayload(bytes, from, to);
  if (payload.vcpu < 0) payload.vcpu = vcpuIn(text);
  if (isExit) payload.reason = reasonIn(text);
}

/** No reason is longer. */
const REASON_MAX = 40;

const VCPU = /\bvcpu(?:_id)?(?: |=| = )(\d{1,9})\b/;

/** `vcpu 1, rip 0x..`, `vcpu_id=1`, `{ vcpu_id = 1 }`; -1 where there is none. */
export function vcpuIn(payload: string): number {
  const match = VCPU.exec(payload);
  return match === null ? -1 : Number(match[1]);
}

const REASON = /\breason(?: |=| = )(?:\( ?")?(\w{1,40})/;
const NUMBER = /^(?:0x[0-9a-f]{1,8}|\d{1,9})$/i;

/** Basic exit reasons of VMX by number; SDM volume 3, appendix C. */
const REASONS: Readonly<Record<number, string>> = {
  0: 'EXCEPTION_NMI',
  1: 'EXTERNAL_INTERRUPT',
  7: 'INTERRUPT_WINDOW',
  8: 'NMI_WINDOW',
  10: 'CPUID',
  12: 'HLT',
  15: 'RDPMC',
  18: 'VMCALL',
  28: 'CR_ACCESS',
  29: 'DR_ACCESS',
  30: 'IO_INSTRUCTION',
  31: 'MSR_READ',
  32: 'MSR_WRITE',
  36: 'MWAIT_INSTRUCTION',
  40: 'PAUSE_INSTRUCTION',
  44: 'APIC_ACCESS',
  48: 'EPT_VIOLATION',
  49: 'EPT_MISCONFIG',
  52: 'PREEMPTION_TIMER',
  54: 'WBINVD',
  55: 'XSETBV',
  56: 'APIC_WRITE',
};

/** The reason of an exit in KVM's words, as `HLT`; `?` where the payload has none. */
export function reasonIn(payload: string): string {
  const match = REASON.exec(payload.replace('exit_reason', 'reason'));
  if (match === null) return '?';
  if (!NUMBER.test(match[1])) return match[1];
  return REASONS[Number(match[1]) & 0xffff] ?? match[1];
}

/** An access to an MSR. */
export interface MsrPayload {
  readonly write: boolean;
  readonly msr: number;
  /** The value's halves. */
  readonly low: number;
  readonly high: number;
  /** Whether the access raised #GP. */
  readonly fault: boolean;
}

const KVM_MSR = /^msr_(write|read) ([0-9a-f]{1,8}) = 0x([0-9a-f]{1,16})/i;
const KVM_MSR_RAW =
  /\bwrite=(\d).{0,40}?\becx=(?:0x)?([0-9a-f]{1,8}).{0,40}?data=(?:0x)?([0-9a-f]{1,16})/i;
const HOST_MSR = /^([0-9a-f]{1,8}), value ([0-9a-f]{1,16})/i;
const FAULT = /#GP/;

/** `msr_write 1d9 = 0x1`; null where it is something else. */
export function kvmMsrIn(payload: string): MsrPayload | null {
  const match = KVM_MSR.exec(payload);
  if (match !== null) return access(match[1] === 'write', match[2], match[3], payload);
  const raw = KVM_MSR_RAW.exec(payload);
  return raw === null ? null : access(raw[1] !== '0', raw[2], raw[3], payload);
}

/** `1d9, value 1`, as the events msr:write_msr and msr:read_msr have it. */
export function hostMsrIn(payload: string, write: boolean): MsrPayload | null {
  const match = HOST_MSR.exec(payload);
  return match === null ? null : access(write, match[1], match[2], payload);
}

function access(write: boolean, msr: string, value: string, payload: string): MsrPayload {
  const digits = value.padStart(16, '0');
  return {
    write,
    msr: Number.parseInt(msr, 16),
    low: Number.parseInt(digits.slice(8), 16),
    high: Number.parseInt(digits.slice(0, 8), 16),
    fault: FAULT.test(payload),
  };
}
