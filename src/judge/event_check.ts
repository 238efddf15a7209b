/**
 * Whether perf schedules events as its users asked: `events-true` and `events-count`. What they
 * asked for is kept here, from outside of the kernel: who opened which event, what a fork has
 * inherited, and what is on.
 */
import * as perf from '../guest/perf/perf_event.js';
import type { Cpu, Kernel } from '../guest/perf/kernel.js';
import type { perf_event } from '../guest/perf/perf_structs.js';
import { GUEST_EVENTS, taskSlots, totalVcpus } from '../machine/config.js';
import * as call from '../machine/guest_call.js';
import { countsOn } from './balance.js';
import { Check } from './check.js';
import { PROPERTY, REACH } from './properties.js';

/** General counters of a CPU; events that count nothing but LBR all fit in any of them. */
const COUNTERS = 4;

export class EventCheck extends Check {
  private readonly slots: number = taskSlots(this.config);
  private readonly vms: number = this.config.shape.vms;
  /**
   * Per task over all VMs, as masks of events by number: those that were opened for it or that it
   * has inherited, by the one that was opened; those of them that are on; and those of which that
   * is not known.
   */
  private readonly owned: Int32Array = this.hint(new Int32Array(this.vms * this.slots));
  private readonly on: Int32Array = this.hint(new Int32Array(this.vms * this.slots));
  private readonly unsure: Int32Array = this.hint(new Int32Array(this.vms * this.slots));
  /** Per vCPU: events of the CPU that are on. */
  private readonly onOfCpu: Int32Array = this.hint(new Int32Array(totalVcpus(this.config)));
  /** Per VM: events that were opened, those to inherit, and those that execve enables. */
  private readonly roots: Int32Array = this.hint(new Int32Array(this.vms));
  private readonly inherited: Int32Array = this.hint(new Int32Array(this.vms));
  private readonly onExec: Int32Array = this.hint(new Int32Array(this.vms));
  /** Per VM: events, inherited ones too, that others have kept from counting. */
  private readonly keptOff: Int32Array = this.hint(new Int32Array(this.vms));
  /** Per task over all VMs: the cgroup that it is in, whose number grows with its depth. */
  private readonly cgroup: Int32Array = this.hint(new Int32Array(this.vms * this.slots));
  /** Per event over all VMs: the cgroup that it is for; 0 for all. */
  private readonly cgroupOf: Int32Array = this.hint(new Int32Array(this.vms * GUEST_EVENTS));
  /** Per VM: what its users asked for is no longer known. */
  private readonly lost: Uint8Array = this.hint(new Uint8Array(this.vms));
  /** Per vCPU: arguments of the function that runs. */
  private readonly a: Int32Array = this.hint(new Int32Array(totalVcpus(this.config)));
  private readonly b: Int32Array = this.hint(new Int32Array(totalVcpus(this.config)));
  /** Per vCPU: what perf_event_open() has returned. */
  private readonly ret: Int32Array = this.hint(new Int32Array(totalVcpus(this.config)));
  /** Events of a task's context, by the ones that were opened. */
  private readonly held: Int32Array = new Int32Array(this.slots);

  /** Nothing is known of what was asked for. */
  forget(): void {
    this.start();
    this.lost.fill(1);
  }

  /** A function of a guest's kernel begins. */
  begins(vcpu: number, a: number, b: number): void {
    this.a[vcpu] = a;
    this.b[vcpu] = b;
  }

  /** perf_event_open() has returned. */
  opened(vcpu: number, ret: number): void {
    this.ret[vcpu] = ret;
  }

  /** The vCPU's VM has another kernel. */
  kexec(vcpu: number): void {
    const vm = this.reference.vm(vcpu);
    const { slots } = this;
    for (const words of [this.owned, this.on, this.unsure, this.cgroup])
      words.fill(0, vm * slots, (vm + 1) * slots);
    this.cgroupOf.fill(0, vm * GUEST_EVENTS, (vm + 1) * GUEST_EVENTS);
    for (const words of [this.roots, this.inherited, this.onExec, this.keptOff]) words[vm] = 0;
    for (const { id, vm: of } of this.machine().vcpus) {
      if (of === vm) this.onOfCpu[id] = 0;
    }
  }

  /** The task that runs on a vCPU has made a child. */
  forked(vcpu: number, child: number): void {
    const vm = this.reference.vm(vcpu);
    const [from, to] = [this.slotOf(vcpu, this.cpu(vcpu).cpuctx.current), this.slotOf(vcpu, child)];
    this.owned[to] = this.owned[from] & this.inherited[vm];
    this.on[to] = this.on[from] & this.inherited[vm];
    this.unsure[to] = this.unsure[from] & this.inherited[vm];
    this.cgroup[to] = this.cgroup[from];
  }

