/**
 * Models the branch filters of arch/x86/events/intel/lbr.c, Linux 6.1: the set-up of the software
 * and the hardware filter when an event is created, and the software filter at a read.
 */
import { LBR_CALL_STACK } from '../../hw/msr_index.js';
import { EINVAL, EOPNOTSUPP } from './perf_event.js';
import type { Cpu, Kernel } from './kernel.js';
import * as perf from './perf_event.js';
import type { perf_event } from './perf_structs.js';
import * as br from './x86_br.js';
import { LBR_NO_INFO_HI, LBR_NOT_SUPP } from './x86_pmu.js';

/** Software masks for the bits of branch_sample_type that only add to the mask. */
const SW_MASK: readonly (readonly [number, number])[] = [
  [perf.PERF_SAMPLE_BRANCH_USER, br.X86_BR_USER],
  [perf.PERF_SAMPLE_BRANCH_KERNEL, br.X86_BR_KERNEL],
  [perf.PERF_SAMPLE_BRANCH_ANY, br.X86_BR_ANY],
  [perf.PERF_SAMPLE_BRANCH_ANY_CALL, br.X86_BR_ANY_CALL],
  [perf.PERF_SAMPLE_BRANCH_ANY_RETURN, br.X86_BR_RET | br.X86_BR_IRET | br.X86_BR_SYSRET],
  [perf.PERF_SAMPLE_BRANCH_IND_CALL, br.X86_BR_IND_CALL],
  [perf.PERF_SAMPLE_BRANCH_ABORT_TX, br.X86_BR_ABORT],
  [perf.PERF_SAMPLE_BRANCH_IN_TX, br.X86_BR_IN_TX],
  [perf.PERF_SAMPLE_BRANCH_NO_TX, br.X86_BR_NO_TX],
  [perf.PERF_SAMPLE_BRANCH_COND, br.X86_BR_JCC],
];

/** Those that are added after the call-stack test has looked at the mask. */
const SW_MASK_LATE: readonly (readonly [number, number])[] = [
  [perf.PERF_SAMPLE_BRANCH_IND_JUMP, br.X86_BR_IND_JMP],
  [perf.PERF_SAMPLE_BRANCH_CALL, br.X86_BR_CALL | br.X86_BR_ZERO_CALL],
  [perf.PERF_SAMPLE_BRANCH_TYPE_SAVE, br.X86_BR_TYPE_SAVE],
];

/** Kernel: lbr.c:intel_pmu_setup_sw_lbr_filter(). Returns 0 or a negative errno. */
function intel_pmu_setup_sw_lbr_filter(kernel: Kernel, event: perf_event): number {
  const br_type = event.branch_sample_type;
  const map = kernel.x86_pmu.lbr_sel_map;
  let mask = 0;
  for (const [bit, types] of SW_MASK) if ((br_type & bit) !== 0) mask |= types;
  if ((br_type & perf.PERF_SAMPLE_BRANCH_CALL_STACK) !== 0) {
    const shift = 31 - Math.clz32(perf.PERF_SAMPLE_BRANCH_CALL_STACK);
    if (map === null || map[shift] <= 0) return -EOPNOTSUPP;
    if ((mask & ~br.X86_BR_PLM) !== 0) return -EINVAL;
    mask |= br.X86_BR_CALL | br.X86_BR_IND_CALL | br.X86_BR_RET | br.X86_BR_CALL_STACK;
  }
  for (const [bit, types] of SW_MASK_LATE) if ((br_type & bit) !== 0) mask |= types;
  event.branch_reg_reg = mask;
  return 0;
}

