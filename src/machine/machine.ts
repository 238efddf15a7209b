/**
 * The machine put together: pCPUs, the host's kernel and KVM, and the guests' kernels, in one block
 * of memory. It performs actions; schedule/table.ts says which are possible.
 */
import { type Cpu, driverOf, type Kernel } from '../guest/perf/kernel.js';
import { freeEvent, perf_event_open } from '../guest/perf/events_syscall.js';
import type { perf_event } from '../guest/perf/perf_structs.js';
import { assert } from '../hw/assert.js';
import * as branch from '../hw/branch.js';
import { LbrStack } from '../hw/lbr_stack.js';
import { LogicalProcessor } from '../hw/logical_processor.js';
import type { Memory } from '../hw/memory.js';
import type { Hypervisor } from '../host/hypervisor.js';
import { Kvm } from '../host/kvm.js';
import { KVM_FEATURES } from '../host/kvm_versions.js';
import type { Observer } from '../host/observer.js';
import { Vcpu } from '../host/vcpu.js';
import { cyclesOf, type MachineConfig, mispredicted, totalVcpus } from './config.js';
import * as call from './guest_call.js';
import type { CallPort } from './call_port.js';
import { Guests, type GuestsOwner } from './guests.js';
import { hostOf } from './host_image.js';
import { HOST_EVENT_CLOSE, HOST_EVENT_ON, type HostKernel } from './host_perf.js';
import * as sim from './machine_layout.js';
import { MachineLayout } from './machine_layout.js';
import { migrateByThread } from './threads.js';

/** What is left to do when a guest kernel function returns. */
const EPILOGUE_NONE = 0;
/** Back to user mode by IRET or SYSRET, since that is where it came from. */
const EPILOGUE_IRET = 1;
const EPILOGUE_SYSRET = 2;

/**
 * A machine of one configuration. All of its state is in one block of words, `memory`, and in the
 * memories of kernels that run as C code: a copy of both is a snapshot (snapshot.ts), and putting
 * the copy back is a jump in time.
 *
 * `boot` brings the machine to its first state, as often as needed. Each method that performs an
 * action takes it to be possible, and runs it to its end or to the vCPU switch that was armed.
 * Numbers of vCPUs count over all VMs; numbers of tasks and events are those of a guest's kernel.
 */
export class Machine implements GuestsOwner {
  readonly config: MachineConfig;
  readonly memory: Memory;
  readonly pcpus: LogicalProcessor[] = [];
  readonly vcpus: Vcpu[] = [];
  readonly guests: readonly Kernel[];
  readonly ports: readonly CallPort[];
  readonly kernels: Guests;
  readonly host: HostKernel;
  readonly hypervisor: Hypervisor;
  /** Where things lie in the block. */
  readonly layout: MachineLayout;
  private readonly observer: Observer;
  private readonly w: Int32Array;
  /** What the last perf_event_open() has returned. */
  private lastOpened = 0;
  /** Word offsets: the sequence number of each VM, then the words of vCPUs and pCPUs. */
  private readonly seq: number;
  private readonly simVcpus: number;
  private readonly simPcpus: number;

  constructor(config: MachineConfig, observer: Observer) {
    const { model, policy, shape, kernel } = config;
    this.config = config;
    this.observer = observer;
    const layout = new MachineLayout(config);
    this.layout = layout;
    this.seq = layout.seq;
    this.simVcpus = layout.simVcpus;
    this.simPcpus = layout.simPcpus;
    this.memory = driverOf(config).createMemory(layout.block);
    this.w = this.memory.words;
    for (const at of layout.pcpus) this.pcpus.push(new LogicalProcessor(this.memory, model, at));
    const lent = layout.lent.map((at) => LbrStack.at(this.memory, model, at));
    const { memory, pcpus } = this;
    const lentFlags = this.w.subarray(layout.lentFlags, layout.lentFlags + pcpus.length);
    const hostOutput = {
      sample: (cpu: Cpu, event: perf_event): void => observer.hostSample(cpu.id, event.id),
    };
    for (let i = 0; i < totalVcpus(config); i++) {
      const vm = Math.trunc(i / shape.vcpus);
      const vcpu = new Vcpu(memory, model, layout.vcpus[i], i, vm, i % shape.vcpus);
      this.vcpus.push(vcpu);
    }
    const own = this.w.subarray(layout.hostImage, layout.hostImage + layout.hostImageWords);
    const host = hostOf(own, this.vcpus, memory, layout.host, config, pcpus, observer, hostOutput);
    this.host = host;
    const hardware = { pcpus, lent, lentFlags, observer };
    this.hypervisor = host.kvm ?? new Kvm(policy, KVM_FEATURES[kernel], host, hardware);
    this.kernels = new Guests(this, observer);
    this.guests = this.kernels.guests;
    this.ports = this.kernels.ports;
  }

