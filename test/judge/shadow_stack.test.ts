/** The real call stacks, compared with arrays; the kernel's counts of call-stack users. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as perf from '../../src/guest/perf/perf_event.js';
import { Bench } from '../../src/campaign/trial.js';
import { pvSound } from '../../src/host/policy/pv_sound.js';
import { PROPERTY } from '../../src/judge/properties.js';
import { parseAction } from '../../src/schedule/action_text.js';
import { Schedule } from '../../src/schedule/schedule.js';
import { BRANCH_TYPES } from '../../src/schedule/actions/events.js';
import type { Machine } from '../../src/machine/machine.js';
import { callstackUsersBalanced, countingEvents, cpuBalanced } from '../../src/judge/balance.js';
import { CALLSTACK_USER, isUserCallstack } from '../../src/guest/perf/perf_event.js';
import { ShadowStacks } from '../../src/judge/shadow_stack.js';
import { bootedMachine, machineConfig } from '../rig/machine.js';
import { seeded } from '../rig/seed.js';

type Op = readonly [op: 'push' | 'pop' | 'track' | 'clear', stack: number, times: number];

const op: fc.Arbitrary<Op> = fc.tuple(
  fc.constantFrom('push', 'push', 'push', 'pop', 'pop', 'track', 'clear'),
  fc.nat(2),
  fc.integer({ min: 1, max: 40 }),
);

interface Frame {
  readonly seq: number;
  /** Hardware recorded the call and can still hold it. */
  known: boolean;
}

/** Keeps `known` only for the innermost `limit` frames: hardware has room for no more. */
function forget(stack: readonly Frame[], limit: number): void {
  for (const [i, frame] of stack.entries()) {
    if (i < stack.length - limit) frame.known = false;
  }
}

describe('ShadowStacks', () => {
  it('shadow stacks always agree with arrays of frames', () => {
    const ops = fc.array(op, { maxLength: 60, size: 'max' });
    fc.assert(
      fc.property(ops, fc.constantFrom(4, 16, 32, 64), (list, limit) => {
        const stacks = new ShadowStacks(3, limit);
        let arrays: Frame[][] = [[], [], []];
        let seq = 0;
        for (const [kind, s, times] of list) {
          if (kind === 'clear' && times > 4) continue;
          if (kind === 'clear') {
            stacks.clear();
            arrays = [[], [], []];
          } else if (kind === 'track') {
            stacks.track(s);
            for (const frame of arrays[s]) frame.known = false;
          }
          for (let i = 0; i < times; i++) {
            if (kind === 'push') {
              stacks.push(s, ++seq);
              arrays[s].push({ seq, known: true });
              forget(arrays[s], limit);
            } else if (kind === 'pop') {
              stacks.pop(s);
              arrays[s].pop();
            }
          }
          arrays.forEach((array, n) => {
            const known = array.filter((frame) => frame.known).length;
            expect([stacks.depth(n), stacks.tracked(n)]).toEqual([array.length, known]);
            const innermost = array.slice(array.length - known).reverse();
            expect(innermost.map((_, i) => stacks.frame(n, i))).toEqual(
              innermost.map((frame) => frame.seq),
            );
          });
        }
      }),
      seeded(120),
    );
  });

  it('shadow stacks keep frames from before tracking began, for whoever asks', () => {
    const stacks = new ShadowStacks(1, 4);
    for (const seq of [11, 12, 13]) stacks.push(0, seq);
    stacks.track(0);
    stacks.push(0, 14);
    expect([stacks.depth(0), stacks.tracked(0)]).toEqual([4, 1]);
    expect([0, 1, 2, 3].map((i) => stacks.frame(0, i))).toEqual([14, 13, 12, 11]);
    stacks.pop(0);
    stacks.pop(0);
    expect([stacks.depth(0), stacks.tracked(0)]).toEqual([2, 0]);
    stacks.push(0, 15);
    expect(stacks.tracked(0)).toBe(1);
  });
});

