/** `vlbr replay` with --html, --svg, --perfetto and --itf: what is written, and read again. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { parseReplayText, ReplayError, tokenOf } from '../../../src/campaign/replay_file.js';
import { UsageError, WriteError } from '../../../src/console/errors.js';
import { drawReplay } from '../../../src/questions/replay/pictures.js';
import { replayed } from '../../rig/replayed.js';
import { GOLDEN, goldenCase } from '../../rig/stories.js';

const folder = mkdtempSync(join(tmpdir(), 'vlbr-pictures-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

const TOKEN = tokenOf(goldenCase('001'));

const KINDS = ['html', 'svg', 'perfetto', 'itf'] as const;

describe('pictures of vlbr replay', () => {
  it('are written beside the report, whole, each to its file, and read again', async () => {
    const paths = KINDS.map((kind) => join(folder, kind));
    const options = KINDS.flatMap((kind, i) => [`--${kind}`, paths[i]]);
    const plain = await replayed(TOKEN);
    expect(await replayed(TOKEN, ...options)).toEqual(plain);
    expect(plain.code).toBe(0);
    expect(readdirSync(folder).toSorted()).toEqual(KINDS.toSorted());
    const starts = ['<!doctype html>', '<svg xmlns=', '{"traceEvents":[', '{"#meta":{'];
    for (const [i, path] of paths.entries()) {
      const text = readFileSync(path, 'utf8');
      expect(text.startsWith(starts[i])).toBe(true);
      expect(text.endsWith('\n')).toBe(true);
      expect(await replayed(path)).toEqual(plain);
    }
    expect(readFileSync(paths[0], 'utf8')).toContain(
      '<p>as expected: the policy breaks it (known:',
    );
  });

  it('take the place of the report on standard output, one at a time', async () => {
    const { code, stdout } = await replayed(TOKEN, '--itf', '-');
    expect([code, JSON.parse(stdout)['#meta'].token]).toEqual([0, TOKEN]);
    await expect(replayed(TOKEN, '--itf', '-', '--html', '-')).rejects.toThrow(
      new UsageError('--html - and --itf -: standard output takes one of them'),
    );
    await expect(replayed(TOKEN, '--svg', '-', '--json')).rejects.toThrow(
      new UsageError('--svg - and --json: standard output takes one of them'),
    );
    await expect(replayed(TOKEN, '--svg', '-', '--emit', 'selftest')).rejects.toThrow(UsageError);
    const file = join(folder, 'with-json');
    const { stdout: json } = await replayed(TOKEN, '--json', '--svg', file);
    expect(JSON.parse(json)).toMatchObject({ token: TOKEN });
    expect(readFileSync(file, 'utf8')).toContain(TOKEN);
    const emitted = await replayed(TOKEN, '--emit', 'selftest', '--html', file);
    expect([emitted.code, readFileSync(file, 'utf8').startsWith('<!doctype')]).toEqual([0, true]);
  });

  it('of several schedules are one page; other pictures take one schedule', async () => {
    const both = join(folder, 'both');
    writeFileSync(both, [TOKEN, tokenOf(goldenCase('004'))].join('\n'));
    const page = join(folder, 'page');
    expect((await replayed(both, '--html', page)).code).toBe(0);
    const text = readFileSync(page, 'utf8');
    expect(text.match(/<article /g)).toHaveLength(2);
    expect(parseReplayText(text).map(tokenOf)).toEqual(readFileSync(both, 'utf8').split('\n'));
    for (const kind of ['svg', 'perfetto', 'itf']) {
      await expect(replayed(both, `--${kind}`, page)).rejects.toThrow(
        `--${kind} takes one schedule, and there are 2`,
      );
    }
  });

  it('that can not be written are refused before anything is run', async () => {
    const nowhere = join(folder, 'no-such-folder', 'x');
    await expect(replayed('no-such-schedule', '--html', nowhere)).rejects.toThrow(WriteError);
  });

  it('of schedules of many kinds give their schedules back', () => {
    for (const name of GOLDEN.filter((_, i) => i % 15 === 0)) {
      const one = goldenCase(name);
      for (const kind of KINDS) {
        const text = drawReplay(kind, [one], null, ['--driver', 'kernel'], () => '');
        expect(parseReplayText(text).map(tokenOf), `${name} ${kind}`).toEqual([tokenOf(one)]);
        if (kind === 'html') expect(text).toContain(`${tokenOf(one)} --driver kernel</code>`);
      }
    }
  });

  it('without a schedule are refused with a reason', () => {
    expect(() => parseReplayText('<p>vlbr replay</p>')).toThrow(
      new ReplayError('the page has no schedule'),
    );
    expect(() => parseReplayText('{"otherData": {"token": 1}}')).toThrow(/the schema is missing/);
    expect(() => parseReplayText('{"#meta": {"token": "v1.x"}}')).toThrow(/no replay token/);
  });
});
