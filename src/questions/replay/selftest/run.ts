/**
 * What a selftest has to know of a run: what each guest does, one access and one branch after the
 * other, where it stands still, and what the host does meanwhile.
 */
import type { ReplayCase } from '../../../campaign/replay_file.js';
import { type Breaker, breakerOf } from '../../../campaign/replay_file.js';
import { bootWatched } from '../../../campaign/watched.js';
import { ascii, plural } from '../../../console/text.js';
import { MSR_KVM_PV_LBR_CTRL } from '../../../guest/pv/kvm_para.js';
import { Observer } from '../../../host/observer.js';
import * as branch from '../../../hw/branch.js';
import type { CpuModel } from '../../../hw/cpu_models.js';
import { KIND_FROM, KIND_INFO, KIND_NONE, KIND_TO, lbrMap } from '../../../hw/lbr_map.js';
import * as msrs from '../../../hw/msr_index.js';
import { Monitor } from '../../../judge/monitor.js';
import { PROPERTY } from '../../../judge/properties.js';
import { totalVcpus } from '../../../machine/config.js';
import { CALL_NAMES } from '../../../machine/guest_call.js';
import { step } from '../../../schedule/schedule.js';
import { type Action, ACTIONS } from '../../../schedule/table.js';
import { actionLine } from '../../../tell/action_line.js';
import { msrName, nameMsrs } from '../../../tell/msr_name.js';

/** What marks that something is left to do, spelled so that this file has none. */
export const TO_DO: string = ['TO', 'DO'].join('');

/** The value of a register, or an address of a branch that this guest has made. */
export type Value =
  | { readonly branch: null; readonly eax: number; readonly edx: number }
  | { readonly branch: number };

/** An access of a guest. */
export interface Access {
  readonly kind: 'access';
  readonly write: boolean;
  readonly msr: number;
  /** What is written, or what is to be read; null if any value will do. */
  readonly value: Value | null;
  /** Whether a write is to raise #GP; no read is. */
  readonly faults: boolean;
}

/** A branch of a guest that its own pCPU would record. */
export interface Branch {
  readonly kind: 'branch';
  readonly branch: number;
  readonly seq: number;
}

/** A place where a vCPU stands until the host lets it go on. */
export interface Stop {
  readonly kind: 'stop';
  readonly id: number;
  readonly vcpu: number;
  /** Its thread sleeps inside KVM_RUN; it keeps its pCPU in userspace; it sleeps in userspace. */
  how: 'switch' | 'hold' | 'leave';
}

/** A VM exit of no interest. */
export interface Exit {
  readonly kind: 'exit';
}

export interface Note {
  readonly kind: 'note';
  readonly text: string;
}

export type GuestItem = Access | Branch | Stop | Exit | Note;

/** What the host's side of the test does, in its order. `vcpu` is -1 where there is none. */
export type HostStep =
  | { readonly kind: 'run'; readonly vcpu: number; readonly pcpu: number }
  | { readonly kind: 'goOn' | 'migrate' | 'ends'; readonly vcpu: number }
  | { readonly kind: 'stands'; readonly stop: Stop }
  | {
      readonly kind: 'event';
      readonly which: number;
      readonly op: number;
      readonly pcpu: number;
      readonly vcpu: number;
    }
  | { readonly kind: 'work'; readonly pcpu: number; readonly vcpu: number; readonly n: number }
  | { readonly kind: 'cstate'; readonly pcpu: number }
  | Note;

export interface Run {
  readonly replay: ReplayCase;
  readonly breaker: Breaker;
  /** How the property breaks; empty if it does not. */
  readonly text: string;
  /** By vCPU. */
  readonly guests: readonly (readonly GuestItem[])[];
  readonly script: readonly HostStep[];
  readonly stops: readonly Stop[];
}

/** The registers besides the LBR's that a guest of KVM has, and perf accesses. */
const OTHER_MSRS: readonly number[] = [
  msrs.MSR_IA32_DEBUGCTLMSR,
  msrs.MSR_IA32_PERF_CAPABILITIES,
  msrs.MSR_CORE_PERF_GLOBAL_STATUS,
  msrs.MSR_CORE_PERF_GLOBAL_CTRL,
  msrs.MSR_CORE_PERF_GLOBAL_OVF_CTRL,
];

