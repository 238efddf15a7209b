/**
 * Why each clause of the sound policies is needed. Without the clause, the last action of a
 * schedule in test/golden/clauses breaks a property or costs more. With the clause, the same
 * schedule breaks nothing.
 */
import { parseAction } from '../../src/schedule/action_text.js';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { LbrPolicy } from '../../src/host/policy/policy.js';
import type { MachineConfig } from '../../src/machine/config.js';
import { CostMeter } from '../../src/machine/cost_meter.js';
import type { Machine } from '../../src/machine/machine.js';
import { Schedule, step } from '../../src/schedule/schedule.js';
import { Monitor } from '../../src/judge/monitor.js';
import { PROPERTIES, PROPERTY, REACH } from '../../src/judge/properties.js';
import type { Verdicts } from '../../src/judge/verdicts.js';
import { type Clause, CLAUSES } from './clauses.js';
import { type Kept, keptConfig } from '../golden/kept.js';
import { policyOf } from '../rig/machine.js';

/**
 * A replay file of the policy that has the clause. Without the clause the file's property breaks.
 * If the clause only saves cost, nothing breaks.
 */
interface Shown extends Kept {
  /** Name of the clause that is taken out. */
  readonly without: string;
  readonly says: string;
  /** Other policies with this clause, for which the schedule shows the same. */
  readonly also: readonly string[];
  /** Cost without and with the clause, for each policy. */
  readonly costs?: Costs;
  readonly actions: readonly string[];
}

interface Costs {
  /** Exits by intercepted LBR accesses of guests, or LBR accesses of the host. */
  readonly of: 'exits' | 'accesses';
  readonly with: readonly number[];
  readonly without: readonly number[];
}

const DIR = new URL('../golden/clauses/', import.meta.url);
const FILES = readdirSync(DIR).filter((name) => name.endsWith('.json'));
const SHOWN: readonly Shown[] = FILES.map(
  (name) => JSON.parse(readFileSync(new URL(name, DIR), 'utf8')) as Shown,
);

function clauseOf({ without }: Shown): Clause {
  const clause = CLAUSES.find(({ name }) => name === without);
  if (clause === undefined) throw new Error(`no clause ${without}`);
  return clause;
}

/** The policy with the clause and without it, both in the world of the clause. */
function sides(clause: Clause, policy: string): { whole: LbrPolicy; without: LbrPolicy } {
  const found = policyOf(policy);
  const { world = (same: LbrPolicy): LbrPolicy => same } = clause;
  return { whole: world(found), without: world(clause.without(found)) };
}

/** A judged machine with a cost meter. */
class Watch {
  readonly verdicts: Verdicts;
  readonly runs: Machine;
  private readonly meter: CostMeter;

  constructor(config: MachineConfig) {
    const monitor = new Monitor(config);
    this.verdicts = monitor.verdicts;
    this.meter = new CostMeter(config, monitor);
    this.runs = this.meter.machine;
    monitor.start(this.runs);
    this.runs.boot();
  }

  spent(of: Costs['of']): number {
    const { exits, host } = this.meter;
    return of === 'exits' ? exits : host.reads + host.writes;
  }
}

/** Performs all actions, which must be possible. Returns what each action breaks first. */
function run({ actions }: Shown, { runs, verdicts }: Watch): string[] {
  const schedule = Schedule.of(actions.map(parseAction));
  return actions.map((_, i) => {
    const before = verdicts.broken.slice();
    expect(step(runs, schedule, i), `action ${i + 1} is possible`).toBe(true);
    return PROPERTIES.filter((_p, p) => verdicts.broken[p] !== before[p])
      .map(({ name }) => name)
      .join(' ');
  });
}

describe('the schedules of the clauses', () => {
  it('the schedules show every clause, of every policy that has it, and no other', () => {
    const shown = SHOWN.flatMap(({ without, policy, also }) =>
      [policy, ...also].map((name) => `${without} of ${name}`),
    );
    const wanted = CLAUSES.flatMap(({ name, of }) => of.map((policy) => `${name} of ${policy}`));
    expect([...shown].sort()).toEqual([...wanted].sort());
  });

  it.each(FILES)('the schedule %s is named after its clause', (name) => {
    const { without } = SHOWN[FILES.indexOf(name)];
    expect(name.replace(/^\d{3}-/, '')).toMatch(
      new RegExp(`^${without}(-parked|-pv-sound)?[.]json$`),
    );
  });
});

/** Each schedule with each policy that it applies to. */
const RUNS = SHOWN.flatMap((shown) =>
  [shown.policy, ...shown.also].map((name, i) => ({
    shown,
    name,
    clause: shown.without,
    ...sides(clauseOf(shown), name),
    cost: [shown.costs?.with[i] ?? 0, shown.costs?.without[i] ?? 0],
  })),
);
const BREAKING = RUNS.filter(({ shown }) => shown.costs === undefined);
const COSTING = RUNS.filter(({ shown }) => shown.costs !== undefined);

describe('a sound policy', () => {
  it.each(RUNS)('with $clause the schedule breaks nothing: $name', ({ shown, whole }) => {
    const watch = new Watch(keptConfig(shown, whole));
    expect(run(shown, watch).join('')).toBe('');
    const property = PROPERTY[shown.property];
    const { own, reach } = watch.verdicts;
    expect(own[property]).toBe(0);
    expect(reach[REACH[PROPERTIES[property].reach]]).toBeGreaterThan(0);
  });

  it.each(BREAKING)(
    'without $clause the last action breaks the property: $name',
    ({ shown, without }) => {
      const broken = run(shown, new Watch(keptConfig(shown, without)));
      expect(broken.pop()?.split(' ')).toContain(shown.property);
      expect(broken.join(' ').split(' ')).not.toContain(shown.property);
    },
  );

  it.each(COSTING)('without $clause the cost is higher, and nothing breaks: $name', (one) => {
    const { shown, cost } = one;
    const spent = [one.whole, one.without].map((policy) => {
      const watch = new Watch(keptConfig(shown, policy));
      expect(run(shown, watch).join('')).toBe('');
      return watch.spent(shown.costs?.of ?? 'accesses');
    });
    expect(spent).toEqual(cost);
    expect(cost[1]).toBeGreaterThan(cost[0]);
  });
});
