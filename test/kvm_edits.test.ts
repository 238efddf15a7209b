/**
 * Edits of KVM's own C, each with a schedule: it breaks a property with the edit and none without,
 * and with harmless edits none either. They are what a review has to tell apart.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { breakerOf, parseReplayText, withDriver } from '../src/campaign/replay_file.js';
import { kvmOf } from '../src/host/policy/kvm.js';
import type { PropertyName } from '../src/judge/properties.js';
import { folderImage, imageDriver, treeImage } from '../src/tree/image/image.js';
import { patchedTree } from '../src/tree/image/patched.js';
import { openTree } from '../src/tree/image/tree.js';
import { CACHE, imageVersions, tarOf } from './rig/images.js';
import { kvmSchedule } from './rig/kvm_schedule.js';

const PMU_INTEL = 'vmx/pmu_intel.c';
const PMU = 'pmu.c';
const VMX = 'vmx/vmx.c';
const X86 = 'x86.c';

/** A short piece of a file, and what is put in its place. */
type Edit = readonly [file: string, old: string | RegExp, by: string];

interface Case {
  readonly says: string;
  readonly version: string;
  readonly edit: Edit;
  readonly property: PropertyName;
  readonly actions: readonly string[];
}

const OPEN = 'v0: open task=0 type=CALL_STACK|USER';
/** Its LBR event is released at an entry, when the guest has stopped for more than a time slice. */
const AWAY = ['p0: run vcpu=1', 'p0: run vcpu=0'];

const HARMFUL: readonly Case[] = [
  {
    says: 'MSRs pass through although the event is gone',
    version: '6.1',
    edit: [PMU_INTEL, /(!lbr_desc->event\) \{\s+)vmx_disable_lbr_msrs_passthrough/, '$1(void)'],
    property: 'pass-through',
    actions: [OPEN, 'v0: close event=0', ...AWAY, ...AWAY, ...AWAY],
  },
  {
    says: 'MSRs pass through although the event does not count',
    version: '6.1',
    edit: [PMU_INTEL, 'lbr_desc->event->state < PERF_EVENT_STATE_ACTIVE', '0'],
    property: 'pass-through',
    actions: [OPEN, 'p0: hostCounters op=open', 'v0: call'],
  },
  {
    says: 'MSRs pass through in one direction',
    version: '7.3',
    edit: [PMU_INTEL, 'lbr->from + i, MSR_TYPE_RW', 'lbr->from + i, MSR_TYPE_R'],
    property: 'pass-through',
    actions: [OPEN],
  },
  {
    says: 'KVM accesses LBR MSRs although the event does not count',
    version: '7.3',
    edit: [PMU_INTEL, 'lbr_desc->event->state == PERF_EVENT_STATE_ACTIVE', 'lbr_desc->event'],
    property: 'pass-through',
    actions: [OPEN, 'p0: hostCounters op=open', 'v0: rdmsr msr=0x681'],
  },
  {
    says: 'interrupts are on between the check and the access',
    version: '7.3',
    edit: [PMU_INTEL, 'local_irq_disable()', '(void)0'],
    property: 'pass-through',
    actions: ['p0: interrupt what=counters after=7', 'v0: rdmsr msr=0x681'],
  },
  {
    says: "interrupts are on while the host's DEBUGCTL is noted",
    version: '6.1',
    edit: [X86, 'debug_ctl = get_debugctlmsr();', '$&\n\tlocal_irq_enable(); local_irq_disable();'],
    property: 'host-intact',
    actions: ['p0: interrupt what=pinned after=4', 'p0: exit', 'v0: call', 'p0: exit'],
  },
  {
    says: "the host's FREEZE_IN_SMM is not brought to the guest",
    version: '6.1',
    edit: [VMX, 'vmx_reload_guest_debugctl(vcpu)', '(void)0'],
    property: 'debugctl-true',
    actions: ['p0: freezeOnSmi', 'v0: call'],
  },
  {
    says: "the host's DEBUGCTL is not brought back",
    version: '7.3',
    edit: [VMX, 'update_debugctlmsr(vcpu->arch.host_debugctl)', '(void)0'],
    property: 'host-intact',
    actions: ['p0: freezeOnSmi', 'p0: exit'],
  },
  {
    says: 'the legacy freeze is forgotten',
    version: '7.3',
    edit: [PMU_INTEL, 'version > 1 && version < 4', '0'],
    property: 'debugctl-true',
    actions: ['v0: open task=0 type=ANY|USER', 'v0: pmi event=0'],
  },
  {
    says: 'an overflow brings no PMI',
    version: '6.1',
    edit: [PMU, 'kvm_apic_local_deliver(vcpu->arch.apic, APIC_LVTPC)', '(void)0'],
    property: 'pmi-true',
    actions: [OPEN, 'v0: pmi event=0'],
  },
  {
    says: 'an overflow is not in GLOBAL_STATUS',
    version: '6.1',
    edit: [PMU, '__set_bit(pmc->idx, (unsigned long *)&pmu->global_status)', '(void)0'],
    property: 'pmi-true',
    actions: [OPEN, 'v0: pmi event=0'],
  },
  {
    says: 'counters stay off in the guest',
    version: '7.3',
    edit: [VMX, '\tatomic_switch_perf_msrs(vmx);', '\t;'],
    property: 'pmi-true',
    actions: [OPEN, 'v0: pmi event=0'],
  },
  {
    says: 'a guest with RTM may not set RTM_DEBUG',
    version: '7.3',
    edit: [VMX, 'debugctl |= DEBUGCTLMSR_RTM_DEBUG', '(void)0'],
    property: 'no-fault',
    actions: ['v0: wrmsr msr=0x1d9 eax=0x8000'],
  },
  {
    says: 'a DEBUGCTL with reserved bits is taken',
    version: '7.3',
    edit: [VMX, '!vmx_is_valid_debugctl(vcpu, data, msr_info->host_initiated)', '0'],
    property: 'no-fault',
    actions: ['v0: wrmsr msr=0x1d9 eax=0x1 edx=0xff0000'],
  },
];