  /** Brings the machine to its first state, as often as needed. vCPU i starts on pCPU i. */
  boot(): void {
    this.w.fill(0);
    for (let vm = 0; vm < this.guests.length; vm++) this.w[this.seq + vm] = branch.firstSeq(vm);
    this.host.boot();
    for (let vm = 0; vm < this.guests.length; vm++) this.kernels.boot(vm);
    for (const vcpu of this.vcpus) {
      vcpu.pcpu = -1;
      this.setCpl(vcpu.id, 3);
    }
    this.hypervisor.boot(this.vcpus);
    const n = Math.min(this.pcpus.length, this.vcpus.length);
    for (let i = 0; i < n; i++) {
      this.switchOut(i, i);
      this.switchIn(i, i);
    }
  }

  /** The model of KVM, if no tree's runs. */
  get kvm(): Kvm {
    const { hypervisor } = this;
    assert(hypervisor instanceof Kvm, 'the policy is one of the model');
    return hypervisor;
  }

  /** The guest kernel's view of a vCPU. */
  cpu(vcpu: number): Cpu {
    const { vm, cpu } = this.vcpus[vcpu];
    return this.guests[vm].cpus[cpu];
  }

  /** The vCPU that is loaded on a pCPU, or null. */
  loaded(pcpu: number): Vcpu | null {
    const current = this.host.kernel.cpus[pcpu].cpuctx.current;
    return current < this.vcpus.length ? this.vcpus[current] : null;
  }

  cpl(vcpu: number): number {
    return this.w[this.simVcpus + vcpu * sim.SIM_VCPU_WORDS + sim.CPL];
  }

  private setCpl(vcpu: number, cpl: number): void {
    this.w[this.simVcpus + vcpu * sim.SIM_VCPU_WORDS + sim.CPL] = cpl;
  }

  /** Whether the CPU is still to start in a kernel that a kexec brought. */
  booting(vcpu: number): boolean {
    return this.w[this.simVcpus + vcpu * sim.SIM_VCPU_WORDS + sim.BOOTING] !== 0;
  }

  private setBooting(vcpu: number, booting: boolean): void {
    this.w[this.simVcpus + vcpu * sim.SIM_VCPU_WORDS + sim.BOOTING] = booting ? 1 : 0;
  }

  /** Forgets what matters no more of the functions that the VM's vCPUs have run. */
  settle(vm: number): void {
    for (const { id, vm: of } of this.vcpus) {
      if (of !== vm) continue;
      this.ports[id].settle();
      if (this.ports[id].suspended === 0) {
        this.w[this.simVcpus + id * sim.SIM_VCPU_WORDS + sim.CALL] = 0;
      }
    }
  }

  /** The guest kernel function that runs on a vCPU, or ran last: CALL_*. */
  runningCall(vcpu: number): number {
    return this.w[this.simVcpus + vcpu * sim.SIM_VCPU_WORDS + sim.CALL];
  }

  private armed(pcpu: number): number {
    return this.simPcpus + pcpu * sim.SIM_PCPU_WORDS;
  }

  /** Tasks of a vCPU's VM that suspended functions hold, as a mask. */
  lockedTasks(vcpu: number): number {
    const { vm } = this.vcpus[vcpu];
    let mask = 0;
    for (const other of this.vcpus) if (other.vm === vm) mask |= this.ports[other.id].lockedTasks;
    return mask;
  }

  /** Whether a switch is to come after some more MSR accesses of the vCPU that runs. */
  isArmed(pcpu: number): boolean {
    return this.w[this.armed(pcpu) + sim.ARMED_AFTER] !== 0;
  }

  /** Kernel: sched/core.c:context_switch() on the host. `next` is a vCPU, or -1 for idle. */
  switchTo(pcpu: number, next: number): void {
    this.switchOut(pcpu, next);
    this.switchIn(pcpu, next);
  }

  /** First half of a switch: the old thread leaves. */
  switchOut(pcpu: number, next: number): void {
    this.w[this.armed(pcpu) + sim.ARMED_AFTER] = 0;
    const prev = this.loaded(pcpu);
    if (prev !== null) this.hypervisor.exit(prev);
    this.host.schedOut(pcpu, next < 0 ? this.host.idle(pcpu) : next);
    if (prev !== null) this.hypervisor.schedOut(prev, next < 0 ? this.host.idle(pcpu) : next);
  }

