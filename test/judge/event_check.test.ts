/** `events-true` and `events-count`: a kernel schedules events as its users asked. */
import { beforeAll, describe, expect, it } from 'vitest';
import * as perf from '../../src/guest/perf/perf_event.js';
import type { DriverKind } from '../../src/guest/perf/lbr_driver.js';
import type { perf_event } from '../../src/guest/perf/perf_structs.js';
import { PROPERTIES, PROPERTY } from '../../src/judge/properties.js';
import { imageDriver } from '../../src/tree/image/image.js';
import { imageOf, imageVersions } from '../rig/images.js';
import { WatchedRig } from '../rig/judge.js';
import { TOS } from '../rig/machine.js';

const COUNT = 'events-count';
const TRUE = 'events-true';
const { CALLSTACK_USER, ATTR_DISABLED, ATTR_INHERIT, ATTR_PINNED } = perf;
const ANY_USER = perf.PERF_SAMPLE_BRANCH_ANY | perf.PERF_SAMPLE_BRANCH_USER;

function event(rig: WatchedRig, id = 0): perf_event {
  return rig.m.cpu(0).kernel.events[id];
}

/** Makes an event count, or not, behind the kernel's back. */
function force(of: perf_event, counts: boolean): void {
  of.state = counts ? perf.PERF_EVENT_STATE_ACTIVE : perf.PERF_EVENT_STATE_INACTIVE;
  of.oncpu = counts ? 0 : -1;
}

/** A function of vCPU 0's kernel returns: the judge looks. */
function look(rig: WatchedRig): string {
  rig.m.rdmsr(0, TOS);
  const broken = [COUNT, TRUE].filter((name) => rig.breaker(name as typeof COUNT) !== 'nobody');
  return broken.map((name) => rig.ownDetail(name as typeof COUNT)).join('; ');
}

