/** `vlbr verify --baseline`, as a user runs it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtFolder } from '../../rig/built.js';
import { wrongWithPrinted } from '../../rig/schemas.js';

const HOOK_MS = 120_000;

let cli = '';
let folder = '';

beforeAll(async () => {
  cli = join(await builtFolder(), 'cli.js');
  folder = mkdtempSync(join(tmpdir(), 'vlbr-baseline-'));
}, HOOK_MS);

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** One policy, of which so few runs do not meet all that is known to fail. */
function verify(runs: number, ...more: readonly string[]) {
  const asked = ['--policy', 'never', '--property', 'no-leak', '--runs', String(runs)];
  const args = [cli, 'verify', ...asked, '--no-shorten', ...more];
  return spawnSync(process.execPath, args, { encoding: 'utf8', cwd: folder });
}

describe('vlbr verify --baseline', () => {
  it('tells what is new since a report, which must be of the same', () => {
    const { status, stdout } = verify(1, '--json');
    expect(status).toBe(5);
    const report = JSON.parse(stdout) as { readonly losses: readonly object[] };
    const gone = { of: 'never', what: 'no-fault', how: 'fails' };
    const losses = [...report.losses, gone];
    writeFileSync(join(folder, 'base.json'), JSON.stringify({ ...report, losses }));
    const again = verify(1, '--json', '--baseline', 'base.json');
    expect([again.stderr, again.status]).toEqual(['', 0]);
    expect(wrongWithPrinted(again.stdout)).toEqual([]);
    expect(JSON.parse(again.stdout)).toMatchObject({
      losses: report.losses,
      baseline: { file: 'base.json', new: [], known: report.losses, noLonger: [gone] },
    });
    // What is cut short may come to it yet.
    const cut = verify(100_000_000, '--json', '--baseline', 'base.json', '--time-limit', '1s');
    expect([cut.status, JSON.parse(cut.stdout).baseline.noLonger]).toEqual([4, []]);
    const wrong = verify(1, '--cpu', 'haswell', '--baseline', 'base.json');
    expect([wrong.status, wrong.stdout]).toEqual([2, '']);
    expect(wrong.stderr).toMatch(
      /^vlbr: --baseline base\.json: its cpu is skylake, and here it is haswell; give what .*\n$/,
    );
  });
});
