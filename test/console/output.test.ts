/** How commands print, and write files. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { UsageError, WriteError } from '../../src/console/errors.js';
import * as output from '../../src/console/output.js';

const folder = mkdtempSync(join(tmpdir(), 'vlbr-output-'));
const at = (name: string): string => join(folder, name);

afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

/** What is written to a stream, a text for each write. */
function heard(stream: 'stdout' | 'stderr'): string[] {
  const writes: string[] = [];
  vi.spyOn(process[stream], 'write').mockImplementation((text) => writes.push(String(text)) > 0);
  return writes;
}

describe('what is printed', () => {
  it('lines are one write, and a text is printed as it is', () => {
    const writes = heard('stdout');
    output.printLines(['a', '', 'b']);
    output.printText('no end');
    expect(writes).toEqual(['a\n\nb\n', 'no end']);
  });

  it('JSON says behind its schema which vlbr has made it, and then the rest', () => {
    const writes = heard('stdout');
    output.printJson({ schema: 'x/1', seed: 2 });
    expect(writes).toHaveLength(1);
    const json = JSON.parse(writes[0]) as Readonly<Record<string, unknown>>;
    expect(Object.keys(json)).toEqual(['schema', 'version', 'commit', 'seed']);
    expect(json).toMatchObject({ schema: 'x/1', seed: 2, version: expect.stringMatching(/^\d/) });
    expect(writes[0].endsWith('\n}\n')).toBe(true);
  });
});

describe('checkOnOutput', () => {
  it('one thing may go to standard output, and two may not, which are named', () => {
    expect(() => output.checkOnOutput([], [])).not.toThrow();
    expect(() => output.checkOnOutput([], ['--json', '--emit'])).not.toThrow();
    expect(() => output.checkOnOutput(['--svg -'], [])).not.toThrow();
    const both = (): void => output.checkOnOutput(['--svg -'], ['--json']);
    expect(both).toThrow(UsageError);
    expect(both).toThrow('--svg - and --json: standard output takes one of them');
    expect(() => output.checkOnOutput(['--svg -', '--html -'], [])).toThrow('--svg - and --html -');
  });
});

describe('a file', () => {
  it('that is checked is neither made nor changed', () => {
    output.checkWritable(at('new'));
    expect(existsSync(at('new'))).toBe(false);
    writeFileSync(at('old'), 'text');
    output.checkWritable(at('old'));
    output.checkWritable('/dev/null');
    expect(readFileSync(at('old'), 'utf8')).toBe('text');
    expect(readdirSync(folder)).toEqual(['old']);
  });

  it('that can’t be written is told with its path and the reason', () => {
    for (const write of [output.checkWritable, (path: string) => output.writeFileWhole(path, '')]) {
      expect(() => write(at('none/x'))).toThrow(WriteError);
      expect(() => write(at('none/x'))).toThrow(`${at('none/x')} can't be written: ENOENT`);
      expect(() => write(folder)).toThrow(`${folder} can't be written: EISDIR`);
    }
    expect(() => output.writeFileWhole('/dev/full', 'x')).toThrow("/dev/full can't be written: E");
    expect(() => output.checkWritable(at('none/\u001bx'))).toThrow(/none\/\\x1bx can't be written/);
  });

  it('that is written holds all of the text', () => {
    output.writeFileWhole(at('whole'), 'text');
    expect(readFileSync(at('whole'), 'utf8')).toBe('text');
  });
});

describe('watchOutput', () => {
  it('a report that can’t be written is told once, and is what the process ends with', () => {
    const before = [process.stdout, process.stderr].map((one) => one.listeners('error'));
    const { exitCode } = process;
    const said = heard('stderr');
    output.watchOutput();
    try {
      process.stdout.emit('error', new Error('write EPIPE'));
      process.stdout.emit('error', new Error('write EPIPE'));
      expect(process.stderr.emit('error', new Error('nobody is left'))).toBe(true);
      expect(said).toEqual(["vlbr: the report can't be written: write EPIPE\n"]);
      expect(process.exitCode).toBe(6);
    } finally {
      process.exitCode = exitCode;
      for (const [i, one] of [process.stdout, process.stderr].entries()) {
        for (const hear of one.listeners('error')) {
          if (!before[i].includes(hear)) one.off('error', hear as () => void);
        }
      }
    }
  });
});
