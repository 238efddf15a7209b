/**
 * Models arch/x86/events/intel/lbr.c, Linux 6.1: legacy LBR. The order and the values of the MSR
 * accesses are the contract. Left out: Arch LBR, PEBS LBRs (FIDELITY, "Guest kernel").
 */
import * as msrs from '../../hw/msr_index.js';
import { perf_sched_cb_dec, perf_sched_cb_inc } from './events_core.js';
import { intel_pmu_lbr_filter } from './intel_lbr_filter.js';
import type { Cpu } from './kernel.js';
import {
  BRANCH_ABORT,
  BRANCH_CYCLES_SHIFT,
  BRANCH_IN_TX,
  BRANCH_MISPRED,
  BRANCH_PREDICTED,
  LBR_NONE,
  LBR_VALID,
} from './perf_event.js';
import type { perf_event, perf_event_context, x86_perf_task_context } from './perf_structs.js';
import { countUser, has_lbr_callstack_users, switchedData } from './task_data.js';
import { branch_user_callstack } from './x86_br.js';
import { LBR_NO_INFO_HI, type x86_pmu } from './x86_pmu.js';

const { DEBUGCTLMSR_LBR, DEBUGCTLMSR_FREEZE_LBRS_ON_PMI } = msrs;

/** Kernel: lbr.c:__intel_pmu_lbr_enable(). */
function __intel_pmu_lbr_enable(cpu: Cpu, pmi: boolean): void {
  const { x86_pmu, cpuc } = cpu;
  // From version 4 on, the GLOBAL_STATUS ack unfreezes the LBR.
  if (pmi && x86_pmu.version >= 4) return;

  let lbr_select = 0;
  if (x86_pmu.lbr_sel_map !== null) {
    lbr_select = cpuc.lbr_sel_config & x86_pmu.lbr_sel_mask;
    if (!pmi) cpu.wrmsrl(msrs.MSR_LBR_SELECT, lbr_select, 0);
  }

  const orig_debugctl = cpu.rdmsrl(msrs.MSR_IA32_DEBUGCTLMSR);
  const edx = cpu.edx;
  let debugctl = orig_debugctl | DEBUGCTLMSR_LBR;
  // A freezing PMI near a call or return would move TOS once too often in call-stack mode.
  if ((lbr_select & msrs.LBR_CALL_STACK) !== 0) debugctl &= ~DEBUGCTLMSR_FREEZE_LBRS_ON_PMI;
  else debugctl |= DEBUGCTLMSR_FREEZE_LBRS_ON_PMI;
  if (orig_debugctl !== debugctl) cpu.wrmsrl(msrs.MSR_IA32_DEBUGCTLMSR, debugctl, edx);
}

/** Kernel: perf_event.h:__intel_pmu_lbr_disable(). */
export function __intel_pmu_lbr_disable(cpu: Cpu): void {
  const debugctl = cpu.rdmsrl(msrs.MSR_IA32_DEBUGCTLMSR);
  const edx = cpu.edx;
  const off = ~(DEBUGCTLMSR_LBR | DEBUGCTLMSR_FREEZE_LBRS_ON_PMI);
  cpu.wrmsrl(msrs.MSR_IA32_DEBUGCTLMSR, debugctl & off, edx);
}

/** Kernel: lbr.c:intel_pmu_lbr_reset_32(). */
function intel_pmu_lbr_reset_32(cpu: Cpu): void {
  const { lbr_nr, lbr_from } = cpu.x86_pmu;
  for (let i = 0; i < lbr_nr; i++) cpu.wrmsrl(lbr_from + i, 0, 0);
}

/** Kernel: lbr.c:intel_pmu_lbr_reset_64(). */
function intel_pmu_lbr_reset_64(cpu: Cpu): void {
  const { lbr_nr, lbr_from, lbr_to, lbr_info, lbr_has_info } = cpu.x86_pmu;
  for (let i = 0; i < lbr_nr; i++) {
    cpu.wrmsrl(lbr_from + i, 0, 0);
    cpu.wrmsrl(lbr_to + i, 0, 0);
    if (lbr_has_info) cpu.wrmsrl(lbr_info + i, 0, 0);
  }
}

