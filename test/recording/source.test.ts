/** Where recordings come from: files, archives, tools, pipes. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, createWriteStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ReadProgress, readRecording } from '../../src/recording/read.js';
import { record } from '../rig/recordings.js';

const ROWS = ['0 0 100', '0 100 101', '0 101 0'];
const TEXT = `${record(ROWS)}\n`;
const PATH = process.env['PATH'];

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vlbr-source-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});
afterEach(() => {
  process.env['PATH'] = PATH;
});

function file(name: string, bytes: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** What a tool makes of a text; null where the tool is not installed. */
function packedBy(tool: string): Buffer | null {
  const { stdout, error } = spawnSync(tool, ['-c'], { input: TEXT });
  return error === undefined ? stdout : null;
}

/** Puts a program of this name before all others. */
function pretend(tool: string, script: string): void {
  const path = file(tool, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  process.env['PATH'] = `${folder}:${PATH}`;
}

const stepsOf = async (path: string): Promise<number> => (await readRecording(path)).steps.length;

const DAT = Buffer.from('\x17\x08\x44tracing6\0\0', 'latin1');
const PERF = Buffer.from('PERFILE2\0\0\0\0');

describe('what a recording is packed with', () => {
  it('text and gzip are read under any name, and progress is told', async () => {
    const seen: ReadProgress[] = [];
    const plain = file('plain.gz', TEXT);
    const recording = await readRecording(plain, {}, { progress: (p) => seen.push(p) });
    expect(recording.steps.length).toBe(3);
    expect(seen.at(-1)).toEqual({ done: TEXT.length, size: TEXT.length, lines: 3 });
    expect(await stepsOf(file('packed.txt', gzipSync(TEXT)))).toBe(3);
    // As `cat a.gz b.gz` makes it.
    expect(await stepsOf(file('two.gz', Buffer.concat([gzipSync(TEXT), gzipSync('\n')])))).toBe(3);
  });

  it.each(['xz', 'zstd'])('%s is read by its tool, and damage is told', async (tool) => {
    const packed = packedBy(tool);
    if (packed === null) {
      console.warn(`${tool} is not installed`);
      return;
    }
    expect(await stepsOf(file(`a.${tool}`, packed))).toBe(3);
    const cut = file(`cut.${tool}`, packed.subarray(0, packed.length - 10));
    await expect(readRecording(cut)).rejects.toThrow(
      new RegExp(`cut\\.${tool}: the ${tool} data is damaged or cut off \\(.+\\); copy the file`),
    );
  });

  it.each(['xz', 'zstd'])('without the tool for %s, a message says how to go on', async (tool) => {
    const magic = tool === 'xz' ? '\xfd7zXZ\0' : '\x28\xb5\x2f\xfd';
    const path = file(`a.${tool}`, Buffer.from(`${magic}${'x'.repeat(100)}`, 'latin1'));
    process.env['PATH'] = '/nowhere';
    await expect(readRecording(path)).rejects.toThrow(
      new RegExp(`packed with ${tool}, and there is no program ${tool}; install it \\(apt-get`),
    );
  });

  it.each([
    ['cut.gz', gzipSync(TEXT).subarray(0, 30), /: the gzip data is damaged or cut off/],
    ['empty.txt', '', /: the file is empty; record/],
    ['short.txt', 'x', /: there is no sched_switch event/],
    ['empty.gz', gzipSync(''), /: there is no sched_switch event/],
    ['dat.gz', gzipSync(DAT), /: this is a binary trace\.dat that was packed; unpack it/],
  ])('what is wrong with %s is said', async (name, bytes, message) => {
    await expect(readRecording(file(name, bytes))).rejects.toThrow(message);
  });

  it('a missing file and a directory are named', async () => {
    await expect(readRecording(join(folder, 'none'))).rejects.toThrow(/no such file; check/);
    await expect(readRecording(folder)).rejects.toThrow(/this is a directory; give a recording/);
  });
});

describe('binary recordings', () => {
  it('trace.dat and perf.data are printed by their tools, without a shell', async () => {
    writeFileSync(join(folder, 'text'), TEXT);
    const name = 'a $(touch x) b.dat';
    pretend(
      'trace-cmd',
      `[ "$4" = "${join(folder, 'a')} \\$(touch x) b.dat" ] && cat "${folder}/text"`,
    );
    expect(await stepsOf(file(name, DAT))).toBe(3);
    pretend('perf', `[ "$1" = script ] && cat "${folder}/text"`);
    expect(await stepsOf(file('perf.data', PERF))).toBe(3);
  });

  it.each([
    [
      'trace.dat',
      DAT,
      /there is no program trace-cmd .*apt-get install.*trace-cmd report -t -i \S+ > text\.txt/,
    ],
    [
      'perf.data',
      PERF,
      /there is no program perf .*apt-get install.*perf script --ns .*-i \S+ > text\.txt/,
    ],
  ])('without the tool for %s, a message says what to run', async (name, bytes, message) => {
    process.env['PATH'] = '/nowhere';
    await expect(readRecording(file(name, bytes))).rejects.toThrow(message);
  });

  it('what the tool complains of is told', async () => {
    pretend('trace-cmd', 'echo "  corrupt \u001b[2J header" >&2; exit 3');
    await expect(readRecording(file('bad.dat', DAT))).rejects.toThrow(
      /bad\.dat: the trace\.dat data can't be print.*\(corrupt \\x1b\[2J header\)/,
    );
  });
});

describe('input that does not end', () => {
  it('a pipe is read to its end, or to a signal', async () => {
    const fifo = join(folder, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const whole = readRecording(fifo);
    const writer = createWriteStream(fifo);
    writer.end(TEXT);
    expect((await whole).steps.length).toBe(3);

    const control = new AbortController();
    let lines = 0;
    const cut = readRecording(
      fifo,
      { last: 2 },
      {
        signal: control.signal,
        progress: (p) => {
          lines = p.lines;
          if (lines >= 3) control.abort();
        },
      },
    );
    // It goes on to write, and its last line is not whole when the reading ends.
    const endless = spawn('sh', [
      '-c',
      `printf '%s' "$0" > "$1"; sleep 60 > "$1"`,
      `${TEXT}  x-1 [0`,
      fifo,
    ]);
    const recording = await cut;
    endless.kill();
    expect(lines).toBe(3);
    expect(recording).toMatchObject({ interrupted: true, switches: 2, lines: 3 });
  });

  it('a signal ends the wait for a first byte', async () => {
    const fifo = join(folder, 'silent');
    execFileSync('mkfifo', [fifo]);
    const control = new AbortController();
    const waiting = readRecording(fifo, {}, { signal: control.signal });
    setTimeout(() => control.abort(), 50);
    await expect(waiting).rejects.toThrow(/the file is empty/);
  });
});
