/** The report of `vlbr corpus`, from real trials and from invented ones. */
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Defect, readCorpus } from '../../../src/questions/corpus/corpus_file.js';
import { hunt, type HuntReport } from '../../../src/questions/corpus/hunt.js';
import type { Judged, Trial } from '../../../src/questions/corpus/trial.js';
import { Laboratory, trialsOf } from '../../../src/questions/corpus/trial.js';
import { coloursFor } from '../../../src/console/colours.js';
import { corpusJson } from '../../../src/questions/corpus/json.js';
import { type CorpusReport, corpusText, survivorsOf } from '../../../src/questions/corpus/text.js';
import { wrongWithMade } from '../../rig/schemas.js';
import { tooLong, WIDTHS } from '../../rig/widths.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const HOOK_MS = 120_000;
const DEFECTS = readCorpus(ROOT);

function defect(id: string): Defect {
  const found = DEFECTS.find((candidate) => candidate.id === id);
  if (found === undefined) throw new Error(`there is a ${id}`);
  return found;
}

async function judged(laboratory: Laboratory, id: string): Promise<Judged> {
  const [trial] = trialsOf(ROOT, [defect(id)]);
  const work = hunt(await laboratory.prepare(trial, 1000, 1));
  for (;;) {
    const { value, done } = work.next();
    if (done === true) return { trial, report: value, elapsed_s: 1.25 };
  }
}

const SURVIVED: HuntReport = { outcome: { verdict: 'survived' }, runs: 1000, steps: 60_000 };

/** The same trial with the patch of lbr.c, or with another outcome. */
function as(one: Judged, trial: Partial<Trial>, made: HuntReport = one.report): Judged {
  return { ...one, trial: { ...one.trial, ...trial }, report: made };
}

let killed: Judged;
let oops: Judged;
let present: Judged;

beforeAll(async () => {
  const laboratory = await Laboratory.open(ROOT, null);
  killed = await judged(laboratory, 'D04');
  oops = await judged(laboratory, 'B08');
  present = await judged(laboratory, 'B18');
}, HOOK_MS);

function report(all: readonly Judged[], more: Partial<CorpusReport> = {}): CorpusReport {
  return {
    defects: [...all.map(({ trial }) => trial.defect), defect('B17')],
    seed: 7,
    runs: 1000,
    kernel: { version: '6.1.9', sha256: 'a'.repeat(64) },
    kernelProblem: '',
    judged: all,
    notTried: [],
    interrupted: false,
    elapsed_s: 12,
    ...more,
  };
}

function lines(of: CorpusReport): string[] {
  return corpusText(of, coloursFor(false));
}

function text(of: CorpusReport): string {
  return lines(of).join('\n');
}

