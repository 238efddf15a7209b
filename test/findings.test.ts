/** docs/FINDINGS.md: every sentence has a schedule, and its table is what exploration finds. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DEFAULT_GROUPS } from '../src/states/alphabet.js';
import { explore } from '../src/states/explore.js';
import { notApplicable, POLICIES } from '../src/host/policy/index.js';
import type { LbrPolicy, PropertyName } from '../src/host/policy/policy.js';
import { PROPERTY_NAMES } from '../src/host/policy/policy.js';
import { exploreOptions } from './rig/states.js';

const FINDINGS = readFileSync(new URL('../docs/FINDINGS.md', import.meta.url), 'utf8');

const GOLDEN = readdirSync(new URL('golden/', import.meta.url))
  .filter((name) => /^\d{3}-.*\.json$/.test(name))
  .map((name) => name.slice(0, 3));

/** Longer schedules are left to the command that the document gives. */
const BOUND = 7;

/** The cells of its table, by policy and in the order of its head. */
const ROWS: string[][] = FINDINGS.split('\n')
  .filter((line) => line.startsWith('| '))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
const HEAD = ROWS.find(([first]) => first === 'policy') ?? [];
const PROPERTIES = PROPERTY_NAMES.filter((name) => HEAD.includes(name));

/** The shortest counterexamples of at most BOUND actions, `-` for none. */
function shortest(policy: LbrPolicy): string[] {
  const options = exploreOptions(policy, DEFAULT_GROUPS, {
    properties: PROPERTIES,
    maxLength: BOUND,
  });
  const { results, complete } = explore(options);
  expect(complete).toBe(true);
  return HEAD.slice(1).map((name) => {
    const property = name as PropertyName;
    if (notApplicable(policy, property, options.model) !== null) return 'n/a';
    const found = results.find((result) => result.property === property)?.counterexample;
    return found === undefined || found === null ? '-' : String(found.actions.length);
  });
}

describe('docs/FINDINGS.md', () => {
  it('docs/FINDINGS.md names schedules that exist, and each of them', () => {
    const named = new Set(FINDINGS.match(/(?<![\d,])0\d\d\b/g));
    expect([...named].filter((number) => !GOLDEN.includes(number))).toEqual([]);
    expect(GOLDEN.filter((number) => !named.has(number))).toEqual([]);
  });

  it.each(POLICIES)('docs/FINDINGS.md gives the shortest schedules for $name', (policy) => {
    const row = ROWS.find(([name]) => name === policy.name)?.slice(1) ?? [];
    expect(row.map((cell) => (Number(cell) > BOUND ? '-' : cell))).toEqual(shortest(policy));
  });
});
