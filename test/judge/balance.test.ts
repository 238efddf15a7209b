/** `balanced` on random contexts, events and counts, compared with rules stated here. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as perf from '../../src/guest/perf/perf_event.js';
import type { Kernel } from '../../src/guest/perf/kernel.js';
import { callstackUsersBalanced, countsOn } from '../../src/judge/balance.js';
import { Machine } from '../../src/machine/machine.js';
import type { Observer } from '../../src/host/observer.js';
import { configOf } from '../rig/states.js';
import { WatchedRig } from '../rig/judge.js';
import { policyOf, TOS } from '../rig/machine.js';
import { seeded } from '../rig/seed.js';

const { PERF_SAMPLE_BRANCH_CALL_STACK: STACK, PERF_SAMPLE_BRANCH_USER: USER } = perf;
const { PERF_EVENT_STATE_ACTIVE: ACTIVE } = perf;

/** A guest's kernel after its boot. */
function kernelOf(): Kernel {
  const deaf = new Proxy({} as Observer, { get: () => (): void => {} });
  const machine = new Machine(configOf(policyOf('never'), [1, 2, 3, 1]), deaf);
  machine.boot();
  return machine.guests[0];
}

const event = fc.record({
  used: fc.constantFrom(0, 1),
  state: fc.constantFrom(perf.PERF_EVENT_STATE_OFF, perf.PERF_EVENT_STATE_INACTIVE, ACTIVE),
  type: fc.constantFrom(STACK | USER, STACK | USER | perf.PERF_SAMPLE_BRANCH_KERNEL, STACK, USER),
  oncpu: fc.constantFrom(-1, 0, 1),
});

const context = fc.record({
  hasData: fc.boolean(),
  list: fc.uniqueArray(fc.nat(3), { maxLength: 3 }),
  /** Difference between the count and its right value; mostly 0. */
  off: fc.constantFrom(0, 0, 0, 0, 1, -1),
});

describe('callstackUsersBalanced', () => {
  it('callstackUsersBalanced asks every context with room for users, with events or none', () => {
    const kernel = kernelOf();
    const met = new Set<string>();
    const drawn = fc.record({
      events: fc.array(event, { minLength: 4, maxLength: 4 }),
      contexts: fc.array(context, { minLength: 3, maxLength: 3 }),
    });
    fc.assert(
      fc.property(drawn, ({ events, contexts }) => {
        kernel.clear();
        for (const [i, { state, type }] of events.entries()) {
          kernel.events[i].state = state;
          kernel.events[i].branch_sample_type = type;
        }
        let balanced = true;
        for (const [i, { hasData, list, off }] of contexts.entries()) {
          const ctx = kernel.contexts[i];
          list.forEach((id, at) => ctx.setEvent(at, id));
          ctx.nr_events = list.length;
          ctx.task_ctx_data = hasData ? i + 1 : 0;
          const users = list.filter((id) => {
            const { state, type } = events[id];
            return state === ACTIVE && (type & STACK) !== 0 && (type & USER) !== 0;
          });
          kernel.data[i].lbr_callstack_users = users.length + off;
          if (!hasData || off === 0) continue;
          balanced = false;
          met.add(list.length === 0 ? 'no events' : 'events');
        }
        expect(callstackUsersBalanced(kernel)).toBe(balanced);
        met.add(String(balanced));
      }),
      seeded(500),
    );
    expect([...met].sort()).toEqual(['events', 'false', 'no events', 'true']);
  });
});

describe('countsOn', () => {
  it('countsOn is true of an event on the CPU where it is active, and nowhere else', () => {
    const [one] = kernelOf().events;
    fc.assert(
      fc.property(event, fc.nat(1), ({ used, state, oncpu }, cpu) => {
        one.used = used;
        one.state = state;
        one.oncpu = oncpu;
        expect(countsOn(one, cpu)).toBe(used === 1 && state === ACTIVE && oncpu === cpu);
      }),
      seeded(200),
    );
  });
});

describe('balanced', () => {
  it.each([
    [0, 'v0: 1 events count, lbr_users is 2'],
    [1, 'v0: 1 events count, lbr_users is 2, and the PMU stays off'],
  ])('tells what does not agree, with a PMU that is disabled %i times', (count, text) => {
    const rig = new WatchedRig();
    rig.open(perf.CALLSTACK_USER);
    const { cpuc, cpuctx } = rig.m.cpu(0);
    cpuc.lbr_users = 2;
    cpuctx.pmu_disable_count = count;
    rig.m.rdmsr(0, TOS);
    expect(rig.ownDetail('balanced')).toBe(text);
  });

  it('a PMU that stays off is enough', () => {
    const rig = new WatchedRig();
    rig.m.cpu(0).cpuctx.pmu_disable_count = 1;
    rig.m.rdmsr(0, TOS);
    expect(rig.ownDetail('balanced')).toContain('the PMU stays off');
  });
});
