/** The report of an exploration, from hand-made results. */
import { describe, expect, it } from 'vitest';
import { DEFAULT_GROUPS } from '../../../src/states/alphabet.js';
import type { Explored, ExploreResult } from '../../../src/states/explore.js';
import type { End, Outcome } from '../../../src/search/search.js';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import { findPolicy } from '../../../src/host/policy/index.js';
import { type CpuModel, findCpuModel } from '../../../src/hw/cpu_models.js';
import { coloursFor } from '../../../src/console/colours.js';
import { exploreJson } from '../../../src/questions/explore/json.js';
import type { Exploration, TimedExploration } from '../../../src/questions/explore/text.js';
import { exploreText } from '../../../src/questions/explore/text.js';
import { WIDTH } from '../../../src/console/text.js';
import type { Action } from '../../../src/schedule/table.js';
import { Schedule } from '../../../src/schedule/schedule.js';
import { encodeToken } from '../../../src/schedule/token.js';
import type { Counterexample } from '../../../src/campaign/campaign.js';
import { ShapeCampaign } from '../../../src/campaign/shape_campaign.js';
import { PROPERTY } from '../../../src/judge/properties.js';
import { wrongWithMade } from '../../rig/schemas.js';
import { inColumns, tooLong, WIDTHS } from '../../rig/widths.js';

const SHAPE = { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 };
const CALL_STACK_USER = 0x801;

function cpu(name: string): CpuModel {
  const model = findCpuModel(name);
  if (model === undefined) throw new Error('the test names what exists');
  return model;
}

/** The shortest failure of `never`: VM 0 reads a call of VM 1. */
const ACTIONS: readonly Action[] = [
  { kind: 'open', actor: 0, args: [0, 0, CALL_STACK_USER] },
  { kind: 'run', actor: 0, args: [1, 0] },
  { kind: 'open', actor: 1, args: [0, 0, CALL_STACK_USER] },
  { kind: 'call', actor: 1, args: [1, 0] },
  { kind: 'run', actor: 0, args: [0, 0] },
  { kind: 'taskSwitch', actor: 0, args: [1] },
];

function counterexample(property: 'no-leak/vm' | 'no-loss/any'): Counterexample {
  const policy = findPolicy('never');
  if (policy === undefined) throw new Error('the test names what exists');
  const config = { shape: SHAPE, model: cpu('haswell/2'), kernel: '6.1' as const, policy };
  const schedule = Schedule.of(ACTIONS);
  return new ShapeCampaign(config).counterexample(schedule, PROPERTY[property], false);
}

function tokenOf({ counterexample: found }: ExploreResult): string {
  return found === null ? '' : encodeToken(found);
}

const LEAK: ExploreResult = {
  property: 'no-leak/vm',
  verdict: 'fails',
  known: true,
  reason: 'nobody cleans up',
  counterexample: counterexample('no-leak/vm'),
};
const LOSS: ExploreResult = {
  property: 'no-loss/any',
  verdict: 'fails',
  known: false,
  reason: '',
  counterexample: counterexample('no-loss/any'),
};

function result(
  property: ExploreResult['property'],
  verdict: ExploreResult['verdict'],
  more: Partial<ExploreResult> = {},
): ExploreResult {
  return { property, verdict, known: false, reason: '', counterexample: null, ...more };
}

function outcome(end: End, more: Partial<Outcome> = {}): Outcome {
  const none = new Int32Array(0);
  return {
    end,
    states: 2000,
    transitions: 5000,
    frontier: 0,
    length: 15,
    covered: 14,
    bytes: 200_000,
    broken: none,
    brokenLength: none,
    performed: new Float64Array(0),
    ...more,
  };
}

function timed(end: End, more: Partial<Explored> = {}): TimedExploration {
  const complete = !['memory', 'states', 'interrupted'].includes(end);
  const explored: Explored = {
    policy: 'never',
    outcome: outcome(end),
    complete,
    exhausted: end === 'exhausted',
    results: [result('no-leak/vm', complete ? 'holds' : 'unknown')],
    liveness: null,
    neverPossible: [],
    bytesPerState: 100.4,
    ...more,
  };
  return { explored, seconds: 0.5 };
}

