/**
 * Each kept schedule of `merged` on KVM's own C. What the model of KVM breaks, the KVM of 6.1 and
 * of 7.3 breaks as well, except what was mended since.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { breakerOf, parseReplayText, withDriver } from '../src/campaign/replay_file.js';
import { kvmOf } from '../src/host/policy/kvm.js';
import { merged } from '../src/host/policy/merged.js';
import { imageDriver, treeImage } from '../src/tree/image/image.js';
import { CACHE, imageVersions, tarOf } from './rig/images.js';
import { kvmSchedule } from './rig/kvm_schedule.js';

const GOLDEN = new URL('./golden/', import.meta.url);

/** Schedules that break nothing any more, and since when that was seen. */
const MENDED: Readonly<Record<string, string>> = {
  // A write that faults is the guest's fault (commit ca674df13b19).
  '005-merged-lets-a-guest-fault-the-host.json': '7.3',
  // INFO is known wherever the driver has its address (commit 03c4c7f88709, in 6.3).
  '080-merged-refuses-info-on-goldmont-plus.json': '7.3',
};

const NAMES = readdirSync(GOLDEN).filter((name) => name.endsWith('.json'));
const CASES = NAMES.flatMap((name) => {
  const text = readFileSync(new URL(name, GOLDEN), 'utf8');
  const cases = text.includes('"policy": "merged"') ? parseReplayText(text) : [];
  return cases
    .filter(({ config }) => config.policy === merged && config.kernel === '6.1')
    .map((one) => ({ name, one }));
});

const OPEN = 'v0: open task=0 type=ANY|USER';
const STOPPED = ['v0: open task=0 type=CALL_STACK|USER', 'v0: close event=0'];

/** A schedule, the property that it breaks, and a CPU if it is not haswell. */
interface Own {
  readonly says: string;
  readonly property: string;
  readonly cpu?: string;
  readonly only?: string;
  readonly actions: readonly string[];
}

/** What `merged` does not show, and mostly what no model of KVM can do. */
const OWN: readonly Own[] = [
  {
    says: 'A thread that is only ever switched in userspace keeps its event.',
    property: 'no-needless-switch',
    actions: [...STOPPED, ...times(3, ['v0: userspace', 'p0: run vcpu=1', 'p0: run vcpu=0'])],
  },
  {
    says: 'So does one that is always switched before it has entered its guest.',
    property: 'no-needless-switch',
    actions: [...STOPPED, ...times(3, ['p0: run vcpu=1', 'p0: arrive vcpu=0'])],
  },
  {
    says: "A counter of the host's turns the guest's LBR off: the legacy freeze.",
    property: 'no-loss/any',
    actions: [
      'p0: hostEvent which=pinned op=on',
      OPEN,
      'p0: hostOverflow',
      'v0: call',
      'v0: pmi event=0',
    ],
  },
  {
    says: "So does that of the host's NMI watchdog.",
    property: 'no-loss/any',
    actions: ['p0: watchdog', OPEN, 'p0: hostOverflow', 'v0: rdmsr msr=0x1d9'],
  },
  {
    says: 'PT on the host: perf refuses the event, and what a guest writes is lost.',
    property: 'no-loss/any',
    cpu: 'skylake',
    actions: ['p0: pt', 'v0: wrmsr msr=0x681 eax=0x1000', 'v0: rdmsr msr=0x681'],
  },
  {
    // Since 6.9 KVM gives no LBR to a guest on a CPU without call stacks.
    says: "A write that KVM takes for itself makes no other vCPU's records the guest's.",
    only: '6.1',
    property: 'recorder-owned',
    cpu: 'sandybridge',
    actions: ['p0: run vcpu=1', 'v1: open task=0 type=ANY|USER', 'p0: run vcpu=0', OPEN],
  },
];

/** On Goldmont the driver has an address for INFO, and the CPU has no INFO. */
const NO_INFO = 'v0: rdmsr msr=0xdc0';

