/** docs/RECOMMENDATION.md: its figures are the benchmark's, its files are there. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = new URL('../../', import.meta.url);
const TEXT = readFileSync(new URL('docs/RECOMMENDATION.md', ROOT), 'utf8');

/** Lines of a text, whatever the columns are aligned to. */
function rows(text: string): string[] {
  return text.split('\n').map((line) => line.trim().replace(/ +/g, ' '));
}

/** The lines after each title, up to the next empty one. */
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
    const shown = rows(/```\n([^`]*)```/.exec(TEXT)?.[1] ?? '').filter((line) => line !== '');
    const titles = shown.filter((line) => line.startsWith('call stacks'));
    expect(titles.length).toBe(3);
    const args = ['--import', 'tsx', 'bench/cost_of_policies.ts'];
    const printed = execFileSync(process.execPath, args, { cwd: fileURLToPath(ROOT) }).toString();
    const all = byTitle(rows(printed), titles);
    for (const [title, lines] of byTitle(shown, titles)) {
      expect(all.get(title)).toEqual(expect.arrayContaining(lines));
    }
  });

  it('docs/RECOMMENDATION.md names the schedule of every clause, and no other', () => {
    const table = TEXT.split('\n')
      .filter((line) => line.startsWith('| '))
      .join('\n');
    const named = table.match(/`\d{3}`/g) ?? [];
    const files = readdirSync(new URL('test/golden/clauses/', ROOT));
    expect([...named].sort()).toEqual(files.map((name) => `\`${name.slice(0, 3)}\``).sort());
  });
});
