/** Campaigns that are kept, by the built command line. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtFolder } from '../../rig/built.js';
import { wrongWithPrinted } from '../../rig/schemas.js';

let cli = '';
let folder = '';
beforeAll(async () => {
  cli = join(await builtFolder(), 'cli.js');
  folder = mkdtempSync(join(tmpdir(), 'vlbr-campaign-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function campaign(...args: readonly string[]): Ended {
  return spawnSync(process.execPath, [cli, 'campaign', ...args], { encoding: 'utf8' });
}

const ASKED = ['--policy', 'merged,parked', '--property', 'no-fault,no-leak', '--runs', '4100'];

describe('vlbr campaign', () => {
  it('says the same of a campaign that was killed and of one that was not', async () => {
    const whole = join(folder, 'whole');
    const ended = campaign('run', whole, ...ASKED, '--jobs', '2', '--json');
    expect(ended.stderr).toBe('');
    expect(wrongWithPrinted(ended.stdout)).toEqual([]);
    const report = JSON.parse(ended.stdout) as {
      readonly done: boolean;
      readonly runs: number;
      readonly failures: readonly {
        readonly cause: string;
        readonly own: boolean;
        readonly short: boolean;
      }[];
    };
    expect([report.done, report.runs, ended.status]).toEqual([true, 8200, 0]);
    expect(report.failures.length).toBeGreaterThan(3);
    expect(report.failures.every(({ short }) => short)).toBe(true);
    // What the kernel breaks by itself it breaks under both policies.
    const own = report.failures.filter((failure) => failure.own);
    expect(own.length).toBeGreaterThan(1);
    expect(new Set(own.map(({ cause }) => cause)).size).toBe(own.length);

    const killed = join(folder, 'killed');
    for (const [verb, ms] of [
      ['run', 3500],
      ['resume', 2500],
    ] as const) {
      const words = verb === 'run' ? ASKED : [];
      const child = spawn(process.execPath, [
        cli,
        'campaign',
        verb,
        killed,
        ...words,
        '--jobs',
        '1',
      ]);
      // One after the other is what is tried.
      // oxlint-disable-next-line no-await-in-loop
      await Promise.race([setTimeout(ms), once(child, 'exit')]);
      child.kill('SIGKILL');
    }
    const resumed = campaign('resume', killed, '--json', '--jobs', '3');
    expect(resumed.stdout).toBe(ended.stdout);
    expect(resumed.status).toBe(0);
  });

  it('tells failures and verdicts of what is kept, without running anything', () => {
    const { stdout, status } = campaign('report', join(folder, 'whole'), '--width', '100');
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /^vlbr campaign: merged, parked on skylake, Linux 6\.1, 4,100 runs each/,
    );
    expect(stdout).toContain('runs: 8,200 of 8,200');
    expect(stdout).toMatch(/^ +whose +property +met +from run +actions +decided by$/m);
    expect(stdout).toMatch(/^\d+ +merged +no-fault +\d+ +0 +1 +hook:set_msr$/m);
    expect(stdout).toMatch(/^6 verdicts, 0 unexpected$/m);
    expect(stdout).not.toContain('--show');
    expect(stdout.split('\n').filter((line) => line.length > 100)).toEqual([]);
    const number = /^(\d+) +merged +no-fault/m.exec(stdout)?.[1] ?? '';
    const shown = campaign('report', join(folder, 'whole'), '--show', number);
    expect(shown.stdout).toMatch(/because: #1, set_msr\(\) of policy merged/);
    expect(shown.stdout).toMatch(/vlbr replay v1\./);
    const ktap = campaign('report', join(folder, 'whole'), '--reporter', 'ktap');
    expect(ktap.stdout).toMatch(/^KTAP version 1\n/);
    expect(ktap.stdout).toMatch(/^ok 1 merged$/m);
  });

  it('compares what it has lost with an earlier campaign', () => {
    const whole = join(folder, 'whole');
    const same = campaign('report', whole, '--baseline', whole);
    expect(same.stdout).toMatch(/^since [^\n]*: 0 new losses, 0 known, 0 no longer$/m);
    expect(same.status).toBe(0);
    const json = campaign('report', whole, '--baseline', whole, '--json').stdout;
    expect(wrongWithPrinted(json)).toEqual([]);
    const other = join(folder, 'other');
    campaign('run', other, '--policy', 'parked', '--property', 'no-fault', '--runs', '50');
    const { stderr, status } = campaign('report', whole, '--baseline', other);
    expect(stderr).toMatch(
      /^vlbr: --baseline [^\n]*: it has no verdicts on the same policies[^\n]*\n$/,
    );
    expect(status).toBe(2);
  });

  it('says how far a campaign is, and ends who works on it', async () => {
    const path = join(folder, 'stopped');
    const words = ['run', path, '--policy', 'parked', '--runs', '1000000', '--json'];
    const child = spawn(process.execPath, [cli, 'campaign', ...words]);
    let stdout = '';
    child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
    let now = '';
    while (!/worked on +by process/.test(now)) {
      // oxlint-disable-next-line no-await-in-loop
      await setTimeout(300);
      now = campaign('status', path).stdout;
    }
    expect(now).toContain(`by process ${child.pid}`);
    const second = campaign('resume', path);
    expect(second.stderr).toMatch(/^vlbr: .* is being worked on by another process; vlbr campaign/);
    expect(second.status).toBe(2);
    const exit = once(child, 'exit');
    expect(campaign('stop', path).stdout).toBe(`${path}: process ${child.pid} has ended\n`);
    expect(await exit).toEqual([4, null]);
    expect(wrongWithPrinted(stdout)).toEqual([]);
    expect(JSON.parse(stdout)).toMatchObject({ done: false, runsAsked: 1_000_000 });
    expect(campaign('stop', path).stdout).toBe(`${path}: nobody works on it\n`);
    const status = campaign('status', path, '--json');
    expect(wrongWithPrinted(status.stdout)).toEqual([]);
    expect(JSON.parse(status.stdout)).toMatchObject({ owner: null, subjects: 1, judged: 0 });
    expect(campaign('report', path).stdout).toMatch(/^cut short after [\d,]+ of 1,000,000 runs/m);
  });

  it('refuses what it can not do, in one sentence', () => {
    const busy = join(folder, 'busy');
    mkdirSync(busy);
    writeFileSync(join(busy, 'file'), '');
    const whole = join(folder, 'whole');
    const none = join(folder, 'none');
    for (const [words, says] of [
      [['report', none], /there is no campaign; begin one by/],
      [['status', none], /there is no campaign/],
      [['resume', none], /there is no campaign/],
      [['stop', none], /there is no campaign/],
      [['run', busy], /is not empty; name a new directory/],
      [['run', whole], /has a campaign; go on with it by: vlbr campaign resume/],
      [['run', none, '--policy', 'mergd'], /there is no policy 'mergd'/],
      [['run', none, '--policy', './mine.mjs'], /takes no files of policies/],
      [['run', none, '--cpu', 'pentium'], /there is no CPU 'pentium'/],
      [['run', none, '--property', 'leak'], /there is no property 'leak'/],
      [['run', none, '--without', 'x'], /there is no action or group of actions 'x'/],
      [['run', none, '--vcpus', '3', '--tasks', '2'], /tasks/],
      [['run', none, '--policy', 'kvm'], /name the tree by --kernel-src/],
      [['run', none, '--kernel-src', '/none'], /none/],
      [['report', whole, '--show', 'x'], /--show x: it must be the number of a failure/],
      [['report', whole, '--show', '999'], /--show 999: there are \d+ failures/],
      [['report', whole, '--json', '--reporter', 'tap'], /standard output takes one of them/],
    ] as const) {
      const { status, stdout, stderr } = campaign(...words);
      expect(stderr).toMatch(says);
      expect(stderr).toMatch(/^vlbr: [^\n]+\n$/);
      expect([status, stdout]).toEqual([2, '']);
    }
    expect(campaign('run').status).toBe(2);
    expect(campaign('status', whole, '--josn').status).toBe(2);
  });

  it('says in one line that its directory can not be written', () => {
    const { status, stderr } = campaign('run', '/proc/vlbr', '--policy', 'parked');
    expect(stderr).toMatch(/^vlbr: [^\n]*\/proc\/vlbr[^\n]*\n$/);
    expect(status).toBe(6);
  });
});
