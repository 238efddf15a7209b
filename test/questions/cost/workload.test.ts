/** What a recording is played to, and what is counted, against sums that are made by hand. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import { recordedVm } from '../../../src/hw/branch.js';
import { MSR_LBR_NHM_FROM } from '../../../src/hw/msr_index.js';
import { DEFAULT_COSTS } from '../../../src/questions/cost/cost_table.js';
import {
  countOf,
  type Counts,
  cyclesOfCounts,
  Ledger,
  PRICED,
} from '../../../src/questions/cost/ledger.js';
import { type Profile, profileOf } from '../../../src/questions/cost/profile.js';
import {
  GUEST_TASKS,
  IDLE_TASK,
  type Played,
  taskFor,
  Workload,
} from '../../../src/questions/cost/workload.js';
import { cpuModel } from '../../rig/cpu.js';
import { policyOf } from '../../rig/machine.js';
import { drawOf } from '../../../src/schedule/draw.js';
import { seeded } from '../../rig/seed.js';

interface Step {
  readonly time: number;
  readonly pcpu: number;
  readonly vcpu: number;
}

const MS = 1e6;

function playedOf(steps: readonly Step[], to: number, more: Partial<Played> = {}): Played {
  return {
    steps: {
      length: steps.length,
      time: Float64Array.from(steps, ({ time }) => time),
      pcpu: Int16Array.from(steps, ({ pcpu }) => pcpu),
      vcpu: Int16Array.from(steps, ({ vcpu }) => vcpu),
      line: Uint32Array.from(steps, (_, i) => i + 1),
      bits: new Uint8Array(steps.length),
    },
    pcpus: 1 + Math.max(...steps.map(({ pcpu }) => pcpu)),
    to,
    exits: null,
    tasks: Array.from({ length: 64 }, () => null),
    ...more,
  };
}

interface Outcome {
  readonly counts: readonly Counts[];
  readonly ran: readonly number[];
  readonly ledger: Ledger;
}

function play(policy: string, played: Played, profile: string | Profile, seed = 1): Outcome {
  const vcpus = 1 + Math.max(...played.steps.vcpu);
  const shape = { vms: vcpus, vcpus: 1, tasks: GUEST_TASKS, pcpus: played.pcpus };
  const model = cpuModel('skylake');
  const ledger = new Ledger({
    shape,
    model,
    kernel: '6.1',
    policy: policyOf(policy),
    driver: PORT,
  });
  const asked = typeof profile === 'string' ? profileOf(profile) : profile;
  const workload = new Workload(ledger, asked, drawOf(seed, 0), played);
  for (const _ of workload.play());
  return { counts: ledger.counts, ran: workload.ran, ledger };
}

function sum(counts: readonly Counts[], ...names: Parameters<typeof countOf>[1][]): number {
  return counts.reduce(
    (total, one) => total + names.reduce((n, name) => n + countOf(one, name), 0),
    0,
  );
}

/** Two vCPUs take turns on one pCPU. */
function turns(n: number, slice: number): Played {
  const steps = Array.from({ length: n }, (_, i) => ({ time: i * slice, pcpu: 0, vcpu: i % 2 }));
  return playedOf(steps, n * slice);
}

/** Steps as a recording has them; a gap may have hidden that a vCPU has left another pCPU. */
const STEPS: fc.Arbitrary<Step[]> = fc
  .array(
    fc.record({
      after: fc.integer({ min: 0, max: 4 * MS }),
      pcpu: fc.nat(2),
      vcpu: fc.integer({ min: -1, max: 4 }),
    }),
    { minLength: 2, maxLength: 40, size: 'max' },
  )
  .map((rows) => {
    let time = 0;
    return rows.map(({ after, pcpu, vcpu }) => ({ time: (time += after), pcpu, vcpu }));
  })
  .filter((steps) => steps.some(({ vcpu }) => vcpu >= 0));

