/**
 * An lbr.c is compiled and its coverage read from any working directory, with any folder for
 * temporary files, and with any line ends.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { buildKernel } from '../../src/tree/build.js';
import { type Coverage, CoverageRun } from '../../src/questions/conform/coverage.js';
import { drawSequence } from '../../src/questions/conform/draw.js';
import { SUBJECTS } from '../../src/questions/conform/subjects.js';
import { driftMacros, includedHeaders } from '../../src/tree/drift.js';
import { KernelError } from '../../src/tree/errors.js';
import { patchLbr } from '../../src/tree/patch.js';
import { kernelSource, LBR_PATH, readKernelSource } from '../../src/tree/source.js';
import { clangOf, lbrC } from '../rig/stub_lbr.js';

// Resolves symbolic links, as the system does for the working directory.
const ROOT = realpathSync(mkdtempSync(join(tmpdir(), 'vlbr-places-')));
const HOME = process.cwd();

function coverageTool(): string {
  try {
    execFileSync('llvm-cov', ['--version'], { stdio: 'ignore' });
    return '';
  } catch (error) {
    console.warn('NOT TESTED: where coverage is taken (llvm-cov: apt-get install llvm)');
    return String(error);
  }
}

const missing = clangOf(ROOT).missing || coverageTool();

/** An lbr.c with a line to count. */
const TEXT = lbrC({ intel_pmu_lbr_reset: 'if (x86_pmu.lbr_nr)\n\tx86_pmu.lbr_nr = 0;' });

function folder(name: string): string {
  const path = join(ROOT, name);
  mkdirSync(path, { recursive: true });
  return path;
}

/** The coverage of a sequence without calls: functions that a starting CPU calls. */
function coverageOf(text: string): Coverage {
  const counting = new CoverageRun(kernelSource(text));
  try {
    counting.run({ ...drawSequence(1, 0, SUBJECTS), calls: [] });
    return counting.report();
  } finally {
    counting.close();
  }
}

afterEach(() => {
  process.chdir(HOME);
  vi.unstubAllEnvs();
});
afterAll(() => rmSync(ROOT, { recursive: true }));

describe.skipIf(missing !== '')('the coverage of lbr.c', () => {
  const expected = missing === '' ? coverageOf(TEXT) : null;

  it('coverage counts the lines of the file itself', () => {
    expect(expected?.lines.total).toBeGreaterThan(10);
    expect(expected?.lines.reached).toBeLessThan(expected?.lines.total ?? 0);
  });

  const places: readonly (readonly [name: string, cwd: string, temporary: string])[] = [
    ['the folder of temporary files', folder('a'), folder('a')],
    ['a folder above that of temporary files', ROOT, folder('a/b')],
    ['a folder beside that of temporary files', folder('a/c'), folder('a/b')],
    ['the root of the file system', '/', folder('a')],
  ];
  it.each(places)(
    'coverage never depends on the working directory: %s',
    (_name, cwd, temporary) => {
      vi.stubEnv('TMPDIR', temporary);
      process.chdir(cwd);
      expect(coverageOf(TEXT)).toEqual(expected);
    },
  );

  it('coverage works with a TMPDIR that is relative, a symbolic link, or spelled oddly', () => {
    const odd = folder('odd "name" \\ 100% {a,b}');
    symlinkSync(folder('a'), join(ROOT, 'link'));
    for (const temporary of [odd, join(ROOT, 'link'), relative(ROOT, odd), '.', './a/../a/']) {
      vi.stubEnv('TMPDIR', temporary);
      vi.stubEnv('XDG_CACHE_HOME', join(odd, 'cache', String(temporary.length)));
      process.chdir(ROOT);
      expect(coverageOf(TEXT)).toEqual(expected);
      expect(buildKernel(kernelSource(TEXT)).staticWords).toBeGreaterThan(0);
    }
  });

  it('coverage is the same for lines that end with CR and LF, with CR, or with either', () => {
    const [crlf, cr] = [TEXT.replaceAll('\n', '\r\n'), TEXT.replaceAll('\n', '\r')];
    const mixed = TEXT.replace(/\n/g, (end, at: number) => (at % 2 === 0 ? '\r\n' : end));
    expect(mixed).not.toBe(crlf);
    for (const text of [crlf, cr, mixed]) expect(coverageOf(text)).toEqual(expected);
  });

  it('coverage counts a line with a character that ends lines elsewhere', () => {
    const text = TEXT.replace('if (x86_pmu.lbr_nr)', '$& /* \u2028 \u2029 \u0085 */');
    expect(coverageOf(text)).toEqual(expected);
  });

  it('a coverage tool that shows nothing of lbr.c is never reported as a bug of vlbr', () => {
    const tool = join(folder('bin'), 'llvm-cov');
    writeFileSync(tool, '#!/bin/sh\necho "        -:    0:Source:elsewhere.c"\n', { mode: 0o755 });
    vi.stubEnv('PATH', `${folder('bin')}:${process.env.PATH}`);
    expect(() => coverageOf(TEXT)).toThrow(KernelError);
    expect(() => coverageOf(TEXT)).toThrow('llvm-cov gcov shows no line of lbr.c');
  });
});

