/** What befalls a vCPU and its pCPU besides switches, with KVM's own C as the host. */
import { beforeAll, describe, expect, it } from 'vitest';
import {
  CALLSTACK_USER,
  PERF_SAMPLE_BRANCH_ANY,
  PERF_SAMPLE_BRANCH_USER,
} from '../../src/guest/perf/perf_event.js';
import { BRANCH_REL_CALL } from '../../src/hw/branch.js';
import { findCpuModel } from '../../src/hw/cpu_models.js';
import * as msrs from '../../src/hw/msr_index.js';
import { Observer } from '../../src/host/observer.js';
import { kvmOf } from '../../src/host/policy/kvm.js';
import { Machine } from '../../src/machine/machine.js';
import { NoGuestLbr } from '../../src/machine/no_guest_lbr.js';
import {
  hostOverflow,
  startCpu,
  takeLbr,
  togglePt,
  toggleWatchdog,
} from '../../src/machine/threads.js';
import { imageDriver, treeImage, type TreeImage } from '../../src/tree/image/image.js';
import { CACHE, imageVersions, tarOf } from '../rig/images.js';

const MSR_IA32_PMC0 = 0xc1;
const FROM_1 = msrs.MSR_LBR_NHM_FROM + 1;
/** Its DEBUGCTL has FREEZE_LBRS_ON_PMI, as that of a call stack has not. */
const ANY_USER = PERF_SAMPLE_BRANCH_ANY | PERF_SAMPLE_BRANCH_USER;
const MIGRATIONS = 40;

