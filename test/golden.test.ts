import { parseAction } from '../src/schedule/action_text.js';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { findPolicy } from '../src/host/policy/index.js';
import type { LbrPolicy } from '../src/host/policy/policy.js';
import { PROPERTY_NAMES } from '../src/judge/properties.js';
import { Schedule } from '../src/schedule/schedule.js';
import type { ReachName } from '../src/judge/properties.js';
import { REACH_NAMES } from '../src/judge/properties.js';
import { Bench } from '../src/campaign/trial.js';
import type { Kept } from './golden/kept.js';
import { keptConfig } from './golden/kept.js';
import { STAND_INS } from './golden/stand_ins.js';

/** How a schedule ends under one policy. */
interface Ending {
  /** Who breaks the property; `nobody` if it holds. */
  readonly whose: 'policy' | 'kernel' | 'nobody';
  /** A situation that must have arisen by the end: a property that holds was really at risk. */
  readonly reach?: ReachName;
}

/** A schedule that was found once, and what it shows. */
interface Golden extends Ending, Kept {
  readonly says: string;
  /** The row of the hazard catalogue that the schedule illustrates. */
  readonly hazard?: string;
  /** Endings of the same schedule under policies of golden/stand_ins.ts. */
  readonly standIns?: readonly (Ending & { readonly name: string })[];
  readonly actions: readonly string[];
}

/** A row of the hazard catalogue with its verdict. */
interface Hazard {
  readonly id: string;
  readonly verdict: 'confirmed' | 'refuted' | 'outside';
  /** Files that show the verdict. */
  readonly schedules: readonly string[];
  /** Files that show the opposite after a small change. */
  readonly contrast?: readonly string[];
  readonly reason: string;
  /** The row of docs/FIDELITY.md that says why the hazard is outside the model. */
  readonly fidelity?: string;
}

const DIR = new URL('./golden/', import.meta.url);
const FILES = readdirSync(DIR).filter((name) => /^\d{3}-.*\.json$/.test(name));
const FIDELITY = new URL('../docs/FIDELITY.md', import.meta.url);

function read(name: string): Golden {
  return JSON.parse(readFileSync(new URL(name, DIR), 'utf8')) as Golden;
}

/** Runs a golden schedule. Expects its declared ending, which only the last action may cause. */
function play(golden: Golden, policy: LbrPolicy | undefined, ending: Ending): Bench {
  if (policy === undefined) throw new Error('a golden names a policy that exists');
  const bench = new Bench(keptConfig(golden, policy));
  const schedule = Schedule.of(golden.actions.map(parseAction));
  const property = PROPERTY_NAMES.indexOf(golden.property);
  const { verdicts } = bench.monitor;
  bench.boot();
  for (let i = 0; i < schedule.length; i++) {
    expect(bench.step(schedule, i), `action ${i + 1} is possible`).toBe(true);
    const last = i === schedule.length - 1;
    if (!last) expect(verdicts.broken[property], `action ${i + 1}`).toBe(0);
  }
  expect(verdicts.broken[property]).toBe(ending.whose === 'policy' ? 1 : 0);
  expect(verdicts.own[property]).toBe(ending.whose === 'kernel' ? 1 : 0);
  if (ending.reach !== undefined) {
    const reached = verdicts.reach[REACH_NAMES.indexOf(ending.reach)];
    expect(reached, `${ending.reach} arises`).toBeGreaterThan(0);
  }
  return bench;
}

describe('schedules found once', () => {
  for (const name of FILES) {
    const golden = read(name);
    it(`schedule ${name} always shows what it says`, () => {
      play(golden, findPolicy(golden.policy), golden);
    });
    for (const standIn of golden.standIns ?? []) {
      it(`schedule ${name} always shows what it says of ${standIn.name}`, () => {
        play(golden, STAND_INS.get(standIn.name)?.(), standIn);
      });
    }
  }

  it('a kernel that inherits ACTIVE is saved or restored at each switch for ever (H2)', () => {
    const golden = read('021-h2-pv-v2-saves-on-after-a-kexec.json');
    const { machine, monitor } = play(golden, findPolicy(golden.policy), golden);
    for (let i = 0; i < 20; i++) {
      monitor.switches.inVain = 0;
      machine.switchTo(0, i % 2);
      expect(monitor.switches.inVain).toBe(1);
    }
  });
});

/** Whether the property breaks under the schedule's own policy or a stand-in. */
function breaks({ whose, standIns = [] }: Golden): boolean {
  return whose !== 'nobody' || standIns.some((standIn) => standIn.whose !== 'nobody');
}

/** Whether the property holds although it was at risk. */
function holdsThough({ whose, reach, standIns = [] }: Golden): boolean {
  const met = [{ whose, reach }, ...standIns].some(
    (ending) => ending.whose === 'nobody' && ending.reach !== undefined,
  );
  return whose === 'nobody' && met;
}

describe('the hazard catalogue', () => {
  const hazards = JSON.parse(
    readFileSync(new URL('hazards.json', DIR), 'utf8'),
  ) as readonly Hazard[];

  it('the hazard catalogue has a verdict for each of its rows', () => {
    const ids = Array.from({ length: 20 }, (_, i) => `H${i + 1}`);
    expect(hazards.map(({ id }) => id)).toEqual(ids);
  });

  it('the hazard catalogue never leaves a schedule of a hazard out', () => {
    for (const name of FILES) {
      const { hazard } = read(name);
      if (hazard === undefined) continue;
      const row = hazards.find(({ id }) => id === hazard);
      expect([...(row?.schedules ?? []), ...(row?.contrast ?? [])], `a row has ${name}`).toContain(
        name,
      );
    }
  });

  for (const { id, verdict, schedules, contrast = [], reason, fidelity } of hazards) {
    it(`the schedules of hazard ${id} always show its verdict: ${verdict}`, () => {
      expect(reason).not.toBe('');
      for (const name of [...schedules, ...contrast])
        expect(read(name).hazard, `hazard of ${name}`).toBe(id);
      if (verdict === 'outside') {
        expect(readFileSync(FIDELITY, 'utf8')).toContain(`\n**${fidelity}** `);
        return;
      }
      expect(fidelity).toBeUndefined();
      expect(schedules).not.toEqual([]);
      const [shows, opposes] = verdict === 'confirmed' ? [breaks, holds] : [holdsThough, breaks];
      for (const name of schedules) expect(shows(read(name)), `what ${name} shows`).toBe(true);
      for (const name of contrast) expect(opposes(read(name)), `what ${name} shows`).toBe(true);
    });
  }
});

/** Whether the property holds under the schedule's own policy. */
function holds({ whose }: Golden): boolean {
  return whose === 'nobody';
}