describe('events-count', () => {
  it('is the kernel’s own, and counts events that were looked at', () => {
    const rig = new WatchedRig();
    expect(look(rig)).toBe('');
    expect([rig.reach('event-scheduled'), rig.reach('events-judged')]).toEqual([0, 0]);
    rig.open(CALLSTACK_USER);
    expect([rig.reach('event-scheduled'), rig.reach('events-judged')]).toEqual([1, 1]);
    force(event(rig), false);
    expect(look(rig)).toBe('v0: event 0 is on and does not count, and nothing is in its way');
    expect(rig.breaker(COUNT)).toBe('kernel');
    for (const name of [COUNT, TRUE] as const) expect(PROPERTIES[PROPERTY[name]].of).toBe('kernel');
  });

  it.each([
    ['of the CPU', -1],
    ['of the task', 0],
  ])('an event %s counts while it is on, and only then', (_name, task) => {
    const steps: ((rig: WatchedRig) => void)[] = [
      (rig) => rig.m.disable(0, 0),
      (rig) => rig.m.enable(0, 0),
      (rig) => rig.m.disable(0, 0),
    ];
    for (let done = 0; done <= steps.length; done++) {
      const rig = new WatchedRig();
      rig.open(CALLSTACK_USER, task);
      for (const step of steps.slice(0, done)) step(rig);
      expect(look(rig)).toBe('');
      const on = done % 2 === 0;
      force(event(rig), !on);
      expect(look(rig)).toContain(on ? 'is on and does not count' : 'counts and is off');
    }
  });

  it('an event that is opened disabled is off', () => {
    const rig = new WatchedRig();
    rig.open(CALLSTACK_USER, 0, 0, ATTR_DISABLED);
    expect(look(rig)).toBe('');
    force(event(rig), true);
    expect(look(rig)).toBe('v0: event 0 counts and is off');
  });

  it('an event of a task counts while that runs, and for no other', () => {
    const rig = new WatchedRig();
    rig.open(CALLSTACK_USER, 1);
    expect(look(rig)).toBe('');
    rig.m.switchTask(0, 1);
    expect([look(rig), event(rig).oncpu]).toEqual(['', 0]);
    rig.m.switchTask(0, 0);
    force(event(rig), true);
    expect(look(rig)).toBe('v0: event 0 counts and is not for it');
  });

  it('an event may wait for another that asks for other branches, and for nothing else', () => {
    const other = new WatchedRig();
    other.open(CALLSTACK_USER);
    other.open(ANY_USER);
    expect([look(other), event(other, 1).state]).toEqual(['', perf.PERF_EVENT_STATE_INACTIVE]);
    const same = new WatchedRig();
    same.open(CALLSTACK_USER);
    same.open(CALLSTACK_USER);
    force(event(same, 1), false);
    expect(look(same)).toContain('event 1 is on and does not count');
  });

  it('a pinned event waits for pinned ones alone', () => {
    for (const [first, says] of [
      [0, 'event 1 is on and does not count'],
      [ATTR_PINNED, ''],
    ] as const) {
      const rig = new WatchedRig();
      rig.open(ANY_USER, 0, 0, first);
      rig.open(CALLSTACK_USER, 0, 0, ATTR_PINNED);
      force(event(rig, 1), false);
      expect(look(rig)).toContain(says);
      if (says === '') expect(look(rig)).toBe('');
    }
  });

  it('an event that is off is in nobody’s way', () => {
    const rig = new WatchedRig();
    rig.open(ANY_USER, 0, 0, ATTR_DISABLED);
    rig.open(CALLSTACK_USER);
    force(event(rig, 1), false);
    expect(look(rig)).toContain('event 1 is on');
  });

  it('four events share the counters, and a fifth waits', () => {
    const rig = new WatchedRig();
    for (let i = 0; i < 5; i++) rig.open(CALLSTACK_USER);
    const counting = rig.m.cpu(0).kernel.events.filter(({ oncpu, used }) => used && oncpu === 0);
    expect([look(rig), counting.length]).toEqual(['', 4]);
    rig.m.close(0, 0);
    expect([look(rig), event(rig, 4).oncpu]).toEqual(['', -1]);
    for (const task of [1, 0]) rig.m.switchTask(0, task);
    expect([look(rig), event(rig, 4).oncpu]).toEqual(['', 0]);
    // Once it has counted, it has no excuse.
    force(event(rig, 4), false);
    expect(look(rig)).toContain('event 4 is on');
  });

  it('an event that had to wait goes on waiting until it is scheduled again', () => {
    const rig = new WatchedRig();
    rig.open(ANY_USER);
    rig.open(CALLSTACK_USER);
    rig.m.close(0, 0);
    expect([look(rig), event(rig, 1).oncpu]).toEqual(['', -1]);
    for (const task of [1, 0]) rig.m.switchTask(0, task);
    expect([look(rig), event(rig, 1).oncpu]).toEqual(['', 0]);
    force(event(rig, 1), false);
    expect(look(rig)).toContain('event 1 is on');
  });

  it('nothing is said of a family of which one has given way for good', () => {
    const rig = new WatchedRig();
    rig.open(ANY_USER, -1, 0, ATTR_PINNED);
    rig.open(CALLSTACK_USER, 0, 0, ATTR_PINNED | ATTR_INHERIT);
    expect(event(rig, 1).state).toBe(perf.PERF_EVENT_STATE_ERROR);
    rig.m.fork(0);
    rig.m.close(0, 0);
    // By way of task 1, contexts are not swapped.
    for (const task of [1, 3, 1, 0, 1, 3]) rig.m.switchTask(0, task);
    expect(look(rig)).toBe('');
    // An ioctl makes it known again.
    for (const task of [1, 0]) rig.m.switchTask(0, task);
    rig.m.enable(0, 1);
    expect([look(rig), event(rig, 1).oncpu]).toEqual(['', 0]);
    force(event(rig, 1), false);
    expect(look(rig)).toContain('event 1 is on');
  });

  it('nothing is judged while a function is under way, and all is afterwards', () => {
    const rig = new WatchedRig({ vcpus: 2, pcpus: 2 });
    rig.open(CALLSTACK_USER, 0);
    rig.m.arm(1, -1, 2);
    rig.m.open(1, 1, 0, CALLSTACK_USER);
    expect(rig.m.ports[1].suspended).not.toBe(0);
    force(event(rig), false);
    expect(look(rig)).toBe('');
    rig.m.switchTo(1, 1);
    rig.m.resume(1);
    expect(look(rig)).toContain('event 0 is on');
  });

  it('a kernel that is started anew has no events', () => {
    const rig = new WatchedRig();
    rig.open(CALLSTACK_USER, -1);
    rig.open(CALLSTACK_USER);
    rig.m.kexec(0);
    expect(look(rig)).toBe('');
    rig.open(CALLSTACK_USER, -1, 0, ATTR_DISABLED);
    expect(look(rig)).toBe('');
    force(event(rig), true);
    expect(look(rig)).toBe('v0: event 0 counts and is off');
  });

  it('an event in the place of one that waited has no excuse, nor one behind a refusal', () => {
    const rig = new WatchedRig();
    rig.open(ANY_USER);
    rig.open(CALLSTACK_USER);
    for (const id of [1, 0]) rig.m.close(0, id);
    rig.open(CALLSTACK_USER, 0, 0, ATTR_DISABLED);
    expect(rig.m.open(0, 0, 0, perf.PERF_SAMPLE_BRANCH_USER)).toBe(-perf.EINVAL);
    rig.open(CALLSTACK_USER, 1);
    // The kernel takes the event to be off.
    event(rig, 1).state = perf.PERF_EVENT_STATE_OFF;
    rig.m.switchTask(0, 1);
    expect(look(rig)).toContain('event 1 is on and does not count');
  });

  it('what was asked for before a jump in time is not known', () => {
    const rig = new WatchedRig();
    rig.open(CALLSTACK_USER);
    rig.monitor.forget();
    force(event(rig), false);
    expect(look(rig)).toBe('');
  });
});

