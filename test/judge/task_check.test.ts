/** `no-loss/task`: a profiled task finds, when it is back, the stack that it left. */
import { beforeAll, describe, expect, it } from 'vitest';
import { Bench } from '../../src/campaign/trial.js';
import { ATTR_INHERIT, CALLSTACK_USER } from '../../src/guest/perf/perf_event.js';
import {
  PERF_SAMPLE_BRANCH_ANY,
  PERF_SAMPLE_BRANCH_USER,
} from '../../src/guest/perf/perf_event.js';
import type { Cpu } from '../../src/guest/perf/kernel.js';
import type { DriverKind } from '../../src/guest/perf/lbr_driver.js';
import { always } from '../../src/host/policy/always.js';
import { BRANCH_REL_CALL } from '../../src/hw/branch.js';
import { PROPERTY } from '../../src/judge/properties.js';
import type { Action } from '../../src/schedule/table.js';
import { Schedule } from '../../src/schedule/schedule.js';
import { imageDriver } from '../../src/tree/image/image.js';
import { broken, NO_RESTORE } from '../rig/broken_port.js';
import { imageOf, imageVersions } from '../rig/images.js';
import { WatchedRig } from '../rig/judge.js';
import { FROM, machineConfig, TO, TOS } from '../rig/machine.js';

const NAME = 'no-loss/task';
const ANY_USER = PERF_SAMPLE_BRANCH_ANY | PERF_SAMPLE_BRANCH_USER;

/** The port with `change` applied after each time that it has scheduled a task in. */
function afterSchedIn(change: (cpu: Cpu) => void): DriverKind {
  return broken((port) => ({
    intel_pmu_lbr_sched_task: (cpu, ctx, sched_in) => {
      port.intel_pmu_lbr_sched_task(cpu, ctx, sched_in);
      if (sched_in && ctx !== null) change(cpu);
    },
  }));
}

/** Slot of the i-th record, newest first, of a stack of four. */
function slot(cpu: Cpu, i: number): number {
  return (cpu.rdmsrl(TOS) - i) & 3;
}

/** Task 0 is profiled, makes some calls, leaves, and is back. */
function backAfter(
  calls: number,
  driver?: DriverKind,
  meanwhile: (rig: WatchedRig) => void = () => {},
): WatchedRig {
  const rig = new WatchedRig(driver === undefined ? {} : { driver });
  rig.open(CALLSTACK_USER);
  rig.m.branches(0, BRANCH_REL_CALL, calls);
  rig.m.switchTask(0, 1);
  meanwhile(rig);
  rig.m.switchTask(0, 0);
  return rig;
}

