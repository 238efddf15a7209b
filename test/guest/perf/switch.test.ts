/**
 * The context switch of kernel/events/core.c, Linux 6.1, with its MSR accesses: the order of
 * callbacks, and when two tasks swap contexts instead of switching events.
 */
import { describe, expect, it } from 'vitest';
import * as msrs from '../../../src/hw/msr_index.js';
import type { KernelConfig } from '../../../src/guest/perf/kernel.js';
import * as perf from '../../../src/guest/perf/perf_event.js';
import { perf_pmu_disable, perf_pmu_enable } from '../../../src/guest/perf/events_core.js';
import { modelOf } from '../../golden/accesses.js';
import { ANY, ANY_SELECT, CALLSTACK, CALLSTACK_SELECT, CTRL_OFF } from '../../rig/kernel.js';
import { CTRL_ON, DEPTH, RESET, Rig, steps } from '../../rig/kernel.js';

const { ATTR_INHERIT } = perf;

/** Stopping the PMU around a switch. DEBUGCTL is 1 while a call stack is recorded. */
const STOP = [CTRL_OFF, 'r DEBUGCTL', 'w DEBUGCTL 0'];
const START = [`w SELECT ${CALLSTACK_SELECT}`, 'r DEBUGCTL', 'w DEBUGCTL 1', CTRL_ON];
const START_ANY = [`w SELECT ${ANY_SELECT}`, 'r DEBUGCTL', 'w DEBUGCTL 801', CTRL_ON];

/** Puts three frames into the registers, newest at TOS 1, as a task would have left them. */
function pushFrames(rig: Rig): void {
  rig.port.set(msrs.MSR_LBR_TOS, 1);
  for (const i of [0, 1, DEPTH - 1]) {
    rig.port.set(msrs.MSR_LBR_NHM_FROM + i, 0x10 + i, 0x7800);
    rig.port.set(msrs.MSR_LBR_NHM_TO + i, 0x20 + i, 0x7800);
  }
}

/** Task 0, which has a call stack, has left the CPU to task 2, which has no events. */
function away(config: Partial<KernelConfig> = {}): Rig {
  const rig = new Rig(config);
  rig.open(0, CALLSTACK);
  pushFrames(rig);
  rig.switchTo(2);
  return rig;
}

const SAVE = ['r TOS', 'r FROM1', 'r TO1', 'r FROM0', 'r TO0', 'r FROM3', 'r TO3', 'r FROM2'];
const RESTORE = steps(
  ['w FROM1 780000000011', 'w TO1 780000000021', 'w FROM0 780000000010', 'w TO0 780000000020'],
  ['w FROM3 780000000013', 'w TO3 780000000023', 'w FROM2 0', 'w TO2 0', 'w TOS 1'],
);

describe('a switch from a task with a call stack to one without events', () => {
  it('a switch away from a call stack saves with the PMU off, and leaves LBR off', () => {
    const rig = new Rig();
    rig.open(0, CALLSTACK);
    pushFrames(rig);
    rig.take();
    rig.switchTo(2);
    expect(rig.take()).toEqual([...STOP, ...SAVE, CTRL_ON]);
    expect(rig.cpu.cpuctx.task_ctx).toBe(0);
  });

  it('a switch back spares the restore when nobody saved here since', () => {
    const rig = away();
    rig.take();
    rig.switchTo(0);
    expect(rig.take()).toEqual([CTRL_OFF, 'r FROM1', ...START]);
  });

  it('a switch back always restores when a C-state wiped the stack', () => {
    const rig = away();
    for (let i = 0; i < DEPTH; i++) rig.port.set(msrs.MSR_LBR_NHM_FROM + i, 0);
    rig.take();
    rig.switchTo(0);
    expect(rig.take()).toEqual([CTRL_OFF, 'r FROM1', ...RESTORE, ...START]);
  });

  it('a record with a zero low half is never taken for a wiped one', () => {
    const rig = away();
    rig.port.set(msrs.MSR_LBR_NHM_FROM + 1, 0, 0x7800);
    rig.take();
    rig.switchTo(0);
    expect(rig.take()).toEqual([CTRL_OFF, 'r FROM1', ...START]);
  });

  it('where TSX is off, TSX flags alone are always taken for a wiped record', () => {
    const rig = away({ model: { ...modelOf('haswell-notsx'), lbr_nr: DEPTH } });
    const flags = msrs.LBR_FROM_FLAG_IN_TX_HI | msrs.LBR_FROM_FLAG_ABORT_HI;
    rig.port.set(msrs.MSR_LBR_NHM_FROM + 1, 0, flags);
    rig.take();
    rig.switchTo(0);
    expect(rig.take()).toEqual([CTRL_OFF, 'r FROM1', ...RESTORE, ...START]);
  });

  it('a switch back always restores in 4.18, which has no shortcut', () => {
    const rig = away({ version: '4.18' });
    rig.take();
    rig.switchTo(0);
    expect(rig.take()).toEqual([CTRL_OFF, ...RESTORE, ...START]);
  });

  it('a switch to the other CPU always restores', () => {
    const rig = away();
    rig.cpu = rig.kernel.cpus[1];
    rig.take();
    rig.switchTo(0);
    // The PMU is on from the boot, though no event was here yet.
    expect(rig.take()).toEqual([CTRL_OFF, ...RESTORE, ...START]);
  });
});

