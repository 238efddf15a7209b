/**
 * The guest's use of the paravirtual ACTIVE bit, after the commit message of v2 6/8 (Wei Wang,
 * 2018-09-06): set while user call-stack mode is in use, the one mode whose stack perf itself
 * keeps over a context switch.
 */
import type { Cpu } from '../perf/kernel.js';
import type { perf_event } from '../perf/perf_structs.js';
import { branch_user_callstack } from '../perf/x86_br.js';
import { KVM_PV_LBR_CTRL_ACTIVE, MSR_KVM_PV_LBR_CTRL } from './kvm_para.js';

function setActive(cpu: Cpu, active: boolean): void {
  cpu.wrmsrl(MSR_KVM_PV_LBR_CTRL, active ? KVM_PV_LBR_CTRL_ACTIVE : 0, 0);
}

/** Called before the event's LBR use begins, so that the host never sees use without ACTIVE. */
export function pvLbrAdd(cpu: Cpu, event: perf_event): void {
  if (cpu.kernel.config.pv === 'none' || !branch_user_callstack(event.branch_reg_reg)) return;
  if (cpu.cpuc.pv_lbr_users++ === 0) setActive(cpu, true);
}

/** Called after the event's LBR use has ended. */
export function pvLbrDel(cpu: Cpu, event: perf_event): void {
  if (cpu.kernel.config.pv === 'none' || !branch_user_callstack(event.branch_reg_reg)) return;
  if (--cpu.cpuc.pv_lbr_users === 0) setActive(cpu, false);
}

export function pvLbrCpuStarting(cpu: Cpu): void {
  if (cpu.kernel.config.pv === 'add-del-boot') setActive(cpu, false);
}
