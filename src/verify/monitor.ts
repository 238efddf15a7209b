/**
 * Watches a machine and says which property it breaks. Beside it runs the reference machine: each
 * vCPU's guest on a pCPU of its own. Until a guest reads something that it would not have read
 * there, the two are the same guest, for a guest depends on its memory and its reads alone; so
 * the reference needs no kernel of its own, only its registers, driven by the same accesses and
 * branches.
 *
 * That also tells whose fault a wrong sample is: before the first wrong read it is the guest
 * kernel's own, and would be wrong on the reference machine, too.
 */
import { LBR_CALL_STACK } from '../hw/msr_index.js';
import type { Kernel } from '../guest/perf/kernel.js';
import { PERF_EVENT_STATE_ACTIVE } from '../guest/perf/perf_event.js';
import {
  PERF_SAMPLE_BRANCH_CALL_STACK,
  PERF_SAMPLE_BRANCH_USER,
} from '../guest/perf/perf_event.js';
import * as branch from '../hw/branch.js';
import type { CpuModel } from '../hw/cpu_models.js';
import type { LbrMap } from '../hw/lbr_map.js';
import { KIND_FROM, KIND_INFO, KIND_NONE, KIND_TO, lbrMap } from '../hw/lbr_map.js';
import { LogicalProcessor } from '../hw/logical_processor.js';
import { Layout, Memory } from '../hw/memory.js';
import * as msrs from '../hw/msr_index.js';
import type { Observer } from '../host/observer.js';
import { HOST } from '../host/observer.js';
import type { PropertyName } from '../host/policy/policy.js';
import { PROPERTY_NAMES } from '../host/policy/policy.js';
import type { MachineConfig } from '../sim/config.js';
import { taskSlots, totalVcpus } from '../sim/config.js';
import { CALL_RDMSR, CALL_SWITCH, CALL_WRMSR } from '../sim/guest_call.js';
import type { Machine } from '../sim/machine.js';
import { guestKernelConfig, mispredicted } from '../sim/machine.js';
import type { ReachName } from './properties.js';
import { propertyIndex, REACH_NAMES, reachIndex } from './properties.js';
import { ShadowStacks } from './shadow_stack.js';

/** DEBUGCTL bits that KVM lets a guest have. */
const GUEST_DEBUGCTL: number = msrs.DEBUGCTLMSR_LBR | msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI;

/** Nobody's records. */
const NOBODY = -2;

const P = Object.fromEntries(PROPERTY_NAMES.map((name) => [name, propertyIndex(name)])) as Record<
  PropertyName,
  number
>;
const R = Object.fromEntries(REACH_NAMES.map((name) => [name, reachIndex(name)])) as Record<
  ReachName,
  number
>;

export class Monitor implements Observer {
  /** Per property: whether it was broken, and how, the first time. */
  readonly broken: Uint8Array = new Uint8Array(PROPERTY_NAMES.length);
  readonly details: string[] = PROPERTY_NAMES.map(() => '');
  /** Per property: broken by the guest's kernel itself, as it would be on a pCPU of its own. */
  readonly own: Uint8Array = new Uint8Array(PROPERTY_NAMES.length);
  readonly ownDetails: string[] = PROPERTY_NAMES.map(() => '');
  /** Whether anything new was broken since this was last reset. */
  news = false;
  readonly reach: Float64Array = new Float64Array(REACH_NAMES.length);

  private readonly config: MachineConfig;
  private readonly model: CpuModel;
  private readonly map: LbrMap;
  private machine!: Machine;
  private readonly references: LogicalProcessor[] = [];
  private readonly memory: Memory;
  private readonly shadow: ShadowStacks;
  private readonly tasks: number;
  private readonly tracked: Uint8Array;
  /** Per VM: no use of LBR so far that would make exact call stacks unpredictable. */
  private readonly plain: Uint8Array;
  private readonly tainted: Uint8Array;
  /** Per pCPU: the vCPU whose records the registers hold, HOST or NOBODY. */
  private readonly holder: Int32Array;
  private readonly hostDebugctlWas: Int32Array;
  private readonly hostWork: Int32Array;
  private readonly guestRecorded: Uint8Array;
  /** Per vCPU. */
  private readonly other: Uint8Array;
  private readonly work: Uint8Array;
  private readonly needless: Int32Array;
  private readonly used: Uint8Array;
  private readonly dropped: Uint8Array;
  private readonly mayBeEmpty: Uint8Array;
  private readonly lastTask: Int32Array;
  private readonly writesInCall: Int32Array;
  private readonly readsInCall: Int32Array;

