/** `vlbr campaign bisect` on a repository of a kernel, as a user runs it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtFolder } from '../../rig/built.js';
import { CACHE_HOME, imageVersions } from '../../rig/images.js';
import { wrongWithPrinted } from '../../rig/schemas.js';
import { type KernelHistory, kernelHistory } from '../../rig/kernel_repository.js';

/** Where nothing is in the cache yet, an image is built whole. */
const BUILD_MS = 600_000;

const ROOT = mkdtempSync(join(tmpdir(), 'vlbr-bisect-'));
const FOLDER = join(ROOT, 'linux');

const WHAT = 'no-loss/task under always on skylake';

let cli = '';
let history: KernelHistory;
/** What the first test has printed. */
let report = '';

afterAll(() => rmSync(ROOT, { recursive: true }));

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** @param input - of the command, in which it finds its schedule. */
function bisect(input: string, ...args: readonly string[]): Ended {
  const env = { ...process.env, XDG_CACHE_HOME: CACHE_HOME };
  const words = [cli, 'campaign', 'bisect', '--kernel-src', FOLDER, ...args];
  return spawnSync(process.execPath, words, { encoding: 'utf8', env, input });
}

describe.skipIf(imageVersions('6.1').length === 0)('bisecting', () => {
  beforeAll(async () => {
    cli = join(await builtFolder(), 'cli.js');
    history = await kernelHistory(FOLDER, '6.1');
  }, BUILD_MS);

  it(
    'finds the commit that loses a property, and the schedule that shows it',
    () => {
      const of = ['--policy', 'always', '--property', 'no-loss/task,callstack-true'];
      const { status, stdout, stderr } = bisect('', 'v1', 'v2', ...of, '--runs', '60', '--json');
      report = stdout;
      expect(wrongWithPrinted(stdout)).toEqual([]);
      const json = JSON.parse(stdout) as Record<string, unknown>;
      const { repository, culprit, halves } = history;
      const short = repository.git('rev-parse', '--short=12', culprit);
      const verdicts = (
        json['judged'] as { hash: string; verdict: string; why: string | null }[]
      ).map(({ hash, verdict, why }) => [hash, verdict, why]);
      const about = { policy: 'always', property: 'no-loss/task', cpu: 'skylake', by: 'kernel' };
      expect(json).toMatchObject({ schema: 'vlbr/bisect/1', repository: FOLDER, ...about });
      expect(json).toMatchObject({ runs: 60, seed: 1, commits: 7, changing: 5 });
      expect(json['first']).toEqual({
        hash: culprit,
        subject: 'perf/x86/lbr: Save nothing',
        author: 'A. Müller <a@example.org>',
        date: expect.stringContaining('2026-01-06T12:00:00') as string,
      });
      expect(json).toMatchObject({ left: 1, suspects: [json['first']], interrupted: false });
      expect(json).toMatchObject({ good: { subject: 'Linux' }, bad: { subject: 'docs: say all' } });
      expect(json['alsoLost']).toEqual(['callstack-true']);
      expect(json['because']).toMatchObject({ of: "the guest's perf" });
      expect(json['replay']).toBe(
        `vlbr replay ${String(json['token'])} --kernel-src ${FOLDER}@${short}`,
      );
      // Five change what is read, of which the one that does not compile is passed over.
      expect(verdicts).toContainEqual([culprit, 'fails', null]);
      expect(verdicts).toContainEqual([
        halves[0],
        'skipped',
        expect.stringMatching(/lbr\.c does not compile.*error: half of a change$/),
      ]);
      expect(verdicts.map(([, verdict]) => verdict).filter((one) => one === 'holds').length).toBe(
        2,
      );
      expect(verdicts.length).toBe(4);
      expect(stderr).toContain(`fails    ${short} ("perf/x86/lbr: Save nothing")\n`);
      expect(status).toBe(0);
    },
    BUILD_MS,
  );

  it(
    'is left with several commits where the one that it looks for does not compile',
    () => {
      const { status, stdout } = bisect(report, 'v1', 'hidden', '-');
      const [, list] = stdout.split("is one of 3 commits (some of them can't");
      const [first, both] = history.halves.slice(1).map((hash) => hash.slice(0, 12));
      expect(stdout).toContain(
        '\n5 commits, 4 of them change what the kernel is made of, 3 judged\n',
      );
      const titles = ['Half of a change', 'Save nothing', 'The other half'];
      const hashes = [first, both, history.hidden.slice(0, 12)];
      expect(list.split('\n').slice(2, 5)).toEqual(
        titles.map((title, i) => {
          const date = ['2026-01-09', '2026-01-10', '2026-01-11'][i];
          return `  ${date} ${hashes[i]} ("perf/x86/lbr: ${title}")`;
        }),
      );
      expect(list).toContain('\n  because: #4, ');
      expect(list).toMatch(new RegExp(`@${hashes[2]}\n$`));
      expect(stdout).toContain(`skipped  ${both} ("perf/x86/lbr: Save nothing"):`);
      expect(stdout).toMatch(/^lost: no-loss\/task under always on skylake \(the guest's kernel/m);
      expect(stdout).not.toMatch(/found by|also lost/);
      expect(status).toBe(7);
    },
    BUILD_MS,
  );

  it(
    'says so where the good commit fails, the bad one holds, or nothing is lost',
    () => {
      const { culprit } = history;
      const short = culprit.slice(0, 12);
      const rows = [
        [
          bisect(report, culprit, 'v2', '-'),
          `${short} ("perf/x86/lbr: Save nothing"): the schedule breaks ${WHAT} there`,
        ],
        [
          bisect(report, 'v1', `${culprit}~1`, '-'),
          `The other half"): the schedule does not break ${WHAT} there`,
        ],
        [
          bisect(report, 'v1', history.halves[0], '-'),
          'lbr.c does not compile with the shim of vlbr',
        ],
        [
          bisect('', 'v1', `${culprit}~1`, '--policy', 'always', '--runs', '4'),
          'The other half"): it loses nothing in 4 runs of seed 1 on skylake under always',
        ],
      ] as const;
      for (const [{ status, stdout, stderr }, says] of rows) {
        expect(stderr).toContain(says);
        expect([status, stdout]).toEqual([2, '']);
      }
    },
    BUILD_MS,
  );

  it(
    'ends with what is left when its time is over',
    () => {
      const { status, stdout } = bisect(report, 'v1', 'v2', '-', '--time-limit', '1s');
      expect([status, stdout]).toEqual([
        4,
        expect.stringContaining(
          'The first commit that loses anything is one of 7 commits (cut short)\n',
        ) as string,
      ]);
    },
    BUILD_MS,
  );
});
