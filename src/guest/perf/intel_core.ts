/**
 * Models arch/x86/events/intel/core.c, Linux 6.1: what stands between the PMU core and lbr.c,
 * and the PMI handler. Left out: the counters' own MSRs, PEBS, BTS, PT, extra registers other
 * than the LBR's (FIDELITY, "Guest kernel").
 */
import * as msrs from '../../hw/msr_index.js';
import { GLOBAL_CTRL_HI, GLOBAL_CTRL_LO } from '../../hw/logical_processor.js';
import * as pv from '../pv/kvm_pv_lbr.js';
import { __intel_pmu_lbr_disable } from './intel_lbr.js';
import type { Cpu } from './kernel.js';
import { ATTR_VLBR, ATTR_VLBR_EXCLUDES, INTEL_PMC_IDX_FIXED } from './perf_event.js';
import type { perf_event } from './perf_structs.js';
import { COUNTER_SLOTS, NUM_COUNTERS, NUM_FIXED } from './cpu_structs.js';

/** Kernel: core.c:intel_pmu_disable_all(). */
export function intel_pmu_disable_all(cpu: Cpu): void {
  cpu.wrmsrl(msrs.MSR_CORE_PERF_GLOBAL_CTRL, 0, 0);
  cpu.kernel.lbr.intel_pmu_lbr_disable_all(cpu);
}

/** Kernel: core.c:__intel_pmu_enable_all(). */
function __intel_pmu_enable_all(cpu: Cpu, pmi: boolean): void {
  cpu.kernel.lbr.intel_pmu_lbr_enable_all(cpu, pmi);
  cpu.wrmsrl(msrs.MSR_CORE_PERF_GLOBAL_CTRL, GLOBAL_CTRL_LO, GLOBAL_CTRL_HI);
}

/** Kernel: core.c:intel_pmu_enable_all(). */
function intel_pmu_enable_all(cpu: Cpu): void {
  __intel_pmu_enable_all(cpu, false);
}

/** The four general counters in GLOBAL_CTRL. */
const GENERAL_COUNTERS: number = (1 << NUM_COUNTERS) - 1;

/**
 * Kernel: core.c:intel_pmu_nhm_workaround(), for errata of Nehalem's counters. Left out: what it
 * does with the counters' own MSRs.
 */
function intel_pmu_nhm_workaround(cpu: Cpu): void {
  cpu.wrmsrl(msrs.MSR_CORE_PERF_GLOBAL_CTRL, GENERAL_COUNTERS, 0);
  cpu.wrmsrl(msrs.MSR_CORE_PERF_GLOBAL_CTRL, 0, 0);
}

/**
 * Kernel: core.c:x86_pmu.enable_all(), which is intel_pmu_nhm_enable_all() on Nehalem and Westmere.
 *
 * @param added - number of events that were added since the PMU was disabled.
 */
export function enable_all(cpu: Cpu, added: number): void {
  if (added > 0 && cpu.x86_pmu.nhm_workaround) intel_pmu_nhm_workaround(cpu);
  intel_pmu_enable_all(cpu);
}

/** Kernel: include/linux/perf_event.h:needs_branch_stack(). */
export function needs_branch_stack({ branch_sample_type }: perf_event): boolean {
  return branch_sample_type !== 0;
}

/** Kernel: core.c:intel_pmu_add_event(). */
export function intel_pmu_add_event(cpu: Cpu, event: perf_event): void {
  if (!needs_branch_stack(event)) return;
  pv.pvLbrAdd(cpu, event);
  cpu.kernel.lbr.intel_pmu_lbr_add(cpu, event);
}

/** Kernel: core.c:intel_pmu_del_event(). */
export function intel_pmu_del_event(cpu: Cpu, event: perf_event): void {
  if (!needs_branch_stack(event)) return;
  cpu.kernel.lbr.intel_pmu_lbr_del(cpu, event);
  pv.pvLbrDel(cpu, event);
}

/** Kernel: core.c:intel_pmu_enable_event(), for the bit of intel_ctrl_guest_mask it sets. */
export function intel_pmu_enable_event(cpu: Cpu, event: perf_event): void {
  if ((event.attr & ATTR_VLBR) !== 0) cpu.cpuc.guest_mask_vlbr = 1;
  else if (event.idx < NUM_COUNTERS) cpu.port.setCounter?.(event.idx, true);
}

/** Kernel: core.c:intel_pmu_disable_event(). */
export function intel_pmu_disable_event(cpu: Cpu, event: perf_event): void {
  if ((event.attr & ATTR_VLBR) !== 0) cpu.cpuc.guest_mask_vlbr = 0;
  else if (event.idx < NUM_COUNTERS) cpu.port.setCounter?.(event.idx, false);
}

/**
 * Kernel: core.c:__intel_shared_reg_get_constraints(), for EXTRA_REG_LBR. Returns false when
 * another event holds the register with another configuration.
 */
function getSharedReg(cpu: Cpu, event: perf_event): boolean {
  const { cpuc } = cpu;
  if (event.branch_reg_alloc !== 0) return true;
  const same =
    cpuc.lbr_sel_config === event.branch_reg_config &&
    cpuc.lbr_sel_config_hi === event.branch_reg_config_hi;
  if (cpuc.lbr_sel_ref !== 0 && !same) return false;
  event.branch_reg_alloc = 1;
  cpuc.lbr_sel_config = event.branch_reg_config;
  cpuc.lbr_sel_config_hi = event.branch_reg_config_hi;
  cpuc.lbr_sel_ref++;
  return true;
}

