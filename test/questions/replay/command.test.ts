/** `vlbr replay --emit`: what is printed, what it ends with, and what is refused. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { parseReplayText, tokenOf } from '../../../src/campaign/replay_file.js';
import { setTextWidth, WIDTH } from '../../../src/console/text.js';
import { type KernelVersion, portOf } from '../../../src/guest/perf/kernel.js';
import { selftest } from '../../../src/questions/replay/selftest/selftest.js';
import { imageVersions, tarOf } from '../../rig/images.js';
import { replayed } from '../../rig/replayed.js';

const GOLDEN = new URL('../../golden/', import.meta.url);
const LEAK = readFileSync(new URL('001-merged-shortcut-leaks-across-vms.json', GOLDEN), 'utf8');

let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vlbr-replay-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

afterEach(() => vi.restoreAllMocks());

function file(text: string): string {
  const path = join(folder, 'schedules');
  writeFileSync(path, text);
  return path;
}

describe('vlbr replay --reporter', () => {
  it('a schedule is a case of its policy, and the form takes the place of the text', async () => {
    const says = 'as expected: the policy breaks it (known: ';
    const beside = join(folder, 'beside.json');
    const forms = ['--reporter', 'ktap', '--reporter', `gitlab=${beside}`];
    const { code, stdout } = await replayed(file(LEAK), ...forms);
    expect([code, stdout]).toEqual([
      0,
      'KTAP version 1\n1..1\n  KTAP version 1\n  # Subtest: merged\n  1..1\n  ok 1 no-leak/vm\n' +
        'ok 1 merged\n',
    ]);
    expect(readFileSync(beside, 'utf8')).toBe('[]\n');
    const text = await replayed(file(LEAK), '--reporter', `gitlab=${beside}`);
    expect(text.stdout).toContain(says);
  });

  it('a schedule that does not end as expected is not ok, and says how it ended', async () => {
    const otherwise = file(JSON.stringify({ ...JSON.parse(LEAK), whose: 'nobody' }));
    const { code, stdout } = await replayed(otherwise, '--reporter', 'tap');
    expect(code).toBe(1);
    expect(stdout).toContain(
      '\nnot ok 1 - merged: no-leak/vm\n# NOT as expected: the policy breaks',
    );
  });
});

describe('vlbr replay --emit', () => {
  const [one] = parseReplayText(LEAK);
  const token = tokenOf(one);

  it('prints the selftest and nothing else, and ends as a replay does', async () => {
    const { code, stdout } = await replayed(file(LEAK), '--emit', 'selftest');
    expect(stdout).toBe(`${selftest(one, 'Linux 6.1 guest').lines.join('\n')}\n`);
    expect(code).toBe(0);
    const otherwise = file(JSON.stringify({ ...JSON.parse(LEAK), whose: 'nobody' }));
    expect((await replayed(otherwise, '--emit', 'selftest')).code).toBe(1);
  });
  it('takes a token', async () => {
    expect((await replayed(token, '--emit', 'selftest')).stdout).toContain(` * ${token}\n`);
  });
  it('refuses another word, and says what there is', async () => {
    await expect(replayed(token, '--emit', 'litmus')).rejects.toThrow(
      "option '--emit <what>' argument 'litmus' is invalid. Allowed choices are selftest.",
    );
  });
  it('refuses JSON beside it', async () => {
    await expect(replayed(token, '--emit', 'selftest', '--json')).rejects.toThrow(
      "option '--emit <what>' cannot be used with option '--json'",
    );
  });
  it.each([['--emit', 'selftest'], ['--json']])('%s refuses several schedules', async (...args) => {
    const other = tokenOf({ ...one, property: 'no-loss/any' });
    const several = file(`${token} ${other}`);
    await expect(replayed(several, ...args)).rejects.toThrow(
      `${several}: ${args[0]} takes one schedule, and there are 2`,
    );
  });
});

describe.each(imageVersions('6.1', '7.3'))('vlbr replay with the tree of Linux %s', (version) => {
  const ofTree = ['--driver', 'kernel', '--kernel-src', tarOf(version)];

  it('runs a schedule of its own version and of 6.1, and refuses any other', async () => {
    const [one] = parseReplayText(LEAK);
    const tokenOn = (kernel: KernelVersion): string =>
      tokenOf({ ...one, config: { ...one.config, kernel } });
    for (const kernel of new Set(['6.1', portOf(version)] as const)) {
      // oxlint-disable-next-line no-await-in-loop
      expect([kernel, (await replayed(tokenOn(kernel), ...ofTree)).code]).toEqual([kernel, 0]);
    }
    await expect(replayed(tokenOn('6.12'), ...ofTree)).rejects.toThrow(
      'this is a schedule for the port of Linux 6.12; leave --kernel-src out, or give a tree',
    );
  });
});

describe('the text of vlbr replay', () => {
  afterEach(() => setTextWidth(WIDTH));

  it('a mail keeps to 72 columns, and is taken back, quoted and wrapped once more', async () => {
    const { code, stdout } = await replayed(file(LEAK), '--mail');
    expect(code).toBe(0);
    expect(stdout.split('\n').filter((line) => line.length > 72)).toEqual([]);
    expect(stdout).toContain('give this mail, or the lines below');
    expect(stdout).toMatch(/^<- foreign +a record that another VM/m);
    const [one] = parseReplayText(LEAK);
    const quoted = stdout
      .split('\n')
      .map((line) => `> > ${line}`)
      .join('\n');
    for (const text of [stdout, quoted, quoted.replaceAll(/(.{50})/g, '$1=\n')]) {
      expect(parseReplayText(text).map(tokenOf)).toEqual([tokenOf(one)]);
    }
  });

  it.each([60, 80, 200])('no line of a replay is longer than %i columns', async (width) => {
    const { stdout } = await replayed(file(LEAK), '--width', String(width), '--legend');
    expect(stdout.split('\n').filter((line) => line.length > width)).toEqual([]);
    expect(stdout).toMatch(/^because: +the action in which/m);
  });

  it('with --full nothing is left out: each access, each record, each step', async () => {
    const short = (await replayed(file(LEAK))).stdout;
    expect(short).toContain('slots 0..31: all 0');
    expect(short).not.toContain('the action in which');
    const { stdout } = await replayed(file(LEAK), '--full');
    expect(stdout).not.toMatch(/more steps? \.\.\.|slots \d|more MSR/);
    expect(stdout).toContain('FROM_0=0; TO_0=0; INFO_0=0; FROM_1=0');
    expect(stdout).toContain('GLOBAL_CTRL=');
  });

  it('with --full a stack, a sample and the registers have all of their records', async () => {
    const deep = JSON.stringify({
      ...JSON.parse(LEAK),
      policy: 'v4',
      property: 'no-loss/callstack',
      whose: 'policy',
      actions: [
        'v0: open task=0 type=CALL_STACK|USER',
        'v0: call n=9',
        'v0: pmi event=0',
        'p0: idle',
        'p0: run vcpu=0',
        'v0: pmi event=0',
      ],
    });
    const short = (await replayed(file(deep))).stdout;
    const { stdout } = await replayed(file(deep), '--full', '--width', '200');
    expect(short).toMatch(/3 more/);
    expect(stdout).not.toMatch(/\d more/);
    expect(stdout).not.toContain(', ...)');
  });
});
