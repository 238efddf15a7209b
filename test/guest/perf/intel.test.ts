/**
 * What arch/x86/events/core.c and intel/core.c of Linux 6.1 do between perf's core and lbr.c:
 * counters, the shared LBR_SELECT, the PMI, KVM's guest LBR event, the start of a CPU. Also the
 * places where the paravirtual ACTIVE bit is written.
 */
import { describe, expect, it } from 'vitest';
import type { PvSite } from '../../../src/guest/pv/kvm_para.js';
import * as intel from '../../../src/guest/perf/intel_core.js';
import * as perf from '../../../src/guest/perf/perf_event.js';
import { perf_pmu_disable, perf_pmu_enable } from '../../../src/guest/perf/events_core.js';
import * as x86 from '../../../src/guest/perf/x86_core.js';
import * as msrs from '../../../src/hw/msr_index.js';
import { GP_VECTOR } from '../../../src/hw/msr_port.js';
import { modelOf, print64 } from '../../golden/accesses.js';
import { ACTIVE_OFF, ACTIVE_ON, ANY, ANY_SELECT, CALLSTACK } from '../../rig/kernel.js';
import { CALLSTACK_SELECT, CTRL_OFF, CTRL_ON, DEPTH, RESET, Rig } from '../../rig/kernel.js';
import { steps } from '../../rig/kernel.js';

const { ATTR_INHERIT, ATTR_PINNED, ATTR_VLBR } = perf;
const { PERF_EVENT_STATE_ACTIVE, PERF_EVENT_STATE_ERROR, PERF_EVENT_STATE_INACTIVE } = perf;
const GUEST_LBR = ATTR_PINNED | ATTR_VLBR;
const FROZEN_HI = msrs.GLOBAL_STATUS_LBRS_FROZEN_HI;
/** Accesses of a read of an empty stack in call-stack mode. */
const READ_EMPTY = ['r TOS', 'r FROM0', 'r TO0'];