  constructor(config: MachineConfig) {
    this.config = config;
    // The reference machine's PMU is the one the guest is told of, in silicon.
    const guest = guestKernelConfig(config);
    this.model = { ...config.model, pmu_version: guest.pmu_version };
    this.map = lbrMap(this.model);
    const vcpus = totalVcpus(config);
    const layout = new Layout();
    const at = Array.from({ length: vcpus }, () => LogicalProcessor.allocate(layout, this.model));
    this.memory = new Memory(layout);
    for (const o of at) this.references.push(new LogicalProcessor(this.memory, this.model, o));
    this.tasks = taskSlots(config);
    this.shadow = new ShadowStacks(config.vms * this.tasks, config.model.lbr_nr);
    this.tracked = new Uint8Array(config.vms * this.tasks);
    this.plain = new Uint8Array(config.vms);
    this.tainted = new Uint8Array(config.vms);
    this.holder = new Int32Array(config.pcpus);
    this.hostDebugctlWas = new Int32Array(config.pcpus);
    this.hostWork = new Int32Array(config.pcpus);
    this.guestRecorded = new Uint8Array(config.pcpus);
    this.other = new Uint8Array(vcpus);
    this.work = new Uint8Array(vcpus);
    this.needless = new Int32Array(vcpus);
    this.used = new Uint8Array(vcpus);
    this.dropped = new Uint8Array(vcpus);
    this.mayBeEmpty = new Uint8Array(vcpus);
    this.lastTask = new Int32Array(vcpus);
    this.writesInCall = new Int32Array(vcpus);
    this.readsInCall = new Int32Array(vcpus);
  }

  /** Must be called once, with the machine that this observes, and before each of its boots. */
  start(machine: Machine): void {
    this.machine = machine;
    this.memory.words.fill(0);
    this.shadow.clear();
    this.broken.fill(0);
    this.own.fill(0);
    this.news = false;
    this.plain.fill(1);
    this.holder.fill(NOBODY);
    this.lastTask.fill(-1);
    for (const words of [this.tracked, this.tainted, this.guestRecorded, this.other]) words.fill(0);
    for (const words of [this.work, this.used, this.dropped]) words.fill(0);
    for (const words of [this.hostDebugctlWas, this.hostWork, this.needless]) words.fill(0);
    this.writesInCall.fill(0);
    this.readsInCall.fill(0);
    this.mayBeEmpty.fill(1);
  }

  /** The reference machine's registers of a vCPU. */
  reference(vcpu: number): LogicalProcessor {
    return this.references[vcpu];
  }

  private breaks(property: number, detail: () => string): void {
    if (this.broken[property] !== 0) return;
    this.broken[property] = 1;
    this.details[property] = detail();
    this.news = true;
  }

  /** What the guest's kernel does wrong by itself counts against no policy. */
  private breaksOwn(vcpu: number, property: number, detail: () => string): void {
    // An NMI inside a kernel function races with that function on any machine.
    const { nested } = this.machine.ports[vcpu];
    if (this.tainted[this.vm(vcpu)] !== 0 && !nested) {
      this.breaks(property, detail);
    } else if (this.own[property] === 0) {
      this.own[property] = 1;
      this.ownDetails[property] = detail();
      this.news = true;
    }
  }

  /** Counts do not depend on what is read: what is wrong with them is the guest kernel's own. */
  private unbalanced(detail: () => string): void {
    if (this.own[P.balanced] !== 0) return;
    this.own[P.balanced] = 1;
    this.ownDetails[P.balanced] = detail();
    this.news = true;
  }

