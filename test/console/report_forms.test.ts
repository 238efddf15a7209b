/** Results in the forms that other programs read, and the option that asks for them. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { junit } from '../../src/console/junit.js';
import { github, gitlab, ktap, type Suite, tap } from '../../src/console/report_forms.js';
import { checkReporters, reporterOption, writeReports } from '../../src/console/reporters.js';
import type { ReporterOptions } from '../../src/console/reporters.js';

const SUITE: Suite = {
  name: 'vlbr verify',
  cases: [
    { group: 'always', name: 'no-leak/vm', outcome: 'ok', says: 'holds' },
    { group: 'always', name: 'no-fault', outcome: 'skip', says: 'n/a <here>' },
    { group: 'Linux 7.3', name: 'balanced: #1', outcome: 'not ok', says: '50%\u001b, "a" & <b>' },
  ],
};

const folder = mkdtempSync(join(tmpdir(), 'vlbr-forms-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

describe('the form', () => {
  it('tap has a line for each case, numbered, and says why one is not ok', () => {
    expect(tap(SUITE)).toBe(
      [
        'TAP version 13',
        '1..3',
        '# vlbr verify',
        'ok 1 - always: no-leak/vm',
        'ok 2 - always: no-fault # SKIP n/a <here>',
        'not ok 3 - Linux 7.3: balanced: \\#1',
        '# 50%\u001b, "a" & <b>',
        '',
      ].join('\n'),
    );
  });
  const prove = spawnSync('prove', ['--version']).status === 0;
  it.skipIf(!prove)('tap is read by prove, which fails where a case is not ok', () => {
    const proved = (cases: Suite['cases']): string => {
      const path = join(folder, 'x.tap');
      writeFileSync(path, tap({ ...SUITE, cases }));
      const { stdout, status } = spawnSync('prove', ['-e', 'cat', path], { encoding: 'utf8' });
      return `${stdout.trim().split('\n').at(-1)} ${status}`;
    };
    expect(proved(SUITE.cases.slice(0, 2))).toBe('Result: PASS 0');
    expect(proved(SUITE.cases)).toBe('Result: FAIL 1');
  });
  it('ktap has a subtest for each group, which is not ok if one of its cases is not', () => {
    expect(ktap(SUITE)).toBe(
      [
        'KTAP version 1',
        '1..2',
        '  KTAP version 1',
        '  # Subtest: always',
        '  1..2',
        '  ok 1 no-leak/vm',
        '  ok 2 no-fault # SKIP n/a <here>',
        'ok 1 always',
        '  KTAP version 1',
        '  # Subtest: Linux 7.3',
        '  1..1',
        '  # 50%\u001b, "a" & <b>',
        '  not ok 1 balanced: 1',
        'not ok 2 Linux 7.3',
        '',
      ].join('\n'),
    );
  });
  it('junit is XML with counts, and without what XML can’t hold', () => {
    const xml = junit(SUITE);
    expect(xml.split('\n').slice(0, 2)).toEqual([
      '<?xml version="1.0" encoding="UTF-8"?>',
      '<testsuites name="vlbr verify" tests="3" failures="1" errors="0" skipped="1">',
    ]);
    expect(xml).toContain(
      '<testsuite name="always" tests="2" failures="0" errors="0" skipped="1">',
    );
    expect(xml).toContain('<testcase classname="vlbr verify.always" name="no-leak/vm"/>');
    expect(xml).toContain('<skipped message="n/a &lt;here&gt;"/>');
    expect(xml).toContain('>50%\\x1b, "a" &amp; &lt;b&gt;</failure>');
  });
  it('github has an annotation for what is not ok, escaped as GitHub reads it', () => {
    expect(github(SUITE)).toBe(
      '::error title=vlbr verify%3A Linux 7.3%2C balanced%3A #1::50%25\u001b, "a" & <b>\n' +
        'vlbr verify: 3 cases, 1 not ok\n',
    );
    const cases = [{ ...SUITE.cases[2], says: 'a\r\nb' }];
    expect(github({ ...SUITE, cases })).toContain('::a%0D%0Ab\n');
  });
  it('gitlab has an issue for what is not ok, known again by its print', () => {
    const issues = JSON.parse(gitlab(SUITE)) as { readonly fingerprint: string }[];
    expect(issues).toMatchObject([
      {
        description: 'Linux 7.3, balanced: #1: 50%\u001b, "a" & <b>',
        check_name: 'vlbr verify',
        severity: 'major',
        location: { path: 'Linux 7.3', lines: { begin: 1 } },
      },
    ]);
    expect(issues[0].fingerprint).toMatch(/^[0-9a-f]{64}$/);
    const other = { ...SUITE, cases: [{ ...SUITE.cases[2], says: 'other' }] };
    expect(JSON.parse(gitlab(other))[0].fingerprint).toBe(issues[0].fingerprint);
    expect(JSON.parse(gitlab({ ...SUITE, cases: [] }))).toEqual([]);
  });
});

function asked(...words: string[]): ReporterOptions {
  const command = new Command().addOption(reporterOption()).exitOverride();
  command.configureOutput({ outputError: () => {} });
  return command
    .parse(
      words.flatMap((word) => ['--reporter', word]),
      { from: 'user' },
    )
    .opts();
}

describe('--reporter', () => {
  it('writes each report to its file, or one to standard output', async () => {
    let printed = '';
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      printed += String(text);
      return true;
    });
    const file = join(folder, 'a=b.xml');
    const options = asked('tap', `junit=${file}`);
    expect(checkReporters(options, [])).toEqual(['--reporter tap']);
    await writeReports(options, () => SUITE);
    expect(printed).toBe(tap(SUITE));
    expect(readFileSync(file, 'utf8')).toBe(junit(SUITE));
    await writeReports({}, () => SUITE);
    for (const [form, of] of Object.entries({ ktap, github, gitlab })) {
      printed = '';
      await writeReports(asked(form), () => SUITE);
      expect(printed).toBe(of(SUITE));
    }
  });
  it('refuses what can’t be, before anything runs', () => {
    expect(() => asked('xunit')).toThrow('names: tap, ktap, junit, github, gitlab');
    expect(() => asked('tap=')).toThrow('It must be NAME or NAME=FILE');
    expect(() => checkReporters(asked('tap', 'ktap'), [])).toThrow(
      '--reporter tap and --reporter ktap: standard output takes one of them',
    );
    expect(() => checkReporters(asked('tap'), ['--json'])).toThrow('takes one of them');
    expect(() => checkReporters(asked('tap=/nowhere/x'), [])).toThrow("x can't be written: ENOENT");
    expect(checkReporters(asked(`tap=${folder}/x`), ['--json'])).toEqual([]);
    expect(checkReporters({}, ['--json'])).toEqual([]);
  });
});
