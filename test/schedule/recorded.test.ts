/** Recorded switches: how a recording is cut, and that a run makes exactly these switches. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ShapeCampaign } from '../../src/campaign/shape_campaign.js';
import type { MachineConfig } from '../../src/machine/config.js';
import { Machine } from '../../src/machine/machine.js';
import { drawOf } from '../../src/schedule/draw.js';
import type { HostSchedule, ScheduleStep } from '../../src/schedule/host_schedule.js';
import type { RecordedWindow } from '../../src/schedule/recorded.js';
import { recordedWindows, WINDOW_STEPS, windowsIn } from '../../src/schedule/recorded.js';
import { type Schedule, step } from '../../src/schedule/schedule.js';
import { policyOf } from '../rig/machine.js';
import { Observer } from '../../src/host/observer.js';
import { SEED, seeded } from '../rig/seed.js';
import { configOf } from '../rig/states.js';

const RUNS = 100;
/** VMs by their numbers in the recording, each with the indices of its vCPUs in any order. */
const vms = fc.uniqueArray(
  fc.record({
    vm: fc.constantFrom(0, 1, 2, 5, 9),
    indices: fc.uniqueArray(fc.nat(2), { minLength: 1, maxLength: 3 }),
  }),
  { minLength: 1, maxLength: 3, selector: ({ vm }) => vm },
);

const recording: fc.Arbitrary<HostSchedule> = vms.chain((list) => {
  const vcpus = list.flatMap(({ vm, indices }) =>
    indices.map((index) => ({ vm, index, pid: 0, comm: '', vm_from: 'given' as const })),
  );
  const steps = fc.array(
    fc.record({
      pcpu: fc.nat(1),
      vcpu: fc.integer({ min: -1, max: vcpus.length - 1 }),
      time_us: fc.constant(0),
      line: fc.constant(0),
      inferred: fc.boolean(),
    }),
    { maxLength: 3 * WINDOW_STEPS, size: 'max' },
  );
  return steps.map((all) => ({ file: '', vcpus, pcpus: [0, 4], steps: all }));
});

/** The machine's number of a step's vCPU. The machine numbers VMs in the order of the vCPUs. */
function numberOf({ vcpus }: HostSchedule, { vcpu }: ScheduleStep): number {
  if (vcpu < 0) return -1;
  const order = [...new Set(vcpus.map(({ vm }) => vm))];
  const most = Math.max(...vcpus.map(({ index }) => index)) + 1;
  return order.indexOf(vcpus[vcpu].vm) * most + vcpus[vcpu].index;
}

describe('recordedWindows', () => {
  it('recordedWindows keeps every step in order, under numbers of the machine it asks for', () => {
    fc.assert(
      fc.property(recording, (recorded) => {
        const windows = recordedWindows(recorded);
        const { vcpus, steps } = recorded;
        expect(windows.flatMap((window) => window.steps)).toEqual(
          steps.map((one) => ({ pcpu: one.pcpu, vcpu: numberOf(recorded, one) })),
        );
        expect(windowsIn(recorded)).toBe(windows.length);
        const most = Math.max(...vcpus.map(({ index }) => index)) + 1;
        const shape = { vms: new Set(vcpus.map(({ vm }) => vm)).size, vcpus: most };
        for (const [i, window] of windows.entries()) {
          expect(window.shape).toEqual({ ...shape, tasks: most + 1, pcpus: 2 });
          const last = i === windows.length - 1;
          expect(window.steps.length).toBe(last ? steps.length - i * WINDOW_STEPS : WINDOW_STEPS);
        }
      }),
      seeded(200),
    );
  });

  it('a window begins with the vCPUs that were on the pCPUs last', () => {
    fc.assert(
      fc.property(recording, (recorded) => {
        for (const [i, { residents }] of recordedWindows(recorded).entries()) {
          const before = recorded.steps.slice(0, i * WINDOW_STEPS);
          const there = [0, 1].map((pcpu) => {
            const last = before.findLast((one) => one.pcpu === pcpu);
            return last === undefined ? -1 : numberOf(recorded, last);
          });
          expect(residents).toEqual(there);
        }
      }),
      seeded(200),
    );
  });
});

/** A pCPU and the vCPU that now runs there; -1 if it is idle. */
type Change = readonly [pcpu: number, vcpu: number];

