import { describe, expect, it } from 'vitest';
import { patchLbr } from '../../src/tree/patch.js';
import { LBR_PATH } from '../../src/tree/source.js';

const LINES = Array.from({ length: 40 }, (_, i) => `line ${i + 1}`);
const TEXT = `${LINES.join('\n')}\n`;

/** A diff of a file that replaces lines, each with a line of context on both sides. */
function diff(path: string, replaced: readonly (readonly [number, string])[]): string {
  const hunks = replaced.map(
    ([n, by]) =>
      `@@ -${n - 1},3 +${n - 1},3 @@\n line ${n - 1}\n-line ${n}\n+${by}\n line ${n + 1}\n`,
  );
  return `diff --git a/${path} b/${path}\n--- a/${path}\n+++ b/${path}\n${hunks.join('')}`;
}

/** A patch as git format-patch writes it. */
function mail(subject: string, body: string): string {
  const hash = '0123456789abcdef0123456789abcdef01234567';
  const from = `From ${hash} Mon Sep 17 00:00:00 2001\nFrom: A <a@b>\n`;
  const head = `${from}Subject: [PATCH] ${subject}\n`;
  return `${head}\nWhy.\n---\n x | 2 +-\n 1 file changed\n\n${body}-- \n2.39.5\n\n`;
}

const file = (text: string, name = 'x.patch'): { name: string; text: string } => ({ name, text });
const patched = (text: string, reverse = false): string =>
  patchLbr(TEXT, [file(text)], reverse).text;

function withLines(...changes: readonly (readonly [number, string])[]): string {
  const lines = [...LINES];
  for (const [n, by] of changes) lines[n - 1] = by;
  return `${lines.join('\n')}\n`;
}

describe('patchLbr', () => {
  it('patchLbr applies a diff, whatever the folder in which lbr.c lies', () => {
    const old = 'arch/x86/kernel/cpu/perf_event_intel_lbr.c';
    for (const path of [LBR_PATH, 'lbr.c', old, '/tmp/lbr-new.c', 'lbr.c.patched']) {
      const changes = [
        [10, 'ten'],
        [30, 'thirty'],
      ] as const;
      expect(patched(diff(path, changes))).toBe(withLines(...changes));
    }
  });

  it('patchLbr applies mails, one or several in a file, and a series in order', () => {
    const one = mail('one', diff(LBR_PATH, [[10, 'ten']]));
    const two = mail('two', diff(LBR_PATH, [[20, 'twenty']]));
    const both = withLines([10, 'ten'], [20, 'twenty']);
    expect(patched(one)).toBe(withLines([10, 'ten']));
    expect(patched(one + two)).toBe(both);
    expect(patchLbr(TEXT, [file(one), file(two)], false).text).toBe(both);
    const onTop = diff(LBR_PATH, [[10, 'x']]).replace('-line 10', '-ten');
    expect(patchLbr(TEXT, [file(one), file(onTop)], false).text).toBe(withLines([10, 'x']));
    expect(() => patchLbr(TEXT, [file(onTop), file(one)], false)).toThrow(/does not apply/);
  });

  it('patchLbr takes back what it applied, the last first', () => {
    const one = diff(LBR_PATH, [[10, 'ten']]);
    const two = diff(LBR_PATH, [[10, 'x']]).replace('-line 10', '-ten');
    const files = [file(one), file(two)];
    const { text } = patchLbr(TEXT, files, false);
    expect(patchLbr(text, files, true).text).toBe(TEXT);
  });

  it('patchLbr finds a hunk whose lines have moved, and that fits in several places', () => {
    const moved = `new\nnew\n${TEXT}`;
    const changes = [
      [10, 'ten'],
      [30, 'thirty'],
    ] as const;
    const { text } = patchLbr(moved, [file(diff(LBR_PATH, changes))], false);
    expect(text).toBe(`new\nnew\n${withLines(...changes)}`);
    const twice = `${TEXT}${TEXT}`;
    const second = `@@ -49,3 +49,3 @@\n line 9\n-line 10\n+ten\n line 11\n`;
    const head = `--- a/${LBR_PATH}\n+++ b/${LBR_PATH}\n`;
    expect(patchLbr(twice, [file(head + second)], false).text).toBe(
      `${TEXT}${withLines([10, 'ten'])}`,
    );
  });

  it('patchLbr knows how far the hunks before have moved the lines', () => {
    // Without the shift, the second hunk would match in the first copy, at the line that it names.
    const block = Array.from({ length: 40 }, (_, i) => `+new ${i + 1}\n`).join('');
    const first = `@@ -4,3 +4,43 @@\n line 4\n line 5\n${block} line 6\n`;
    const second = `@@ -49,3 +89,3 @@\n line 9\n-line 10\n+ten\n line 11\n`;
    const head = `--- a/${LBR_PATH}\n+++ b/${LBR_PATH}\n`;
    const { text } = patchLbr(`${TEXT}${TEXT}`, [file(head + first + second)], false);
    expect(text.endsWith(withLines([10, 'ten']))).toBe(true);
    expect(text.split('\n').filter((line) => line === 'line 10')).toHaveLength(1);
  });

  it('patchLbr lists what it leaves out, once and in order', () => {
    const text =
      diff('kernel/events/core.c', [[5, 'x']]) +
      diff(LBR_PATH, [[10, 'ten']]) +
      diff('arch/x86/events/perf_event.h', [[5, 'x']]) +
      diff('kernel/events/core.c', [[5, 'x']]);
    const { notModelled } = patchLbr(TEXT, [file(text)], false);
    expect(notModelled).toEqual(['kernel/events/core.c', 'arch/x86/events/perf_event.h']);
  });

  it('patchLbr names the hunk that does not apply', () => {
    const text = diff(LBR_PATH, [
      [10, 'ten'],
      [20, 'twenty'],
    ]).replace('-line 20', '-line twenty');
    expect(() => patched(text)).toThrow('x.patch: hunk 2 of 2 for lbr.c does not apply: @@ -19,3');
  });

  it('patchLbr refuses what is no diff, and what is not about lbr.c', () => {
    expect(() => patched('hello\n')).toThrow('x.patch: this is no unified diff');
    expect(() => patched('')).toThrow('this is no unified diff');
    expect(() => patched(diff('kernel/events/core.c', [[5, 'x']]))).toThrow(
      /nothing here is about .*lbr\.c.*only: kernel\/events\/core\.c/,
    );
  });
});
