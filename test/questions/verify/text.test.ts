/** The report of a campaign, from hand-made results. */
import { listFor } from '../../../src/campaign/kernel_lists.js';
import { describe, expect, it } from 'vitest';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import { type PropertyName, REACH_NAMES } from '../../../src/judge/properties.js';
import { coloursFor } from '../../../src/console/colours.js';
import { verifyJson } from '../../../src/questions/verify/json.js';
import { type Campaign, unexpectedOf, verifyText } from '../../../src/questions/verify/text.js';
import { encodeToken } from '../../../src/schedule/token.js';
import type { Counterexample, Report, Result, Verdict } from '../../../src/campaign/campaign.js';
import { DEFAULT_SHAPES } from '../../../src/campaign/campaign.js';
import { cpuModel } from '../../rig/cpu.js';

const model = cpuModel('skylake');

function counterexample(policy: string, property: PropertyName): Counterexample {
  const [shape] = DEFAULT_SHAPES;
  const names = { policy, property, cpu: model.name, kernel: '6.1' };
  const actions = [{ kind: 'fork', actor: 0, args: [] }] as const;
  const text = 'v0: what the host\u2019s code did';
  return { ...names, shape, actions, text, label: 'shrunk' };
}

function result(
  policy: string,
  property: PropertyName,
  verdict: Verdict,
  expected: Verdict,
  reason = '',
): Result {
  const reach = Object.fromEntries(REACH_NAMES.map((name, i) => [name, 1000 ** (i % 3)]));
  const found = verdict === 'fails' ? counterexample(policy, property) : null;
  return { policy, property, verdict, expected, reason, runs: 5, reach, counterexample: found };
}

const BY_KERNEL = {
  version: '6.1',
  list: listFor('6.1'),
  own: true,
  unknown: [],
  missing: [],
};

function campaign(results: readonly Result[], more: Partial<Report> = {}): Campaign {
  const report: Report = {
    results,
    kernelFindings: [],
    runs: 10,
    steps: 595,
    actions: { call: 1234, ret: 5 },
    interrupted: false,
    ...more,
  };
  const driver = { driver: PORT, source: null, driverWords: [] };
  const options = {
    model,
    kernel: '6.1',
    ...driver,
    seed: 7,
    policies: ['never', 'always'],
    shapes: DEFAULT_SHAPES,
    recordings: [],
    runsAsked: 5,
  };
  return { ...options, elapsed_s: 2, report, byKernel: BY_KERNEL };
}

const text = (of: Campaign): string => verifyText(of, coloursFor(false)).join('\n');

const MIXED = [
  result('never', 'no-leak/vm', 'fails', 'fails', 'nobody\u2019s job'),
  result('never', 'no-leak/task', 'fails', 'holds'),
  result('never', 'balanced', 'vacuous', 'holds'),
  result('always', 'no-leak/vm', 'holds', 'holds'),
  result('always', 'no-leak/task', 'holds', 'fails', 'it is known'),
  result('always', 'balanced', 'not applicable', 'not applicable', 'it says nothing'),
];

