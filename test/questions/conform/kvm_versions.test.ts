/** What versions of KVM differ in: the model, `merged` of a version, beside the KVM of its tree. */
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { type KernelVersion, portOf } from '../../../src/guest/perf/kernel.js';
import type { DriverKind } from '../../../src/guest/perf/lbr_driver.js';
import { KVM_FEATURES } from '../../../src/host/kvm_versions.js';
import { Observer } from '../../../src/host/observer.js';
import { kvmOf } from '../../../src/host/policy/kvm.js';
import { merged } from '../../../src/host/policy/merged.js';
import {
  DEBUGCTLMSR_LBR,
  MSR_IA32_DEBUGCTLMSR,
  MSR_LBR_INFO_0,
  MSR_LBR_SELECT,
} from '../../../src/hw/msr_index.js';
import type { Shape } from '../../../src/machine/config.js';
import { Machine } from '../../../src/machine/machine.js';
import { WholeComparison } from '../../../src/questions/conform/whole/comparison.js';
import { Pair } from '../../../src/questions/conform/whole/pair.js';
import { parseAction } from '../../../src/schedule/action_text.js';
import { Schedule } from '../../../src/schedule/schedule.js';
import { imageDriver, treeImage } from '../../../src/tree/image/image.js';
import { cpuModel } from '../../rig/cpu.js';
import { CACHE, imageVersions, tarOf } from '../../rig/images.js';
import { machineConfig } from '../../rig/machine.js';

const RING = ['v0: open task=0 type=ANY|USER', 'p0: hostOverflow'];

/** The guest LBR event of v2 goes; in 6.12 its counter's event keeps the space of its thread. */
const KEPT_SPACE = [
  'p1: run vcpu=2',
  'v2: open task=0 type=CALL_STACK|USER',
  'v2: taskSwitch task=1',
  'p1: run vcpu=1 after=1',
  'v2: taskSwitch task=0',
  'p0: run vcpu=2',
  'p0: run vcpu=0 after=3',
  'v2: resume',
  'p1: run vcpu=2',
].map(parseAction);