function bits(eax: number, edx: number): Value {
  return { branch: null, eax, edx };
}

/** Per vCPU. */
class GuestNotes {
  readonly items: GuestItem[] = [];
  /** Where it stands now; null if it runs, or has never run. */
  standsAt: Stop | null = null;
  started = false;
  /** Slots whose INFO hardware has written, so that nobody knows it beforehand. */
  readonly recorded: Set<number> = new Set();
  /** A write has faulted that should not have: what follows would be otherwise without that. */
  diverged = false;
  /** LBR_TOS; null while the stack is empty, and until it is set or used after that. */
  tos: number | null = null;
  empty = true;
  /** The function of its kernel that runs, and how many accesses that has made; 0 if none does. */
  call = 0;
  accesses = 0;
}

/** The monitor must hear of each event first. */
class RunObserver extends Observer {
  readonly guests: readonly GuestNotes[];
  readonly script: HostStep[] = [];
  readonly stops: Stop[] = [];
  private readonly monitor: Monitor;
  private readonly model: CpuModel;
  private readonly vcpusOfVm: number;
  /** Per pCPU: its vCPU, or -1. */
  private readonly loaded: number[];
  /** Per VM: the numbers of the branches that its guest's code makes. */
  private readonly made: readonly Set<number>[];

  constructor({ config }: ReplayCase, monitor: Monitor) {
    super();
    const { vms, vcpus, pcpus } = config.shape;
    this.monitor = monitor;
    this.model = config.model;
    this.vcpusOfVm = vcpus;
    this.guests = Array.from({ length: totalVcpus(config) }, () => new GuestNotes());
    this.loaded = Array.from({ length: pcpus }, () => -1);
    this.made = Array.from({ length: vms }, () => new Set<number>());
  }

  private kind(msr: number): number {
    return lbrMap(this.model).kind(msr);
  }

  private madeBy(vcpu: number): Set<number> {
    return this.made[Math.trunc(vcpu / this.vcpusOfVm)];
  }

  /** Says something at the place that a vCPU has come to. */
  say(vcpu: number, text: string): void {
    this.guests[vcpu].items.push({ kind: 'note', text });
  }

  /** Says something of an action on the side of the test that performs it. */
  announce({ kind, actor }: Action, text: string): void {
    const byHost = ACTIONS[kind].actor === 'pcpu' || kind === 'liveMigrate';
    if (byHost) this.script.push({ kind: 'note', text });
    else this.guests[actor]?.items.push({ kind: 'note', text });
  }

  private does(vcpu: number, item: GuestItem): void {
    this.letGo(vcpu);
    this.guests[vcpu].items.push(item);
  }

  /** Ends a hold: the guest goes on, or its thread leaves the pCPU. */
  private letGo(vcpu: number): void {
    const guest = this.guests[vcpu];
    if (guest.standsAt === null) return;
    guest.standsAt = null;
    this.script.push({ kind: 'goOn', vcpu });
  }

  private stop(vcpu: number, how: Stop['how']): void {
    const stop: Stop = { kind: 'stop', id: this.stops.length, vcpu, how };
    this.does(vcpu, stop);
    this.stops.push(stop);
    this.script.push({ kind: 'stands', stop });
    this.guests[vcpu].standsAt = stop;
  }

  /** Holds the vCPU of a pCPU, if there is one, so that the host can do something there. */
  private hold(pcpu: number): number {
    const vcpu = this.loaded[pcpu];
    if (vcpu >= 0 && this.guests[vcpu].standsAt === null) this.stop(vcpu, 'hold');
    return vcpu;
  }

  /** An action was performed of which no other method hears. */
  performed({ kind, actor, args: [a = 0, b = 0] }: Action): void {
    switch (kind) {
      case 'exit':
        this.does(this.loaded[actor], { kind });
        break;
      case 'hostEvent': {
        const vcpu = this.hold(actor);
        this.script.push({ kind: 'event', which: a, op: b, pcpu: actor, vcpu });
        break;
      }
      case 'hostWork':
        this.script.push({ kind: 'work', pcpu: actor, vcpu: this.hold(actor), n: a });
        break;
      case 'cstate':
        this.script.push({ kind, pcpu: actor });
        break;
      case 'liveMigrate':
        this.migrates(actor);
    }
  }