describe('isUserCallstack', () => {
  it('isUserCallstack needs both bits together, whatever else is asked for', () => {
    const { PERF_SAMPLE_BRANCH_CALL_STACK: STACK, PERF_SAMPLE_BRANCH_USER: USER } = perf;
    expect(CALLSTACK_USER).toBe(STACK | USER);
    expect([STACK | USER, STACK | USER | 2, STACK, USER, 0].map(isUserCallstack)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});

/** One VM of two vCPUs. On CPU 0 two call-stack events count and one of another mode. */
function counting(): Machine {
  const m = bootedMachine({ cpu: 'skylake', vms: 1, vcpus: 2, tasks: 2, pcpus: 2 });
  for (const type of [BRANCH_TYPES[0], BRANCH_TYPES[0]]) expect(m.open(0, 0, 0, type)).toBe(0);
  return m;
}

describe('countingEvents', () => {
  it('countingEvents are always the events that count on one CPU', () => {
    const m = counting();
    const now = (): number[] => [countingEvents(m.cpu(0)), countingEvents(m.cpu(1))];
    expect(now()).toEqual([2, 0]);
    m.disable(0, 0);
    expect(now()).toEqual([1, 0]);
    m.open(1, 1, 0, BRANCH_TYPES[1]);
    expect(now()).toEqual([1, 1]);
    m.close(0, 1);
    expect(now()).toEqual([0, 1]);
    m.guests[0].events[2].used = 0;
    expect(now()).toEqual([0, 0]);
  });
});

describe('cpuBalanced', () => {
  it('cpuBalanced fails for each count that is not that of the events', () => {
    const m = counting();
    const cpu = m.cpu(0);
    expect([cpuBalanced(cpu), cpuBalanced(m.cpu(1))]).toEqual([true, true]);
    for (const off of [1, -1]) {
      cpu.cpuc.lbr_users += off;
      expect(cpuBalanced(cpu)).toBe(false);
      cpu.cpuc.lbr_users -= off;
      for (const field of [
        'sched_cb_usage',
        'perf_sched_cb_usages',
        'pmu_disable_count',
      ] as const) {
        cpu.cpuctx[field] += off;
        expect([field, cpuBalanced(cpu)]).toEqual([field, false]);
        cpu.cpuctx[field] -= off;
      }
    }
    expect(cpuBalanced(cpu)).toBe(true);
  });
});

describe('callstackUsersBalanced', () => {
  it('callstackUsersBalanced fails if users are not the call-stack events that count', () => {
    const m = counting();
    const [kernel] = m.guests;
    const { events, tasks, data } = kernel;
    const ctx = kernel.ctx(tasks[0].perf_event_ctxp);
    const users = data[ctx.task_ctx_data - 1];
    expect([callstackUsersBalanced(kernel), users.lbr_callstack_users]).toEqual([true, 2]);
    users.lbr_callstack_users = 3;
    expect(callstackUsersBalanced(kernel)).toBe(false);
    users.lbr_callstack_users = 1;
    expect(callstackUsersBalanced(kernel)).toBe(false);
    events[0].branch_sample_type = BRANCH_TYPES[1];
    expect(callstackUsersBalanced(kernel)).toBe(true);
    events[1].state = perf.PERF_EVENT_STATE_INACTIVE;
    expect(callstackUsersBalanced(kernel)).toBe(false);
    users.lbr_callstack_users = 0;
    expect(callstackUsersBalanced(kernel)).toBe(true);
    // A context without task_ctx_data has no call-stack users to count.
    ctx.task_ctx_data = 0;
    users.lbr_callstack_users = 5;
    expect(callstackUsersBalanced(kernel)).toBe(true);
  });

  it('callstackUsersBalanced always looks at every context', () => {
    const m = counting();
    m.open(1, 1, 0, BRANCH_TYPES[0]);
    const [kernel] = m.guests;
    expect(callstackUsersBalanced(kernel)).toBe(true);
    kernel.data[kernel.ctx(kernel.tasks[1].perf_event_ctxp).task_ctx_data - 1]
      .lbr_callstack_users++;
    expect(callstackUsersBalanced(kernel)).toBe(false);
  });

  it('callstackUsersBalanced skips tasks that a suspended function has locked', () => {
    const m = counting();
    m.open(1, 1, 0, BRANCH_TYPES[0]);
    const [kernel] = m.guests;
    kernel.data[kernel.ctx(kernel.tasks[1].perf_event_ctxp).task_ctx_data - 1]
      .lbr_callstack_users++;
    expect(callstackUsersBalanced(kernel, 1 << 1)).toBe(true);
    expect(callstackUsersBalanced(kernel, ~(1 << 1))).toBe(false);
  });

  it('a half-done function of another vCPU never counts against the kernel', () => {
    // vCPU 1 returns from its call while vCPU 0 has activated an event and not yet counted it.
    const actions = [
      'p0: run vcpu=1',
      'v1: open task=1 type=CALL_STACK|USER',
      'p0: run vcpu=0',
      'v0: open task=0 type=CALL_STACK|USER',
      'p0: run vcpu=1',
      'v1: migrateTask task=2',
      'p0: run vcpu=0',
      'p0: run vcpu=1 after=9',
      'v0: migrateTask task=1',
      'v1: open task=-1 type=CALL_STACK|USER',
    ];
    const bench = new Bench(machineConfig({ vms: 1, vcpus: 2, tasks: 3, policy: pvSound }));
    bench.breaksAt(Schedule.of(actions.map(parseAction)), PROPERTY['balanced']);
    expect(bench.machine.ports[0].suspended).not.toBe(0);
    expect(bench.machine.ports[1].suspended).toBe(0);
    expect(callstackUsersBalanced(bench.machine.guests[0])).toBe(false);
    expect(bench.monitor.verdicts.own[PROPERTY['balanced']]).toBe(0);
  });
});
