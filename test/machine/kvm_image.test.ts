/** KVM's own C as the host, on the trees that this machine has. */
import { beforeAll, describe, expect, it } from 'vitest';
import { imageDriver, treeImage, type TreeImage } from '../../src/tree/image/image.js';
import { CALLSTACK_USER } from '../../src/guest/perf/perf_event.js';
import { BRANCH_REL_CALL } from '../../src/hw/branch.js';
import * as msrs from '../../src/hw/msr_index.js';
import { GP_VECTOR } from '../../src/hw/msr_port.js';
import { HOST, Observer } from '../../src/host/observer.js';
import { kvmOf } from '../../src/host/policy/kvm.js';
import { Machine } from '../../src/machine/machine.js';
import { INTERRUPT_COUNTERS } from '../../src/machine/host_perf.js';
import { freezeOnSmi, hostCounters } from '../../src/machine/threads.js';
import { Snapshot } from '../../src/machine/snapshot.js';
import { drawOf } from '../../src/schedule/draw.js';
import { Generator } from '../../src/schedule/generate.js';
import { perform } from '../../src/schedule/table.js';
import { findCpuModel } from '../../src/hw/cpu_models.js';
import { CACHE, imageVersions, tarOf } from '../rig/images.js';

const FROM_1 = msrs.MSR_LBR_NHM_FROM + 1;
const X2APIC_LVTPC = 0x834;
const NO_MSR = 0x1234;
const KVM_EVENT = 0;

/** What is heard of a machine, as lines. */
class Heard extends Observer {
  private lines: string[] = [];
  readonly warnings: string[] = [];

  take(): string[] {
    const { lines } = this;
    this.lines = [];
    return lines;
  }

  override hostAccess(_pcpu: number, onBehalf: number, msr: number, write: boolean): void {
    const whose = onBehalf === HOST ? 'perf' : `KVM for v${onBehalf}`;
    this.lines.push(`${whose} ${write ? 'writes' : 'reads'} ${msr.toString(16)}`);
  }

  override guestPmi(vcpu: number): void {
    this.lines.push(`v${vcpu} PMI`);
  }

  override guestSample(vcpu: number): void {
    this.lines.push(`v${vcpu} sample`);
  }

  override guestFault(vcpu: number, msr: number): void {
    this.lines.push(`v${vcpu} faults at ${msr.toString(16)}`);
  }

  override hostWarned(file: string, line: number): void {
    this.warnings.push(`${file}:${line}`);
  }
}

