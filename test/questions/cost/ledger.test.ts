/** What a ledger counts, one access at a time. */
import { describe, expect, it } from 'vitest';
import * as perf from '../../../src/guest/perf/perf_event.js';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import { KVM_PV_LBR_CTRL_ACTIVE, MSR_KVM_PV_LBR_CTRL } from '../../../src/guest/pv/kvm_para.js';
import { BRANCH_REL_CALL } from '../../../src/hw/branch.js';
import { COUNTS, countOf, Ledger } from '../../../src/questions/cost/ledger.js';
import { cpuModel } from '../../rig/cpu.js';
import { DEBUGCTL, FROM, LBR, ON, PINNED, policyOf, SELECT, TOS } from '../../rig/machine.js';

const RING = perf.PERF_SAMPLE_BRANCH_ANY | perf.PERF_SAMPLE_BRANCH_USER;

function ledgerOf(policy: string, cpu = 'skylake'): Ledger {
  const shape = { vms: 2, vcpus: 1, tasks: 3, pcpus: 1 };
  const model = cpuModel(cpu);
  const ledger = new Ledger({
    shape,
    model,
    kernel: '6.1',
    policy: policyOf(policy),
    driver: PORT,
  });
  ledger.open();
  return ledger;
}

/** What is not 0 of a vCPU. */
function counted({ counts }: Ledger, vcpu = 0): Partial<Record<(typeof COUNTS)[number], number>> {
  return Object.fromEntries(
    COUNTS.map((name) => [name, countOf(counts[vcpu], name)] as const).filter(([, n]) => n !== 0),
  );
}

