/** `vlbr explore`, built and run as a user runs it, and its parts called directly. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { ExploreOptions } from '../../../src/questions/explore/asked.js';
import { adviceOf } from '../../../src/questions/explore/asked.js';
import { exitCodeOf, explore, jobOf } from '../../../src/questions/explore/explore.js';
import { exploreLine, exploreState } from '../../../src/questions/explore/progress.js';
import type { ExploreProgress } from '../../../src/questions/explore/worker.js';
import type { TimedExploration } from '../../../src/questions/explore/text.js';
import type { ExploreResult } from '../../../src/states/explore.js';
import { GROUP_NAMES } from '../../../src/schedule/explored.js';
import { builtFolder } from '../../rig/built.js';
import { imageOf, imageVersions } from '../../rig/images.js';
import { wrongWithPrinted } from '../../rig/schemas.js';

const HOOK_MS = 120_000;

let cli = '';
let folder = '';

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function vlbr(...args: readonly string[]): Ended {
  return spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8' });
}

interface ExploreJson {
  readonly schema: string;
  readonly interrupted: boolean;
  readonly results: readonly {
    readonly policy: string;
    readonly states: number;
    readonly seconds: number;
    readonly complete: boolean;
    readonly verdictWord: string;
    readonly why: string;
    readonly bounds: object;
    readonly liveness: object | null;
    readonly verdicts: readonly {
      readonly property: string;
      readonly verdict: string;
      readonly counterexample: { readonly token: string; readonly length: number } | null;
    }[];
  }[];
}

interface ImageJson extends Pick<ExploreJson, 'schema'> {
  readonly bounds: object;
  readonly results: readonly (Pick<ExploreJson['results'][number], 'complete' | 'verdicts'> & {
    readonly schedules: number;
    readonly schedulesByLength: readonly number[];
    readonly kernelFindings: readonly object[];
  })[];
}

const exploreJson = (text: string): ExploreJson => JSON.parse(text) as ExploreJson;

const SMALL = ['explore', '--depth', '2', '--actions', 'calls,tasks,events'];

describe('vlbr explore', () => {
  beforeAll(async () => {
    cli = join(await builtFolder(), 'cli.js');
    folder = mkdtempSync(join(tmpdir(), 'vlbr-explore-'));
  }, HOOK_MS);
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it('vlbr explore looks at every schedule of a sound policy, and exits 0', () => {
    const { status, stdout, stderr } = vlbr(...SMALL, '--policy', 'pv-sound');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^pv-sound +complete +[\d,]+ +[\d,]+ +\d+ +\d+\.\d +[\d,]+ +\d+$/m);
    expect(stdout).toMatch(/^no-leak\/vm +holds$/m);
    expect(stdout).toMatch(/^ {2}after a guest has stopped for good: at most \d/m);
    expect(stdout).toMatch(/^1 complete, 0 truncated, 0 unexpected failures/m);
  });
  it('vlbr explore finds schedules that replay shows again, the same in each run', () => {
    const args = [...SMALL, '--policy', 'never,pv-v2', '--bound', '8', '--json'];
    const [first, again] = [vlbr(...args), vlbr(...args)];
    expect([first.status, first.stderr]).toEqual([0, '']);
    const bytes = (text: string): string =>
      text.replaceAll(/"(elapsed_s|seconds|statesPerSecond)": [\d.]+/g, '');
    expect(bytes(again.stdout)).toBe(bytes(first.stdout));
    expect(wrongWithPrinted(first.stdout)).toEqual([]);
    const { schema, results } = exploreJson(first.stdout);
    expect(schema).toBe('vlbr/explore/2');
    expect(results.map(({ policy }) => policy)).toEqual(['never', 'pv-v2']);
    expect(results[0].bounds).toMatchObject({ length: 8, lbrDepth: 2, calls: 2, memoryMB: 1024 });
    expect(results[0].seconds).toBeGreaterThan(0);
    const leaks = results.map(({ verdicts }) => {
      const leak = verdicts.find(({ property }) => property === 'no-leak/vm');
      const { status, stdout } = vlbr('replay', leak?.counterexample?.token ?? '');
      expect(stdout).toMatch(/=> breaks no-leak\/vm/);
      expect(status).toBe(0);
      return leak?.counterexample?.length;
    });
    expect(leaks).toEqual([6, 8]);
  });
  it('vlbr explore exits 4 when the memory ran out', () => {
    const { status, stdout } = vlbr(...SMALL, '--policy', 'pv-v2', '--memory', '2');
    expect(status).toBe(4);
    expect(stdout).toMatch(/^pv-v2: truncated: the memory ran out$/m);
    expect(stdout).toMatch(/^filter-true +unknown$/m);
    expect(stdout).not.toMatch(/^holds/m);
  });
  it('vlbr explore always ends with a report when it is interrupted', async () => {
    const child = spawn(process.execPath, [cli, 'explore', '--policy', 'merged', '--json']);
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (text: Buffer) => {
      stdout += text.toString();
    });
    child.stderr.on('data', (text: Buffer) => {
      stderr += text.toString();
    });
    setTimeout(() => child.kill('SIGINT'), 6000);
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(code).toBe(4);
    expect(stderr).toMatch(/ending with what is known/);
    expect(wrongWithPrinted(stdout)).toEqual([]);
    const { interrupted, results } = exploreJson(stdout);
    expect(interrupted).toBe(true);
    expect(results).toMatchObject([{ verdictWord: 'truncated', why: 'interrupted' }]);
    expect(stdout).not.toContain('"holds"');
  });

  describe.each(imageVersions('6.1'))('with the image of Linux %s', (version) => {
    const args = ['explore', '--policy', 'merged', '--actions', 'tasks,events,inside'];
    const file = join(folder, `${version}.wasm`);
    beforeAll(async () => {
      writeFileSync(file, (await imageOf(version)).bytes);
    });

    it('finds the shortest schedule that fails, which replay shows again', () => {
      const { status, stdout, stderr } = vlbr(
        ...args,
        '--kernel-src',
        file,
        '--bound',
        '5',
        '--json',
      );
      expect([status, stderr]).toEqual([0, '']);
      expect(wrongWithPrinted(stdout)).toEqual([]);
      const { schema, bounds, results } = JSON.parse(stdout) as ImageJson;
      expect(schema).toBe('vlbr/explore-image/2');
      expect(bounds).toMatchObject({ cpu: 'haswell', lbrDepth: 16, length: 5 });
      const [{ complete, schedules, schedulesByLength, verdicts, kernelFindings }] = results;
      expect(complete).toBe(true);
      expect(schedulesByLength).toHaveLength(5);
      expect(schedules).toBe(schedulesByLength.reduce((sum, n) => sum + n, 0));
      const lost = verdicts.find(({ property }) => property === 'no-loss/callstack');
      expect(lost).toMatchObject({ verdict: 'fails', known: true, minimal: true });
      expect(lost?.counterexample?.length).toBe(5);
      const ofKvm = ['pass-through', 'debugctl-true', 'pmi-true'];
      const kernels = ['no-loss/task', 'no-warn', 'events-true', 'events-count', ...ofKvm];
      expect(verdicts.slice(-kernels.length).map(({ property }) => property)).toEqual(kernels);
      expect(kernelFindings).toEqual([]);
      const again = vlbr('replay', lost?.counterexample?.token ?? '', '--kernel-src', file);
      expect(again.stdout).toMatch(/=> breaks no-loss\/callstack/);
    });

    it('ends with what is known when it is interrupted', async () => {
      const long = [...args, '--kernel-src', file, '--bound', '50'];
      const child = spawn(process.execPath, [cli, ...long]);
      let stdout = '';
      child.stdout.on('data', (text: Buffer) => {
        stdout += text.toString();
      });
      setTimeout(() => child.kill('SIGINT'), 5000);
      const code = await new Promise((resolve) => child.on('close', resolve));
      expect(code).toBe(4);
      expect(stdout).toMatch(/^merged: truncated to \d+ actions$/m);
      expect(stdout).toMatch(/^no-warn +unknown$/m);
      expect(stdout).not.toMatch(/^ {2}holds/m);
    });

    it('refuses what is about states, however it was told to run the image', () => {
      const { status, stderr } = vlbr('explore', '--kernel-src', file, '--depth', '2');
      expect([status, stderr]).toEqual([2, expect.stringMatching(/--depth is for the port/)]);
    });
  });

  const bad: readonly (readonly [args: string, message: RegExp])[] = [
    ['--depth 3', /--depth.*It must be 2 or 4\./],
    ['--depth 16', /--depth.*It must be 2 or 4\./],
    ['--vms 4', /--vms.*from 1 to 3/],
    ['--vcpus 3', /--vcpus.*from 1 to 2/],
    ['--tasks 4', /--tasks.*from 1 to 3/],
    ['--pcpus 3', /--pcpus.*from 1 to 2/],
    ['--events 5', /--events.*from 1 to 4/],
    ['--calls 9', /--calls.*from 1 to 8/],
    ['--suspended 0', /--suspended.*from 1 to 6/],
    ['--bound 0', /--bound.*from 1 to 1000/],
    ['--memory 0', /--memory.*from 1 to 1000000/],
    ['--vcpus 2 --tasks 1', /--tasks must be at least the vCPUs of a VM \(2\), not 1/],
    [
      '--actions cals',
      /no group of actions 'cals'. Did you mean calls\? There are: default, calls/,
    ],
    ['--policy nevr', /no policy 'nevr'. Did you mean never\?/],
    ['--property leak', /no property 'leak'/],
    ['--cpu haswell/4', /no CPU 'haswell\/4'/],
    ['--kernel 5.0', /--kernel.*6\.1, 6\.12, 7\.3, 4\.18/],
    ['--driver lbr.c --kernel 4.18', /--kernel 4\.18 is a variant of the port/],
    ['--driver kernel --depth 4', /--depth is for the port and for an lbr\.c/],
    ['--driver kernel --memory 9', /--memory is for the port.*run one by one/],
    ['--driver kernel --fingerprints', /--fingerprints is for the port/],
    ['--driver kernel --no-symmetry', /--no-symmetry is for the port/],
    ['--driver kernel --kernel-src lbr.c', /lbr\.c: --driver kernel takes a tree/],
    ['--kernel-src /nowhere', /\/nowhere/],
  ];
  it.each(bad)('a usage error of vlbr explore is always explained: %s', (args, message) => {
    const { status, stdout, stderr } = vlbr('explore', ...args.split(' '));
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect([status, stdout]).toEqual([2, '']);
  });
  it('vlbr explore --help says what may happen, and what exit codes mean', () => {
    const { status, stdout } = vlbr('explore', '--help');
    expect(status).toBe(0);
    for (const name of GROUP_NAMES) expect(stdout).toMatch(new RegExp(`^ {2}${name} +\\S`, 'm'));
    expect(stdout).toContain('`default` is calls,tasks,events,pmi,inside:');
    expect(stdout).toMatch(/^ {2}4 +truncated or cut short: /m);
    expect(stdout).toContain('No silicon has');
    const root = vlbr('--help').stdout;
    expect(root).toMatch(/^ {2}explore /m);
    expect(root).toMatch(/^ {2}4 +cut short /m);
  });
});

const OPTIONS: ExploreOptions = {
  policy: 'never',
  property: 'no-leak',
  cpu: 'haswell',
  kernel: '6.1',
  vms: 2,
  vcpus: 1,
  tasks: 2,
  pcpus: 1,
  depth: 4,
  events: 1,
  suspended: 1,
  memory: 10,
  actions: 'default',
  symmetry: true,
};

describe('the properties of an exploration', () => {
  const { depth: _depth, memory: _memory, ...plain } = OPTIONS;
  const asked = (property: string, of: Partial<ExploreOptions>): Promise<number> =>
    explore({ ...plain, ...of, property });
  const image: Partial<ExploreOptions> = { driver: 'kernel', kernelSrc: 'nowhere' };

  it('are those of kernels, too, where a tree runs', async () => {
    await expect(asked('no-loss/task', image)).rejects.toThrow('nowhere: there is no such file');
    await expect(asked('no-loss/tusk', image)).rejects.toThrow("no property 'no-loss/tusk'");
    await expect(asked('no-loss/task', {})).rejects.toThrow("no property 'no-loss/task'");
  });
});

describe('jobOf', () => {
  it('jobOf always names what crosses to a worker', () => {
    expect(jobOf(OPTIONS)).toEqual({
      cpus: ['haswell/4'],
      kernel: '6.1',
      shape: { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 },
      bounds: {
        groups: ['calls', 'tasks', 'events', 'pmi', 'inside'],
        events: 1,
        calls: 4,
        suspended: 1,
      },
      policies: ['never'],
      properties: ['no-leak/vm', 'no-leak/task'],
      maxLength: Infinity,
      memoryBytes: 10_000_000,
      fingerprints: false,
      symmetry: true,
    });
    const more = { calls: 3, bound: 7, fingerprints: true, symmetry: false };
    const job = jobOf({ ...OPTIONS, ...more, cpu: 'core2' });
    expect(job).toMatchObject({ maxLength: 7, fingerprints: true, symmetry: false });
    expect(job.bounds.calls).toBe(3);
    expect(job.cpus).toEqual(['core2']);
  });
  it('jobOf takes groups in their order, by name or together', () => {
    const groups = (actions: string): readonly string[] =>
      jobOf({ ...OPTIONS, actions }).bounds.groups;
    expect(groups('tasks,calls')).toEqual(['calls', 'tasks']);
    expect(groups('host,default')).toEqual(['calls', 'tasks', 'events', 'pmi', 'inside', 'host']);
    expect(groups('all')).toEqual(GROUP_NAMES);
  });
});

describe('the advice after an exception', () => {
  it('the advice after an exception is a command that is about the policy alone', () => {
    const advice = adviceOf({ policy: 'never' });
    expect(advice).toEqual(['the same command with --policy never shows it again']);
  });
});

function exploredAs(
  complete: boolean,
  results: readonly Partial<ExploreResult>[],
): TimedExploration {
  return { explored: { complete, results } as TimedExploration['explored'], seconds: 1 };
}

describe('the exit code', () => {
  const known = exploredAs(true, [{ verdict: 'fails', known: true }, { verdict: 'holds' }]);
  const cut = exploredAs(false, [{ verdict: 'unknown', known: false }]);
  const broken = exploredAs(false, [{ verdict: 'fails', known: false }]);
  const codes = [
    ['0 if nothing but what is known fails', [known], false, 0],
    ['4 if a search was cut short', [known, cut], false, 4],
    ['1 if anything else fails, whatever was cut short', [cut, broken], false, 1],
    ['4 if it was interrupted', [known], true, 4],
    ['1 if something fails, even where it was interrupted', [broken], true, 1],
  ] as const;
  it.each(codes)('the exit code of an exploration is %s', (_, results, interrupted, code) => {
    expect(exitCodeOf({ results, interrupted })).toBe(code);
  });
});

function progressOf(policy: string, more: Partial<ExploreProgress> = {}): ExploreProgress {
  const counts = { states: 1000, frontier: 400, bytes: 2e6, estimate: 3000 };
  return { policy, ...counts, phase: 'searching', ...more };
}

describe('the line of progress', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('the line of progress adds up, and estimates the rest when every policy can', () => {
    const [a, b] = [progressOf('a'), progressOf('b', { phase: 'done', estimate: 1000 })];
    expect(exploreState([a, b], 2, 2)).toEqual({
      value: 2000,
      total: 4000,
      text: '2.00k of ~4.00k states | 400 to expand | 1.00k states/s | 2 MB | a',
    });
    expect(exploreState([progressOf('a', { estimate: 900 })], 1, 1).total).toBe(1000);
  });
  it('the line of progress never estimates while a policy waits or can not say', () => {
    const text = '1.00k states | 400 to expand | 1.00k states/s | 2 MB | a';
    expect(exploreState([progressOf('a')], 2, 1)).toEqual({ value: 1000, total: 0, text });
    const unknown = exploreState([progressOf('a', { estimate: -1 })], 1, 1);
    expect(unknown).toEqual({ value: 1000, total: 0, text });
  });
  it('the line of progress says when only cycles are left to find', () => {
    const { text } = exploreState([progressOf('a', { phase: 'cycles' })], 1, 0);
    expect(text).toMatch(/ \| 0 to expand \| 1\.00M states\/s \| 2 MB \| a \(cycles\)$/);
  });
  it('what is said meanwhile has a line of its own, in place of that of progress', () => {
    const written: string[] = [];
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => written.push(String(text)) > 0);
    const terminal = [process.stdout.isTTY, process.stderr.isTTY] as const;
    const said = (on: boolean, ended: boolean): string => {
      [process.stdout.isTTY, process.stderr.isTTY] = [on, on];
      const line = exploreLine(1);
      if (ended) line.end();
      written.length = 0;
      line.say('lost');
      const text = written.join('');
      line.end();
      return text;
    };
    try {
      expect([said(false, false), said(true, true)]).toEqual(['lost\n', 'lost\n']);
      expect(said(true, false)).toBe('\r\u001b[Klost\n');
    } finally {
      [process.stdout.isTTY, process.stderr.isTTY] = terminal;
    }
  });
  it('the line of progress is on a terminal only, and gone at the end', () => {
    const written: string[] = [];
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => written.push(String(text)) > 0);
    const terminal = [process.stdout.isTTY, process.stderr.isTTY] as const;
    try {
      [process.stdout.isTTY, process.stderr.isTTY] = [false, true];
      const none = exploreLine(1);
      none.update([progressOf('a')]);
      none.end();
      expect(written).toEqual([]);
      [process.stdout.isTTY, process.stderr.isTTY] = [true, true];
      for (const estimate of [-1, 3000]) {
        const line = exploreLine(1);
        line.update([progressOf('a', { estimate })]);
        line.end();
        const count = written.length;
        line.update([progressOf('b')]);
        line.end();
        expect(written).toHaveLength(count);
      }
    } finally {
      [process.stdout.isTTY, process.stderr.isTTY] = terminal;
    }
    const shown = written.join('');
    expect(shown).toContain('starting');
    expect(shown).toMatch(/(?<![#.] )1\.00k states \| 400 to expand/);
    expect(shown).toMatch(/#{7}\.{13} 1\.00k of ~3\.00k states \| 400 to expand/);
  });
});