/** The changes that a window asks for, starting from the pCPUs after the boot. */
function changesOf({ residents, steps }: RecordedWindow, booted: readonly number[]): Change[] {
  const there = [...booted];
  const changes: Change[] = [];
  const put = (pcpu: number, vcpu: number): void => {
    if (there[pcpu] === vcpu) return;
    there[pcpu] = vcpu;
    changes.push([pcpu, vcpu]);
  };
  residents.forEach((vcpu, p) => there[p] !== vcpu && put(p, -1));
  residents.forEach((vcpu, p) => put(p, vcpu));
  for (const { pcpu, vcpu } of steps) {
    // A vCPU that is still on another pCPU leaves it first.
    there.forEach((other, p) => other === vcpu && vcpu >= 0 && p !== pcpu && put(p, -1));
    put(pcpu, vcpu);
  }
  return changes;
}

/** Replays a schedule. Notes each change of a pCPU, and how many changes fell inside a function. */
class Replay {
  readonly booted: readonly number[];
  readonly changes: Change[] = [];
  inside = 0;
  private readonly machine: Machine;

  constructor(config: MachineConfig, schedule: Schedule) {
    this.machine = new Machine(config, new Observer());
    this.machine.boot();
    this.booted = this.there;
    let before = this.booted;
    schedule.actions().forEach(({ kind }, i) => {
      expect(step(this.machine, schedule, i)).toBe(true);
      const { there } = this;
      there.forEach((vcpu, p) => vcpu !== before[p] && this.changes.push([p, vcpu]));
      if (String(there) !== String(before) && kind !== 'run' && kind !== 'idle') this.inside++;
      before = there;
    });
  }

  private get there(): number[] {
    return this.machine.pcpus.map((_, p) => this.machine.loaded(p)?.id ?? -1);
  }
}

/** Whether no vCPU is on two pCPUs at the start of a window. */
function possible({ residents: [a, b] }: RecordedWindow): boolean {
  return a < 0 || a !== b;
}

describe('a recorded run', () => {
  it('a recorded run makes the recorded switches, in their order, and no others', () => {
    let [inside, armed] = [0, 0];
    fc.assert(
      fc.property(recording, fc.nat(), (recorded, run) => {
        for (const window of recordedWindows(recorded).filter(possible)) {
          const { vms: n, vcpus, tasks, pcpus } = window.shape;
          const config = configOf(policyOf('never'), [n, vcpus, tasks, pcpus]);
          const campaign = new ShapeCampaign(config);
          campaign.run(drawOf(SEED, run), 60, window);
          const { lastSchedule } = campaign;
          const replay = new Replay(config, lastSchedule);
          expect(replay.changes).toEqual(changesOf(window, replay.booted));
          inside += replay.inside;
          armed += lastSchedule.actions().filter(({ kind, args }) => {
            return (kind === 'run' && args[1] > 0) || (kind === 'idle' && args[0] > 0);
          }).length;
        }
      }),
      seeded(60),
    );
    expect(inside).toBeGreaterThan(5);
    // If no function comes, an armed switch is made at the end of its gap.
    expect(armed).toBeGreaterThan(inside);
  });

  it('a recorded run has one to four actions of the guests between two switches', () => {
    const steps = [0, 1, 0, 1, 0, 1, 0, 1].map((vcpu) => ({ pcpu: 0, vcpu }));
    const shape = { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 };
    const campaign = new ShapeCampaign(configOf(policyOf('never'), [2, 1, 2, 1]));
    const gaps = new Set<number>();
    let armed = 0;
    for (let run = 0; run < RUNS; run++) {
      campaign.run(drawOf(SEED, run), 60, { shape, residents: [-1], steps });
      const actions = campaign.lastSchedule.actions();
      const switches = actions.flatMap(({ kind }, i) => (kind === 'run' ? [i] : []));
      armed += switches.filter((i) => actions[i].args[1] > 0).length;
      switches.slice(1).forEach((at, i) => gaps.add(at - switches[i] - 1));
    }
    expect([...gaps].sort()).toEqual([1, 2, 3, 4]);
    // Half of the switches draw a delay, in three of four runs, and half of the delays are 0: 3/16.
    const share = armed / (RUNS * (steps.length - 1));
    expect(share).toBeGreaterThan(0.1);
    expect(share).toBeLessThan(0.25);
  });
});
