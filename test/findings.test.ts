/**
 * docs/FINDINGS.md: its text mentions every schedule, its index states what each schedule shows,
 * and its table agrees with exploration.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DEFAULT_GROUPS } from '../src/states/alphabet.js';
import { explore } from '../src/states/explore.js';
import { notApplicable } from '../src/judge/declared.js';
import { POLICIES } from '../src/host/policy/index.js';
import type { LbrPolicy } from '../src/host/policy/policy.js';
import type { PropertyName } from '../src/judge/properties.js';
import { PROPERTY_NAMES } from '../src/judge/properties.js';
import { exploreOptions } from './rig/states.js';

const FINDINGS = readFileSync(new URL('../docs/FINDINGS.md', import.meta.url), 'utf8');

/** The text before the index. The index itself mentions every schedule. */
const [TEXT] = FINDINGS.split('\n## Index of the schedules\n');

const FILES = readdirSync(new URL('golden/', import.meta.url)).filter((name) =>
  /^\d{3}-.*\.json$/.test(name),
);
const GOLDEN = FILES.map((name) => name.slice(0, 3));

/** The fields of a golden file that the index shows. */
interface Golden {
  readonly policy: string;
  readonly property: string;
  readonly whose: 'policy' | 'kernel' | 'nobody';
  readonly standIns?: readonly { readonly whose: Golden['whose'] }[];
}

const OUTCOME = { policy: 'breaks', kernel: 'kernel breaks', nobody: 'holds' } as const;

/** The policy of each schedule, by the schedule's number. */
const POLICY_OF: ReadonlyMap<string, string> = new Map(
  FILES.map((name) => {
    const text = readFileSync(new URL(`golden/${name}`, import.meta.url), 'utf8');
    return [name.slice(0, 3), (JSON.parse(text) as Golden).policy];
  }),
);

/** The row of the index for a golden file. */
function indexRow(name: string): string {
  const text = readFileSync(new URL(`golden/${name}`, import.meta.url), 'utf8');
  const { policy, property, whose, standIns } = JSON.parse(text) as Golden;
  const link = `[${name.slice(0, 3)}](../test/golden/${name})`;
  const broken = standIns?.some((standIn) => standIn.whose !== 'nobody') === true;
  const standIn = standIns === undefined ? '-' : broken ? 'breaks' : 'holds';
  return `| ${[link, policy, property, OUTCOME[whose], standIn].join(' | ')} |`;
}

/** The most actions that this test explores. The document gives a command for the rest. */
const BOUND = 7;

/** The cells of the table, one row for each policy. */
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

/** Lengths of the shortest counterexamples of at most BOUND actions; `-` for none. */
function shortest(policy: LbrPolicy): string[] {
  const options = exploreOptions(policy, DEFAULT_GROUPS, {
    properties: PROPERTIES,
    maxLength: BOUND,
  });
  const { results, complete } = explore(options);
  expect(complete).toBe(true);
  return HEAD.slice(1).map((name) => {
    const property = name as PropertyName;
    if (notApplicable(policy, property, options.model, options.kernel) !== null) return 'n/a';
    const found = results.find((result) => result.property === property)?.counterexample;
    return found === undefined || found === null ? '-' : String(found.actions.length);
  });
}

describe('docs/FINDINGS.md', () => {
  it('docs/FINDINGS.md mentions each schedule in its text, and no other', () => {
    const below100 = TEXT.match(/(?<![\d,])0\d\d\b/g) ?? [];
    expect(below100.filter((number) => !GOLDEN.includes(number))).toEqual([]);
    const named = (number: string): boolean => new RegExp(`(?<![\\d,])${number}\\b`).test(TEXT);
    expect(GOLDEN.filter((number) => !named(number))).toEqual([]);
  });

  it('docs/FINDINGS.md has each schedule in its index, with the ending of its file', () => {
    const rows = FINDINGS.slice(TEXT.length).match(/^\| \[.*$/gm);
    expect(rows).toEqual([...FILES].sort().map(indexRow));
  });

  it('docs/FINDINGS.md and README name the variant of a policy that a schedule is for', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
    // A block is a paragraph, a list item or a table row.
    const blocks = [readme, FINDINGS].flatMap((text) => text.split(/\n(?=\n|[-|] |\d\. )/));
    const silent = blocks.flatMap((block) =>
      (block.match(/(?<![\d,])0\d\d\b/g) ?? []).flatMap((number) => {
        const policy = POLICY_OF.get(number) ?? '';
        const isVariant = /^v\d+-(?!vmx$)/.test(policy);
        return isVariant && !block.includes(policy) ? [`${number} ${policy}`] : [];
      }),
    );
    expect(silent).toEqual([]);
    const variants = [...POLICY_OF.values()].filter((policy) => policy === 'v8-posted');
    expect(variants.length).toBeGreaterThan(3);
  });

  it.each(POLICIES)('docs/FINDINGS.md gives the shortest schedules for $name', (policy) => {
    const row = ROWS.find(([name]) => name === policy.name)?.slice(1) ?? [];
    expect(row.map((cell) => (Number(cell) > BOUND ? '-' : cell))).toEqual(shortest(policy));
  });
});