describe('x86_schedule_events', () => {
  it('there are four counters, and each event that counts has one of its own', () => {
    const rig = new Rig();
    const events = [0, 1, 2, 3, 4].map(() => rig.open(0, ANY));
    const slots = (): number[] => [0, 1, 2, 3].map((slot) => rig.cpu.cpuc.events(slot) - 1);
    expect(events.map((e) => e.idx)).toEqual([0, 1, 2, 3, perf.IDX_UNASSIGNED]);
    expect([events[4].state, slots()]).toEqual([PERF_EVENT_STATE_INACTIVE, [0, 1, 2, 3]]);
    rig.close(events[1]);
    expect(slots()).toEqual([0, -1, 2, 3]);
    // A new event makes room for the event that has waited longest.
    const late = rig.open(0, ANY);
    expect([late.state, slots().toSorted()]).toEqual([PERF_EVENT_STATE_INACTIVE, [0, 2, 3, 4]]);
    for (const slot of [0, 1, 2, 3]) expect(rig.kernel.events[slots()[slot]].idx).toBe(slot);
  });

  it('events keep their counters if all can, else each gets the next one in turn', () => {
    const rig = new Rig();
    const [a, b] = [rig.open(-1, ANY), rig.open(-1, ANY)];
    rig.disable(a);
    expect([rig.onPmu(), b.idx]).toEqual([[b.id], 1]);
    rig.enable(a);
    expect([rig.onPmu(), a.idx, b.idx]).toEqual([[a.id, b.id], 0, 1]);
    rig.disable(a);
    // One that never had a counter makes all of them change.
    const c = rig.open(-1, ANY);
    expect([rig.onPmu(), b.idx, c.idx]).toEqual([[b.id, c.id], 0, 1]);
    const slots = [0, 1, 2, 3].map((slot) => rig.cpu.cpuc.events(slot) - 1);
    expect(slots).toEqual([b.id, c.id, -1, -1]);
    // So does one whose counter has gone to another.
    rig.enable(a);
    expect([rig.onPmu(), a.idx, b.idx, c.idx]).toEqual([[a.id, b.id, c.id], 0, 1, 2]);
  });

  it('a counter that an event leaves for another stays behind empty', () => {
    const rig = new Rig();
    const [a, b] = [rig.open(-1, ANY, ATTR_PINNED), rig.open(-1, ANY, ATTR_PINNED)];
    const c = rig.open(-1, ANY, ATTR_PINNED);
    rig.disable(a);
    rig.disable(b);
    expect(c.idx).toBe(2);
    // A flexible event leaves pinned ones on the PMU.
    const d = rig.open(-1, ANY);
    const slots = [0, 1, 2, 3].map((slot) => rig.cpu.cpuc.events(slot) - 1);
    expect([c.idx, d.idx, slots]).toEqual([0, 1, [c.id, d.id, -1, -1]]);
  });

  it('a counter is turned on and off with its event, and off where an event leaves it', () => {
    const rig = new Rig();
    const told: string[] = [];
    Object.assign(rig.port, {
      setCounter: (counter: number, on: boolean) => told.push(`${counter} ${on ? 'on' : 'off'}`),
    });
    const take = (): string[] => told.splice(0);
    const [a, b] = [rig.open(-1, ANY, ATTR_PINNED), rig.open(-1, ANY, ATTR_PINNED)];
    // Events that are pinned are taken out and put back for another one that is.
    expect(take()).toEqual(['0 on', '0 off', '0 on', '1 on']);
    const c = rig.open(-1, ANY, ATTR_PINNED);
    rig.disable(a);
    take();
    // A flexible event leaves pinned ones on the PMU, and has never had a counter.
    const d = rig.open(-1, ANY);
    expect(take()).toEqual(['1 off', '2 off', '0 on', '1 on', '2 on']);
    expect([b.idx, c.idx, d.idx]).toEqual([0, 1, 2]);
    rig.close(d);
    expect(take()).toEqual(['2 off']);
    // One more flexible event, which has had no counter either: the others stay where they are.
    rig.open(-1, ANY);
    expect(take()).toEqual(['0 on', '1 on', '2 on']);
  });

  it('the guest LBR event makes others change counters if it never had its own', () => {
    const rig = new Rig();
    const [a, b] = [rig.open(-1, ANY), rig.open(-1, ANY)];
    rig.disable(a);
    expect(b.idx).toBe(1);
    const guest = rig.open(-1, CALLSTACK, GUEST_LBR);
    expect([guest.idx, b.idx]).toEqual([perf.INTEL_PMC_IDX_FIXED_VLBR, 0]);
    rig.enable(a);
    rig.disable(b);
    expect(a.idx).toBe(0);
  });

  it('events with one LBR_SELECT share it, and another filter is refused', () => {
    const rig = new Rig();
    const [first, second] = [rig.open(0, CALLSTACK), rig.open(-1, CALLSTACK)];
    const other = rig.open(0, ANY);
    expect([first.state, second.state]).toEqual([PERF_EVENT_STATE_ACTIVE, PERF_EVENT_STATE_ACTIVE]);
    expect(other.state).toBe(PERF_EVENT_STATE_INACTIVE);
    expect([first, second, other].map((e) => e.branch_reg_alloc)).toEqual([1, 1, 0]);
    const { cpuc } = rig.cpu;
    expect([cpuc.lbr_sel_ref, print64(cpuc.lbr_sel_config, 0)]).toEqual([2, CALLSTACK_SELECT]);
    for (const event of [second, first]) rig.close(event);
    expect(cpuc.lbr_sel_ref).toBe(0);
    rig.disable(other);
    rig.enable(other);
    expect(other.state).toBe(PERF_EVENT_STATE_ACTIVE);
    expect(print64(cpuc.lbr_sel_config, 0)).toBe(ANY_SELECT);
  });

  // br_sel has a bit above LBR_SELECT that only Linux uses.
  it('an event without flags and cycles never shares with one that reads them', () => {
    const rig = new Rig({ model: { ...modelOf('skylake'), lbr_nr: DEPTH } });
    rig.open(0, ANY);
    const bare = perf.PERF_SAMPLE_BRANCH_NO_CYCLES | perf.PERF_SAMPLE_BRANCH_NO_FLAGS;
    expect(rig.open(0, ANY | bare).state).toBe(PERF_EVENT_STATE_INACTIVE);
    expect(rig.open(-1, ANY).state).toBe(PERF_EVENT_STATE_ACTIVE);
  });

  it('events of a failed commit always give back the shared register', () => {
    const rig = new Rig();
    const full = [0, 1, 2, 3].map(() => rig.open(0, ANY));
    const fifth = rig.open(0, ANY);
    expect([rig.cpu.cpuc.lbr_sel_ref, fifth.branch_reg_alloc]).toEqual([4, 0]);
    for (const event of [...full, fifth]) rig.close(event);
    expect(rig.idle()).toBe(true);
  });

  it('events never share a register on a CPU without a hardware filter', () => {
    const rig = new Rig({ model: modelOf('core2') });
    const kernel = perf.PERF_SAMPLE_BRANCH_ANY | perf.PERF_SAMPLE_BRANCH_KERNEL;
    expect([rig.open(0, ANY).state, rig.open(0, kernel).state]).toEqual([1, 1]);
    expect(rig.cpu.cpuc.lbr_sel_ref).toBe(0);
  });
});