/** Kernel: lbr.c:intel_pmu_lbr_reset(). */
export function intel_pmu_lbr_reset(cpu: Cpu): void {
  const { x86_pmu, cpuc } = cpu;
  if (x86_pmu.lbr_nr === 0) return;
  if (x86_pmu.isFormat32) intel_pmu_lbr_reset_32(cpu);
  else intel_pmu_lbr_reset_64(cpu);
  cpuc.last_task_ctx = 0;
  cpuc.last_log_id = 0;
  if (cpuc.lbr_select !== 0) cpu.wrmsrl(msrs.MSR_LBR_SELECT, 0, 0);
}

/** Kernel: lbr.c:intel_pmu_lbr_tos(). Returns the index of the newest record. */
function intel_pmu_lbr_tos(cpu: Cpu): number {
  return cpu.rdmsrl(cpu.x86_pmu.lbr_tos);
}

/** Kernel: lbr.c:lbr_from_signext_quirk_wr(), on the high word. */
export function lbr_from_signext_quirk_wr(quirk: boolean, edx: number): number {
  return quirk ? edx | ((edx & msrs.LBR_FROM_SIGNEXT_2MSB_HI) << 2) : edx;
}

/** Kernel: lbr.c:lbr_from_signext_quirk_rd(), on the high word. */
function lbr_from_signext_quirk_rd(quirk: boolean, edx: number): number {
  return quirk ? edx & ~(msrs.LBR_FROM_FLAG_IN_TX_HI | msrs.LBR_FROM_FLAG_ABORT_HI) : edx;
}

/** Kernel: lbr.c:wrlbr_from(). */
function wrlbr_from(cpu: Cpu, idx: number, eax: number, edx: number): void {
  const { lbr_from, lbr_from_quirk_key } = cpu.x86_pmu;
  cpu.wrmsrl(lbr_from + idx, eax, lbr_from_signext_quirk_wr(lbr_from_quirk_key, edx));
}

/** Kernel: lbr.c:wrlbr_all(). `lbr` is a word offset of a struct lbr_entry. */
function wrlbr_all(cpu: Cpu, lbr: number, idx: number, need_info: boolean): void {
  const w = cpu.kernel.words;
  wrlbr_from(cpu, idx, w[lbr], w[lbr + 1]);
  cpu.wrmsrl(cpu.x86_pmu.lbr_to + idx, w[lbr + 2], w[lbr + 3]);
  if (need_info) cpu.wrmsrl(cpu.x86_pmu.lbr_info + idx, w[lbr + 4], w[lbr + 5]);
}

/** Kernel: lbr.c:rdlbr_all(). Returns false, and stores nothing, for an empty record. */
function rdlbr_all(cpu: Cpu, lbr: number, idx: number, need_info: boolean): boolean {
  const w = cpu.kernel.words;
  const { x86_pmu } = cpu;
  const from = cpu.rdmsrl(x86_pmu.lbr_from + idx);
  const from_hi = lbr_from_signext_quirk_rd(x86_pmu.lbr_from_quirk_key, cpu.edx);
  if ((from | from_hi) === 0) return false;
  w[lbr] = from;
  w[lbr + 1] = from_hi;
  w[lbr + 2] = cpu.rdmsrl(x86_pmu.lbr_to + idx);
  w[lbr + 3] = cpu.edx;
  if (need_info) {
    w[lbr + 4] = cpu.rdmsrl(x86_pmu.lbr_info + idx);
    w[lbr + 5] = cpu.edx;
  }
  return true;
}

/** Kernel: lbr.c:intel_pmu_lbr_restore(). */
function intel_pmu_lbr_restore(cpu: Cpu, task_ctx: x86_perf_task_context): void {
  const { x86_pmu, cpuc } = cpu;
  const need_info = x86_pmu.lbr_has_info;
  const tos = task_ctx.tos;
  const mask = x86_pmu.lbr_nr - 1;
  let i = 0;
  for (; i < task_ctx.valid_lbrs; i++) {
    wrlbr_all(cpu, task_ctx.lbr(i), (tos - i) & mask, need_info);
  }
  for (; i < x86_pmu.lbr_nr; i++) {
    const lbr_idx = (tos - i) & mask;
    wrlbr_from(cpu, lbr_idx, 0, 0);
    cpu.wrmsrl(x86_pmu.lbr_to + lbr_idx, 0, 0);
    if (need_info) cpu.wrmsrl(x86_pmu.lbr_info + lbr_idx, 0, 0);
  }
  // `tos` is an int there.
  cpu.wrmsrl(x86_pmu.lbr_tos, tos, tos >> 31);
  if (cpuc.lbr_select !== 0) {
    cpu.wrmsrl(msrs.MSR_LBR_SELECT, task_ctx.lbr_sel, task_ctx.lbr_sel_hi);
  }
}