/** Nanoseconds that each vCPU runs, and how often it comes to a pCPU. */
function dumb(steps: readonly Step[], to: number): { ran: number[]; arrivals: number } {
  const at: number[] = [-1, -1, -1, -1, -1];
  const since = [0, 0, 0, 0, 0];
  const ran = [0, 0, 0, 0, 0];
  let arrivals = 0;
  const leave = (v: number, time: number): void => {
    ran[v] += time - since[v];
    at[v] = -1;
  };
  for (const { time, pcpu, vcpu } of steps) {
    if (vcpu >= 0 && at[vcpu] === pcpu) continue;
    at.forEach((where, v) => {
      if (v === vcpu ? where >= 0 : where === pcpu) leave(v, time);
    });
    if (vcpu < 0) continue;
    at[vcpu] = pcpu;
    since[vcpu] = time;
    arrivals++;
  }
  at.forEach((where, v) => where >= 0 && leave(v, to));
  return { ran, arrivals };
}

describe('a recording that is played', () => {
  it('each vCPU always runs as long as it was recorded, and comes as often', () => {
    fc.assert(
      fc.property(STEPS, fc.integer({ min: 0, max: 5 * MS }), (steps, more) => {
        const to = (steps.at(-1)?.time ?? 0) + more;
        const wanted = dumb(steps, to);
        const { counts, ran } = play('lazy-sound', playedOf(steps, to), 'always');
        expect(ran.map(Math.round)).toEqual(wanted.ran.slice(0, ran.length));
        expect(sum(counts, 'arrivals')).toBe(wanted.arrivals);
      }),
      seeded(60),
    );
  });

  it('never costs nothing, whatever the guests do', () => {
    fc.assert(
      fc.property(STEPS, fc.constantFrom('never', 'rare', 'always'), (steps, profile) => {
        const { counts } = play('never', playedOf(steps, 200 * MS), profile);
        expect(sum(counts, ...PRICED, 'needless')).toBe(0);
      }),
      seeded(40),
    );
  });

  it.each(['always', 'pv-sound', 'lazy-sound', 'parked'])(
    'no guest ever reads anything wrong under %s, and under never some do',
    (policy) => {
      let wrong = 0;
      fc.assert(
        fc.property(STEPS, (steps) => {
          const played = playedOf(steps, (steps.at(-1)?.time ?? 0) + 5 * MS);
          expect(sum(play(policy, played, 'always,hz=9000').counts, 'wrong', 'foreign')).toBe(0);
          wrong += sum(play('never', played, 'always,hz=9000').counts, 'foreign');
        }),
        seeded(20),
      );
      expect(wrong).toBeGreaterThan(0);
    },
  );

  it('a policy that saves and restores at every switch does so, and no more', () => {
    const { counts } = play('always', turns(100, 2 * MS), 'always');
    expect([sum(counts, 'arrivals'), sum(counts, 'saves'), sum(counts, 'restores')]).toEqual([
      100, 100, 100,
    ]);
    // FROM, TO and INFO of 32 slots, TOS and LBR_SELECT.
    expect(sum(counts, 'reads')).toBe(100 * 98);
    expect(sum(counts, 'writes')).toBe(2 * 100 * 98);
  });

  it('twice the recording costs twice as much', () => {
    for (const policy of ['always', 'merged', 'lazy-sound', 'v1-vmx']) {
      const [once, twice] = [400, 800].map((n) => play(policy, turns(n, 2 * MS), 'always').counts);
      const ratio = sum(twice, 'reads', 'writes') / sum(once, 'reads', 'writes');
      expect([policy, Math.abs(ratio - 2) < 0.1]).toEqual([policy, true]);
    }
  });

  it('a long slice does more than a short one, at the rate that the profile says', () => {
    const samples = (slice: number, profile: string): number =>
      sum(play('lazy-sound', turns(20, slice), profile).counts, 'samples');
    expect(samples(100 * MS, 'always,hz=1000')).toBeGreaterThan(1980);
    expect(samples(100 * MS, 'always,hz=1000')).toBeLessThanOrEqual(2001);
    expect(samples(100 * MS, 'always,hz=100')).toBeLessThanOrEqual(201);
    expect(samples(1000, 'always,hz=1000')).toBeLessThanOrEqual(1);
  });

  it('call stacks are on for the share of the time that the profile says', () => {
    const played = turns(1000, 10 * MS);
    const samples = (share: number): number =>
      sum(play('always', played, `always,share=${share},hz=1000`).counts, 'samples');
    expect(samples(0)).toBe(0);
    expect(Math.abs(samples(0.25) / samples(1) - 0.25)).toBeLessThan(0.05);
  });

  it('whatever the share and the period, the time goes on, and perf runs for that share', () => {
    const shares = fc.double({ min: 0.01, max: 0.99, noNaN: true });
    const periods = fc.double({ min: 0.001, max: 0.3, noNaN: true });
    fc.assert(
      fc.property(shares, periods, fc.nat(1000), (share, period, seed) => {
        const played = playedOf([{ time: 0, pcpu: 0, vcpu: 0 }], 1500 * MS);
        const profile = { ...profileOf('always,hz=10000,switches=0,exits=0'), share, period };
        const samples = sum(play('never', played, profile, seed).counts, 'samples');
        // One period more or less, and a sample more or less in each.
        const most = 10_000 * share * period + 1.5 / period + 2;
        expect(Math.abs(samples - 15_000 * share)).toBeLessThanOrEqual(most);
      }),
      seeded(25),
    );
  });

  it('what is done for a guest without events is needless', () => {
    const needless = (share: number): number => {
      const { counts } = play('always', turns(100, 20 * MS), `always,share=${share}`);
      return sum(counts, 'needless') / sum(counts, 'reads', 'writes', 'selects');
    };
    expect(needless(0)).toBe(1);
    expect(needless(1)).toBeLessThan(0.05);
    expect(needless(0.5)).toBeGreaterThan(0.3);
    expect(needless(0.5)).toBeLessThan(0.7);
  });

  it('what is done while a guest makes its events is not needless', () => {
    for (const policy of ['lazy-sound', 'pv-sound', 'merged']) {
      const { counts } = play(policy, turns(10, 10 * MS), 'always');
      expect([policy, sum(counts, 'saves') > 0]).toEqual([policy, true]);
      expect([policy, sum(counts, 'needless')]).toEqual([policy, 0]);
    }
  });

  it('a guest enters again after an exit of the profile, and exits where its slice ends', () => {
    const { counts } = play('v1-vmx', turns(50, 10 * MS), 'never,exits=1000');
    const exits = 500;
    expect(Math.abs(sum(counts, 'saves') - exits - 50)).toBeLessThanOrEqual(2);
    expect(sum(counts, 'restores')).toBe(sum(counts, 'saves'));
  });

  it('some switches fall inside of functions of the guests, and they go on later', () => {
    const { counts } = play('lazy-sound', turns(1500, 0.051234 * MS), 'always,hz=20000');
    expect(sum(counts, 'wrong')).toBe(0);
    // merged drops the stack of a guest whose switch falls where its perf has LBR off.
    const merged = play('merged', turns(1500, 0.051234 * MS), 'always,hz=20000,switches=20000');
    expect(sum(merged.counts, 'wrong')).toBeGreaterThan(0);
  });

  it('a guest that starts perf anew fills its stack again', () => {
    const one = playedOf([{ time: 0, pcpu: 0, vcpu: 0 }], 1000 * MS);
    const profile = 'always,share=0.9,period=0.2,hz=2000,switches=0';
    const { records } = play('lazy-sound', one, profile).ledger.machine.vcpus[0];
    const slots = Array.from({ length: 32 }, (_, i) => MSR_LBR_NHM_FROM + i);
    const frames = slots.filter((msr) => (records.readLow(msr) | records.readHigh(msr)) !== 0);
    expect(frames.length).toBeGreaterThan(9);
  });

  it('exits are those that were recorded, or the profile’s', () => {
    const steps = [{ time: 0, pcpu: 0, vcpu: 0 }];
    const saves = (more: Partial<Played>, exits: number): number =>
      sum(
        play('v1-vmx', playedOf(steps, 100 * MS, more), `never,switches=0,exits=${exits}`).counts,
        'saves',
      );
    // The exit at the end.
    expect(saves({}, 0)).toBe(1);
    expect([100, 101]).toContain(saves({}, 1000));
    const exitsOf = (entered: readonly number[]): Played['exits'] => [
      {
        time: Float64Array.from([1, 2, 3, 4], (ms) => ms * MS),
        entered: Float64Array.from(entered, (ms) => ms * MS),
      },
    ];
    const all = exitsOf([1.1, 2.1, 3.1, 4.1]);
    expect(saves({ exits: all }, 1000)).toBe(5);
    // The last one, of four, is why the vCPU is switched off: it is not entered again.
    const idle = playedOf([{ time: 0, pcpu: 0, vcpu: 0 }], 4.5 * MS, {
      exits: exitsOf([1.1, 2.1, 3.1, 7]),
    });
    const profile = 'never,switches=0';
    expect(sum(play('v1-vmx', idle, profile).counts, 'saves')).toBe(4);
    // One that was recorded while the vCPU was off is none of its slices'.
    const off = playedOf([{ time: 2.5 * MS, pcpu: 0, vcpu: 0 }], 100 * MS, { exits: all });
    expect(sum(play('v1-vmx', off, profile).counts, 'saves')).toBe(3);
  });

  it('a guest’s own recording says when it switches tasks', () => {
    const steps = [{ time: 0, pcpu: 0, vcpu: 0 }];
    const profile = 'always,hz=0,switches=10000';
    const played = (...times: number[]): Played =>
      playedOf(steps, 100 * MS, {
        tasks: [
          {
            time: Float64Array.from(times, (ms) => ms * MS),
            task: Uint8Array.from(times, (_, i) => [1, IDLE_TASK, 0][i % 3]),
          },
        ],
      });
    const current = (one: Played): number =>
      play('always', one, profile).ledger.machine.cpu(0).cpuctx.current;
    expect([current(played()), current(played(10)), current(played(10, 20))]).toEqual([
      0,
      1,
      IDLE_TASK,
    ]);
    // Those before the vCPU has come, or at its end and later, are not seen.
    expect(current(played(10, 20, 100))).toBe(IDLE_TASK);
    const writes = (one: Played): number => sum(play('always', one, profile).counts, 'guestWrites');
    expect(writes(played(10, 20, 30, 40))).toBeGreaterThan(writes(played(10)));
    expect([taskFor(0, 7), taskFor(9, 0), taskFor(9, 1), taskFor(9, 4)]).toEqual([
      IDLE_TASK,
      0,
      1,
      0,
    ]);
  });

  it('the same seed counts the same, and the order of policies is that of any seed', () => {
    const played = turns(300, 1.7 * MS);
    const policies = ['merged', 'lazy-sound', 'pv-v2', 'v1-vmx', 'lazy-literal', 'v4'];
    const order = (seed: number): string[] => {
      const cost = (name: string): number =>
        play(name, played, 'always', seed).counts.reduce(
          (total, one) => total + cyclesOfCounts(one, DEFAULT_COSTS),
          0,
        );
      const costs = new Map(policies.map((name) => [name, cost(name)]));
      return policies.toSorted((a, b) => (costs.get(a) ?? 0) - (costs.get(b) ?? 0));
    };
    expect(play('merged', played, 'rare').counts).toEqual(play('merged', played, 'rare').counts);
    for (const seed of [2, 3, 4]) expect(order(seed)).toEqual(order(1));
  });

  it('a host of 16 VMs with 64 vCPUs on 64 pCPUs is played, and each VM is told apart', () => {
    const steps: Step[] = [];
    for (let round = 0; round < 6; round++) {
      for (let i = 0; i < 64; i++) {
        const time = round * 5 * MS + i;
        steps.push({ time, pcpu: i, vcpu: -1 });
      }
      for (let i = 0; i < 64; i++) {
        steps.push({ time: round * 5 * MS + 64 + i, pcpu: i, vcpu: (i + 7 * round) % 64 });
      }
    }
    const played = playedOf(steps, 40 * MS);
    // Seven VMs further on has the same number in addresses.
    expect(sum(play('never', played, 'always').counts, 'foreign')).toBeGreaterThan(0);
    expect(sum(play('lazy-sound', played, 'always').counts, 'wrong')).toBe(0);
    const { ledger } = play('lazy-sound', played, 'always');
    const parked = ledger.machine.vcpus.filter(({ records }) => !records.empty);
    expect(parked.length).toBeGreaterThan(32);
    for (const { vm, records } of parked) {
      const from = MSR_LBR_NHM_FROM + records.tos;
      expect(recordedVm(records.readHigh(from), records.readLow(from))).toBe(vm);
    }
  });
});
