/** inherit_stat: what two tasks that swap their contexts keep of how long their events have run. */
import { describe, expect, it } from 'vitest';
import { perf_event_sync_stat } from '../../../src/guest/perf/events_stat.js';
import * as tasks from '../../../src/guest/perf/events_task.js';
import * as perf from '../../../src/guest/perf/perf_event.js';
import type { perf_event, perf_event_context } from '../../../src/guest/perf/perf_structs.js';
import type { KernelVersion } from '../../../src/guest/perf/kernel.js';
import { ANY, CALLSTACK, RESET, Rig } from '../../rig/kernel.js';

const { ATTR_INHERIT: INHERIT, ATTR_INHERIT_STAT, ATTR_PINNED } = perf;
const STAT = INHERIT | ATTR_INHERIT_STAT;
const VERSIONS: readonly KernelVersion[] = ['6.1', '6.12', '7.3'];

function ctxOf(rig: Rig, task: number): perf_event_context {
  return rig.kernel.contexts[rig.ctxOf(task)];
}

/** event_list of a context, oldest first. */
function listOf(ctx: perf_event_context): number[] {
  return Array.from({ length: ctx.nr_events }, (_, i) => ctx.listed(i));
}

function childOf({ kernel }: Rig, { id }: perf_event): perf_event {
  const found = kernel.events.find(({ used, parent }) => used !== 0 && parent === id + 1);
  if (found === undefined) throw new Error('the event is inherited');
  return found;
}

describe('perf_event_sync_stat', () => {
  it('an event that has not run counts as one that has after a swap with inherit_stat', () => {
    for (const version of VERSIONS) {
      const ran = [INHERIT, STAT].map((attr) => {
        const rig = new Rig({ version });
        const event = rig.open(0, CALLSTACK, attr);
        const child = rig.fork();
        rig.switchTo(child);
        expect([event.state, rig.ctxOf(0)]).toEqual([1, childOf(rig, event).ctx - 1]);
        const flags = [event, childOf(rig, event)].map((e) => e.total_time_running);
        rig.switchTo(2);
        rig.take();
        rig.switchTo(0);
        return [flags, rig.take().filter((line) => line === RESET[0]).length];
      });
      // The space for the call stack is new, so a task that comes has one reset at least.
      const [without, with_] = ran;
      expect([version, without[0], with_[0]]).toEqual([version, [0, 0], [0, 1]]);
      expect([version, Number(without[1]) - Number(with_[1])]).toEqual([version, 1]);
    }
  });

  it('events are paired by event_list, which need not pair a parent with its child', () => {
    const rig = new Rig();
    const flexible = rig.open(0, CALLSTACK, STAT);
    const pinned = rig.open(0, CALLSTACK, STAT | ATTR_PINNED);
    const child = rig.fork();
    const [ofFlexible, ofPinned] = [flexible, pinned].map((event) => childOf(rig, event));
    // A fork inherits pinned events first.
    expect(listOf(ctxOf(rig, 0))).toEqual([flexible.id, pinned.id]);
    expect(listOf(ctxOf(rig, child))).toEqual([ofPinned.id, ofFlexible.id]);
    ofPinned.total_time_running = 1;
    perf_event_sync_stat(rig.kernel, ctxOf(rig, 0), ctxOf(rig, child));
    const all = [flexible, pinned, ofFlexible, ofPinned];
    expect(all.map((event) => event.total_time_running)).toEqual([1, 0, 1, 1]);
  });

  it('the event that goes out says whether a pair swaps, and it may not have run', () => {
    const rig = new Rig();
    const [a, b] = [rig.create(2, ANY, STAT), rig.create(1, ANY, INHERIT)];
    for (const [event, task] of [
      [a, 2],
      [b, 1],
    ] as const) {
      ctxOf(rig, task).nr_events = 1;
      ctxOf(rig, task).setListed(0, event.id);
    }
    b.total_time_running = 1;
    perf_event_sync_stat(rig.kernel, ctxOf(rig, 1), ctxOf(rig, 2));
    expect([a.total_time_running, b.total_time_running]).toEqual([0, 1]);
    perf_event_sync_stat(rig.kernel, ctxOf(rig, 2), ctxOf(rig, 1));
    expect([a.total_time_running, b.total_time_running]).toEqual([1, 0]);
  });

  it('the newest events are a pair where one context has more of them', () => {
    const rig = new Rig();
    const bystander = rig.create(1, CALLSTACK, STAT);
    const mine = [rig.open(0, CALLSTACK, STAT), rig.open(0, CALLSTACK, STAT)];
    const other = rig.create(2, CALLSTACK, STAT);
    ctxOf(rig, 2).nr_events = 1;
    ctxOf(rig, 2).setListed(0, other.id);
    perf_event_sync_stat(rig.kernel, ctxOf(rig, 0), ctxOf(rig, 2));
    const flags = [...mine, other, bystander].map((event) => event.total_time_running);
    expect([bystander.id, flags]).toEqual([0, [1, 0, 1, 0]]);
  });
});

describe('event_list', () => {
  it('event_list keeps its order where events take turns, and closes up behind one', () => {
    const rig = new Rig();
    const ids = [rig.open(0, CALLSTACK), rig.open(0, ANY), rig.open(0, CALLSTACK)].map(
      ({ id }) => id,
    );
    tasks.perf_mux_hrtimer_handler(rig.cpu);
    const ctx = ctxOf(rig, 0);
    const turns = Array.from({ length: 3 }, (_, i) => ctx.event(i));
    expect(listOf(ctx)).toEqual(ids);
    expect(turns).not.toEqual(ids);
    rig.close(rig.kernel.events[ids[1]]);
    expect(listOf(ctx)).toEqual([ids[0], ids[2]]);
    const late = rig.open(0, ANY);
    expect(listOf(ctx)).toEqual([ids[0], ids[2], late.id]);
  });
});
