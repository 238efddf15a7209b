/**
 * Guests that run a kernel's whole path in machines. On 6.1 they do what the port does; on other
 * trees they run everything that a schedule can have, without a warning.
 */
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { DEFAULT_SHAPES } from '../../src/campaign/campaign.js';
import { ImageInstance } from '../../src/guest/image/instance.js';
import { ATTR_INHERIT, PERF_EVENT_STATE_ACTIVE } from '../../src/guest/perf/perf_event.js';
import type { DriverKind } from '../../src/guest/perf/lbr_driver.js';
import { always } from '../../src/host/policy/always.js';
import { Observer } from '../../src/host/observer.js';
import { caseOf } from '../../src/campaign/replay_file.js';
import { canSwitchTo } from '../../src/schedule/guest.js';
import { decodeToken, type Replay } from '../../src/schedule/token.js';
import { CALL_EXIT, CALL_INSTALL } from '../../src/machine/guest_call.js';
import type { MachineConfig, Shape } from '../../src/machine/config.js';
import { Machine } from '../../src/machine/machine.js';
import { noCounts, Pair } from '../../src/questions/conform/whole/pair.js';
import { parseAction } from '../../src/schedule/action_text.js';
import { drawOf } from '../../src/schedule/draw.js';
import { Generator } from '../../src/schedule/generate.js';
import { ACTION_WORDS, Schedule, step } from '../../src/schedule/schedule.js';
import { type ActionName, ACTION_NAMES, perform } from '../../src/schedule/table.js';
import { imageDriver } from '../../src/tree/image/image.js';
import { cpuModel } from '../rig/cpu.js';
import { imageOf, imageVersions } from '../rig/images.js';
import { machineConfig, policyOf } from '../rig/machine.js';
import { SEED } from '../rig/seed.js';

const CPUS = ['skylake', 'haswell', 'goldmont', 'silvermont', 'goldmont-plus', 'icelake'] as const;
const SCHEDULES = 40;
const ACTIONS = 60;
/** A tree may have to be unpacked and built first. */
const BUILD_MS = 300_000;

const images = new Map<string, DriverKind>();

async function build(version: string): Promise<void> {
  images.set(version, imageDriver(await imageOf(version)));
}

function driverOf(version: string): DriverKind {
  const driver = images.get(version);
  if (driver === undefined) throw new Error(`no image of ${version}`);
  return driver;
}

function configOf(cpu: string, shape: Shape, driver?: DriverKind): MachineConfig {
  const config = { model: cpuModel(cpu), kernel: '6.1', policy: always, shape } as const;
  return driver === undefined ? config : { ...config, driver };
}

/** Counts situations on a machine. */
class Situations extends Observer {
  machine: Machine | null = null;
  /** NMIs between two accesses of another function. */
  nested = 0;
  refused = 0;
  readonly warnings = new Set<string>();

  override guestPmi(vcpu: number): void {
    if (this.machine?.ports[vcpu].nested === true) this.nested++;
  }

  override guestOpened(_vcpu: number, _type: number, ret: number): void {
    if (ret < 0) this.refused++;
  }

  override guestWarned(_vm: number, file: string, line: number): void {
    this.warnings.add(`${file}:${line}`);
  }
}

/** A machine that is watched. */
function watched(config: MachineConfig): { readonly m: Machine; readonly met: Situations } {
  const met = new Situations();
  const m = new Machine(config, met);
  met.machine = m;
  return { m, met };
}