describe('events-true', () => {
  /** A task with an event that its child inherits; both run in turn, so contexts are swapped. */
  function family(attr = ATTR_INHERIT): WatchedRig {
    const rig = new WatchedRig();
    rig.open(CALLSTACK_USER, 0, 0, attr);
    rig.m.fork(0);
    for (const task of [3, 0, 3]) rig.m.switchTask(0, task);
    return rig;
  }

  it('a swap of contexts that are clones changes nothing', () => {
    const rig = family();
    expect(rig.reach('clone-swap')).toBeGreaterThan(0);
    expect(look(rig)).toBe('');
    expect(rig.reach('events-judged')).toBeGreaterThan(6);
  });

  it('a child inherits what is to be inherited, on or off', () => {
    const alone = family(0);
    expect([look(alone), event(alone, 1).used]).toEqual(['', 0]);
    const off = new WatchedRig();
    off.open(CALLSTACK_USER, 0, 0, ATTR_INHERIT);
    off.m.disable(0, 0);
    off.m.fork(0);
    off.m.switchTask(0, 3);
    expect(look(off)).toBe('');
    force(event(off, 1), true);
    expect(look(off)).toContain('counts and is');
  });

  it('an ioctl is about all that inherited the event', () => {
    const rig = family();
    rig.m.disable(0, 0);
    for (const task of [0, 3]) rig.m.switchTask(0, task);
    expect(look(rig)).toBe('');
    rig.m.enable(0, 0);
    for (const task of [0, 3]) rig.m.switchTask(0, task);
    expect(look(rig)).toBe('');
    const { events } = rig.m.cpu(0).kernel;
    force(events[events.findIndex(({ oncpu }) => oncpu === 0)], false);
    expect(look(rig)).toContain('is on and does not count');
  });

  it('a close takes an event and all that inherited it', () => {
    const rig = family();
    rig.m.close(0, 0);
    expect(look(rig)).toBe('');
    expect(rig.m.cpu(0).kernel.events.every(({ used }) => used === 0)).toBe(true);
    // The slot is used again, by an event that nobody inherits.
    rig.open(CALLSTACK_USER, 3);
    rig.m.fork(0);
    rig.m.switchTask(0, 4);
    expect([look(rig), event(rig).oncpu]).toEqual(['', -1]);
    rig.m.switchTask(0, 3);
    expect([look(rig), event(rig).oncpu]).toEqual(['', 0]);
    force(event(rig), false);
    expect(look(rig)).toContain('event 0 is on');
  });

  it.each([
    ['lacks an event of its own', (rig: WatchedRig): void => void (event(rig).parent = 3)],
    ['holds an event twice', (rig: WatchedRig): void => void (event(rig, 1).parent = 1)],
    ["holds another's event", hideOne],
  ] as const)('a context %s', (says, change) => {
    const rig = new WatchedRig();
    rig.open(CALLSTACK_USER, 0);
    rig.open(CALLSTACK_USER, 0);
    expect(look(rig)).toBe('');
    change(rig);
    look(rig);
    expect(rig.ownDetail(TRUE)).toBe(`v0: the context of task 0 ${says}`);
    expect(rig.breaker(TRUE)).toBe('kernel');
  });

  /** Hides that task 0 has opened its second event. */
  function hideOne(rig: WatchedRig): void {
    const { events } = rig.monitor as unknown as { events: { owned: Int32Array } };
    events.owned[0] &= ~2;
  }

  it('events of which two are opened at once are not followed', () => {
    const rig = new WatchedRig({ vcpus: 2, pcpus: 2 });
    rig.m.arm(1, -1, 2);
    expect(rig.m.open(1, 1, 0, CALLSTACK_USER)).toBe(0);
    expect(rig.m.ports[1].suspended).not.toBe(0);
    rig.open(CALLSTACK_USER, 0);
    rig.m.switchTo(1, 1);
    rig.m.resume(1);
    force(event(rig, 1), false);
    expect(look(rig)).toBe('');
  });
});

