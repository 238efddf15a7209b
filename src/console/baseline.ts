/**
 * The option --baseline: what an earlier report of the same command has lost is known, and only
 * what is lost besides counts. Each command says what its losses are; JSON has them as `losses`.
 */
import { Option } from 'commander';
import { isObject, type JsonObject } from '../campaign/replay_file.js';
import { printable } from '../recording/trace_error.js';
import type { Colours } from './colours.js';
import { UsageError } from './errors.js';
import { inputName, inputText } from './input_file.js';
import type { TestCase } from './report_forms.js';
import { tableLines } from './table.js';
import { plural, wrap } from './text.js';

/** Something that is not as it should be, in words that are the same for every seed. */
export interface Loss {
  /** A policy, `kernel` for the guest's own, or what of a kernel is compared. */
  readonly of: string;
  /** A property, or another thing that is looked at. */
  readonly what: string;
  /** How it is: a verdict, `lost`, `crashes`, `differs`. */
  readonly how: string;
}

/** An earlier report. */
export interface Baseline {
  readonly file: string;
  readonly losses: readonly Loss[];
}

/** The losses of a report beside those of an earlier one. */
export interface Since {
  /** The earlier one. */
  readonly file: string;
  readonly new: readonly Loss[];
  readonly known: readonly Loss[];
  /** Only the earlier one has these; none if this one was cut short, and may come to them yet. */
  readonly noLonger: readonly Loss[];
}

/** As commander hands it over. */
export interface BaselineOptions {
  readonly baseline?: string;
}

export function baselineOption(): Option {
  const says = 'an earlier --json of this command: what is lost there is known, and does not count';
  return new Option('--baseline <file>', says);
}

/** What two reports must have in common to be compared, by the keys of their JSON. */
export type Settings = Readonly<Record<string, unknown>>;

/**
 * Reads the earlier report, before anything is run.
 *
 * @param schema - of the JSON of this command.
 * @param settings - of this run. Of a kernel, VERSION and PATCHLEVEL count.
 * Returns null if none was given. @throws UsageError for a file that is no such report.
 */
export function readBaseline(
  { baseline: file }: BaselineOptions,
  schema: string,
  settings: Settings,
): Baseline | null {
  if (file === undefined) return null;
  const advice = `give what --json of this command has printed (${schema})`;
  const wrong = (why: string): UsageError =>
    new UsageError(`--baseline ${inputName(file)}: ${printable(why)}; ${advice}`);
  const json = objectOf(inputText(file, advice), wrong);
  if (json['schema'] !== schema) {
    throw wrong(`its schema is ${JSON.stringify(json['schema']) ?? 'missing'}`);
  }
  const other = Object.keys(settings).find((key) => textOf(json[key]) !== textOf(settings[key]));
  if (other !== undefined) {
    const [there, here] = [json[other], settings[other]].map((value) => shown(textOf(value)));
    throw wrong(`its ${other} is ${there}, and here it is ${here}`);
  }
  const { losses } = json;
  if (!Array.isArray(losses) || !losses.every(isLoss)) throw wrong('it has no list of losses');
  return { file, losses };
}

function objectOf(text: string, wrong: (why: string) => UsageError): JsonObject {
  let json: unknown = null;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw wrong(`this is no JSON: ${error instanceof Error ? error.message : ''}`);
  }
  if (isObject(json)) return json;
  throw wrong('this is no JSON object');
}

function isLoss(value: unknown): value is Loss {
  return isObject(value) && ['of', 'what', 'how'].every((key) => typeof value[key] === 'string');
}

/** A setting as text. */
function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.map(textOf).join(',');
  if (!isObject(value)) return value === null ? 'none' : String(value);
  const { version } = value;
  if (typeof version === 'string') return /^\d+\.\d+/.exec(version)?.[0] ?? version;
  return Object.values(value).join('/');
}

const SETTING_MAX = 40;

function shown(text: string): string {
  if (text === '') return 'empty';
  return text.length > SETTING_MAX ? `${text.slice(0, SETTING_MAX)}...` : text;
}

function keyOf({ of, what, how }: Loss): string {
  return JSON.stringify([of, what, how]);
}

function has(losses: readonly Loss[], loss: Loss): boolean {
  return losses.some((one) => keyOf(one) === keyOf(loss));
}

/** Whether an earlier report has a loss, while it is not yet known which others there are. */
export function isInBaseline(baseline: Baseline | null, loss: Loss): boolean {
  return baseline !== null && has(baseline.losses, loss);
}

/**
 * Compares losses with those of an earlier report.
 *
 * @param cutShort - whether there may be more of them.
 */
export function sinceOf(
  baseline: Baseline | null,
  losses: readonly Loss[],
  cutShort: boolean,
): Since | null {
  if (baseline === null) return null;
  return {
    file: baseline.file,
    new: losses.filter((loss) => !has(baseline.losses, loss)),
    known: losses.filter((loss) => has(baseline.losses, loss)),
    noLonger: cutShort ? [] : baseline.losses.filter((loss) => !has(losses, loss)),
  };
}

/** Those losses that count: the new ones, or all of them without a baseline. */
export function countedIn(losses: readonly Loss[], since: Since | null): readonly Loss[] {
  return since?.new ?? losses;
}

/** Whether an earlier report has a loss of this one, too. */
export function isKnown(since: Since | null, loss: Loss): boolean {
  return since !== null && has(since.known, loss);
}

/**
 * A test case that is ok if all that is wrong with it is known.
 *
 * @param losses - what makes it not ok.
 */
export function forgiven(one: TestCase, losses: readonly Loss[], since: Since | null): TestCase {
  if (since === null || one.outcome !== 'not ok') return one;
  if (!losses.every((loss) => isKnown(since, loss))) return one;
  return { ...one, outcome: 'ok', says: `known from ${inputName(since.file)}: ${one.says}` };
}

function rows(word: string, losses: readonly Loss[]): string[][] {
  return losses.map(({ of, what, how }) => [word, of, what, how]);
}

/** What is new, what is known, and what is no longer lost, as lines; none without a baseline. */
export function sinceLines(since: Since | null, colours: Colours): string[] {
  if (since === null) return [];
  const { file, known, noLonger } = since;
  const all = [
    ...rows(colours.red('NEW'), since.new),
    ...rows('known', known),
    ...rows(colours.green('no longer'), noLonger),
  ];
  const fresh = plural(since.new.length, 'new loss');
  const rest = `${known.length} known, ${noLonger.length} no longer`;
  const head = `since ${inputName(file)}: ${fresh}, ${rest}`;
  const paint = since.new.length === 0 ? colours.green : colours.red;
  return [
    '',
    ...(all.length === 0 ? [] : tableLines(['', 'of', 'what', 'how'], all)),
    ...wrap(head, '', '  ').map((line) => paint(line)),
  ];
}
