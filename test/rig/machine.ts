/** Two VMs of one vCPU each on one pCPU, with a log of what the host does to LBR MSRs. */
import { expect } from 'vitest';
import { findCpuModel } from '../../src/hw/cpu_models.js';
import type { CpuModel } from '../../src/hw/cpu_models.js';
import * as msrs from '../../src/hw/msr_index.js';
import type { Observer } from '../../src/host/observer.js';
import type { HostPerf, LbrPolicy } from '../../src/host/policy/policy.js';
import type { MachineConfig } from '../../src/machine/config.js';
import { Machine } from '../../src/machine/machine.js';

export const FROM: number = msrs.MSR_LBR_NHM_FROM;
export const TO: number = msrs.MSR_LBR_NHM_TO;
export const INFO: number = msrs.MSR_LBR_INFO_0;
export const TOS: number = msrs.MSR_LBR_TOS;
export const SELECT: number = msrs.MSR_LBR_SELECT;
export const DEBUGCTL: number = msrs.MSR_IA32_DEBUGCTLMSR;
export const LBR: number = msrs.DEBUGCTLMSR_LBR;

/** LBR_SELECT in user call-stack mode, as Linux has it. */
export const CALLSTACK_SELECT: number = msrs.LBR_CALL_STACK | msrs.LBR_KERNEL;

/** The host's own LBR users, as an action names them: `HOST_EVENT_*`. */
export const PINNED = 0;
export const OF_TASK = 1;
export const FLEXIBLE = 2;

/** What `Machine.hostEvent` is to do with one of them. */
export const ON = 0;
export const OFF = 1;
export const CLOSE = 2;

export const GP = 13;

export function cpuModel(name: string): CpuModel {
  const found = findCpuModel(name);
  if (found === undefined) throw new Error(`no CPU model ${name}`);
  return found;
}

type Part = Partial<Omit<MachineConfig, 'model'>> & { readonly cpu?: string };

export class Rig {
  readonly m: Machine;
  readonly policy: LbrPolicy;
  private readonly log: string[] = [];

  constructor(policy: LbrPolicy, { cpu = 'haswell', ...part }: Part = {}) {
    const observer = new Proxy({} as Observer, {
      get:
        (_target, name) =>
        (...args: number[]) =>
          this.heard(String(name), args),
    });
    const shape = { vms: 2, vcpus: 1, tasks: 1, pcpus: 1, kernel: '6.1' } as const;
    this.policy = policy;
    this.m = new Machine({ ...shape, model: cpuModel(cpu), policy, ...part }, observer);
    this.m.boot();
    this.work();
  }

  private heard(name: string, args: readonly number[]): void {
    const who = args[1] < 0 ? 'host' : `v${args[1]}`;
    const verb = args[3] ? 'writes' : 'reads';
    if (name === 'hostStack') this.log.push(`${who} ${verb} ${args[2]}`);
    if (name === 'hostAccess' && args[1] >= 0) this.log.push(`${who} ${verb} one`);
    if (name === 'hostAccess' && args[1] < 0 && this.log.at(-1) !== `perf ${verb}`) {
      this.log.push(`perf ${verb}`);
    }
    if (name === 'hostFault') this.log.push('host fault');
    if (name === 'entryFailed') this.log.push(`entry of v${args[0]} failed`);
  }

  /** What the host did to LBR MSRs since the last call; accesses of its perf are told as one. */
  readonly work = (): string[] => this.log.splice(0);

  /** eax of a guest's RDMSR, whose high half is 0, or 'gp'. */
  read(vcpu: number, msr: number): number | 'gp' {
    const { kvm } = this.m;
    const eax = kvm.guestRdmsr(this.m.vcpus[vcpu], msr);
    if (kvm.vector !== 0) {
      expect([kvm.vector, eax, kvm.edx]).toEqual([GP, 0, 0]);
      return 'gp';
    }
    expect(kvm.edx).toBe(0);
    return eax;
  }

  /** The vector of a guest's WRMSR. */
  write(vcpu: number, msr: number, eax: number, edx = 0): number {
    return this.m.kvm.guestWrmsr(this.m.vcpus[vcpu], msr, eax, edx);
  }

  /** The next slice of v0, after one of v1 in which nothing happens. */
  nextSlice(): void {
    this.m.switchTo(0, 1);
    this.m.switchTo(0, 0);
  }

  /** Whatever v0 waits for happens at its next entry. */
  enter(): void {
    this.m.kvm.enter(this.m.vcpus[0]);
  }

  /** The guest LBR event of v0. */
  get event(): ReturnType<HostPerf['guest_lbr_event']> {
    return this.m.host.guest_lbr_event(this.m.vcpus[0]);
  }

  /** The words that the policy has set for v0, by name. */
  get words(): string[] {
    const [vcpu] = this.m.vcpus;
    const set = this.policy.words.filter((_name, i) => vcpu.word(i) !== 0);
    for (const name of set) expect(vcpu.word(this.policy.words.indexOf(name))).toBe(1);
    return set;
  }

  /** The LBR registers that v0 reaches without an exit, one of each kind. */
  get open(): string[] {
    const { vmcs } = this.m.vcpus[0];
    const kinds = { FROM, TO, INFO, TOS, SELECT };
    const open = Object.entries(kinds).filter(([, msr]) => !vmcs.interceptsRead(msr));
    for (const [name, msr] of Object.entries(kinds)) {
      expect(vmcs.interceptsWrite(msr)).toBe(!open.some(([other]) => other === name));
    }
    return open.map(([name]) => name);
  }

  get inUse(): boolean | null {
    return this.policy.inUse(this.m.vcpus[0]);
  }

  /** DEBUGCTL as the VMCS has it. */
  get debugctl(): number {
    return this.m.vcpus[0].vmcs.guest_debugctl;
  }

  /** Which of the host's own LBR events on the pCPU, and KVM's for v0, count now. */
  get counting(): string[] {
    const { cpuc } = this.m.host.kernel.cpus[0];
    const [vcpus, pcpus] = [this.m.vcpus.length, this.m.pcpus.length];
    const names = new Map([
      [0, 'guest'],
      [vcpus, 'pinned'],
      [vcpus + pcpus, 'flexible'],
      [vcpus + 2 * pcpus, 'of-task'],
    ]);
    const ids = Array.from({ length: cpuc.n_events }, (_, i) => cpuc.event_list(i));
    return ids.map((id) => names.get(id) ?? `event ${id}`).toSorted();
  }
}
