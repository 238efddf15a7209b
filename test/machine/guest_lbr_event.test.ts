/** The three kinds of guest LBR event on the host's perf, and who counts beside them. */
import { describe, expect, it } from 'vitest';
import { intel_get_event_constraints } from '../../src/guest/perf/intel_core.js';
import { intel_vlbr_constraints } from '../../src/guest/perf/intel_core.js';
import * as perf from '../../src/guest/perf/perf_event.js';
import type { perf_event } from '../../src/guest/perf/perf_structs.js';
import { never } from '../../src/host/policy/never.js';
import type { GuestLbrEvent } from '../../src/host/policy/policy.js';
import { CLOSE, FLEXIBLE, OF_TASK, ON, PINNED, Rig } from '../rig/machine.js';

const KINDS: readonly GuestLbrEvent[] = ['flexible', 'exclusive', 'fake-counter'];
const { PERF_EVENT_STATE_ACTIVE: ACTIVE, PERF_EVENT_STATE_ERROR: ERROR } = perf;
const LBR_VCPU_HI = 1 << 30;

function create(rig: Rig, kind: GuestLbrEvent): perf_event {
  const [vcpu] = rig.m.vcpus;
  rig.m.host.createGuestLbrEvent(vcpu, kind);
  return rig.m.host.kernel.events[vcpu.id];
}

/** A host event, a kind of KVM's event, which events count, and the state of KVM's event. */
const MEETINGS = [
  { kind: 'flexible', which: PINNED, counts: ['guest', 'pinned'], state: ACTIVE },
  { kind: 'flexible', which: FLEXIBLE, counts: ['flexible', 'guest'], state: ACTIVE },
  { kind: 'flexible', which: OF_TASK, counts: ['guest', 'of-task'], state: ACTIVE },
  { kind: 'exclusive', which: PINNED, counts: ['pinned'], state: ERROR },
  { kind: 'exclusive', which: FLEXIBLE, counts: ['guest'], state: ACTIVE },
  { kind: 'exclusive', which: OF_TASK, counts: ['guest'], state: ACTIVE },
  { kind: 'fake-counter', which: PINNED, counts: ['guest', 'pinned'], state: ACTIVE },
  { kind: 'fake-counter', which: FLEXIBLE, counts: ['flexible', 'guest'], state: ACTIVE },
  { kind: 'fake-counter', which: OF_TASK, counts: ['guest', 'of-task'], state: ACTIVE },
] as const;

describe('a guest LBR event', () => {
  it('a guest LBR event has the attributes of its kind, and one mode', () => {
    const { ATTR_PINNED, ATTR_VLBR, ATTR_VLBR_EXCLUDES } = perf;
    const attrs = KINDS.map((kind) => create(new Rig(never), kind).attr);
    expect(attrs).toEqual([
      ATTR_VLBR,
      ATTR_VLBR | ATTR_PINNED | ATTR_VLBR_EXCLUDES,
      ATTR_VLBR | ATTR_PINNED,
    ]);
    expect([ATTR_VLBR, ATTR_VLBR_EXCLUDES]).toEqual([1 << 3, 1 << 4]);
    for (const kind of KINDS) {
      const { branch_sample_type, lbr_select_flag, idx } = create(new Rig(never), kind);
      expect(branch_sample_type).toBe(
        perf.PERF_SAMPLE_BRANCH_CALL_STACK | perf.PERF_SAMPLE_BRANCH_USER,
      );
      expect([lbr_select_flag, idx]).toEqual([1, perf.INTEL_PMC_IDX_FIXED_VLBR]);
    }
  });

  it('a guest LBR event takes the register that LBR events share only if it is exclusive', () => {
    for (const kind of KINDS) {
      const rig = new Rig(never);
      const event = create(rig, kind);
      const { cpuc } = rig.m.host.kernel.cpus[0];
      const shares = kind === 'exclusive' ? 1 : 0;
      expect([event.state, rig.event, event.branch_reg_alloc]).toEqual([ACTIVE, 'active', shares]);
      expect([cpuc.lbr_sel_ref, cpuc.lbr_users, cpuc.guest_mask_vlbr]).toEqual([shares, 1, 1]);
      rig.m.host.releaseGuestLbrEvent(rig.m.vcpus[0]);
      expect([cpuc.lbr_sel_ref, cpuc.lbr_users, cpuc.guest_mask_vlbr]).toEqual([0, 0, 0]);
      expect([rig.event, rig.counting]).toEqual(['none', []]);
    }
  });

  it('a guest LBR event never exists where perf has no call-stack mode', () => {
    for (const kind of KINDS) {
      const rig = new Rig(never, { cpu: 'nehalem' });
      expect([create(rig, kind).used, rig.event, rig.counting]).toEqual([0, 'none', []]);
    }
  });

  it.each(MEETINGS)(
    'a $kind guest LBR event ends in state $state beside host event $which',
    (meeting) => {
      const { kind, which, counts, state } = meeting;
      const hostFirst = new Rig(never);
      hostFirst.m.hostEvent(0, which, ON);
      const second = create(hostFirst, kind);
      expect([hostFirst.counting, second.state]).toEqual([counts, state]);
      expect(hostFirst.event).toBe(state === ACTIVE ? 'active' : 'inactive');

      const guestFirst = new Rig(never);
      const first = create(guestFirst, kind);
      guestFirst.m.hostEvent(0, which, ON);
      expect([guestFirst.counting, first.state]).toEqual([counts, state]);

      // A switch away and back changes nothing.
      guestFirst.nextSlice();
      expect([guestFirst.counting, first.state]).toEqual([counts, state]);
      const { cpuc } = guestFirst.m.host.kernel.cpus[0];
      expect(cpuc.lbr_sel_ref).toBe(counts.length - (kind === 'exclusive' ? 0 : 1));
      // While KVM's event counts, no host event has LBR.
      expect(guestFirst.m.host.hostLbrActive(0)).toBe(state !== ACTIVE);

      guestFirst.m.hostEvent(0, which, CLOSE);
      guestFirst.nextSlice();
      // perf does not try a pinned event in ERROR again.
      expect(first.state).toBe(state === ERROR ? ERROR : ACTIVE);
      guestFirst.m.host.releaseGuestLbrEvent(guestFirst.m.vcpus[0]);
      expect([cpuc.lbr_sel_ref, cpuc.lbr_users, guestFirst.counting]).toEqual([0, 0, []]);
    },
  );
});

