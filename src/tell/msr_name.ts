/** MSRs and their values in words: `FROM_3` instead of its index. */
import { KVM_PV_LBR_CTRL_ACTIVE, MSR_KVM_PV_LBR_CTRL } from '../guest/pv/kvm_para.js';
import type { CpuModel } from '../hw/cpu_models.js';
import * as map from '../hw/lbr_map.js';
import * as msrs from '../hw/msr_index.js';
import { hex, hex64 } from '../hw/u64.js';

const NAMES: ReadonlyMap<number, string> = new Map([
  [msrs.MSR_IA32_DEBUGCTLMSR, 'DEBUGCTL'],
  [msrs.MSR_IA32_PERF_CAPABILITIES, 'PERF_CAPABILITIES'],
  [msrs.MSR_CORE_PERF_GLOBAL_STATUS, 'GLOBAL_STATUS'],
  [msrs.MSR_CORE_PERF_GLOBAL_CTRL, 'GLOBAL_CTRL'],
  [msrs.MSR_CORE_PERF_GLOBAL_OVF_CTRL, 'GLOBAL_OVF_CTRL'],
  [msrs.MSR_CORE_PERF_GLOBAL_STATUS_SET, 'GLOBAL_STATUS_SET'],
  [MSR_KVM_PV_LBR_CTRL, 'PV_LBR_CTRL'],
]);

/** Slot of the LBR stack to which a FROM, TO or INFO register belongs; -1 for any other MSR. */
export function msrSlot(model: CpuModel, msr: number): number {
  switch (map.lbrMap(model).kind(msr)) {
    case map.KIND_FROM:
      return msr - model.lbr_from;
    case map.KIND_TO:
      return msr - model.lbr_to;
    case map.KIND_INFO:
      return msr - model.lbr_info;
    default:
      return -1;
  }
}

export function isLbrMsr(model: CpuModel, msr: number): boolean {
  return map.lbrMap(model).kind(msr) !== map.KIND_NONE;
}

export function isFromMsr(model: CpuModel, msr: number): boolean {
  return map.lbrMap(model).kind(msr) === map.KIND_FROM;
}

/** Name of an MSR on this model; the index of an MSR that the model does not know. */
export function msrName(model: CpuModel, msr: number): string {
  switch (map.lbrMap(model).kind(msr)) {
    case map.KIND_SELECT:
      return 'LBR_SELECT';
    case map.KIND_TOS:
      return 'LBR_TOS';
    case map.KIND_FROM:
      return `FROM_${msr - model.lbr_from}`;
    case map.KIND_TO:
      return `TO_${msr - model.lbr_to}`;
    case map.KIND_INFO:
      return `INFO_${msr - model.lbr_info}`;
    default:
      return NAMES.get(msr) ?? hex(msr);
  }
}

/** Replaces the MSR indices in a sentence by names, and shortens values. */
export function nameMsrs(model: CpuModel, text: string): string {
  return text
    .replace(
      /\b(RDMSR|WRMSR|MSR) (?:0x)?([0-9a-f]+)\b/g,
      (_, word: string, index: string) => `${word} ${msrName(model, Number.parseInt(index, 16))}`,
    )
    .replace(/\b0x0+(?=[0-9a-f])/g, '0x');
}

type Bits = readonly (readonly [bit: number, name: string])[];

const DEBUGCTL_BITS: Bits = [
  [msrs.DEBUGCTLMSR_LBR, 'LBR'],
  [msrs.DEBUGCTLMSR_BTF, 'BTF'],
  [msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI, 'FREEZE_LBRS'],
  [msrs.DEBUGCTLMSR_FREEZE_PERFMON_ON_PMI, 'FREEZE_PERFMON'],
];

/** A set bit of LBR_SELECT suppresses what it names; the last bit is call-stack mode. */
const SELECT_BITS: Bits = [
  [msrs.LBR_KERNEL, 'kernel'],
  [msrs.LBR_USER, 'user'],
  [msrs.LBR_JCC, 'jcc'],
  [msrs.LBR_REL_CALL, 'call'],
  [msrs.LBR_IND_CALL, 'ind-call'],
  [msrs.LBR_RETURN, 'ret'],
  [msrs.LBR_IND_JMP, 'ind-jmp'],
  [msrs.LBR_REL_JMP, 'jmp'],
  [msrs.LBR_FAR, 'far'],
];

function namesOf(bits: Bits, value: number): string[] {
  return bits.filter(([bit]) => (value & bit) !== 0).map(([, name]) => name);
}

/** Names of DEBUGCTL's bits, for a column: `LBR|FREEZE_LBRS`, `0`. */
export function debugctlBits(value: number): string {
  const known = DEBUGCTL_BITS.reduce((sum, [bit]) => sum | bit, 0);
  const names = namesOf(DEBUGCTL_BITS, value);
  if ((value & ~known) !== 0) names.push(hex(value & ~known));
  return names.length === 0 ? '0' : names.join('|');
}

/** DEBUGCTL for a sentence. Says if LBR is off: `0 (LBR off)`. */
export function debugctlText(value: number): string {
  const bits = debugctlBits(value);
  return (value & msrs.DEBUGCTLMSR_LBR) === 0 ? `${bits} (LBR off)` : bits;
}

/** LBR_SELECT with the branches that it suppresses: `0x1 (no kernel)`, `0x3c5 (call stack)`. */
export function selectText(value: number): string {
  if (value === 0) return '0 (all)';
  if ((value & msrs.LBR_CALL_STACK) !== 0) return `${hex(value)} (call stack)`;
  return `${hex(value)} (no ${namesOf(SELECT_BITS, value).join(' ')})`;
}

/** LBR_SELECT for a narrow column: `0x3c5 call stack`. */
export function selectBrief(value: number): string {
  return (value & msrs.LBR_CALL_STACK) === 0 ? hex(value) : `${hex(value)} call stack`;
}

/** A 64-bit value without leading zeros. */
export function plainHex(eax: number, edx: number): string {
  return hex64(eax, edx).replace(/^0x0+(?=.)/, '0x');
}

/** The value of a register outside the records. */
export function valueText(msr: number, eax: number, edx: number): string {
  if (msr === msrs.MSR_IA32_DEBUGCTLMSR) return debugctlText(eax);
  if (msr === MSR_KVM_PV_LBR_CTRL) {
    return (eax & KVM_PV_LBR_CTRL_ACTIVE) === 0 ? '0 (not ACTIVE)' : 'ACTIVE';
  }
  if (msr === msrs.MSR_LBR_TOS) return String(eax >>> 0);
  if (msr === msrs.MSR_LBR_SELECT) return selectText(eax);
  return plainHex(eax, edx);
}
