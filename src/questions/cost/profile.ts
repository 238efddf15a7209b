/**
 * What guests do while they run, where only the host was recorded: one profile for all of them. It
 * is synthetic, and its numbers are printed with the result.
 */
import { UsageError } from '../../console/errors.js';
import { printable } from '../../recording/trace_error.js';

export interface Profile {
  readonly name: string;
  /** Part of the time in which a guest's perf takes call stacks, in [0, 1]. */
  readonly share: number;
  /** Seconds from one beginning of that to the next. vCPUs begin at different times. */
  readonly period: number;
  /** Samples for each second that the vCPU runs, meanwhile. */
  readonly hz: number;
  /** Task switches of the guest for each second that the vCPU runs. */
  readonly switches: number;
  /** Frames on a task's call stack, about. */
  readonly depth: number;
  /** VM exits for each second that the vCPU runs, where none were recorded. */
  readonly exits: number;
}

const COMMON = { period: 1, hz: 1000, switches: 500, depth: 12, exits: 1000 } as const;

/** The profiles by name. */
export const PROFILES: readonly Profile[] = [
  { name: 'never', share: 0, ...COMMON },
  { name: 'rare', share: 0.01, ...COMMON },
  { name: 'always', share: 1, ...COMMON },
];

export const PROFILE_SAYS: Readonly<Record<string, string>> = {
  never: 'no guest ever uses LBR',
  rare: 'each guest takes call stacks 1 % of the time: 10 ms in each second',
  always: 'each guest takes call stacks all the time',
};

/** What each number of a profile may be. */
const BOUNDS = {
  share: [0, 1],
  period: [0.001, 3600],
  hz: [0, 100_000],
  switches: [0, 100_000],
  depth: [1, 100],
  exits: [0, 1_000_000],
} as const;
type Field = keyof typeof BOUNDS;

function isField(word: string): word is Field {
  return Object.hasOwn(BOUNDS, word);
}

const NUMBER = /^-?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/i;

/**
 * A profile of the command line: a name, or a name with other numbers, as `always,hz=4000`.
 *
 * @throws UsageError for a name or a number that there is not.
 */
export function profileOf(text: string): Profile {
  const [name, ...changes] = text.split(',');
  const base = PROFILES.find((one) => one.name === name);
  const names = PROFILES.map((one) => one.name).join(', ');
  if (base === undefined) {
    throw new UsageError(`there is no profile '${printable(name)}'. There are: ${names}`);
  }
  const changed: Partial<Record<Field, number>> = {};
  for (const change of changes) {
    const [field, value, ...more] = change.split('=');
    const number = Number(value);
    if (!isField(field) || !NUMBER.test(value ?? '') || more.length > 0) {
      const fields = Object.keys(BOUNDS).join(', ');
      throw new UsageError(
        `--profile ${printable(text)}: '${printable(change)}' is not NUMBER of: ${fields}`,
      );
    }
    const [low, high] = BOUNDS[field];
    if (!(number >= low && number <= high)) {
      throw new UsageError(`--profile ${printable(text)}: ${field} must be from ${low} to ${high}`);
    }
    changed[field] = number;
  }
  return { ...base, ...changed, name: text };
}

/** The numbers of a profile, in words. */
export function profileText({ share, period, hz, switches, depth, exits }: Profile): string {
  const on = share === 0 ? 'no call stacks' : `call stacks ${100 * share} % of each ${period} s`;
  const sampling = share === 0 ? '' : `, ${hz} samples/s, stacks of about ${depth} frames`;
  return `${on}${sampling}, ${switches} task switches/s, ${exits} exits/s where none are recorded`;
}
