/**
 * A host that logs each step, for hooks of policies that a test calls directly. The log has every
 * step in order, and a test can set states that are rare on a whole machine.
 */
import { KVM_6_1, type KvmFeatures } from '../../src/host/kvm_versions.js';
import { Layout, Memory } from '../../src/hw/memory.js';
import * as msrs from '../../src/hw/msr_index.js';
import type { Vector } from '../../src/hw/msr_port.js';
import type { HostPerf, LbrPolicy, MsrValue, PolicyHost } from '../../src/host/policy/policy.js';
import { Vcpu } from '../../src/host/vcpu.js';
import { cpuModel } from './cpu.js';

type EventState = ReturnType<HostPerf['guestLbrEvent']>;

const NAMES: ReadonlyMap<number, string> = new Map([
  [msrs.MSR_LBR_NHM_FROM, 'FROM'],
  [msrs.MSR_LBR_INFO_0, 'INFO'],
  [msrs.MSR_LBR_TOS, 'TOS'],
  [msrs.MSR_LBR_SELECT, 'SELECT'],
]);

/** Result of every RDMSR of the host. */
export const READ = { eax: 0x11, edx: 0x22 };

/** The pCPU of the vCPU. The host's own event counts only there. */
const PCPU = 1;

type SwitchHook =
  | 'sched_in'
  | 'vcpu_load'
  | 'vcpu_put'
  | 'handleRequests'
  | 'vcpu_enter'
  | 'vcpu_exit'
  | 'mediated_put';

export class HookRig implements PolicyHost {
  readonly perf: HostPerf;
  readonly features: KvmFeatures = KVM_6_1;
  readonly vcpu: Vcpu;
  edx = 0;
  /** Current state of the guest LBR event, and (`comes`) its state right after a creation. */
  event: EventState = 'none';
  comes: EventState = 'active';
  hostLbr = false;
  private readonly policy: LbrPolicy;
  private readonly log: string[] = [];

  constructor(policy: LbrPolicy, cpu = 'skylake') {
    const model = cpuModel(cpu);
    const layout = new Layout();
    const at = Vcpu.allocate(layout, model, policy.words);
    this.policy = policy;
    this.vcpu = new Vcpu(new Memory(layout), model, at, 0, 0, 0);
    this.vcpu.pcpu = PCPU;
    this.perf = {
      createGuestLbrEvent: (_vcpu, kind) => {
        this.did(`create ${kind}`);
        this.event = this.comes;
      },
      releaseGuestLbrEvent: () => {
        this.did('release');
        this.event = 'none';
      },
      setCounterEvent: (_vcpu, there) => this.did(`counter event ${there ? 'on' : 'off'}`),
      guestLbrEvent: () => this.event,
      hostLbrActive: (pcpu) => this.hostLbr && pcpu === PCPU,
      loadGuestContext: (pcpu) => this.did(`load p${pcpu}`),
      putGuestContext: (pcpu) => this.did(`put p${pcpu}`),
    };
  }

  /** Logs a step. Changes `edx`, as any step may. */
  private did(step: string): void {
    this.log.push(step);
    this.edx = 0xbad;
  }

  rdmsr(_vcpu: Vcpu, msr: number): number {
    this.did(`rdmsr ${NAMES.get(msr)}`);
    this.edx = READ.edx;
    return READ.eax;
  }
  wrmsr(_vcpu: Vcpu, msr: number, eax: number, edx: number): void {
    this.did(`wrmsr ${NAMES.get(msr)} ${eax} ${edx}`);
  }
  wrmsr_safe(_vcpu: Vcpu, msr: number, eax: number, edx: number): Vector {
    this.did(`wrmsr_safe ${NAMES.get(msr)} ${eax} ${edx}`);
    return 0;
  }
  saveStack(_vcpu: Vcpu, select: boolean): void {
    this.did(select ? 'save all' : 'save');
  }
  restoreStack(_vcpu: Vcpu, select: boolean): void {
    this.did(select ? 'restore all' : 'restore');
  }
  scrubStack(): void {
    this.did('scrub');
  }
  scrubPcpu(pcpu: number): void {
    this.did(`scrub p${pcpu}`);
  }
  setPassthrough(vcpu: Vcpu, on: boolean): void {
    this.did(on ? 'pass through' : 'intercept');
    vcpu.msr_passthrough = on;
  }
  interceptSelect(): void {
    this.did('intercept SELECT');
  }
  loadAtEntry(): void {
    this.did('load at entry');
  }
  borrowLbr(): void {
    this.did('borrow');
  }
  giveBackLbr(): void {
    this.did('give back');
  }

  /** Returns the steps since the last call. */
  readonly steps = (): string[] => this.log.splice(0);

  get inUse(): boolean | null {
    return this.policy.inUse?.(this.vcpu) ?? null;
  }

  set debugctl(value: number) {
    this.vcpu.vmcs.guestDebugctl = value;
  }

  /** Calls a switch hook. Returns its steps. */
  hook(name: SwitchHook): string[] {
    this.policy[name](this, this.vcpu);
    return this.steps();
  }

  reset(): string[] {
    this.policy.reset(this, this.vcpu);
    return this.steps();
  }

  /** A trapped read. Returns its result and its steps. */
  read(msr: number): [Readonly<MsrValue>, string[]] {
    const { eax, edx, vector } = this.policy.get_msr(this, this.vcpu, msr);
    return [{ eax, edx, vector }, this.steps()];
  }

  /** A trapped write. Returns its vector and its steps. */
  write(msr: number, eax = 7, edx = 8): [Vector, string[]] {
    return [this.policy.set_msr(this, this.vcpu, msr, eax, edx), this.steps()];
  }

  /** An access to DEBUGCTL, then setDebugctl as after a write. Returns the vector and the steps. */
  accessDebugctl(): [Vector, string[]] {
    return [this.policy.debugctlAccess(this, this.vcpu), this.steps()];
  }

  wroteDebugctl(value: number): string[] {
    this.debugctl = value;
    this.policy.setDebugctl(this, this.vcpu);
    return this.steps();
  }
}
