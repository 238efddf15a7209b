/** Where a guest's driver sets and clears ACTIVE, for each site, and between which MSR accesses. */
import { describe, expect, it } from 'vitest';
import {
  KVM_FEATURE_PV_LBR_CTRL,
  KVM_PV_LBR_CTRL_ACTIVE,
  MSR_KVM_PV_LBR_CTRL,
} from '../../src/guest/pv/kvm_para.js';
import type { PvSite } from '../../src/guest/pv/kvm_para.js';
import * as perf from '../../src/guest/perf/perf_event.js';
import { DEBUGCTLMSR_FREEZE_IN_SMM } from '../../src/hw/msr_index.js';
import { KIND_NONE, lbrMap } from '../../src/hw/lbr_map.js';
import { never } from '../../src/host/policy/never.js';
import { BRANCH_TYPES } from '../../src/schedule/actions/events.js';
import { DEBUGCTL, LBR, Rig } from '../rig/machine.js';

const CALLSTACK_USER = BRANCH_TYPES[0];
const CALLSTACK_BOTH = CALLSTACK_USER | perf.PERF_SAMPLE_BRANCH_KERNEL;
const ANY_USER = BRANCH_TYPES[1];

/** One VM of one vCPU whose driver writes ACTIVE at `pv`. */
const rigOf = (pv: PvSite): Rig => new Rig({ ...never, pv }, { vms: 1, tasks: 2 });

function open({ m }: Rig, task: number, type = CALLSTACK_USER): void {
  expect(m.open(0, task, 0, type)).toBe(0);
}

/** What becomes of a CPU that starts and asks for a freeze in SMM. */
const NO_SMM = 'fault of FREEZE_IN_SMM';

/** Short name of a guest's access; null for an MSR that the test does not follow. */
function accessText(line: string, { m }: Rig): string | null {
  const [name, , msr, eax] = line.split(' ');
  const [at, value] = [Number(msr), Number(eax)];
  if (line === `guestFault 0 ${DEBUGCTL} true ${DEBUGCTLMSR_FREEZE_IN_SMM} 0`) return NO_SMM;
  if (name === 'guestFault') return 'fault';
  if (name === 'guestWrite' && at === MSR_KVM_PV_LBR_CTRL) return `ACTIVE=${value}`;
  if (name === 'guestWrite' && at === DEBUGCTL) return `LBR=${value & LBR}`;
  const isLbr = name === 'guestRead' || name === 'guestWrite';
  return isLbr && lbrMap(m.config.model).kind(at) !== KIND_NONE ? 'lbr' : null;
}

/** The guest's accesses to LBR MSRs (a run counts once), DEBUGCTL and ACTIVE. */
function did(rig: Rig): string[] {
  const texts = rig.said('guest').flatMap((line) => accessText(line, rig) ?? []);
  return texts.filter((text, i) => text !== 'lbr' || texts[i - 1] !== 'lbr');
}

/** The guest's writes of ACTIVE only. */
const active = (rig: Rig): string[] =>
  did(rig).filter((line) => line.startsWith('ACTIVE') || line.startsWith('fault'));

describe('the ABI', () => {
  it('the ABI is always the one that a host and a guest were built with', () => {
    expect(MSR_KVM_PV_LBR_CTRL).toBe(1263947262);
    expect([KVM_PV_LBR_CTRL_ACTIVE, KVM_FEATURE_PV_LBR_CTRL]).toEqual([1, 30]);
  });
});

describe('a guest without the feature', () => {
  it('a guest without the feature never touches the MSR', () => {
    const rig = rigOf('none');
    open(rig, 0);
    rig.m.pmi(0, 0, 0);
    rig.m.switchTask(0, 1);
    rig.m.switchTask(0, 0);
    rig.m.close(0, 0);
    rig.m.kexec(0);
    expect(active(rig)).toEqual([NO_SMM]);
  });
});

describe.each(['add-del', 'add-del-boot'] as const)('%s', (site) => {
  it(`${site} sets ACTIVE before the first LBR access, and clears it after the last`, () => {
    const rig = rigOf(site);
    open(rig, 0);
    expect(did(rig)).toEqual(['ACTIVE=1', 'lbr', 'LBR=1']);
    rig.m.close(0, 0);
    expect(did(rig)).toEqual(['LBR=0', 'ACTIVE=0']);
  });

  it(`ACTIVE of ${site} always follows the task that has the event`, () => {
    const rig = rigOf(site);
    open(rig, 0);
    did(rig);
    rig.m.switchTask(0, 1);
    expect(did(rig)).toEqual(['LBR=0', 'lbr', 'ACTIVE=0']);
    rig.m.switchTask(0, 0);
    expect(did(rig)).toEqual(['ACTIVE=1', 'lbr', 'LBR=1']);
  });

  it(`only the first user of ${site} sets ACTIVE, and only the last clears it`, () => {
    const rig = rigOf(site);
    open(rig, 0);
    open(rig, -1, CALLSTACK_BOTH);
    open(rig, 0);
    rig.m.disable(0, 0);
    expect(rig.m.cpu(0).cpuc.pv_lbr_users).toBeGreaterThan(0);
    active(rig);
    rig.m.close(0, 2);
    rig.m.close(0, 1);
    expect(active(rig).at(-1)).toBe('ACTIVE=0');
    expect([rig.m.vcpus[0].pvLbrCtrl, rig.m.cpu(0).cpuc.pv_lbr_users]).toEqual([0, 0]);
  });

  it(`${site} never sets ACTIVE for other modes, nor in a PMI`, () => {
    const rig = rigOf(site);
    open(rig, 0, ANY_USER);
    rig.m.disable(0, 0);
    rig.m.close(0, 0);
    expect(active(rig)).toEqual([]);
    open(rig, 0);
    did(rig);
    rig.m.pmi(0, 0, 0);
    expect(active(rig)).toEqual([]);
  });

  it(`after a kexec ${site} clears ACTIVE only if it knows that it may be set`, () => {
    const rig = rigOf(site);
    open(rig, 0);
    did(rig);
    rig.m.kexec(0);
    expect(active(rig)).toEqual(site === 'add-del-boot' ? ['ACTIVE=0', NO_SMM] : [NO_SMM]);
    expect(rig.m.vcpus[0].pvLbrCtrl).toBe(site === 'add-del-boot' ? 0 : 1);
  });
});