/** Kernel: lbr.c:lbr_is_reset_in_cstate(). */
function lbr_is_reset_in_cstate(cpu: Cpu, task_ctx: x86_perf_task_context): boolean {
  const { x86_pmu } = cpu;
  const from = cpu.rdmsrl(x86_pmu.lbr_from + task_ctx.tos);
  return (from | lbr_from_signext_quirk_rd(x86_pmu.lbr_from_quirk_key, cpu.edx)) === 0;
}

/** Kernel: lbr.c:__intel_pmu_lbr_restore(). */
function __intel_pmu_lbr_restore(cpu: Cpu, ctx: x86_perf_task_context): void {
  const { x86_pmu, cpuc } = cpu;
  if (!has_lbr_callstack_users(cpu, ctx) || ctx.lbr_stack_state === LBR_NONE) {
    intel_pmu_lbr_reset(cpu);
    return;
  }
  // No other context was saved here since, so the registers still hold this context's records,
  // unless a deep C-state has wiped them.
  if (
    x86_pmu.restoreShortcut &&
    ctx.id + 1 === cpuc.last_task_ctx &&
    ctx.log_id === cpuc.last_log_id &&
    !lbr_is_reset_in_cstate(cpu, ctx)
  ) {
    ctx.lbr_stack_state = LBR_NONE;
    return;
  }
  intel_pmu_lbr_restore(cpu, ctx);
  ctx.lbr_stack_state = LBR_NONE;
}

/** Kernel: lbr.c:intel_pmu_lbr_save(). */
function intel_pmu_lbr_save(cpu: Cpu, task_ctx: x86_perf_task_context): void {
  const { x86_pmu, cpuc } = cpu;
  const need_info = x86_pmu.lbr_has_info;
  const mask = x86_pmu.lbr_nr - 1;
  const tos = intel_pmu_lbr_tos(cpu);
  let i = 0;
  for (; i < x86_pmu.lbr_nr; i++) {
    if (!rdlbr_all(cpu, task_ctx.lbr(i), (tos - i) & mask, need_info)) break;
  }
  task_ctx.valid_lbrs = i;
  task_ctx.tos = tos;
  if (cpuc.lbr_select !== 0) {
    task_ctx.lbr_sel = cpu.rdmsrl(msrs.MSR_LBR_SELECT);
    task_ctx.lbr_sel_hi = cpu.edx;
  }
}

/** Kernel: lbr.c:__intel_pmu_lbr_save(). */
function __intel_pmu_lbr_save(cpu: Cpu, ctx: x86_perf_task_context): void {
  const { cpuc } = cpu;
  if (!has_lbr_callstack_users(cpu, ctx)) {
    ctx.lbr_stack_state = LBR_NONE;
    return;
  }
  intel_pmu_lbr_save(cpu, ctx);
  ctx.lbr_stack_state = LBR_VALID;
  cpuc.last_task_ctx = ctx.id + 1;
  ctx.log_id = (ctx.log_id + 1) | 0;
  cpuc.last_log_id = ctx.log_id;
}

/** Kernel: lbr.c:intel_pmu_lbr_swap_task_ctx(). */
export function intel_pmu_lbr_swap_task_ctx(
  cpu: Cpu,
  prev: perf_event_context,
  next: perf_event_context,
): void {
  const prev_data = prev.task_ctx_data;
  const next_data = next.task_ctx_data;
  prev.task_ctx_data = next_data;
  next.task_ctx_data = prev_data;
  if (prev_data === 0 || next_data === 0) return;
  // The events stay with their contexts, so their users have to stay there as well.
  const a = cpu.kernel.data[prev_data - 1];
  const b = cpu.kernel.data[next_data - 1];
  const users = a.lbr_callstack_users;
  a.lbr_callstack_users = b.lbr_callstack_users;
  b.lbr_callstack_users = users;
}

