/**
 * Where a machine parts from the reference machine: the action in which what a guest has in its LBR
 * registers came to differ, and the code that decided it. A breach is noticed later, when somebody
 * reads.
 *
 * A guest's stack is looked at where the guest could read it: from the first VM entry after its
 * thread has come to a pCPU until the thread leaves. What differs at that entry was not brought
 * back, and the code that should have done so has decided.
 */
import { driverOf, type Kernel } from '../guest/perf/kernel.js';
import { CALL_NAMES } from '../machine/guest_call.js';
import { Observer } from '../host/observer.js';
import { type LbrPolicy, nothing } from '../host/policy/policy.js';
import { addressVm, HOST_VM } from '../hw/branch.js';
import { MSR_CORE_PERF_GLOBAL_STATUS } from '../hw/msr_index.js';
import { totalVcpus } from '../machine/config.js';
import type { Machine } from '../machine/machine.js';
import type { Monitor } from './monitor.js';
import { PROPERTY, type PropertyName } from './properties.js';
import { codeUnderWay } from './c_code.js';
import { type Actor, HARDWARE, type HookName, type RunningHears } from './running.js';
import { type Point, Trail, VcpuTrail, type WrongValue } from './trails.js';
import { type Register, sameFilter, sameRegister, sameStack } from './view.js';

/** The breach as it was noticed, and what led to it. */
export interface Parting {
  readonly by: Breach['by'];
  readonly point: Point;
  /** Index of the action in which the breach was noticed. */
  readonly noticed: number;
  /** What was read wrong, if the breach is about that. */
  readonly wrong: WrongValue | null;
}

/** Hooks that may bring a stack back, those first whose task it is. */
const BRING: readonly HookName[] = ['vcpu_load', 'vcpu_enter', 'handleRequests', 'sched_in'];

/**
 * Functions of a guest's perf that decide about a property which its kernel breaks by itself. In C
 * code of a tree, the last ones of a list are what the compiler has put others into.
 */
const STACK_FUNCTIONS: readonly string[] = [
  '__intel_pmu_lbr_restore',
  'intel_pmu_lbr_sched_task',
  'intel_pmu_lbr_swap_task_ctx',
  'intel_pmu_lbr_add',
  'intel_pmu_lbr_restore',
  'intel_pmu_sched_task',
];
const COUNTING_FUNCTIONS: readonly string[] = ['intel_pmu_lbr_add', 'intel_pmu_lbr_del'];
const FILTER_FUNCTIONS: readonly string[] = ['intel_pmu_lbr_enable_all', '__intel_pmu_enable_all'];
const DECIDING: Readonly<Partial<Record<PropertyName, readonly string[]>>> = {
  'no-leak/task': STACK_FUNCTIONS,
  'callstack-true': STACK_FUNCTIONS,
  'no-loss/task': STACK_FUNCTIONS,
  'sample-true': ['intel_pmu_lbr_add', '__intel_pmu_enable_all'],
  balanced: COUNTING_FUNCTIONS,
  'filter-true': FILTER_FUNCTIONS,
};

function isGuests(edx: number): boolean {
  return addressVm(edx) !== HOST_VM;
}

/** What hardware alone has done only shows what the host has decided. */
function byHost(point: Point | null | undefined): point is Point {
  return point !== null && point !== undefined && point.by !== HARDWARE;
}

/** The property to look out for, and who breaks it. */
export interface Breach {
  readonly property: PropertyName;
  readonly by: 'policy' | 'kernel';
}

/**
 * Watches a run in which a property breaks. It is to hear of each event after the monitor, and of
 * the code that runs (running.ts).
 */
