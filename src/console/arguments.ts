/** Turns the words of a command line into what they name. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { KERNEL_VERSIONS, type KernelVersion } from '../guest/perf/kernel.js';
import { addedPolicies, ALL_POLICIES } from '../host/policy/index.js';
import { kvm } from '../host/policy/kvm.js';
import { missingInKernel } from '../judge/needs.js';
import type { LbrPolicy } from '../host/policy/policy.js';
import { DRIVERS } from './drivers.js';
import { UsageError } from './errors.js';
import { guessOf } from './nearest.js';
import { setTextWidth, WIDTH_MIN } from './text.js';

/** A parser for a whole number within bounds, for commander. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

/** A parser for one of a few numbers, for commander. */
export function choiceOf(numbers: readonly number[]): (text: string) => number {
  return (text) => {
    const value = numbers.find((number) => String(number) === text);
    if (value !== undefined) return value;
    throw new InvalidArgumentError(`It must be ${numbers.join(' or ')}.`);
  };
}

const RUNS_MAX = 1_000_000_000;
const SEED_MAX = 0xffffffff;

/** The parser of --runs. */
export const runsNumber: (text: string) => number = wholeNumber(1, RUNS_MAX);

/** The parser of --seed, and what it says of itself. */
export const seedNumber: (text: string) => number = wholeNumber(0, SEED_MAX);
export const SEED_SAYS: string = `0 to ${SEED_MAX}; same seed, same report`;

/** What --kernel-src takes where it has to be the source, and where a compiled file will do. */
export const TREE_SAYS: string =
  'kernel tree, a .tar of one, or an lbr.c; default: the Debian package in /usr/src';
export const KERNEL_SRC_SAYS: string =
  'kernel tree, a .tar of one, an lbr.c, or what vlbr kernel build wrote; default: the Debian ' +
  'package in /usr/src';

/** What --driver is by default where the port is no choice. */
export const DRIVER_DEFAULT_SAYS: string =
  'default: what --kernel-src is, which is kernel for a tree';

/** What --policy takes where policies of files can run. */
export const POLICIES_SAY: string =
  'policies, or files with policies of your own, by commas (see: vlbr list policies)';

/** The policies under which a guest's kernel shows. */
export const TELLING = 'always,pv-sound,lazy-sound,parked,merged';

/** The option --jobs. */
export function jobsOption(): Option {
  const says = 'threads at the most; the report does not depend on it (default: one for each core)';
  return new Option('--jobs <n>', says).argParser(wholeNumber(1, 1024));
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 };

/** The option --time-limit, in milliseconds; main.ts takes it from any command that has it. */
export function timeLimitOption(): Option {
  const says = 'end after so long with what is known, as 90s, 10m or 2h';
  return new Option('--time-limit <time>', says).argParser((text) => {
    const [, n, unit] = /^(\d{1,6})([smh])$/.exec(text) ?? [];
    if (unit !== undefined && Number(n) > 0) return Number(n) * UNIT_MS[unit];
    throw new InvalidArgumentError('It must be a whole number of s, m or h, as 10m.');
  });
}

/** The option --driver. */
export function driverOption(): Option {
  return new Option(
    '--driver <name>',
    "what guests run: the port, a kernel's own C (perf core and driver), or its lbr.c in the " +
      'port; default: port, or kernel with --kernel-src',
  ).choices(DRIVERS);
}

/** The option --kernel. */
export function kernelOption(): Option {
  return new Option('--kernel <version>', "version of the guest's perf code")
    .choices(KERNEL_VERSIONS)
    .default(KERNEL_VERSIONS[0]);
}

/**
 * Adds --width. Whatever the command prints as text keeps to it, and to the terminal's width
 * without it; the lines of JSON are the same on every terminal.
 */
export function addWidthOption(command: Command): Command {
  const says = "columns of the text (default: the terminal's, or 80)";
  const option = new Option('--width <n>', says).argParser(wholeNumber(WIDTH_MIN, 1000));
  return command.addOption(option).hook('preAction', (_, called) => {
    const { json, width } = called.opts<{ readonly json?: boolean; readonly width?: number }>();
    if (json !== true) setTextWidth(width);
  });
}

/** Collects the values of an option that may be given more than once. */
export function collect(value: string, earlier: readonly string[] = []): string[] {
  return [...earlier, value];
}

/**
 * The names of a list separated by commas, in the order of the table and each once; `all` is
 * every name, and a name before a slash stands for all that begin with it.
 *
 * @throws UsageError for a name that is not in the table.
 */
export function namesOf<T extends string>(what: string, list: string, known: readonly T[]): T[] {
  const wanted = new Set<T>();
  for (const word of list.split(',').map((part) => part.trim())) {
    const found = known.filter((name) => {
      return word === 'all' || name === word || name.startsWith(`${word}/`);
    });
    if (found.length === 0) throw unknownName(what, word, known);
    for (const name of found) wanted.add(name);
  }
  return known.filter((name) => wanted.has(name));
}

/** Whether a list of policies names the KVM of the tree; `all` does not. */
export function namesKvm(list: string): boolean {
  return list.split(',').some((word) => word.trim() === kvm.name);
}

/** Why a policy can't run; null if it can. */
function missing(policy: LbrPolicy, kernel: KernelVersion | null): string | null {
  if (kernel !== null) return missingInKernel(policy, kernel);
  return policy.needs === undefined ? null : `policy ${policy.name} is of the port alone`;
}

/**
 * The policies of a list, in the order of the matrix. `all` leaves out those that can't run.
 *
 * @param kernel - the version of the port; null where a tree's own C runs.
 * @throws UsageError for a name that there is not, or not with this kernel.
 */
export function policiesOf(list: string, kernel: KernelVersion | null): string[] {
  const named = list.split(',').map((word) => word.trim());
  const all = [...ALL_POLICIES, ...addedPolicies()];
  for (const policy of all) {
    const why = missing(policy, kernel);
    if (why !== null && named.includes(policy.name)) throw new UsageError(why);
  }
  const there = all.filter((policy) => missing(policy, kernel) === null);
  const names = there.map(({ name }) => name);
  return namesOf('policy', list, namesKvm(list) ? [...names, kvm.name] : names);
}

/**
 * As `policiesOf`, where no kernel's own code is run.
 *
 * @param command - that does not run it, for the message.
 */
export function modelledOf(list: string, kernel: KernelVersion, command: string): string[] {
  if (namesKvm(list)) {
    throw new UsageError(
      `policy ${kvm.name} is code of a kernel tree, which ${command} does not run; its model is ` +
        'policy merged',
    );
  }
  return policiesOf(list, kernel);
}

/** The entry of a table that has a name. @throws UsageError when there is none. */
export function entryOf<T extends { readonly name: string }>(
  what: string,
  name: string,
  table: readonly T[],
): T {
  const entry = table.find((candidate) => candidate.name === name);
  if (entry !== undefined) return entry;
  throw unknownName(
    what,
    name,
    table.map((candidate) => candidate.name),
  );
}

/** What a name that is in no table ends a command with. */
export function unknownName(what: string, name: string, known: readonly string[]): UsageError {
  const guess = guessOf(name, known);
  return new UsageError(`there is no ${what} '${name}'.${guess} There are: ${known.join(', ')}`);
}
