/** The host's perf: KVM's guest LBR event, the host's own LBR events, and who is notified. */
import { describe, expect, it } from 'vitest';
import { PORT } from '../../src/guest/perf/lbr_port.js';
import * as perf from '../../src/guest/perf/perf_event.js';
import * as msrs from '../../src/hw/msr_index.js';
import { never } from '../../src/host/policy/never.js';
import { HOST_EVENTS, hostKernelConfig } from '../../src/machine/host_perf.js';
import { cpuModel } from '../rig/cpu.js';
import { FLEXIBLE, FROM, OF_TASK, type Part, PINNED, Rig } from '../rig/machine.js';

const EVENTS = [PINNED, OF_TASK, FLEXIBLE];

/** Three VMs of one vCPU on two pCPUs: v0 runs on p0, v1 on p1, v2 is off. */
const rigOf = (part: Part = {}): Rig => new Rig(never, { vms: 3, pcpus: 2, ...part });

/** States of the three host events of a pCPU. */
function states({ m }: Rig, pcpu: number): string[] {
  const known = m.loaded(pcpu) === null ? [PINNED, FLEXIBLE] : EVENTS;
  return known.map((which) => m.host.hostEventState(pcpu, which));
}

describe('hostKernelConfig', () => {
  it('the host kernel has a thread for each vCPU and pCPU, and room for all events at once', () => {
    const { m } = rigOf({ cpu: 'skylake', kernel: '4.18', vcpus: 2, tasks: 2 });
    expect(hostKernelConfig(m.config)).toEqual({
      model: cpuModel('skylake'),
      cpus: 2,
      tasks: 8,
      // With the seven counters of each pCPU.
      events: 30,
      pmu_version: 4,
      version: '4.18',
      pv: 'none',
      driver: PORT,
    });
    expect([m.host.idle(0), m.host.idle(1)]).toEqual([6, 7]);
  });
});

describe('the threads', () => {
  it('the host’s threads are current where they run, and alive from the boot', () => {
    const { m } = rigOf();
    const { tasks, cpus } = m.host.kernel;
    const now = (): number[][] => [
      cpus.map((cpu) => cpu.cpuctx.current),
      tasks.map((task) => task.on_cpu),
      tasks.map((task) => task.cpu),
    ];
    expect(tasks.every((task) => task.alive === 1)).toBe(true);
    expect(now().slice(0, 2)).toEqual([
      [0, 1],
      [1, 2, 0, 0, 0],
    ]);
    m.switchTo(0, -1);
    expect(now().slice(0, 2)).toEqual([
      [3, 1],
      [0, 2, 0, 1, 0],
    ]);
    m.switchTo(1, 0);
    expect(now()).toEqual([
      [3, 0],
      [2, 0, 0, 1, 0],
      [1, 1, 0, 0, 0],
    ]);
    m.boot();
    expect(now()[0]).toEqual([0, 1]);
  });

  it('a host thread never runs on two pCPUs at once', () => {
    const { m } = rigOf();
    expect(() => m.host.schedIn(0, 1)).toThrow('a thread runs on one pCPU at a time');
    expect(() => m.host.schedIn(0, 2)).not.toThrow();
  });
});

describe('the guest LBR event', () => {
  it('a guest LBR event always belongs to one vCPU, and counts while its thread runs', () => {
    const { m } = rigOf();
    const state = (): string[] => m.vcpus.map((vcpu) => m.host.guestLbrEvent(vcpu));
    expect(state()).toEqual(['none', 'none', 'none']);
    m.host.createGuestLbrEvent(m.vcpus[1], 'fake-counter');
    expect(state()).toEqual(['none', 'active', 'none']);
    m.host.createGuestLbrEvent(m.vcpus[2], 'fake-counter');
    expect(state()).toEqual(['none', 'active', 'inactive']);
    m.switchTo(1, 2);
    expect(state()).toEqual(['none', 'inactive', 'active']);
    m.switchTo(0, 1);
    expect(state()).toEqual(['none', 'active', 'active']);
    m.host.releaseGuestLbrEvent(m.vcpus[1]);
    m.host.releaseGuestLbrEvent(m.vcpus[0]);
    expect(state()).toEqual(['none', 'none', 'active']);
    const { used, attr, cpu } = m.host.kernel.events[2];
    expect([used, attr, cpu]).toEqual([1, perf.ATTR_PINNED | perf.ATTR_VLBR, -1]);
  });

  it('a guest LBR event is always in user call-stack mode, whose stack perf keeps', () => {
    const { m } = rigOf();
    m.host.createGuestLbrEvent(m.vcpus[0], 'fake-counter');
    const { PERF_SAMPLE_BRANCH_CALL_STACK: STACK, PERF_SAMPLE_BRANCH_USER: USER } = perf;
    expect(m.host.kernel.events[0].branch_sample_type).toBe(STACK | USER);
  });

  it('a guest LBR event never exists on a CPU without call-stack mode', () => {
    const { m } = rigOf({ cpu: 'nehalem' });
    m.host.createGuestLbrEvent(m.vcpus[0], 'fake-counter');
    expect(m.host.guestLbrEvent(m.vcpus[0])).toBe('none');
  });
});

