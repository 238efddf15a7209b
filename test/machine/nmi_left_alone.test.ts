/** An NMI that arrives when no event is left: perf_event_nmi_handler() leaves it alone. */
import { describe, expect, it } from 'vitest';
import { MSR_CORE_PERF_GLOBAL_STATUS } from '../../src/hw/msr_index.js';
import { always } from '../../src/host/policy/always.js';
import { BRANCH_TYPES } from '../../src/schedule/actions/events.js';
import { Rig, TOS } from '../rig/machine.js';

/** Accesses until the NMI: more than a close makes. */
const LATE = 40;

/** A VM of two vCPUs on two pCPUs, with some open events and an NMI on its way. */
function rigOf(events: number): Rig {
  const rig = new Rig(always, { vms: 1, vcpus: 2, tasks: 2, pcpus: 2, cpu: 'skylake/4' });
  for (let i = 0; i < events; i++) expect(rig.m.open(0, 0, 0, BRANCH_TYPES[0])).toBe(0);
  rig.m.pmi(0, 0, LATE);
  rig.m.close(0, 0);
  expect(rig.m.ports[0].nmiArmed).toBe(true);
  rig.said();
  return rig;
}

/** What was said of an NMI and of its handler, which reads GLOBAL_STATUS first. */
function saidOfNmi({ said }: Rig): string[] {
  return said('guestPmi', `guestRead 0 ${MSR_CORE_PERF_GLOBAL_STATUS} `);
}

/** Reads TOS until the NMI has come. Returns what was said of it and of its handler. */
function untilNmi(rig: Rig): string[] {
  const { m } = rig;
  for (let i = 0; i < LATE && m.ports[0].nmiArmed; i++) m.rdmsr(0, TOS);
  expect(m.ports[0].nmiArmed).toBe(false);
  return saidOfNmi(rig);
}

describe('an NMI after its event was closed', () => {
  it('an NMI is left alone if no event is left', () => {
    expect(untilNmi(rigOf(1))).toEqual(['guestPmi 0 0']);
  });

  it('an NMI is handled if another event is there', () => {
    const [pmi, ...reads] = untilNmi(rigOf(2));
    expect(pmi).toBe('guestPmi 0 0');
    expect(reads.length).toBeGreaterThan(0);
  });

  it('an NMI that was left alone does not come again in a function that is resumed', () => {
    const rig = rigOf(1);
    const { m } = rig;
    while (m.ports[0].nmiArmed) {
      m.arm(0, -1, 0);
      m.rdmsr(0, TOS);
      m.switchTo(0, 0);
      m.resume(0);
    }
    expect(m.ports[0].suspended).toBe(0);
    expect(saidOfNmi(rig)).toEqual(['guestPmi 0 0']);
  });
});