  private vm(vcpu: number): number {
    return this.machine.vcpus[vcpu].vm;
  }

  private stackOf(vcpu: number, task: number): number {
    return this.vm(vcpu) * this.tasks + task;
  }

  private isLbr(msr: number): boolean {
    return this.map.kind(msr) !== KIND_NONE;
  }

  private inCallstackMode(vcpu: number): boolean {
    const { cpuc } = this.machine.cpu(vcpu);
    const { lbr_select } = this.references[vcpu].stack;
    return cpuc.lbr_users > 0 && (lbr_select & LBR_CALL_STACK) !== 0;
  }

  guestRead(vcpu: number, msr: number, eax: number, edx: number): void {
    const lbr = this.isLbr(msr);
    if (!lbr && msr !== msrs.MSR_IA32_DEBUGCTLMSR) return;
    const reference = this.references[vcpu];
    const wanted = reference.rdmsr(msr);
    const wantedHi = reference.edx;
    const empty = (wanted | wantedHi) === 0;
    if (lbr) {
      this.touched(vcpu);
      this.readsInCall[vcpu]++;
      if (this.other[vcpu] !== 0) {
        this.reach[R['foreign-in-registers']]++;
        if (!empty) {
          this.reach[R['read-after-other']]++;
          if (this.inCallstackMode(vcpu)) this.reach[R['callstack-read-after-other']]++;
        }
      }
    }
    if (msr === msrs.MSR_LBR_TOS && eax !== wanted && this.bothEmpty(vcpu)) {
      reference.wrmsr(msr, eax, 0);
    } else if (eax !== wanted || edx !== wantedHi)
      this.wrongRead(vcpu, msr, eax, edx, wanted, wantedHi);
    else if (!empty && lbr) this.dropped[vcpu] = 0;
  }

  /**
   * Whether the guest has no record here nor on the reference machine. Then TOS may be anything:
   * perf's own reset leaves it as it was, and no record is lost by it.
   */
  private bothEmpty(vcpu: number): boolean {
    const { pcpu, records } = this.machine.vcpus[vcpu];
    if (!this.references[vcpu].stack.empty) return false;
    const live = this.machine.vcpus[vcpu].msr_passthrough;
    return (live ? this.machine.pcpus[pcpu].stack : records).empty;
  }

  private wrongRead(
    vcpu: number,
    msr: number,
    eax: number,
    edx: number,
    wanted: number,
    wantedHi: number,
  ): void {
    const text = (): string => wrongReadText(this.model, vcpu, msr, eax, edx, wanted, wantedHi);
    this.tainted[this.vm(vcpu)] = 1;
    this.breaks(P['no-loss/any'], text);
    if (this.isLbr(msr) && this.inCallstackMode(vcpu)) this.breaks(P['no-loss/callstack'], text);
    const notEmpty = (wanted | wantedHi) !== 0;
    if (notEmpty && this.isLbr(msr) && this.dropped[vcpu] !== 0) {
      this.breaks(P['no-premature-stop'], text);
    }
    const owner = recordOwner(this.model, msr, eax, edx);
    if (owner >= 0 && owner !== this.vm(vcpu)) this.breaks(P['no-leak/vm'], text);
  }

  guestWrite(vcpu: number, msr: number, eax: number, edx: number): void {
    const reference = this.references[vcpu];
    if (msr === msrs.MSR_IA32_DEBUGCTLMSR) {
      reference.wrmsr(msr, eax & GUEST_DEBUGCTL, 0);
      if ((eax & msrs.DEBUGCTLMSR_LBR) !== 0) this.touched(vcpu);
      return;
    }
    if (!this.isLbr(msr)) return;
    this.touched(vcpu);
    this.mayBeEmpty[vcpu] = 1;
    this.writesInCall[vcpu]++;
    const { pcpu, in_guest } = this.machine.vcpus[vcpu];
    if (in_guest) this.holds(pcpu, vcpu);
    if (reference.wrmsr(msr, eax, edx) !== 0) {
      this.breaks(P['no-fault'], () => `v${vcpu}: WRMSR ${msr.toString(16)} should have faulted`);
    }
  }