describe('x86_pmu_enable', () => {
  it('x86_pmu_enable never starts a PMU that runs', () => {
    const rig = new Rig();
    rig.open(0, CALLSTACK);
    rig.take();
    x86.x86_pmu_enable(rig.cpu);
    expect(rig.take()).toEqual([]);
  });
});

describe('x86_pmu_del', () => {
  it('an event that was added and removed while the PMU was off is always forgotten', () => {
    const rig = new Rig();
    const [gone, holder] = [rig.open(0, ANY), rig.open(-1, ANY)];
    for (const event of [gone, holder]) rig.disable(event);
    rig.enable(holder);
    // Both events had counter 0 at some time. Now `holder` has it.
    holder.idx = gone.idx;
    rig.cpu.cpuc.setEvents(1, 0);
    rig.cpu.cpuc.setEvents(gone.idx, holder.id + 1);
    perf_pmu_disable(rig.cpu);
    x86.x86_pmu_start_txn(rig.cpu);
    x86.x86_pmu_add(rig.cpu, gone);
    expect(x86.x86_pmu_commit_txn(rig.cpu)).toBe(0);
    expect([rig.onPmu(), rig.cpu.cpuc.n_added]).toEqual([[holder.id, gone.id], 1]);
    x86.x86_pmu_del(rig.cpu, gone);
    expect([rig.onPmu(), rig.cpu.cpuc.n_added]).toEqual([[holder.id], 0]);
    expect(rig.cpu.cpuc.events(gone.idx)).toBe(holder.id + 1);
    perf_pmu_enable(rig.cpu);
    rig.close(holder);
    rig.close(gone);
    expect(rig.idle()).toBe(true);
  });
});