/**
 * Kernel: lbr.c:intel_pmu_lbr_sched_task().
 *
 * @param ctx - the task's context, or null where no task context is scheduled.
 */
export function intel_pmu_lbr_sched_task(
  cpu: Cpu,
  ctx: perf_event_context | null,
  sched_in: boolean,
): void {
  if (cpu.cpuc.lbr_users === 0) return;
  const task_ctx = switchedData(cpu, ctx);
  if (task_ctx !== 0) {
    const data = cpu.kernel.data[task_ctx - 1];
    if (sched_in) __intel_pmu_lbr_restore(cpu, data);
    else __intel_pmu_lbr_save(cpu, data);
    return;
  }
  // Records carry no address-space identifier: those of another task can't be resolved.
  if (sched_in) intel_pmu_lbr_reset(cpu);
}

/** Kernel: lbr.c:intel_pmu_lbr_add(). */
export function intel_pmu_lbr_add(cpu: Cpu, event: perf_event): void {
  const { x86_pmu, cpuc } = cpu;
  if (x86_pmu.lbr_nr === 0) return;
  if (event.lbr_select_flag !== 0) cpuc.lbr_select = 1;
  cpuc.br_sel = event.branch_reg_reg;
  if (branch_user_callstack(cpuc.br_sel)) countUser(cpu, event, 1);
  perf_sched_cb_inc(cpu);
  // An event installed into a running context gets no sched_task call: if it is the first user
  // and has never run, the records are somebody else's.
  if (cpuc.lbr_users++ === 0 && event.total_time_running === 0) intel_pmu_lbr_reset(cpu);
}

/** Kernel: lbr.c:intel_pmu_lbr_del(). */
export function intel_pmu_lbr_del(cpu: Cpu, event: perf_event): void {
  const { x86_pmu, cpuc } = cpu;
  if (x86_pmu.lbr_nr === 0) return;
  if (branch_user_callstack(cpuc.br_sel)) countUser(cpu, event, -1);
  if (event.lbr_select_flag !== 0) cpuc.lbr_select = 0;
  cpuc.lbr_users--;
  perf_sched_cb_dec(cpu);
}

/** Kernel: lbr.c:vlbr_exclude_host(). */
function vlbr_exclude_host(cpu: Cpu): boolean {
  return cpu.cpuc.guest_mask_vlbr !== 0;
}

/** Kernel: lbr.c:intel_pmu_lbr_enable_all(). */
export function intel_pmu_lbr_enable_all(cpu: Cpu, pmi: boolean): void {
  if (cpu.cpuc.lbr_users !== 0 && !vlbr_exclude_host(cpu)) __intel_pmu_lbr_enable(cpu, pmi);
}

/** Kernel: lbr.c:intel_pmu_lbr_disable_all(). */
export function intel_pmu_lbr_disable_all(cpu: Cpu): void {
  if (cpu.cpuc.lbr_users !== 0 && !vlbr_exclude_host(cpu)) __intel_pmu_lbr_disable(cpu);
}

/** Kernel: lbr.c:intel_pmu_lbr_read_32(). */
function intel_pmu_lbr_read_32(cpu: Cpu): void {
  const { x86_pmu, cpuc } = cpu;
  const w = cpu.kernel.words;
  const mask = x86_pmu.lbr_nr - 1;
  const tos = intel_pmu_lbr_tos(cpu);
  let i = 0;
  for (; i < x86_pmu.lbr_nr; i++) {
    const br = cpu.lbr_entry(i);
    w[br] = cpu.rdmsrl(x86_pmu.lbr_from + ((tos - i) & mask));
    w[br + 1] = 0;
    w[br + 2] = cpu.edx;
    w[br + 3] = 0;
    w[br + 4] = 0;
  }
  cpuc.lbr_stack_nr = i;
  cpuc.lbr_stack_hw_idx = tos;
}

/** The flags and cycles that a record's registers hold in the FROM/TO formats. */
function decodeFlags(x86_pmu: x86_pmu, from_hi: number, to_hi: number): number {
  let flags = 0;
  if (x86_pmu.lbr_from_flags) {
    const mispred = (from_hi & msrs.LBR_FROM_FLAG_MISPRED_HI) !== 0;
    flags |= mispred ? BRANCH_MISPRED : BRANCH_PREDICTED;
  }
  if (x86_pmu.lbr_has_tsx) {
    if ((from_hi & msrs.LBR_FROM_FLAG_IN_TX_HI) !== 0) flags |= BRANCH_IN_TX;
    if ((from_hi & msrs.LBR_FROM_FLAG_ABORT_HI) !== 0) flags |= BRANCH_ABORT;
  }
  return x86_pmu.lbr_to_cycles ? flags | ((to_hi >>> 16) << BRANCH_CYCLES_SHIFT) : flags;
}