  private migrates(vcpu: number): void {
    const { standsAt } = this.guests[vcpu];
    // The state of a vCPU can't be read while its thread is inside KVM_RUN.
    if (standsAt !== null) standsAt.how = 'leave';
    this.script.push({ kind: 'migrate', vcpu });
  }

  /** Lets every guest come to its end: those that run first, then the others, one by one. */
  finish(): void {
    for (const vcpu of this.loaded) {
      if (vcpu < 0) continue;
      this.letGo(vcpu);
      this.script.push({ kind: 'ends', vcpu });
    }
    for (const [vcpu, { started }] of this.guests.entries()) {
      if (!started || this.loaded.includes(vcpu)) continue;
      this.script.push({ kind: 'run', vcpu, pcpu: 0 }, { kind: 'ends', vcpu });
    }
  }

  override vcpuSwitch(vcpu: number, pcpu: number, scheduledIn: boolean): void {
    const guest = this.guests[vcpu];
    if (scheduledIn) {
      this.loaded[pcpu] = vcpu;
      guest.standsAt = null;
      guest.started = true;
      this.script.push({ kind: 'run', vcpu, pcpu });
      return;
    }
    if (guest.call !== 0) {
      const done = plural(guest.accesses, 'MSR access');
      this.say(vcpu, `inside ${CALL_NAMES[guest.call]}(), after ${done}`);
    }
    this.stop(vcpu, 'switch');
    this.loaded[pcpu] = -1;
  }

  override guestCall(vcpu: number, fn: number): void {
    this.guests[vcpu].call = fn;
    this.guests[vcpu].accesses = 0;
  }

  override guestIdle(vcpu: number): void {
    this.guests[vcpu].call = 0;
  }

  override guestRead(vcpu: number, msr: number): void {
    this.access(vcpu, msr, false, this.wanted(vcpu, msr));
  }

  override guestWrite(vcpu: number, msr: number, eax: number, edx: number): void {
    const guest = this.guests[vcpu];
    const { tos } = this.monitor.reference.of(vcpu).stack;
    this.changed(vcpu, msr === msrs.MSR_LBR_TOS ? tos : guest.tos);
    if (this.kind(msr) === KIND_INFO) guest.recorded.delete(msr - this.model.lbr_info);
    const faults = this.monitor.reference.faultsThere(msr, true, eax, edx);
    this.access(vcpu, msr, true, this.value(vcpu, msr, eax, edx), faults);
  }

  override guestFault(vcpu: number, msr: number, write: boolean, eax: number, edx: number): void {
    const { reference } = this.monitor;
    const faults = reference.faultsThere(msr, write, eax, edx);
    if (write && !faults) this.guests[vcpu].diverged = true;
    const value = write ? this.value(vcpu, msr, eax, edx) : this.wanted(vcpu, msr);
    this.access(vcpu, msr, write, value, faults);
  }

  private access(
    vcpu: number,
    msr: number,
    write: boolean,
    value: Value | null,
    faults = false,
  ): void {
    this.guests[vcpu].accesses++;
    if (this.kind(msr) !== KIND_NONE || OTHER_MSRS.includes(msr)) {
      this.does(vcpu, { kind: 'access', write, msr, value, faults });
      return;
    }
    const what = `${write ? 'WRMSR' : 'RDMSR'} of ${msrName(this.model, msr)}`;
    const why = msr === MSR_KVM_PV_LBR_CTRL ? 'no KVM has it' : 'vlbr has no such register';
    this.say(vcpu, `left out: ${what}; ${why}`);
  }

  /** What the vCPU reads on a pCPU of its own; null if that can't be known. */
  private wanted(vcpu: number, msr: number): Value | null {
    const guest = this.guests[vcpu];
    const kind = this.kind(msr);
    if (kind === KIND_NONE && msr !== msrs.MSR_IA32_DEBUGCTLMSR) return null;
    if (guest.diverged) return null;
    if (kind === KIND_INFO && guest.recorded.has(msr - this.model.lbr_info)) return null;
    const own = this.monitor.reference.of(vcpu);
    if (msr === msrs.MSR_LBR_TOS && guest.tos !== own.stack.tos) return null;
    const eax = own.rdmsr(msr);
    return this.value(vcpu, msr, eax, own.edx);
  }

