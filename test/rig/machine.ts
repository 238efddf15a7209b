/** A machine that logs what its observer hears, and a machine that logs the hooks of its policy. */
import { expect } from 'vitest';
import type { PvSite } from '../../src/guest/pv/kvm_para.js';
import * as msrs from '../../src/hw/msr_index.js';
import type { Vector } from '../../src/hw/msr_port.js';
import { Observer } from '../../src/host/observer.js';
import { findPolicy } from '../../src/host/policy/index.js';
import { never } from '../../src/host/policy/never.js';
import type { HostPerf, LbrPolicy, PolicyHost } from '../../src/host/policy/policy.js';
import { msrValue } from '../../src/host/policy/policy.js';
import type { Vcpu } from '../../src/host/vcpu.js';
import type { MachineConfig, Shape } from '../../src/machine/config.js';
import { Machine } from '../../src/machine/machine.js';
import { cpuModel } from './cpu.js';
import { Recorder } from './observer.js';

export const FROM: number = msrs.MSR_LBR_NHM_FROM;
export const TO: number = msrs.MSR_LBR_NHM_TO;
export const INFO: number = msrs.MSR_LBR_INFO_0;
export const TOS: number = msrs.MSR_LBR_TOS;
export const SELECT: number = msrs.MSR_LBR_SELECT;
export const DEBUGCTL: number = msrs.MSR_IA32_DEBUGCTLMSR;
export const LBR: number = msrs.DEBUGCTLMSR_LBR;

/** LBR_SELECT of user call-stack mode, as Linux writes it. */
export const CALLSTACK_SELECT: number = msrs.LBR_CALL_STACK | msrs.LBR_KERNEL;

/** The host's own LBR events, in the numbers of an action: `HOST_EVENT_*`. */
export const PINNED = 0;
export const OF_TASK = 1;
export const FLEXIBLE = 2;

/** Operations of `Machine.hostEvent`. */
export const ON = 0;
export const OFF = 1;
export const CLOSE = 2;

export const GP = 13;

/** A machine's configuration; parts of its shape may be given beside it. */
export interface Part extends Partial<MachineConfig>, Partial<Shape> {
  /** Name of the CPU model if `model` is left out: `haswell`, or `haswell/4` with four records. */
  readonly cpu?: string;
}

const SMALL: Shape = { vms: 2, vcpus: 1, tasks: 1, pcpus: 1 };
const DEFAULTS = { kernel: '6.1', policy: never } as const;

/** By default two VMs of one vCPU and one task each, on one pCPU of a Haswell, under `never`. */
export function machineConfig({ cpu = 'haswell', shape, ...part }: Part = {}): MachineConfig {
  const { vms, vcpus, tasks, pcpus, ...rest } = { ...SMALL, ...shape, ...part };
  return { ...DEFAULTS, model: cpuModel(cpu), ...rest, shape: { vms, vcpus, tasks, pcpus } };
}

/** A machine that has booted. */
export function bootedMachine(part: Part = {}, observer: Observer = new Observer()): Machine {
  const machine = new Machine(machineConfig(part), observer);
  machine.boot();
  return machine;
}

/** @throws Error if there is no policy of that name. */
export function policyOf(name: string): LbrPolicy {
  const found = findPolicy(name);
  if (found === undefined) throw new Error(`no policy ${name}`);
  return found;
}

/** A log line as the host's work on LBR MSRs; null for any other line. */
function workText(line: string, namesPcpu: boolean): string | null {
  const [name, first, second, third, last] = line.split(' ');
  if (name === 'hostFault') return 'host fault';
  if (name === 'entryFailed') return `entry of v${first} failed`;
  if (name !== 'hostStack' && name !== 'hostAccess') return null;
  const [onBehalf, verb] = [Number(second), last === 'true' ? 'writes' : 'reads'];
  if (name === 'hostAccess' && onBehalf < 0) return `perf ${verb}`;
  const who = onBehalf < 0 ? 'host' : `v${onBehalf}`;
  const what = name === 'hostStack' ? third : 'one';
  return `${namesPcpu ? `p${first}: ` : ''}${who} ${verb} ${what}`;
}

