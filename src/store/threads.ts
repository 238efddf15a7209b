/** A crew of worker threads. */
import type { Progress, Report } from '../campaign/campaign.js';
import type { Found } from '../campaign/found.js';
import { adviceOf, SILENCE_MS } from '../console/campaigns.js';
import { planned, threadsFor } from '../console/pool.js';
import type { ProgressLine } from '../console/progress.js';
import { subjectsOf, type Asked, type Subject, type Target } from './asked.js';
import type { Directory } from './directory.js';
import type { Crew } from './owner.js';
import type { Unit, UnitDone } from './unit.js';
import type { UnitJob } from './worker.js';

/** The build puts the worker's code beside this. */
const WORKER: URL = new URL('./store_worker.js', import.meta.url);

export interface Threads {
  /** The most threads; by default, one for each core. */
  readonly jobs?: number;
  /** Takes the progress line off the terminal when the work ends. */
  readonly line: ProgressLine<unknown>;
}

export interface OwnThreads extends Threads {
  /** The compiled code of a target; null for the port. */
  codeOf(target: Target): Uint8Array | null;
}

/**
 * Has units done in threads until the work is done, or is interrupted.
 *
 * @param work - gives units to the crew.
 * Returns whether it was interrupted.
 * @throws WorkerBug, UsageError - as `planned`.
 */
export async function withThreads(
  asked: Asked,
  { codeOf, ...threads }: OwnThreads,
  work: (crew: Crew) => Promise<void>,
): Promise<boolean> {
  const subjects = subjectsOf(asked);
  const ofTargets = new Map(asked.targets.map((one) => [one, jobOf(asked, one, codeOf(one))]));
  return withUnitThreads(threads, (doUnit, ended) =>
    work({
      atOnce: 2 * threadsFor(threads.jobs),
      get ended() {
        return ended.aborted;
      },
      do: async (subject, unit) => {
        const job = ofTargets.get(subjects[subject].target);
        if (job === undefined) throw new TypeError('a subject has a target of the campaign');
        return doUnit(job, subjects[subject], unit);
      },
    }),
  );
}

/** Does a unit in a thread. Returns null if the work was to end before the unit's end. */
export type DoUnit = (
  job: UnitJob,
  subject: Pick<Subject, 'policy' | 'cpu'>,
  unit: Unit,
) => Promise<UnitDone | null>;

/**
 * Has threads for units of any campaigns.
 *
 * @param work - may have as many units done at a time as it wants to.
 * Returns whether it was interrupted.
 * @throws WorkerBug, UsageError - as `planned`.
 */
export async function withUnitThreads(
  { jobs, line }: Threads,
  work: (doUnit: DoUnit, ended: AbortSignal) => Promise<void>,
): Promise<boolean> {
  const { interrupted } = await planned<UnitJob, Progress, UnitDone | null, never>(
    {
      worker: WORKER,
      silence_ms: SILENCE_MS,
      ...(jobs === undefined ? {} : { jobs }),
      advice: (request, crash, { asked }) => {
        const unit = request.part as Unit;
        const part = unit.kind === 'runs' ? unit.range : undefined;
        return adviceOf({ ...request, part }, crash, asked);
      },
    },
    // Who gives the units says how far the work is.
    { ...line, update: () => {} },
    threadsFor(jobs),
    async (ask, ended) => {
      await work(async (job, { policy, cpu }, unit) => {
        // What is known is told even when the work is to end.
        const sumsUp = unit.kind === 'sum' && unit.found.interrupted;
        const [done = null] = await ask({ policy, cpu, part: unit, sumsUp }, job);
        return done;
      }, ended);
      return [];
    },
  );
  return interrupted;
}

/**
 * The verdicts on subjects, made of what is known of them.
 *
 * Returns them by number of the subject.
 */
export async function reportsInThreads(
  directory: Directory,
  subjects: readonly { readonly subject: number; readonly found: Found }[],
): Promise<ReadonlyMap<number, Report>> {
  const reports = new Map<number, Report>();
  if (subjects.length === 0) return reports;
  const line = { update: () => {}, say: () => {}, end: () => {} };
  await withThreads(directory.asked, { line, codeOf: codeIn(directory) }, async (crew) => {
    const all = subjects.map(async ({ subject, found }) => {
      const done = await crew.do(subject, { kind: 'sum', found });
      if (done !== null) reports.set(subject, done as Report);
    });
    await Promise.all(all);
  });
  return reports;
}

/** Finds the compiled code of targets in a directory. */
export function codeIn(directory: Directory): (target: Target) => Uint8Array | null {
  return ({ code }) => (code === null ? null : directory.code(code));
}

/** What the units of one target have in common. */
export function jobOf(asked: Asked, target: Target, binary: Uint8Array | null): UnitJob {
  const { cpus, policies } = asked;
  return { asked, target, cpus, policies, kernel: target.kernel, binary };
}
