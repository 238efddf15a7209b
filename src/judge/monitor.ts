/**
 * Watches a machine and says which property it breaks. Each group of claims has a check of its
 * own; this is where they hear of what happens.
 */
import { HOST, type Observer } from '../host/observer.js';
import * as msrs from '../hw/msr_index.js';
import { type MachineConfig, totalVcpus } from '../machine/config.js';
import { CALL_SWITCH } from '../machine/guest_call.js';
import { taskData } from '../guest/perf/task_data.js';
import type { Machine } from '../machine/machine.js';
import { assert } from '../hw/assert.js';
import { callstackUsersBalanced, countingEvents, cpuBalanced } from './balance.js';
import { checkDeclared } from './declared.js';
import { KvmCheck } from './kvm_check.js';
import { FilterCheck } from './filter_check.js';
import { EventCheck } from './event_check.js';
import type { History, Remembering } from './check.js';
import { Reference } from './reference.js';
import { RegisterCheck } from './register_check.js';
import { SampleCheck } from './sample_check.js';
import { SampleTruth } from './sample_truth.js';
import { SwitchCheck } from './switch_check.js';
import { TaskCheck } from './task_check.js';
import { Verdicts } from './verdicts.js';
import { PROPERTY, REACH } from './properties.js';

/**
 * The judge of one machine. `verdicts` says what the run has broken so far, by whom, and how often
 * each risky situation was met. A monitor changes nothing of the machine that it watches.
 */
export class Monitor implements Observer {
  readonly verdicts: Verdicts = new Verdicts();
  private machine: Machine | null = null;
  readonly reference: Reference;
  private readonly registers: RegisterCheck;
  readonly samples: SampleCheck;
  private readonly truth: SampleTruth;
  private readonly filters: FilterCheck;
  readonly switches: SwitchCheck;
  private readonly tasks: TaskCheck;
  private readonly events: EventCheck;
  /** Of a tree's own KVM; a model has nothing that it could look at, nor to remember. */
  private readonly kvm: KvmCheck | null;
  /** Whether guests have no LBR. */
  private readonly withoutGuestLbr: boolean;
  /** Those that remember something. */
  private readonly checks: readonly Remembering[];
  /** Per vCPU: whether the kernel function that runs has written records, and its LBR reads. */
  private readonly wiped: Uint8Array;
  private readonly reads: Int32Array;
  /** Per vCPU: the task context that was scheduled when the last kernel function returned. */
  private readonly lastCtx: Int32Array;

  /** @throws TypeError if the policy declares something about a property that does not exist. */
  constructor(config: MachineConfig) {
    checkDeclared(config.policy);
    const machine = (): Machine => this.watched();
    const { verdicts } = this;
    this.reference = new Reference(config, machine, verdicts);
    const { reference } = this;
    this.registers = new RegisterCheck(config, machine, reference, verdicts);
    this.samples = new SampleCheck(config, machine, reference, verdicts);
    this.truth = new SampleTruth(config, machine, reference, verdicts);
    this.filters = new FilterCheck(config, machine, reference, verdicts);
    this.switches = new SwitchCheck(config, machine, reference, verdicts);
    this.tasks = new TaskCheck(config, machine, reference, verdicts);
    this.events = new EventCheck(config, machine, reference, verdicts);
    const { ofTree, withoutGuestLbr } = config.policy;
    this.withoutGuestLbr = withoutGuestLbr === true;
    this.kvm = ofTree === true ? new KvmCheck(config, machine, reference, verdicts) : null;
    const { registers, samples, filters, switches, tasks, events } = this;
    const ofKvm = this.kvm === null ? [] : [this.kvm];
    this.checks = [reference, registers, samples, filters, switches, tasks, events, ...ofKvm];
    this.wiped = new Uint8Array(totalVcpus(config));
    this.lastCtx = new Int32Array(totalVcpus(config));
    this.reads = new Int32Array(totalVcpus(config));
  }

  /** Must be called with the machine that this observes before each of its boots. */
  start(machine: Machine): void {
    this.machine = machine;
    this.verdicts.clear();
    for (const check of this.checks) check.start();
    this.wiped.fill(0);
    this.lastCtx.fill(0);
    this.reads.fill(0);
  }

  /** Everything outside the machine on which the verdict of the next action depends. */
  get histories(): History[] {
    return this.checks.flatMap(({ histories }) => histories);
  }

  /** All words that change during a run, reach counters aside. Texts go with the verdicts. */
  get remembered(): History['words'][] {
    const { wiped, lastCtx, reads, verdicts } = this;
    const checks = this.checks.flatMap(({ remembered }) => remembered);
    return [...checks, wiped, lastCtx, reads, ...verdicts.remembered];
  }