  /** The guest uses LBR: what the host did before that was not in vain. */
  private touched(vcpu: number): void {
    this.used[vcpu] = 1;
    this.needless[vcpu] = 0;
    this.reach[R['lbr-access']]++;
  }

  /** Records of a vCPU are in the registers of a pCPU: those of every other one are not. */
  private holds(pcpu: number, vcpu: number): void {
    if (this.holder[pcpu] === vcpu) return;
    this.holder[pcpu] = vcpu;
    for (let v = 0; v < this.other.length; v++) if (v !== vcpu) this.other[v] = 1;
  }

  guestFault(vcpu: number, msr: number, write: boolean): void {
    const text = (): string =>
      `v${vcpu}: #GP on ${write ? 'WRMSR' : 'RDMSR'} 0x${msr.toString(16)}`;
    const raw = this.rawAccess(vcpu);
    const reference = this.references[vcpu];
    if (this.isLbr(msr)) this.touched(vcpu);
    const exists = this.isLbr(msr) || msr === msrs.MSR_IA32_DEBUGCTLMSR;
    if (!write) reference.rdmsr(msr);
    const faults = write || !exists || reference.vector !== 0;
    if (raw && faults) return;
    if (faults) this.breaksOwn(vcpu, P['no-fault'], text);
    else this.breaks(P['no-fault'], text);
  }

  private rawAccess(vcpu: number): boolean {
    const fn = this.machine.runningCall(vcpu);
    return fn === CALL_RDMSR || fn === CALL_WRMSR;
  }

  guestBranch(
    vcpu: number,
    kind: number,
    cpl: number,
    seq: number,
    fromHi: number,
    toHi: number,
  ): void {
    const { machine } = this;
    const { pcpu, vm } = machine.vcpus[vcpu];
    const cpu = machine.pcpus[pcpu];
    if (cpu.recording) this.records(vcpu, pcpu, cpu.captures(kind, cpl));
    const reference = this.references[vcpu];
    if (reference.recording) {
      this.touched(vcpu);
      const cycles = branch.branchCycles(vm, seq);
      reference.branch(kind, cpl, seq, fromHi, seq, toHi, mispredicted(seq), cycles);
    }
    if (cpl === 0) return;
    const stack = this.stackOf(vcpu, machine.cpu(vcpu).cpuctx.current);
    if (kind === branch.BRANCH_REL_CALL || kind === branch.BRANCH_IND_CALL) {
      this.shadow.push(stack, seq);
      if (this.shadow.tracked(stack) === this.model.lbr_nr) this.reach[R.wrapped]++;
    } else if (kind === branch.BRANCH_RET) {
      this.mayBeEmpty[vcpu] = 1;
      this.shadow.pop(stack);
    } else if (kind === branch.BRANCH_ZERO_CALL) {
      // Hardware takes it for a frame, so from here on a call stack may be off by one.
      this.plain[vm] = 0;
    }
  }

  /** Hardware is on for this vCPU: whose records does it add to? */
  private records(vcpu: number, pcpu: number, captured: boolean): void {
    if (this.other[vcpu] !== 0) this.reach[R['recorded-after-other']]++;
    if (this.mayBeEmpty[vcpu] !== 0) {
      if (this.bothEmpty(vcpu)) {
        const { tos } = this.machine.pcpus[pcpu].stack;
        this.references[vcpu].wrmsr(msrs.MSR_LBR_TOS, tos, 0);
      }
      if (captured) this.mayBeEmpty[vcpu] = 0;
    }
    if (this.holder[pcpu] !== vcpu) {
      const { vm, cpu } = this.machine.vcpus[vcpu];
      // A task that migrates brings records of another vCPU along: its kernel has written them.
      const foreign = this.machine.pcpus[pcpu].stack.differsFrom(
        this.references[vcpu].stack,
        (edx) => branch.addressVcpu(edx) !== cpu || branch.addressVm(edx) !== vm,
      );
      if (foreign) {
        this.breaks(P['recorder-owned'], () => `v${vcpu} records on p${pcpu} over foreign records`);
      }
    }
    if (captured) {
      this.holds(pcpu, vcpu);
      this.guestRecorded[pcpu] = 1;
    }
  }