describe.each(imageVersions('6.1', '6.12', '7.3'))('the KVM of Linux %s', (version) => {
  const kernel = portOf(version);
  const policy = kvmOf(version);
  let driver: DriverKind;
  beforeAll(async () => {
    driver = imageDriver(await treeImage(tarOf(version), CACHE, { kvm: true }));
  }, 300_000);

  function pairOf(cpu: string, port: KernelVersion, shape: Partial<Shape> = {}): Pair {
    return new Pair(machineConfig({ cpu, policy, kernel: port, ...shape }), driver);
  }

  /** The model of the version, and the tree. */
  function both(cpu: string): Machine[] {
    const ofTree = machineConfig({ cpu, kernel, policy, driver });
    const ofModel = machineConfig({ cpu, kernel, policy: merged });
    return [ofModel, ofTree].map((config) => {
      const machine = new Machine(config, new Observer());
      machine.boot();
      return machine;
    });
  }

  it("a host's overflow takes the guest's LBR on haswell, and never on skylake", () => {
    for (const [cpu, left] of [
      ['haswell', 0],
      ['skylake', DEBUGCTLMSR_LBR],
    ] as const) {
      const pair = pairOf(cpu, kernel);
      expect([cpu, pair.run(Schedule.of(RING.map(parseAction)))]).toEqual([cpu, null]);
      for (const side of [pair.port, pair.kernel]) {
        expect(side.machine.vcpus[0].vmcs.guestDebugctl & DEBUGCTLMSR_LBR).toBe(left);
      }
    }
  });

  it('a write that faults parts the tree from a model of the other kind alone', () => {
    const { checkedWrites } = KVM_FEATURES[kernel];
    const write = Schedule.of([parseAction('v0: wrmsr msr=0x1c8 eax=0x400')]);
    expect(pairOf('skylake', kernel).run(write)).toBe(null);
    const other = pairOf('skylake', checkedWrites ? '6.12' : '7.3').run(write);
    expect(other?.action).toBe(0);
  });

  it('DEBUGCTL arrives in a live migration with both, and its event, or with none', () => {
    const arrived = both('skylake').map((machine) => {
      const [vcpu] = machine.vcpus;
      machine.hypervisor.guestWrmsr(vcpu, MSR_IA32_DEBUGCTLMSR, DEBUGCTLMSR_LBR, 0);
      machine.hypervisor.guestWrmsr(vcpu, MSR_LBR_SELECT, 5, 0);
      machine.switchTo(0, -1);
      machine.liveMigrate(0);
      machine.switchTo(0, 0);
      const event = machine.host.guestLbrEvent(vcpu);
      const debugctl = machine.hypervisor.guestRdmsr(vcpu, MSR_IA32_DEBUGCTLMSR);
      return [debugctl, event, machine.hypervisor.guestRdmsr(vcpu, MSR_LBR_SELECT)];
    });
    const { listsDebugctl } = KVM_FEATURES[kernel];
    const one = listsDebugctl ? [DEBUGCTLMSR_LBR, 'active', 0] : [0, 'none', 0];
    expect(arrived).toEqual([one, one]);
  });

  it('INFO of format 7 is refused by both, or by none', () => {
    const vectors = both('goldmont-plus').map(({ hypervisor, vcpus }) => {
      hypervisor.guestRdmsr(vcpus[0], MSR_LBR_INFO_0);
      return hypervisor.vector;
    });
    expect(vectors).toEqual(KVM_FEATURES[kernel].infoOfFormat5Only ? [13, 13] : [0, 0]);
  });

  it("a guest's counters keep the space for call stacks in 6.12 alone, with both", () => {
    const shape = { vms: 3, tasks: 2, pcpus: 2 };
    const ofVersion = KVM_FEATURES[kernel].countersKeepSpace;
    expect(ofVersion).toBe(kernel === '6.12');
    expect(pairOf('icelake', kernel, shape).run(Schedule.of(KEPT_SPACE))).toBe(null);
    // The host's perf is the tree's, so a model of another KVM parts from that of 6.12.
    const deaf = vi.spyOn(merged, 'reprogram_counters').mockImplementation(() => {});
    const parted = pairOf('icelake', kernel, shape).run(Schedule.of(KEPT_SPACE));
    deaf.mockRestore();
    expect(parted?.action).toBe(ofVersion ? KEPT_SPACE.length - 1 : undefined);
  });

  it('a guest on a CPU without call stacks has LBR in 6.1 alone', () => {
    const refused = merged.noGuestLbr?.where(cpuModel('sandybridge'), KVM_FEATURES[kernel]);
    expect(refused).toBe(kernel !== '6.1');
    if (refused === true) expect(() => both('sandybridge')).toThrow('gives guests no LBR');
    else expect(() => both('sandybridge')).not.toThrow();
  });

  it('a CPU on which KVM gives no LBR is left out of a comparison, and never the only one', () => {
    const compared = (...cpus: readonly string[]): WholeComparison => {
      const models = cpus.map(cpuModel);
      const asked = { models, policy, kernel: driver, version: kernel, seed: 1, runs: 4 };
      const comparison = new WholeComparison(asked);
      for (const _ of comparison.work());
      return comparison;
    };
    const { results, withoutLbr } = compared('sandybridge', 'skylake');
    const refuses = kernel !== '6.1';
    expect(withoutLbr).toEqual(refuses ? ['sandybridge'] : []);
    expect(results.map(({ cpu, schedules }) => [cpu, schedules])).toEqual(
      refuses
        ? [['skylake', 4]]
        : [
            ['sandybridge', 2],
            ['skylake', 2],
          ],
    );
    if (refuses) expect(() => compared('sandybridge')).toThrow('no LBR on sandybridge');
  });
});
