/** What perf gives KVM for the time in the guest, Linux 7.0 and later, and takes back. */
import { describe, expect, it } from 'vitest';
import * as core from '../../../src/guest/perf/events_core.js';
import * as guest from '../../../src/guest/perf/events_guest.js';
import * as perf from '../../../src/guest/perf/perf_event.js';
import * as msrs from '../../../src/hw/msr_index.js';
import { ANY, ANY_SELECT, CALLSTACK, CTRL_OFF, CTRL_ON, Rig, steps } from '../../rig/kernel.js';

const { ATTR_PINNED, EVENT_ALL, EVENT_TIME } = perf;
const ALL = EVENT_ALL | EVENT_TIME;

const load = ({ cpu }: Rig): void => guest.perf_load_guest_context(cpu);
const put = ({ cpu }: Rig): void => guest.perf_put_guest_context(cpu);

/** The states of events, in the order of their numbers. */
const states = ({ kernel }: Rig): number[] =>
  kernel.events.filter(({ used }) => used !== 0).map(({ state }) => state);

function rig73(): Rig {
  return new Rig({ version: '7.3' });
}

describe('perf_load_guest_context', () => {
  it('perf_load_guest_context takes events of the CPU and of the task off, and no more', () => {
    const rig = rig73();
    const own = [rig.open(-1, ANY), rig.open(-1, ANY, ATTR_PINNED), rig.open(0, ANY)];
    const { ctx, cpuctx } = rig.cpu;
    const task = cpuctx.task_ctx;
    load(rig);
    expect([rig.onPmu(), states(rig)]).toEqual([[], [0, 0, 0]]);
    expect(own.map(({ total_time_running }) => total_time_running)).toEqual([1, 1, 1]);
    // The contexts are active as before: the clock of each of them goes on.
    expect([cpuctx.task_ctx, cpuctx.task_epc]).toEqual([task, task]);
    expect([ctx.is_active, rig.kernel.ctx(task).is_active]).toEqual([ALL, ALL]);
    expect([rig.cpu.cpuc.lbr_users, cpuctx.pmu_disable_count]).toEqual([0, 0]);
    expect(cpuctx.guest_ctx_loaded).toBe(1);
  });

  it('perf_load_guest_context turns LBR off, and saves no call stack', () => {
    const rig = rig73();
    rig.open(0, CALLSTACK);
    rig.take();
    load(rig);
    expect(rig.take()).toEqual(steps(CTRL_OFF, 'r DEBUGCTL', 'w DEBUGCTL 0', CTRL_ON));
    expect(rig.cpu.cpuctx.sched_cb_usage).toBe(0);
  });

  it('perf_load_guest_context clears rotate_necessary, as each schedule out does', () => {
    const rig = rig73();
    rig.open(-1, ANY);
    rig.cpu.ctx.rotate_necessary = 1;
    load(rig);
    expect(rig.cpu.ctx.rotate_necessary).toBe(0);
  });

  it('perf_load_guest_context stops no PMU where there is no event', () => {
    const rig = rig73();
    load(rig);
    expect([rig.take(), rig.cpu.cpuctx.guest_ctx_loaded]).toEqual([[], 1]);
  });

  it('perf_load_guest_context forgets a task context that was not active', () => {
    const rig = rig73();
    rig.open(0, ANY);
    const { cpuctx } = rig.cpu;
    const ctx = rig.kernel.ctx(cpuctx.task_ctx);
    ctx.is_active = EVENT_TIME;
    load(rig);
    expect([ctx.is_active, cpuctx.task_ctx, cpuctx.task_epc]).toEqual([0, 0, 0]);
    // perf_ctx_enable() is not reached for it, in the C no more than here.
    expect(cpuctx.pmu_disable_count).toBe(1);
  });

  it('perf_load_guest_context is of 7.0 and later, and of one guest at a time', () => {
    expect(() => load(new Rig())).toThrow('from 7.0 on');
    const rig = rig73();
    load(rig);
    expect(() => load(rig)).toThrow('one guest at a time');
  });
});

describe('perf_put_guest_context', () => {
  it('perf_put_guest_context brings events back: CPU before task, pinned before flexible', () => {
    const rig = rig73();
    rig.open(0, ANY);
    rig.open(-1, ANY);
    rig.open(0, ANY, ATTR_PINNED);
    rig.open(-1, ANY, ATTR_PINNED);
    load(rig);
    put(rig);
    expect([rig.onPmu(), states(rig)]).toEqual([
      [3, 2, 1, 0],
      [1, 1, 1, 1],
    ]);
    const { cpuc, cpuctx, ctx } = rig.cpu;
    expect([cpuc.lbr_users, cpuctx.guest_ctx_loaded, cpuctx.pmu_disable_count]).toEqual([4, 0, 0]);
    expect([ctx.is_active, rig.kernel.ctx(cpuctx.task_ctx).is_active]).toEqual([ALL, ALL]);
  });

  it('perf_put_guest_context writes LBR_SELECT and DEBUGCTL, and brings no record back', () => {
    const rig = rig73();
    rig.open(-1, ANY);
    load(rig);
    rig.port.set(msrs.MSR_LBR_SELECT, 7);
    rig.take();
    put(rig);
    const on = [`w SELECT ${ANY_SELECT}`, 'r DEBUGCTL', 'w DEBUGCTL 801'];
    expect(rig.take()).toEqual(steps(CTRL_OFF, on, CTRL_ON));
  });

  it('perf_put_guest_context makes a context active that was not', () => {
    const rig = rig73();
    rig.open(0, ANY);
    const { cpuctx } = rig.cpu;
    const [task, ctx] = [cpuctx.task_ctx, rig.kernel.ctx(cpuctx.task_ctx)];
    load(rig);
    ctx.is_active = 0;
    put(rig);
    expect([ctx.is_active, cpuctx.task_ctx, states(rig)]).toEqual([ALL, task, [1]]);
    ctx.is_active = 0;
    cpuctx.task_ctx = 0;
    load(rig);
    put(rig);
    expect([ctx.is_active, cpuctx.task_ctx]).toEqual([0, 0]);
  });

  it('perf_put_guest_context leaves what is off or in ERROR as it is', () => {
    const rig = rig73();
    rig.disable(rig.open(-1, ANY));
    rig.open(-1, ANY, ATTR_PINNED);
    rig.open(-1, CALLSTACK, ATTR_PINNED);
    const before = states(rig);
    load(rig);
    put(rig);
    expect([before, states(rig)]).toEqual([
      [-1, 1, -2],
      [-1, 1, -2],
    ]);
  });

  it('perf_put_guest_context needs a load before', () => {
    expect(() => put(rig73())).toThrow('only a guest that has the PMU');
  });
});

describe('merge_sched_in', () => {
  it('merge_sched_in brings no event of the host on while a guest has the PMU', () => {
    const rig = rig73();
    const first = rig.open(-1, ANY);
    load(rig);
    rig.open(-1, ANY, ATTR_PINNED);
    core.perf_event_sched_in(rig.cpu, null);
    expect([rig.onPmu(), states(rig)]).toEqual([[], [0, 0]]);
    // Nor does an event that waits for the guest ask for a turn, or end in ERROR.
    expect([rig.cpu.ctx.rotate_necessary, rig.cpu.cpuctx.hrtimer_active]).toEqual([0, 0]);
    put(rig);
    expect([first.state, states(rig)]).toEqual([1, [1, 1]]);
  });
});
