/**
 * What kernel/events/core.c of Linux 6.1 promises when events are scheduled, cloned, closed and
 * inherited: one test for each promise. trace.test.ts compares the port with the C as a whole.
 */
import { describe, expect, it } from 'vitest';
import * as syscall from '../../../src/guest/perf/events_syscall.js';
import { EINVAL, EOPNOTSUPP } from '../../../src/guest/perf/perf_event.js';
import * as perf from '../../../src/guest/perf/perf_event.js';
import { X86_BR_ANY, X86_BR_USER } from '../../../src/guest/perf/x86_br.js';
import { ANY, CALLSTACK, Rig } from '../../rig/kernel.js';

const { ATTR_DISABLED, ATTR_INHERIT, ATTR_PINNED } = perf;
const ACTIVE = perf.PERF_EVENT_STATE_ACTIVE;
const INACTIVE = perf.PERF_EVENT_STATE_INACTIVE;
const OFF = perf.PERF_EVENT_STATE_OFF;
const ERROR = perf.PERF_EVENT_STATE_ERROR;
const DEAD = perf.PERF_EVENT_STATE_DEAD;
/** The CPU has no hardware filter, so events compete only for its four counters. */
const COUNTERS = 4;

describe('ctx_sched_in', () => {
  it('events go in as: pinned CPU, pinned task, flexible CPU, flexible task', () => {
    const rig = new Rig();
    const flexTask = rig.open(2, ANY);
    const pinTask = rig.open(2, ANY, ATTR_PINNED);
    const flexCpu = rig.open(-1, ANY);
    const pinCpu = rig.open(-1, ANY, ATTR_PINNED);
    expect(rig.onPmu()).toEqual([pinCpu.id, flexCpu.id]);
    rig.switchTo(2);
    expect(rig.onPmu()).toEqual([pinCpu.id, pinTask.id, flexCpu.id, flexTask.id]);
  });

  it('CPU events never move for a task without pinned events', () => {
    const rig = new Rig();
    const flexTask = rig.open(2, ANY);
    const flexCpu = rig.open(-1, ANY);
    const pinCpu = rig.open(-1, ANY, ATTR_PINNED);
    rig.disable(flexCpu);
    rig.enable(flexCpu);
    rig.switchTo(2);
    expect(rig.onPmu()).toEqual([pinCpu.id, flexCpu.id, flexTask.id]);
    expect(rig.cpu.cpuctx.task_ctx).toBe(rig.ctxOf(2) + 1);
  });

  it('a pinned task event always pushes out flexible CPU events', () => {
    const rig = new Rig();
    const flexible = Array.from({ length: COUNTERS }, () => rig.open(-1, ANY));
    const pinned = rig.open(0, ANY, ATTR_PINNED);
    expect(rig.onPmu()).toEqual([pinned.id, ...flexible.slice(0, -1).map((e) => e.id)]);
    expect(flexible.map((e) => e.state)).toEqual([ACTIVE, ACTIVE, ACTIVE, INACTIVE]);
    expect(rig.cpu.ctx.rotate_necessary).toBe(1);
  });

  it('a flexible task event never pushes out anything', () => {
    const rig = new Rig();
    const flexible = Array.from({ length: COUNTERS }, () => rig.open(-1, ANY));
    const late = rig.open(0, ANY);
    expect(rig.onPmu()).toEqual(flexible.map((e) => e.id));
    expect(late.state).toBe(INACTIVE);
  });

  it('a flexible event is never tried after one that did not fit', () => {
    const rig = new Rig();
    const first = rig.open(-1, ANY);
    const other = rig.open(0, CALLSTACK);
    const same = rig.open(0, ANY);
    // `same` would fit, but perf tries no more flexible events of the task after `other`.
    expect([first.state, other.state, same.state]).toEqual([ACTIVE, INACTIVE, INACTIVE]);
  });

  it('no event is ever scheduled again because another one is gone', () => {
    const rig = new Rig();
    const first = rig.open(-1, ANY);
    const waiting = rig.open(0, CALLSTACK);
    rig.close(first);
    expect([waiting.state, rig.onPmu()]).toEqual([INACTIVE, []]);
    rig.switchTo(2);
    rig.switchTo(0);
    expect(waiting.state).toBe(ACTIVE);
  });
});

