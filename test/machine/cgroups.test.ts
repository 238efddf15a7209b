/** Events of cgroups in guests that run a kernel's whole path. */
import { beforeAll, describe, expect, it } from 'vitest';
import * as perf from '../../src/guest/perf/perf_event.js';
import type { DriverKind } from '../../src/guest/perf/lbr_driver.js';
import { CALL_ATTACH, CALL_INSTALL } from '../../src/machine/guest_call.js';
import { freeEvents } from '../../src/schedule/guest.js';
import { parseAction } from '../../src/schedule/action_text.js';
import { canPerform, KIND } from '../../src/schedule/table.js';
import { imageDriver } from '../../src/tree/image/image.js';
import { imageOf, imageVersions } from '../rig/images.js';
import { WatchedRig } from '../rig/judge.js';

const { ATTR_CGROUP_A, ATTR_CGROUP_B, CALLSTACK_USER } = perf;
const ANY_USER = perf.PERF_SAMPLE_BRANCH_ANY | perf.PERF_SAMPLE_BRANCH_USER;
const [ROOT, A, B] = [0, 1, 2];

/** Whether an action can be performed on a machine, given as its text. */
function can({ m }: WatchedRig, text: string): boolean {
  const { kind, actor, args } = parseAction(text);
  const [a = 0, b = 0] = args;
  return canPerform(m, KIND[kind], actor, a, b);
}

/** Which events count on vCPU 0, by their numbers. */
function counting({ m }: WatchedRig): number[] {
  const { events } = m.cpu(0).kernel;
  return events.filter(({ used, oncpu }) => used !== 0 && oncpu === 0).map(({ id }) => id);
}

it('the port has no cgroups', () => {
  const rig = new WatchedRig();
  expect(can(rig, 'v0: open task=-1 type=CALL_STACK|USER')).toBe(true);
  expect(can(rig, 'v0: open task=-1 attr=cgroup-a type=CALL_STACK|USER')).toBe(false);
  expect(can(rig, 'v0: moveTask cgroup=a')).toBe(false);
});

describe.each(imageVersions('6.1', '6.12', '7.3'))('cgroups of Linux %s', (version) => {
  let driver: DriverKind;

  beforeAll(async () => {
    driver = imageDriver(await imageOf(version));
  }, 300_000);

  it('an event of a cgroup is one of the CPU, and of one cgroup', () => {
    const rig = new WatchedRig({ driver });
    const open = (task: number, attr: string): boolean =>
      can(rig, `v0: open task=${task} attr=${attr} type=CALL_STACK|USER`);
    expect([open(-1, 'cgroup-a'), open(-1, 'pinned|cgroup-b')]).toEqual([true, true]);
    expect([open(0, 'cgroup-a'), open(-1, 'cgroup-a|cgroup-b')]).toEqual([false, false]);
    expect(['root', 'a', 'b'].every((name) => can(rig, `v0: moveTask cgroup=${name}`))).toBe(true);
  });

  it('a task that moves takes the events of its cgroup with it', () => {
    const rig = new WatchedRig({ driver });
    rig.open(ANY_USER, -1, 0, ATTR_CGROUP_A);
    rig.open(ANY_USER, -1, 0, ATTR_CGROUP_B);
    expect(counting(rig)).toEqual([]);
    const seen = [A, B, A, ROOT, B, ROOT].map((cgroup) => {
      rig.m.moveTask(0, cgroup);
      return counting(rig);
    });
    expect(seen).toEqual([[0], [0, 1], [0], [], [0, 1], []]);
    expect(rig.allBroken).toEqual([]);
  });

  it('a switch of tasks switches cgroups, and a child is in that of its parent', () => {
    const rig = new WatchedRig({ driver });
    rig.open(CALLSTACK_USER, -1, 0, ATTR_CGROUP_A);
    rig.m.moveTask(0, A);
    rig.m.fork(0);
    const seen = [1, 0, 2, 3, 1].map((task) => {
      rig.m.switchTask(0, task);
      return counting(rig);
    });
    expect(seen).toEqual([[], [0], [], [0], []]);
    expect(rig.allBroken).toEqual([]);
  });

  it('a new kernel has everyone in the root', () => {
    const rig = new WatchedRig({ driver });
    rig.m.moveTask(0, A);
    rig.m.kexec(0);
    rig.open(CALLSTACK_USER, -1, 0, ATTR_CGROUP_A);
    expect([counting(rig), rig.allBroken]).toEqual([[], []]);
  });

  it('perf is not told of a task that is there already', () => {
    const rig = new WatchedRig({ driver });
    rig.open(CALLSTACK_USER, -1, 0, ATTR_CGROUP_A);
    const told = [A, A, ROOT].map((cgroup) => {
      rig.m.arm(0, -1, 0);
      rig.m.moveTask(0, cgroup);
      const left = rig.m.ports[0].suspended === CALL_ATTACH;
      if (left) {
        rig.m.switchTo(0, 0);
        rig.m.resume(0);
      }
      return left;
    });
    expect(told).toEqual([true, false, true]);
  });

  it('an open that waits for a switch of cgroups takes a slot before its event is seen', () => {
    const rig = new WatchedRig({ driver, vcpus: 2, pcpus: 2 });
    rig.open(ANY_USER, -1, 0, ATTR_CGROUP_A);
    rig.m.arm(0, -1, 1);
    rig.m.moveTask(0, A);
    expect(rig.m.ports[0].suspended).toBe(CALL_ATTACH);
    const free = freeEvents(rig.m, 1);
    rig.m.open(1, -1, ATTR_CGROUP_B, ANY_USER);
    expect(rig.m.ports[1].suspended).toBe(CALL_INSTALL);
    expect([rig.m.cpu(1).kernel.events[1].used, freeEvents(rig.m, 1)]).toEqual([0, free - 1]);
    rig.m.switchTo(0, 0);
    for (const vcpu of [0, 1]) rig.m.resume(vcpu);
    expect([counting(rig), rig.allBroken]).toEqual([[0], []]);
  });
});
