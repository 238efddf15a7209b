/**
 * Watches a machine for a reader: notes the events of each action, and the registers when a
 * property breaks. The monitor, which judges, must receive each event before the watcher does.
 */
import type { Breaker, ReplayCase } from '../campaign/replay_file.js';
import * as branch from '../hw/branch.js';
import { LBR_CALL_STACK, MSR_IA32_DEBUGCTLMSR } from '../hw/msr_index.js';
import { HOST, Observer } from '../host/observer.js';
import { CALL_NAMES } from '../machine/guest_call.js';
import type { Machine } from '../machine/machine.js';
import type { Monitor } from '../judge/monitor.js';
import { PROPERTY } from '../judge/properties.js';
import { debugctlText, isLbrMsr, msrName } from './msr_name.js';
import { branchText, type StackRecord, stackRecords, type Viewer } from './record_text.js';
import { registerLines } from './registers.js';
import { plural } from '../console/text.js';

export interface GuestAccess {
  readonly kind: 'guest';
  readonly vcpu: number;
  readonly msr: number;
  readonly write: boolean;
  readonly fault: boolean;
  readonly eax: number;
  readonly edx: number;
  /** The reference machine's value if it differs; null if it is the same. */
  readonly reference: { readonly eax: number; readonly edx: number } | null;
}

export interface HostAccess {
  readonly kind: 'host';
  readonly pcpu: number;
  /** The vCPU, or HOST. */
  readonly onBehalf: number;
  readonly msr: number;
  readonly write: boolean;
  readonly eax: number;
  readonly edx: number;
}

/** The host read or wrote a whole stack. `records` are those in the registers afterwards. */
export interface HostStack {
  readonly kind: 'stack';
  readonly pcpu: number;
  readonly onBehalf: number;
  readonly accesses: number;
  readonly write: boolean;
  readonly records: readonly StackRecord[];
}

/** A branch of a guest, and how hardware recorded it. */
export interface Branch {
  readonly kind: 'branch';
  readonly branch: number;
  readonly seq: number;
  readonly effect: 'pushed' | 'popped' | 'filtered' | 'off';
  readonly tos: number;
}

/** A vCPU's thread is switched in on a pCPU, or out. */
export interface Switch {
  readonly kind: 'switch';
  readonly text: string;
}

/** Any other event, in words. */
export interface Remark {
  readonly kind: 'text';
  readonly text: string;
}

export type Entry = GuestAccess | HostAccess | HostStack | Branch | Switch | Remark;

/** The failure to look out for. */
export interface Watch {
  readonly property: number;
  /** Who breaks the property. */
  readonly by: 'policy' | 'kernel';
}

/** @param breaker - who breaks the property of the case (`breakerOf`). */
export function watchOf({ property }: ReplayCase, breaker: Breaker): Watch | null {
  return breaker === 'nobody' ? null : { property: PROPERTY[property], by: breaker };
}

/** Entries of a sample to print, unless all are. */
const SAMPLE_MAX = 4;

export class Watcher extends Observer {
  /** Events since the last `take`. */
  private entries: Entry[] = [];
  private exits = 0;
  /** The failure and the registers at that time; null until the property breaks. */
  failure: { readonly text: string; readonly registers: readonly string[] } | null = null;
  private readonly monitor: Monitor;
  private readonly watch: Watch | null;
  private readonly full: boolean;
  private readonly attached: { machine: Machine | null } = { machine: null };

  /** @param full - whether all records are told. */
  constructor(monitor: Monitor, watch: Watch | null, full = false) {
    super();
    this.full = full;
    this.monitor = monitor;
    this.watch = watch;
  }

  /** Must be called once, before the machine boots. */
  attach(machine: Machine): void {
    this.attached.machine = machine;
  }

  /** @throws TypeError before `attach`. */
  protected get machine(): Machine {
    const { machine } = this.attached;
    if (machine === null) throw new TypeError('a watcher is attached before the machine boots');
    return machine;
  }