describe('a switch between two tasks with call stacks of their own', () => {
  it('a switch between call stacks saves the one and resets for the other', () => {
    const rig = new Rig();
    rig.open(0, CALLSTACK);
    rig.open(2, CALLSTACK);
    pushFrames(rig);
    rig.take();
    rig.switchTo(2);
    // The event of the second task is new: both its add and the callback reset the stack.
    expect(rig.take()).toEqual([...STOP, ...SAVE, CTRL_ON, CTRL_OFF, ...RESET, ...RESET, ...START]);
    rig.switchTo(0);
    expect(rig.take()).toEqual(steps(STOP, 'r TOS', 'r FROM1', CTRL_ON, CTRL_OFF, RESTORE, START));
  });
});

describe('the callback of a CPU event', () => {
  it('the callback of a CPU event wipes for a task that starts, and for none that stops', () => {
    const rig = new Rig();
    rig.open(-1, ANY);
    rig.take();
    const stop = [CTRL_OFF, 'r DEBUGCTL', 'w DEBUGCTL 0'];
    rig.switchTo(2);
    expect(rig.take()).toEqual([...stop, ...START_ANY, ...stop, ...RESET, ...START_ANY]);
  });

  it('the callback of a CPU event is not called again for a task with a context', () => {
    const rig = new Rig();
    rig.open(-1, ANY);
    rig.open(2, ANY);
    rig.take();
    rig.switchTo(2);
    const stop = [CTRL_OFF, 'r DEBUGCTL', 'w DEBUGCTL 0'];
    expect(rig.take()).toEqual([...stop, ...START_ANY, ...stop, ...RESET, ...START_ANY]);
    rig.switchTo(0);
    // sched_out's callback saves nothing, as the context goes too. sched_in runs without one.
    expect(rig.take()).toEqual([...stop, ...START_ANY, ...stop, ...RESET, ...START_ANY]);
  });

  it('the callback is never called without LBR events', () => {
    const rig = new Rig();
    rig.switchTo(2);
    rig.close(rig.open(2, CALLSTACK));
    rig.take();
    rig.switchTo(0);
    rig.switchTo(2);
    expect(rig.take()).toEqual([]);
  });
});

describe('a switch between clones', () => {
  /** Task 0 with a call stack, and its child without events of its own. */
  function family(): { readonly rig: Rig; readonly child: number } {
    const rig = new Rig();
    rig.open(0, CALLSTACK, ATTR_INHERIT);
    const child = rig.fork();
    pushFrames(rig);
    rig.take();
    return { rig, child };
  }

  it('a switch between clones saves, swaps and resets, and takes no event off the PMU', () => {
    const { rig, child } = family();
    const before = rig.onPmu();
    rig.switchOut(child);
    expect(rig.take()).toEqual([...STOP, ...SAVE, ...START]);
    rig.switchIn(child);
    expect(rig.take()).toEqual([...STOP, ...RESET, ...START]);
    expect(rig.onPmu()).toEqual(before);
  });

  it('a switch between clones always gives back each task its own stack', () => {
    const { rig, child } = family();
    rig.switchTo(child);
    rig.take();
    rig.switchTo(0);
    const save = ['r TOS', 'r FROM1'];
    expect(rig.take()).toEqual([...STOP, ...save, ...START, ...STOP, ...RESTORE, ...START]);
  });

  it('a switch between clones swaps contexts and buffers, and users stay with events', () => {
    const { rig, child } = family();
    const [a, b] = [rig.ctxOf(0), rig.ctxOf(child)].map((id) => rig.kernel.contexts[id]);
    const data = [a.task_ctx_data, b.task_ctx_data];
    rig.switchTo(child);
    expect([rig.ctxOf(0), rig.ctxOf(child)]).toEqual([b.id, a.id]);
    expect([a.task, b.task]).toEqual([child + 1, 1]);
    expect([a.task_ctx_data, b.task_ctx_data]).toEqual(data.toReversed());
    expect([rig.usersOf(child), rig.usersOf(0)]).toEqual([1, 0]);
    expect([a.is_active !== 0, b.is_active, rig.cpu.cpuctx.task_ctx]).toEqual([true, 0, a.id + 1]);
  });

  it('a switch between clones never calls back when none of the events is on', () => {
    const { rig, child } = family();
    rig.disable(rig.kernel.events[0]);
    rig.take();
    rig.switchTo(child);
    expect(rig.take()).toEqual([CTRL_OFF, CTRL_ON]);
    expect(rig.ctxOf(child)).toBe(0);
  });

  it('a user is never lost over many switches between clones', () => {
    const { rig, child } = family();
    const tasks = [0, child, rig.fork()];
    for (const next of [1, 2, 0, 2, 1, 0, 1, 0, 2]) rig.switchTo(tasks[next]);
    expect(tasks.map((task) => rig.usersOf(task))).toEqual([0, 0, 1]);
    rig.close(rig.kernel.events[0]);
    expect([tasks.map((task) => rig.usersOf(task)), rig.idle()]).toEqual([[0, 0, 0], true]);
  });
});

