/** Counters of the host's own, and its use of Intel PT, under the model of KVM. */
import { describe, expect, it } from 'vitest';
import * as perf from '../../src/guest/perf/perf_event.js';
import type { perf_event } from '../../src/guest/perf/perf_structs.js';
import { always } from '../../src/host/policy/always.js';
import { merged } from '../../src/host/policy/merged.js';
import { firstCounterEvent, HOST_COUNTERS } from '../../src/machine/host_perf.js';
import { hostCounters, togglePt } from '../../src/machine/threads.js';
import { CPU_MODELS, findCpuModel } from '../../src/hw/cpu_models.js';
import { CLOSE, FLEXIBLE, LBR, DEBUGCTL, ON, PINNED, Rig } from '../rig/machine.js';

const { PERF_EVENT_STATE_ACTIVE: ACTIVE, PERF_EVENT_STATE_ERROR: ERROR } = perf;
const GENERAL = [0, 1, 2, 3];
const FIXED = [32, 33, 34];

/** The counters' events of pCPU 0. */
function counters({ m }: Rig): readonly perf_event[] {
  const first = firstCounterEvent(m.vcpus.length, m.pcpus.length);
  return m.host.kernel.events.slice(first, first + HOST_COUNTERS.length);
}

function statesOf(rig: Rig): readonly number[] {
  return counters(rig).map(({ state }) => state);
}

function guestEvent({ m }: Rig): perf_event {
  return m.host.kernel.events[0];
}

describe("the host's own counters", () => {
  it('all seven count, three of them on the fixed counters, and LBR has no user', () => {
    const rig = new Rig(merged);
    hostCounters(rig.m, 0, true);
    expect(statesOf(rig)).toEqual(HOST_COUNTERS.map(() => ACTIVE));
    expect(counters(rig).map(({ idx }) => idx)).toEqual([...GENERAL, ...FIXED]);
    const { cpuc } = rig.m.host.kernel.cpus[0];
    expect([cpuc.n_events, cpuc.lbr_users, cpuc.lbr_sel_ref]).toEqual([7, 0, 0]);
    hostCounters(rig.m, 0, false);
    expect([cpuc.n_events, cpuc.lbr_users, cpuc.lbr_sel_ref]).toEqual([0, 0, 0]);
    expect(rig.m.host.countersTaken(0)).toBe(false);
  });

  it('they put the guest LBR event into ERROR, where it stays until it is made anew', () => {
    const rig = new Rig(merged);
    hostCounters(rig.m, 0, true);
    rig.set(0, DEBUGCTL, LBR);
    expect(guestEvent(rig).state).toBe(ERROR);
    hostCounters(rig.m, 0, false);
    rig.set(0, DEBUGCTL, LBR);
    expect(guestEvent(rig).state).toBe(ERROR);
    rig.m.host.releaseGuestLbrEvent(rig.m.vcpus[0]);
    rig.set(0, DEBUGCTL, LBR);
    expect(guestEvent(rig).state).toBe(ACTIVE);
    hostCounters(rig.m, 0, true);
    expect(guestEvent(rig).state).toBe(ERROR);
  });

  it("beside a pinned LBR event of the host's, the last general counter finds no room", () => {
    const rig = new Rig(always);
    rig.m.hostEvent(0, PINNED, ON);
    hostCounters(rig.m, 0, true);
    expect(statesOf(rig)).toEqual([ACTIVE, ACTIVE, ACTIVE, ERROR, ACTIVE, ACTIVE, ACTIVE]);
    const { cpuc } = rig.m.host.kernel.cpus[0];
    expect([cpuc.n_events, cpuc.lbr_users]).toEqual([7, 1]);
    rig.m.hostEvent(0, PINNED, CLOSE);
    expect([cpuc.n_events, cpuc.lbr_users]).toEqual([6, 0]);
  });

  it("a flexible LBR event of the host's waits until the counters are closed", () => {
    const rig = new Rig(always);
    rig.m.hostEvent(0, FLEXIBLE, ON);
    const active = (): boolean => rig.m.host.hostLbrActive(0);
    expect(active()).toBe(true);
    hostCounters(rig.m, 0, true);
    expect(active()).toBe(false);
    hostCounters(rig.m, 0, false);
    rig.m.host.hostEventOff(0, 2, false);
    rig.m.host.hostEventOn(0, 2);
    expect(active()).toBe(true);
  });

  it("perf tells KVM when counters displace an LBR event of the host's, or let it go on", () => {
    const rig = new Rig(always);
    const { hypervisor } = rig.m;
    const told: boolean[] = [];
    const tell = hypervisor.hostPerfEvent.bind(hypervisor);
    hypervisor.hostPerfEvent = (pcpu, loaded, on): void => {
      told.push(on);
      tell(pcpu, loaded, on);
    };
    hostCounters(rig.m, 0, true);
    hostCounters(rig.m, 0, false);
    // There is no LBR event that could wait.
    expect(told).toEqual([]);
    rig.m.hostEvent(0, PINNED, ON);
    told.length = 0;
    hostCounters(rig.m, 0, true);
    // It counts, and goes on doing so.
    expect(told).toEqual([true]);
    rig.m.hostEvent(0, PINNED, CLOSE);
    hostCounters(rig.m, 0, false);
    rig.m.hostEvent(0, FLEXIBLE, ON);
    told.length = 0;
    hostCounters(rig.m, 0, true);
    expect(told).toEqual([true, false]);
  });
});

describe('Intel PT on the host', () => {
  it('perf refuses the guest LBR event until PT ends, and then takes it', () => {
    const rig = new Rig(merged);
    togglePt(rig.m, 0);
    rig.set(0, DEBUGCTL, LBR);
    expect(rig.m.host.guestLbrEvent(rig.m.vcpus[0])).toBe('none');
    rig.m.hostEvent(0, PINNED, ON);
    expect(rig.m.host.hostEventState(0, PINNED)).toBe('none');
    togglePt(rig.m, 0);
    rig.set(0, DEBUGCTL, LBR);
    expect(rig.m.host.guestLbrEvent(rig.m.vcpus[0])).toBe('active');
  });

  it('PT is refused as long as there is an LBR event, but not by counters', () => {
    const rig = new Rig(merged);
    const { statics } = rig.m.host.kernel;
    rig.set(0, DEBUGCTL, LBR);
    togglePt(rig.m, 0);
    expect(statics.pt).toBe(0);
    rig.m.host.releaseGuestLbrEvent(rig.m.vcpus[0]);
    hostCounters(rig.m, 0, true);
    togglePt(rig.m, 0);
    expect(statics.pt).toBe(1);
  });

  it('Goldmont and its successors, and Ice Lake and later, have both at a time', () => {
    const both = CPU_MODELS.filter((model) => model.lbr_pt_coexist).map(({ name }) => name);
    expect(both).toEqual(['goldmont', 'icelake', 'tigerlake', 'goldmont-plus']);
    const model = findCpuModel('icelake');
    expect(model).toBeDefined();
    const rig = new Rig(merged, model === undefined ? {} : { model });
    togglePt(rig.m, 0);
    rig.set(0, DEBUGCTL, LBR);
    expect(rig.m.host.guestLbrEvent(rig.m.vcpus[0])).toBe('active');
  });
});