describe('intel_pmu_handle_irq', () => {
  function running(config: { readonly pmu_version?: number } = {}): Rig {
    const rig = new Rig(config);
    rig.open(0, CALLSTACK);
    rig.open(0, CALLSTACK);
    rig.take();
    return rig;
  }

  it('the PMI handler always reads LBR before the ack, and STATUS again after it', () => {
    const rig = running();
    rig.port.set(msrs.MSR_CORE_PERF_GLOBAL_STATUS, 1, FROZEN_HI);
    intel.intel_pmu_handle_irq(rig.cpu);
    const ack = `w OVF_CTRL ${print64(1, FROZEN_HI)}`;
    // In version 4 the ack unfreezes LBR, so the handler leaves DEBUGCTL alone.
    expect(rig.take()).toEqual(steps(CTRL_OFF, 'r STATUS', READ_EMPTY, ack, 'r STATUS', CTRL_ON));
    expect(rig.samples).toEqual([[0, 0]]);
  });

  it('before version 4 the PMI handler sets DEBUGCTL.LBR again, and not LBR_SELECT', () => {
    const rig = running({ pmu_version: 3 });
    rig.port.set(msrs.MSR_CORE_PERF_GLOBAL_STATUS, 2);
    rig.port.set(msrs.MSR_IA32_DEBUGCTLMSR, 0);
    intel.intel_pmu_handle_irq(rig.cpu);
    expect(rig.take()).toEqual(
      steps(
        CTRL_OFF,
        'r STATUS',
        READ_EMPTY,
        'w OVF_CTRL 2',
        'r STATUS',
        'r DEBUGCTL',
        'w DEBUGCTL 1',
        CTRL_ON,
      ),
    );
    expect(rig.samples).toEqual([[1, 0]]);
  });

  it('the PMI handler always goes round again for an overflow that happened meanwhile', () => {
    const rig = running();
    rig.port.set(msrs.MSR_CORE_PERF_GLOBAL_STATUS, 1);
    rig.port.late = 3;
    intel.intel_pmu_handle_irq(rig.cpu);
    const round = [...READ_EMPTY, 'w OVF_CTRL 1', 'r STATUS'];
    const again = [...READ_EMPTY, 'w OVF_CTRL 3', 'r STATUS'];
    expect(rig.take()).toEqual([CTRL_OFF, 'r STATUS', ...round, ...again, CTRL_ON]);
    expect(rig.samples.map(([event]) => event)).toEqual([0, 0, 1]);
  });

  it('the PMI handler never reads LBR or acknowledges anything when no bit is set', () => {
    const rig = running();
    intel.intel_pmu_handle_irq(rig.cpu);
    expect(rig.take()).toEqual([CTRL_OFF, 'r STATUS', CTRL_ON]);
  });

  it('the PMI handler always goes round for a bit in the high half alone', () => {
    const rig = running();
    rig.port.set(msrs.MSR_CORE_PERF_GLOBAL_STATUS, 0, FROZEN_HI);
    intel.intel_pmu_handle_irq(rig.cpu);
    expect(rig.take()).toContain(`w OVF_CTRL ${print64(0, FROZEN_HI)}`);
    expect(rig.samples).toEqual([]);
  });

  it('the PMI handler never starts a PMU that it did not find started', () => {
    const rig = running();
    rig.cpu.cpuc.enabled = 0;
    rig.port.set(msrs.MSR_CORE_PERF_GLOBAL_STATUS, 1);
    intel.intel_pmu_handle_irq(rig.cpu);
    expect(rig.take().at(-1)).toBe('r STATUS');
    expect(rig.cpu.cpuc.enabled).toBe(0);
  });

  it('the PMU always counts as stopped while the PMI handler runs', () => {
    const rig = running();
    rig.port.set(msrs.MSR_CORE_PERF_GLOBAL_STATUS, 1);
    intel.intel_pmu_handle_irq(rig.cpu);
    expect(rig.samples).toEqual([[0, 0]]);
    expect(rig.enabledInSample).toBe(0);
    expect(rig.cpu.cpuc.enabled).toBe(1);
  });

  it('the PMI handler never samples for a counter that no event is on', () => {
    const rig = running();
    rig.port.set(msrs.MSR_CORE_PERF_GLOBAL_STATUS, 0xc);
    intel.intel_pmu_handle_irq(rig.cpu);
    expect(rig.samples).toEqual([]);
    expect(rig.cpu.cpuc.enabled).toBe(1);
  });
});