  /** A function of a guest's kernel has returned. */
  idle(vcpu: number): void {
    const vm = this.reference.vm(vcpu);
    if (this.lost[vm] !== 0) return;
    this.follow(vcpu, vm);
    const cpu = this.cpu(vcpu);
    const alone = this.isAlone(vm);
    this.judgeCounting(vcpu, vm, cpu, alone);
    if (alone && this.lost[vm] === 0) this.judgeOwned(vcpu, vm, cpu.kernel);
  }

  private cpu(vcpu: number): Cpu {
    return this.machine().cpu(vcpu);
  }

  private slotOf(vcpu: number, task: number): number {
    return this.reference.vm(vcpu) * this.slots + task;
  }

  /** Whether no function of the VM's kernel is under way. */
  private isAlone(vm: number): boolean {
    const { vcpus, ports } = this.machine();
    for (const { id, vm: of } of vcpus) if (of === vm && ports[id].suspended !== 0) return false;
    return true;
  }

  /** What the function that has returned was asked for. */
  private follow(vcpu: number, vm: number): void {
    const [a, b] = [this.a[vcpu], this.b[vcpu]];
    const { current } = this.cpu(vcpu).cpuctx;
    switch (this.machine().runningCall(vcpu)) {
      case call.CALL_INSTALL:
        if (this.ret[vcpu] === 0) this.install(vcpu, vm, b);
        break;
      case call.CALL_ENABLE:
        this.switchOn(vm, 1 << a, true);
        break;
      case call.CALL_DISABLE:
        this.switchOn(vm, 1 << a, false);
        break;
      case call.CALL_CLOSE:
        this.close(vm, a);
        break;
      case call.CALL_EXEC:
        this.exec(vm, this.slotOf(vcpu, current));
        break;
      case call.CALL_EXIT:
        this.owned[this.slotOf(vcpu, a)] = 0;
        break;
      case call.CALL_ATTACH:
        this.cgroup[this.slotOf(vcpu, current)] = a;
        break;
      default:
    }
  }

  /** A new event, which is the one of the kernel's that was not there before. */
  private install(vcpu: number, vm: number, b: number): void {
    const { task, attr } = call.openedBy(b);
    const fresh = this.cpu(vcpu).kernel.events.filter(
      ({ id, used, parent }) => used !== 0 && parent === 0 && (this.roots[vm] & (1 << id)) === 0,
    );
    if (fresh.length !== 1) {
      // Two are being opened at once.
      this.lost[vm] = 1;
      return;
    }
    const [{ id }] = fresh;
    const bit = 1 << id;
    const off = (attr & perf.ATTR_DISABLED) !== 0;
    this.roots[vm] |= bit;
    if ((attr & perf.ATTR_INHERIT) !== 0 && task >= 0) this.inherited[vm] |= bit;
    if ((attr & perf.ATTR_ENABLE_ON_EXEC) !== 0) this.onExec[vm] |= bit;
    if (task < 0) {
      this.cgroupOf[vm * GUEST_EVENTS + id] = perf.cgroupAsked(attr);
      if (!off) this.onOfCpu[vcpu] |= bit;
      return;
    }
    const slot = this.slotOf(vcpu, task);
    this.owned[slot] |= bit;
    if (!off) this.on[slot] |= bit;
  }

  private unsureOf(vcpu: number, bit: number): void {
    const vm = this.reference.vm(vcpu);
    for (let slot = vm * this.slots; slot < (vm + 1) * this.slots; slot++) this.unsure[slot] |= bit;
  }

  /** An ioctl is about all that were inherited as well. */
  private switchOn(vm: number, bit: number, on: boolean): void {
    for (let slot = vm * this.slots; slot < (vm + 1) * this.slots; slot++) {
      this.unsure[slot] &= ~bit;
      this.on[slot] = on ? this.on[slot] | bit : this.on[slot] & ~bit;
    }
    for (const { id, vm: of } of this.machine().vcpus) {
      if (of === vm) this.onOfCpu[id] = on ? this.onOfCpu[id] | bit : this.onOfCpu[id] & ~bit;
    }
  }

  private close(vm: number, event: number): void {
    const bit = 1 << event;
    this.switchOn(vm, bit, false);
    for (let slot = vm * this.slots; slot < (vm + 1) * this.slots; slot++) this.owned[slot] &= ~bit;
    for (const words of [this.roots, this.inherited, this.onExec]) words[vm] &= ~bit;
    this.cgroupOf[vm * GUEST_EVENTS + event] = 0;
  }

