/** What a campaign is asked, as plain data, and how its runs are cut into units. */
import type { Unit as Range } from '../campaign/campaign.js';
import type { KernelVersion } from '../guest/perf/kernel.js';
import type { PropertyName } from '../judge/properties.js';
import type { Shape } from '../machine/config.js';
import type { ActionName } from '../schedule/table.js';

/** A kernel's code. */
export interface Target {
  /** As the user named it: `6.1`, or a path. */
  readonly name: string;
  /** The version of the port, which the model of KVM follows. */
  readonly kernel: KernelVersion;
  /** The version whose list of known findings counts. */
  readonly version: string;
  /** SHA-256 of the compiled code, which the directory keeps; null for the port. */
  readonly code: string | null;
  /** What `vlbr replay` needs to run the same, as words of a command line. */
  readonly words: readonly string[];
}

export interface Asked {
  readonly targets: readonly Target[];
  readonly cpus: readonly string[];
  readonly policies: readonly string[];
  readonly properties: readonly PropertyName[];
  readonly shapes: readonly Shape[];
  readonly without: readonly ActionName[];
  /** Runs for each subject. */
  readonly runs: number;
  /** Runs of a unit. */
  readonly unitRuns: number;
  readonly seed: number;
  /** Whether to explore for schedules that are shorter than those found. */
  readonly shorten: boolean;
}

/** What is judged: a policy on a CPU, beside a kernel's code. */
export interface Subject {
  readonly target: Target;
  readonly cpu: string;
  readonly policy: string;
}

/** Every subject of a campaign, in the order of its report. */
export function subjectsOf({ targets, cpus, policies }: Asked): Subject[] {
  return targets.flatMap((target) =>
    cpus.flatMap((cpu) => policies.map((policy) => ({ target, cpu, policy }))),
  );
}

/** Number of units that the runs of each subject are cut into. */
export function rangesOf({ runs, unitRuns }: Asked): number {
  return Math.ceil(runs / unitRuns);
}

/** The i-th range of the runs of a subject. */
export function rangeAt({ runs, unitRuns }: Asked, i: number): Range {
  return { from: i * unitRuns, to: Math.min(runs, (i + 1) * unitRuns) };
}