describe.each(imageVersions('6.1'))('a guest that runs %s', (version) => {
  beforeAll(() => build(version), BUILD_MS);

  it.each(CPUS)('a guest on %s does what the port does, and is in the same states', (cpu) => {
    const kernel = driverOf(version);
    const counts = noCounts();
    let [suspended, nested, refused, kexecs] = [0, 0, 0, 0];
    for (const [n, shape] of DEFAULT_SHAPES.entries()) {
      const pair = new Pair(configOf(cpu, shape), kernel);
      const { m, met } = watched(configOf(cpu, shape, kernel));
      for (let run = n; run < SCHEDULES; run += DEFAULT_SHAPES.length) {
        expect(pair.drawn(drawOf(SEED, run), ACTIONS, counts)).toBeNull();
        m.boot();
        for (let i = 0; i < pair.schedule.length; i++) {
          step(m, pair.schedule, i);
          if (m.ports.some((port) => port.suspended !== 0)) suspended++;
        }
        kexecs += pair.schedule.actions().filter(({ kind }) => kind === 'kexec').length;
      }
      nested += met.nested;
      refused += met.refused;
      expect([...met.warnings]).toEqual([]);
    }
    expect(counts).toMatchObject({ schedules: SCHEDULES, actions: SCHEDULES * ACTIONS });
    // The situations arose: functions that are left, NMIs inside functions, kexec, a refused open.
    expect(suspended).toBeGreaterThan(50);
    expect(nested).toBeGreaterThan(2);
    expect(kexecs).toBeGreaterThan(0);
    expect(refused).toBeGreaterThan(0);
    expect(counts.samples).toBeGreaterThan(20);
  });

  it.each(['pv-v2', 'pv-sound', 'merged'])('a guest does what the port does under %s', (name) => {
    const counts = noCounts();
    for (const [n, shape] of DEFAULT_SHAPES.entries()) {
      const config = { ...configOf('haswell', shape), policy: policyOf(name) };
      const pair = new Pair(config, driverOf(version));
      for (let run = n; run < SCHEDULES; run += DEFAULT_SHAPES.length) {
        expect(pair.drawn(drawOf(SEED, run), ACTIONS, counts)).toBeNull();
      }
    }
    expect(counts.schedules).toBe(SCHEDULES);
  });

  it('two vCPUs whose functions are left inside open() both get their event', () => {
    const shape = { vms: 2, vcpus: 2, tasks: 3, pcpus: 2 };
    const { m } = watched(configOf('skylake', shape, driverOf(version)));
    const lines = (afters: readonly number[]): string[] => [
      `p0: run vcpu=2 after=${afters[0]}`,
      'v0: open task=0 type=CALL_STACK|USER',
      `p1: run vcpu=3 after=${afters[1]}`,
      'v1: open task=1 type=CALL_STACK|USER',
      'p0: run vcpu=0',
      'p1: run vcpu=1',
      'v1: resume',
      'v0: resume',
      'v0: disable event=0',
      'v1: close event=1',
      'v0: close event=0',
    ];
    const pair = new Pair(configOf('skylake', shape), driverOf(version));
    for (const afters of [
      [3, 5],
      [40, 20],
      [60, 60],
    ]) {
      const schedule = Schedule.of(lines(afters).map(parseAction));
      expect(pair.run(schedule)).toBeNull();
      m.boot();
      for (let i = 0; i < schedule.length; i++) {
        expect([i, step(m, schedule, i)]).toEqual([i, true]);
        const { events } = m.guests[0];
        if (i === 3)
          expect(m.ports.map((port) => port.suspended)).toEqual([CALL_INSTALL, CALL_INSTALL, 0, 0]);
        if (i === 7) {
          const there = events.filter(({ used }) => used !== 0);
          expect(there.map(({ state, oncpu }) => [state, oncpu])).toEqual([
            [PERF_EVENT_STATE_ACTIVE, 0],
            [PERF_EVENT_STATE_ACTIVE, 1],
          ]);
        }
        if (i === 10) expect(events.every(({ used }) => used === 0)).toBe(true);
      }
    }
  });

  it('an NMI in the second half of a switch interrupts the task that comes', () => {
    const shape = { vms: 1, vcpus: 1, tasks: 2, pcpus: 1 };
    const pair = new Pair(configOf('core2', shape), driverOf(version));
    for (const after of [8, 18, 19]) {
      const lines = [
        'v0: open task=0 type=ANY|USER',
        'v0: open task=-1 type=ANY|USER',
        `v0: pmi event=0 after=${after}`,
        'v0: taskSwitch task=1',
        'v0: pmi event=1',
      ];
      // The interrupt is a record, and its address names the task.
      expect([after, pair.run(Schedule.of(lines.map(parseAction)))]).toEqual([after, null]);
    }
    expect(pair.port.trace.samples).toBeGreaterThan(1);
  });

  it('a kexec brings a kernel without events, whose CPUs start one by one', () => {
    const shape = { vms: 1, vcpus: 2, tasks: 3, pcpus: 2 };
    const { m } = watched(configOf('skylake', shape, driverOf(version)));
    m.boot();
    expect(m.open(0, 0, 0, 0x801)).toBe(0);
    m.fork(0);
    const [guest] = m.guests;
    expect(guest.tasks.filter(({ alive }) => alive === 1)).toHaveLength(4);
    m.kexec(0);
    expect(guest.events.every(({ used }) => used === 0)).toBe(true);
    expect(guest.tasks.filter(({ alive }) => alive === 1)).toHaveLength(3);
    expect([m.booting(0), m.booting(1)]).toEqual([false, true]);
    m.startCpu(1);
    expect(m.booting(1)).toBe(false);
    expect(m.open(1, 1, 0, 0x801)).toBe(0);
  });

  it('a grace period ends once a function has returned, and no CPU is inside another', () => {
    const shape = { vms: 1, vcpus: 2, tasks: 3, pcpus: 1 };
    const { m } = watched(configOf('skylake', shape, driverOf(version)));
    const ask = vi.spyOn(ImageInstance.prototype, 'ask');
    // The host's perf runs an image, too.
    let guest: unknown = null;
    const ended = (line: string): number => {
      ask.mockClear();
      expect([line, step(m, Schedule.of([parseAction(line)]), 0)]).toEqual([line, true]);
      guest ??= ask.mock.contexts[0];
      const { calls, contexts } = ask.mock;
      return calls.filter(([name], i) => name === 'vlbr_grace_period' && contexts[i] === guest)
        .length;
    };
    m.boot();
    const found = [
      'v0: taskSwitch task=2',
      'p0: run vcpu=1 after=3',
      'v0: open task=2 type=CALL_STACK|USER',
      'v1: open task=1 type=CALL_STACK|USER',
      'p0: run vcpu=0',
      'v0: resume',
    ].map(ended);
    ask.mockRestore();
    expect(m.ports.map((port) => port.suspended)).toEqual([0, 0]);
    expect(found).toEqual([1, 0, 0, 0, 0, 1]);
  });

  it('an open that the PMU refuses returns its errno, and leaves no event', () => {
    const { m, met } = watched(machineConfig({ cpu: 'silvermont', driver: driverOf(version) }));
    m.boot();
    expect(m.open(0, 0, 0, 0x801)).toBe(-95);
    expect(m.guests[0].events.every(({ used }) => used === 0)).toBe(true);
    expect(met.refused).toBe(1);
    expect(m.open(0, 0, 0, 0x9)).toBe(0);
  });

  it('an event that a fork inherits is the child’s, and knows its parent', () => {
    const { m } = watched(machineConfig({ cpu: 'haswell', driver: driverOf(version) }));
    m.boot();
    expect(m.open(0, 0, ATTR_INHERIT, 0x801)).toBe(0);
    m.fork(0);
    const [parent, child] = m.guests[0].events;
    expect([parent.parent, child.used, child.parent]).toEqual([0, 1, parent.id + 1]);
    expect(m.guests[0].ctx(child.ctx).task).toBe(2);
  });
});