  hostAccess(pcpu: number, onBehalf: number, _msr: number, write: boolean): void {
    this.hostStack(pcpu, onBehalf, 1, write);
  }

  hostStack(pcpu: number, onBehalf: number, accesses: number, write: boolean): void {
    if (onBehalf === HOST) {
      this.hostWork[pcpu] += accesses;
      if (write) this.holder[pcpu] = NOBODY;
      return;
    }
    this.reach[R['policy-access']] += accesses;
    this.work[onBehalf] = 1;
    if (write && this.holder[pcpu] !== onBehalf) this.holder[pcpu] = NOBODY;
    const { host } = this.machine;
    const loaded = this.machine.loaded(pcpu);
    if (loaded === null || loaded.id !== onBehalf) {
      this.breaks(
        P['owner-only'],
        () => `p${pcpu}: LBR MSRs accessed for v${onBehalf}, which is not loaded`,
      );
    } else if (host.host_lbr_active(pcpu) && !this.machine.lentOut(pcpu)) {
      this.breaks(
        P['owner-only'],
        () => `p${pcpu}: LBR MSRs accessed for v${onBehalf}; they are the host event’s`,
      );
    }
  }

  hostDebugctl(pcpu: number, value: number): void {
    this.hostDebugctlWas[pcpu] = value;
  }

  hostFault(pcpu: number, msr: number, write: boolean): void {
    this.breaks(
      P['no-fault'],
      () => `p${pcpu}: host #GP on ${write ? 'WRMSR' : 'RDMSR'} 0x${msr.toString(16)}`,
    );
  }

  entryFailed(vcpu: number): void {
    this.breaks(P['no-fault'], () => `v${vcpu}: VM entry failed`);
  }

  exited(vcpu: number): void {
    const { pcpu } = this.machine.vcpus[vcpu];
    const is = this.machine.pcpus[pcpu].debugctl;
    const was = this.hostDebugctlWas[pcpu];
    if (is !== was) {
      this.breaks(P['host-intact'], () => `p${pcpu}: DEBUGCTL is ${is} after an exit, was ${was}`);
    }
    if (this.machine.host.host_lbr_active(pcpu)) this.reach[R['contended-entry']]++;
    this.stopCheck(vcpu);
  }

  /** Notes when the policy takes the guest to have stopped while there are records to keep. */
  private stopCheck(vcpu: number): void {
    if (this.dropped[vcpu] !== 0) return;
    const { policy } = this.config;
    if (policy.inUse(this.machine.vcpus[vcpu]) !== false) return;
    if (this.references[vcpu].stack.empty) return;
    this.dropped[vcpu] = 1;
    this.reach[R['stop-with-records']]++;
  }

  vcpuSwitch(vcpu: number, pcpu: number, scheduledIn: boolean): void {
    const { machine } = this;
    const { perf } = machine.kvm;
    const port = machine.ports[vcpu];
    const hasEvent = perf.guest_lbr_event(machine.vcpus[vcpu]) !== 'none';
    if (hasEvent && this.hostWork[pcpu] > 0) {
      this.work[vcpu] = 1;
      if (scheduledIn && this.hostWork[pcpu] === 1) this.reach[R['host-shortcut']]++;
    }
    this.hostWork[pcpu] = 0;
    if (port.suspended !== 0 && !scheduledIn) {
      this.reach[R['switch-in-function']]++;
      const { cpuc } = machine.cpu(vcpu);
      const off = (this.references[vcpu].debugctl & msrs.DEBUGCTLMSR_LBR) === 0;
      if (cpuc.lbr_users > 0 && off) this.reach[R['switch-in-lbr-off-window']]++;
    }
    this.needlessCheck(vcpu);
    if (this.config.policy.pv !== 'none') this.activeCheck(vcpu);
    this.stopCheck(vcpu);
    this.hostBalance(pcpu);
  }

