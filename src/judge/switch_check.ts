/**
 * What happens when a vCPU comes and goes: `no-needless-switch`, `active-agrees`, and the notes
 * that `no-premature-stop` needs.
 */
import type { Cpu } from '../guest/perf/kernel.js';
import type { MachineConfig } from '../machine/config.js';
import { totalVcpus } from '../machine/config.js';
import type { Machine } from '../machine/machine.js';
import { countsOn } from './balance.js';
import { isUserCallstack } from './callstack_user.js';
import type { History } from './history.js';
import type { Reference } from './reference.js';
import type { RegisterCheck } from './register_check.js';
import type { Verdicts } from './verdicts.js';
import { P, R } from './verdicts.js';

/** Call-stack users that count on a CPU. */
function callstackUsers(cpu: Cpu): number {
  let users = 0;
  for (const event of cpu.kernel.events) {
    if (countsOn(event, cpu.id) && isUserCallstack(event.branch_sample_type)) users++;
  }
  return users;
}

export class SwitchCheck {
  private readonly config: MachineConfig;
  private readonly machine: () => Machine;
  private readonly reference: Reference;
  private readonly registers: RegisterCheck;
  private readonly verdicts: Verdicts;
  /** Per vCPU: it has used LBR at all. */
  private readonly used: Uint8Array;
  /** Per vCPU: switches with work since its guest last used LBR, counted to one too many. */
  private readonly needless: Int32Array;

  /** vCPUs that were saved or restored in vain since this was cleared, one bit each. */
  inVain = 0;

  constructor(
    config: MachineConfig,
    machine: () => Machine,
    reference: Reference,
    registers: RegisterCheck,
    verdicts: Verdicts,
  ) {
    this.config = config;
    this.machine = machine;
    this.reference = reference;
    this.registers = registers;
    this.verdicts = verdicts;
    this.used = new Uint8Array(totalVcpus(config));
    this.needless = new Int32Array(totalVcpus(config));
  }

  start(): void {
    this.used.fill(0);
    this.needless.fill(0);
  }

  get histories(): History[] {
    return [
      { per: 'vcpu', words: this.used },
      { per: 'vcpu', words: this.needless },
    ];
  }

  /** The guest uses LBR: what the host did before that was not in vain. */
  touched(vcpu: number): void {
    this.used[vcpu] = 1;
    this.needless[vcpu] = 0;
  }

  vcpuSwitch(vcpu: number, pcpu: number, scheduledIn: boolean): void {
    const machine = this.machine();
    const { hostWork, work } = this.registers;
    const { reach } = this.verdicts;
    const hasEvent = machine.host.guest_lbr_event(machine.vcpus[vcpu]) !== 'none';
    if (hasEvent && hostWork[pcpu] > 0) {
      work[vcpu] = 1;
      // One access: perf has looked at TOS and let the records be.
      if (scheduledIn && hostWork[pcpu] === 1) reach[R['host-shortcut']]++;
    }
    hostWork[pcpu] = 0;
    if (machine.ports[vcpu].suspended !== 0 && !scheduledIn) {
      reach[R['switch-in-function']]++;
      const users = machine.cpu(vcpu).cpuc.lbr_users;
      if (users > 0 && !this.reference.lbrOn(vcpu)) reach[R['switch-in-lbr-off-window']]++;
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
    const worked = this.registers.work[vcpu] !== 0;
    this.registers.work[vcpu] = 0;
    if (!this.stopped(vcpu)) return;
    this.verdicts.reach[R['switch-after-stop']]++;
    if (!worked) return;
    this.inVain |= 1 << vcpu;
    const k = this.config.policy.needlessSwitches;
    this.needless[vcpu] = Math.min(k + 1, this.needless[vcpu] + 1);
    if (this.needless[vcpu] <= k) return;
    this.verdicts.breaks(
      P['no-needless-switch'],
      () => `v${vcpu}: ${k + 1} switches saved or restored after its guest had stopped`,
    );
  }

  private activeCheck(vcpu: number): void {
    const machine = this.machine();
    if (machine.booting(vcpu)) return;
    const active = machine.vcpus[vcpu].pv_lbr_ctrl !== 0;
    if (active) this.verdicts.reach[R['switch-while-active']]++;
    const users = callstackUsers(machine.cpu(vcpu));
    const inside = machine.ports[vcpu].suspended !== 0;
    const { reference } = this;
    const recorded = users > 0 && reference.lbrOn(vcpu) && reference.inCallstackMode(vcpu);
    const wrong = inside ? !active && recorded : active !== users > 0;
    if (!wrong) return;
    this.verdicts.breaks(
      P['active-agrees'],
      () => `v${vcpu}: ACTIVE is ${active ? 1 : 0} with ${users} call-stack users`,
    );
  }

  /** Notes when the policy takes the guest to have stopped while there are records to keep. */
  stopCheck(vcpu: number): void {
    const { dropped } = this.reference;
    if (dropped[vcpu] !== 0) return;
    if (this.config.policy.inUse(this.machine().vcpus[vcpu]) !== false) return;
    if (this.reference.of(vcpu).stack.empty) return;
    dropped[vcpu] = 1;
    this.verdicts.reach[R['stop-with-records']]++;
  }
}
