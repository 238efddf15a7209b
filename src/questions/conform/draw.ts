/**
 * Draws sequences. The sequence of a run depends only on the seed and the run's number. Since every
 * event has a context, no drawn call makes the kernel itself fault.
 */
import * as perf from '../../guest/perf/perf_event.js';
import { generatorOf } from '../../schedule/draw.js';
import type { Call, FunctionName, Sequence } from './sequence.js';
import { CONTEXTS, CPUS, EVENTS, STIR_BRANCHES, STIRS } from './sequence.js';
import { PMU_VERSIONS, type Subject } from './subjects.js';

/** One task data for each context. Contexts may swap their data or have none. */
const DATA = CONTEXTS;

const LENGTH_MIN = 10;
const LENGTH_MAX = 70;

class Dice {
  private readonly rng: ReturnType<typeof generatorOf>;

  constructor(seed: number, run: number) {
    this.rng = generatorOf(seed, run);
  }

  word(): number {
    return this.rng.next() | 0;
  }

  below(n: number): number {
    return (this.rng.next() >>> 0) % n;
  }

  /** True with probability 1/n. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  flag(): number {
    return this.below(2);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }
}

/** Bits that change how records are read or shown, but not which branches are asked for. */
const EXTRAS: readonly number[] = [
  perf.PERF_SAMPLE_BRANCH_NO_FLAGS,
  perf.PERF_SAMPLE_BRANCH_NO_CYCLES,
  perf.PERF_SAMPLE_BRANCH_NO_FLAGS | perf.PERF_SAMPLE_BRANCH_NO_CYCLES,
  perf.PERF_SAMPLE_BRANCH_TYPE_SAVE,
  perf.PERF_SAMPLE_BRANCH_HW_INDEX,
  perf.PERF_SAMPLE_BRANCH_PRIV_SAVE,
];

/** Levels: user, kernel or both. */
function levels(dice: Dice): number {
  return 1 + dice.below(3);
}

/** A call stack as perf asks for it, if the CPU has call-stack mode. */
function callStackType(dice: Dice, callstack: boolean, plm: number): number {
  const what = callstack ? perf.PERF_SAMPLE_BRANCH_CALL_STACK : perf.PERF_SAMPLE_BRANCH_ANY;
  return what | plm | (dice.oneIn(3) ? dice.pick(EXTRAS) : 0);
}

/** A branch_sample_type: one that perf would ask for, or any. */
function branchSampleType(dice: Dice, callstack: boolean): number {
  const extra = dice.oneIn(2) ? dice.pick(EXTRAS) : 0;
  switch (dice.below(8)) {
    case 0:
    case 1:
      return callStackType(dice, callstack, perf.PERF_SAMPLE_BRANCH_USER);
    case 2:
      return callStackType(dice, callstack, levels(dice));
    case 3:
    case 4:
      return perf.PERF_SAMPLE_BRANCH_ANY | levels(dice) | extra | (dice.below(4) << 8);
    case 5:
    case 6: {
      let type = levels(dice) | extra;
      for (let i = dice.below(5); i >= 0; i--) type |= 1 << (3 + dice.below(16));
      return type & ~perf.PERF_SAMPLE_BRANCH_CALL_STACK;
    }
    default:
      return dice.below(1 << perf.PERF_SAMPLE_BRANCH_MAX_SHIFT);
  }
}

/** Draws one sequence. Knows which events are added, so that most calls of del follow an add. */
class Drawing {
  readonly calls: Call[] = [];
  private readonly dice: Dice;
  private readonly unbalanced: boolean;
  private readonly garbled: boolean;
  /** CPU of each event, or -1. */
  private readonly addedOn: number[] = Array.from({ length: EVENTS }, () => -1);
  private cpu = 0;

  private readonly callstack: boolean;

  /** @param callstack - the CPU has call-stack mode. */
  constructor(dice: Dice, callstack: boolean) {
    this.dice = dice;
    this.callstack = callstack;
    this.unbalanced = dice.oneIn(4);
    this.garbled = dice.oneIn(4);
  }

  draw(): readonly Call[] {
    const { dice } = this;
    for (let i = 0; i < CONTEXTS; i++) {
      if (i < 2 || dice.oneIn(2)) this.call('setTaskData', i, i);
    }
    for (let event = 0; event < EVENTS; event++) {
      if (event < 2 && !dice.oneIn(3)) this.setUpCallStack(event);
      else this.setUp(event);
    }
    // Without a user, most calls do nothing.
    for (let event = dice.below(3); event > 0; event--) this.addOrDel(event);
    const length = LENGTH_MIN + dice.below(LENGTH_MAX - LENGTH_MIN);
    while (this.calls.length < length) this.step();
    this.read();
    return this.calls;
  }

  private call(fn: FunctionName, ...args: readonly number[]): void {
    this.calls.push({ fn, args });
  }

  private setUp(event: number): void {
    const { dice } = this;
    const type = branchSampleType(dice, this.callstack);
    const select = dice.oneIn(4) ? 1 : 0;
    const ctx = dice.below(CONTEXTS);
    this.call('intel_pmu_setup_lbr_filter', event, ctx, type, select, dice.flag());
  }

  /** A task's own call stack, as `perf record --call-graph lbr` opens it. */
  private setUpCallStack(event: number): void {
    const { dice } = this;
    const type = callStackType(dice, this.callstack, perf.PERF_SAMPLE_BRANCH_USER);
    this.call('intel_pmu_setup_lbr_filter', event, event, type, dice.flag(), dice.flag());
  }

