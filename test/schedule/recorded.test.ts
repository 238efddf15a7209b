/** Recorded switches: how a recording is cut, and that a run makes exactly these switches. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ShapeCampaign } from '../../src/campaign/shape_campaign.js';
import type { MachineConfig } from '../../src/machine/config.js';
import { Machine } from '../../src/machine/machine.js';
import { drawOf } from '../../src/schedule/draw.js';
import { shapeProblem } from '../../src/machine/config.js';
import type { HostSchedule } from '../../src/recording/recording.js';
import {
  type RecordedWindow,
  RecordedWindows,
  WINDOW_PCPUS,
  WINDOW_STEPS,
} from '../../src/schedule/recorded.js';
import { type Schedule, step } from '../../src/schedule/schedule.js';
import { policyOf } from '../rig/machine.js';
import { Observer } from '../../src/host/observer.js';
import { SEED, seeded } from '../rig/seed.js';
import { configOf } from '../rig/states.js';

const RUNS = 100;
/** A step as a test writes it. */
interface Step {
  readonly pcpu: number;
  readonly vcpu: number;
}

/** A recording of VMs with so many vCPUs each, on so many pCPUs. */
function scheduleOf(perVm: readonly number[], pcpus: number, list: readonly Step[]): HostSchedule {
  const vcpus = perVm.flatMap((count, vm) =>
    Array.from({ length: count }, (_, i) => {
      const from = { vcpuFrom: 'given', vmFrom: 'given', sure: 'certain' } as const;
      // A number in the recording is no place in the machine.
      return { vm, index: 2 * i + 1, pid: 0, comm: '', ...from };
    }),
  );
  const steps = {
    length: list.length,
    time: new Float64Array(list.length),
    pcpu: Int16Array.from(list, ({ pcpu }) => pcpu),
    vcpu: Int16Array.from(list, ({ vcpu }) => vcpu),
    line: new Uint32Array(list.length),
    bits: new Uint8Array(list.length),
  };
  const vms = perVm.map((_, vm) => ({ name: String(vm) }));
  return { file: '', vms, vcpus, pcpus: Array.from({ length: pcpus }, (_, i) => 4 * i), steps };
}

function windowsOf(schedule: HostSchedule): RecordedWindow[] {
  const windows = new RecordedWindows(schedule);
  return Array.from({ length: windows.length }, (_, i) => windows.at(i));
}

function stepsArb(vcpus: number, pcpus: number): fc.Arbitrary<Step[]> {
  return fc.array(
    fc.record({ pcpu: fc.nat(pcpus - 1), vcpu: fc.integer({ min: -1, max: vcpus - 1 }) }),
    { maxLength: 3 * WINDOW_STEPS, size: 'max' },
  );
}

const recording: fc.Arbitrary<HostSchedule> = fc
  .array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 3 })
  .chain((perVm) =>
    stepsArb(
      perVm.reduce((a, b) => a + b),
      2,
    ).map((steps) => scheduleOf(perVm, 2, steps)),
  );

/** Switches that a host can make: no vCPU is on two pCPUs at once. */
function possibleSteps(list: readonly Step[]): Step[] {
  const where = new Map<number, number>();
  const on = new Map<number, number>();
  return list.flatMap(({ pcpu, vcpu }) => {
    const steps: Step[] = [];
    const other = where.get(vcpu);
    if (vcpu >= 0 && other !== undefined && other !== pcpu) {
      steps.push({ pcpu: other, vcpu: -1 });
      on.delete(other);
    }
    where.delete(on.get(pcpu) ?? -1);
    steps.push({ pcpu, vcpu });
    if (vcpu < 0) on.delete(pcpu);
    else {
      on.set(pcpu, vcpu);
      where.set(vcpu, pcpu);
    }
    return steps;
  });
}

/** A host that no machine can hold: 64 pCPUs, 16 VMs of 4 vCPUs. */
const large: fc.Arbitrary<HostSchedule> = stepsArb(64, 64).map((steps) =>
  scheduleOf(Array<number>(16).fill(4), 64, possibleSteps(steps)),
);

/** The machine's number of a step's vCPU where one machine holds all of the recording. */
function numberOf({ vcpus, vms }: HostSchedule, vcpu: number): number {
  if (vcpu < 0) return -1;
  const perVm = vms.map((_, vm) => vcpus.filter((one) => one.vm === vm).length);
  const before = vcpus.slice(0, vcpu).filter(({ vm }) => vm === vcpus[vcpu].vm).length;
  return vcpus[vcpu].vm * Math.max(...perVm) + before;
}