/** Actions that the port does not have. */
const NEW: readonly ActionName[] = [
  'taskExit',
  'exec',
  'tick',
  'rotate',
  'branchSnapshot',
  'moveTask',
];

describe.each(imageVersions('6.12', '7.3'))('a guest that runs %s', (version) => {
  const RUNS = 200;

  beforeAll(() => build(version), BUILD_MS);

  it('a guest runs every action that there is, in drawn schedules, without a warning', () => {
    const counts = new Map<string, number>();
    const warnings: string[] = [];
    for (const [n, shape] of DEFAULT_SHAPES.entries()) {
      const { m, met } = watched(configOf('skylake', shape, driverOf(version)));
      const generator = new Generator(m);
      for (let run = n; run < RUNS; run += DEFAULT_SHAPES.length) {
        m.boot();
        generator.begin(drawOf(SEED, run), true);
        for (let i = 0; i < ACTIONS; i++) {
          generator.next();
          const { kind, actor, a, b, c } = generator;
          perform(m, kind, actor, a, b, c);
          const name = ACTION_NAMES[kind];
          counts.set(name, (counts.get(name) ?? 0) + 1);
        }
      }
      warnings.push(...met.warnings);
    }
    expect(warnings).toEqual([]);
    const wanted = [...NEW, 'open', 'pmi', 'fork', 'taskSwitch', 'resume'];
    expect(wanted.filter((name) => (counts.get(name) ?? 0) < 5)).toEqual([]);
  });
});

/** v1 exits while v0 has left a function whose lock the exit wants; v0 then goes for the task. */
const WAITING_EXIT: string =
  'v1.YWx3YXlzIG5vLWxvc3MvY2FsbHN0YWNrIHNreWxha2UgNi4xIDEgMiAzIDEAAAACAAYAAgAACAAoA' +
  'AIAAAIEACgAAAAMAAQEAAICKAACAAICAgACBgA-AgYCBj4CKAAA-AISAgEEhiACAgY4AgICEg4CABIAA' +
  'YQFrp0kKAACACYCNgICJgImAiYCKAAAACYAAAAGAA4AAkAAABIAAgCCIAAAAgIAAAQEAAAEACgAAgAmA' +
  'gDMs8c';

describe.each(imageVersions('7.3'))('a function of Linux %s that waits', (version) => {
  beforeAll(() => build(version), BUILD_MS);

  it('holds the tasks that it is about', () => {
    const { config, schedule } = caseOf(decodeToken(WAITING_EXIT) as Replay);
    const m = new Machine({ ...config, driver: driverOf(version) }, new Observer());
    m.boot();
    let waited = 0;
    for (let i = 0; i < schedule.length; i++) {
      step(m, schedule, i);
      const [, v, next] = schedule.words.subarray(i * ACTION_WORDS);
      if (m.ports[1].suspended !== CALL_EXIT || v !== 1 || next !== 1) continue;
      waited++;
      expect(m.lockedTasks(0) & (1 << next)).not.toBe(0);
      expect(canSwitchTo(m, 0, next)).toBe(false);
    }
    expect(waited).toBeGreaterThan(0);
  });
});
