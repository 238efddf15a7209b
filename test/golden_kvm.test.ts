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

const GOLDEN = new URL('./golden/', import.meta.url);

/** Schedules that break nothing any more, and since when that was seen. */
const MENDED: Readonly<Record<string, string>> = {
  // A write that faults is the guest's fault (commit ca674df13b19).
  '005-merged-lets-a-guest-fault-the-host.json': '7.3',
};

const NAMES = readdirSync(GOLDEN).filter((name) => name.endsWith('.json'));
const CASES = NAMES.flatMap((name) => {
  const text = readFileSync(new URL(name, GOLDEN), 'utf8');
  const cases = text.includes('"policy": "merged"') ? parseReplayText(text) : [];
  return cases
    .filter(({ config }) => config.policy === merged && config.kernel === '6.1')
    .map((one) => ({ name, one }));
});

const STOPPED = ['v0: open task=0 type=CALL_STACK|USER', 'v0: close event=0'];

/** What no model of KVM can do: schedules, and the property that each breaks. */
const OWN = [
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
      'v0: open task=0 type=ANY|USER',
      'p0: hostOverflow',
      'v0: call',
      'v0: pmi event=0',
    ],
  },
];

function times(n: number, actions: readonly string[]): string[] {
  return Array.from({ length: n }, () => actions).flat();
}

/** Such a schedule as a replay file. */
function fileOf(property: string, actions: readonly string[]): string {
  const machine = { cpu: 'haswell', kernel: '6.1', vms: 2, vcpus: 1, tasks: 2, pcpus: 1 };
  return JSON.stringify({
    schema: 'vlbr/schedule/1',
    policy: 'kvm',
    property,
    ...machine,
    actions: [...actions, 'p0: run vcpu=1'],
  });
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

  it.each(OWN)('$says', { timeout: 300_000 }, async ({ property, actions }) => {
    const driver = imageDriver(await treeImage(tarOf(version), CACHE, { kvm: true }));
    const [one] = parseReplayText(fileOf(property, actions));
    expect(breakerOf(withDriver(one, driver, kvmOf(version)))).toBe('policy');
    const [before] = parseReplayText(fileOf(property, actions.slice(0, 2)));
    expect(breakerOf(withDriver(before, driver, kvmOf(version)))).toBe('nobody');
  });
});