export class PartingWatch extends Observer implements RunningHears {
  parting: Parting | null = null;
  private readonly monitor: Monitor;
  private readonly policy: LbrPolicy;
  private machine: Machine | null = null;
  private breach: Breach | null = null;
  /** A register to watch by itself, that an earlier run has named. */
  private target: Register | null = null;
  private step = 0;
  private order = 0;
  /** Code that is under way, the innermost last, and the code that has ended last. */
  private running: Actor[] = [];
  private ended: Actor = HARDWARE;
  /** C code of the host's tree that has made the last access, the innermost function first. */
  private code: readonly Actor[] = [];
  /** The function of the tree's KVM that has just answered an access of a guest; or null. */
  private emulator: Actor | null = null;
  private vcpus: readonly VcpuTrail[] = [];
  private host: readonly Trail[] = [];
  /** Per pCPU: who accessed the LBR MSRs last, since a vCPU's thread last left. */
  private accessed: (Point | null)[] = [];
  /** The last call of each function of perf, by kernel, CPU and name. */
  private calls: { readonly key: Actor; point: Point }[] = [];

  /** @param policy - the policy itself, as it does not tell when it runs. */
  constructor(monitor: Monitor, policy: LbrPolicy) {
    super();
    this.monitor = monitor;
    this.policy = policy;
  }

  /** A run is to begin, on a machine that is yet to boot. @param target - to watch by itself. */
  start(machine: Machine, breach: Breach, target: Register | null): void {
    this.machine = machine;
    this.breach = breach;
    this.target = target;
    this.parting = null;
    [this.step, this.order] = [0, 0];
    [this.running, this.ended, this.code, this.emulator] = [[], HARDWARE, [], null];
    this.vcpus = Array.from({ length: totalVcpus(machine.config) }, () => new VcpuTrail());
    this.host = machine.pcpus.map(() => new Trail());
    [this.accessed, this.calls] = [[], []];
  }

  /** The i-th action begins. */
  begins(i: number): void {
    this.lookAll(this.code[0] ?? HARDWARE);
    this.code = [];
    this.step = i;
  }

  /** An action has ended: notices what no event has shown. */
  ends(): void {
    this.notice(-1, -1);
  }

  private get watched(): Machine {
    if (this.machine === null) throw new TypeError('a watch is started before the machine boots');
    return this.machine;
  }

  private at(by: Actor): Point {
    const hook = this.running.findLast(({ who }) => who === 'hook');
    const caller = hook ?? this.code.find(({ who }) => who === 'kvm') ?? null;
    const within = by.who === 'perf' && this.isHosts(by) ? caller : null;
    return { step: this.step, order: this.order, by, within };
  }

  /** The code of the host that is under way; a guest's perf is hardware to those who watch it. */
  private get hostCode(): Actor {
    const inside = this.code[0] ?? this.running.at(-1) ?? HARDWARE;
    return this.isHosts(inside) ? inside : HARDWARE;
  }

  private isHosts({ who, kernel }: Actor): boolean {
    return who === 'hook' || (kernel !== null && kernel === this.watched.host.kernel);
  }

  enters(actor: Actor): void {
    this.lookAll(this.hostCode);
    this.code = [];
    this.order++;
    this.running.push(actor);
  }

  accesses(kernel: Kernel, cpu: number): void {
    // A kernel boots before anybody is told of its machine.
    if (this.machine === null) return;
    const { host, config } = this.watched;
    const code = codeUnderWay(driverOf(config).definitions ?? new Map(), kernel, cpu);
    if (code.length === 0) return;
    if (kernel === host.kernel) {
      this.lookAll(this.hostCode);
      this.code = code;
      [this.ended] = code;
    }
    for (const actor of code.toReversed()) {
      this.order++;
      if (actor.who === 'perf') this.called(actor);
    }
  }

  leaves(actor: Actor, result: unknown): void {
    const trail = this.vcpus[actor.cpu];
    if (actor.who === 'perf') this.called(actor);
    else if (trail !== undefined) this.hookLeaves(actor, trail, result);
    this.lookAll(this.hostCode);
    this.code = [];
    this.running.pop();
    if (this.isHosts(actor)) this.ended = actor;
  }

  private called(actor: Actor): void {
    const { kernel, cpu, name } = actor;
    const known = this.calls.find(
      ({ key }) => key.kernel === kernel && key.cpu === cpu && key.name === name,
    );
    const point = this.at(actor);
    if (known === undefined) this.calls.push({ key: actor, point });
    else known.point = point;
  }