  private needlessCheck(vcpu: number): void {
    const worked = this.work[vcpu] !== 0;
    this.work[vcpu] = 0;
    const recording = (this.references[vcpu].debugctl & msrs.DEBUGCTLMSR_LBR) !== 0;
    const { cpuc } = this.machine.cpu(vcpu);
    if (this.machine.ports[vcpu].suspended !== 0 || cpuc.lbr_users > 0 || recording) return;
    if (this.used[vcpu] === 0) return;
    this.reach[R['switch-after-stop']]++;
    if (!worked) return;
    const k = this.config.policy.needlessSwitches;
    if (k !== null && ++this.needless[vcpu] > k) {
      this.breaks(
        P['no-needless-switch'],
        () => `v${vcpu}: ${k + 1} switches saved or restored after the guest had stopped`,
      );
    }
  }

  private activeCheck(vcpu: number): void {
    const { machine } = this;
    if (machine.booting(vcpu)) return;
    const active = machine.vcpus[vcpu].pv_lbr_ctrl !== 0;
    if (active) this.reach[R['switch-while-active']]++;
    const cpu = machine.cpu(vcpu);
    let users = 0;
    for (const event of cpu.kernel.events) {
      const counts = event.used !== 0 && event.state === PERF_EVENT_STATE_ACTIVE;
      if (counts && event.oncpu === cpu.id && isUserCallstack(event.branch_sample_type)) users++;
    }
    const inside = machine.ports[vcpu].suspended !== 0;
    const recording = (this.references[vcpu].debugctl & msrs.DEBUGCTLMSR_LBR) !== 0;
    const wrong = inside
      ? !active && users > 0 && recording && this.inCallstackMode(vcpu)
      : active !== users > 0;
    if (wrong) {
      this.breaks(
        P['active-agrees'],
        () => `v${vcpu}: ACTIVE is ${active ? 1 : 0} with ${users} call-stack users`,
      );
    }
  }

  guestPmi(vcpu: number, counter: number): void {
    const reference = this.references[vcpu];
    const before = reference.debugctl;
    reference.counterOverflow(counter);
    if (reference.debugctl !== before) this.reach[R['legacy-freeze']]++;
  }

  guestSample(vcpu: number, event: number): void {
    const { kernel, cpuc, cpuctx } = this.machine.cpu(vcpu);
    const { current } = cpuctx;
    const w = kernel.words;
    if (this.lastTask[vcpu] !== current) {
      if (this.lastTask[vcpu] >= 0) this.reach[R['sample-after-other-task']]++;
      this.lastTask[vcpu] = current;
    }
    const cpu = this.machine.cpu(vcpu);
    for (let i = 0; i < cpuc.lbr_stack_nr; i++) {
      const hi = w[cpu.lbr_entry(i) + 1];
      if (w[cpu.lbr_entry(i)] === 0 || branch.addressTask(hi) === current) continue;
      if (branch.addressVm(hi) !== this.vm(vcpu)) continue;
      this.breaksOwn(
        vcpu,
        P['no-leak/task'],
        () => `v${vcpu}: a sample of task ${current} holds a branch of task ${hi & 31}`,
      );
      break;
    }
    if (isUserCallstack(kernel.events[event].branch_sample_type)) {
      this.callstackSample(vcpu, event);
    }
  }

  private callstackSample(vcpu: number, event: number): void {
    const cpu = this.machine.cpu(vcpu);
    const { cpuc, cpuctx, kernel } = cpu;
    const type = kernel.events[event].branch_sample_type;
    if ((type & ~CALLSTACK_USER) !== 0) return;
    const nr = cpuc.lbr_stack_nr;
    if (nr > 0) this.reach[R['callstack-sample']]++;
    const stack = this.stackOf(vcpu, cpuctx.current);
    let good = nr <= this.shadow.depth(stack);
    for (let i = 0; good && i < nr; i++) {
      good = kernel.words[cpu.lbr_entry(i)] === this.shadow.frame(stack, i);
    }
    const exact = this.plain[this.vm(vcpu)] !== 0 && !this.machine.ports[vcpu].nested;
    if (good && exact && this.tracked[stack] !== 0) good = nr === this.shadow.tracked(stack);
    if (!good) {
      this.breaksOwn(
        vcpu,
        P['callstack-true'],
        () => `v${vcpu}: a sample of ${nr} frames is not the innermost part of the call stack`,
      );
    }
  }