  private step(): void {
    const { dice } = this;
    if (dice.oneIn(4)) this.stir();
    const what = dice.below(19);
    if (what < 5) this.addOrDel(dice.below(EVENTS));
    else if (what < 8) this.switchTasks();
    else if (what < 9) this.call('intel_pmu_lbr_sched_task', this.cpu, this.anyCtx(), dice.flag());
    else if (what < 11) this.call('intel_pmu_lbr_enable_all', this.cpu, dice.flag());
    else if (what < 12) this.call('intel_pmu_lbr_disable_all', this.cpu);
    else if (what < 14) this.read();
    else if (what < 15) this.call('intel_pmu_lbr_reset', this.cpu);
    else if (what < 16) this.swap();
    else if (what < 17) this.cpu = dice.below(CPUS);
    else this.around();
  }

  private addOrDel(event: number): void {
    const { dice, cpu } = this;
    if (this.unbalanced && dice.oneIn(6)) {
      this.call(dice.oneIn(2) ? 'intel_pmu_lbr_add' : 'intel_pmu_lbr_del', cpu, event);
      return;
    }
    if (this.addedOn[event] < 0) {
      if (!dice.oneIn(4)) this.call('useFilter', cpu, event);
      this.call('intel_pmu_lbr_add', cpu, event);
      this.addedOn[event] = cpu;
    } else if (!dice.oneIn(3)) {
      this.call('intel_pmu_lbr_del', this.addedOn[event], event);
      this.addedOn[event] = -1;
      if (dice.oneIn(2)) this.call('setRan', event, 1);
    }
  }

  /** A task leaves, another may run, and the first may return on this CPU or the other. */
  private switchTasks(): void {
    const { dice } = this;
    const ctx = dice.oneIn(2) ? dice.below(2) : this.anyCtx();
    if (dice.oneIn(2)) this.branches();
    this.call('intel_pmu_lbr_sched_task', this.cpu, ctx, 0);
    if (dice.oneIn(4)) {
      const other = this.anyCtx();
      this.call('intel_pmu_lbr_sched_task', this.cpu, other, 1);
      this.call('intel_pmu_lbr_sched_task', this.cpu, other, 0);
    }
    if (dice.oneIn(3)) this.stir();
    if (dice.oneIn(6)) {
      // The task may also run on the other CPU and be saved there before it returns.
      this.cpu = 1 - this.cpu;
      if (dice.oneIn(2)) {
        this.call('intel_pmu_lbr_sched_task', this.cpu, ctx, 1);
        this.call('intel_pmu_lbr_sched_task', this.cpu, ctx, 0);
        this.cpu = 1 - this.cpu;
      }
    }
    if (!dice.oneIn(3)) this.call('intel_pmu_lbr_sched_task', this.cpu, ctx, 1);
  }

  private anyCtx(): number {
    return this.dice.below(CONTEXTS + 1) - 1;
  }

  private swap(): void {
    const { dice } = this;
    const prev = dice.below(CONTEXTS);
    this.call('intel_pmu_lbr_swap_task_ctx', this.cpu, prev, dice.below(CONTEXTS));
  }

  private read(): void {
    if (this.dice.oneIn(2)) this.branches();
    this.call('intel_pmu_lbr_read', this.cpu);
  }

  private branches(): void {
    this.call('stir', this.cpu, STIR_BRANCHES, this.dice.below(64));
  }

  private stir(): void {
    this.call('stir', this.cpu, this.dice.below(STIRS.length), this.dice.below(64));
  }

  /** An action of the kernel outside lbr.c. */
  private around(): void {
    const { dice } = this;
    const event = dice.below(EVENTS);
    switch (dice.below(6)) {
      case 0:
        this.call('setFilter', this.cpu, dice.word(), dice.oneIn(2) ? dice.word() : 0);
        break;
      case 1:
        this.call('setGuestMask', this.cpu, dice.oneIn(3) ? 1 : 0);
        break;
      case 2:
        this.call('setRan', event, dice.flag());
        break;
      case 3:
        if (this.garbled) this.garble();
        break;
      case 4:
        this.call('setTaskData', dice.below(CONTEXTS), dice.below(DATA + 1) - 1);
        break;
      default:
        if (this.addedOn[event] < 0 || this.unbalanced) this.setUp(event);
    }
  }

  private garble(): void {
    const { dice } = this;
    const tos = dice.oneIn(2) ? dice.word() : dice.below(32);
    const users = dice.below(4) - 1;
    const log = dice.oneIn(2) ? 0x7fffffff : dice.word();
    const sel = [dice.word(), dice.word()];
    const data = dice.below(DATA);
    this.call('garbleTaskData', data, ...sel, tos, dice.below(33), users, dice.flag(), log);
  }
}

/** Draws the sequence of a run. Successive runs go through the subjects and the PMU versions. */
export function drawSequence(seed: number, run: number, subjects: readonly Subject[]): Sequence {
  const dice = new Dice(seed, run);
  const subject = subjects[run % subjects.length];
  const turn = Math.floor(run / subjects.length);
  const registers = {
    seed: dice.word(),
    full: dice.oneIn(4),
    wildRecords: dice.oneIn(3),
    wildTos: dice.oneIn(3),
  };
  return {
    cpu: subject.name,
    pmuVersion: PMU_VERSIONS[turn % PMU_VERSIONS.length],
    registers,
    calls: new Drawing(dice, subject.model.callstack).draw(),
  };
}
