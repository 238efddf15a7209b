/** Walks the switches of a host once, and keeps which vCPU is resident on which CPU. */
import type { SwitchRow } from './rows.js';
import { TraceError } from './trace_error.js';
import type { VcpuThread } from './vcpus.js';

/** Bits of a step: the text does not hold it but proves it; a gap may have hidden more. */
export const INFERRED = 1;
export const AFTER_GAP = 2;

/** A switch of vCPUs; `vcpu` is -1 for any other thread. */
export type StepSink = (
  cpu: number,
  vcpu: number,
  time: number,
  line: number,
  bits: number,
) => void;

/** A place where events are missing, as is seen from what comes after it. */
export interface Gap {
  readonly line: number;
  /** Number of the CPU in the recording. */
  readonly cpu: number;
  /** Nanoseconds from the first event. */
  readonly time: number;
  /** Whether the text tells of lost events there. */
  readonly told: boolean;
}

/** What is known of a CPU at a line of the recording. */
interface CpuState {
  readonly cpu: number;
  /** Whether the thread that runs is known: not before the first event, nor behind a gap. */
  known: boolean;
  /** Index of the resident vCPU, -1 for none. */
  vcpu: number;
  /** Line of the switch that brought the running thread. */
  line: number;
  /**
   * True when the recorder lost the events that follow the latest one, so `vcpu` may have left
   * unseen. The text reports a loss only where the CPU's events resume.
   */
  mayHaveChanged: boolean;
}

/** Gaps that are kept; all of them are counted. */
const GAPS_KEPT = 1000;

export class Walk {
  readonly gaps: Gap[] = [];
  gapCount = 0;
  private readonly file: string;
  private readonly vcpus: readonly VcpuThread[];
  private readonly allowGaps: boolean;
  private readonly sink: StepSink;
  private readonly vcpuOfPid: ReadonlyMap<number, number>;
  private readonly states: Map<number, CpuState> = new Map();
  /** Where each vCPU is resident. */
  private readonly where: (CpuState | null)[];
  /** Bits of the steps of this row. */
  private bits = 0;

  constructor(file: string, vcpus: readonly VcpuThread[], allowGaps: boolean, sink: StepSink) {
    this.file = file;
    this.vcpus = vcpus;
    this.allowGaps = allowGaps;
    this.sink = sink;
    this.vcpuOfPid = new Map(vcpus.map(({ pid }, vcpu) => [pid, vcpu]));
    this.where = vcpus.map(() => null);
  }

  /** Takes the next switch. @throws TraceError where one is missing and gaps are not allowed. */
  see(row: SwitchRow): void {
    const state = this.stateOf(row.cpu);
    const prev = this.vcpuOfPid.get(row.prevPid) ?? -1;
    const next = this.vcpuOfPid.get(row.nextPid) ?? -1;
    this.bits = 0;
    if (state.mayHaveChanged) {
      // Where no vCPU was, and none is, nothing is hidden that matters.
      if (state.vcpu !== prev) this.noteGap(row, true);
      this.bits = AFTER_GAP;
      state.known = false;
    }
    if (state.known && state.vcpu !== prev) {
      if (!this.allowGaps) throw this.missing(row, state);
      this.noteGap(row, false);
      this.bits = AFTER_GAP;
    }
    this.place(state, prev, row, INFERRED);
    this.bits = 0;
    this.place(state, next, row, 0);
    state.known = true;
    state.line = row.line;
    state.mayHaveChanged = row.gapFollows;
  }

  private stateOf(cpu: number): CpuState {
    let state = this.states.get(cpu);
    if (state === undefined) {
      state = { cpu, known: false, vcpu: -1, line: 0, mayHaveChanged: false };
      this.states.set(cpu, state);
    }
    return state;
  }

  private noteGap({ line, cpu, time }: SwitchRow, told: boolean): void {
    this.gapCount++;
    if (this.gaps.length < GAPS_KEPT) this.gaps.push({ line, cpu, time, told });
  }

  /** Makes a vCPU, or none, the one that runs on a CPU; a step records a change. */
  private place(state: CpuState, vcpu: number, row: SwitchRow, bits: number): void {
    if (vcpu === state.vcpu) return;
    if (vcpu !== -1) this.leaveOther(vcpu, row);
    if (state.vcpu !== -1) this.where[state.vcpu] = null;
    if (vcpu !== -1) this.where[vcpu] = state;
    state.vcpu = vcpu;
    this.sink(state.cpu, vcpu, row.time, row.line, bits | this.bits);
  }

  /** A vCPU that comes in here has left the CPU where it was; only a gap may have hidden that. */
  private leaveOther(vcpu: number, row: SwitchRow): void {
    const state = this.where[vcpu];
    if (state === null) return;
    if (!state.mayHaveChanged && !this.allowGaps) throw this.onTwoCpus(vcpu, row, state);
    this.noteGap({ ...row, cpu: state.cpu }, state.mayHaveChanged);
    state.known = false;
    state.vcpu = -1;
    this.where[vcpu] = null;
    this.sink(state.cpu, -1, row.time, row.line, INFERRED | AFTER_GAP);
  }

  private onTwoCpus(vcpu: number, row: SwitchRow, state: CpuState): TraceError {
    const { comm, pid } = this.vcpus[vcpu];
    return new TraceError(
      this.file,
      row.line,
      `vCPU thread '${comm}' (pid ${pid}) runs on CPU ${row.cpu} here, but since line ` +
        `${state.line} it runs on CPU ${state.cpu}: a switch is missing. Read it all the same ` +
        'with --allow-gaps, which counts such gaps and says where they are, or record with one ' +
        'clock for all CPUs (trace-cmd record -C mono) and without event filters',
    );
  }

  private missing(row: SwitchRow, state: CpuState): TraceError {
    const there = this.vcpus[state.vcpu] ?? null;
    const runs = there === null ? 'no vCPU runs' : `'${there.comm}' (pid ${there.pid}) runs`;
    const prev = this.vcpus[this.vcpuOfPid.get(row.prevPid) ?? -1] ?? null;
    const leaves = prev === null ? `pid ${row.prevPid}` : `'${prev.comm}' (pid ${prev.pid})`;
    return new TraceError(
      this.file,
      row.line,
      `${leaves} leaves CPU ${row.cpu}, but since line ${state.line} ${runs} there: a switch is ` +
        'missing, and no line tells of lost events. Read it all the same with --allow-gaps, ' +
        'which counts such gaps and says where they are, or print the whole recording, with the ' +
        'lines that tell of lost events',
    );
  }
}