describe("the host's own events", () => {
  it('the host’s own events are always told apart by pCPU, thread and kind', () => {
    const rig = rigOf();
    const { m } = rig;
    expect(HOST_EVENTS.length).toBe(EVENTS.length);
    expect([states(rig, 0), states(rig, 1)]).toEqual([
      ['none', 'none', 'none'],
      ['none', 'none', 'none'],
    ]);
    for (const [i, which] of EVENTS.entries()) {
      m.host.hostEventOn(1, which);
      expect(states(rig, 0)).toEqual(['none', 'none', 'none']);
      const on = EVENTS.map((_, j) => (j <= i ? 'on' : 'none'));
      expect(states(rig, 1)).toEqual(on);
    }
    m.host.hostEventOff(1, FLEXIBLE, false);
    m.host.hostEventOff(1, PINNED, true);
    expect(states(rig, 1)).toEqual(['none', 'on', 'off']);
    m.host.hostEventOn(1, FLEXIBLE);
    expect(states(rig, 1)).toEqual(['none', 'on', 'on']);
    // A thread's event leaves the pCPU with the thread.
    m.switchTo(1, -1);
    m.switchTo(0, 1);
    expect([states(rig, 0), states(rig, 1)]).toEqual([
      ['none', 'on', 'none'],
      ['none', 'on'],
    ]);
  });

  it('the host’s own events have the attributes and the mode of the tools they stand for', () => {
    const { PERF_SAMPLE_BRANCH_CALL_STACK: STACK, PERF_SAMPLE_BRANCH_USER: USER } = perf;
    const { PERF_SAMPLE_BRANCH_ANY: ANY, PERF_SAMPLE_BRANCH_KERNEL: KERNEL } = perf;
    for (const name of ['haswell', 'nehalem']) {
      const { m } = rigOf({ cpu: name });
      for (const which of EVENTS) m.host.hostEventOn(1, which);
      const used = m.host.kernel.events.filter((event) => event.used !== 0);
      const any = ANY | USER | KERNEL;
      const own = name === 'haswell' ? STACK | USER : any;
      expect(used.map((e) => [e.attr, e.branch_sample_type, e.cpu])).toEqual([
        [perf.ATTR_PINNED, any, 1],
        [0, any, 1],
        [0, own, -1],
      ]);
    }
  });
});

describe('hostLbrActive', () => {
  it('hostLbrActive says whether a host event counts here, and no guest event does', () => {
    const { m } = rigOf();
    const now = (): boolean[] => [m.host.hostLbrActive(0), m.host.hostLbrActive(1)];
    expect(now()).toEqual([false, false]);
    for (const which of EVENTS) {
      m.host.hostEventOn(0, which);
      expect(now()).toEqual([true, false]);
      m.host.hostEventOff(0, which, which === PINNED);
      expect(now()).toEqual([false, false]);
    }
    m.host.createGuestLbrEvent(m.vcpus[0], 'fake-counter');
    expect(now()).toEqual([false, false]);
    m.host.hostEventOn(0, PINNED);
    expect(now()).toEqual([false, false]);
    m.switchTo(0, -1);
    expect(now()).toEqual([true, false]);
    m.host.hostEventOn(1, OF_TASK);
    m.switchTo(1, -1);
    expect(now()).toEqual([true, false]);
  });
});

describe('pmi', () => {
  it('a host PMI always samples each event that counts, and nothing where none does', () => {
    const rig = rigOf();
    const { m } = rig;
    expect([m.host.pmi(0), rig.said('host')]).toEqual([false, []]);
    m.host.createGuestLbrEvent(m.vcpus[0], 'fake-counter');
    rig.said('host');
    expect([m.host.pmi(0), rig.said('host')]).toEqual([false, []]);
    m.host.releaseGuestLbrEvent(m.vcpus[0]);
    m.host.hostEventOn(0, PINNED);
    m.host.hostEventOn(0, FLEXIBLE);
    rig.said('host');
    expect(m.host.pmi(1)).toBe(false);
    expect(m.host.pmi(0)).toBe(true);
    const samples = rig.said('hostSample');
    expect(samples).toEqual([`hostSample 0 ${3 + 0}`, `hostSample 0 ${3 + 2 + 0}`]);
    expect(m.pcpus[0].rdmsr(msrs.MSR_CORE_PERF_GLOBAL_STATUS)).toBe(0);
  });
});

describe('an access of the host kernel', () => {
  it('an access of the host kernel is told: LBR MSRs, a written DEBUGCTL, and faults', () => {
    const rig = rigOf();
    const [, cpu] = rig.m.host.kernel.cpus;
    rig.m.pcpus[1].wrmsr(FROM, 7, 3);
    expect([cpu.rdmsrl(FROM), cpu.edx]).toEqual([7, 3]);
    cpu.wrmsrl(FROM + 1, 5, 6);
    expect([rig.m.pcpus[1].rdmsr(FROM + 1), rig.m.pcpus[1].edx]).toEqual([5, 6]);
    expect(rig.said('host')).toEqual([
      `hostAccess 1 -1 ${FROM} false`,
      `hostAccess 1 -1 ${FROM + 1} true`,
    ]);
    cpu.wrmsrl(msrs.MSR_IA32_DEBUGCTLMSR, 1, 0);
    expect(cpu.rdmsrl(msrs.MSR_IA32_DEBUGCTLMSR)).toBe(1);
    cpu.wrmsrl(msrs.MSR_CORE_PERF_GLOBAL_CTRL, 1, 0);
    expect(rig.said('host')).toEqual(['hostDebugctl 1 1']);
    expect([cpu.rdmsrl(0x10), cpu.port.vector]).toEqual([0, 13]);
    cpu.wrmsrl(msrs.MSR_LBR_SELECT, 0, 1);
    expect(rig.said('host')).toEqual([
      'hostFault 1 16 false',
      `hostAccess 1 -1 ${msrs.MSR_LBR_SELECT} true`,
      `hostFault 1 ${msrs.MSR_LBR_SELECT} true`,
    ]);
    expect([cpu.rdmsrl(FROM), cpu.port.vector]).toEqual([7, 0]);
  });
});
