/**
 * The real defects. Each defect that the model can have is put back. The suite must find it by a
 * property that its entry names, with a short schedule under which the unchanged model breaks
 * nothing.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { corpusFolder, patchText, readCorpus } from '../../../src/questions/corpus/corpus_file.js';
import { hunt, type HuntReport, SHORT_ENOUGH } from '../../../src/questions/corpus/hunt.js';
import type { Trial } from '../../../src/questions/corpus/trial.js';
import { isCaught, Laboratory, trialName, trialsOf } from '../../../src/questions/corpus/trial.js';
import { PROPERTY, type PropertyName } from '../../../src/judge/properties.js';
import { findCpuModel } from '../../../src/hw/cpu_models.js';
import { caseOf, type ReplayCase } from '../../../src/campaign/replay_file.js';
import { Bench } from '../../../src/campaign/trial.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const RUNS = 4000;
const HOOK_MS = 120_000;

/** All collected defects, in scope or not. */
const IDS: readonly string[] = (
  'A01 A03 A04 A06 A08 A10 A12 A13 B01 B04 B06 B08 B12 B15 B17 B18 B19 ' +
  'D01 D02 D04 D05 D06 D07 D08 D11 D12 D14 D15 H01 H02 H03'
).split(' ');

/** Defects outside the model. If the model grows to cover one, it must be put back. */
const OUTSIDE: readonly string[] = 'B04 B17 B19 D07 D08 D11 D12 D14 D15 H02 H03'.split(' ');

const DEFECTS = readCorpus(ROOT);
const TRIALS = trialsOf(ROOT, DEFECTS);
const IN_MODEL = TRIALS.filter(({ target }) => target === 'model');

let laboratory: Laboratory;

beforeAll(async () => {
  laboratory = await Laboratory.open(ROOT, null);
}, HOOK_MS);

async function hunted(trial: Trial, runs = RUNS): Promise<HuntReport> {
  const work = hunt(await laboratory.prepare(trial, runs, 1));
  for (;;) {
    const { value, done } = work.next();
    if (done === true) return value;
  }
}

/** A trial like that of a defect, with another patch or other properties. */
function variant(id: string, patch: string, properties: readonly PropertyName[]): Trial {
  const found = IN_MODEL.find(({ defect }) => defect.id === id);
  if (found === undefined) throw new Error(`${id} is in scope`);
  return { ...found, patch, suspect: { ...found.suspect, properties } };
}

/** Whether the property breaks on this repository's model, run from its sources. */
function breaks(replay: ReplayCase, property: PropertyName): boolean {
  const bench = new Bench(replay.config);
  const p = PROPERTY[property];
  const { schedule } = replay;
  return bench.breaksAt(schedule, p) >= 0 || bench.guestBreaksAt(schedule, p) >= 0;
}

function onCpu(replay: ReplayCase, cpu: string): ReplayCase {
  const model = findCpuModel(cpu);
  if (model === undefined) throw new Error(`there is a ${cpu}`);
  return { ...replay, config: { ...replay.config, model } };
}

describe('corpus.json', () => {
  it('corpus.json has each collected defect once', () => {
    expect(DEFECTS.map(({ id }) => id)).toEqual(IDS);
    expect(IDS).toHaveLength(31);
  });

  it('corpus.json calls those defects outside that are known to be', () => {
    expect(DEFECTS.filter(({ kind }) => kind === 'outside').map(({ id }) => id)).toEqual(OUTSIDE);
  });

  it('there is never a patch that no entry asks for', () => {
    const patches = readdirSync(corpusFolder(ROOT)).filter((name) => name.endsWith('.patch'));
    const wanted = TRIALS.filter(({ patch }) => patch !== null).map((t) => `${trialName(t)}.patch`);
    expect(patches.sort()).toEqual(wanted.sort());
  });

  it('corpus.json points at rows of FIDELITY.md that exist', () => {
    const rows = readFileSync(join(ROOT, 'docs', 'FIDELITY.md'), 'utf8');
    for (const { fidelity } of DEFECTS) {
      for (const row of fidelity) expect(rows).toContain(`\n**${row}** `);
    }
  });

  it('each patch says what it puts back, in lines that fit a mail', () => {
    for (const trial of TRIALS.filter(({ patch }) => patch !== null)) {
      const [head = ''] = (trial.patch ?? '').split('\n---\n');
      expect(head).toMatch(/^Subject: .+\nCommit: .+\nFixed-in: .+\nPuts-back: .+\n\n[A-Z]/);
      expect(head).toContain(`Subject: ${trial.defect.subject}`);
      expect(
        Math.max(
          ...head
            .split('\n\n')
            .slice(1)
            .join('\n')
            .split('\n')
            .map((l) => l.length),
        ),
      ).toBeLessThanOrEqual(100);
    }
  });
});