describe('intel_vlbr_constraints', () => {
  it('LBR_VCPU is in the filter of an exclusive event, and in no other', () => {
    const configs = KINDS.map((kind) => create(new Rig(never), kind));
    expect(configs.map((event) => event.branch_reg_config_hi & LBR_VCPU_HI)).toEqual([
      0,
      LBR_VCPU_HI,
      0,
    ]);
    expect(new Set(configs.map((event) => event.branch_reg_config)).size).toBe(1);
    expect(new Set(configs.map((event) => event.branch_reg_config_hi & ~LBR_VCPU_HI)).size).toBe(1);
  });

  it('intel_vlbr_constraints adds to the filter, and marks none but a guest LBR event', () => {
    const event = create(new Rig(never), 'flexible');
    event.branch_reg_config_hi = 1;
    event.attr = perf.ATTR_VLBR_EXCLUDES;
    intel_vlbr_constraints(event);
    expect([event.branch_reg_config_hi, event.lbr_select_flag]).toEqual([1 | LBR_VCPU_HI, 0]);
    event.branch_reg_config_hi = 1;
    event.attr = perf.ATTR_VLBR;
    intel_vlbr_constraints(event);
    expect([event.branch_reg_config_hi, event.lbr_select_flag]).toEqual([1, 1]);
  });
});

describe('intel_get_event_constraints', () => {
  it('every event asks for the shared register, except one with only a fake counter', () => {
    const { ATTR_VLBR, ATTR_VLBR_EXCLUDES } = perf;
    for (const [attr, fits] of [
      [0, false],
      [ATTR_VLBR_EXCLUDES, false],
      [ATTR_VLBR | ATTR_VLBR_EXCLUDES, false],
      [ATTR_VLBR, true],
      [ATTR_VLBR | perf.ATTR_PINNED, true],
    ] as const) {
      const rig = new Rig(never);
      rig.m.hostEvent(0, PINNED, ON);
      const event = create(rig, 'flexible');
      const [cpu] = rig.m.host.kernel.cpus;
      event.attr = attr;
      expect([attr, intel_get_event_constraints(cpu, event)]).toEqual([attr, fits]);
      expect([event.branch_reg_alloc, cpu.cpuc.lbr_sel_ref]).toEqual([0, 1]);
      rig.m.hostEvent(0, PINNED, CLOSE);
      event.branch_reg_alloc = 0;
      cpu.cpuc.lbr_sel_ref = 0;
      expect(intel_get_event_constraints(cpu, event)).toBe(true);
      expect(event.branch_reg_alloc).toBe(fits ? 0 : 1);
    }
  });

  it('two filters that differ in LBR_VCPU alone always count as different', () => {
    const rig = new Rig(never);
    const event = create(rig, 'exclusive');
    const [cpu] = rig.m.host.kernel.cpus;
    const other = rig.m.host.kernel.events[1];
    other.attr = event.attr;
    other.branch_reg_idx = event.branch_reg_idx;
    other.branch_reg_config = event.branch_reg_config;
    other.branch_reg_config_hi = event.branch_reg_config_hi & ~LBR_VCPU_HI;
    expect(intel_get_event_constraints(cpu, other)).toBe(false);
    other.branch_reg_config_hi = event.branch_reg_config_hi;
    expect(intel_get_event_constraints(cpu, other)).toBe(true);
    expect(cpu.cpuc.lbr_sel_ref).toBe(2);
  });
});