describe('a pinned event that does not fit', () => {
  it('a pinned event that does not fit stays in ERROR until it is enabled anew', () => {
    const rig = new Rig();
    const holder = rig.open(-1, ANY, ATTR_PINNED);
    const pinned = rig.open(0, CALLSTACK, ATTR_PINNED);
    expect(pinned.state).toBe(ERROR);
    rig.close(holder);
    for (const next of [2, 0]) rig.switchTo(next);
    expect(pinned.state).toBe(ERROR);
    rig.enable(pinned);
    expect([pinned.state, rig.onPmu()]).toEqual([ACTIVE, [pinned.id]]);
  });

  it('a pinned event that does not fit takes the pinned events behind it along', () => {
    const rig = new Rig();
    rig.open(-1, ANY, ATTR_PINNED);
    const events = [CALLSTACK, ANY].map((type) => rig.open(2, type, ATTR_PINNED));
    rig.switchTo(2);
    expect(events.map((e) => e.state)).toEqual([ERROR, ERROR]);
  });

  it('a pinned event in ERROR is never disabled: ERROR lies below OFF', () => {
    const rig = new Rig();
    rig.open(-1, ANY, ATTR_PINNED);
    const pinned = rig.open(0, CALLSTACK, ATTR_PINNED);
    rig.disable(pinned);
    expect(pinned.state).toBe(ERROR);
  });
});

describe('group_sched_in', () => {
  it('group_sched_in always takes back what a failed commit counted', () => {
    const rig = new Rig();
    rig.open(-1, ANY, ATTR_PINNED);
    const failed = rig.open(0, CALLSTACK);
    expect([failed.state, failed.oncpu, failed.total_time_running]).toEqual([INACTIVE, -1, 0]);
    expect(rig.usersOf(0)).toBe(0);
    const { cpuc, cpuctx } = rig.cpu;
    expect([cpuc.lbr_users, cpuctx.sched_cb_usage, cpuc.lbr_sel_ref]).toEqual([1, 1, 1]);
    expect([cpuc.n_events, cpuc.n_added, cpuc.txn_flags, cpuc.n_txn]).toEqual([1, 0, 0, 0]);
    expect(rig.kernel.contexts[rig.ctxOf(0)].nr_active).toBe(0);
  });

  // A quirk of Linux: group_sched_in() does not restore br_sel, which is the software filter.
  it('a failed group_sched_in always leaves the software filter of the event that failed', () => {
    const rig = new Rig();
    rig.open(0, CALLSTACK, ATTR_PINNED);
    rig.open(0, ANY);
    expect(rig.cpu.cpuc.br_sel).toBe(X86_BR_USER | X86_BR_ANY);
  });

  // As a result, the del of the event that is on does not lower the count of call-stack users.
  it('after a failed group_sched_in the count of call-stack users is always wrong', () => {
    const rig = new Rig();
    rig.open(0, CALLSTACK, ATTR_PINNED);
    rig.open(0, ANY);
    for (const next of [2, 0]) rig.switchTo(next);
    expect(rig.usersOf(0)).toBe(2);
  });
});

describe('perf_install_in_context', () => {
  it('a first event always gets its context scheduled, even if it is disabled', () => {
    const rig = new Rig();
    const event = rig.open(0, CALLSTACK, ATTR_DISABLED);
    const ctx = rig.kernel.contexts[rig.ctxOf(0)];
    expect([event.state, ctx.is_active]).toEqual([OFF, perf.EVENT_ALL | perf.EVENT_TIME]);
    expect(rig.cpu.cpuctx.task_ctx).toBe(ctx.id + 1);
    rig.take();
    rig.open(0, CALLSTACK, ATTR_DISABLED);
    expect([rig.take(), ctx.nr_events]).toEqual([[], 2]);
  });

  it('an event of a task that does not run here never touches the PMU', () => {
    const rig = new Rig();
    const event = rig.open(2, CALLSTACK);
    const ctx = rig.kernel.contexts[rig.ctxOf(2)];
    expect([rig.take(), event.state, ctx.is_active]).toEqual([[], INACTIVE, 0]);
    expect([ctx.nr_events, ctx.generation]).toEqual([1, 1]);
  });
});