describe("KVM's guest LBR event", () => {
  it('the guest LBR event takes no counter and no register, and bars the host from LBR', () => {
    const rig = new Rig();
    const host = [0, 1, 2, 3].map(() => rig.open(-1, ANY));
    rig.take();
    const guest = rig.open(0, CALLSTACK, GUEST_LBR);
    expect([guest.state, guest.idx]).toEqual([1, perf.INTEL_PMC_IDX_FIXED_VLBR]);
    expect(host.map((e) => e.state)).toEqual([1, 1, 1, 1]);
    expect(rig.cpu.cpuc.guest_mask_vlbr).toBe(1);
    // A pinned event pushes the flexible events out, so it is the first user and gets a reset.
    expect(rig.take()).toEqual(
      steps(CTRL_OFF, 'r DEBUGCTL', 'w DEBUGCTL 0', RESET, 'w SELECT 0', CTRL_ON),
    );
    intel.intel_pmu_handle_irq(rig.cpu);
    expect(rig.take()).toEqual([CTRL_OFF, 'r STATUS', CTRL_ON]);
  });

  it('LBR_SELECT is saved and restored with the records of the guest LBR event', () => {
    const rig = new Rig();
    rig.open(0, CALLSTACK, GUEST_LBR);
    rig.port.set(msrs.MSR_LBR_NHM_FROM, 5, 0x7800);
    rig.port.set(msrs.MSR_LBR_SELECT, 0x3c4);
    rig.take();
    rig.switchOut(2);
    expect(rig.take()).toEqual(
      steps(CTRL_OFF, 'r TOS', 'r FROM0', 'r TO0', 'r FROM3', 'r SELECT', CTRL_ON),
    );
    expect([rig.cpu.cpuc.lbr_select, rig.cpu.cpuc.guest_mask_vlbr]).toEqual([0, 0]);
    rig.switchIn(2);
    rig.port.set(msrs.MSR_LBR_NHM_FROM, 0);
    rig.switchTo(0);
    expect(rig.take().slice(-3)).toEqual(['w TOS 0', 'w SELECT 3c4', CTRL_ON]);
    expect([rig.cpu.cpuc.lbr_select, rig.cpu.cpuc.guest_mask_vlbr]).toEqual([1, 1]);
  });

  it('a reset zeroes LBR_SELECT while the guest LBR event is on', () => {
    const rig = new Rig();
    rig.open(0, CALLSTACK, GUEST_LBR);
    expect(rig.take().slice(-2)).toEqual(['w SELECT 0', CTRL_ON]);
  });

  it('the guest LBR event never loses its place when another event is closed', () => {
    const rig = new Rig();
    const host = rig.open(-1, ANY);
    const guest = rig.open(0, CALLSTACK, GUEST_LBR);
    rig.close(host);
    expect([rig.cpu.cpuc.guest_mask_vlbr, rig.onPmu()]).toEqual([1, [guest.id]]);
    rig.close(guest);
    const { guest_mask_vlbr, lbr_select } = rig.cpu.cpuc;
    expect([guest_mask_vlbr, lbr_select, rig.idle()]).toEqual([0, 0, true]);
  });

  it('a pinned event fails if all counters are pinned, but the guest LBR event does not', () => {
    const rig = new Rig();
    for (let i = 0; i < 4; i++) rig.open(-1, ANY, ATTR_PINNED);
    expect(rig.open(0, ANY, ATTR_PINNED).state).toBe(PERF_EVENT_STATE_ERROR);
    expect(rig.open(0, CALLSTACK, GUEST_LBR).state).toBe(PERF_EVENT_STATE_ACTIVE);
  });
});

