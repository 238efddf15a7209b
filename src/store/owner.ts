/** The owner of a campaign: gives its units to a crew, and keeps what comes of them. */
import type { Report } from '../campaign/campaign.js';
import { rangeAt, rangesOf, subjectsOf } from './asked.js';
import type { Directory, Sample } from './directory.js';
import { type Findings, foundIn, withShort } from './findings.js';
import type { Example, RunsDone, Unit, UnitDone } from './unit.js';

/** Who does units: threads of this process, or workers behind a queue. */
export interface Crew {
  /** Units that it should have at a time, so that nobody waits for one. */
  readonly atOnce: number;
  /** Whether no more units are to be begun. */
  readonly ended: boolean;
  /** Returns null if the unit was not done, since the work was to end. */
  do(subject: number, unit: Unit): Promise<UnitDone | null>;
}

/** A unit, and what is to be done with what it comes to. */
interface Task {
  readonly subject: number;
  readonly unit: Unit;
  keep(done: UnitDone): void;
}

/** The work on a subject. */
class SubjectWork {
  private readonly directory: Directory;
  private readonly number: number;
  private findings: Findings;
  /** Ranges that are done or begun. */
  private readonly ranges: Set<number>;
  private nextRange = 0;
  /** Examples that are being made short, as `entry/i`. */
  private readonly shrinking: Set<string> = new Set();
  private summed: boolean;

  constructor(directory: Directory, number: number) {
    this.directory = directory;
    this.number = number;
    this.findings = directory.findings(number);
    this.ranges = new Set(directory.waiting(number));
    this.nextRange = this.findings.ranges;
    this.summed = directory.report(number) !== null;
  }

  /** What makes a schedule of a failure short; null if there is nothing to do. */
  shrink(): Task | null {
    const { number: subject, directory } = this;
    for (const [e, { short, examples, ...entry }] of this.findings.entries.entries()) {
      for (const [i, made] of short.entries()) {
        const key = `${e}/${i}`;
        if (made !== null || this.shrinking.has(key)) continue;
        this.shrinking.add(key);
        const { property, own, known, cause } = entry;
        const failure = { property, own, known, cause };
        const keep = (done: UnitDone): void => {
          this.shrinking.delete(key);
          this.findings = withShort(this.findings, e, i, done as Example);
          directory.keepFindings(subject, this.findings);
        };
        return { subject, unit: { kind: 'shrink', failure, example: examples[i] }, keep };
      }
    }
    return null;
  }

  /** Index of the range that comes next; Infinity if all are begun. */
  get next(): number {
    while (this.ranges.has(this.nextRange)) this.nextRange++;
    return this.nextRange < rangesOf(this.directory.asked) ? this.nextRange : Infinity;
  }

  range(): Task {
    const { number: subject, directory, next } = this;
    this.ranges.add(next);
    const keep = (done: UnitDone): void => {
      this.findings = directory.keepRange(subject, next, done as RunsDone);
    };
    return { subject, unit: { kind: 'runs', range: rangeAt(directory.asked, next) }, keep };
  }

  /** The verdicts, once all else is done; null before and after. */
  sum(): Task | null {
    const { directory, findings, number: subject } = this;
    const open = findings.entries.some(({ short }) => short.includes(null));
    const found = foundIn(findings);
    const { ranges } = findings;
    if (this.summed || open || found === null || ranges < rangesOf(directory.asked)) return null;
    this.summed = true;
    const keep = (done: UnitDone): void => directory.keepReport(subject, done as Report);
    return { subject, unit: { kind: 'sum', found }, keep };
  }

  get sample(): Omit<Sample, 'at_ms'> {
    const { found, entries } = this.findings;
    const steps = (found?.shapes ?? []).reduce((sum, shape) => sum + shape.steps, 0);
    return { runs: found?.runs ?? 0, steps, failures: entries.length };
  }
}

/** Which unit is to be done next. What is short first, so that failures are told soon. */
function nextTask(subjects: readonly SubjectWork[]): Task | null {
  for (const subject of subjects) {
    const task = subject.shrink();
    if (task !== null) return task;
  }
  // Subjects take turns: each is as far as the others.
  const least = Math.min(...subjects.map(({ next }) => next));
  const turn = subjects.find(({ next }) => next === least);
  if (turn !== undefined && least < Infinity) return turn.range();
  for (const subject of subjects) {
    const task = subject.sum();
    if (task !== null) return task;
  }
  return null;
}

/**
 * Does what is left of a campaign, until all of it is done or the crew is to end.
 *
 * @param hear - is told how far it is, after each unit.
 */
export async function workOff(
  directory: Directory,
  crew: Crew,
  hear: (sample: Omit<Sample, 'at_ms'>) => void,
): Promise<void> {
  const subjects = subjectsOf(directory.asked).map((_, i) => new SubjectWork(directory, i));
  const running = new Set<Promise<void>>();
  const perform = async ({ subject, unit, keep }: Task): Promise<void> => {
    const done = await crew.do(subject, unit);
    if (done === null) return;
    keep(done);
    hear(sumOf(subjects));
  };
  for (;;) {
    while (!crew.ended && running.size < crew.atOnce) {
      const task = nextTask(subjects);
      if (task === null) break;
      const work = perform(task).finally(() => running.delete(work));
      running.add(work);
    }
    if (running.size === 0) return;
    // What a unit was for decides what comes next.
    // oxlint-disable-next-line no-await-in-loop
    await Promise.race(running);
  }
}

function sumOf(subjects: readonly SubjectWork[]): Omit<Sample, 'at_ms'> {
  const all = subjects.map(({ sample }) => sample);
  const sum = (of: (one: Omit<Sample, 'at_ms'>) => number): number =>
    all.reduce((total, one) => total + of(one), 0);
  return {
    runs: sum(({ runs }) => runs),
    steps: sum(({ steps }) => steps),
    failures: sum(({ failures }) => failures),
  };
}