  hostSample(pcpu: number, _event: number): void {
    const cpu = this.machine.host.kernel.cpus[pcpu];
    const w = cpu.kernel.words;
    if (this.guestRecorded[pcpu] !== 0) {
      this.reach[R['host-sample-after-guest']]++;
      this.guestRecorded[pcpu] = 0;
    }
    for (let i = 0; i < cpu.cpuc.lbr_stack_nr; i++) {
      const at = cpu.lbr_entry(i);
      const hi = w[at + 1];
      if ((w[at] | hi) === 0 || branch.addressVm(hi) === branch.HOST_VM) continue;
      this.breaks(
        P['host-intact'],
        () => `p${pcpu}: a host sample holds a branch of VM ${branch.addressVm(hi)}`,
      );
      return;
    }
  }

  hostBranch(pcpu: number): void {
    const { cpuc } = this.machine.host.kernel.cpus[pcpu];
    const { lbr_select } = this.machine.pcpus[pcpu].stack;
    if (this.model.select !== 'none' && lbr_select !== (cpuc.lbr_sel_config & 0x3ff)) {
      this.breaks(
        P['host-intact'],
        () => `p${pcpu}: the host records with LBR_SELECT ${lbr_select}`,
      );
    }
    this.holder[pcpu] = HOST;
    this.other.fill(1);
  }

  cstate(pcpu: number): void {
    if (this.model.cstate_wipe) this.holder[pcpu] = NOBODY;
  }

  guestIdle(vcpu: number): void {
    const { machine } = this;
    const cpu = machine.cpu(vcpu);
    const { kernel } = cpu;
    this.balance(vcpu, kernel);
    this.track(vcpu, kernel);
    this.countShortcuts(vcpu);
    this.writesInCall[vcpu] = 0;
    this.readsInCall[vcpu] = 0;
  }

  private countShortcuts(vcpu: number): void {
    if (this.machine.runningCall(vcpu) !== CALL_SWITCH) return;
    const { kernel, cpuctx, cpuc } = this.machine.cpu(vcpu);
    const ctx = kernel.tasks[cpuctx.current].perf_event_ctxp;
    if (ctx === 0 || cpuc.lbr_users === 0) return;
    const data = kernel.ctx(ctx).task_ctx_data;
    const untouched = this.writesInCall[vcpu] === 0 && this.readsInCall[vcpu] > 0;
    if (data !== 0 && cpuc.last_task_ctx === data && untouched) this.reach[R['guest-shortcut']]++;
  }

  private balance(vcpu: number, kernel: Kernel): void {
    const cpu = this.machine.cpu(vcpu);
    const { cpuc, cpuctx } = cpu;
    let counting = 0;
    for (const event of kernel.events) {
      if (event.used === 0 || event.state !== PERF_EVENT_STATE_ACTIVE) continue;
      if (event.oncpu === cpu.id) counting++;
    }
    if (counting > 0 || cpuc.lbr_users !== 0) this.reach[R['balance-checked']]++;
    const even =
      cpuc.lbr_users === counting &&
      cpuctx.sched_cb_usage === counting &&
      cpuctx.perf_sched_cb_usages === counting &&
      cpuctx.pmu_disable_count === 0;
    if (!even || !callstackUsersBalance(kernel)) {
      this.unbalanced(() => `v${vcpu}: ${counting} events count, lbr_users is ${cpuc.lbr_users}`);
    }
  }

