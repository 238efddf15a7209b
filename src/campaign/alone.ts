/**
 * A schedule's guests without a host: each vCPU has a pCPU of its own, nobody saves, restores or
 * takes away anything, and only the guests' actions are left. What the guest's kernel breaks by
 * itself, it breaks there as well.
 */
import { never } from '../host/policy/never.js';
import { canPerform, IS_VCPU, KIND, perform } from '../schedule/table.js';
import { MSR_LBR_TOS } from '../hw/msr_index.js';
import { type MachineConfig, totalVcpus } from '../machine/config.js';
import type { Machine } from '../machine/machine.js';
import { ACTION_WORDS, type Schedule } from '../schedule/schedule.js';
import type { Monitor } from '../judge/monitor.js';

/** A machine and who judges it. */
interface Watched {
  readonly machine: Machine;
  readonly monitor: Monitor;
}

/** The same guests, told the same, on a pCPU for each vCPU and under a policy that does nothing. */
export function configAlone(config: MachineConfig): MachineConfig {
  const { pv } = config.policy;
  const shape = { ...config.shape, pcpus: totalVcpus(config) };
  return { ...config, policy: { ...never, pv }, shape };
}

/** Whether an action is the guest's. HLT only asks the host for another thread. */
function isOfGuest(kind: number): boolean {
  return IS_VCPU[kind] === 1 && kind !== KIND.halt && kind !== KIND.liveMigrate;
}

/** MSR accesses that the function in which a vCPU is suspended has made. */
export function accessesOf({ ports }: Machine, vcpu: number): number {
  const { suspended, accesses } = ports[vcpu];
  return suspended === 0 ? 0 : accesses;
}

/**
 * Performs the i-th action on the machine of a schedule and, if it was possible and is the guest's,
 * on the one that has no host. If the action has left the vCPU inside a kernel function, the vCPU
 * stands still at the same MSR access there until it is resumed: CPUs that share nothing but memory
 * are not in step either, and the others may see what is half done.
 */
export function stepBoth(met: Watched, alone: Watched, schedule: Schedule, i: number): void {
  const at = i * ACTION_WORDS;
  const [kind, actor, a, b, c] = schedule.words.subarray(at, at + ACTION_WORDS);
  if (!canPerform(met.machine, kind, actor, a, b)) return;
  if (!isOfGuest(kind)) {
    perform(met.machine, kind, actor, a, b, c);
    return;
  }
  const before = accessesOf(met.machine, actor);
  // Forgets the TOS of an earlier action.
  met.monitor.reference.newTos(actor);
  perform(met.machine, kind, actor, a, b, c);
  const { machine } = alone;
  // A stack without records may have any TOS: let it be the same on both machines.
  const tos = met.monitor.reference.newTos(actor);
  const cpu = machine.pcpus[actor];
  if (tos >= 0 && cpu.stack.empty) cpu.wrmsr(MSR_LBR_TOS, tos, 0);
  const inside = met.machine.ports[actor].suspended !== 0;
  if (inside) machine.arm(actor, -1, accessesOf(met.machine, actor) - before);
  if (canPerform(machine, kind, actor, a, b)) perform(machine, kind, actor, a, b, c);
  if (inside) machine.switchTo(actor, actor);
}
