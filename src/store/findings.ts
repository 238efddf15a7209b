/**
 * What a campaign has found of a subject. Ranges of runs are put together in their order, so it
 * does not depend on who was done first.
 */
import { type Found, mergeFound, type OwnFound, type ShapeFound } from '../campaign/found.js';
import { PROPERTY, PROPERTY_NAMES } from '../judge/properties.js';
import { type Example, type Failure, isSame, type RunsDone } from './unit.js';

/** A failure of a subject, however often it was met. */
export interface Entry extends Failure {
  /** How many of the failing runs that were looked at have it. */
  readonly count: number;
  /** Index of the range of runs that has met it first. */
  readonly first: number;
  /** The first schedules that show it, EXAMPLES at the most. */
  readonly examples: readonly Example[];
  /** Each of them made short; null for one that is not yet. */
  readonly short: readonly (Example | null)[];
}

/** What is known of a subject. */
export interface Findings {
  /** How many ranges of its runs are in this. */
  readonly ranges: number;
  /** Without schedules; null before the first range. */
  readonly found: Found | null;
  /** In the order in which they were met first. */
  readonly entries: readonly Entry[];
}

export const NOTHING_FOUND: Findings = { ranges: 0, found: null, entries: [] };

/** Schedules that are made short for each failure: the shortest of them is told. */
const EXAMPLES = 2;

/** Puts in what the next range of runs has found. */
export function withRange(findings: Findings, { found, met }: RunsDone): Findings {
  const first = findings.ranges;
  const entries = [...findings.entries];
  for (const { count, shape, words, ...failure } of met) {
    const i = entries.findIndex((entry) => isSame(entry, failure));
    const entry = entries[i] ?? { ...failure, count: 0, first, examples: [], short: [] };
    const isFull = entry.examples.length >= EXAMPLES;
    const more: Entry = {
      ...entry,
      count: entry.count + count,
      examples: isFull ? entry.examples : [...entry.examples, { shape, words }],
      short: isFull ? entry.short : [...entry.short, null],
    };
    if (i < 0) entries.push(more);
    else entries[i] = more;
  }
  const all = findings.found === null ? [found] : [findings.found, found];
  return { ranges: first + 1, found: mergeFound(all), entries };
}

/** Puts in that an example was made short. */
export function withShort(findings: Findings, entry: number, i: number, short: Example): Findings {
  const entries = findings.entries.map((one, e) =>
    e === entry ? { ...one, short: one.short.map((old, k) => (k === i ? short : old)) } : one,
  );
  return { ...findings, entries };
}

/** The shortest schedule of a failure: one that was made short, or else one as it was drawn. */
export function shortestOf({ examples, short }: Entry): Example {
  const made = short.filter((one) => one !== null);
  const [first, ...rest] = made.length > 0 ? made : examples;
  return rest.reduce((a, b) => (b.words.length < a.words.length ? b : a), first);
}

/** All that was found, each failure with its shortest schedule, as if one had made all runs. */
export function foundIn({ found, entries }: Findings): Found | null {
  if (found === null) return null;
  const shapes = found.shapes.map((shape, s): ShapeFound => {
    const here = entries.map((entry) => ({ entry, example: shortestOf(entry) }));
    const of = here.filter(({ example }) => example.shape === s);
    const own = of.filter(({ entry }) => entry.own);
    return {
      ...shape,
      failures: PROPERTY_NAMES.map((name) =>
        of
          .filter(({ entry }) => !entry.own && entry.property === name)
          .map(({ example }) => example.words),
      ),
      own: own.map(({ entry, example }): OwnFound => ({
        property: PROPERTY[entry.property],
        known: entry.known,
        schedules: [example.words],
      })),
    };
  });
  return { ...found, shapes };
}