/**
 * A booted machine and its log. `said` returns lines; `work` and `kvmWork` return a summary of the
 * host's work on LBR MSRs. All of them take lines from one list, which starts after the boot.
 */
export class Rig {
  readonly m: Machine;
  readonly policy: LbrPolicy;
  /** The host's work on LBR MSRs during the boot. */
  readonly workAtBoot: readonly string[];
  readonly said: Recorder['said'];
  protected readonly recorder: Recorder;

  constructor(policy: LbrPolicy = never, part: Part = {}, recorder: Recorder = new Recorder()) {
    this.policy = policy;
    this.recorder = recorder;
    this.said = recorder.said;
    this.m = bootedMachine({ ...part, policy }, recorder.observer);
    this.workAtBoot = this.work();
  }

  /** The host's work on LBR MSRs since the last call. A run of perf's accesses counts once. */
  readonly work = (): string[] => {
    const several = this.m.pcpus.length > 1;
    const told: string[] = [];
    for (const line of this.said()) {
      const text = workText(line, several);
      if (text !== null && !(text.startsWith('perf') && text === told.at(-1))) told.push(text);
    }
    return told;
  };

  /** As `work`, without the work of host perf. */
  readonly kvmWork = (): string[] => this.work().filter((text) => !text.startsWith('perf'));

  /** [eax, edx, vector] of a guest's RDMSR. */
  readonly rdmsr = (vcpu: number, msr: number): [eax: number, edx: number, vector: number] => {
    const { kvm, vcpus } = this.m;
    const eax = kvm.guestRdmsr(vcpus[vcpu], msr);
    return [eax, kvm.edx, kvm.vector];
  };

  /** eax of a guest's RDMSR, which must not fault. */
  get(vcpu: number, msr: number): number {
    const [eax, , vector] = this.rdmsr(vcpu, msr);
    expect(vector).toBe(0);
    return eax;
  }

  /** A guest's WRMSR, which must not fault. */
  set(vcpu: number, msr: number, eax: number, edx = 0): void {
    expect(this.write(vcpu, msr, eax, edx)).toBe(0);
  }

  /** eax of a guest's RDMSR, or 'gp'. The high half must be 0. */
  read(vcpu: number, msr: number): number | 'gp' {
    const [eax, edx, vector] = this.rdmsr(vcpu, msr);
    if (vector !== 0) {
      expect([vector, eax, edx]).toEqual([GP, 0, 0]);
      return 'gp';
    }
    expect(edx).toBe(0);
    return eax;
  }

  /** The vector of a guest's WRMSR. */
  readonly write = (vcpu: number, msr: number, eax: number, edx = 0): number =>
    this.m.kvm.guestWrmsr(this.m.vcpus[vcpu], msr, eax, edx);

  /** Runs v1 for a slice without work, then starts the next slice of v0. */
  nextSlice(): void {
    this.m.switchTo(0, 1);
    this.m.switchTo(0, 0);
  }

  /** Moves v0 to another host by live migration. */
  migrate(): void {
    this.m.switchTo(0, -1);
    this.m.liveMigrate(0);
    this.m.switchTo(0, 0);
  }

  /** Enters the guest of v0, so that what the policy has put off is done. */
  enter(): void {
    this.m.kvm.enter(this.m.vcpus[0]);
  }

  get event(): ReturnType<HostPerf['guestLbrEvent']> {
    return this.m.host.guestLbrEvent(this.m.vcpus[0]);
  }