describe('intel_pmu_cpu_starting', () => {
  it('a starting CPU clears DEBUGCTL.LBR alone, and the stack', () => {
    const rig = new Rig();
    const set = msrs.DEBUGCTLMSR_LBR | msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI;
    rig.port.set(msrs.MSR_IA32_DEBUGCTLMSR, set, 7);
    intel.intel_pmu_cpu_starting(rig.cpu);
    const smm = ['r DEBUGCTL', 'w DEBUGCTL 700004800'];
    expect(rig.take()).toEqual(['r DEBUGCTL', 'w DEBUGCTL 700000800', ...RESET, ...smm]);
  });

  it('a starting CPU never writes DEBUGCTL if LBR is off and FREEZE_IN_SMM is on', () => {
    const rig = new Rig();
    rig.port.set(msrs.MSR_IA32_DEBUGCTLMSR, msrs.DEBUGCTLMSR_FREEZE_IN_SMM);
    intel.intel_pmu_cpu_starting(rig.cpu);
    expect(rig.take()).toEqual(['r DEBUGCTL', ...RESET, 'r DEBUGCTL']);
  });

  it.each([{ version: '4.18' }, { pmu_version: 1 }] as const)(
    'a starting CPU never asks for FREEZE_IN_SMM with %o',
    (config) => {
      const rig = new Rig(config);
      intel.intel_pmu_cpu_starting(rig.cpu);
      expect(rig.take()).toEqual(['r DEBUGCTL', ...RESET]);
    },
  );

  it('a starting CPU never writes DEBUGCTL again if the second read of it faults', () => {
    const rig = new Rig();
    rig.port.vector = GP_VECTOR;
    intel.intel_pmu_cpu_starting(rig.cpu);
    expect([rig.take(), rig.cpu.expectsFault]).toEqual([
      ['r DEBUGCTL', ...RESET, 'r DEBUGCTL'],
      false,
    ]);
  });
});

describe('the paravirtual ACTIVE bit', () => {
  /** MSR accesses while a call-stack event is opened, switched out and in, and closed. */
  function life(pv: PvSite): string[] {
    const rig = new Rig({ pv });
    intel.intel_pmu_cpu_starting(rig.cpu);
    const event = rig.open(0, CALLSTACK, ATTR_INHERIT);
    rig.open(0, CALLSTACK);
    rig.switchTo(2);
    rig.switchTo(0);
    rig.port.set(msrs.MSR_CORE_PERF_GLOBAL_STATUS, 1);
    intel.intel_pmu_handle_irq(rig.cpu);
    rig.close(rig.kernel.events[1]);
    rig.close(event);
    return rig.take().filter((line) => /ACTIVE|DEBUGCTL \d|w CTRL/.test(line));
  }
  /** The CPU starts with FREEZE_IN_SMM, and the first event finds the PMU on. */
  const FIRST = ['w DEBUGCTL 4000', CTRL_OFF];
  const OFF = [CTRL_OFF, 'w DEBUGCTL 4000'];
  const ON = ['w DEBUGCTL 4001', CTRL_ON];
  const PMI = [CTRL_OFF, CTRL_ON];

  it('ACTIVE is never written without the feature', () => {
    const both = [...OFF, ...ON, ...OFF, CTRL_ON, CTRL_OFF, ...ON, ...PMI, ...OFF, ...ON];
    expect(life('none')).toEqual([...FIRST, ...ON, ...both, ...OFF, CTRL_ON]);
  });

  it('add-del sets ACTIVE before the first add and clears it after the last del', () => {
    // Opening the second event reschedules the first. Closing an event removes that event only.
    const second = [...OFF, ACTIVE_OFF, ACTIVE_ON, ...ON];
    const away = [...OFF, ACTIVE_OFF, CTRL_ON, CTRL_OFF, ACTIVE_ON, ...ON];
    const close = [...OFF, ...ON, ...OFF, ACTIVE_OFF, CTRL_ON];
    const expected = [...FIRST, ACTIVE_ON, ...ON, ...second, ...away, ...PMI, ...close];
    expect(life('add-del')).toEqual(expected);
    expect(life('add-del-boot')).toEqual([ACTIVE_OFF, ...expected]);
  });

  it('ACTIVE is set before the reset of a first add, and cleared after LBR is off', () => {
    const rig = new Rig({ pv: 'add-del' });
    const event = rig.open(0, CALLSTACK);
    expect(rig.take().slice(0, 3)).toEqual([CTRL_OFF, ACTIVE_ON, 'w FROM0 0']);
    rig.open(-1, ANY);
    rig.close(event);
    expect(rig.cpu.cpuc.pv_lbr_users).toBe(0);
  });
});