/** Number of flag bits above the address in FROM; sign extension replaces them. */
function fromSkip({ lbr_has_info, lbr_has_tsx, lbr_from_flags }: x86_pmu): number {
  if (lbr_has_info) return 0;
  if (lbr_has_tsx) return 3;
  return lbr_from_flags ? 1 : 0;
}

/** The flags and cycles of a record that has an INFO register. */
function decodeInfo(cpu: Cpu, lbr_idx: number): number {
  const { x86_pmu } = cpu;
  const info = cpu.rdmsrl(x86_pmu.lbr_info + lbr_idx);
  const info_hi = cpu.edx;
  const mispred = (info_hi & msrs.LBR_INFO_MISPRED_HI) !== 0;
  let flags = mispred ? BRANCH_MISPRED : BRANCH_PREDICTED;
  if (x86_pmu.lbr_has_tsx) {
    if ((info_hi & msrs.LBR_INFO_IN_TX_HI) !== 0) flags |= BRANCH_IN_TX;
    if ((info_hi & msrs.LBR_INFO_ABORT_HI) !== 0) flags |= BRANCH_ABORT;
  }
  return flags | ((info & msrs.LBR_INFO_CYCLES) << BRANCH_CYCLES_SHIFT);
}

/** Kernel: lbr.c:intel_pmu_lbr_read_64(). */
function intel_pmu_lbr_read_64(cpu: Cpu): void {
  const { x86_pmu, cpuc } = cpu;
  const w = cpu.kernel.words;
  const mask = x86_pmu.lbr_nr - 1;
  const tos = intel_pmu_lbr_tos(cpu);
  const has_sel = x86_pmu.lbr_sel_map !== null;
  const need_info = has_sel && (cpuc.lbr_sel_config_hi & LBR_NO_INFO_HI) === 0;
  const call_stack = has_sel && (cpuc.lbr_sel_config & msrs.LBR_CALL_STACK) !== 0;
  const from_skip = fromSkip(x86_pmu);
  const to_skip = x86_pmu.lbr_to_cycles ? 16 : 0;
  let out = 0;
  for (let i = 0; i < x86_pmu.lbr_nr; i++) {
    const lbr_idx = (tos - i) & mask;
    const from = cpu.rdmsrl(x86_pmu.lbr_from + lbr_idx);
    const from_hi = lbr_from_signext_quirk_rd(x86_pmu.lbr_from_quirk_key, cpu.edx);
    const to = cpu.rdmsrl(x86_pmu.lbr_to + lbr_idx);
    const to_hi = cpu.edx;
    if (call_stack && (from | from_hi) === 0) break;
    let flags = 0;
    if (!x86_pmu.lbr_has_info) flags = decodeFlags(x86_pmu, from_hi, to_hi);
    else if (need_info) flags = decodeInfo(cpu, lbr_idx);
    // Some CPUs repeat an abort record without its flag, and the walk is newest first.
    if ((flags & BRANCH_ABORT) !== 0 && x86_pmu.lbr_double_abort && out > 0) out--;
    const br = cpu.lbr_entry(out);
    w[br] = from;
    w[br + 1] = (from_hi << from_skip) >> from_skip;
    w[br + 2] = to;
    w[br + 3] = (to_hi << to_skip) >> to_skip;
    w[br + 4] = flags;
    out++;
  }
  cpuc.lbr_stack_nr = out;
  cpuc.lbr_stack_hw_idx = tos;
}

/** Kernel: lbr.c:intel_pmu_lbr_read(). */
export function intel_pmu_lbr_read(cpu: Cpu): void {
  if (cpu.cpuc.lbr_users === 0 || vlbr_exclude_host(cpu)) return;
  if (cpu.x86_pmu.isFormat32) intel_pmu_lbr_read_32(cpu);
  else intel_pmu_lbr_read_64(cpu);
  intel_pmu_lbr_filter(cpu);
}
