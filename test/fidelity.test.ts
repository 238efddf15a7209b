/** docs/FIDELITY.md: order of the rows, references to rows, coverage of properties, measures. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { POLICY_PROPERTIES } from '../src/judge/properties.js';
import { wrongWith } from './rig/commands.js';

const ROOT = new URL('../', import.meta.url);

function read(path: string): string {
  return readFileSync(new URL(path, ROOT), 'utf8');
}

/** Paths of the files below a folder whose names end in `end`. */
function filesUnder(folder: string, end: string): string[] {
  return readdirSync(new URL(folder, ROOT), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(end))
    .map((name) => `${folder}${name.replaceAll('\\', '/')}`);
}

const FIDELITY = read('docs/FIDELITY.md');

/** Text of each row by its number, as one line. */
const ROWS = new Map(
  [...FIDELITY.matchAll(/^\*\*F(\d+)\*\* ([^]*?)(?=\n\n|\n$)/gm)].map(([, number, text]) => [
    Number(number),
    text.replaceAll('\n', ' '),
  ]),
);

/** The number of each row in a section whose first words give a measure for all of them. */
const MEASURED = new Set(
  FIDELITY.split(/^## /m).flatMap((section) => {
    const [head] = section.split(/^\*\*F\d+\*\*/m);
    if (!head.includes('*Measure:*')) return [];
    return [...section.matchAll(/^\*\*F(\d+)\*\*/gm)].map(([, number]) => Number(number));
  }),
);

/** What is said to be the measure, of rows and of sections. */
const MEASURES = FIDELITY.split('\n\n').flatMap((paragraph) =>
  paragraph.replaceAll('\n', ' ').split('*Measure:*').slice(1),
);

/** The commands in a text: words between backticks that begin with `vlbr` or `npx`, and tests. */
function commandsIn(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)]
    .map(([, words]) => words)
    .filter((words) => /^(vlbr |npx |test\/)/.test(words));
}

/** Whether the row's "could blind" names the property, or the pair that it belongs to. */
function couldBlind(text: string, property: string): boolean {
  const [, blind = ''] = text.split('*Measure:*')[0].split('*Could blind:*');
  return [property, property.split('/')[0]].some((name) => blind.includes(`\`${name}\``));
}

describe('docs/FIDELITY.md', () => {
  it('docs/FIDELITY.md has its rows in the order of their numbers, each number once', () => {
    const numbers = [...ROWS.keys()];
    expect(numbers.length).toBeGreaterThan(70);
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    expect(FIDELITY.match(/^\*\*F\d+\*\*/gm)).toHaveLength(numbers.length);
  });

  it('docs/FIDELITY.md says what each row could blind, unless its section does', () => {
    const silent = [...ROWS].filter(([, text]) => !text.includes('*Could blind:*'));
    const sections = [/^4[01]$/, /^7\d$/, /^10\d$/];
    expect(
      silent.filter(([number]) => !sections.some((section) => section.test(String(number)))),
    ).toEqual([]);
  });

  it('docs/FIDELITY.md names the measure of each row, unless its section does', () => {
    const silent = [...ROWS].filter(([, text]) => !text.includes('*Measure:*'));
    expect(silent.map(([number]) => number).filter((number) => !MEASURED.has(number))).toEqual([]);
    const twice = [...ROWS].filter(([, text]) => text.split('*Measure:*').length > 2);
    expect(twice).toEqual([]);
  });

  it('docs/FIDELITY.md names as a measure a command that there is, or why there is none', () => {
    const vague = MEASURES.filter(
      (measure) => !/^ none: \w/.test(measure) && commandsIn(measure).length === 0,
    );
    expect(vague).toEqual([]);
    const commands = MEASURES.flatMap(commandsIn);
    expect(commands.length).toBeGreaterThan(50);
    const wrong = commands.map((command) => [command, wrongWith(command)]);
    expect(wrong.filter(([, why]) => why !== '')).toEqual([]);
  });

  it.each([
    ['vlbr verify --policy parked --runs 10', ''],
    ['vlbr verfy', 'there is no such command'],
    ['vlbr kernel make', 'there is no such command'],
    ['vlbr verify --polcy parked', 'there is no option --polcy'],
    ['vlbr verify --policy prked', 'prked'],
    ['vlbr verify --runs many', 'whole number'],
    ['vlbr verify --kernel 2.4', 'Allowed choices'],
    ['vlbr verify parked', 'a word too many'],
    ['vlbr explore --actions sleep', 'sleep'],
    ['vlbr replay', 'an argument is missing'],
    ['vlbr replay test/golden/999-*.json', 'there is no test/golden/999'],
    ['vlbr replay test/golden/00*.json', 'there is no test/golden/00'],
    ['test/none.test.ts', 'there is no test/none.test.ts'],
    ['test/judge/balance.test.ts -t stays', ''],
    ['test/judge/balance.test.ts -t "none like this"', 'has no title'],
    ['test/judge/balance.test.ts --runs 3', 'takes -t'],
    ['npx tsx bench/none.ts', 'there is no bench/none.ts'],
    ['npm start', 'no command that is known'],
  ])('a command that is named is looked at, and not run: %s', (command, why) => {
    if (why === '') expect(wrongWith(command)).toBe('');
    else expect(wrongWith(command)).toContain(why);
  });

  it('docs/FIDELITY.md lists the rows of each property in its table', () => {
    const listed = FIDELITY.match(/^\| `.*$/gm);
    const wanted = POLICY_PROPERTIES.map(({ name: property }) => {
      const rows = [...ROWS].filter(([, text]) => couldBlind(text, property));
      return [property, rows.map(([number]) => `F${number}`).join(', ')];
    }).filter(([, rows]) => rows !== '');
    expect(listed).toEqual(wanted.map(([property, rows]) => `| \`${property}\` | ${rows} |`));
  });

  it('docs/FIDELITY.md has every row to which a source file or a document refers', () => {
    const files = [...filesUnder('src/', '.ts'), ...filesUnder('docs/', '.md'), 'README.md'];
    const named = files.flatMap((path) => read(path).match(/\bF\d{1,3}\b/g) ?? []);
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((row) => !ROWS.has(Number(row.slice(1))))).toEqual([]);
  });
});
