/** `vlbr replay --emit`: what is printed, what it ends with, and what is refused. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { parseReplayText, tokenOf } from '../../../src/campaign/replay_file.js';
import { type KernelVersion, portOf } from '../../../src/guest/perf/kernel.js';
import { replayCommand } from '../../../src/questions/replay/command.js';
import { selftest } from '../../../src/questions/replay/selftest/selftest.js';
import { imageVersions, tarOf } from '../../rig/images.js';

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

/** What the command prints, and its exit code. */
async function replayed(...args: readonly string[]): Promise<{ code: number; stdout: string }> {
  let code = -1;
  let stdout = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  const command = replayCommand((ended) => {
    code = ended;
  });
  await command
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .parseAsync(args, { from: 'user' });
  return { code, stdout };
}

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
    const several = file(`${token} ${token}`);
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
