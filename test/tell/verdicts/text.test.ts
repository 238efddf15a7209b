/** The report of a campaign, from hand-made results. */
import { listFor } from '../../../src/campaign/kernel_lists.js';
import { describe, expect, it } from 'vitest';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import {
  POLICY_PROPERTIES,
  type PropertyName,
  REACH_NAMES,
} from '../../../src/judge/properties.js';
import { type Loss, sinceOf } from '../../../src/console/baseline.js';
import { coloursFor } from '../../../src/console/colours.js';
import { setTextWidth, WIDTH } from '../../../src/console/text.js';
import { ALL_POLICIES } from '../../../src/host/policy/index.js';
import { exitCodeFor, lossesIn } from '../../../src/tell/verdicts/losses.js';
import { checkShow, showWords } from '../../../src/tell/verdicts/counterexamples.js';
import { verifyJson } from '../../../src/tell/verdicts/json.js';
import { type Campaign, type Extent, verifyText } from '../../../src/tell/verdicts/text.js';
import { parseAction } from '../../../src/schedule/action_text.js';
import { encodeToken } from '../../../src/schedule/token.js';
import type { Counterexample, Report, Result, Verdict } from '../../../src/campaign/campaign.js';
import { DEFAULT_SHAPES } from '../../../src/campaign/campaign.js';
import { parseRecording } from '../../../src/recording/read.js';
import { cpuModel } from '../../rig/cpu.js';
import { record } from '../../rig/recordings.js';
import { wrongWithMade } from '../../rig/schemas.js';

const model = cpuModel('skylake');

function counterexample(policy: string, property: PropertyName): Counterexample {
  const [shape] = DEFAULT_SHAPES;
  const names = { policy, property, cpu: model.name, kernel: '6.1' };
  const actions = [{ kind: 'fork', actor: 0, args: [] }] as const;
  const text = 'v0: what the host\u2019s code did';
  return { ...names, shape, actions, text, cause: 'hook:get_msr', label: 'shrunk' };
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
  const told = { counterexample: found, otherCauses: [] };
  return { policy, property, verdict, expected, reason, runs: 5, reach, ...told };
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
    shapes: DEFAULT_SHAPES,
    without: [],
    recordings: [],
    runsAsked: 5,
  };
  const policies = [...new Set(results.map(({ policy }) => policy))];
  const properties = POLICY_PROPERTIES.map(({ name }) => name);
  const asked = { policies, properties };
  return { ...options, ...asked, elapsed_s: 2, report, byKernel: BY_KERNEL, since: null };
}

const text = (of: Campaign, extent?: Extent): string =>
  verifyText(of, coloursFor(false), extent).join('\n');

/** With all that can be told. */
const whole = (of: Campaign): string => text(of, { show: ['all'] });

const MIXED = [
  result('never', 'no-leak/vm', 'fails', 'fails', 'nobody\u2019s job'),
  result('never', 'no-leak/task', 'fails', 'holds'),
  result('never', 'balanced', 'vacuous', 'holds'),
  result('always', 'no-leak/vm', 'holds', 'holds'),
  result('always', 'no-leak/task', 'holds', 'fails', 'it is known'),
  result('always', 'balanced', 'not applicable', 'not applicable', 'it says nothing'),
];