  /** Names of the policy's words of v0 that are not 0. */
  get words(): string[] {
    const words: Readonly<Record<string, number>> = this.m.vcpus[0].words;
    const set = this.policy.words.filter((name) => words[name] !== 0);
    for (const name of set) expect(words[name]).toBe(1);
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

  /** Whether the LBR MSRs of a vCPU exit. The vCPU's flag must agree. */
  intercepted(vcpu = 0): boolean {
    const { vmcs, msr_passthrough } = this.m.vcpus[vcpu];
    expect([vmcs.interceptsRead(TOS), vmcs.interceptsWrite(TOS)]).toEqual([
      !msr_passthrough,
      !msr_passthrough,
    ]);
    return !msr_passthrough;
  }

  get inUse(): boolean | null {
    return this.policy.inUse?.(this.m.vcpus[0]) ?? null;
  }

  /** DEBUGCTL in the VMCS of v0. */
  get debugctl(): number {
    return this.m.vcpus[0].vmcs.guestDebugctl;
  }

  /** The LBR events that count on the pCPU: the host's own and KVM's for v0. */
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

/** The policy `never`, with hooks that are logged and can do more. */
class Hooks {
  /** What a hook does after it is logged, by the hook's name. */
  on: Partial<Record<string, (vcpu: Vcpu) => void>> = {};
  /** The vector of a trapped access. */
  vector: Vector = 0;
  /** Whether the policy sends its state when the vCPU migrates. */
  sends = false;
  private readonly recorder: Recorder;

  constructor(recorder: Recorder) {
    this.recorder = recorder;
  }

  private called(name: string, vcpu: Vcpu, more = ''): void {
    this.recorder.note(`${name} ${vcpu.id}${more}`);
    this.on[name]?.(vcpu);
  }

  private readonly hook =
    (name: string) =>
    (_kvm: PolicyHost, vcpu: Vcpu): void =>
      this.called(name, vcpu);

  private accessed(line: string): Vector {
    this.recorder.note(line);
    return this.vector;
  }

  policy(pv: PvSite): LbrPolicy {
    const ofDebugctl = (name: string, vcpu: Vcpu): void =>
      this.called(name, vcpu, ` at ${vcpu.vmcs.guestDebugctl}`);
    const names = [
      'sched_in',
      'vcpu_load',
      'vcpu_put',
      'handleRequests',
      'vcpu_enter',
      'vcpu_exit',
    ];
    names.push('deliver_pmi', 'reset', 'set_state', 'setPvLbrCtrl');
    return {
      ...never,
      pv,
      words: ['a', 'b'],
      ...Object.fromEntries(names.map((name) => [name, this.hook(name)])),
      get_state: (_kvm, vcpu) => {
        this.called('get_state', vcpu);
        return this.sends;
      },
      setDebugctl: (_kvm, vcpu) => ofDebugctl('setDebugctl', vcpu),
      debugctlAccess: (_kvm, vcpu) => {
        ofDebugctl('debugctlAccess', vcpu);
        return this.vector;
      },
      get_msr: (_kvm, _vcpu, msr) => {
        const vector = this.accessed(`get_msr ${msr}`);
        return Object.assign(msrValue(msr + 1, msr + 2), { vector });
      },
      set_msr: (_kvm, _vcpu, msr, eax, edx) => this.accessed(`set_msr ${msr} ${eax} ${edx}`),
    };
  }
}

/**
 * A rig whose policy logs the calls of its hooks: `vcpu_exit 0`, `get_msr 457`, `setDebugctl 0 at
 * 1`. The last has the vCPU and the DEBUGCTL of its VMCS. A trapped read returns the MSR's index
 * plus 1 in eax and plus 2 in edx. The CPU is a Skylake.
 */
export class HookedRig extends Rig {
  readonly hooks: Hooks;

  constructor(pv: PvSite = 'none', part: Part = {}) {
    const recorder = new Recorder();
    const hooks = new Hooks(recorder);
    super(hooks.policy(pv), { cpu: 'skylake', ...part }, recorder);
    this.hooks = hooks;
  }
}