  /**
   * To be called between two actions, after a state was restored: forgets what the state does not
   * include. Reach counters then assume that others used the registers and that other tasks were
   * sampled.
   */
  forget(): void {
    this.verdicts.clear();
    this.switches.inVain = 0;
    this.reference.forget();
    this.samples.forget();
    this.filters.start();
    this.tasks.start();
    this.events.forget();
    this.wiped.fill(0);
    this.lastCtx.fill(0);
    this.reads.fill(0);
  }

  /** Forgets what matters no more about a VM none of whose vCPUs will use LBR. */
  retire(vm: number): void {
    this.samples.retire(vm);
    for (const vcpu of this.watched().vcpus) if (vcpu.vm === vm) this.reference.retire(vcpu.id);
  }

  private watched(): Machine {
    assert(this.machine !== null, 'a monitor is started before it watches');
    return this.machine;
  }

  private touched(vcpu: number): void {
    this.switches.touched(vcpu);
    this.verdicts.reach[REACH['lbr-access']]++;
  }

  guestRead(vcpu: number, msr: number, eax: number, edx: number): void {
    this.tasks.access(vcpu);
    if (this.reference.isLbr(msr)) {
      this.touched(vcpu);
      this.reads[vcpu]++;
    }
    this.reference.read(vcpu, msr, eax, edx);
    this.kvm?.read(vcpu, msr, eax);
  }

  guestWrite(vcpu: number, msr: number, eax: number, edx: number): void {
    this.tasks.access(vcpu);
    if (this.reference.isLbr(msr)) {
      this.touched(vcpu);
      if (msr !== msrs.MSR_LBR_SELECT) this.wiped[vcpu] = 1;
      const { vcpus, hypervisor } = this.watched();
      if (!hypervisor.intercepted) this.registers.holds(vcpus[vcpu].pcpu, vcpu);
    } else if (msr === msrs.MSR_IA32_DEBUGCTLMSR && (eax & msrs.DEBUGCTLMSR_LBR) !== 0) {
      this.touched(vcpu);
    }
    this.reference.write(vcpu, msr, eax, edx, this.isDropped(vcpu));
    this.kvm?.write(vcpu, msr);
  }

  private isDropped(vcpu: number): boolean {
    const { config, vcpus, hypervisor, host } = this.watched();
    if (!hypervisor.intercepted || config.policy.dropsWithoutEvent !== true) return false;
    // Without a guest's event, an intercepted write is made as any other.
    if ((hypervisor.tree?.lbrLentTo(vcpus[vcpu]) ?? null) !== null) return false;
    return host.guestLbrEvent(vcpus[vcpu]) !== 'active';
  }

  guestFault(vcpu: number, msr: number, write: boolean, eax: number, edx: number): void {
    if (this.reference.isLbr(msr)) this.touched(vcpu);
    this.reference.fault(vcpu, msr, write, eax, edx);
  }

  guestBranch(
    vcpu: number,
    kind: number,
    cpl: number,
    seq: number,
    fromHi: number,
    toHi: number,
  ): void {
    const { pcpu } = this.watched().vcpus[vcpu];
    const cpu = this.watched().pcpus[pcpu];
    if (cpu.recording) this.registers.records(vcpu, pcpu, cpu.captures(kind, cpl));
    else if (this.withoutGuestLbr) this.registers.ran(pcpu);
    if (this.reference.of(vcpu).recording) this.touched(vcpu);
    this.reference.branch(vcpu, kind, cpl, seq, fromHi, toHi);
    if (cpl !== 0) this.samples.userBranch(vcpu, kind, seq);
  }

  hostAccess(pcpu: number, onBehalf: number, _msr: number, write: boolean): void {
    this.hostStack(pcpu, onBehalf, 1, write);
    if (onBehalf !== HOST) this.kvm?.accesses(onBehalf);
  }

  hostStack(pcpu: number, onBehalf: number, accesses: number, write: boolean): void {
    this.registers.hostAccess(pcpu, onBehalf, accesses, write);
    this.switches.hostAccess(pcpu, onBehalf, accesses);
  }

  hostDebugctl(pcpu: number, value: number): void {
    this.registers.hostDebugctl(pcpu, value);
  }

  hostFault(pcpu: number, msr: number, write: boolean): void {
    this.verdicts.breaks(
      PROPERTY['no-fault'],
      () => `p${pcpu}: #GP in the host on ${write ? 'WRMSR' : 'RDMSR'} 0x${msr.toString(16)}`,
    );
  }

  /** The guest's own #GPs and losses are what its machine monitor has asked for. */
  lbrTaken(): void {
    this.verdicts.judgeOnly(
      PROPERTY['no-leak/vm'],
      PROPERTY['host-intact'],
      PROPERTY['owner-only'],
      PROPERTY['recorder-owned'],
    );
  }

  entryFailed(vcpu: number): void {
    this.verdicts.breaks(PROPERTY['no-fault'], () => `v${vcpu}: VM entry failed`);
  }

  entered(vcpu: number, host: number, had: number): void {
    this.kvm?.entered(vcpu, host, had);
  }