  /** Second half of a switch: the new thread arrives. */
  switchIn(pcpu: number, next: number): void {
    this.arrive(pcpu, next);
    if (next >= 0) this.hypervisor.enter(this.vcpus[next]);
  }

  /** The new thread is on the pCPU; a vCPU's has not entered its guest. */
  arrive(pcpu: number, next: number): void {
    this.host.schedIn(pcpu, next < 0 ? this.host.idle(pcpu) : next);
    if (next >= 0) this.hypervisor.schedIn(this.vcpus[next], pcpu);
  }

  /** Arms a switch to vCPU `next`, to come after `after` more MSR accesses of the pCPU's guest. */
  arm(pcpu: number, next: number, after: number): void {
    const at = this.armed(pcpu);
    this.w[at + sim.ARMED_AFTER] = after + 1;
    this.w[at + sim.ARMED_TARGET] = next;
  }

  /** Takes back what `arm` has armed. Returns the accesses that were left, plus one, or 0. */
  disarm(pcpu: number): number {
    const at = this.armed(pcpu) + sim.ARMED_AFTER;
    const left = this.w[at];
    this.w[at] = 0;
    return left;
  }

  preemptBeforeAccess(vcpu: Vcpu): boolean {
    const at = this.armed(vcpu.pcpu) + sim.ARMED_AFTER;
    if (this.w[at] === 0) return false;
    if (this.w[at] === 1) return true;
    this.w[at]--;
    return false;
  }

  /** The switch that was armed; its vCPU may have gone elsewhere meanwhile. */
  private preempt(pcpu: number): void {
    const next = this.w[this.armed(pcpu) + sim.ARMED_TARGET];
    const gone = next >= 0 && this.vcpus[next].pcpu >= 0;
    this.switchTo(pcpu, gone ? -1 : next);
  }

  raisePmi(vcpu: Vcpu, counter: number): boolean {
    this.ports[vcpu.id].overflow(counter);
    if (!this.hypervisor.injectPmi(vcpu, counter)) return false;
    // An injected event is recorded like any other interrupt.
    this.takeBranch(vcpu, branch.BRANCH_IRQ, this.cpl(vcpu.id) === 0, true);
    return true;
  }

  returnFromPmi(vcpu: Vcpu): void {
    this.hypervisor.pmiHandled(vcpu);
    this.takeBranch(vcpu, branch.BRANCH_IRET, true, this.cpl(vcpu.id) === 0);
  }

  /** One branch of the task that is current on the vCPU. */
  private takeBranch(vcpu: Vcpu, kind: number, fromKernel: boolean, toKernel: boolean): void {
    const seq = (this.w[this.seq + vcpu.vm] + 1) | 0;
    this.w[this.seq + vcpu.vm] = seq;
    const { vm, id, cpu: n } = vcpu;
    const current = this.cpu(id).cpuctx.current;
    const tag = branch.addressedVm(vm);
    const fromHi = branch.addressHigh(fromKernel, kind, tag, n, current);
    const toHi = branch.addressHigh(toKernel, branch.BRANCH_NONE, tag, n, current);
    const cpl = toKernel ? 0 : 3;
    this.hypervisor.enter(vcpu);
    const cycles = cyclesOf(this.config, tag, seq);
    const missed = mispredicted(this.config, seq);
    this.observer.guestBranch(id, kind, cpl, seq, fromHi, toHi);
    this.pcpus[vcpu.pcpu].branch(kind, cpl, seq, fromHi, seq, toHi, missed, cycles);
  }

  branches(vcpu: number, kind: number, n: number): void {
    const kernel = this.cpl(vcpu) === 0;
    for (let i = 0; i < n; i++) this.takeBranch(this.vcpus[vcpu], kind, kernel, kernel);
  }

  enterKernel(vcpu: number, kind: number): void {
    this.takeBranch(this.vcpus[vcpu], kind, false, true);
    this.setCpl(vcpu, 0);
  }

  leaveKernel(vcpu: number, kind: number): void {
    this.setCpl(vcpu, 3);
    this.takeBranch(this.vcpus[vcpu], kind, true, false);
  }

  /**
   * Runs a guest kernel function, from user mode through an entry and an exit. The host may take
   * the pCPU inside it, if a switch is armed.
   */
  private guestCall(vcpu: number, fn: number, a: number, b: number, c: number, kind: number): void {
    let epilogue = EPILOGUE_NONE;
    if (this.cpl(vcpu) === 3) {
      this.enterKernel(vcpu, kind);
      epilogue = kind === branch.BRANCH_SYSCALL ? EPILOGUE_SYSRET : EPILOGUE_IRET;
    }
    const port = this.ports[vcpu];
    if (this.isArmed(this.vcpus[vcpu].pcpu)) {
      port.begin(fn, a, b, c, epilogue, call.tasksOf(this.cpu(vcpu), fn, a, b));
    } else {
      port.beginQuiet(fn, a, b, c, epilogue);
    }
    this.runCall(vcpu, fn, a, b, c, epilogue);
  }