describe('verifyText', () => {
  it('the matrix has a row for each policy, and marks what is not expected', () => {
    const printed = text(campaign(MIXED));
    expect(printed).toMatch(/^ +1  2  3$/m);
    expect(printed).toMatch(/^never {2}x {2}x! v!$/m);
    expect(printed).toMatch(/^always \. {2}\.! -$/m);
    expect(printed).toContain('1 no-leak/vm  2 no-leak/task  3 balanced');
    expect(printed).toContain('! not the expected verdict');
    expect(printed).toContain('v vacuous: the situation');
    expect(printed).not.toContain('? not judged');
    expect(whole(campaign(MIXED))).toContain('n/a balanced: it says nothing (always)');
    expect(printed).toMatch(/^always +no-leak\/task +holds, expected: fails \(it is known\)$/m);
    expect(printed).toContain('may need more --runs');
    expect(printed.split('\n').at(-1)).toBe('6 verdicts, 3 unexpected');
  });
  it('the report says how much ran and, where that is asked for, of what, and what it met', () => {
    const printed = text(campaign(MIXED), { show: [], legend: true });
    expect(printed).toContain('random: 10 runs, 595 actions (mean 59.5 a run); 2.0 s in all');
    expect(printed).toContain('0 % skipped');
    expect(printed).toContain('call 1,234   ret      5');
    for (const name of REACH_NAMES) expect(printed).toMatch(new RegExp(`^${name} `, 'm'));
    expect(text(campaign(MIXED))).toContain('random: 10 runs');
    expect(text(campaign(MIXED))).not.toContain('0 % skipped');
  });
  it('each counterexample ends with its line to replay, and a schedule is shown once', () => {
    const printed = whole(campaign(MIXED));
    for (const { counterexample: found } of MIXED) {
      if (found !== null) expect(printed).toContain(`\n  vlbr replay ${encodeToken(found)}\n`);
    }
    expect(printed.match(/: fork$/gm)?.length).toBe(1);
    expect(printed).toContain('  the schedule of 1 above');
    expect(printed).toContain("  known: nobody's job");
  });
  it('each counterexample has a label, and the report says what the labels mean', () => {
    const broken = result('never', 'no-leak/vm', 'fails', 'fails');
    const other = result('pv-v2', 'no-leak/vm', 'fails', 'fails');
    const found = counterexample('never', 'no-leak/vm');
    const minimal = { ...broken, counterexample: { ...found, label: 'minimal' as const } };
    const printed = whole(campaign([minimal, other]));
    expect(printed).toContain('1: never breaks no-leak/vm: 1 action (minimal)');
    expect(printed).toContain('2: pv-v2 breaks no-leak/vm: 1 action (shrunk)');
    expect(printed).toMatch(/^minimal: exploration [^]* found no schedule of\s+fewer actions$/m);
    expect(printed).toMatch(/^shrunk: the shortest schedule found/m);
    expect(printed).toMatch(/^random: a verdict is of the schedules that were run; vlbr explore/m);
    expect(whole(campaign([minimal]))).not.toMatch(/^shrunk:/m);
    expect(whole(campaign([other]))).not.toMatch(/^minimal:/m);
  });

  it('a failure of several causes says how many, and tells each below the shortest', () => {
    const broken = result('never', 'no-leak/vm', 'fails', 'fails');
    const found = counterexample('never', 'no-leak/vm');
    const call = { kind: 'call', actor: 0, args: [3, 0] } as const;
    const other = (n: number): Counterexample => ({
      ...found,
      cause: `hook:cause_${n}`,
      actions: [...found.actions, ...Array.from({ length: n }, () => call)],
    });
    const otherCauses = [other(1), { ...other(2), label: 'minimal' as const }];
    const printed = whole(campaign([{ ...broken, otherCauses }]));
    expect(printed).toContain('1: never breaks no-leak/vm: 1 action (shrunk), 3 causes\n');
    const at = [found, ...otherCauses].map((one) =>
      printed.indexOf(`\n  vlbr replay ${encodeToken(one)}\n`),
    );
    expect(at).not.toContain(-1);
    expect(at).toEqual(at.toSorted((a, b) => a - b));
    const parts = printed.split(/^ {2}cause /m).slice(1);
    expect(parts.map((part) => part.split('\n')[0])).toEqual([
      '2 of 3: 2 actions (shrunk)',
      '3 of 3: 3 actions (minimal)',
    ]);
    expect(parts.map((part) => part.match(/^ {2}#/gm)?.length)).toEqual([2, 3]);
    expect(printed).toMatch(/^minimal: exploration/m);
  });

  const SHOWN = /^(\d+): (?:\S+ breaks|the guest's kernel breaks)/gm;
  const numbers = (extent?: Extent): string[] =>
    [...text(campaign(MIXED), extent).matchAll(SHOWN)].map(([, number]) => number);

  it('a counterexample is told if it is asked for, or if it is not expected', () => {
    expect(numbers()).toEqual(['2']);
    expect(numbers({ show: ['1'] })).toEqual(['1', '2']);
    expect(numbers({ show: ['never/no-leak/vm'] })).toEqual(['1', '2']);
    expect(numbers({ show: ['never'] })).toEqual(['1', '2']);
    expect(numbers({ show: ['all'] })).toEqual(['1', '2']);
    expect(numbers({ show: ['always', 'kernel'] })).toEqual(['2']);
    expect(numbers({ show: ['1'], only: 'quiet' })).toEqual(['1', '2']);
    expect(numbers({ show: [], only: 'summary' })).toEqual([]);
    expect(() => numbers({ show: ['3'] })).toThrow('--show 3: there are 1 to 2');
    expect(() => text(campaign([]), { show: ['1'] })).toThrow('--show 1: there is none');
  });

  it('--summary begins with what is not expected, and --quiet ends with the count alone', () => {
    const summary = text(campaign(MIXED), { show: [], only: 'summary' });
    expect(summary).toMatch(/^policy +property +verdict\n/);
    expect(summary).toContain('\nConclusion\n');
    const quiet = text(campaign(MIXED), { show: [], only: 'quiet' });
    expect(quiet).toMatch(/^2: never breaks no-leak\/task/);
    expect(quiet).not.toContain('Conclusion');
    const fine = campaign([result('always', 'no-leak/vm', 'holds', 'holds')]);
    expect(text(fine, { show: [], only: 'quiet' })).toBe('1 verdict, 0 unexpected');
  });

  it('the report always tells the guest kernel’s own failures apart', () => {
    const finding = {
      property: 'balanced' as const,
      known: 'it is known',
      counterexample: counterexample('never', 'balanced'),
    };
    const unknown = { ...finding, property: 'no-warn' as const, known: null };
    const one = campaign([], { kernelFindings: [finding, unknown] });
    const judged = { ...one, byKernel: { ...BY_KERNEL, unknown: [unknown] } };
    expect(text(judged)).not.toContain('kernel breaks balanced');
    expect(text(judged)).toContain("2: the guest's kernel breaks no-warn");
    expect(text(judged)).toMatch(
      /^Linux 6.1 {2}breaks balanced, no-warn by itself: 1 not known, .*--show kernel\)$/m,
    );
    const printed = text(judged, { show: ['kernel'] });
    expect(printed).toContain('  known: it is known');
    expect(printed).toMatch(/^no-warn +breaks it; not known of Linux 6.1$/m);
    expect(printed).toMatch(/^0 verdicts, 1 unexpected$/m);
    const missing = [{ property: 'no-warn' as const, given: [], why: 'it once did' }];
    const made = verifyJson({ ...judged, byKernel: { ...judged.byKernel, missing } });
    expect(wrongWithMade(made)).toEqual([]);
    expect(made).toMatchObject({
      kernelList: { missing: [{ property: 'no-warn', why: 'it once did' }] },
      kernelFindings: [{ known: 'it is known' }, { property: 'no-warn', known: null }],
    });
    expect(printed).toContain("the guest's kernel breaks balanced");
    expect(printed).toContain('counts against no policy');
  });
  it('a report that was cut short says how much was run, and expects no more', () => {
    const never = MIXED.filter(({ policy }) => policy === 'never');
    const cut = { interrupted: true, runs: 7 };
    const both = { policies: ['never', 'always'] };
    const printed = text({ ...campaign(never, cut), ...both });
    expect(printed).toContain('cut short after 7 of 10 runs; not run at all: always');
    expect(printed).toMatch(/^never +x {2}x! v$/m);
    expect(printed).toMatch(/^always +\? {2}\? {2}\?$/m);
    expect(printed).toContain('\nConclusion so far\n');
    expect(printed.split('\n').at(-1)).toBe('3 verdicts, 1 unexpected');
    const none = text({ ...campaign([{ ...MIXED[2], runs: 0 }, MIXED[3]], cut), ...both });
    expect(none).toMatch(/^never +\? {2}\?$/m);
    expect(none).not.toContain('v vacuous');
    expect(none).toContain('cut short after 7 of 10 runs; not run at all: never');
    expect(text(campaign(MIXED, cut))).toMatch(/^cut short after 7 of 10 runs$/m);
    const quiet = text(campaign(MIXED, cut), { show: [], only: 'quiet' });
    expect(quiet).toMatch(/^cut short after 7 of 10 runs$/m);
  });
  it.each([60, 80, 200])('no line but a token is longer than %i columns', (width) => {
    const all = ALL_POLICIES.flatMap(({ name }, p) =>
      POLICY_PROPERTIES.map((property, i) => {
        const verdict = (p + i) % 3 === 0 ? 'fails' : 'holds';
        return result(
          name,
          property.name,
          verdict,
          p % 2 === 0 ? 'fails' : verdict,
          'because of it',
        );
      }),
    );
    setTextWidth(width);
    try {
      const long = verifyText(campaign(all), coloursFor(false), { show: [], legend: true })
        .filter((line) => !line.startsWith('  vlbr replay '))
        .filter((line) => line.length > width);
      expect(long).toEqual([]);
    } finally {
      setTextWidth(WIDTH);
    }
  });
});

describe('the conclusion', () => {
  const conclusion = (results: readonly Result[], more: Partial<Campaign> = {}): string[] => {
    const lines = text({ ...campaign(results), ...more }).split('\n');
    const at = lines.indexOf('Conclusion');
    return lines.slice(at + 1, lines.indexOf('', at));
  };
  const every = (policy: string, of: (property: PropertyName) => Verdict): Result[] =>
    POLICY_PROPERTIES.map(({ name }) => result(policy, name, of(name), of(name), 'known'));

  it('a policy is sound, sound at a cost, or broken by its gravest breach', () => {
    const sound = every('parked', () => 'holds');
    const costs = every('always', (name) => (name === 'no-needless-switch' ? 'fails' : 'holds'));
    const broken = every('merged', (name) => (name.startsWith('no-l') ? 'fails' : 'holds'));
    expect(conclusion([...broken, ...costs, ...sound])).toEqual([
      'sound         parked',
      'sound, costs  always: no-needless-switch in 1 action (--show 5)',
      'merged        breaks 4 of 15: no-leak/vm in 1 action (--show 3, explain 001)',
    ]);
  });
  it('what is not expected is told before what is graver', () => {
    const broken = every('merged', (name) => (name.startsWith('no-l') ? 'fails' : 'holds'));
    const [first, ...others] = broken;
    expect(conclusion([{ ...first, expected: 'holds' }, ...others])).toEqual([
      'merged  breaks 4 of 15, 1 of them unexpected: ' +
        'no-loss/callstack in 1 action (--show 1, explain 004)',
    ]);
  });
  it('a policy is not said to hold what no run has judged', () => {
    const sound = every('parked', () => 'holds');
    const noRuns = sound.map((one) => ({ ...one, runs: 0 }));
    expect(conclusion(noRuns)).toEqual(['not judged  parked']);
    expect(text(campaign(noRuns))).toMatch(/^parked(?: +\?){15}$/m);
    expect(text(campaign(noRuns))).toContain('? not judged: no run');
    expect(conclusion([], { policies: ['v4'] })).toEqual(['not judged  v4']);
    const [one, ...others] = sound;
    expect(conclusion([{ ...one, verdict: 'vacuous' }, ...others])).toEqual([
      'holds so far  parked',
    ]);
  });
  it('of some of the properties, a policy holds them or not, and is not called sound', () => {
    const some = [result('parked', 'no-leak/vm', 'holds', 'holds')];
    expect(conclusion(some, { properties: ['no-leak/vm'] })).toEqual(['holds  parked']);
    const none = every('mediated', () => 'holds');
    expect(conclusion(none)).toEqual(['no guest LBR  mediated']);
  });
});

describe('the words of --show', () => {
  it('--show takes lists, and each word once', () => {
    expect(showWords(['1,2', ' 2', 'all'])).toEqual(['1', '2', 'all']);
  });
  it('--show refuses what can be no counterexample, and guesses what was meant', () => {
    const check = (word: string) => (): void => checkShow([word], ['merged'], ['no-leak/vm']);
    for (const word of ['1', 'all', 'kernel', 'merged', 'merged/no-leak/vm']) {
      expect(check(word)).not.toThrow();
    }
    expect(check('mergd')).toThrow("there is no counterexample 'mergd'. Did you mean merged?");
    expect(check('merged/no-leak')).toThrow('Did you mean merged/no-leak/vm?');
    expect(check('never')).toThrow('There are: merged, all, kernel, N, POLICY/PROPERTY');
  });
});

describe('a report with a baseline', () => {
  const unknown = {
    property: 'no-warn' as const,
    known: null,
    counterexample: counterexample('never', 'no-warn'),
  };
  const report = campaign(MIXED, { kernelFindings: [unknown] });
  const now = { ...report, byKernel: { ...BY_KERNEL, unknown: [unknown] } };
  const losses = lossesIn(now);
  const gone = { of: 'always', what: 'no-fault', how: 'fails' };
  const since = (known: readonly Loss[]): Campaign => {
    const earlier = { file: 'base.json', losses: [...known, gone] };
    return { ...now, since: sinceOf(earlier, losses, false) };
  };

  it('the losses are the unexpected verdicts and what is new of the kernel', () => {
    expect(losses.map(({ of, what, how }) => `${of} ${what} ${how}`)).toEqual([
      'never no-leak/task fails',
      'never balanced vacuous',
      'always no-leak/task holds',
      'kernel no-warn fails',
    ]);
    const missing = [{ property: 'no-warn' as const, given: [], why: 'it’s over' }];
    expect(lossesIn({ ...now, byKernel: { ...BY_KERNEL, missing } }).at(-1)).toEqual({
      of: 'kernel',
      what: "no-warn: it's over",
      how: 'holds',
    });
  });

  it('only what is new is told in full, and only that makes the exit code', () => {
    const told = (of: Campaign): string[] =>
      text(of)
        .split('\n')
        .filter((line) => /^\d: /.test(line))
        .map((line) => line.replace(/ breaks.*/, ''));
    expect(told(now)).toEqual(['2: never', "3: the guest's kernel"]);
    expect(told(since([losses[0]]))).toEqual(["3: the guest's kernel"]);
    expect(told(since([losses[3]]))).toEqual(['2: never']);
    expect(told(since(losses))).toEqual([]);
    const codes = [[], losses.slice(0, 1), [losses[0], losses[3]], losses].map((known) =>
      exitCodeFor(since(known)),
    );
    expect(codes).toEqual([1, 1, 5, 0]);
    expect(exitCodeFor(now)).toBe(1);
    const cut = { ...since(losses), report: { ...now.report, interrupted: true } };
    expect(exitCodeFor(cut)).toBe(4);
  });

  it('the text ends with what is new, known and no longer there, however short it is', () => {
    for (const extent of [undefined, { show: [], only: 'quiet' }] as const) {
      const printed = text(since(losses.slice(0, 1)), extent);
      expect(printed).toMatch(/^6 verdicts, 4 unexpected$/m);
      expect(printed).toMatch(/^NEW +kernel +no-warn +fails$/m);
      expect(printed).toMatch(/^known +never +no-leak\/task +fails$/m);
      expect(printed).toMatch(/^no longer +always +no-fault +fails$/m);
      expect(printed).toMatch(/\nsince base\.json: 3 new losses, 1 known, 1 no longer$/);
    }
    expect(text(now)).not.toContain('since');
  });

  it('JSON has what the text says', () => {
    const json = verifyJson(since(losses.slice(0, 1)));
    expect(wrongWithMade(json)).toEqual([]);
    const baseline = { new: losses.slice(1), known: [losses[0]], noLonger: [gone] };
    expect(json).toMatchObject({ losses, baseline: { file: 'base.json', ...baseline } });
    expect(verifyJson(now)).toMatchObject({ losses, baseline: null });
  });
});

describe('verifyJson', () => {
  it('the JSON counts the unexpected, and gives each counterexample its timeline', () => {
    const recordings = [parseRecording(record(['0 0 100', '0 100 0']), 'host.txt')];
    for (const more of [{}, { recordings }]) {
      expect(wrongWithMade(verifyJson({ ...campaign(MIXED), ...more }))).toEqual([]);
    }
    const json = verifyJson(campaign(MIXED)) as Record<string, unknown>;
    expect(json).toMatchObject({ schema: 'vlbr/verify/2', driver: 'port', unexpected: 3 });
    expect(json.losses).toEqual([
      { of: 'never', what: 'no-leak/task', how: 'fails' },
      { of: 'never', what: 'balanced', how: 'vacuous' },
      { of: 'always', what: 'no-leak/task', how: 'holds' },
    ]);
    const [first] = json.results as readonly { readonly counterexample: object | null }[];
    expect(Object.keys(first.counterexample ?? {})).toEqual([
      'shape',
      'actions',
      'token',
      'label',
      'text',
      'because',
      'timeline',
    ]);
  });

  it('the JSON has each cause of a failure, with its key, its schedule and its reason', () => {
    const leak = ['v0: open task=0 type=ANY|USER', 'v0: call n=3', 'p0: run vcpu=1'];
    const actions = [...leak, 'v1: rdmsr msr=0x680', 'v1: rdmsr msr=0x681'].map(parseAction);
    const broken = result('never', 'no-leak/vm', 'fails', 'fails');
    const found = { ...counterexample('never', 'no-leak/vm'), actions };
    const other = { ...found, cause: 'hook:b', actions: [...actions, ...actions] };
    const failing = { ...broken, counterexample: found, otherCauses: [other] };
    const held = result('always', 'no-leak/vm', 'holds', 'holds');
    const json = verifyJson(campaign([failing, held])) as Record<string, unknown>;
    const [first, second] = json.results as readonly Record<string, unknown>[];
    expect(second['causes']).toEqual([]);
    expect(Object.keys(first)).not.toContain('otherCauses');
    const causes = first['causes'] as readonly Record<string, unknown>[];
    expect(causes.map(({ key, token }) => [key, token])).toEqual([
      [found.cause, encodeToken(found)],
      ['hook:b', encodeToken(other)],
    ]);
    const shortest = first['counterexample'] as Record<string, unknown>;
    const { because, label } = shortest;
    expect(causes[0]).toMatchObject({ text: shortest['text'], because, label });
    expect(because).toMatchObject({ decidedBy: expect.stringMatching(/./) as string });
  });
});