describe('the suite', () => {
  const mutants = IN_MODEL.filter(({ defect }) => defect.kind === 'mutant');
  it.each(mutants.map((trial) => [trialName(trial), trial] as const))(
    'the suite kills %s by a property that it names',
    async (_name, trial) => {
      const report = await hunted(trial);
      const { outcome } = report;
      expect(isCaught({ trial, report, elapsed_s: 0 })).toBe(true);
      if (outcome.verdict === 'killed') {
        const { property, counterexample } = outcome.kill;
        expect(trial.suspect.properties).toContain(property);
        expect(counterexample.actions.length).toBeLessThanOrEqual(SHORT_ENOUGH);
        expect(breaks(caseOf(counterexample), property)).toBe(false);
      } else if (outcome.verdict === 'oops') {
        expect(trial.suspect.properties).toContain('no-fault');
        expect(outcome.crash.actions.length).toBeLessThanOrEqual(SHORT_ENOUGH);
        // It does not throw here, nor does it do anything else that is a fault.
        expect(breaks(caseOf(outcome.crash), 'no-fault')).toBe(false);
      }
    },
  );

  const present = IN_MODEL.filter(({ defect }) => defect.kind === 'present');
  it.each(present.map((trial) => [trialName(trial), trial] as const))(
    'the suite sees %s in the model as it stands, on the CPU that it is about',
    async (_name, trial) => {
      const { outcome } = await hunted(trial);
      if (outcome.verdict !== 'killed') throw new Error(`it is ${outcome.verdict}`);
      const { property, counterexample } = outcome.kill;
      const replay = caseOf(counterexample);
      expect(counterexample.actions.length).toBeLessThanOrEqual(SHORT_ENOUGH);
      expect(breaks(replay, property)).toBe(true);
      expect(breaks(onCpu(replay, trial.suspect.contrast ?? ''), property)).toBe(false);
    },
  );
});

/** A patch that changes a comment only. */
const NO_CHANGE = `--- a/src/host/policy/never.ts
+++ b/src/host/policy/never.ts
@@ -1,3 +1,3 @@
 import { type LbrPolicy, PASS_THROUGH } from './policy.js';
 
-/** Baseline: the guest gets the bare registers, and nobody saves anything. */
+/** Baseline. */
`;

describe('hunt', () => {
  const FEW = 150;

  it('hunt never kills what changes nothing, even if the policy fails by itself', async () => {
    const trial = variant('D01', NO_CHANGE, [
      'no-loss/any',
      'no-leak/vm',
      'host-intact',
      'balanced',
    ]);
    const { outcome, runs } = await hunted(trial, FEW);
    expect(outcome.verdict).toBe('survived');
    expect(runs).toBe(FEW);
  });

  it('hunt never counts a property that the entry does not name', async () => {
    const trial = variant('A04', patchText(ROOT, 'A04') ?? '', ['balanced', 'no-leak/vm']);
    expect((await hunted(trial, FEW)).outcome.verdict).toBe('survived');
  });

  it('hunt never counts an oops where the entry does not name no-fault', async () => {
    const trial = variant('B08', patchText(ROOT, 'B08') ?? '', ['no-leak/task']);
    const report = await hunted(trial, FEW);
    expect(report.outcome.verdict).toBe('oops');
    expect(isCaught({ trial, report, elapsed_s: 0 })).toBe(false);
  });

  it('hunt never takes for a defect what the other CPU has as well', async () => {
    const found = IN_MODEL.find(({ defect }) => defect.id === 'D06');
    if (found === undefined) throw new Error('D06 is in scope');
    const trial = { ...found, suspect: { ...found.suspect, contrast: found.suspect.cpu } };
    expect((await hunted(trial, FEW)).outcome.verdict).toBe('survived');
  });

  it('hunt always keeps to the machine that the entry asks for', async () => {
    const shape = { vms: 1, vcpus: 1, tasks: 2, pcpus: 1 };
    const trial = variant('D04', patchText(ROOT, 'D04') ?? '', ['sample-true']);
    const asked = { ...trial, suspect: { ...trial.suspect, shape } };
    const { outcome } = await hunted(asked);
    if (outcome.verdict !== 'killed') throw new Error(`it is ${outcome.verdict}`);
    expect(outcome.kill.counterexample.shape).toEqual(shape);
  });

  it('hunt always gives the same report for the same seed', async () => {
    const told = async (): Promise<unknown> => {
      const { outcome, runs, steps } = await hunted(
        variant('D04', patchText(ROOT, 'D04') ?? '', ['no-loss/any']),
      );
      return [outcome.verdict === 'killed' ? outcome.kill.counterexample : null, runs, steps];
    };
    expect(await told()).toEqual(await told());
  });
});