/** What looks like such a fault, and is none of KVM's. */
const NO_FAULTS: readonly Pick<Case, 'says' | 'property' | 'actions'>[] = [
  {
    says: "hardware clears DEBUGCTL.LBR of a guest when a host's counter overflows",
    property: 'debugctl-true',
    actions: [
      'v0: open task=0 type=ANY|USER',
      'p0: hostEvent which=pinned op=on',
      'p0: hostOverflow',
    ],
  },
  {
    says: 'a vCPU that was made anew has never had a DEBUGCTL',
    property: 'debugctl-true',
    actions: [OPEN, 'p0: run vcpu=1', 'v0: liveMigrate', ...AWAY, 'v0: call'],
  },
  {
    says: "an NMI handler writes the host's DEBUGCTL before it is back",
    property: 'debugctl-true',
    actions: ['p0: hostEvent which=pinned op=on', 'p0: freezeOnSmi', 'p0: hostOverflow'],
  },
  {
    says: 'a counter that the guest has just switched off is to overflow',
    property: 'pmi-true',
    actions: [
      OPEN,
      'v0: open task=0 attr=inherited type=CALL_STACK|USER',
      'v0: fork',
      'v0: taskSwitch task=2',
      'v0: pmi event=2 after=7',
      'v0: taskSwitch task=0',
    ],
  },
];

const HARMLESS: readonly (readonly [version: string, edit: Edit])[] = [
  [
    '6.1',
    [PMU_INTEL, 'lbr_desc->event->state < PERF_EVENT_STATE_ACTIVE', 'lbr_desc->event->oncpu < 0'],
  ],
  ['7.3', [PMU_INTEL, 'version > 1 && version < 4', 'version == 2 || version == 3']],
];

const VERSIONS = imageVersions('6.1', '7.3');

/** The image of a tree with an edit of a file of KVM. */
async function edited(
  version: string,
  [file, old, by]: Edit,
): Promise<ReturnType<typeof imageDriver>> {
  const tree = await openTree(tarOf(version), CACHE);
  const path = `arch/x86/kvm/${file}`;
  const text = readFileSync(join(tree, path), 'utf8');
  const changed = text.replace(old, by);
  expect(changed).not.toBe(text);
  const folder = await patchedTree(tree, new Map([[path, changed]]), CACHE);
  return imageDriver(await folderImage(folder, CACHE, { kvm: true, bases: [tree] }));
}

describe.each(VERSIONS)('the KVM of Linux %s with an edit', (version) => {
  const mine = HARMFUL.filter((one) => one.version === version);
  const named = mine.map((one) => [one.says, one] as const);
  let plain: ReturnType<typeof imageDriver>;
  beforeAll(async () => {
    plain = imageDriver(await treeImage(tarOf(version), CACHE, { kvm: true }));
  }, 300_000);

  function breaker(
    { property, actions }: Pick<Case, 'property' | 'actions'>,
    driver: ReturnType<typeof imageDriver>,
    cpu = 'skylake',
  ): string {
    const [replay] = parseReplayText(kvmSchedule(property, cpu, actions));
    return breakerOf(withDriver(replay, driver, kvmOf(version)));
  }

  it.each(named)('%s', { timeout: 300_000 }, async (_, one) => {
    expect(breaker(one, plain)).toBe('nobody');
    expect(breaker(one, await edited(version, one.edit))).toBe('policy');
  });

  it.each(NO_FAULTS.map((one) => [one.says, one] as const))('%s', (_, one) => {
    for (const cpu of ['haswell', 'skylake']) expect(breaker(one, plain, cpu)).toBe('nobody');
  });

  const harmless = HARMLESS.filter(([of]) => of === version);
  it.each(harmless)(
    'breaks nothing by what is only written otherwise',
    { timeout: 300_000 },
    async (_, edit) => {
      const driver = await edited(version, edit);
      for (const one of mine)
        expect(`${one.says}: ${breaker(one, driver)}`).toBe(`${one.says}: nobody`);
    },
  );
});