describe('an lbr.c whose lines end with CR and LF', () => {
  const LINES = Array.from({ length: 12 }, (_, i) => `/* line ${i + 1} */`);
  const UNIX = `#include <linux/a.h>\nstatic int branch_type(void);\nvoid intel_pmu_lbr_reset(void)
{
\tlong long x;
}
${LINES.join('\n')}\n`;
  const DOS = UNIX.replaceAll('\n', '\r\n');

  /** A tree whose lbr.c has this text. */
  function tree(name: string, text: string): string {
    const path = join(folder(`${name}/${LBR_PATH}`), '..');
    rmSync(join(path, 'lbr.c'), { recursive: true });
    writeFileSync(join(path, 'lbr.c'), text);
    const version = 'VERSION = 6\r\nPATCHLEVEL = 1\r\nSUBLEVEL = 7\r\nEXTRAVERSION =\r\n';
    writeFileSync(join(ROOT, name, 'Makefile'), version);
    return join(ROOT, name);
  }

  it('an lbr.c with CR and LF reads as the same text, with the hash of its own bytes', () => {
    const [unix, dos] = [UNIX, DOS].map((text, i) => readKernelSource(tree(`tree${i}`, text)));
    expect(dos.text).toBe(unix.text);
    expect([dos.info.version, unix.info.version]).toEqual(['6.1.7', '6.1.7']);
    const bytes = readFileSync(join(ROOT, 'tree1', LBR_PATH));
    expect(dos.info.sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect(driftMacros(dos.text)).toEqual(['VLBR_LONG_LONG', 'VLBR_OWN_BRANCH_TYPE']);
    expect(includedHeaders(dos.text)).toEqual(['linux/a.h']);
  });

  it('an lbr.c with CR and LF takes patches with either line end, and takes them back', () => {
    const hunk = '@@ -8,3 +8,3 @@\n /* line 2 */\n-/* line 3 */\n+/* new */\n /* line 4 */\n';
    const diff = `--- a/${LBR_PATH}\n+++ b/${LBR_PATH}\n${hunk}`;
    const dosHunk = hunk.replace(/^([ +-].*)$/gm, '$1\r');
    const texts = [diff, diff.replaceAll('\n', '\r\n'), diff.replace(hunk, dosHunk)];
    // A file that is edited on two systems has both kinds of line ends.
    const mixed = UNIX.replace('/* line 3 */\n', '/* line 3 */\r\n');
    for (const before of [UNIX, DOS, mixed]) {
      for (const text of texts) {
        const files = [{ name: 'x.patch', text }];
        const patched = patchLbr(kernelSource(before).text, files, false).text;
        expect(patched).toBe(UNIX.replace('line 3', 'new'));
        expect(patchLbr(patched, files, true).text).toBe(UNIX);
      }
    }
  });
});