  /** Returns the events since the last call. */
  take(): { readonly entries: readonly Entry[]; readonly exits: number } {
    const { entries, exits } = this;
    this.entries = [];
    this.exits = 0;
    return { entries, exits };
  }

  private note(entry: Entry): void {
    if (this.failure === null) this.entries.push(entry);
  }

  private say(text: string): void {
    this.note({ kind: 'text', text });
  }

  /** Notes the failure if the property has just broken. */
  private check(pcpu: number, vcpu: number): void {
    const { monitor, watch } = this;
    if (this.failure !== null || watch === null) return;
    const { property, by } = watch;
    const { verdicts } = monitor;
    const own = by === 'kernel';
    if ((own ? verdicts.own : verdicts.broken)[property] === 0) return;
    const text = (own ? verdicts.ownDetails : verdicts.details)[property];
    const registers = registerLines(this.machine, monitor, pcpu, vcpu, this.full);
    this.failure = { text, registers };
    this.broke();
  }

  /** Called once, at the moment at which the property breaks. */
  protected broke(): void {}

  private checkVcpu(vcpu: number): void {
    this.check(this.machine.vcpus[vcpu].pcpu, vcpu);
  }

  private checkPcpu(pcpu: number): void {
    this.check(pcpu, this.machine.loaded(pcpu)?.id ?? HOST);
  }

  private get model(): Machine['config']['model'] {
    return this.machine.config.model;
  }

  override guestRead(vcpu: number, msr: number, eax: number, edx: number): void {
    const own = this.monitor.reference.of(vcpu);
    const wanted = own.rdmsr(msr);
    const judged = msr === MSR_IA32_DEBUGCTLMSR || isLbrMsr(this.model, msr);
    const agrees = !judged || (wanted === eax && own.edx === edx);
    const reference = agrees ? null : { eax: wanted, edx: own.edx };
    this.note({ kind: 'guest', vcpu, msr, write: false, fault: false, eax, edx, reference });
    this.checkVcpu(vcpu);
  }

  override guestWrite(vcpu: number, msr: number, eax: number, edx: number): void {
    this.note({ kind: 'guest', vcpu, msr, write: true, fault: false, eax, edx, reference: null });
    this.checkVcpu(vcpu);
  }

  override guestFault(vcpu: number, msr: number, write: boolean, eax: number, edx: number): void {
    this.note({ kind: 'guest', vcpu, msr, write, fault: true, eax, edx, reference: null });
    this.checkVcpu(vcpu);
  }

  override guestBranch(
    vcpu: number,
    kind: number,
    cpl: number,
    seq: number,
    _fromHi: number,
    _toHi: number,
  ): void {
    const cpu = this.machine.pcpus[this.machine.vcpus[vcpu].pcpu];
    const { tos, lbr_select } = cpu.stack;
    const pops = kind === branch.BRANCH_RET && (lbr_select & LBR_CALL_STACK) !== 0;
    const captured = pops ? 'popped' : 'pushed';
    const effect = !cpu.recording ? 'off' : cpu.captures(kind, cpl) ? captured : 'filtered';
    this.note({ kind: 'branch', branch: kind, seq, effect, tos });
    this.checkVcpu(vcpu);
  }

  override hostAccess(pcpu: number, onBehalf: number, msr: number, write: boolean): void {
    const { stack } = this.machine.pcpus[pcpu];
    const [eax, edx] = [stack.readLow(msr), stack.readHigh(msr)];
    this.note({ kind: 'host', pcpu, onBehalf, msr, write, eax, edx });
    if (onBehalf === HOST) this.checkPcpu(pcpu);
    else this.check(pcpu, onBehalf);
  }

  override hostStack(pcpu: number, onBehalf: number, accesses: number, write: boolean): void {
    const all = stackRecords(this.machine.pcpus[pcpu].stack);
    const records = all.filter(({ lo, hi }) => (lo | hi) !== 0);
    this.note({ kind: 'stack', pcpu, onBehalf, accesses, write, records });
    if (onBehalf === HOST) this.checkPcpu(pcpu);
    else this.check(pcpu, onBehalf);
  }