  private runCall(
    vcpu: number,
    fn: number,
    a: number,
    b: number,
    c: number,
    epilogue: number,
  ): void {
    this.w[this.simVcpus + vcpu * sim.SIM_VCPU_WORDS + sim.CALL] = fn;
    this.observer.guestCall(vcpu, fn, a, b);
    this.returned(vcpu, fn, epilogue, this.ports[vcpu].run(fn, a, b, c));
  }

  /** A function of a guest's kernel has returned, or its vCPU has left it. */
  private returned(vcpu: number, fn: number, epilogue: number, ended: boolean): void {
    if (!ended) {
      const { pcpu } = this.vcpus[vcpu];
      // A vCPU that waits for another one stays where it is, unless the host is to switch anyway.
      if (this.isArmed(pcpu)) this.preempt(pcpu);
      return;
    }
    this.kernels.endGracePeriod(this.vcpus[vcpu].vm);
    if (fn === call.CALL_BOOT) this.setBooting(vcpu, false);
    if (fn === call.CALL_PMI) this.hypervisor.pmiHandled(this.vcpus[vcpu]);
    this.observer.guestIdle(vcpu);
    if (epilogue === EPILOGUE_IRET) this.leaveKernel(vcpu, branch.BRANCH_IRET);
    else if (epilogue === EPILOGUE_SYSRET) this.leaveKernel(vcpu, branch.BRANCH_SYSRET);
  }

  resume(vcpu: number): void {
    const port = this.ports[vcpu];
    const { suspended, epilogue } = port;
    this.returned(vcpu, suspended, epilogue, port.resume());
  }

  switchTask(vcpu: number, next: number): void {
    const prev = this.cpu(vcpu).cpuctx.current;
    this.guestCall(vcpu, call.CALL_SWITCH, prev, next, 0, branch.BRANCH_IRQ);
  }

  fork(vcpu: number): void {
    const { vm, cpu } = this.vcpus[vcpu];
    this.observer.guestForked(vcpu, this.kernels.fork(vm, cpu));
  }

  /** Returns 0, or the negative errno with which perf_event_open() refused. */
  open(vcpu: number, task: number, attr: number, type: number): number {
    const cpu = this.cpu(vcpu);
    const id = freeEvent(cpu.kernel);
    if (driverOf(this.config).image === undefined) {
      this.opened(vcpu, type, perf_event_open(cpu, id, task, attr, type));
    }
    const how = call.opensWith(task, attr);
    this.guestCall(vcpu, call.CALL_INSTALL, id, how, type, branch.BRANCH_SYSCALL);
    return this.lastOpened;
  }

  /** What perf_event_open() of a guest has returned. */
  opened(vcpu: number, type: number, ret: number): void {
    this.lastOpened = ret;
    this.observer.guestOpened(vcpu, type, ret);
  }

  enable(vcpu: number, event: number): void {
    this.guestCall(vcpu, call.CALL_ENABLE, event, 0, 0, branch.BRANCH_SYSCALL);
  }

  disable(vcpu: number, event: number): void {
    this.guestCall(vcpu, call.CALL_DISABLE, event, 0, 0, branch.BRANCH_SYSCALL);
  }

  close(vcpu: number, event: number): void {
    this.guestCall(vcpu, call.CALL_CLOSE, event, 0, 0, branch.BRANCH_SYSCALL);
  }

  /** Overflows the counter of an active event. The PMI is taken after `after` more MSR accesses. */
  pmi(vcpu: number, event: number, after: number): void {
    const counter = this.cpu(vcpu).kernel.events[event].idx;
    if (after > 0) {
      this.ports[vcpu].armNmi(after - 1, counter);
      return;
    }
    const user = this.cpl(vcpu) === 3;
    const epilogue = user ? EPILOGUE_IRET : EPILOGUE_NONE;
    const kvmVcpu = this.vcpus[vcpu];
    if (!this.raisePmi(kvmVcpu, counter)) return;
    if (user) this.setCpl(vcpu, 0);
    const port = this.ports[vcpu];
    if (this.isArmed(kvmVcpu.pcpu)) port.begin(call.CALL_PMI, 0, 0, 0, epilogue, 0);
    else port.beginQuiet(call.CALL_PMI, 0, 0, 0, epilogue);
    this.runCall(vcpu, call.CALL_PMI, 0, 0, 0, epilogue);
  }

