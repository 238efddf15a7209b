/** Damaged and hostile input: an answer, or an error that says what to do, and soon. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseRecording, type ReadOptions, readRecording } from '../../src/recording/read.js';
import { TextReader } from '../../src/recording/text_reader.js';
import { TraceError } from '../../src/recording/trace_error.js';
import { FORMS, ftraceLine, printed, record, type Switch } from '../rig/recordings.js';
import { drawOf } from '../rig/seed.js';

const EVENTS: readonly Switch[] = [
  { cpu: 0, time: 1000, prevComm: 'swapper/0', prevPid: 0, nextComm: 'CPU 0/KVM', nextPid: 101 },
  { cpu: 1, time: 2000, prevComm: 'swapper/1', prevPid: 0, nextComm: 'CPU 1/KVM', nextPid: 102 },
  { cpu: 0, time: 3000, prevComm: 'CPU 0/KVM', prevPid: 101, nextComm: 'sh', nextPid: 7 },
];

/** Whether there was an answer. Any error but a TraceError is thrown on. */
function answers(bytes: Buffer, options: ReadOptions = {}): boolean {
  try {
    parseRecording(bytes, 'trace.txt', options);
    return true;
  } catch (error) {
    if (error instanceof TraceError) return false;
    throw error;
  }
}

describe('damaged recordings', () => {
  it.each(FORMS)('every prefix and every damaged byte is answered or refused: $name', (form) => {
    const good = Buffer.from(`${printed(form, EVENTS).join('\n')}\n`);
    expect(answers(good)).toBe(true);
    let answered = 0;
    for (let length = 0; length < good.length; length++) {
      if (answers(good.subarray(0, length))) answered++;
    }
    const draw = drawOf(1);
    for (let at = 0; at < good.length; at++) {
      const bytes = Buffer.from(good);
      bytes[at] = draw.below(3) === 0 ? 0x0a : draw.below(256);
      if (answers(bytes, { allowGaps: true })) answered++;
    }
    // Damage in a name, or in what is not read, changes nothing.
    expect(answered).toBeGreaterThan(10);
  });

  const line = ftraceLine(EVENTS[0]);
  const rows = ['0 0 100', '0 100 0', '0 0 100'];
  it.each<[what: string, text: string | Buffer, message: RegExp | null]>([
    ['nothing', '', /no sched_switch event; record it/],
    ['blank lines', ' \n\r\n\t\n', /no sched_switch event/],
    ['a header alone', '# tracer: nop\n#\n', /no sched_switch event/],
    ['UTF-16', Buffer.from(line, 'utf16le'), /NUL bytes.*in UTF-8$/],
    ['NUL bytes behind the text', `${line}\n\0\0\0`, /NUL bytes/],
    ['a byte order mark', `\ufeff${line}`, null],
    ['no end of the last line', line, null],
    [
      'a cut last line',
      `${line}\n${line.slice(0, 90)}`,
      /:2: .*cut off.*delete it if it is the last/,
    ],
    ['a cut line in the middle', `${line.slice(0, 90)}\n${line}`, /:1: .*cut off/],
    ['two lines as one', line + line, /:1: .*cut off/],
    ['a line twice', `${line}\n${line}`, /:2: .*a switch is missing/],
    ['lines in the wrong order', `${record(rows)}\n${line}`, /:4: time goes back/],
    ['two recordings as one', `${record(rows)}\n${record(rows)}`, /:4: time goes back/],
    ['a missing line', record([rows[0], '0 0 101']), /:2: .*--allow-gaps/],
    ['a huge CPU', line.replace('[000]', '[99999]'), /:1: CPU 99999 is none/],
    ['a huge pid', line.replace('next_pid=101', 'next_pid=99999999999'), /:1: .*cut off/],
    ['a huge time', line.replace('0.000001', `${'9'.repeat(400)}.000001`), /:1: .*cut off/],
    ['a negative pid', line.replace('next_pid=101', 'next_pid=-5'), /:1: .*cut off/],
    ['a pid of letters', line.replace('next_pid=101', 'next_pid=1O1'), /:1: .*cut off/],
    ['no pid', line.replace(' next_pid=101', ''), /:1: .*cut off/],
    ['a name that is too long', line.replace('CPU 0/KVM', 'x'.repeat(16)), /:1: .*cut off/],
    ['invalid UTF-8 in a name', Buffer.from(line.replace('swapper/0', '\xff\xfe'), 'latin1'), null],
    ['a line of 20 kB', `${'x'.repeat(20_000)} sched_switch:\n${line}`, null],
    ['an empty name', line.replaceAll('swapper/0', ''), null],
    ['tabs for blanks', line.replaceAll(/ (?=\[|d\.)/g, '\t'), null],
    ['a page without data', '<!DOCTYPE html>\n<html></html>', /no sched_switch event/],
    ['a JSON trace', '{"traceEvents": [{"name": "sched_switch", "ph": "i"}]}', /no sched_switch/],
  ])('%s: the right answer, or an error that names the line', (_, text, message) => {
    const read = (): unknown => parseRecording(text, 'trace.txt');
    if (message === null) expect(read).not.toThrow();
    else {
      expect(read).toThrow(TraceError);
      expect(read).toThrow(message);
      expect(read).toThrow(/^trace\.txt/);
    }
  });
});

describe('hostile lines', () => {
  const LENGTH = 16_000;
  const time = (unit: string, tail: string): number => {
    const line = `${unit.repeat(Math.ceil(LENGTH / unit.length)).slice(0, LENGTH)}${tail}\n`;
    const reader = new TextReader('t');
    const bytes = Buffer.from(line.repeat(10));
    const began = performance.now();
    try {
      reader.feed(bytes);
    } catch (error) {
      if (!(error instanceof TraceError)) throw error;
    }
    return performance.now() - began;
  };

  it.each([
    '1',
    ' ',
    ':',
    ': ',
    '1: ',
    '1.1: ',
    '[0] 1.1: ',
    'a-1 [000] 1.1: ',
    '(',
    '(1) ',
    '[',
    'prev_comm=',
    ' prev_pid=1',
    'sched_switch: ',
    'a-1 [000] 1.1: sched_switch: ',
    ' ==> next_comm=',
    'a:1 [1] S ==> ',
    'CPU:',
    '[1:1:1.000000001] (+1) h: { ',
    'prev_comm = "',
    '{ cpu_id = 1 }, ',
    'vcpu ',
  ])('a line takes time in proportion to its length: %s', (unit) => {
    // 160 kB: quadratic work would take seconds.
    expect(time(unit, '')).toBeLessThan(400);
    expect(time(unit, ' a-1 [000] 1.1: sched_switch: x')).toBeLessThan(400);
  });
});

describe('files', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'vlbr-damage-'));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  it('every prefix and many a damaged byte of a gzip file is answered or refused', async () => {
    const packed = gzipSync(printed(FORMS[0], EVENTS).join('\n'));
    const path = join(folder, 'host.gz');
    const outcome = async (bytes: Buffer): Promise<string> => {
      writeFileSync(path, bytes);
      try {
        await readRecording(path);
        return 'answer';
      } catch (error) {
        if (error instanceof TraceError) return error.message;
        throw error;
      }
    };
    expect(await outcome(packed)).toBe('answer');
    for (let length = 0; length < packed.length; length += 7) {
      expect(await outcome(packed.subarray(0, length))).not.toBe('answer');
    }
    for (let at = 10; at < packed.length; at += 7) {
      const bytes = Buffer.from(packed);
      bytes[at] ^= 0x55;
      expect(await outcome(bytes)).toMatch(/^answer$|gzip data is damaged|host\.gz/);
    }
  });
});