  private hookLeaves(actor: Actor, trail: VcpuTrail, result: unknown): void {
    if (actor.name === 'get_state' && result === false && this.hasRecords(actor.cpu)) {
      trail.dropped ??= this.at(actor);
    }
    if (actor.name === 'vcpu_enter') this.entersGuest(actor.cpu, this.at(actor));
  }

  private entersGuest(vcpu: number, entry: Point): void {
    const trail = this.vcpus[vcpu];
    trail.entry = entry;
    if (!trail.arriving) return;
    trail.arriving = false;
    this.lookAtVcpu(vcpu, this.bringer(vcpu, entry));
  }

  /** Who should have brought the vCPU's stack: who was at the registers, or else the policy. */
  private bringer(vcpu: number, entry: Point): Point {
    const { pcpu } = this.watched.vcpus[vcpu];
    const accessed = this.accessed[pcpu];
    if (accessed !== null && accessed !== undefined) return accessed;
    if (this.watched.hypervisor.tree !== null) return entry;
    const name = BRING.find((hook) => this.policy[hook] !== nothing) ?? 'vcpu_load';
    return { ...this.at({ who: 'hook', name, kernel: null, cpu: vcpu }), within: null };
  }

  private hasRecords(vcpu: number): boolean {
    return !this.monitor.reference.of(vcpu).stack.empty;
  }

  private lookAll(by: Actor): void {
    const point = this.at(by);
    for (const { id, pcpu } of this.watched.vcpus) {
      if (pcpu < 0) continue;
      this.lookAtBelief(id, point);
      if (!this.vcpus[id].arriving) this.lookAtVcpu(id, point);
    }
    for (let p = 0; p < this.host.length; p++) this.host[p].look(this.hostHasItsOwn(p), point);
  }

  private lookAtVcpu(vcpu: number, point: Point): void {
    const trail = this.vcpus[vcpu];
    const { reference } = this.monitor;
    trail.stack.look(sameStack(this.watched, reference, vcpu), point);
    trail.filter.look(sameFilter(this.watched, reference, vcpu), point);
    if (this.target === null || this.target.vcpu !== vcpu) return;
    trail.target.look(sameRegister(this.watched, reference, this.target), point);
  }

  /** What the host takes the guest to do. */
  private lookAtBelief(vcpu: number, ran: Point): void {
    const trail = this.vcpus[vcpu];
    const { within } = ran;
    // Perf only does what it is told to.
    const point = within?.who === 'kvm' ? { ...ran, by: within, within: null } : ran;
    const { host, hypervisor, vcpus } = this.watched;
    const event = hypervisor.tree?.hasLbrEvent(vcpus[vcpu]);
    const hasEvent = event ?? host.guestLbrEvent(vcpus[vcpu]) !== 'none';
    const inUse = this.policy.inUse?.(vcpus[vcpu]) !== false;
    const records = this.hasRecords(vcpu);
    if (!records) [trail.dropped, trail.stopped] = [null, null];
    else if (trail.hadEvent && !hasEvent && trail.stack.parted === null) trail.dropped ??= point;
    if (inUse) trail.stopped = null;
    else if (records && trail.wasInUse) trail.stopped ??= point;
    trail.hadEvent = hasEvent;
    trail.wasInUse = inUse;
  }

  /** Whether no guest's record, and no guest's filter, is where an event of the host's counts. */
  private hostHasItsOwn(pcpu: number): boolean {
    const { host, hypervisor, pcpus } = this.watched;
    if (!host.hostLbrActive(pcpu) || hypervisor.lentOut(pcpu)) return true;
    const { stack } = pcpus[pcpu];
    const { cpuc } = host.kernel.cpus[pcpu];
    const filtered = stack.model.select === 'none';
    const filter = filtered || stack.lbr_select === (cpuc.lbr_sel_config & 0x3ff);
    return filter && !stack.hasRecord(isGuests);
  }

  // What is noticed.

