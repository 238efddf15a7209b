/**
 * The figures of docs/RECOMMENDATION.md and the cycles of docs/BENCHMARKS.md must be those of the
 * benchmark. The files that RECOMMENDATION names must exist.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { POLICIES } from '../../src/host/policy/index.js';

const ROOT = new URL('../../', import.meta.url);
const TEXT = readFileSync(new URL('docs/RECOMMENDATION.md', ROOT), 'utf8');
const BENCHMARKS = readFileSync(new URL('docs/BENCHMARKS.md', ROOT), 'utf8');

/** Output of the benchmark, the same in every run. */
const PRINTED = execFileSync(process.execPath, ['--import', 'tsx', 'bench/cost_of_policies.ts'], {
  cwd: fileURLToPath(ROOT),
}).toString();

/** Lines of a text with runs of blanks reduced to one, so that the alignment does not matter. */
function rows(text: string): string[] {
  return text.split('\n').map((line) => line.trim().replace(/ +/g, ' '));
}

/** The lines after each title, up to the next empty line. */
function byTitle(lines: readonly string[], titles: readonly string[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  let title = '';
  for (const line of lines) {
    if (titles.includes(line)) title = line;
    if (title !== '') found.set(title, [...(found.get(title) ?? []), line]);
  }
  return found;
}

describe('the recommendation', () => {
  it('docs/RECOMMENDATION.md always shows what the benchmark prints', () => {
    const [, block = ''] = /```\n(call stacks[^`]*)```/.exec(TEXT) ?? [];
    const shown = rows(block).filter((line) => line !== '');
    const titles = shown.filter((line) => line.startsWith('call stacks'));
    expect(titles.length).toBe(3);
    const all = byTitle(rows(PRINTED), titles);
    for (const [title, lines] of byTitle(shown, titles)) {
      expect(all.get(title)).toEqual(expect.arrayContaining(lines));
    }
  });

  it('docs/RECOMMENDATION.md names the schedule of every clause, and no other', () => {
    const [, clauses = ''] = TEXT.split('\n## Why each clause\n');
    const table = clauses
      .split('\n')
      .filter((line) => line.startsWith('| '))
      .join('\n');
    const named = table.match(/`\d{3}`/g) ?? [];
    const files = readdirSync(new URL('test/golden/clauses/', ROOT));
    expect([...named].sort()).toEqual(files.map((name) => `\`${name.slice(0, 3)}\``).sort());
  });
});

function cells(line: string): string[] {
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
}

describe('the benchmarks', () => {
  it('docs/BENCHMARKS.md shows the cycles that the benchmark prints for each policy', () => {
    const [head = '', , ...shown] = BENCHMARKS.split('\n')
      .filter((line) => line.startsWith('|'))
      .slice(-2 - POLICIES.length);
    const titles = cells(head).slice(1);
    const printed = byTitle(rows(PRINTED), titles);
    const cycles = (policy: string, title: string): string => {
      const [, , ...lines] = printed.get(title) ?? [];
      const row = lines.find((line) => line.startsWith(`${policy} `));
      return Number(row?.split(' ')[3]).toLocaleString('en');
    };
    expect([...printed.keys()]).toEqual(titles);
    expect(shown.map(cells)).toEqual(
      POLICIES.map(({ name }) => [name, ...titles.map((title) => cycles(name, title))]),
    );
  });
});