/**
 * Kernel: core.c:intel_get_event_constraints(). The guest LBR event takes its fake counter only. Of
 * these events, v8's alone asks for the register that LBR events share.
 *
 * Returns false for emptyconstraint.
 */
export function intel_get_event_constraints(cpu: Cpu, event: perf_event): boolean {
  if ((event.attr & (ATTR_VLBR | ATTR_VLBR_EXCLUDES)) === ATTR_VLBR) return true;
  return event.branch_reg_idx === 0 || getSharedReg(cpu, event);
}

/** LBR_VCPU, bit 62 of a branch_reg config: a reserved bit, which Linux v8 knew only. */
const LBR_VCPU_HI: number = 1 << (62 - 32);

/**
 * Kernel: core.c:intel_vlbr_constraints(), as x86/events/core.c:validate_event() calls it when an
 * event is created: from then on perf saves and restores LBR_SELECT with the guest's records. With
 * it, what v8 10/14 does in intel_pmu_setup_hw_lbr_filter().
 */
export function intel_vlbr_constraints(event: perf_event): void {
  event.lbr_select_flag = (event.attr & ATTR_VLBR) !== 0 ? 1 : 0;
  if ((event.attr & ATTR_VLBR_EXCLUDES) !== 0) event.branch_reg_config_hi |= LBR_VCPU_HI;
}

/** Kernel: core.c:intel_put_event_constraints(), __intel_shared_reg_put_constraints(). */
export function intel_put_event_constraints(cpu: Cpu, event: perf_event): void {
  if (event.branch_reg_alloc === 0) return;
  cpu.cpuc.lbr_sel_ref--;
  event.branch_reg_alloc = 0;
}

/** Kernel: core.c:handle_pmi_common(): one sample for each overflown event that still counts. */
function handle_pmi_common(cpu: Cpu, status: number): void {
  const { cpuc, kernel } = cpu;
  for (let bit = 0; bit < NUM_COUNTERS; bit++) {
    if ((status & (1 << bit)) === 0) continue;
    const event = cpuc.events(bit);
    if (event !== 0) kernel.output.sample(cpu, kernel.events[event - 1]);
  }
}

/**
 * Kernel: core.c:intel_pmu_handle_irq(). An NMI: it may come between any two MSR accesses of the
 * code it interrupts. The LBR is read before the ack, which lets a version 4 PMU record again.
 */
export function intel_pmu_handle_irq(cpu: Cpu): void {
  const { cpuc } = cpu;
  const pmu_enabled = cpuc.enabled;
  cpuc.enabled = 0;
  cpu.wrmsrl(msrs.MSR_CORE_PERF_GLOBAL_CTRL, 0, 0);
  let status = cpu.rdmsrl(msrs.MSR_CORE_PERF_GLOBAL_STATUS);
  let status_hi = cpu.edx;
  while ((status | status_hi) !== 0) {
    cpu.kernel.lbr.intel_pmu_lbr_read(cpu);
    cpu.wrmsrl(msrs.MSR_CORE_PERF_GLOBAL_OVF_CTRL, status, status_hi);
    handle_pmi_common(cpu, status);
    status = cpu.rdmsrl(msrs.MSR_CORE_PERF_GLOBAL_STATUS);
    status_hi = cpu.edx;
  }
  cpuc.enabled = pmu_enabled;
  if (pmu_enabled !== 0) __intel_pmu_enable_all(cpu, true);
}

/** Kernel: core.c:intel_pmu_cpu_starting(): a CPU may come up with LBR on, and with records. */
export function intel_pmu_cpu_starting(cpu: Cpu): void {
  pv.pvLbrCpuStarting(cpu);
  const debugctl = cpu.rdmsrl(msrs.MSR_IA32_DEBUGCTLMSR);
  const edx = cpu.edx;
  const cleared = debugctl & ~msrs.DEBUGCTLMSR_LBR;
  if (cleared !== debugctl) cpu.wrmsrl(msrs.MSR_IA32_DEBUGCTLMSR, cleared, edx);
  cpu.kernel.lbr.intel_pmu_lbr_reset(cpu);
  const { freezeOnSmi, version } = cpu.x86_pmu;
  if (freezeOnSmi && version > 1) {
    cpu.msr_set_bit(msrs.MSR_IA32_DEBUGCTLMSR, msrs.DEBUGCTLMSR_FREEZE_IN_SMM);
  }
}

/** Counter slot of an event, or -1 if it has none: the fake counter comes last. */
export function counterSlot(event: perf_event): number {
  if (event.idx >= INTEL_PMC_IDX_FIXED && event.idx < INTEL_PMC_IDX_FIXED + NUM_FIXED) return -1;
  return (event.attr & ATTR_VLBR) !== 0 ? COUNTER_SLOTS - 1 : event.idx;
}

/**
 * Kernel: core.c:intel_pmu_snapshot_branch_stack(), of bpf_get_branch_snapshot(). It leaves the PMU
 * on, whatever it was, and LBR_SELECT as the last event has asked for it.
 */
export function intel_pmu_snapshot_branch_stack(cpu: Cpu): void {
  cpu.wrmsrl(msrs.MSR_CORE_PERF_GLOBAL_CTRL, 0, 0);
  __intel_pmu_lbr_disable(cpu);
  cpu.kernel.lbr.intel_pmu_lbr_read(cpu);
  intel_pmu_enable_all(cpu);
}