  /** Ends the search if the property has just been broken. */
  private notice(vcpu: number, pcpu: number, wrong: WrongValue | null = null): void {
    if (this.parting !== null || this.breach === null) return;
    const { verdicts } = this.monitor;
    const { property, by } = this.breach;
    const index = PROPERTY[property];
    const broken = by === 'kernel' ? verdicts.own : verdicts.broken;
    if (broken[index] === 0) return;
    const about = wrong ?? this.wrongOf(vcpu);
    const point =
      by === 'kernel'
        ? this.decidedInGuest(property, vcpu)
        : this.decidedInHost(property, vcpu, pcpu, about);
    this.parting = { by, point, noticed: this.step, wrong: by === 'kernel' ? null : about };
  }

  private wrongOf(vcpu: number): WrongValue | null {
    return this.vcpus[vcpu]?.wrong?.value ?? null;
  }

  private decidedInGuest(property: PropertyName, vcpu: number): Point {
    const here = this.watched.cpu(Math.max(0, vcpu));
    const names = DECIDING[property];
    const found = this.calls
      .filter(({ key }) => key.kernel === here.kernel && key.cpu === here.id)
      .filter(({ key }) => names === undefined || names.includes(key.name))
      .map(({ point }) => point)
      .sort((a, b) => b.order - a.order);
    if (found.length > 0) return found[0];
    const name = CALL_NAMES[this.watched.runningCall(Math.max(0, vcpu))];
    // No function runs.
    if (name === '') return this.at(HARDWARE);
    return this.at({ who: 'perf', name, kernel: here.kernel, cpu: here.id });
  }

  private decidedInHost(
    property: PropertyName,
    vcpu: number,
    pcpu: number,
    wrong: WrongValue | null,
  ): Point {
    const trail = this.vcpus[vcpu];
    const now = this.now(trail);
    switch (property) {
      case 'no-loss/callstack':
      case 'no-loss/any':
      case 'no-leak/vm':
      case 'no-leak/task':
      case 'callstack-true':
      case 'sample-true':
        return trail === undefined ? now : this.lost(trail, wrong, now);
      case 'no-premature-stop':
        return trail?.stopped ?? trail?.dropped ?? now;
      case 'recorder-owned':
        return byHost(trail?.stack.parted) ? trail.stack.parted : (trail?.entry ?? now);
      case 'host-intact':
        return this.hostParted(pcpu) ?? now;
      case 'balanced':
        return this.lastOfHost(pcpu, COUNTING_FUNCTIONS) ?? this.lastOfHost(pcpu) ?? now;
      case 'no-needless-switch':
        return this.accessed[pcpu] ?? now;
      default:
        return now;
    }
  }

  /** The code that runs, or has just answered an access; hardware does as the entry has it. */
  private now(trail: VcpuTrail | undefined): Point {
    const inside = this.emulator ?? this.hostCode;
    if (inside !== HARDWARE) return this.at(inside);
    const answered = this.watched.hypervisor.intercepted && this.ended.who === 'hook';
    if (answered) return this.at(this.ended);
    return trail?.entry ?? this.at(this.ended);
  }

  /** The register that was read, else the records as a whole, else which branches are recorded. */
  private lost(trail: VcpuTrail, wrong: WrongValue | null, now: Point): Point {
    const trails = [trail.target, trail.stack, trail.filter];
    const parted = trails.map((one) => one.parted).find((point) => byHost(point)) ?? now;
    const { dropped } = trail;
    const wanted = wrong !== null && (wrong.expected.lo | wrong.expected.hi) !== 0;
    return wanted && dropped !== null && dropped.order < parted.order ? dropped : parted;
  }

  private hostParted(pcpu: number): Point | null {
    const parted = this.host[pcpu]?.parted ?? null;
    if (parted === null || parted.by !== HARDWARE) return parted;
    const loaded = this.watched.loaded(pcpu);
    return loaded === null ? parted : (this.vcpus[loaded.id].entry ?? parted);
  }