describe('a ledger', () => {
  it('counts nothing before it is opened', () => {
    const shape = { vms: 1, vcpus: 1, tasks: 3, pcpus: 1 };
    const [model, policy] = [cpuModel('skylake'), policyOf('always')];
    const ledger = new Ledger({ shape, model, kernel: '6.1', policy, driver: PORT });
    ledger.machine.switchTo(0, -1);
    expect(counted(ledger)).toEqual({});
    ledger.open();
    ledger.machine.switchTo(0, 0);
    expect(counted(ledger)).toMatchObject({ arrivals: 1, restores: 1, writes: 98, needless: 98 });
  });

  it('the bitmap counts when it changes, and not at each entry', () => {
    const ledger = ledgerOf('merged');
    const { kvm, vcpus } = ledger.machine;
    kvm.guestWrmsr(vcpus[0], DEBUGCTL, LBR, 0);
    for (let i = 0; i < 5; i++) ledger.machine.exitAndEnter(0);
    expect(counted(ledger)).toMatchObject({ bitmaps: 1, events: 1 });
    kvm.setPassthrough(vcpus[0], true);
    expect(countOf(ledger.counts[0], 'bitmaps')).toBe(1);
  });

  it('an event counts when it is made and when it is released, if there is one', () => {
    const ledger = ledgerOf('merged');
    const { kvm, vcpus, host } = ledger.machine;
    host.releaseGuestLbrEvent(vcpus[0]);
    expect(counted(ledger)).toEqual({});
    kvm.guestWrmsr(vcpus[0], DEBUGCTL, LBR, 0);
    host.releaseGuestLbrEvent(vcpus[0]);
    expect(counted(ledger)).toMatchObject({ events: 2 });
  });

  it('an exit counts if LBR has caused it, by its MSRs or by ACTIVE', () => {
    const ledger = ledgerOf('pv-sound');
    const { kvm, vcpus } = ledger.machine;
    kvm.guestWrmsr(vcpus[0], MSR_KVM_PV_LBR_CTRL, KVM_PV_LBR_CTRL_ACTIVE, 0);
    expect(counted(ledger)).toEqual({ exits: 1 });
    ledger.machine.exitAndEnter(0);
    kvm.guestRdmsr(vcpus[0], TOS);
    expect(counted(ledger)).toMatchObject({ exits: 1, guestReads: 1 });
    const lazy = ledgerOf('lazy-sound');
    lazy.machine.kvm.guestRdmsr(lazy.machine.vcpus[0], TOS);
    lazy.machine.kvm.guestWrmsr(lazy.machine.vcpus[0], DEBUGCTL, 0, 0);
    expect(counted(lazy)).toMatchObject({ exits: 1, guestReads: 1 });
    expect(ledger.guestAccesses).toBe(2);
  });

  it("KVM's own accesses of one register are no saves or restores, and perf's are", () => {
    const ledger = ledgerOf('merged');
    const { kvm, vcpus } = ledger.machine;
    kvm.guestRdmsr(vcpus[0], TOS);
    expect(counted(ledger)).toMatchObject({ reads: 1, events: 1 });
    expect(counted(ledger)).not.toHaveProperty('saves');
    kvm.guestWrmsr(vcpus[0], DEBUGCTL, LBR, 0);
    ledger.machine.switchTo(0, 1);
    expect(counted(ledger)).toMatchObject({ saves: 1 });
    expect(counted(ledger, 1)).toEqual({ arrivals: 1 });
  });

  it('a write of LBR_SELECT is a price of its own', () => {
    const ledger = ledgerOf('merged');
    ledger.machine.kvm.guestWrmsr(ledger.machine.vcpus[0], SELECT, 0, 0);
    expect(countOf(ledger.counts[0], 'selects')).toBeGreaterThan(0);
  });

  it('what the host does for itself on an idle pCPU is nobody’s', () => {
    const ledger = ledgerOf('always');
    ledger.machine.switchTo(0, -1);
    const before = [0, 1].map((v) => counted(ledger, v));
    ledger.machine.hostEvent(0, PINNED, ON);
    expect([0, 1].map((v) => counted(ledger, v))).toEqual(before);
  });

  it('accesses are needless for a guest without events alone', () => {
    const ledger = ledgerOf('always');
    ledger.using[0] = 1;
    ledger.machine.switchTo(0, 1);
    expect(counted(ledger)).not.toHaveProperty('needless');
    expect(counted(ledger, 1)).toMatchObject({ needless: 98 });
  });

  it("a read is wrong if it differs from a pCPU of its own, and foreign if another VM's", () => {
    const ledger = ledgerOf('never');
    const { machine } = ledger;
    const { kvm, vcpus } = machine;
    kvm.guestWrmsr(vcpus[0], DEBUGCTL, LBR, 0);
    machine.branches(0, BRANCH_REL_CALL, 3);
    kvm.guestRdmsr(vcpus[0], FROM + 1);
    expect(counted(ledger)).toEqual({ guestReads: 1 });
    machine.switchTo(0, 1);
    kvm.guestRdmsr(vcpus[1], FROM + 1);
    kvm.guestRdmsr(vcpus[1], FROM + 9);
    expect(counted(ledger, 1)).toMatchObject({ guestReads: 2, wrong: 1, foreign: 1 });
    // What v1 leaves in its place is its own, where v0 wants a record.
    kvm.guestWrmsr(vcpus[1], FROM + 1, 0, 0);
    machine.switchTo(0, 0);
    kvm.guestRdmsr(vcpus[0], FROM + 1);
    expect(counted(ledger)).toMatchObject({ guestReads: 2, wrong: 1 });
    expect(counted(ledger)).not.toHaveProperty('foreign');
  });

  it('a sample of all branches is right, with the freeze that comes before it', () => {
    const ledger = ledgerOf('lazy-sound', 'haswell');
    const { machine } = ledger;
    machine.open(0, 0, 0, RING);
    machine.branches(0, BRANCH_REL_CALL, 3);
    machine.pmi(0, 0, 0);
    expect(counted(ledger)).toMatchObject({ samples: 1 });
    expect(counted(ledger)).not.toHaveProperty('wrong');
  });
});
