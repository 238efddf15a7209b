/**
 * What happens when a vCPU is scheduled in or out: `no-needless-switch`, `active-agrees`, and the
 * notes that `no-premature-stop` needs.
 */
import type { Cpu } from '../guest/perf/kernel.js';
import { HOST } from '../host/observer.js';
import { countsOn } from './balance.js';
import { isUserCallstack } from '../guest/perf/perf_event.js';
import { Check } from './check.js';
import { PROPERTY, REACH } from './properties.js';

function callstackUsers(cpu: Cpu): number {
  let users = 0;
  for (const event of cpu.kernel.events) {
    if (countsOn(event, cpu.id) && isUserCallstack(event.branch_sample_type)) users++;
  }
  return users;
}

export class SwitchCheck extends Check {
  /** Per vCPU: it has used LBR at all. */
  private readonly used: Uint8Array = this.bytes('vcpu');
  /** Per vCPU: switches with work since its guest last used LBR, counted to one too many. */
  private readonly needless: Int32Array = this.numbers('vcpu');
  /** Per pCPU: the host kernel's accesses since a vCPU last came or went: 0, 1 or 2 for more. */
  private readonly hostWork: Int32Array = this.numbers('pcpu');
  /** Per vCPU: the host has accessed LBR MSRs for it since it last came or went. */
  private readonly work: Uint8Array = this.bytes('vcpu');

  /** vCPUs that were saved or restored in vain since this was cleared, one bit each. */
  inVain = 0;

  /** The guest uses LBR: what the host did before that was not in vain. */
  touched(vcpu: number): void {
    this.used[vcpu] = 1;
    this.needless[vcpu] = 0;
  }

  /** The host has made `accesses` accesses to LBR MSRs of a pCPU, for a vCPU or for itself. */
  hostAccess(pcpu: number, onBehalf: number, accesses: number): void {
    if (onBehalf === HOST) this.hostWork[pcpu] = Math.min(2, this.hostWork[pcpu] + accesses);
    else this.work[onBehalf] = 1;
  }

  vcpuSwitch(vcpu: number, pcpu: number, scheduledIn: boolean): void {
    const machine = this.machine();
    const { hostWork, work } = this;
    const { reach } = this.verdicts;
    const hasEvent = machine.host.guestLbrEvent(machine.vcpus[vcpu]) !== 'none';
    if (hasEvent && hostWork[pcpu] > 0) {
      work[vcpu] = 1;
      // One access: perf has looked at TOS and let the records be.
      if (scheduledIn && hostWork[pcpu] === 1) reach[REACH['host-shortcut']]++;
    }
    hostWork[pcpu] = 0;
    if (machine.ports[vcpu].suspended !== 0 && !scheduledIn) {
      reach[REACH['switch-in-function']]++;
      const users = machine.cpu(vcpu).cpuc.lbr_users;
      if (users > 0 && !this.reference.lbrOn(vcpu)) reach[REACH['switch-in-lbr-off-window']]++;
    }
    this.needlessCheck(vcpu);
    if (this.config.policy.pv !== 'none') this.activeCheck(vcpu);
    this.stopCheck(vcpu);
  }

  /** Whether the guest has used LBR, and does not any more. */
  stopped(vcpu: number): boolean {
    const machine = this.machine();
    if (machine.ports[vcpu].suspended !== 0 || machine.cpu(vcpu).cpuc.lbr_users > 0) return false;
    return this.used[vcpu] !== 0 && !this.reference.lbrOn(vcpu);
  }

  private needlessCheck(vcpu: number): void {
    const worked = this.work[vcpu] !== 0;
    this.work[vcpu] = 0;
    if (!this.stopped(vcpu)) return;
    this.verdicts.reach[REACH['switch-after-stop']]++;
    if (!worked) return;
    this.inVain |= 1 << vcpu;
    const k = this.config.policy.needlessSwitches;
    this.needless[vcpu] = Math.min(k + 1, this.needless[vcpu] + 1);
    if (this.needless[vcpu] <= k) return;
    this.verdicts.breaks(
      PROPERTY['no-needless-switch'],
      () => `v${vcpu}: ${k + 1} switches saved or restored after its guest had stopped`,
    );
  }

  private activeCheck(vcpu: number): void {
    const machine = this.machine();
    if (machine.booting(vcpu)) return;
    const active = machine.vcpus[vcpu].pvLbrCtrl !== 0;
    if (active) this.verdicts.reach[REACH['switch-while-active']]++;
    const users = callstackUsers(machine.cpu(vcpu));
    const inside = machine.ports[vcpu].suspended !== 0;
    const { reference } = this;
    const recorded = users > 0 && reference.lbrOn(vcpu) && reference.inCallstackMode(vcpu);
    const wrong = inside ? !active && recorded : active !== users > 0;
    if (!wrong) return;
    this.verdicts.breaks(
      PROPERTY['active-agrees'],
      () => `v${vcpu}: ACTIVE is ${active ? 1 : 0} with ${users} call-stack users`,
    );
  }

  /** Notes when the policy takes the guest to have stopped while there are records to keep. */
  stopCheck(vcpu: number): void {
    if (this.config.policy.inUse?.(this.machine().vcpus[vcpu]) !== false) return;
    if (this.reference.drop(vcpu)) this.verdicts.reach[REACH['stop-with-records']]++;
  }
}