  private value(vcpu: number, msr: number, eax: number, edx: number): Value {
    const kind = this.kind(msr);
    const vm = Math.trunc(vcpu / this.vcpusOfVm);
    if ((kind === KIND_FROM || kind === KIND_TO) && branch.addressVm(edx) === vm) {
      // A FROM that no branch has made is a value that the guest has made up.
      const fits = kind === KIND_TO || branch.addressKind(edx) !== branch.BRANCH_NONE;
      if (fits && this.madeBy(vcpu).has(eax)) return { branch: eax };
    }
    // Privilege levels are left out; see the head of the file that is written.
    if (msr === msrs.MSR_LBR_SELECT) return bits(eax & ~(msrs.LBR_KERNEL | msrs.LBR_USER), edx);
    return bits(eax, edx);
  }

  override guestBranch(vcpu: number, kind: number, cpl: number, seq: number): void {
    const own = this.monitor.reference.of(vcpu);
    if (!own.recording || !own.captures(kind, cpl)) return;
    const { stack } = own;
    const pops = kind === branch.BRANCH_RET && (stack.lbr_select & msrs.LBR_CALL_STACK) !== 0;
    const guest = this.guests[vcpu];
    const before = (stack.tos + (pops ? 1 : -1)) & (this.model.lbr_nr - 1);
    if (guest.empty ? !pops : guest.tos !== before) {
      this.say(vcpu, 'not in the schedule: an empty stack may have any LBR_TOS');
      this.writes(vcpu, msrs.MSR_LBR_TOS, before);
    }
    if (!pops) guest.recorded.add(stack.tos);
    this.changed(vcpu, stack.tos);
    this.madeBy(vcpu).add(seq);
    this.does(vcpu, { kind: 'branch', branch: kind, seq });
  }

  /** The vCPU's stack has changed, or may have. */
  private changed(vcpu: number, tos: number | null): void {
    const guest = this.guests[vcpu];
    guest.empty = this.monitor.reference.of(vcpu).stack.empty;
    guest.tos = guest.empty ? null : tos;
  }

  override guestPmi(vcpu: number, counter: number): void {
    this.say(vcpu, `${TO_DO}: make counter ${counter} overflow here, and take its PMI as an NMI`);
    const { debugctl } = this.monitor.reference.of(vcpu);
    if ((debugctl & msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI) === 0) return;
    this.say(vcpu, 'nearest: the guest clears DEBUGCTL.LBR, as the PMI does');
    this.writes(vcpu, msrs.MSR_IA32_DEBUGCTLMSR, debugctl);
  }

  /** A write that is not among the guest's own. */
  private writes(vcpu: number, msr: number, eax: number): void {
    this.does(vcpu, { kind: 'access', write: true, msr, value: bits(eax, 0), faults: false });
  }
}

/** Runs a schedule up to the action in which its property breaks, or to its end. */
export function runFor(replay: ReplayCase): Run {
  const { config, schedule } = replay;
  const property = PROPERTY[replay.property];
  const breaker = breakerOf(replay);
  const monitor = new Monitor(config);
  const observer = new RunObserver(replay, monitor);
  const machine = bootWatched(config, monitor, observer);
  const { verdicts } = monitor;
  const own = breaker === 'kernel';
  const broken = own ? verdicts.own : verdicts.broken;
  for (let i = 0; i < schedule.length && broken[property] === 0; i++) {
    const action = schedule.action(i);
    const text = `#${i + 1} ${ascii(actionLine(machine, action))}`;
    observer.announce(action, text);
    if (step(machine, schedule, i)) observer.performed(action);
    else observer.announce(action, 'not possible here, so passed over');
  }
  observer.finish();
  const details = (own ? verdicts.ownDetails : verdicts.details)[property];
  const said = breaker === 'nobody' ? '' : ascii(nameMsrs(config.model, details));
  const { script, stops } = observer;
  const guests = observer.guests.map(({ items }) => items);
  return { replay, breaker, text: said, guests, script, stops };
}
