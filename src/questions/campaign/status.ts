/** `vlbr campaign status` and `stop`: how far a campaign is, and the end of who works on it. */
import { setTimeout } from 'node:timers/promises';
import { UsageError } from '../../console/errors.js';
import { type Asked, subjectsOf } from '../../store/asked.js';
import { Directory, type Sample } from '../../store/directory.js';
import { failuresIn } from './report.js';

export interface Status {
  readonly asked: Asked;
  readonly runs: number;
  readonly runsAsked: number;
  /** Different failures, and those of them whose schedules were made short. */
  readonly failures: number;
  readonly short: number;
  /** Policies on a CPU beside a kernel's code, and those whose verdicts are known. */
  readonly subjects: number;
  readonly judged: number;
  /** Process that works on it; null if none does. */
  readonly owner: number | null;
  readonly samples: readonly Sample[];
}

export function statusOf(directory: Directory): Status {
  const { asked } = directory;
  const findings = subjectsOf(asked).map((_, i) => directory.findings(i));
  const failures = failuresIn(directory);
  return {
    asked,
    runs: findings.reduce((sum, { found }) => sum + (found?.runs ?? 0), 0),
    runsAsked: findings.length * asked.runs,
    failures: failures.length,
    short: failures.filter(({ short }) => short).length,
    subjects: findings.length,
    judged: findings.filter((_, i) => directory.report(i) !== null).length,
    owner: directory.owner,
    samples: directory.samples(),
  };
}

/** Milliseconds between two looks whether a process has ended, and looks. */
const LOOK_MS = 100;
const LOOKS = 600;

/**
 * Has the process end that works on a campaign, with what is known.
 *
 * Returns its number; null if there was none.
 * @throws UsageError if it goes on even so.
 */
export async function stopOwner(path: string): Promise<number | null> {
  const directory = Directory.read(path);
  try {
    const { owner } = directory;
    if (owner === null) return null;
    process.kill(owner, 'SIGTERM');
    for (let look = 0; look < LOOKS; look++) {
      if (directory.owner === null) return owner;
      // oxlint-disable-next-line no-await-in-loop
      await setTimeout(LOOK_MS);
    }
    const waited = (LOOK_MS * LOOKS) / 1000;
    throw new UsageError(`process ${owner} still works on ${path} after ${waited} seconds`);
  } finally {
    directory.close();
  }
}
