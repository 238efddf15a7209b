/**
 * The events that KVM makes for a guest's counters, under `merged` on Linux 6.12: how long they
 * live, and that perf keeps the space for the call stack of the vCPU's thread as long.
 */
import { describe, expect, it } from 'vitest';
import { merged } from '../../../src/host/policy/merged.js';
import { v10 } from '../../../src/host/policy/v10.js';
import { CALLSTACK_USER, PERF_EVENT_STATE_OFF } from '../../../src/guest/perf/perf_event.js';
import { KERNEL_VERSIONS } from '../../../src/guest/perf/kernel.js';
import type { perf_event } from '../../../src/guest/perf/perf_structs.js';
import { MSR_CORE_PERF_GLOBAL_CTRL } from '../../../src/hw/msr_index.js';
import { hostCounters } from '../../../src/machine/threads.js';
import { DEBUGCTL, LBR, type Part, Rig } from '../../rig/machine.js';

const CTRL = MSR_CORE_PERF_GLOBAL_CTRL;
const ALL = 0xf;
const OF_6_12: Part = { kernel: '6.12', cpu: 'skylake' };

class CounterRig extends Rig {
  constructor(part: Part = {}) {
    super(merged, { ...OF_6_12, ...part });
  }

  /** The guest of v0 turns a counter on or off. */
  turn(counter: number, on: boolean): void {
    this.m.kvm.counters?.setCounter(this.m.vcpus[0], counter, on);
  }

  /** The host's event for the counters of a vCPU: the slots of LBR users are before it. */
  counterEvent(vcpu = 0): perf_event {
    const [vcpus, pcpus] = [this.m.vcpus.length, this.m.pcpus.length];
    return this.m.host.kernel.events[2 * vcpus + 2 * pcpus + vcpu];
  }

  /** Masks of v0: the counters that have an event, those that were accessed, those that are on. */
  get masks(): number[] {
    const { words, eventsel_en } = this.m.vcpus[0];
    const { pmc_events, pmc_in_use }: Readonly<Record<string, number>> = words;
    return [pmc_events, pmc_in_use, eventsel_en];
  }

  get held(): boolean {
    return this.counterEvent().used !== 0;
  }

  /** The number of the block that the thread of v0 has for its call stack, plus one; or 0. */
  get space(): number {
    const { kernel } = this.m.host;
    const { perf_event_ctxp } = kernel.tasks[0];
    return perf_event_ctxp === 0 ? 0 : kernel.ctx(perf_event_ctxp).task_ctx_data;
  }
}

describe('the events of counters', () => {
  it('a counter has an event once it is on and GLOBAL_CTRL lets it count, and keeps it', () => {
    const rig = new CounterRig();
    rig.set(0, CTRL, 0b0101);
    rig.turn(1, true);
    expect(rig.held).toBe(false);
    rig.turn(2, true);
    expect([rig.held, rig.counterEvent(1).used]).toEqual([true, 0]);
    expect(rig.counterEvent().state).toBe(PERF_EVENT_STATE_OFF);
    rig.turn(2, false);
    rig.set(0, CTRL, 0);
    expect(rig.held).toBe(true);
  });

  it('a counter that GLOBAL_CTRL lets count later has its event from then on', () => {
    const rig = new CounterRig();
    rig.turn(0, true);
    expect(rig.held).toBe(false);
    rig.set(0, CTRL, ALL);
    expect(rig.held).toBe(true);
  });

  it('an event goes at the first cleanup after a slice in which its counter was left alone', () => {
    const rig = new CounterRig();
    rig.set(0, CTRL, ALL);
    rig.turn(0, true);
    rig.turn(3, true);
    rig.turn(0, false);
    expect(rig.masks).toEqual([9, 9, 8]);
    rig.nextSlice();
    expect(rig.masks).toEqual([9, 0, 8]);
    for (let slice = 0; slice < 2; slice++) {
      rig.nextSlice();
      expect([rig.held, rig.masks]).toEqual([true, [8, 0, 8]]);
    }
    rig.turn(3, false);
    rig.nextSlice();
    expect([rig.held, rig.masks]).toEqual([true, [8, 0, 0]]);
    rig.nextSlice();
    expect([rig.held, rig.masks]).toEqual([false, [0, 0, 0]]);
  });

  it('a cleanup needs a switch, and an event of a counter is enough for it', () => {
    const rig = new CounterRig();
    rig.set(0, CTRL, ALL);
    rig.turn(0, true);
    rig.nextSlice();
    rig.turn(0, false);
    rig.nextSlice();
    for (let i = 0; i < 3; i++) rig.m.exitAndEnter(0);
    expect([rig.held, rig.event]).toEqual([true, 'none']);
    rig.nextSlice();
    expect(rig.held).toBe(false);
  });

  it('a counter is accessed outside of the guest, and first enters it', () => {
    const rig = new CounterRig();
    const [vcpu] = rig.m.vcpus;
    rig.enter();
    rig.turn(0, true);
    expect([vcpu.inGuest, vcpu.eventsel_en]).toEqual([false, 1]);
    rig.set(0, DEBUGCTL, LBR);
    rig.set(0, DEBUGCTL, 0);
    rig.m.switchOut(0, 1);
    rig.m.arrive(0, 1);
    rig.m.switchOut(0, 0);
    rig.m.arrive(0, 0);
    expect(rig.event).not.toBe('none');
    rig.turn(0, false);
    expect([rig.event, vcpu.eventsel_en]).toEqual(['none', 0]);
  });

  it('a vCPU that migrates has its counters as they were, and events for those that count', () => {
    const rig = new CounterRig();
    rig.set(0, CTRL, 0b0011);
    rig.turn(0, true);
    rig.turn(1, true);
    rig.turn(1, false);
    rig.turn(2, true);
    rig.migrate();
    expect([rig.held, rig.masks]).toEqual([true, [1, 0, 0b101]]);
    rig.turn(0, false);
    rig.migrate();
    expect([rig.held, rig.masks]).toEqual([false, [0, ALL, 0b100]]);
  });

  it('what userspace writes at a migration counts as an access', () => {
    const rig = new CounterRig();
    rig.set(0, CTRL, ALL);
    rig.turn(0, true);
    rig.m.switchTo(0, -1);
    rig.m.liveMigrate(0);
    expect(rig.masks).toEqual([1, ALL, 1]);
  });

  it("the host's own counters have slots of their own beside it", () => {
    const rig = new CounterRig();
    hostCounters(rig.m, 0, true);
    expect([rig.held, rig.counterEvent(1).used]).toEqual([false, 0]);
    rig.set(0, CTRL, ALL);
    rig.turn(0, true);
    hostCounters(rig.m, 0, false);
    expect([rig.held, rig.m.host.countersTaken(0)]).toEqual([true, false]);
  });
});