describe.each(imageVersions('6.1', '6.12', '7.2', '7.3'))('the KVM of Linux %s', (version) => {
  let image: TreeImage;
  beforeAll(async () => {
    image = await treeImage(tarOf(version), CACHE, { kvm: true });
  }, 300_000);

  function booted(cpu = 'skylake', vms = 2): { m: Machine; heard: Heard } {
    const model = findCpuModel(cpu);
    if (model === undefined) throw new Error(cpu);
    const heard = new Heard();
    const policy = kvmOf(version);
    const shape = { vms, vcpus: 1, tasks: 2, pcpus: 1 };
    const m = new Machine(
      { model, kernel: '6.1', policy, driver: imageDriver(image), shape },
      heard,
    );
    m.boot();
    heard.take();
    return { m, heard };
  }

  it('the first LBR access traps and makes the event; the next ones pass through', () => {
    const { m, heard } = booted();
    expect(m.host.guestLbrEvent(m.vcpus[0])).toBe('none');
    m.rdmsr(0, FROM_1);
    expect(m.hypervisor.intercepted).toBe(true);
    const first = heard.take();
    expect(first.filter((line) => line.startsWith('KVM'))).toEqual(['KVM for v0 reads 681']);
    expect(first.filter((line) => line.startsWith('perf')).length).toBeGreaterThan(0);
    expect(m.host.guestLbrEvent(m.vcpus[0])).toBe('active');
    expect(m.vcpus[0].msr_passthrough).toBe(true);
    m.rdmsr(0, FROM_1);
    expect(m.hypervisor.intercepted).toBe(false);
    expect(heard.take()).toEqual([]);
  });

  it('a stack in use is there again after a switch to another VM and back', () => {
    const { m } = booted();
    m.open(0, 0, 0, CALLSTACK_USER);
    m.branches(0, BRANCH_REL_CALL, 3);
    const before = m.pcpus[0].stack.readLow(FROM_1);
    expect(before).not.toBe(0);
    m.switchTo(0, 1);
    m.open(1, 0, 0, CALLSTACK_USER);
    m.branches(1, BRANCH_REL_CALL, 5);
    expect(m.pcpus[0].stack.readLow(FROM_1)).not.toBe(before);
    m.switchTo(0, 0);
    expect(m.pcpus[0].stack.readLow(FROM_1)).toBe(before);
    expect(m.pcpus[0].debugctl & msrs.DEBUGCTLMSR_LBR).not.toBe(0);
  });

  it("a PMI comes by the host's counter, again after the handler and after a switch", () => {
    const { m, heard } = booted();
    m.open(0, 0, 0, CALLSTACK_USER);
    for (let i = 0; i < 3; i++) {
      heard.take();
      m.pmi(0, KVM_EVENT, 0);
      expect(heard.take().filter((line) => line.startsWith('v0'))).toEqual(['v0 PMI', 'v0 sample']);
      m.switchTo(0, 1);
      m.switchTo(0, 0);
    }
  });

  it("the host's counters put the guest LBR event into ERROR, and the guest is cut off", () => {
    const { m } = booted();
    m.open(0, 0, 0, CALLSTACK_USER);
    m.branches(0, BRANCH_REL_CALL, 3);
    expect(m.vcpus[0].msr_passthrough).toBe(true);
    hostCounters(m, 0, true);
    expect(m.host.countersTaken(0)).toBe(true);
    m.exitAndEnter(0);
    expect(m.host.guestLbrEvent(m.vcpus[0])).toBe('inactive');
    expect(m.vcpus[0].msr_passthrough).toBe(false);
    m.rdmsr(0, FROM_1);
    expect(m.hypervisor.guestRdmsr(m.vcpus[0], FROM_1)).toBe(0);
    hostCounters(m, 0, false);
    expect(m.host.countersTaken(0)).toBe(false);
    m.exitAndEnter(0);
    // Nobody enables it again.
    expect(m.host.guestLbrEvent(m.vcpus[0])).toBe('inactive');
  });

  it('an interrupt of the host comes inside KVM, and the guest is cut off at once', () => {
    let came = 0;
    for (let after = 0; after < 8; after++) {
      const { m } = booted();
      m.open(0, 0, 0, CALLSTACK_USER);
      m.hypervisor.tree?.interrupt(0, INTERRUPT_COUNTERS, after);
      m.exitAndEnter(0);
      m.hypervisor.enter(m.vcpus[0]);
      if (m.host.countersTaken(0)) came++;
      expect(m.vcpus[0].msr_passthrough).toBe(!m.host.countersTaken(0));
    }
    // Interrupts go on after the exit, and off before the next entry: before and after schedule().
    expect(came).toBe(4);
  });

  it('an interrupt that has freed the PMU leaves nothing to be closed', () => {
    let freed = 0;
    for (let after = 0; after < 8; after++) {
      const { m } = booted();
      hostCounters(m, 0, true);
      m.hypervisor.enter(m.vcpus[0]);
      m.hypervisor.tree?.interrupt(0, INTERRUPT_COUNTERS, after);
      m.hypervisor.exit(m.vcpus[0]);
      if (!m.host.countersTaken(0)) freed++;
      hostCounters(m, 0, false);
      expect(m.host.countersTaken(0)).toBe(false);
    }
    expect(freed).toBeGreaterThan(0);
  });

  it('what the host freezes in SMM stays so in the guest, which does not see it', () => {
    const { m } = booted();
    const run = m.pcpus[0];
    m.wrmsr(0, msrs.MSR_IA32_DEBUGCTLMSR, msrs.DEBUGCTLMSR_LBR, 0);
    for (const on of [true, false, true]) {
      freezeOnSmi(m);
      expect((run.debugctl & msrs.DEBUGCTLMSR_FREEZE_IN_SMM) !== 0).toBe(on);
      m.hypervisor.enter(m.vcpus[0]);
      const both = msrs.DEBUGCTLMSR_LBR | msrs.DEBUGCTLMSR_FREEZE_IN_SMM;
      expect(run.debugctl).toBe(on ? both : msrs.DEBUGCTLMSR_LBR);
      const seen = m.hypervisor.guestRdmsr(m.vcpus[0], msrs.MSR_IA32_DEBUGCTLMSR);
      expect(seen).toBe(msrs.DEBUGCTLMSR_LBR);
    }
  });

  it('a counter that does not count on the host does not overflow', () => {
    const { m, heard } = booted();
    m.open(0, 0, 0, CALLSTACK_USER);
    m.wrmsr(0, msrs.MSR_CORE_PERF_GLOBAL_CTRL, 0, 0);
    heard.take();
    m.pmi(0, KVM_EVENT, 0);
    expect(heard.take().filter((line) => line.startsWith('v0'))).toEqual([]);
  });

  it('an MSR that the guest does not have raises #GP in the guest', () => {
    const { m, heard } = booted();
    expect(m.hypervisor.guestWrmsr(m.vcpus[0], 0x1dd, 0, 0)).toBe(GP_VECTOR);
    expect(heard.take()).toContain('v0 faults at 1dd');
    m.hypervisor.guestRdmsr(m.vcpus[0], NO_MSR);
    expect(m.hypervisor.vector).toBe(GP_VECTOR);
    expect(m.hypervisor.guestWrmsr(m.vcpus[0], X2APIC_LVTPC, 0x400, 0)).toBe(0);
  });

  it('a migrated vCPU has the DEBUGCTL that it had, if KVM lists that', () => {
    const { m } = booted();
    m.open(0, 0, 0, CALLSTACK_USER);
    expect(m.vcpus[0].vmcs.guestDebugctl & msrs.DEBUGCTLMSR_LBR).not.toBe(0);
    m.switchTo(0, 1);
    m.liveMigrate(0);
    m.switchTo(0, 0);
    const kept = (m.vcpus[0].vmcs.guestDebugctl & msrs.DEBUGCTLMSR_LBR) !== 0;
    expect(kept).toBe(version !== '6.1');
  });

  it('random schedules go through, and the kernel warns of unchecked accesses alone', () => {
    const { m, heard } = booted('skylake', 3);
    const generator = new Generator(m);
    for (let run = 0; run < 6; run++) {
      m.boot();
      generator.begin(drawOf(11, run), true);
      for (let i = 0; i < 100; i++) {
        generator.next();
        const { kind, actor, a, b, c } = generator;
        perform(m, kind, actor, a, b, c);
      }
    }
    expect(heard.warnings.filter((line) => !line.startsWith('unchecked '))).toEqual([]);
  });

  it('a snapshot holds all of it', () => {
    const { m } = booted();
    m.open(0, 0, 0, CALLSTACK_USER);
    const snapshot = new Snapshot(m);
    snapshot.take();
    const seen = (): unknown[] => {
      m.branches(0, BRANCH_REL_CALL, 2);
      m.switchTo(0, 1);
      m.open(1, 0, 0, CALLSTACK_USER);
      m.switchTo(0, 0);
      m.pmi(0, KVM_EVENT, 0);
      return [...m.memory.words];
    };
    const once = seen();
    snapshot.put();
    expect(seen()).toEqual(once);
  });
});