function exploration(
  results: readonly TimedExploration[],
  more: Partial<Exploration> = {},
): Exploration {
  return {
    model: cpu('haswell/2'),
    kernel: '6.1',
    driver: PORT,
    source: null,
    driverWords: [],
    shape: SHAPE,
    bounds: { groups: DEFAULT_GROUPS, events: 1, calls: 2, suspended: 1 },
    maxLength: Infinity,
    memoryMB: 4096,
    fingerprints: false,
    symmetry: true,
    policies: results.map(({ explored }) => explored.policy),
    results,
    interrupted: false,
    elapsed_s: 1.5,
    ...more,
  };
}

const lines = (of: Exploration): string[] => exploreText(of, coloursFor(false));

/** The report as one line, without line breaks. */
const flat = (of: Exploration): string => lines(of).join(' ').replaceAll(/\s+/g, ' ');

describe('the report of an exploration', () => {
  it('the report says what was bounded before anything else', () => {
    const text = flat(exploration([timed('exhausted')]));
    expect(text).toMatch(
      /^vlbr explore: 2 VMs x 1 vCPU x 2 tasks on 1 pCPU, haswell with an LBR of 2 \(no silicon/,
    );
    expect(text).toContain('(no silicon has that depth) Linux 6.1 guest bounds: 1 event per VM, ');
    expect(text).toContain('calls 2 deep, 1 kernel function suspended at a time, ');
    expect(text).toContain('actions: calls, tasks, events, pmi, inside ');
    expect(text).toContain('told apart by all that is in them, and taken for one if they differ');
    expect(text).toContain('up to 4,096 MB of them for each policy');
  });
  it('a depth that silicon has is never said to be none of silicon', () => {
    const text = flat(exploration([timed('exhausted')], { model: cpu('core2') }));
    expect(text).toContain('core2 with an LBR of 4 ');
    expect(text).not.toContain('silicon');
  });
  it('the report names the C file that ran, and the options that replay needs for it', () => {
    const source = { version: '6.1.9', sha256: 'c'.repeat(64) };
    const more = { source, driverWords: ['--driver', 'kernel'], symmetry: false };
    const text = lines(exploration([timed('exhausted', { results: [LEAK] })], more));
    expect(text).toContain('guest with the C file of Linux 6.1.9 (lbr.c, sha256 cccccccccccc)');
    expect(text.find((line) => line.includes('vlbr replay'))).toMatch(/ --driver kernel$/);
    expect(text.join('\n')).not.toContain('names only');
  });
  it('the report always counts for each policy', () => {
    const text = lines(exploration([timed('exhausted')]));
    const head = text.findIndex((line) => line.includes('transitions'));
    expect(text[head]).toMatch(
      /^ +search +states +transitions +longest +s +states\/s +bytes\/state$/,
    );
    expect(text[head + 1]).toMatch(/^never +complete +2,000 +5,000 +15 +0\.5 +4,000 +100$/);
    expect(text.at(-1)).toBe('1 complete, 0 truncated, 0 unexpected failures; 1.5 s');
  });
  it('the report says for which schedules a property holds', () => {
    const all = flat(exploration([timed('exhausted')]));
    expect(all).toContain('never: complete: no schedule is left holds for every schedule of 2 VMs');
    expect(all).toMatch(/pmi, inside: no-leak\/vm/);
    expect(all).toContain('holds: on every schedule within the bounds');
    const short = flat(exploration([timed('bound')], { maxLength: 12 }));
    expect(short).toContain('bounds: at most 12 actions, 1 event per VM');
    expect(short).toContain('never: complete: no schedule within --bound is left');
    expect(short).toContain('holds for every schedule of at most 12 actions of 2 VMs x 1 vCPU');
    expect(short.match(/at most 12 actions/g)).toHaveLength(2);
  });
  it.each([
    ['memory', 'the memory ran out'],
    ['states', 'more states than one search can number'],
    ['interrupted', 'interrupted'],
  ] as const)('nothing ever holds when the search was cut short: %s', (end, why) => {
    const cut = timed(end, { outcome: outcome(end, { frontier: 7 }) });
    const text = flat(exploration([cut]));
    expect(text).not.toMatch(/holds/i);
    expect(text).toMatch(/never truncated 2,000/);
    expect(text).toMatch(/no-leak\/vm unknown/);
    expect(text).toContain('unknown: nothing has broken it, but the search was cut short');
    expect(text).toContain(`never: truncated: ${why} left: 7 states were not expanded; `);
    expect(text).toContain('schedules of at most 14 actions were all looked at');
    expect(text).toMatch(/0 complete, 1 truncated, 0 unexpected failures; 1\.5 s$/);
  });
  it('the report says which lengths were covered, and prints one state in the singular', () => {
    const cut = timed('memory', { outcome: outcome('memory', { frontier: 1, covered: 0 }) });
    expect(flat(exploration([cut]))).toContain('1 state was not expanded; schedules of at most 0');
  });
  it('a failure is always shown by its shortest schedule, once', () => {
    const both = exploration([timed('broken', { results: [LEAK, LOSS] })]);
    const text = lines(both);
    expect(text).toContain('never: complete: everything asked for is broken');
    expect(text.join('\n')).toMatch(/^no-leak\/vm +FAILS 6$/m);
    expect(text.join('\n')).toMatch(/^no-loss\/any +FAILS 6!$/m);
    const legend = text.indexOf('! not a known failure');
    expect(text.slice(legend - 1, legend + 2)).toEqual([
      '',
      '! not a known failure',
      'FAILS n: the shortest schedule that breaks it has n actions',
    ]);
    const leak = text.indexOf('never breaks no-leak/vm: shortest schedule, 6 actions (minimal)');
    expect(text[leak - 1]).toBe('');
    expect(text[leak + 1]).toBe('  known: nobody cleans up');
    expect(text[leak + 2]).toBe('  2 VMs of 1 vCPU, 1 pCPU: v0 (VM 0) on p0, v1 (VM 1) off');
    const loss = text.indexOf('never breaks no-loss/any: shortest schedule, 6 actions (minimal)');
    expect(text.slice(loss + 1, loss + 3)).toEqual([
      '  not a known failure',
      '  the schedule of no-leak/vm above',
    ]);
    expect(text[loss + 3]).toMatch(/^ {6}=> v0: RDMSR LBR_TOS returned 0x1, instead of 0x0$/);
    expect(text[loss + 4]).toBe(`  vlbr replay ${tokenOf(LOSS)}`);
    expect(text.at(-1)).toBe('1 complete, 0 truncated, 1 unexpected failure; 1.5 s');
    const wide = text.filter((line) => line.length > WIDTH && !line.includes('vlbr replay'));
    expect(wide).toEqual([]);
  });
  it('a schedule is never taken for that of another property when it is another', () => {
    const other = counterexample('no-loss/any');
    const longer = [...ACTIONS, { kind: 'call' as const, actor: 0, args: [1, 0] }];
    const results = [LEAK, { ...LOSS, counterexample: { ...other, actions: longer } }];
    const text = lines(exploration([timed('broken', { results })])).join('\n');
    expect(text).not.toContain('the schedule of');
    expect(text.match(/=> breaks no-/g)).toHaveLength(2);
  });
  it('the report says which known failures are not within the bounds', () => {
    const results = [
      result('no-leak/vm', 'holds', { known: true, reason: 'why' }),
      result('no-loss/any', 'vacuous', { known: true, reason: 'why' }),
      LEAK,
    ];
    const where = 'though known to fail: no-leak/vm, no-loss/any ';
    const matrix = lines(exploration([timed('exhausted', { results })])).join('\n');
    expect(matrix).toMatch(/^no-loss\/any +vacuous$/m);
    const whole = flat(exploration([timed('exhausted', { results })]));
    expect(whole).toContain(`not within these bounds, ${where}`);
    expect(whole).toContain('vacuous: the situation in which it could fail is not within');
    const cut = flat(exploration([timed('memory', { results })]));
    expect(cut).toContain(`not found before it was cut short, ${where}`);
  });
  it('the report says why a property says nothing, and of whom if not of all', () => {
    const results = [result('no-leak/vm', 'not applicable', { reason: 'it’s none' })];
    const [a, b] = [timed('exhausted', { results }), timed('exhausted', { policy: 'always' })];
    expect(lines(exploration([a]))).toContain("n/a no-leak/vm: it's none");
    expect(lines(exploration([a, b]))).toContain("n/a no-leak/vm: it's none (never)");
    expect(lines(exploration([a])).join('\n')).toMatch(/^no-leak\/vm +n\/a$/m);
    expect(lines(exploration([a])).join('\n')).not.toMatch(/^(holds|unknown|vacuous|FAILS)/m);
  });
  it('the report tells of actions that were never possible', () => {
    const explored = timed('exhausted', { neverPossible: ['fork', 'exit'] });
    expect(lines(exploration([explored]))).toContain(
      '  never possible within the bounds: fork, exit',
    );
    const bound = timed('bound', { neverPossible: ['fork'] });
    expect(flat(exploration([bound]))).toContain('never possible within the bounds: fork ');
    for (const end of ['memory', 'broken'] as const) {
      const cut = flat(exploration([timed(end, { neverPossible: ['fork'] })]));
      expect(cut).toContain('never possible as far as the search went: fork ');
    }
    expect(flat(exploration([timed('exhausted')]))).not.toContain('never possible');
  });
  it('the report prints the odds of fingerprints, and calls no schedule minimal then', () => {
    const found = timed('broken', { results: [LEAK] });
    const text = flat(exploration([found], { fingerprints: true }));
    expect(text).toContain('states: told apart by 64 bits each');
    expect(text).toContain('odds of 1 in 9.2e+12, at most');
    expect(text).toContain('never breaks no-leak/vm: shortest schedule found, 6 actions known');
    expect(text).not.toContain('minimal');
    const one = timed('broken', { outcome: outcome('broken', { states: 1 }) });
    expect(flat(exploration([one], { fingerprints: true }))).toContain('odds of 0 ');
    expect(flat(exploration([found]))).not.toContain('odds');
  });
  it('the report lists what an interruption left out', () => {
    const more = { interrupted: true, policies: ['never', 'always', 'merged'] };
    const text = lines(exploration([timed('exhausted')], more));
    expect(text.slice(-3)).toEqual([
      'interrupted: this is what was known until then',
      'not begun: always, merged',
      '1 complete, 0 truncated, 0 unexpected failures; 1.5 s',
    ]);
    expect(lines(exploration([], more)).at(-2)).toBe(
      'not begun: always, merged'.replace('begun: ', 'begun: never, '),
    );
  });
  it('the report has colours on a terminal that say how it went', () => {
    const colours = {
      ...coloursFor(false),
      green: wrapIn('g'),
      yellow: wrapIn('y'),
      red: wrapIn('r'),
    };
    const last = (of: Exploration): string => exploreText(of, colours).at(-1) ?? '';
    expect(last(exploration([timed('exhausted')]))).toMatch(/^<g>.*<\/g>$/);
    expect(last(exploration([timed('memory')]))).toMatch(/^<y>/);
    expect(last(exploration([timed('exhausted')], { policies: ['never', 'x'] }))).toMatch(/^<y>/);
    expect(last(exploration([timed('memory', { results: [LOSS] })]))).toMatch(/^<r>/);
    const cells = exploreText(
      exploration([timed('exhausted', { results: [LEAK, LOSS] })]),
      colours,
    );
    expect(cells.join('\n')).toMatch(/<y>FAILS 6<\/y>/);
    expect(cells.join('\n')).toMatch(/<r>FAILS 6!<\/r>/);
    const words = (of: Exploration): string => exploreText(of, colours).join('\n');
    expect(words(exploration([timed('exhausted')]))).toMatch(/^never +<g>complete<\/g> /m);
    expect(words(exploration([timed('memory')]))).toMatch(/^never +<y>truncated<\/y> /m);
  });
});

const wrapIn = (tag: string) => (text: string | number | null | undefined) =>
  `<${tag}>${text}</${tag}>`;

describe('the columns of a report', () => {
  const cycle: Action[] = [
    { kind: 'open', actor: 0, args: [1, 0, CALL_STACK_USER | 0x6] },
    { kind: 'run', actor: 0, args: [1, 3] },
  ];
  const liveness = { recurs: true, most: Infinity, stem: ACTIONS.slice(0, 3), cycle };
  const why = result('no-fault', 'not applicable', { reason: 'a b '.repeat(40) });
  const results = [LEAK, LOSS, result('no-needless-switch', 'unknown'), why];
  const source = { version: '6.1.9', sha256: 'c'.repeat(64), whole: true as const };
  const cut = timed('memory', { results, liveness, neverPossible: ['fork', 'exit'] });
  const others = ['lazy-literal', 'mediated-lbr'].map((policy) =>
    timed('exhausted', { policy, results }),
  );
  const policies = [...'abcdefghijkl'].map((name) => name.repeat(9));
  const told = exploration([cut, ...others], { fingerprints: true, source, policies });

  it.each(WIDTHS)('no line but a token is longer than %i columns', (width) => {
    expect(tooLong(width, () => lines(told))).toEqual([]);
  });

  it('a table that has no room goes on below, with the policies again', () => {
    const text = inColumns(60, () => lines(told)).join('\n');
    expect(text).toMatch(/^never +truncated +2,000 +5,000.*\n(?:.*\n){3,5}never +\d.* 100$/m);
  });
});

describe('what goes on for ever', () => {
  const results = [result('no-needless-switch', 'holds')];

  it('needless work that ends is always told in one line', () => {
    const one = { recurs: false, most: 1, stem: [], cycle: [] };
    const after = '  after a guest has stopped for good: at most';
    const text = lines(exploration([timed('exhausted', { results, liveness: one })]));
    expect(text).toContain(`${after} 1 save or restore on any schedule, for ever`);
    const none = lines(
      exploration([timed('exhausted', { results, liveness: { ...one, most: 0 } })]),
    );
    expect(none).toContain(`${after} 0 saves or restores on any schedule, for ever`);
  });
  it('needless work that goes on for ever is shown as a cycle', () => {
    const cycle: Action[] = [
      { kind: 'run', actor: 0, args: [1, 0] },
      { kind: 'call', actor: 1, args: [1, 0] },
    ];
    const liveness = { recurs: true, most: Infinity, stem: ACTIONS.slice(0, 1), cycle };
    const text = lines(exploration([timed('exhausted', { results, liveness })]));
    const head = text.indexOf(
      '  after a guest has stopped for good, saves or restores recur for ever:',
    );
    expect(text.slice(head + 1, head + 5)).toEqual([
      '    #1   v0 (VM 0, task 0, p0): open event 0: of task 0, CALL_STACK|USER',
      '  and then, again and again, 2 actions:',
      '    #2   p0: switch to v1',
      '    #3   v1 (VM 1, task 0, p0): 1 call',
    ]);
    const json = JSON.parse(
      JSON.stringify(exploreJson(exploration([timed('exhausted', { results, liveness })]))),
    ) as Json;
    expect(json.results[0].liveness).toMatchObject({ recurs: true, most: null, cycle });
  });
  it('needless work that could not be judged is never passed over in silence', () => {
    expect(flat(exploration([timed('bound', { results })]))).toContain(
      'what goes on for ever was not judged: that takes every schedule of any length',
    );
    expect(flat(exploration([timed('exhausted')]))).not.toMatch(/for ever\b/);
  });
});

interface Json {
  readonly schema: string;
  readonly notBegun: readonly string[];
  readonly results: readonly {
    readonly bounds: object;
    readonly verdicts: readonly object[];
    readonly liveness: object | null;
  }[];
}

describe('exploreJson', () => {
  const json = (of: Exploration): Json => JSON.parse(JSON.stringify(exploreJson(of))) as Json;

  it('the JSON always has every documented key', () => {
    const liveness = { recurs: false, most: 2, stem: [], cycle: [] };
    const found = timed('exhausted', { results: [LEAK], liveness, neverPossible: ['fork'] });
    expect(wrongWithMade(exploreJson(exploration([found])))).toEqual([]);
    expect(json(exploration([found]))).toEqual({
      schema: 'vlbr/explore/2',
      kernel: '6.1',
      driver: 'port',
      kernelSource: null,
      elapsed_s: 1.5,
      interrupted: false,
      notBegun: [],
      results: [
        {
          policy: 'never',
          states: 2000,
          transitions: 5000,
          depth: 15,
          complete: true,
          exhausted: true,
          verdictWord: 'complete',
          why: 'no schedule is left',
          frontier: 0,
          coveredLength: null,
          seconds: 0.5,
          statesPerSecond: 4000,
          bytesPerState: 100,
          bounds: {
            cpu: 'haswell',
            lbrDepth: 2,
            silicon: false,
            ...SHAPE,
            events: 1,
            calls: 2,
            suspended: 1,
            length: null,
            actions: ['calls', 'tasks', 'events', 'pmi', 'inside'],
            memoryMB: 4096,
            fingerprints: false,
            symmetry: true,
          },
          collisionOdds: null,
          neverPossible: ['fork'],
          liveness,
          verdicts: [
            {
              property: 'no-leak/vm',
              verdict: 'fails',
              known: true,
              reason: 'nobody cleans up',
              minimal: true,
              counterexample: {
                length: 6,
                actions: ACTIONS,
                token: tokenOf(LEAK),
                text: LEAK.counterexample?.text,
              },
            },
          ],
        },
      ],
    });
  });
  it('the JSON says how far a search got that was cut short', () => {
    const cut = timed('memory', { outcome: outcome('memory', { frontier: 7 }) });
    const of = exploration([cut], { policies: ['never', 'always'], interrupted: true });
    expect(json(of)).toMatchObject({ interrupted: true, notBegun: ['always'] });
    expect(json(of).results[0]).toMatchObject({
      complete: false,
      exhausted: false,
      verdictWord: 'truncated',
      why: 'the memory ran out',
      frontier: 7,
      coveredLength: 14,
      liveness: null,
      verdicts: [{ verdict: 'unknown', minimal: false, counterexample: null }],
    });
  });
  it('the JSON has the odds with fingerprints, a length with a bound, and the silicon', () => {
    const more = { fingerprints: true, maxLength: 9, model: cpu('core2'), symmetry: false };
    const { results } = json(exploration([timed('bound', { results: [LEAK] })], more));
    expect(results[0]).toMatchObject({ collisionOdds: (2000 * 1999) / 2 / 2 ** 64 });
    expect(results[0].bounds).toMatchObject({ length: 9, cpu: 'core2', silicon: true });
    expect(results[0].bounds).toMatchObject({ fingerprints: true, symmetry: false });
    expect(results[0].verdicts).toMatchObject([{ minimal: false }]);
  });
  it('the JSON never divides by a time that is none', () => {
    const { explored } = timed('exhausted');
    const { results } = json(exploration([{ explored, seconds: 0 }]));
    expect(results[0]).toMatchObject({ statesPerSecond: 2_000_000 });
  });
});
