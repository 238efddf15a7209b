/** MSRs and their values in words: `FROM_3` instead of its index. */
import { KVM_PV_LBR_CTRL_ACTIVE, MSR_KVM_PV_LBR_CTRL } from '../guest/pv/kvm_para.js';
import type { CpuModel } from '../hw/cpu_models.js';
import { lbrRegister } from '../hw/logical_processor.js';
import * as msrs from '../hw/msr_index.js';
import { hex } from '../hw/u64.js';

const NAMES: ReadonlyMap<number, string> = new Map([
  [msrs.MSR_IA32_DEBUGCTLMSR, 'DEBUGCTL'],
  [msrs.MSR_IA32_PERF_CAPABILITIES, 'PERF_CAPABILITIES'],
  [msrs.MSR_CORE_PERF_GLOBAL_STATUS, 'GLOBAL_STATUS'],
  [msrs.MSR_CORE_PERF_GLOBAL_CTRL, 'GLOBAL_CTRL'],
  [msrs.MSR_CORE_PERF_GLOBAL_OVF_CTRL, 'GLOBAL_OVF_CTRL'],
  [msrs.MSR_CORE_PERF_GLOBAL_STATUS_SET, 'GLOBAL_STATUS_SET'],
  [MSR_KVM_PV_LBR_CTRL, 'PV_LBR_CTRL'],
]);

/** Slot of the LBR stack that a FROM, TO or INFO register belongs to; -1 for any other MSR. */
export function msrSlot(model: CpuModel, msr: number): number {
  switch (lbrRegister(model, msr)) {
    case 'from':
      return msr - model.lbr_from;
    case 'to':
      return msr - model.lbr_to;
    case 'info':
      return msr - model.lbr_info;
    default:
      return -1;
  }
}

/** Name of an MSR on this model; its index for one that the model does not know. */
export function msrName(model: CpuModel, msr: number): string {
  switch (lbrRegister(model, msr)) {
    case 'select':
      return 'LBR_SELECT';
    case 'tos':
      return 'LBR_TOS';
    case 'from':
      return `FROM_${msr - model.lbr_from}`;
    case 'to':
      return `TO_${msr - model.lbr_to}`;
    case 'info':
      return `INFO_${msr - model.lbr_info}`;
    case 'none':
      return NAMES.get(msr) ?? hex(msr);
  }
}

/** Puts names in the place of the MSR indices that a sentence speaks of. */
export function nameMsrs(model: CpuModel, text: string): string {
  return text.replace(
    /\b(RDMSR|WRMSR|MSR) (?:0x)?([0-9a-f]+)\b/g,
    (_, word: string, index: string) => `${word} ${msrName(model, Number.parseInt(index, 16))}`,
  );
}

type Bits = readonly (readonly [bit: number, name: string])[];

const DEBUGCTL_BITS: Bits = [
  [msrs.DEBUGCTLMSR_LBR, 'LBR'],
  [msrs.DEBUGCTLMSR_BTF, 'BTF'],
  [msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI, 'FREEZE_LBRS'],
  [msrs.DEBUGCTLMSR_FREEZE_PERFMON_ON_PMI, 'FREEZE_PERFMON'],
];

/** LBR_SELECT's bits suppress what they name, but for the last. */
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

/** DEBUGCTL as the names of its bits: `LBR|FREEZE_LBRS`, `0 (LBR off)`. */
export function debugctlText(value: number): string {
  const known = DEBUGCTL_BITS.reduce((sum, [bit]) => sum | bit, 0);
  const names = namesOf(DEBUGCTL_BITS, value);
  if ((value & ~known) !== 0) names.push(hex(value & ~known));
  const text = names.length === 0 ? '0' : names.join('|');
  return (value & msrs.DEBUGCTLMSR_LBR) === 0 ? `${text} (LBR off)` : text;
}

/** LBR_SELECT as what it lets through: `0x3c5 (call stack; no kernel jcc ...)`. */
export function selectText(value: number): string {
  if (value === 0) return '0 (all)';
  const says = (value & msrs.LBR_CALL_STACK) === 0 ? [] : ['call stack'];
  const off = namesOf(SELECT_BITS, value);
  if (off.length > 0) says.push(`no ${off.join(' ')}`);
  return `${hex(value)} (${says.join('; ')})`;
}

/** LBR_SELECT for a narrow column: `0x3c5 call stack`. */
export function selectBrief(value: number): string {
  return (value & msrs.LBR_CALL_STACK) === 0 ? hex(value) : `${hex(value)} call stack`;
}

/** The value of a register that is not part of a record. */
export function valueText(model: CpuModel, msr: number, eax: number, edx: number): string {
  if (msr === msrs.MSR_IA32_DEBUGCTLMSR) return debugctlText(eax);
  if (msr === MSR_KVM_PV_LBR_CTRL) {
    return (eax & KVM_PV_LBR_CTRL_ACTIVE) === 0 ? '0 (not ACTIVE)' : 'ACTIVE';
  }
  const register = lbrRegister(model, msr);
  if (register === 'tos') return String(eax >>> 0);
  if (register === 'select') return selectText(eax);
  return edx === 0 ? hex(eax) : `${hex(edx)}_${(eax >>> 0).toString(16).padStart(8, '0')}`;
}