  pmiMissed(vcpu: number, why: string): void {
    this.kvm?.missed(vcpu, why);
  }

  exited(vcpu: number): void {
    this.registers.exited(this.watched().vcpus[vcpu].pcpu);
    this.switches.stopCheck(vcpu);
  }

  vcpuSwitch(vcpu: number, pcpu: number, scheduledIn: boolean): void {
    this.switches.vcpuSwitch(vcpu, pcpu, scheduledIn);
    const cpu = this.watched().host.kernel.cpus[pcpu];
    if (cpu.cpuc.n_events === 0 && cpu.cpuc.lbr_users === 0) return;
    // No guest has counts of its own that could be looked at.
    if (this.withoutGuestLbr) this.verdicts.reach[REACH['balance-checked']]++;
    if (!cpuBalanced(cpu) || !callstackUsersBalanced(cpu.kernel)) {
      this.verdicts.breaks(
        PROPERTY.balanced,
        () => `p${pcpu}: the host's lbr_users or lbr_callstack_users are not its events'`,
      );
    }
  }

  guestPmi(vcpu: number, counter: number): void {
    this.reference.pmi(vcpu, counter);
    this.kvm?.overflows(vcpu, counter);
  }

  guestSample(vcpu: number, event: number): void {
    this.samples.sample(vcpu, event);
    this.truth.sample(vcpu, event);
  }

  hostSample(pcpu: number, _event: number): void {
    this.registers.hostSample(pcpu);
  }

  hostBranch(pcpu: number): void {
    this.registers.hostBranch(pcpu);
  }

  cstate(pcpu: number): void {
    this.registers.cstate(pcpu);
  }

  guestOpened(vcpu: number, type: number, ret: number): void {
    this.filters.opened(vcpu, type, ret);
    this.events.opened(vcpu, ret);
  }

  guestCall(vcpu: number, _fn: number, a: number, b: number): void {
    this.events.begins(vcpu, a, b);
  }

  guestForked(vcpu: number, child: number): void {
    this.events.forked(vcpu, child);
  }

  guestKexec(vcpu: number): void {
    this.events.kexec(vcpu);
  }

  guestWarned(vm: number, file: string, line: number): void {
    this.verdicts.breaksOwn(PROPERTY['no-warn'], () => `VM ${vm}: WARNING at ${file}:${line}`);
  }

  hostWarned(file: string, line: number): void {
    this.verdicts.breaks(PROPERTY['no-warn'], () => `the host: WARNING at ${file}:${line}`);
  }

  guestIdle(vcpu: number): void {
    const cpu = this.watched().cpu(vcpu);
    const { cpuc, kernel } = cpu;
    if (cpuc.lbr_users !== 0 || cpuc.n_events !== 0)
      this.verdicts.reach[REACH['balance-checked']]++;
    // Counts do not depend on what is read: what is wrong with them is the guest kernel's own. What
    // a function of another vCPU has in hand is half done, and is looked at when that has returned.
    const inHand = this.watched().lockedTasks(vcpu);
    if (!cpuBalanced(cpu) || !callstackUsersBalanced(kernel, inHand)) {
      this.verdicts.breaksOwn(
        PROPERTY.balanced,
        () =>
          `v${vcpu}: ${countingEvents(cpu)} events count, lbr_users is ${cpuc.lbr_users}` +
          (cpu.cpuctx.pmu_disable_count === 0 ? '' : ', and the PMU stays off'),
      );
    }
    this.reference.idle(vcpu);
    this.filters.idle(vcpu);
    this.samples.idle(vcpu, kernel);
    this.tasks.idle(vcpu);
    this.events.idle(vcpu);
    this.countSwitch(vcpu);
  }

  /**
   * Counts what a context switch made of the stacks: whether perf has looked at the task's and
   * let it be, and whether it has swapped two contexts that are clones instead of their events.
   */
  private countSwitch(vcpu: number): void {
    const { kernel, cpuctx, cpuc } = this.watched().cpu(vcpu);
    const { reach } = this.verdicts;
    const ctxp = kernel.tasks[cpuctx.current].perf_event_ctxp;
    const switched = this.watched().runningCall(vcpu) === CALL_SWITCH;
    if (switched && ctxp !== 0 && cpuctx.task_ctx === ctxp) {
      if (this.lastCtx[vcpu] === ctxp) reach[REACH['clone-swap']]++;
      const data = taskData(kernel, cpuctx.current);
      const letBe = this.wiped[vcpu] === 0 && this.reads[vcpu] > 0 && cpuc.lbr_users > 0;
      if (data !== 0 && cpuc.last_task_ctx === data && letBe) reach[REACH['guest-shortcut']]++;
    }
    this.lastCtx[vcpu] = cpuctx.task_ctx;
    this.wiped[vcpu] = 0;
    this.reads[vcpu] = 0;
  }
}