describe('perf_event_open', () => {
  it('an event that the PMU refuses leaves the slot and the context alone', () => {
    const rig = new Rig();
    rig.open(0, CALLSTACK);
    const { generation } = rig.kernel.contexts[rig.ctxOf(0)];
    const bad = CALLSTACK | perf.PERF_SAMPLE_BRANCH_COND;
    expect(syscall.perf_event_open(rig.cpu, 5, 0, 0, bad)).toBe(-EINVAL);
    expect(rig.kernel.events[5].used).toBe(0);
    expect(rig.kernel.contexts[rig.ctxOf(0)].generation).toBe(generation);
    const none = new Rig({ model: { ...rig.kernel.config.model, lbr_nr: 0 } });
    expect(syscall.perf_event_open(none.cpu, 0, 0, 0, ANY)).toBe(-EOPNOTSUPP);
  });

  it('an event that names no level gets all of them, and one that names levels alone none', () => {
    const rig = new Rig();
    const { PERF_SAMPLE_BRANCH_ANY, PERF_SAMPLE_BRANCH_KERNEL, PERF_SAMPLE_BRANCH_USER } = perf;
    const all = PERF_SAMPLE_BRANCH_USER | PERF_SAMPLE_BRANCH_KERNEL | perf.PERF_SAMPLE_BRANCH_HV;
    const typeOf = (asked: number): number => rig.open(0, asked).branch_sample_type;
    expect(typeOf(PERF_SAMPLE_BRANCH_ANY)).toBe(PERF_SAMPLE_BRANCH_ANY | all);
    for (const level of [PERF_SAMPLE_BRANCH_USER, PERF_SAMPLE_BRANCH_KERNEL]) {
      const type = PERF_SAMPLE_BRANCH_ANY | level;
      expect(typeOf(type)).toBe(type);
    }
    for (const levels of [0, PERF_SAMPLE_BRANCH_USER, all]) {
      expect(syscall.perf_event_open(rig.cpu, 5, 0, 0, levels)).toBe(-EINVAL);
      expect(rig.kernel.events[5].used).toBe(0);
    }
  });

  it('a context gets one buffer for call stacks, once an event wants it', () => {
    const rig = new Rig();
    rig.open(0, ANY);
    const ctx = rig.kernel.contexts[rig.ctxOf(0)];
    expect(ctx.task_ctx_data).toBe(0);
    rig.open(0, CALLSTACK);
    rig.open(2, CALLSTACK);
    expect(rig.open(0, CALLSTACK).cpu).toBe(-1);
    expect([ctx.task_ctx_data, rig.kernel.contexts[rig.ctxOf(2)].task_ctx_data]).toEqual([1, 2]);
    expect(rig.open(-1, CALLSTACK).cpu).toBe(0);
    expect(rig.cpu.ctx.task_ctx_data).toBe(0);
  });
});

describe('enableFamily and disableFamily', () => {
  it('enable and disable reach the event, all inherited from it, and no other', () => {
    const rig = new Rig();
    const event = rig.open(0, CALLSTACK, ATTR_INHERIT);
    const children = [rig.fork(), rig.fork()];
    const stranger = rig.open(0, CALLSTACK);
    const family = rig.kernel.events.filter((e) => e.parent === event.id + 1);
    expect(family.map((e) => e.ctx - 1)).toEqual(children.map((task) => rig.ctxOf(task)));
    rig.disable(event);
    expect([event, ...family, stranger].map((e) => e.state)).toEqual([OFF, OFF, OFF, ACTIVE]);
    rig.enable(event);
    expect([event, ...family].map((e) => e.state)).toEqual([ACTIVE, INACTIVE, INACTIVE]);
  });

  it('enable and disable never change an event twice', () => {
    const rig = new Rig();
    const event = rig.open(0, CALLSTACK);
    rig.take();
    rig.enable(event);
    expect(rig.take()).toEqual([]);
    rig.disable(event);
    rig.take();
    rig.disable(event);
    expect(rig.take()).toEqual([]);
    expect([event.state, rig.idle()]).toEqual([OFF, true]);
  });

  it('enable never revives a dead event', () => {
    const rig = new Rig();
    const event = rig.open(0, CALLSTACK, ATTR_DISABLED);
    event.state = DEAD;
    rig.enable(event);
    expect(event.state).toBe(DEAD);
  });
});