  override hostDebugctl(pcpu: number, value: number): void {
    this.say(`host writes DEBUGCTL=${debugctlText(value)} on p${pcpu}`);
    this.checkPcpu(pcpu);
  }

  override hostFault(pcpu: number, msr: number, write: boolean): void {
    const access = write ? 'WRMSR' : 'RDMSR';
    this.say(`host takes #GP on ${access} ${msrName(this.model, msr)} on p${pcpu}`);
    this.checkPcpu(pcpu);
  }

  override entryFailed(vcpu: number): void {
    this.say(`VM entry of v${vcpu} fails`);
    this.checkVcpu(vcpu);
  }

  override exited(vcpu: number): void {
    if (this.failure === null) this.exits++;
    this.checkVcpu(vcpu);
  }

  override vcpuSwitch(vcpu: number, pcpu: number, scheduledIn: boolean): void {
    const { machine } = this;
    const believes = machine.config.policy.inUse?.(machine.vcpus[vcpu]) ?? null;
    const belief = believes === null ? '' : ` (policy: LBR ${believes ? 'in use' : 'not in use'})`;
    const moves = `v${vcpu} ${scheduledIn ? 'comes to' : 'leaves'} p${pcpu}`;
    const inside = suspendedText(machine, vcpu);
    const where = inside === '' ? '' : ` inside ${inside}`;
    this.note({ kind: 'switch', text: `${moves}${where}${belief}` });
    this.check(pcpu, vcpu);
  }

  override guestPmi(vcpu: number, counter: number): void {
    this.say(`counter ${counter} overflows, and the guest takes its PMI`);
    this.checkVcpu(vcpu);
  }

  override guestSample(vcpu: number, event: number): void {
    const cpu = this.machine.cpu(vcpu);
    const viewer = { vm: this.machine.vcpus[vcpu].vm, task: cpu.cpuctx.current };
    this.say(`sample of event ${event}: ${sampleText(cpu, viewer, this.full)}`);
    this.checkVcpu(vcpu);
  }

  override hostSample(pcpu: number, _event: number): void {
    const viewer = { vm: branch.HOST_VM, task: -1 };
    this.say(`host sample: ${sampleText(this.machine.host.kernel.cpus[pcpu], viewer, this.full)}`);
    this.checkPcpu(pcpu);
  }

  override hostBranch(pcpu: number): void {
    this.say(`host records a branch on p${pcpu}`);
    this.checkPcpu(pcpu);
  }

  override cstate(pcpu: number): void {
    this.say(this.model.cstateWipe ? `the records of p${pcpu} are gone` : 'records survive it');
    this.checkPcpu(pcpu);
  }

  override guestIdle(vcpu: number): void {
    this.checkVcpu(vcpu);
  }
}

/** The function in which a vCPU is suspended, and its progress; empty if there is none. */
export function suspendedText(machine: Machine, vcpu: number): string {
  const { suspended, accesses } = machine.ports[vcpu];
  if (suspended === 0) return '';
  const when = accesses === 0 ? 'before any' : `after ${accesses}`;
  return `${CALL_NAMES[suspended]}(), ${when} of its MSR accesses`;
}

/** The branch stack of the sample that a kernel is emitting. */
function sampleText(cpu: ReturnType<Machine['cpu']>, viewer: Viewer, all: boolean): string {
  const { words } = cpu.kernel;
  const entries = Array.from({ length: cpu.cpuc.lbr_stack_nr }, (_, i) => {
    const at = cpu.lbr_entry(i);
    return branchText(words[at], words[at + 1], viewer);
  });
  const records = entries.filter((text) => text !== 'empty');
  const most = all ? records.length : SAMPLE_MAX;
  const shown = records.slice(0, most);
  if (records.length > most) shown.push(`${records.length - most} more`);
  if (records.length < entries.length) shown.push(`${entries.length - records.length} empty`);
  if (entries.length === 0) return 'no branch';
  return `${plural(entries.length, 'branch')}: ${shown.join(', ')}`;
}