describe('verifyText', () => {
  it('the report has properties as rows, policies as columns, and marks the unexpected', () => {
    const printed = text(campaign(MIXED));
    expect(printed).toMatch(/^ +never +always$/m);
    expect(printed).toMatch(/^no-leak\/vm +FAILS +holds$/m);
    expect(printed).toMatch(/^no-leak\/task +FAILS! +holds!$/m);
    expect(printed).toMatch(/^balanced +vacuous! +n\/a$/m);
    expect(printed).toContain('! not the expected verdict');
    expect(printed).toContain('n/a balanced: it says nothing (always)');
    expect(printed).toMatch(/^always +no-leak\/task +holds, expected: fails \(it is known\)$/m);
    expect(printed).toContain('may need more --runs');
    expect(printed.split('\n').at(-1)).toBe('6 verdicts, 3 unexpected');
  });
  it('the report says how much ran, of what, and what it met', () => {
    const printed = text(campaign(MIXED));
    expect(printed).toContain('random: 10 runs, 595 actions (mean 59.5 a run); 2.0 s in all');
    expect(printed).toContain('0 % skipped');
    expect(printed).toContain('call 1,234   ret      5');
    for (const name of REACH_NAMES) expect(printed).toMatch(new RegExp(`^${name} `, 'm'));
  });
  it('each counterexample ends with its line to replay, and a schedule is shown once', () => {
    const printed = text(campaign(MIXED));
    for (const { counterexample: found } of MIXED) {
      if (found !== null) expect(printed).toContain(`\n  vlbr replay ${encodeToken(found)}\n`);
    }
    expect(printed.match(/: fork$/gm)?.length).toBe(1);
    expect(printed).toContain('  the schedule of no-leak/vm above');
    expect(printed).toContain("  known: nobody's job");
  });
  it('each counterexample has a label, and the report says what the labels mean', () => {
    const broken = result('never', 'no-leak/vm', 'fails', 'fails');
    const other = result('pv-v2', 'no-leak/vm', 'fails', 'fails');
    const found = counterexample('never', 'no-leak/vm');
    const minimal = { ...broken, counterexample: { ...found, label: 'minimal' as const } };
    const printed = text(campaign([minimal, other]));
    expect(printed).toContain('never breaks no-leak/vm: 1 action (minimal)');
    expect(printed).toContain('pv-v2 breaks no-leak/vm: 1 action (shrunk)');
    expect(printed).toMatch(/^minimal: exploration [^]* found no schedule of\s+fewer actions$/m);
    expect(printed).toMatch(/^shrunk: the shortest schedule found/m);
    expect(printed).toMatch(/^random: a verdict is of the schedules that were run; vlbr explore/m);
    expect(text(campaign([minimal]))).not.toMatch(/^shrunk:/m);
    expect(text(campaign([other]))).not.toMatch(/^minimal:/m);
  });

  it('the report always tells the guest kernel’s own failures apart', () => {
    const finding = {
      property: 'balanced' as const,
      known: 'it is known',
      counterexample: counterexample('never', 'balanced'),
    };
    const unknown = { ...finding, property: 'no-warn' as const, known: null };
    const one = campaign([], { kernelFindings: [finding, unknown] });
    const printed = text({ ...one, byKernel: { ...BY_KERNEL, unknown: [unknown] } });
    expect(printed.indexOf('breaks no-warn')).toBeLessThan(printed.indexOf('breaks balanced'));
    expect(printed).toContain('  known: it is known');
    expect(printed).toMatch(/^no-warn +breaks it; not known of Linux 6.1$/m);
    expect(printed).toMatch(/^0 verdicts, 1 unexpected$/m);
    expect(printed).toContain("the guest's kernel breaks balanced");
    expect(printed).toContain('counts against no policy');
  });
  it('a report that was cut short says how much was run, and expects no more', () => {
    const never = MIXED.filter(({ policy }) => policy === 'never');
    const cut = { interrupted: true, runs: 7 };
    const printed = text(campaign(never, cut));
    expect(printed).toContain('cut short after 7 of 10 runs; not run at all: always');
    expect(printed).toMatch(/^balanced +vacuous$/m);
    expect(printed).toMatch(/^no-leak\/task +FAILS!$/m);
    expect(printed.split('\n').at(-1)).toBe('3 verdicts, 1 unexpected');
    const none = text(campaign([{ ...MIXED[2], runs: 0 }, MIXED[3]], cut));
    expect(none).toMatch(/^balanced +not run$/m);
    expect(none).not.toContain('vacuous: holds');
    expect(none).toContain('cut short after 7 of 10 runs; not run at all: never');
    expect(text(campaign(MIXED, cut))).toMatch(/^cut short after 7 of 10 runs$/m);
  });
  it('the report never needs more than 100 columns for many policies', () => {
    const many = Array.from({ length: 14 }, (_, i) =>
      result(`policy-${i}`, 'no-leak/vm', i % 2 === 0 ? 'holds' : 'vacuous', 'holds'),
    );
    const lines = verifyText(campaign(many), coloursFor(false));
    expect(lines.filter((line) => line.length > 100)).toEqual([]);
    for (const { policy } of many) expect(lines.join('\n')).toMatch(new RegExp(`\\b${policy}\\b`));
  });
});

describe('verifyJson', () => {
  it('the JSON counts the unexpected, and gives each counterexample its timeline', () => {
    const json = verifyJson(campaign(MIXED)) as Record<string, unknown>;
    expect(json).toMatchObject({ schema: 'vlbr/verify/1', driver: 'port', unexpected: 3 });
    expect(unexpectedOf(campaign(MIXED).report).length).toBe(3);
    const [first] = json.results as readonly { readonly counterexample: object | null }[];
    expect(Object.keys(first.counterexample ?? {})).toEqual([
      'shape',
      'actions',
      'token',
      'label',
      'text',
      'timeline',
    ]);
  });
});