describe('context_equiv', () => {
  /** Whether a switch from the current task to `next` swaps contexts. */
  function swaps(rig: Rig, next: number): boolean {
    const [from, to] = [rig.ctxOf(rig.cpu.cpuctx.current), rig.ctxOf(next)];
    rig.switchTo(next);
    return rig.ctxOf(next) === from && from !== to;
  }

  function inherited(): Rig {
    const rig = new Rig();
    rig.open(0, CALLSTACK, ATTR_INHERIT);
    return rig;
  }

  it('parent and child are always equivalent, both ways', () => {
    const rig = inherited();
    const child = rig.fork();
    expect([swaps(rig, child), swaps(rig, 0)]).toEqual([true, true]);
  });

  it('siblings and a grandchild are always equivalent', () => {
    const rig = inherited();
    const [first, second] = [rig.fork(), rig.fork()];
    expect(swaps(rig, first)).toBe(true);
    const grandchild = rig.fork();
    expect([swaps(rig, second), swaps(rig, grandchild), swaps(rig, 0)]).toEqual([true, true, true]);
  });

  it('tasks that have nothing to do with each other are never equivalent', () => {
    const rig = inherited();
    rig.open(2, CALLSTACK);
    expect([swaps(rig, 2), swaps(rig, 0)]).toEqual([false, false]);
  });

  it('tasks are never equivalent once an event is opened in the child', () => {
    const rig = inherited();
    const [child, sibling] = [rig.fork(), rig.fork()];
    rig.open(child, ANY);
    expect(rig.kernel.contexts[rig.ctxOf(child)].parent_ctx).toBe(0);
    expect([swaps(rig, child), swaps(rig, sibling)]).toEqual([false, false]);
  });

  it('siblings are still equivalent when their parent has changed', () => {
    const rig = inherited();
    const [first, second] = [rig.fork(), rig.fork()];
    rig.open(0, CALLSTACK, ATTR_INHERIT);
    expect([swaps(rig, first), swaps(rig, second), swaps(rig, 0)]).toEqual([false, true, false]);
  });

  it('children of different generations are never equivalent', () => {
    const rig = inherited();
    const first = rig.fork();
    rig.close(rig.open(0, CALLSTACK, ATTR_INHERIT));
    const second = rig.fork();
    expect([swaps(rig, first), swaps(rig, second), swaps(rig, 0)]).toEqual([false, false, true]);
  });

  it('tasks are never equivalent when the event was closed in between', () => {
    const rig = inherited();
    rig.open(0, CALLSTACK);
    const child = rig.fork();
    expect(swaps(rig, child)).toBe(false);
  });
});

describe('perf_pmu_disable and perf_pmu_enable', () => {
  it('perf_pmu_disable and perf_pmu_enable nest: the first stops, the last starts', () => {
    const rig = new Rig();
    rig.open(0, CALLSTACK);
    rig.take();
    perf_pmu_disable(rig.cpu);
    expect(rig.take()).toEqual(STOP);
    perf_pmu_disable(rig.cpu);
    perf_pmu_enable(rig.cpu);
    expect(rig.take()).toEqual([]);
    perf_pmu_enable(rig.cpu);
    expect(rig.take()).toEqual(START);
  });
});

describe('opening and closing in the running task', () => {
  it('an open always resets for the first user, and starts LBR before the counters', () => {
    const rig = new Rig();
    rig.open(0, CALLSTACK);
    expect(rig.take()).toEqual([CTRL_OFF, ...RESET, ...START]);
  });

  it('an open never resets for the second user', () => {
    const rig = new Rig();
    rig.open(0, CALLSTACK);
    rig.take();
    rig.open(0, CALLSTACK);
    expect(rig.take()).toEqual([...STOP, ...START]);
  });

  it('an enable never resets for a first user that has run', () => {
    const rig = new Rig();
    const event = rig.open(0, CALLSTACK);
    rig.disable(event);
    expect(rig.take().slice(-4)).toEqual([...STOP, CTRL_ON]);
    rig.enable(event);
    expect(rig.take()).toEqual([CTRL_OFF, ...START]);
  });

  it('a close stops LBR with the last user, and leaves the records', () => {
    const rig = new Rig();
    const event = rig.open(0, CALLSTACK);
    rig.take();
    rig.close(event);
    expect(rig.take()).toEqual([...STOP, CTRL_ON]);
  });
});
