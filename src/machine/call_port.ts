/**
 * A function of a guest's kernel that its vCPU has not finished, as words of the machine's block,
 * and a PMI that is to come.
 */
import { assert } from '../hw/assert.js';
import type { MsrPort, Vector } from '../hw/msr_port.js';
import type { Vcpu } from '../host/vcpu.js';
import { CALL_EXIT, CALL_INSTALL, CALL_SWITCH, CALL_WRMSR } from './guest_call.js';
import { openedBy, opensWith } from './guest_call.js';

export const FN = 0;
const ARG_A = 1;
const ARG_B = 2;
const ARG_C = 3;
const EPILOGUE = 4;
/** Accesses that the function had made when it was last unwound. */
export const ACCESSES = 5;
export const READS = 6;
export const NMIS = 7;
/** Accesses made before each NMI that has arrived inside the function. */
export const NMI_AT = 8;
export const NMIS_MAX = 4;
/** Tasks and contexts whose memory the function may touch: the locks it holds. */
export const TASKS: number = NMI_AT + NMIS_MAX;
export const CONTEXTS: number = TASKS + 1;
/** Accesses until the armed NMI, plus one; 0 if no NMI is armed. */
export const NMI_AFTER: number = CONTEXTS + 1;
export const NMI_COUNTER: number = NMI_AFTER + 1;
/** Words of a port before its log. */
export const PORT_WORDS: number = NMI_COUNTER + 1;

/** Words of a read in the log: the MSR's index (its complement, if it faulted), eax and edx. */
export const READ_WORDS = 3;

/** Reads in the log of a port whose words start at `at`; -1 if it has no suspended function. */
export function loggedReads(words: Int32Array, at: number): number {
  return words[at + FN] === 0 ? -1 : words[at + READS];
}

/** The MSR that a port's suspended function writes raw, or 0; the value is at WRITE_VALUE. */
export function suspendedWrite(words: Int32Array, at: number): number {
  return words[at + FN] === CALL_WRMSR ? words[at + ARG_A] : 0;
}

/** eax and edx of such a write, in the words of a port. */
export const WRITE_VALUE: number = ARG_B;

/** Renames the tasks in the words of a port, which start at `at`. */
export function renameTasksOf(
  words: Int32Array,
  at: number,
  renamed: (task: number) => number,
): void {
  let mask = 0;
  for (let t = 0; t < 32; t++) if ((words[at + TASKS] & (1 << t)) !== 0) mask |= 1 << renamed(t);
  words[at + TASKS] = mask;
  if (words[at + FN] === CALL_INSTALL) {
    const { task, attr } = openedBy(words[at + ARG_B]);
    if (task >= 0) words[at + ARG_B] = opensWith(renamed(task), attr);
    return;
  }
  if (words[at + FN] !== CALL_SWITCH && words[at + FN] !== CALL_EXIT) return;
  words[at + ARG_A] = renamed(words[at + ARG_A]);
  words[at + ARG_B] = renamed(words[at + ARG_B]);
}

/** What the machine does for a port at a boundary between two accesses. */
export interface PortOwner {
  /** Whether the host takes the pCPU before the next access; counts it down otherwise. */
  preemptBeforeAccess(vcpu: Vcpu): boolean;
  /** Makes a counter overflow. Returns whether the guest takes a PMI. */
  raisePmi(vcpu: Vcpu, counter: number): boolean;
  returnFromPmi(vcpu: Vcpu): void;
}

/** A guest kernel's way to its MSRs on one vCPU, and what is under way there. */
export abstract class CallPort implements MsrPort {
  edx = 0;
  vector: Vector = 0;
  protected readonly w: Int32Array;
  /** Word offset of PORT_WORDS. */
  readonly o: number;

  constructor(w: Int32Array, offset: number) {
    this.w = w;
    this.o = offset;
  }

  abstract rdmsr(msr: number): number;
  abstract wrmsr(msr: number, eax: number, edx: number): Vector;

  /** Prepares for a function that may be interrupted; `tasks` are those it may touch. */
  abstract begin(
    fn: number,
    a: number,
    b: number,
    c: number,
    epilogue: number,
    tasks: number,
  ): void;

  /** Prepares for a function during which nothing comes from outside but an armed NMI. */
  abstract beginQuiet(fn: number, a: number, b: number, c: number, epilogue: number): void;

  /** Runs the function for which `begin` or `beginQuiet` has prepared. Returns whether it ended. */
  abstract run(fn: number, a: number, b: number, c: number): boolean;

  /** Goes on with the suspended function. Returns whether it ended. */
  abstract resume(): boolean;

  /** Whether an NMI is being handled that came between two accesses of another function. */
  abstract get nested(): boolean;

  /** Whether what happens now has happened before, in the run that was unwound. */
  abstract get replaying(): boolean;

  /**
   * Events of the VM that are being opened and are not among the kernel's yet: perf_event_open() of
   * an image may have to wait for another CPU before that.
   */
  get unseenEvents(): number {
    return 0;
  }

  /** Whether the kernel looks whether the access that it makes has faulted. */
  get expectsFault(): boolean {
    return false;
  }

  /** Number of the suspended function, or 0. */
  get suspended(): number {
    return this.w[this.o + FN];
  }
  get argA(): number {
    return this.w[this.o + ARG_A];
  }
  get argB(): number {
    return this.w[this.o + ARG_B];
  }
  get argC(): number {
    return this.w[this.o + ARG_C];
  }
  /** What the machine has to do once the function returns. */
  get epilogue(): number {
    return this.w[this.o + EPILOGUE];
  }
  /** Accesses that the suspended function has made. */
  get accesses(): number {
    return this.w[this.o + ACCESSES];
  }
  /** Bit mask of the tasks that the suspended function holds. */
  get lockedTasks(): number {
    return this.w[this.o + FN] === 0 ? 0 : this.w[this.o + TASKS];
  }

  /** Delivers a PMI after `after` more accesses of guest kernel functions. */
  armNmi(after: number, counter: number): void {
    this.w[this.o + NMI_AFTER] = after + 1;
    this.w[this.o + NMI_COUNTER] = counter;
  }

  get nmiArmed(): boolean {
    return this.w[this.o + NMI_AFTER] !== 0;
  }

  /** The counter of an event overflows. */
  overflow(_counter: number): void {}

  /** A kexec stops the counters, so it must also drop a PMI that has not arrived yet. */
  disarmNmi(): void {
    this.w[this.o + NMI_AFTER] = 0;
  }

  /** Zeroes the words of a function that has returned. */
  settle(): void {
    if (this.w[this.o + FN] !== 0) return;
    this.w.fill(0, this.o, this.o + NMI_AFTER);
    if (!this.nmiArmed) this.w[this.o + NMI_COUNTER] = 0;
  }

  /** Keeps a function that begins. */
  protected hold(fn: number, a: number, b: number, c: number, epilogue: number): void {
    const { w, o } = this;
    assert(w[o + FN] === 0, 'a function begins when no other is under way');
    w[o + FN] = fn;
    w[o + ARG_A] = a;
    w[o + ARG_B] = b;
    w[o + ARG_C] = c;
    w[o + EPILOGUE] = epilogue;
    w[o + ACCESSES] = 0;
    w[o + READS] = 0;
    w[o + NMIS] = 0;
  }
}