  /** Which execve of a family enables an event depends on swaps of contexts before. */
  private exec(vm: number, slot: number): void {
    this.unsure[slot] |= this.owned[slot] & this.onExec[vm];
  }

  /** The event that was opened, of one that was inherited. */
  private rootOf(event: perf_event): number {
    return event.parent === 0 ? event.id : event.parent - 1;
  }

  /** Each context of a task holds one event for each that the task owns. */
  private judgeOwned(vcpu: number, vm: number, kernel: Kernel): void {
    const { held, slots } = this;
    held.fill(0);
    for (const event of kernel.events) {
      if (event.used === 0 || event.state <= perf.PERF_EVENT_STATE_EXIT) continue;
      const { task } = kernel.ctx(event.ctx);
      if (task === 0) continue;
      const bit = 1 << this.rootOf(event);
      if ((held[task - 1] & bit) !== 0) this.notOwned(vcpu, task - 1, 'holds an event twice');
      held[task - 1] |= bit;
    }
    for (let task = 0; task < slots; task++) {
      const owned = this.owned[vm * slots + task];
      if (owned !== 0) this.verdicts.reach[REACH['events-judged']]++;
      if (held[task] === owned) continue;
      const lacks = (owned & ~held[task]) !== 0;
      this.notOwned(vcpu, task, lacks ? 'lacks an event of its own' : "holds another's event");
    }
  }

  private notOwned(vcpu: number, task: number, what: string): void {
    this.verdicts.breaksOwn(
      PROPERTY['events-true'],
      () => `v${vcpu}: the context of task ${task} ${what}`,
    );
  }

  /** Of the events of a CPU and of the task that runs there, those that are on count. */
  private judgeCounting(vcpu: number, vm: number, cpu: Cpu, alone: boolean): void {
    const { current } = cpu.cpuctx;
    for (const event of cpu.kernel.events) {
      if (event.used === 0) this.keptOff[vm] &= ~(1 << event.id);
      if (!this.isFor(event, cpu, vm)) {
        if (alone && countsOn(event, cpu.id)) this.wrong(vcpu, event, 'counts and is not for it');
        continue;
      }
      const root = 1 << this.rootOf(event);
      const bit = 1 << event.id;
      const slot = this.slotOf(vcpu, current);
      const ofTask = cpu.kernel.ctx(event.ctx).task !== 0;
      // Which of its family gave way for good is no longer told once contexts are swapped.
      if (event.state === perf.PERF_EVENT_STATE_ERROR) this.unsureOf(vcpu, root);
      const on = ofTask ? this.on[slot] : this.onOfCpu[vcpu];
      const isSure = !ofTask || (this.unsure[slot] & root) === 0;
      const counts = countsOn(event, cpu.id);
      if (this.isKept(event, cpu, vm)) this.keptOff[vm] |= bit;
      else if (counts) this.keptOff[vm] &= ~bit;
      if (!alone || !isSure) continue;
      this.verdicts.reach[REACH['event-scheduled']]++;
      if (counts && (on & root) === 0) this.wrong(vcpu, event, 'counts and is off');
      if (!counts && (on & root) !== 0 && (this.keptOff[vm] & bit) === 0) {
        this.wrong(vcpu, event, 'is on and does not count, and nothing is in its way');
      }
    }
  }

  private wrong(vcpu: number, event: perf_event, what: string): void {
    this.verdicts.breaksOwn(PROPERTY['events-count'], () => `v${vcpu}: event ${event.id} ${what}`);
  }

  /** Whether an event is to count on a CPU now. */
  private isFor(event: perf_event, { id, kernel, cpuctx }: Cpu, vm: number): boolean {
    if (event.used === 0 || event.state <= perf.PERF_EVENT_STATE_EXIT) return false;
    const { task } = kernel.ctx(event.ctx);
    const within = this.cgroup[vm * this.slots + cpuctx.current];
    if (this.cgroupOf[vm * GUEST_EVENTS + event.id] > within) return false;
    return (task === 0 || task === cpuctx.current + 1) && (event.cpu < 0 || event.cpu === id);
  }

  /** Whether others can keep an event from counting: a pinned one is kept by pinned ones alone. */
  private isKept(event: perf_event, cpu: Cpu, vm: number): boolean {
    const pinned = event.attr & perf.ATTR_PINNED;
    let others = 0;
    for (const other of cpu.kernel.events) {
      if (other.id === event.id || !this.isFor(other, cpu, vm)) continue;
      if ((other.attr & pinned) !== pinned || other.state === perf.PERF_EVENT_STATE_OFF) continue;
      if (other.branch_sample_type !== event.branch_sample_type) return true;
      others++;
    }
    return others >= COUNTERS;
  }
}
