/** Events that take turns, by version: whose turn is next, and when the timer stops. */
import { describe, expect, it } from 'vitest';
import * as core from '../../../src/guest/perf/events_core.js';
import * as tasks from '../../../src/guest/perf/events_task.js';
import type { KernelVersion } from '../../../src/guest/perf/kernel.js';
import * as perf from '../../../src/guest/perf/perf_event.js';
import { ANY, CALLSTACK, Rig } from '../../rig/kernel.js';

const { ATTR_BOUND } = perf;

const ALL: readonly KernelVersion[] = ['6.1', '6.12', '7.3'];

describe('perf_mux_hrtimer_handler', () => {
  it('events that can’t count together take turns, as long as one waits', () => {
    for (const version of ALL) {
      const rig = new Rig({ version });
      const [a, b] = [rig.open(0, CALLSTACK), rig.open(0, ANY)];
      const active = (): number[] =>
        [a, b].filter(({ state }) => state === perf.PERF_EVENT_STATE_ACTIVE).map(({ id }) => id);
      const turns = [active()];
      for (let i = 0; i < 3; i++) {
        tasks.perf_mux_hrtimer_handler(rig.cpu);
        turns.push(active());
      }
      expect([version, turns]).toEqual([version, [[a.id], [b.id], [a.id], [b.id]]]);
      rig.close(a);
      tasks.perf_mux_hrtimer_handler(rig.cpu);
      rig.take();
      tasks.perf_mux_hrtimer_handler(rig.cpu);
      expect([version, rig.cpu.cpuctx.hrtimer_active]).toEqual([version, 0]);
      expect([version, rig.take()]).toEqual([version, []]);
    }
  });

  it('a context that is not active keeps in 6.1 that it was to take turns', () => {
    for (const version of ALL) {
      const rig = new Rig({ version });
      const event = rig.create(2, ANY);
      core.perf_install_in_context(rig.cpu, event);
      const ctx = rig.kernel.contexts[rig.ctxOf(2)];
      ctx.rotate_necessary = 1;
      rig.close(event);
      expect([version, ctx.rotate_necessary]).toEqual([version, version === '6.1' ? 1 : 0]);
    }
  });

  it('nothing takes turns any more once all that could has gone', () => {
    for (const version of ALL) {
      const rig = new Rig({ version });
      rig.open(0, CALLSTACK, perf.ATTR_PINNED);
      rig.close(rig.open(0, ANY));
      const { rotate_necessary } = rig.kernel.contexts[rig.ctxOf(0)];
      expect([version, rotate_necessary]).toEqual([version, 1]);
      tasks.perf_mux_hrtimer_handler(rig.cpu);
      tasks.perf_mux_hrtimer_handler(rig.cpu);
      expect([version, rig.cpu.cpuctx.hrtimer_active]).toEqual([version, 0]);
    }
  });

  it('an event that is bound to another CPU keeps its place from 6.2 on', () => {
    for (const version of ALL) {
      const rig = new Rig({ version });
      const elsewhere = rig.create(1, ANY, ATTR_BOUND);
      rig.cpu = rig.kernel.cpus[1];
      rig.open(-1, CALLSTACK, perf.ATTR_PINNED);
      core.perf_install_in_context(rig.cpu, elsewhere);
      const [a, b] = [rig.open(1, ANY, ATTR_BOUND), rig.open(1, ANY, ATTR_BOUND)];
      tasks.perf_mux_hrtimer_handler(rig.cpu);
      const ctx = rig.kernel.contexts[rig.ctxOf(1)];
      const order = [0, 1, 2].map((i) => ctx.event(i));
      const turned = version === '6.1' ? [a, b, elsewhere] : [elsewhere, b, a];
      expect([version, order]).toEqual([version, turned.map(({ id }) => id)]);
    }
  });

  it('events of the CPU take turns among those of the task', () => {
    for (const version of ALL) {
      const rig = new Rig({ version });
      const events = [rig.open(-1, CALLSTACK), rig.open(-1, ANY), rig.open(0, CALLSTACK)];
      const active = (): boolean[] =>
        events.map(({ state }) => state === perf.PERF_EVENT_STATE_ACTIVE);
      expect([version, active()]).toEqual([version, [true, false, true]]);
      tasks.perf_mux_hrtimer_handler(rig.cpu);
      expect([version, active()]).toEqual([version, [false, true, false]]);
      tasks.perf_mux_hrtimer_handler(rig.cpu);
      expect([version, active()]).toEqual([version, [true, false, true]]);
    }
  });
});