  /** The last call of some functions of the host's perf; by default, of any. */
  private lastOfHost(pcpu: number, names?: readonly string[]): Point | null {
    const { kernel } = this.watched.host;
    const found = this.calls
      .filter(({ key }) => key.kernel === kernel && key.cpu === pcpu)
      .filter(({ key }) => names === undefined || names.includes(key.name))
      .map(({ point }) => point)
      .sort((a, b) => b.order - a.order);
    return found[0] ?? null;
  }

  private noticeVcpu(vcpu: number): void {
    this.notice(vcpu, this.watched.vcpus[vcpu].pcpu);
  }

  private noticePcpu(pcpu: number): void {
    this.notice(this.watched.loaded(pcpu)?.id ?? -1, pcpu);
  }

  /** A guest's access is over, which a function of the tree's KVM has answered if it has exited. */
  private emulates(name: string): void {
    const { hypervisor, host } = this.watched;
    const answered = hypervisor.tree !== null && hypervisor.intercepted;
    this.emulator = answered ? { who: 'kvm', name, kernel: host.kernel, cpu: -1 } : null;
  }

  override guestRead(vcpu: number, msr: number, eax: number, edx: number): void {
    const trail = this.vcpus[vcpu];
    this.emulates('kvm_emulate_rdmsr');
    if (msr === MSR_CORE_PERF_GLOBAL_STATUS) trail.wrong = null;
    const { reference } = this.monitor;
    const own = reference.of(vcpu);
    const expected = { lo: own.rdmsr(msr), hi: own.edx };
    const wrong = reference.isCompared(msr) && (expected.lo !== eax || expected.hi !== edx);
    const value = wrong ? { vcpu, msr, expected, found: { lo: eax, hi: edx } } : null;
    if (value !== null) trail.wrong ??= { value, point: this.now(trail) };
    this.notice(vcpu, this.watched.vcpus[vcpu].pcpu, value);
    this.emulator = null;
  }

  override guestWrite(vcpu: number): void {
    this.emulates('kvm_emulate_wrmsr');
    // What has emulated the write has ended before the reference has it.
    const { intercepted } = this.watched.hypervisor;
    this.lookAll(intercepted ? (this.emulator ?? this.ended) : HARDWARE);
    this.noticeVcpu(vcpu);
    this.emulator = null;
  }

  override guestFault(vcpu: number, _msr: number, write: boolean): void {
    this.emulates(write ? 'kvm_emulate_wrmsr' : 'kvm_emulate_rdmsr');
    this.noticeVcpu(vcpu);
    this.emulator = null;
  }

  override guestBranch(vcpu: number): void {
    this.noticeVcpu(vcpu);
  }

  override hostAccess(pcpu: number): void {
    const inside = this.hostCode;
    this.accessed[pcpu] = this.at(inside === HARDWARE ? this.ended : inside);
    this.noticePcpu(pcpu);
  }

  override hostStack(pcpu: number): void {
    this.hostAccess(pcpu);
  }

  override hostFault(pcpu: number): void {
    this.noticePcpu(pcpu);
  }

  override entered(vcpu: number): void {
    this.entersGuest(vcpu, this.at(this.hostCode));
    this.noticeVcpu(vcpu);
  }

  override entryFailed(vcpu: number): void {
    this.noticeVcpu(vcpu);
  }

  override exited(vcpu: number): void {
    this.noticeVcpu(vcpu);
  }

  override vcpuSwitch(vcpu: number, pcpu: number, scheduledIn: boolean): void {
    this.notice(vcpu, pcpu);
    this.vcpus[vcpu].arriving = true;
    if (!scheduledIn) this.accessed[pcpu] = null;
  }

  override guestSample(vcpu: number): void {
    this.noticeVcpu(vcpu);
  }

  override hostSample(pcpu: number): void {
    this.noticePcpu(pcpu);
  }

  override hostBranch(pcpu: number): void {
    this.noticePcpu(pcpu);
  }

  override guestIdle(vcpu: number): void {
    this.noticeVcpu(vcpu);
  }
}