describe('corpusText', () => {
  it('the text tells what has killed each, after how much, and on which schedule', () => {
    const shown = text(report([killed, oops, present]));
    expect(shown.split('\n')[0]).toBe(
      "vlbr corpus: 4 real defects, 3 within the model's reach; seed 7; up to 1,000 runs for each",
    );
    expect(shown).toMatch(/^C: the C file of Linux 6\.1\.9 /m);
    expect(shown).toMatch(/^D04 +host +sample-true +\d+ +[\d,]+ +1\.3 +\d+$/m);
    expect(shown).toMatch(/^B08 +guest perf +no-fault \(oops\) /m);
    expect(shown).toMatch(/^B18 +pv +no-fault \(there anyway\) /m);
    expect(shown).toMatch(/^D04: KVM: vmx\/pmu: .* \(e6209a3bef79\)$/m);
    expect(shown).toMatch(/^ {2}#\d {2}v\d .*: open event 0: /m);
    expect(shown).toMatch(/^ {6}=> breaks sample-true: v\d: entry \d/m);
    expect(shown).toMatch(/^ {6}=> oops: TypeError: /m);
    expect(shown).toMatch(
      /^ {6}=> breaks no-fault: v\d: #GP on (RD|WR)MSR (?:DEBUGCTL|(?:LBR|FROM|TO)_)/m,
    );
    expect(shown).toMatch(/under v8 on sandybridge, and not on haswell, Linux 6\.1/);
    expect(shown).toMatch(/^ {2}v1\.[\w-]+$/m);
    expect(shown.split('\n').at(-1)).toBe(
      'killed: 3 of 4 defects, each by a property that it names (3 of 3 trials); out of reach: 1',
    );
  });

  it('the text says why a defect is outside the model', () => {
    expect(text(report([killed]))).toMatch(
      /^ {2}B17 {2}guest perf: .*\n.*\(docs\/FIDELITY\.md: F1\)$/m,
    );
  });

  it('the text shows a schedule once where port and lbr.c are killed alike', () => {
    const shown = text(report([killed, as(killed, { target: 'lbr.c' })]));
    expect(shown).toMatch(/^D04\.lbr\.c: .*\n {2}the schedule of D04 above$/m);
    expect(shown.match(/=> breaks/g)).toHaveLength(1);
    // A defect that was tried in two ways counts once.
    const once = report([killed, as(killed, { target: 'lbr.c' })], { defects: [defect('D04')] });
    expect(lines(once)[0]).toBe('vlbr corpus: 1 real defect; seed 7; up to 1,000 runs for each');
    expect(lines(once).at(-1)).toBe(
      'killed: 1 of 1 defect, each by a property that it names (2 of 2 trials)',
    );
  });

  it('the text always names what was not found', () => {
    const shown = text(report([killed, as(oops, {}, SURVIVED)]));
    expect(shown).toMatch(/^B08 +guest perf +SURVIVED +1,000 +60,000 +1\.3$/m);
    expect(shown).toMatch(/no schedule was found that breaks no-fault on it alone/);
    expect(shown).toMatch(
      /^killed: 1 of 3 defects, .* \(1 of 2 trials\); not: B08; out of reach: 1$/m,
    );
  });

  it('an oops never counts as what the entry names if the entry does not name it', () => {
    const { defect: of, suspect } = oops.trial;
    const other = as(oops, { defect: of, suspect: { ...suspect, properties: ['balanced'] } });
    expect(text(report([other]))).toMatch(/^B08 +guest perf +OOPS /m);
    expect(survivorsOf(report([other]))).toEqual([other]);
  });

  it('a claim that fails for a fault of the kernel never counts', () => {
    const { outcome } = oops.report;
    if (outcome.verdict !== 'oops') throw new Error('B08 oopses');
    const crash = { ...outcome.crash, error: 'ModelInvariantError: what must hold' };
    const other = as(oops, {}, { ...oops.report, outcome: { verdict: 'oops', crash } });
    expect(text(report([other]))).toMatch(/^B08 +guest perf +OOPS /m);
    expect(json(report([other])).survivors).toEqual(['B08']);
  });

  it('the text says what was not tried, and why', () => {
    const more = { kernel: null, kernelProblem: 'no kernel source', notTried: ['A01.lbr.c'] };
    const shown = text(report([killed], { ...more, interrupted: true }));
    expect(shown).toMatch(/^patches of lbr\.c not tried: no kernel source$/m);
    expect(shown).toMatch(/^not tried: A01\.lbr\.c$/m);
    expect(shown).toMatch(/^interrupted: /m);
    expect(text(report([], { kernel: null }))).toMatch(
      /^killed: 0 of 1 defect, .* \(0 of 0 trials\); out of reach: 1$/m,
    );
  });

  it('the text is never wider than a terminal, except for replays, nor other than ASCII', () => {
    const more = { notTried: ['A01.lbr.c'], interrupted: true };
    const all = report([killed, oops, present, as(oops, {}, SURVIVED)], more);
    for (const line of lines(all)) expect(line).toMatch(/^[ -~]*$/);
    for (const width of WIDTHS) expect(tooLong(width, () => lines(all))).toEqual([]);
  });
});

interface Json {
  readonly schema: string;
  readonly trials: readonly {
    readonly name: string;
    readonly verdict: string;
    readonly caught: boolean;
    readonly property: string | null;
    readonly contrast: string | null;
    readonly counterexample: {
      readonly actions: readonly object[];
      readonly lines: readonly string[];
      readonly token: string;
      readonly text: string;
    } | null;
  }[];
  readonly outside: readonly { readonly id: string; readonly fidelity: readonly string[] }[];
  readonly survivors: readonly string[];
  readonly ok: boolean;
}

function json(of: CorpusReport): Json {
  const made = corpusJson(of);
  expect(wrongWithMade(made)).toEqual([]);
  return JSON.parse(JSON.stringify(made)) as Json;
}

describe('corpusJson', () => {
  it('the JSON holds each trial, with a schedule in words and one to replay', () => {
    const { schema, trials, outside, survivors, ok } = json(report([killed, oops, present]));
    expect(schema).toBe('vlbr/corpus/2');
    expect(trials.map(({ name, verdict }) => [name, verdict])).toEqual([
      ['D04', 'killed'],
      ['B08', 'oops'],
      ['B18', 'killed'],
    ]);
    expect(trials.map(({ property }) => property)).toEqual(['sample-true', null, 'no-fault']);
    expect(trials[2]?.contrast).toBe('haswell');
    for (const { counterexample } of trials) {
      expect(counterexample?.token).toMatch(/^v1\./);
      expect(counterexample?.lines).toHaveLength(counterexample?.actions.length ?? 0);
      expect(counterexample?.text).not.toBe('');
    }
    expect(outside).toMatchObject([{ id: 'B17', fidelity: ['F1'] }]);
    expect([survivors, ok]).toEqual([[], true]);
  });

  it('the JSON has what survived', () => {
    const { trials, survivors, ok } = json(report([as(killed, {}, SURVIVED)]));
    expect(trials[0]).toMatchObject({ verdict: 'survived', caught: false, counterexample: null });
    expect([survivors, ok]).toEqual([['D04'], false]);
  });
});