describe('the space for a call stack', () => {
  it('the space stays as long as the thread has an event of a counter', () => {
    const spaces = [false, true].map((on) => {
      const rig = new CounterRig();
      rig.set(0, CTRL, ALL);
      rig.set(0, DEBUGCTL, LBR);
      rig.turn(0, on);
      const { space } = rig;
      rig.set(0, DEBUGCTL, 0);
      rig.nextSlice();
      expect([space > 0, rig.event]).toEqual([true, 'none']);
      const kept = rig.space;
      rig.turn(0, false);
      rig.nextSlice();
      rig.nextSlice();
      return [kept === space, rig.space, rig.held];
    });
    expect(spaces).toEqual([
      [false, 0, false],
      [true, 0, false],
    ]);
  });

  it('the space goes at a migration, whatever counters are on, and another one comes', () => {
    const rig = new CounterRig();
    rig.set(0, CTRL, ALL);
    rig.set(0, DEBUGCTL, LBR);
    rig.turn(0, true);
    const { kernel } = rig.m.host;
    rig.m.switchTo(0, -1);
    kernel.data[rig.space - 1].lbr_sel = 5;
    rig.m.liveMigrate(0);
    expect([rig.held, rig.event]).toEqual([true, 'inactive']);
    expect(kernel.data[rig.space - 1].lbr_sel).toBe(0);
  });

  it('a block that is given back is the next one that is handed out', () => {
    const rig = new CounterRig();
    rig.set(0, DEBUGCTL, LBR);
    const first = rig.space;
    rig.set(0, CTRL, ALL);
    rig.turn(0, true);
    rig.set(0, DEBUGCTL, 0);
    rig.nextSlice();
    rig.m.host.createGuestLbrEvent(rig.m.vcpus[1], 'fake-counter');
    const { kernel } = rig.m.host;
    const other = (): number => kernel.ctx(kernel.tasks[1].perf_event_ctxp).task_ctx_data;
    expect(other()).not.toBe(first);
    rig.m.host.releaseGuestLbrEvent(rig.m.vcpus[1]);
    rig.turn(0, false);
    rig.nextSlice();
    rig.nextSlice();
    rig.m.host.createGuestLbrEvent(rig.m.vcpus[1], 'fake-counter');
    expect([rig.space, other()]).toEqual([0, first]);
  });

  it('only merged of 6.12 hears of counters, and its host has a slot more for each vCPU', () => {
    const events = KERNEL_VERSIONS.map((kernel) =>
      [merged, v10].map((policy) => {
        const { m } = new Rig(policy, { kernel, cpu: 'skylake' });
        return [m.kvm.counters !== null, m.host.kernel.events.length];
      }),
    );
    const [without, withOne] = [13, 15];
    expect(events).toEqual(
      KERNEL_VERSIONS.map((kernel) => [
        kernel === '6.12' ? [true, withOne] : [false, without],
        [false, without],
      ]),
    );
  });
});

describe('a guest of the port', () => {
  /**
   * What v0 tells of its counters while it opens an event, is left before an access of a number,
   * and goes on. Null if it makes fewer accesses.
   */
  function told(after: number): string[] | null {
    const rig = new CounterRig({ tasks: 2, cpu: 'skylake/4' });
    const log: string[] = [];
    const { counters } = rig.m.kvm;
    const setCounter = counters?.setCounter.bind(counters);
    Object.assign(rig.m.kvm, {
      setCounter: (...args: Parameters<NonNullable<typeof setCounter>>): void => {
        log.push(`${args[1]} ${args[2]}`);
        setCounter?.(...args);
      },
    });
    rig.m.arm(0, 1, after);
    rig.m.open(0, 0, 0, CALLSTACK_USER);
    if (rig.m.ports[0].suspended === 0) return null;
    rig.m.switchTo(0, 0);
    rig.m.resume(0);
    rig.m.switchTask(0, 1);
    expect([rig.held, rig.m.vcpus[0].eventsel_en]).toEqual([true, 0]);
    return log;
  }

  it('a guest tells of a counter once, wherever the host comes in between', () => {
    let after = 0;
    for (let log = told(after); log !== null; log = told(++after)) {
      expect([after, log]).toEqual([after, ['0 true', '0 false']]);
    }
    expect(after).toBeGreaterThan(15);
  });
});