describe('no-loss/task', () => {
  it.each([0, 1, 3, 4, 7])('a task that is back after %i calls finds its stack', (calls) => {
    const rig = backAfter(calls);
    expect(rig.reach('task-came-back')).toBe(1);
    expect(rig.allBroken).toEqual([]);
  });

  it('a stack that is not restored is lost, by the kernel itself', () => {
    const rig = backAfter(2, NO_RESTORE);
    expect(rig.breaker(NAME)).toBe('kernel');
    expect(rig.ownDetail(NAME)).toBe(
      'v0: task 0 left a stack of 2 records, and record 0 is another one when it is back',
    );
  });

  it.each([
    ['FROM', FROM],
    ['TO', TO],
  ])('a stack is lost if the %s of one record has another low or high half', (_name, first) => {
    for (const [eax, edx] of [
      [1, 0],
      [0, 1],
    ]) {
      const change = (cpu: Cpu): void => {
        const msr = first + slot(cpu, 1);
        cpu.wrmsrl(msr, cpu.rdmsrl(msr) ^ eax, cpu.edx ^ edx);
      };
      const rig = backAfter(3, afterSchedIn(change));
      expect(rig.breaker(NAME)).toBe('kernel');
      expect(rig.ownDetail(NAME)).toContain('record 1 is another one');
    }
  });

  it('a stack is lost if a record is found that was not left', () => {
    const change = (cpu: Cpu): void => cpu.wrmsrl(FROM + slot(cpu, 2), 0x1000, 0);
    const rig = backAfter(2, afterSchedIn(change));
    expect(rig.ownDetail(NAME)).toBe(
      'v0: task 0 left a stack of 2 records, and record 2 is another one when it is back',
    );
  });

  it('each task has a stack of its own', () => {
    const rig = new WatchedRig();
    for (const task of [0, 1]) rig.open(CALLSTACK_USER, task);
    for (const [task, calls] of [
      [1, 2],
      [0, 1],
      [1, 3],
      [0, 1],
    ]) {
      rig.m.branches(0, BRANCH_REL_CALL, calls);
      rig.m.switchTask(0, task);
    }
    expect(rig.reach('task-came-back')).toBe(3);
    expect(rig.allBroken).toEqual([]);
  });

  it('nothing is said if events came, went or changed while the task was away', () => {
    const changes: ((rig: WatchedRig) => void)[] = [
      (rig) => rig.open(CALLSTACK_USER, 2),
      (rig) => rig.m.disable(0, 0),
      (rig) => {
        rig.m.disable(0, 0);
        rig.m.enable(0, 0);
      },
    ];
    for (const change of changes) {
      const rig = backAfter(2, NO_RESTORE, change);
      expect([rig.breaker(NAME), rig.reach('task-came-back')]).toEqual(['nobody', 0]);
    }
  });

  it('nothing is said of a task whose events are not all call stacks of its own', () => {
    for (const prepare of [
      (rig: WatchedRig): void => rig.open(ANY_USER),
      (rig: WatchedRig): void => rig.open(CALLSTACK_USER, -1),
      (rig: WatchedRig): void => {
        rig.open(CALLSTACK_USER);
        rig.open(CALLSTACK_USER, -1);
      },
      (): void => {},
    ]) {
      const rig = new WatchedRig({ driver: NO_RESTORE });
      prepare(rig);
      rig.m.branches(0, BRANCH_REL_CALL, 2);
      for (const task of [1, 0, 1, 0]) rig.m.switchTask(0, task);
      expect([rig.breaker(NAME), rig.reach('task-came-back')]).toEqual(['nobody', 0]);
    }
  });

  it('an event of the CPU counts where its kernel saves for it', () => {
    const rig = new WatchedRig({ driver: NO_RESTORE });
    rig.m.cpu(0).kernel.savesForCpuEvents = true;
    rig.open(CALLSTACK_USER, -1);
    rig.m.branches(0, BRANCH_REL_CALL, 2);
    for (const task of [1, 0]) rig.m.switchTask(0, task);
    expect([rig.breaker(NAME), rig.reach('task-came-back')]).toEqual(['kernel', 1]);
  });

  it('nothing is said once a guest has written LBR MSRs itself', () => {
    const rig = backAfter(2, NO_RESTORE, ({ m }) => m.wrmsr(0, TOS, 0, 0));
    expect(rig.breaker(NAME)).toBe('nobody');
  });

  it('a switch that is interrupted notes what it found when it began', () => {
    const rig = new WatchedRig();
    rig.open(CALLSTACK_USER);
    rig.m.branches(0, BRANCH_REL_CALL, 3);
    rig.m.arm(0, 1, 9);
    rig.m.switchTask(0, 1);
    expect(rig.m.ports[0].suspended).not.toBe(0);
    rig.m.switchTo(0, 0);
    rig.m.resume(0);
    rig.m.switchTask(0, 0);
    expect(rig.reach('task-came-back')).toBe(1);
    expect(rig.allBroken).toEqual([]);
  });
});

/** A child that inherits a call-stack event runs, leaves, and is back. */
function familyOf(child: number): Schedule {
  const of = (kind: Action['kind'], ...args: readonly number[]): Action => ({
    kind,
    actor: 0,
    args,
  });
  return Schedule.of([
    of('open', 0, ATTR_INHERIT, CALLSTACK_USER),
    of('fork'),
    of('taskSwitch', child),
    of('call', 1, 0),
    of('taskSwitch', 0),
    of('taskSwitch', child),
  ]);
}

describe('no-loss/task of Linux', () => {
  const TASKS = 2;
  const drivers = new Map<string, DriverKind>();
  const versions = imageVersions('6.1', '7.3');

  beforeAll(async () => {
    for (const version of versions) drivers.set(version, imageDriver(await imageOf(version)));
  }, 300_000);

  it.each(versions)('%s loses the stack of an inherited event only if it is 7.3', (version) => {
    const driver = drivers.get(version);
    expect(driver).toBeDefined();
    const part = { vms: 1, tasks: TASKS, cpu: 'skylake', policy: always };
    const bench = new Bench({ ...machineConfig(part), driver: driver as DriverKind });
    const schedule = familyOf(TASKS);
    const lost = version === '7.3';
    expect(bench.guestBreaksAt(schedule, PROPERTY[NAME])).toBe(lost ? schedule.length : -1);
    const { machine, monitor } = bench;
    expect(monitor.verdicts.broken.some((one) => one !== 0)).toBe(false);
    expect(machine.cpu(0).cpuctx.current).toBe(TASKS);
  });

  it.each(versions)('%s keeps what an event of the CPU records only if it is 7.3', (version) => {
    const driver = drivers.get(version);
    expect(driver).toBeDefined();
    const rig = new WatchedRig({ driver: driver as DriverKind, vms: 1 });
    rig.open(CALLSTACK_USER, -1);
    rig.m.fork(0);
    for (const task of [3, 0, 1, 3, 0]) {
      rig.m.branches(0, BRANCH_REL_CALL, 2);
      rig.m.switchTask(0, task);
    }
    const saves = version === '7.3';
    expect(rig.m.cpu(0).kernel.savesForCpuEvents).toBe(saves);
    expect([rig.reach('task-came-back'), rig.allBroken]).toEqual([saves ? 3 : 0, []]);
    const { pcpus } = rig.m;
    expect(pcpus[0].stack.tos).toBe(saves ? 4 : 10);
  });
});
