/** Runs that are drawn afresh, or half of them out of schedules that were kept. */
import type { Bench } from '../../src/campaign/trial.js';
import type { Draw } from '../../src/schedule/draw.js';
import { Generator } from '../../src/schedule/generate.js';
import { ACTION_WORDS, Schedule } from '../../src/schedule/schedule.js';
import { canPerform, KINDS } from '../../src/schedule/table.js';
import { Covered, type Seen } from './covered.js';
import { mutated, type Plan } from './mutate.js';

/** What runs leave to those after them. */
export interface Corpus {
  readonly seen: Seen;
  /** The beginning of each run that covered anything new, up to the last such action. */
  readonly kept: Schedule[];
}

/** The runs on one machine. */
export class Runs {
  readonly bench: Bench;
  /** The schedule of the last run. */
  readonly schedule: Schedule = new Schedule();
  private readonly generator: Generator;
  private readonly corpus: Corpus | null;
  private readonly covered: Covered | null;

  /** @param corpus - is used, and added to; null to draw all runs afresh. */
  constructor(bench: Bench, corpus: Corpus | null) {
    this.bench = bench;
    this.corpus = corpus;
    this.generator = new Generator(bench.machine);
    this.covered = corpus === null ? null : new Covered(bench, corpus.seen);
  }

  /** Makes one run. @param guestsOnly - whether the guests are left alone. */
  run(draw: Draw, actions: number, guestsOnly: boolean): void {
    const { bench, schedule, generator, covered, corpus } = this;
    const kept = corpus?.kept ?? [];
    const plan = kept.length > 0 && draw.below(2) === 0 ? mutated(kept, draw) : null;
    schedule.clear();
    bench.boot();
    if (guestsOnly) generator.beginGuestsOnly(draw);
    else generator.begin(draw, true);
    covered?.begin();
    let covering = 0;
    let next = 0;
    while (schedule.length < actions) {
      next = plan === null ? -1 : this.follow(plan, next);
      if (next < 0) generator.next();
      const { kind, actor, a, b, c } = generator;
      schedule.push(kind, actor, a, b, c);
      bench.step(schedule, schedule.length - 1);
      if (covered?.news() === true) covering = schedule.length;
    }
    if (corpus === null || covering === 0) return;
    const beginning = new Schedule();
    beginning.append(schedule, 0, covering);
    corpus.kept.push(beginning);
  }

  /**
   * Takes the first possible action of a plan from an index on.
   *
   * Returns the index after it; -1 if none is left, or from there on.
   */
  private follow({ schedule, redrawn }: Plan, from: number): number {
    const { generator } = this;
    const { machine } = this.bench;
    if (from < 0) return -1;
    for (let i = from; i < schedule.length; i++) {
      const at = i * ACTION_WORDS;
      const [kind, actor, a, b, c] = schedule.words.subarray(at, at + ACTION_WORDS);
      if (!canPerform(machine, kind, actor, a, b)) continue;
      generator.set(kind, actor, a, b);
      generator.c = c;
      if (i === redrawn) this.redraw(kind, actor);
      return i + 1;
    }
    return -1;
  }

  /** Draws other parameters for an action that is possible as it is. */
  private redraw(kind: number, actor: number): void {
    const { generator } = this;
    const { offer, draw, params } = KINDS[kind];
    if (offer?.(generator, actor) === false) return;
    generator.set(kind, actor, 0, 0);
    if (draw !== undefined) draw(generator, actor);
    else if (params[0]?.repeats === true) generator.a = generator.repeat();
    else if (params[0]?.count !== undefined) generator.a = generator.pickPossible(actor);
  }
}