  /** The current task exits. */
  taskExit(vcpu: number, next: number): void {
    const prev = this.cpu(vcpu).cpuctx.current;
    this.guestCall(vcpu, call.CALL_EXIT, prev, next, 0, branch.BRANCH_SYSCALL);
  }

  exec(vcpu: number): void {
    this.guestCall(vcpu, call.CALL_EXEC, 0, 0, 0, branch.BRANCH_SYSCALL);
  }

  tick(vcpu: number): void {
    this.guestCall(vcpu, call.CALL_TICK, 0, 0, 0, branch.BRANCH_IRQ);
  }

  rotate(vcpu: number): void {
    this.guestCall(vcpu, call.CALL_ROTATE, 0, 0, 0, branch.BRANCH_IRQ);
  }

  branchSnapshot(vcpu: number): void {
    this.guestCall(vcpu, call.CALL_SNAPSHOT, 0, 0, 0, branch.BRANCH_SYSCALL);
  }

  /** The current task moves to another cgroup, given by its number. */
  moveTask(vcpu: number, cgroup: number): void {
    this.guestCall(vcpu, call.CALL_ATTACH, cgroup, 0, 0, branch.BRANCH_SYSCALL);
  }

  rdmsr(vcpu: number, msr: number): void {
    this.guestCall(vcpu, call.CALL_RDMSR, msr, 0, 0, branch.BRANCH_SYSCALL);
  }

  wrmsr(vcpu: number, msr: number, eax: number, edx: number): void {
    this.guestCall(vcpu, call.CALL_WRMSR, msr, eax, edx, branch.BRANCH_SYSCALL);
  }

  /** Starts a new kernel in the VM: its memory is cleared, and the MSRs keep their values. */
  kexec(vcpu: number): void {
    const { vm } = this.vcpus[vcpu];
    this.kernels.boot(vm);
    this.observer.guestKexec(vcpu);
    for (const other of this.vcpus) {
      if (other.vm !== vm) continue;
      this.ports[other.id].disarmNmi();
      this.setCpl(other.id, 3);
      this.setBooting(other.id, true);
    }
    this.startCpu(vcpu);
  }

  startCpu(vcpu: number): void {
    this.guestCall(vcpu, call.CALL_BOOT, 0, 0, 0, branch.BRANCH_IRQ);
  }

  exitAndEnter(pcpu: number): void {
    const vcpu = this.loaded(pcpu);
    if (vcpu === null) return;
    this.hypervisor.enter(vcpu);
    this.hypervisor.exit(vcpu);
  }

  /** The host's own LBR event: `which` indexes HOST_EVENTS, `op` HOST_EVENT_OPS. */
  hostEvent(pcpu: number, which: number, op: number): void {
    const vcpu = this.loaded(pcpu);
    if (vcpu !== null) this.hypervisor.exit(vcpu);
    if (op === HOST_EVENT_ON) {
      this.hypervisor.hostPerfEvent(pcpu, vcpu, true);
      this.host.hostEventOn(pcpu, which);
    } else {
      this.host.hostEventOff(pcpu, which, op === HOST_EVENT_CLOSE);
      this.hypervisor.hostPerfEvent(pcpu, vcpu, false);
    }
  }

  /** n branches of host code, and a sample if an event of the host's counts. */
  hostWork(pcpu: number, n: number): void {
    const vcpu = this.loaded(pcpu);
    if (vcpu !== null) this.hypervisor.exit(vcpu);
    const cpu = this.pcpus[pcpu];
    const thread = this.host.kernel.cpus[pcpu].cpuctx.current & 31;
    const fromHi = branch.addressHigh(false, branch.BRANCH_REL_CALL, branch.HOST_VM, 0, thread);
    const toHi = branch.addressHigh(false, branch.BRANCH_NONE, branch.HOST_VM, 0, thread);
    for (let i = 1; i <= n; i++) {
      if (cpu.recording) this.observer.hostBranch(pcpu);
      const cycles = cyclesOf(this.config, branch.HOST_VM, i);
      cpu.branch(branch.BRANCH_REL_CALL, 3, i, fromHi, i, toHi, false, cycles);
    }
    this.host.pmi(pcpu);
  }

  cstate(pcpu: number): void {
    this.pcpus[pcpu].deepCState();
    this.observer.cstate(pcpu);
  }

  /** Live migration of a vCPU whose thread is off. */
  liveMigrate(vcpu: number): void {
    if (this.hypervisor.tree === null) this.hypervisor.migrate(this.vcpus[vcpu]);
    else migrateByThread(this, vcpu);
  }
}
