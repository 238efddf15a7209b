/** docs/FIDELITY.md: order of the rows, references to rows, and coverage of properties. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { POLICY_PROPERTIES } from '../src/judge/properties.js';

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

/** Whether the row's "could blind" names the property, or the pair that it belongs to. */
function couldBlind(text: string, property: string): boolean {
  const [, blind = ''] = text.split('*Could blind:*');
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