/** The monitor of v0 takes LBR away, KVM releases the event, and v1 uses LBR. */
const TAKEN = [
  OPEN,
  'v0: close event=0',
  'p0: run vcpu=1',
  'v0: takeLbr by=capabilities',
  'p0: run vcpu=0',
  'p0: exit',
  'p0: run vcpu=1',
  'v1: open task=0 type=CALL_STACK|USER',
  'v1: call n=3',
  'p0: run vcpu=0',
  'v0: rdmsr msr=0x684',
  'v0: rdmsr msr=0x681',
];

function times(n: number, actions: readonly string[]): string[] {
  return Array.from({ length: n }, () => actions).flat();
}

/** Such a schedule as a replay file. */
function fileOf({ property, cpu = 'haswell' }: Own, actions: readonly string[]): string {
  return kvmSchedule(property, cpu, [...actions, 'p0: run vcpu=1']);
}

describe.each(imageVersions('6.1', '7.3'))('the KVM of Linux %s', (version) => {
  it('does with each schedule of merged what the model does', { timeout: 300_000 }, async () => {
    const image = await treeImage(tarOf(version), CACHE, { kvm: true });
    const driver = imageDriver(image);
    expect(CASES.length).toBeGreaterThan(20);
    for (const { name, one } of CASES) {
      const breaker = breakerOf(withDriver(one, driver, kvmOf(version)));
      const wanted = MENDED[name] === version ? 'nobody' : one.whose;
      expect(`${name}: ${breaker}`).toBe(`${name}: ${wanted}`);
    }
  });

  it.each(OWN.filter(({ only = version }) => only === version))(
    '$says',
    { timeout: 300_000 },
    async (own) => {
      const { actions } = own;
      const driver = imageDriver(await treeImage(tarOf(version), CACHE, { kvm: true }));
      const [one] = parseReplayText(fileOf(own, actions));
      expect(breakerOf(withDriver(one, driver, kvmOf(version)))).toBe('policy');
      const [before] = parseReplayText(fileOf(own, actions.slice(0, 2)));
      expect(breakerOf(withDriver(before, driver, kvmOf(version)))).toBe('nobody');
    },
  );

  it('judges leaks alone of a guest that has lost LBR', { timeout: 300_000 }, async () => {
    const driver = imageDriver(await treeImage(tarOf(version), CACHE, { kvm: true }));
    const whose = (property: string): string => {
      const taken = { says: '', property, cpu: 'skylake', actions: [] };
      const [one] = parseReplayText(fileOf(taken, TAKEN));
      return breakerOf(withDriver(one, driver, kvmOf(version)));
    };
    // 7.3 refuses it (commit 3a6de51a437f), and the event is made anew, with an empty stack.
    expect(whose('no-leak/vm')).toBe(version === '6.1' ? 'policy' : 'nobody');
    expect(whose('no-loss/any')).toBe(version === '6.1' ? 'nobody' : 'policy');
  });

  it('reads INFO for a guest on Goldmont, which has none, since 6.3', async () => {
    const driver = imageDriver(await treeImage(tarOf(version), CACHE, { kvm: true }));
    const whose = (property: string): string => {
      const [one] = parseReplayText(kvmSchedule(property, 'goldmont', [NO_INFO]));
      return breakerOf(withDriver(one, driver, kvmOf(version)));
    };
    const wanted = version === '6.1' ? 'nobody' : 'policy';
    expect([whose('no-warn'), whose('no-fault')]).toEqual([wanted, wanted]);
  });

  it('drops a bad value where perf refuses its event', { timeout: 300_000 }, async () => {
    const driver = imageDriver(await treeImage(tarOf(version), CACHE, { kvm: true }));
    const pt = { says: '', property: 'no-fault', cpu: 'skylake', actions: [] };
    const bad = 'v0: wrmsr msr=0x694 edx=0x8000';
    const [dropped] = parseReplayText(fileOf(pt, ['p0: pt', bad]));
    expect(breakerOf(withDriver(dropped, driver, kvmOf(version)))).toBe('nobody');
  });
});