describe.each(imageVersions('6.1', '7.3'))('under the KVM of Linux %s', (version) => {
  let image: TreeImage;
  beforeAll(async () => {
    image = await treeImage(tarOf(version), CACHE, { kvm: true });
  }, 300_000);

  function booted(cpu = 'skylake', vms = 1, observer = new Observer()): Machine {
    const model = findCpuModel(cpu);
    if (model === undefined) throw new Error(cpu);
    const shape = { vms, vcpus: 1, tasks: 2, pcpus: 1 };
    const policy = kvmOf(version);
    const driver = imageDriver(image);
    const m = new Machine({ model, kernel: '6.1', policy, driver, shape }, observer);
    m.boot();
    return m;
  }

  const guestRecords = (m: Machine): boolean =>
    (m.vcpus[0].vmcs.guestDebugctl & msrs.DEBUGCTLMSR_LBR) !== 0;

  it.each([
    ['haswell', false],
    ['skylake', true],
  ])('the watchdog overflows while a guest is recorded on %s', (cpu, goesOn) => {
    const m = booted(cpu);
    toggleWatchdog(m, 0);
    m.open(0, 0, 0, ANY_USER);
    expect(guestRecords(m)).toBe(true);
    hostOverflow(m, 0);
    m.hypervisor.exit(m.vcpus[0]);
    expect(guestRecords(m)).toBe(goesOn);
  });

  it('a watchdog that has ended does not overflow', () => {
    const m = booted('haswell');
    toggleWatchdog(m, 0);
    toggleWatchdog(m, 0);
    m.open(0, 0, 0, ANY_USER);
    hostOverflow(m, 0);
    m.hypervisor.exit(m.vcpus[0]);
    expect(guestRecords(m)).toBe(true);
  });

  it('perf refuses the guest LBR event as long as the host traces with PT', () => {
    const m = booted();
    togglePt(m, 0);
    m.open(0, 0, 0, CALLSTACK_USER);
    expect(m.host.guestLbrEvent(m.vcpus[0])).toBe('none');
    expect(m.vcpus[0].msr_passthrough).toBe(false);
    togglePt(m, 0);
    m.rdmsr(0, FROM_1);
    expect(m.host.guestLbrEvent(m.vcpus[0])).toBe('active');
  });

  it('PT is refused as long as a guest has an LBR event', () => {
    const m = booted();
    m.open(0, 0, 0, CALLSTACK_USER);
    togglePt(m, 0);
    m.open(0, 1, 1, CALLSTACK_USER);
    m.rdmsr(0, FROM_1);
    expect(m.host.guestLbrEvent(m.vcpus[0])).toBe('active');
    expect(m.vcpus[0].msr_passthrough).toBe(true);
  });

  it('LBR is taken away before a vCPU has run, and later in 6.1 by PERF_CAPABILITIES', () => {
    class Heard extends Observer {
      taken = 0;

      override lbrTaken(): void {
        this.taken++;
      }
    }
    const heard = new Heard();
    const m = booted('skylake', 2, heard);
    const takes = (vcpu: number, byCpuid: boolean): boolean => {
      const before = heard.taken;
      takeLbr(m, vcpu, byCpuid);
      return heard.taken > before;
    };
    expect([takes(1, true), takes(1, false)]).toEqual([true, true]);
    m.switchTo(0, 1);
    expect([takes(0, true), takes(0, false)]).toEqual([false, version === '6.1']);
  });

  it('a CPU without call stacks has no LBR for guests since 6.9', () => {
    const boots = (): unknown => booted('sandybridge').vcpus.length;
    if (version === '6.1') expect(boots()).toBe(1);
    else expect(boots).toThrow(NoGuestLbr);
  });

  it('INIT leaves DEBUGCTL and the stack, and stops neither PMIs nor the guest', () => {
    class Heard extends Observer {
      samples = 0;

      override guestSample(): void {
        this.samples++;
      }
    }
    const heard = new Heard();
    const m = booted('skylake', 1, heard);
    m.open(0, 0, 0, CALLSTACK_USER);
    m.branches(0, BRANCH_REL_CALL, 3);
    const read = (msr: number): number => m.hypervisor.guestRdmsr(m.vcpus[0], msr);
    const seen = (): number[] => [FROM_1, msrs.MSR_IA32_DEBUGCTLMSR, msrs.MSR_LBR_TOS].map(read);
    const before = seen();
    expect(before.every((value) => value !== 0)).toBe(true);
    m.hypervisor.tree?.init(m.vcpus[0]);
    expect(seen()).toEqual(before);
    expect(m.hypervisor.isInRun(m.vcpus[0])).toBe(true);
    heard.samples = 0;
    m.pmi(0, 0, 0);
    expect(heard.samples).toBe(1);
    // One that comes while the guest handles a PMI ends the blocking of NMIs.
    const comes = (): boolean => {
      m.hypervisor.guestWrmsr(m.vcpus[0], MSR_IA32_PMC0, -1000, 0);
      return m.hypervisor.injectPmi(m.vcpus[0], 0);
    };
    expect([comes(), comes()]).toEqual([true, false]);
    m.hypervisor.tree?.init(m.vcpus[0]);
    expect(comes()).toBe(true);
    startCpu(m, 0);
    m.open(0, 0, 0, CALLSTACK_USER);
    expect(m.host.guestLbrEvent(m.vcpus[0])).toBe('active');
  });

  it('a VM that is gone leaves no event, no memory, and no record to the next one', () => {
    const m = booted('skylake', 2);
    const generation = (): void => {
      m.open(0, 0, 0, CALLSTACK_USER);
      m.branches(0, BRANCH_REL_CALL, 3);
      expect(m.host.guestLbrEvent(m.vcpus[0])).toBe('active');
      m.close(0, 0);
      m.switchTo(0, 1);
      m.liveMigrate(0);
      expect(m.host.guestLbrEvent(m.vcpus[0])).toBe('none');
      m.switchTo(0, 0);
      expect(m.hypervisor.guestRdmsr(m.vcpus[0], FROM_1)).toBe(0);
    };
    generation();
    const words = m.memory.words.length;
    for (let i = 0; i < MIGRATIONS; i++) generation();
    expect(m.memory.words.length).toBe(words);
  });
});