describe.each(imageVersions('6.1', '7.3'))('events of Linux %s', (version) => {
  let driver: DriverKind;

  beforeAll(async () => {
    driver = imageDriver(await imageOf(version));
  }, 300_000);

  it('execve enables what waits for it', () => {
    const rig = new WatchedRig({ driver });
    rig.open(CALLSTACK_USER, 0, 0, perf.ATTR_ENABLE_ON_EXEC | ATTR_DISABLED | ATTR_INHERIT);
    expect([look(rig), event(rig).oncpu]).toEqual(['', -1]);
    rig.m.exec(0);
    expect([look(rig), event(rig).oncpu]).toEqual(['', 0]);
    rig.m.fork(0);
    for (const task of [3, 0, 3]) rig.m.switchTask(0, task);
    expect(look(rig)).toBe('');
  });

  it('an event that is bound to a CPU counts there alone', () => {
    const rig = new WatchedRig({ driver, vcpus: 2, pcpus: 2 });
    rig.open(CALLSTACK_USER, 0, 0, perf.ATTR_BOUND);
    expect([look(rig), event(rig).oncpu]).toEqual(['', 0]);
    rig.m.switchTask(0, 2);
    rig.m.switchTask(1, 0);
    expect([look(rig), event(rig).oncpu]).toEqual(['', -1]);
    expect(rig.breaker(COUNT)).toBe('nobody');
  });

  it('a task that exits has no events, and its children keep theirs', () => {
    const rig = new WatchedRig({ driver });
    rig.open(CALLSTACK_USER, 0, 0, ATTR_INHERIT);
    rig.m.fork(0);
    rig.m.taskExit(0, 3);
    expect(look(rig)).toBe('');
    expect(rig.m.cpu(0).kernel.events.some(({ oncpu, used }) => used && oncpu === 0)).toBe(true);
    rig.m.switchTask(0, 1);
    expect(look(rig)).toBe('');
  });

  it('an event of a cgroup counts while a task of it runs, and for no other', () => {
    for (const [attr, cgroup, counts] of [
      [perf.ATTR_CGROUP_A, 0, false],
      [perf.ATTR_CGROUP_A, 1, true],
      [perf.ATTR_CGROUP_A, 2, true],
      [perf.ATTR_CGROUP_B, 1, false],
      [perf.ATTR_CGROUP_B, 2, true],
    ] as const) {
      for (const how of ['open first', 'move first', 'fork']) {
        const rig = new WatchedRig({ driver });
        if (how !== 'open first') rig.m.moveTask(0, cgroup);
        if (how === 'fork') rig.m.fork(0);
        rig.open(CALLSTACK_USER, -1, 0, attr);
        if (how === 'open first') rig.m.moveTask(0, cgroup);
        if (how === 'fork') rig.m.switchTask(0, 3);
        expect([look(rig), event(rig).oncpu === 0]).toEqual(['', counts]);
        lie(rig, !counts);
        expect(look(rig)).toContain(counts ? 'is on and does not count' : 'counts and is not');
      }
    }
  });

  /** The kernel's words say that an event counts, or not, whatever the C has. */
  function lie(rig: WatchedRig, counts: boolean, id = 0): void {
    const image = rig.m.ports[0] as unknown as { image: { look: () => void } };
    const { look: truth } = Object.getPrototypeOf(Object.getPrototypeOf(image.image)) as {
      look: () => void;
    };
    image.image.look = function (): void {
      truth.call(this);
      force(event(rig, id), counts);
    };
  }

  it('an event of a cgroup is in nobody’s way while no task of that runs', () => {
    const rig = new WatchedRig({ driver });
    rig.open(ANY_USER, -1, 0, perf.ATTR_CGROUP_A);
    rig.open(CALLSTACK_USER, -1);
    lie(rig, false, 1);
    expect(look(rig)).toContain('event 1 is on and does not count');
  });

  it('an event that is closed is no longer of a cgroup', () => {
    const rig = new WatchedRig({ driver });
    rig.open(CALLSTACK_USER, -1, 0, perf.ATTR_CGROUP_A);
    rig.m.close(0, 0);
    rig.open(CALLSTACK_USER, -1);
    expect([look(rig), event(rig).oncpu]).toEqual(['', 0]);
  });
});