describe('recordedWindows', () => {
  it('windows keep every step in order, under numbers of the machine that holds them all', () => {
    fc.assert(
      fc.property(recording, (recorded) => {
        const windows = windowsOf(recorded);
        const { vcpus, vms, steps } = recorded;
        expect(windows.flatMap((window) => window.steps)).toEqual(
          Array.from({ length: steps.length }, (_, i) => ({
            pcpu: steps.pcpu[i],
            vcpu: numberOf(recorded, steps.vcpu[i]),
          })),
        );
        const most = Math.max(...vms.map((_, vm) => vcpus.filter((one) => one.vm === vm).length));
        for (const [i, window] of windows.entries()) {
          expect(window.shape).toEqual({ vms: vms.length, vcpus: most, tasks: most + 1, pcpus: 2 });
          const last = i === windows.length - 1;
          expect(window.steps.length).toBe(last ? steps.length - i * WINDOW_STEPS : WINDOW_STEPS);
        }
      }),
      seeded(200),
    );
  });

  it('a window begins with the vCPUs that were on the pCPUs last, in any order of asking', () => {
    fc.assert(
      fc.property(recording, (recorded) => {
        const windows = new RecordedWindows(recorded);
        for (let i = windows.length - 1; i >= 0; i--) {
          const there = [-1, -1];
          for (let s = 0; s < i * WINDOW_STEPS; s++) {
            there[recorded.steps.pcpu[s]] = numberOf(recorded, recorded.steps.vcpu[s]);
          }
          expect(windows.at(i).residents).toEqual(there);
        }
      }),
      seeded(100),
    );
  });

  it('a window of a large host has a machine of what takes part in it, and loses no step', () => {
    fc.assert(
      fc.property(large, ({ vcpus, ...rest }) => {
        const recorded = { vcpus, ...rest };
        const windows = new RecordedWindows(recorded);
        const shapes = windows.shapes().map((shape) => JSON.stringify(shape));
        const group = (i: number): number => Math.floor(recorded.steps.pcpu[i] / WINDOW_PCPUS);
        const order = Array.from({ length: recorded.steps.length }, (_, i) => i);
        order.sort((a, b) => group(a) - group(b) || a - b);
        let at = 0;
        for (const { shape, steps, residents } of windowsOf(recorded)) {
          expect(shapeProblem(shape)).toBeNull();
          expect(shape.pcpus).toBeLessThanOrEqual(WINDOW_PCPUS);
          expect(new Set(order.slice(at, at + steps.length).map(group)).size).toBe(1);
          expect(shapes).toContain(JSON.stringify(shape));
          expect(steps.length).toBeGreaterThan(0);
          expect(steps.length).toBeLessThanOrEqual(WINDOW_STEPS);
          expect(residents).toHaveLength(shape.pcpus);
          // Within a window, names stand for one thing each, and VMs for VMs.
          const names = new Map<number, number>();
          const vms = new Map<number, number>();
          for (const { pcpu, vcpu } of steps) {
            const original = recorded.steps.vcpu[order[at]];
            expect(pcpu).toBeLessThan(shape.pcpus);
            expect(vcpu < 0).toBe(original < 0);
            if (original >= 0) {
              expect(names.get(original) ?? vcpu).toBe(vcpu);
              names.set(original, vcpu);
              const vm = Math.trunc(vcpu / shape.vcpus);
              expect(vms.get(vcpus[original].vm) ?? vm).toBe(vm);
              vms.set(vcpus[original].vm, vm);
            }
            at++;
          }
          expect(new Set(names.values()).size).toBe(names.size);
          expect(new Set(vms.values()).size).toBe(vms.size);
        }
        expect(at).toBe(recorded.steps.length);
      }),
      seeded(60),
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
        for (const window of windowsOf(recorded).filter(possible)) {
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

  it('a run of a window of a large host makes its switches, and no others', () => {
    let windows = 0;
    fc.assert(
      fc.property(large, fc.nat(), (recorded, run) => {
        for (const window of windowsOf(recorded).slice(0, 2)) {
          const { vms: n, vcpus, tasks, pcpus } = window.shape;
          const config = configOf(policyOf('never'), [n, vcpus, tasks, pcpus]);
          const campaign = new ShapeCampaign(config);
          campaign.run(drawOf(SEED, run), 60, window);
          const replay = new Replay(config, campaign.lastSchedule);
          expect(replay.changes).toEqual(changesOf(window, replay.booted));
          windows++;
        }
      }),
      seeded(15),
    );
    expect(windows).toBeGreaterThan(15);
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