  private hostBalance(pcpu: number): void {
    const cpu = this.machine.host.kernel.cpus[pcpu];
    const { cpuc } = cpu;
    if (cpuc.lbr_users === 0 && cpuc.n_events === 0) return;
    let counting = 0;
    for (const event of cpu.kernel.events) {
      if (event.used === 0 || event.state !== PERF_EVENT_STATE_ACTIVE) continue;
      if (event.oncpu === pcpu) counting++;
    }
    if (cpuc.lbr_users !== counting || cpu.cpuctx.sched_cb_usage !== counting) {
      this.breaks(P.balanced, () => `p${pcpu}: ${counting} host events, ${cpuc.lbr_users} users`);
    }
  }

  /** Notes from when on the hardware can know of a task's frames. */
  private track(vcpu: number, kernel: Kernel): void {
    const cpu = this.machine.cpu(vcpu);
    const { current } = cpu.cpuctx;
    const stack = this.stackOf(vcpu, current);
    const ctxp = kernel.tasks[current].perf_event_ctxp;
    let counts = false;
    let heads = 0;
    for (const event of kernel.events) {
      if (event.used !== 0 && event.parent === 0) heads++;
      if (event.used === 0 || event.state !== PERF_EVENT_STATE_ACTIVE) continue;
      if (event.branch_sample_type !== CALLSTACK_USER || kernel.ctx(event.ctx).task === 0) {
        this.plain[this.vm(vcpu)] = 0;
      } else if (event.ctx === ctxp) {
        counts = true;
      }
    }
    // Opening a second event wipes what the first one has, on any machine.
    if (heads > 1) this.plain[this.vm(vcpu)] = 0;
    if (counts && this.tracked[stack] === 0) {
      this.tracked[stack] = 1;
      this.shadow.track(stack);
    } else if (!counts && this.tracked[stack] !== 0) {
      this.plain[this.vm(vcpu)] = 0;
    }
    if (this.rawAccess(vcpu)) this.plain[this.vm(vcpu)] = 0;
  }
}

const CALLSTACK_USER: number = PERF_SAMPLE_BRANCH_CALL_STACK | PERF_SAMPLE_BRANCH_USER;

function isUserCallstack(type: number): boolean {
  return (type & CALLSTACK_USER) === CALLSTACK_USER;
}

/** Whether every task context counts as many call-stack users as there are events that count. */
function callstackUsersBalance(kernel: Kernel): boolean {
  for (const ctx of kernel.contexts) {
    if (ctx.task_ctx_data === 0) continue;
    let users = 0;
    for (let i = 0; i < ctx.nr_events; i++) {
      const event = kernel.events[ctx.event(i)];
      const counts = event.state === PERF_EVENT_STATE_ACTIVE;
      if (counts && isUserCallstack(event.branch_sample_type)) users++;
    }
    if (kernel.data[ctx.task_ctx_data - 1].lbr_callstack_users !== users) return false;
  }
  return true;
}

/** VM whose record a register value is part of; -1 for an empty or an ownerless register. */
function recordOwner(model: CpuModel, msr: number, eax: number, edx: number): number {
  if ((eax | edx) === 0) return -1;
  switch (lbrMap(model).kind(msr)) {
    case KIND_FROM:
    case KIND_TO:
      return branch.addressVm(edx);
    case KIND_INFO:
      return (eax >>> 13) & 7;
    default:
      return -1;
  }
}

function wrongReadText(
  model: CpuModel,
  vcpu: number,
  msr: number,
  eax: number,
  edx: number,
  wanted: number,
  wantedHi: number,
): string {
  const owner = recordOwner(model, msr, eax, edx);
  const whose = owner < 0 ? '' : owner === branch.HOST_VM ? ', the host’s' : `, of VM ${owner}`;
  const hex = (lo: number, hi: number): string =>
    `0x${(hi >>> 0).toString(16)}_${(lo >>> 0).toString(16).padStart(8, '0')}`;
  return (
    `v${vcpu}: RDMSR 0x${msr.toString(16)} returned ${hex(eax, edx)}${whose}, ` +
    `instead of ${hex(wanted, wantedHi)}`
  );
}