describe('perf_event_release_kernel', () => {
  it('a close takes the inherited events along, and leaves nothing counted', () => {
    const rig = new Rig();
    const event = rig.open(0, CALLSTACK, ATTR_INHERIT);
    const child = rig.fork();
    rig.switchTo(child);
    rig.close(event);
    expect(rig.kernel.events.map((e) => e.used + e.ctx).every((n) => n === 0)).toBe(true);
    expect(event.state).toBe(DEAD);
    expect(rig.idle()).toBe(true);
    expect([rig.usersOf(0), rig.usersOf(child)]).toEqual([0, 0]);
  });

  it('a close never reaches the children of an event that had the slot before', () => {
    const rig = new Rig();
    const event = rig.open(0, CALLSTACK, ATTR_INHERIT);
    rig.fork();
    rig.close(event);
    expect(rig.open(0, CALLSTACK).id).toBe(event.id);
    rig.close(event);
    expect([event.state, rig.idle()]).toEqual([DEAD, true]);
  });

  // Code that finds the event before its end must not send a signal for it.
  it('a close always takes the event off as one that is to be disabled', () => {
    const rig = new Rig();
    const [active, asleep] = [rig.open(0, CALLSTACK), rig.open(2, CALLSTACK)];
    for (const event of [active, asleep]) rig.close(event);
    expect([active.pending_disable, asleep.pending_disable]).toEqual([0, 1]);
  });

  it('a close rests the context with its last event, and never before', () => {
    const rig = new Rig();
    const [first, second] = [rig.open(0, CALLSTACK), rig.open(0, CALLSTACK)];
    const ctx = rig.kernel.contexts[rig.ctxOf(0)];
    rig.close(first);
    expect([ctx.is_active !== 0, ctx.event(0), rig.cpu.cpuctx.task_ctx]).toEqual([
      true,
      second.id,
      ctx.id + 1,
    ]);
    rig.close(second);
    expect([ctx.is_active, ctx.nr_events, rig.cpu.cpuctx.task_ctx]).toEqual([0, 0, 0]);
    const onCpu = rig.open(-1, ANY);
    rig.open(0, ANY);
    rig.close(onCpu);
    expect([rig.cpu.ctx.is_active, rig.cpu.cpuctx.task_ctx]).toEqual([0, ctx.id + 1]);
  });
});

describe('perf_event_init_task', () => {
  it('a fork clones the context when every event is inherited', () => {
    const rig = new Rig();
    rig.open(0, ANY, ATTR_INHERIT);
    rig.open(0, CALLSTACK, ATTR_INHERIT | ATTR_PINNED);
    expect(syscall.inheritedEvents(rig.kernel, 0)).toBe(2);
    const child = rig.fork();
    const [parentCtx, ctx] = [0, child].map((task) => rig.kernel.contexts[rig.ctxOf(task)]);
    expect([ctx.parent_ctx, ctx.parent_gen]).toEqual([parentCtx.id + 1, parentCtx.generation]);
    // Pinned events are inherited first, whatever the order in the parent.
    const types = [0, 1].map((i) => rig.kernel.events[ctx.event(i)].branch_sample_type);
    expect(types).toEqual([CALLSTACK, ANY]);
    expect(ctx.task_ctx_data).not.toBe(parentCtx.task_ctx_data);
  });

  it('a fork never clones the context when one event stays behind', () => {
    const rig = new Rig();
    rig.open(0, ANY, ATTR_INHERIT);
    rig.open(0, ANY);
    const ctx = rig.kernel.contexts[rig.ctxOf(rig.fork())];
    expect([ctx.nr_events, ctx.parent_ctx]).toEqual([1, 0]);
  });

  it('a child never gets a context when it inherits nothing', () => {
    const rig = new Rig();
    expect(rig.kernel.tasks[rig.fork()].perf_event_ctxp).toBe(0);
    rig.open(0, ANY);
    expect([
      syscall.inheritedEvents(rig.kernel, 0),
      syscall.inheritedEvents(rig.kernel, 1),
    ]).toEqual([0, 0]);
    expect(rig.kernel.tasks[rig.fork()].perf_event_ctxp).toBe(0);
  });

  it('a clone of a clone is a clone of the first context, and so are its events', () => {
    const rig = new Rig();
    const event = rig.open(0, CALLSTACK, ATTR_INHERIT);
    const first = rig.kernel.contexts[rig.ctxOf(0)];
    const child = rig.fork();
    rig.switchTo(child);
    const grandchild = rig.kernel.contexts[rig.ctxOf(rig.fork())];
    expect([grandchild.parent_ctx, grandchild.parent_gen]).toEqual([first.id + 1, 1]);
    expect(rig.kernel.events[grandchild.event(0)].parent).toBe(event.id + 1);
  });

  it('an inherited event always has the state of its parent, whatever its attribute', () => {
    const rig = new Rig();
    const states = [ACTIVE, OFF, ERROR, INACTIVE].map((state) => {
      const attr = ATTR_INHERIT | (state === OFF ? 0 : ATTR_DISABLED);
      const event = rig.open(0, ANY, attr);
      event.state = state;
      const ctx = rig.kernel.contexts[rig.ctxOf(rig.fork())];
      const inherited = rig.kernel.events[ctx.event(0)].state;
      event.state = OFF;
      rig.close(event);
      return inherited;
    });
    expect(states).toEqual([INACTIVE, OFF, OFF, INACTIVE]);
  });
});