/** Kernel: lbr.c:intel_pmu_setup_hw_lbr_filter(). Returns 0 or a negative errno. */
function intel_pmu_setup_hw_lbr_filter(
  kernel: Kernel,
  event: perf_event,
  map: readonly number[],
): number {
  const br_type = event.branch_sample_type;
  const { x86_pmu } = kernel;
  let mask = 0;
  for (let i = 0; i < perf.PERF_SAMPLE_BRANCH_MAX_SHIFT; i++) {
    if ((br_type & (1 << i)) === 0) continue;
    const v = map[i];
    if (v === LBR_NOT_SUPP) return -EOPNOTSUPP;
    mask |= v;
  }
  event.branch_reg_idx = 1;
  // The hardware bits suppress, all but EN_CALLSTACK.
  event.branch_reg_config = mask ^ (x86_pmu.lbr_sel_mask & ~LBR_CALL_STACK);
  const no_info = perf.PERF_SAMPLE_BRANCH_NO_CYCLES | perf.PERF_SAMPLE_BRANCH_NO_FLAGS;
  event.branch_reg_config_hi =
    (br_type & no_info) === no_info && x86_pmu.lbr_has_info ? LBR_NO_INFO_HI : 0;
  return 0;
}

/**
 * Kernel: lbr.c:intel_pmu_setup_lbr_filter().
 *
 * Returns 0, or -EOPNOTSUPP or -EINVAL for a branch_sample_type that this PMU can't serve.
 */
export function intel_pmu_setup_lbr_filter(kernel: Kernel, event: perf_event): number {
  if (kernel.x86_pmu.lbr_nr === 0) return -EOPNOTSUPP;
  const ret = intel_pmu_setup_sw_lbr_filter(kernel, event);
  if (ret !== 0) return ret;
  const map = kernel.x86_pmu.lbr_sel_map;
  return map === null ? 0 : intel_pmu_setup_hw_lbr_filter(kernel, event, map);
}

/** Whether the software filter drops an entry of this type; `type` has the target's level. */
function dropped(br_sel: number, type: number, from_hi: number): boolean {
  if (type === br.X86_BR_NONE || (br_sel & type) !== type) return true;
  return (br_sel & br.X86_BR_KERNEL) === 0 && from_hi < 0;
}

/** Kernel: lbr.c:intel_pmu_lbr_filter(): compresses lbr_stack to what the user asked for. */
export function intel_pmu_lbr_filter(cpu: Cpu): void {
  const { cpuc } = cpu;
  const w = cpu.kernel.words;
  const br_sel = cpuc.br_sel;
  const type_save = (br_sel & br.X86_BR_TYPE_SAVE) !== 0;
  if ((br_sel & br.X86_BR_ALL) === br.X86_BR_ALL && !type_save) return;
  const last = cpuc.lbr_stack_nr - 1;
  let nr = 0;
  for (let i = 0; i <= last; i++) {
    const at = cpu.lbr_entry(i);
    const flags = w[at + 4];
    const abort = (flags & perf.BRANCH_ABORT) !== 0;
    let type = br.branch_type(w[at], w[at + 1], w[at + 2], w[at + 3], abort);
    if (type !== br.X86_BR_NONE && (br_sel & br.X86_BR_ANYTX) !== 0) {
      type |= (flags & perf.BRANCH_IN_TX) !== 0 ? br.X86_BR_IN_TX : br.X86_BR_NO_TX;
    }
    if (type_save) w[at + 4] |= br.common_branch_type(type) << perf.BRANCH_TYPE_SHIFT;
    if (dropped(br_sel, type, w[at + 1])) {
      w[at] = 0;
      w[at + 1] = 0;
      continue;
    }
    if (nr !== i) w.copyWithin(cpu.lbr_entry(nr), at, at + perf.BRANCH_ENTRY_WORDS);
    nr++;
  }
  cpuc.lbr_stack_nr = nr;
  // The kernel closes one gap after the other, and each time leaves the last entry where it was.
  const at = cpu.lbr_entry(last);
  for (let i = nr; i < last; i++) {
    w.copyWithin(cpu.lbr_entry(i), at, at + perf.BRANCH_ENTRY_WORDS);
  }
}
