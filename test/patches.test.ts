/**
 * The series of docs/patches, on the tree that it is for. What breaks today's KVM breaks the new
 * one no more, nor does what shows why `lazy-sound` has each of its clauses.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { breakerOf, parseReplayText, withDriver } from '../src/campaign/replay_file.js';
import { replayToken } from '../src/campaign/replay_file.js';
import { kvmOf } from '../src/host/policy/kvm.js';
import { lazySound } from '../src/host/policy/lazy_sound.js';
import { merged } from '../src/host/policy/merged.js';
import type { LbrPolicy } from '../src/host/policy/policy.js';
import type { PropertyName } from '../src/judge/properties.js';
import { folderImage, imageDriver, treeImage } from '../src/tree/image/image.js';
import { patchedTree } from '../src/tree/image/patched.js';
import { openTree } from '../src/tree/image/tree.js';
import { applySeries, seriesOf } from '../src/tree/series.js';
import { CACHE, imageVersions, tarOf } from './rig/images.js';
import { kvmSchedule } from './rig/kvm_schedule.js';

const SERIES = fileURLToPath(new URL('../docs/patches/', import.meta.url));
const GOLDEN = fileURLToPath(new URL('./golden/', import.meta.url));

interface Case {
  readonly name: string;
  readonly one: ReturnType<typeof parseReplayText>[number];
}

/** The kept schedules of a policy, as of 6.1. */
function keptOf(policy: LbrPolicy, folder: string): Case[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
  return names.flatMap((name) => {
    const text = readFileSync(join(folder, name), 'utf8');
    if (!text.includes(`"policy": "${policy.name}"`)) return [];
    const ones = parseReplayText(text).filter(({ config }) => config.kernel === '6.1');
    return ones.map((one) => ({ name, one }));
  });
}

function made(property: PropertyName, cpu: string, ...actions: readonly string[]): Case {
  const [one] = parseReplayText(kvmSchedule(property, cpu, actions));
  return { name: `${property}: ${actions.join('; ')}`, one };
}

const OPEN = 'v0: open task=0 type=ANY|USER';
const STOPPED = ['v0: open task=0 type=CALL_STACK|USER', 'v0: close event=0'];
const AWAY = ['p0: run vcpu=1', 'p0: run vcpu=0'];

/** What no model of KVM can do; test/golden_kvm.test.ts tells of each. */
const OWN: readonly Case[] = [
  made(
    'no-loss/any',
    'haswell',
    'p0: hostEvent which=pinned op=on',
    OPEN,
    'p0: hostOverflow',
    'v0: call',
    'v0: pmi event=0',
  ),
  made('no-loss/any', 'haswell', 'p0: watchdog', OPEN, 'p0: hostOverflow', 'v0: rdmsr msr=0x1d9'),
  made('no-loss/any', 'skylake', 'p0: pt', 'v0: wrmsr msr=0x681 eax=0x1000', 'v0: rdmsr msr=0x681'),
  made(
    'no-needless-switch',
    'haswell',
    ...STOPPED,
    ...[1, 2, 3, 4].flatMap(() => ['v0: userspace', ...AWAY]),
  ),
];

/** What perf and KVM lend each other, and what is frozen for whom. */
const HOLDS: readonly Case[] = [
  made('debugctl-true', 'haswell', OPEN, 'p0: hostEvent which=pinned op=on', 'p0: hostOverflow'),
  made('debugctl-true', 'haswell', OPEN, 'v0: pmi event=0'),
  made('pass-through', 'skylake', ...STOPPED, ...AWAY, ...AWAY),
  made('pass-through', 'skylake', 'p0: hostEvent which=pinned op=on', OPEN, 'p0: exit', 'v0: call'),
  made(
    'pass-through',
    'skylake',
    OPEN,
    'p0: interrupt what=pinned after=4',
    'p0: exit',
    'v0: call',
  ),
  made('host-intact', 'skylake', 'p0: hostEvent which=pinned op=on', OPEN, 'p0: hostOverflow'),
];

/** An edit of the changed tree, and the case that tells. */
const FORGOTTEN = {
  file: 'arch/x86/kvm/vmx/pmu_intel.c',
  old: 'else\n\t\tvmx_disable_lbr_msrs_passthrough(vcpu);',
  shows: made('pass-through', 'skylake', ...STOPPED, ...AWAY),
} as const;

type Driver = ReturnType<typeof imageDriver>;

describe.each(imageVersions('7.3'))('the patches for Linux %s', (version) => {
  let patched: Driver;
  let folder: string;
  beforeAll(async () => {
    const tree = await openTree(tarOf(version), CACHE);
    const mails = readdirSync(SERIES).sort();
    const files = mails.map((name) => ({ name, text: readFileSync(join(SERIES, name), 'utf8') }));
    const applied = applySeries(tree, await seriesOf(files), false);
    expect([mails.length, applied.missing]).toEqual([4, []]);
    folder = await patchedTree(tree, applied.files, CACHE);
    patched = imageDriver(await folderImage(folder, CACHE, { kvm: true, bases: [tree] }));
  }, 600_000);

  /** Each case with who breaks its property. */
  const breakers = (cases: readonly Case[], driver: Driver): string[] =>
    cases.map(({ name, one }) => {
      return `${name}: ${breakerOf(withDriver(one, driver, kvmOf(version)))}`;
    });
  const all = (cases: readonly Case[], breaker: string): string[] =>
    cases.map(({ name }) => `${name}: ${breaker}`);

  it('undo what the tree breaks without them', { timeout: 300_000 }, async () => {
    const plain = imageDriver(await treeImage(tarOf(version), CACHE, { kvm: true }));
    const broken = keptOf(merged, GOLDEN).filter(({ name, one }) => {
      // 7.3 has mended these two by itself: see test/golden_kvm.test.ts.
      return one.whose === 'policy' && !/^(?:005|080)-/.test(name);
    });
    const cases = [...broken, ...OWN];
    expect(cases.length).toBeGreaterThan(14);
    expect(breakers(cases, plain)).toEqual(all(cases, 'policy'));
    expect(breakers(cases, patched)).toEqual(all(cases, 'nobody'));
  });

  it('break nothing of what lazy-sound has its clauses for', () => {
    const cases = [...keptOf(lazySound, join(GOLDEN, 'clauses')), ...HOLDS];
    expect(cases.length).toBeGreaterThan(25);
    expect(breakers(cases, patched)).toEqual(all(cases, 'nobody'));
  });

  it('keep what docs/CONTRACT.md asks for', () => {
    const text = readFileSync(new URL('../docs/CONTRACT.md', import.meta.url), 'utf8');
    const tokens = [...text.matchAll(/ (v1[.]\S+)$/gm)].map(([, token]) => token);
    // The KVM of 7.3 has no LBR for guests on a CPU without call stacks.
    const cases = tokens
      .map((token) => ({ name: token, one: replayToken(token) }))
      .filter(({ one }) => one.config.model.callstack);
    expect(cases.length).toBeGreaterThan(15);
    expect(breakers(cases, patched)).toEqual(all(cases, 'nobody'));
  });

  it('are judged by whom perf has lent the registers to', { timeout: 300_000 }, async () => {
    const { file, old, shows } = FORGOTTEN;
    const text = readFileSync(join(folder, file), 'utf8');
    const changed = new Map([[file, text.replace(old, '')]]);
    expect(changed.get(file)).not.toBe(text);
    const edited = await patchedTree(folder, changed, CACHE);
    const driver = imageDriver(await folderImage(edited, CACHE, { kvm: true, bases: [folder] }));
    expect(breakers([shows], patched)).toEqual(all([shows], 'nobody'));
    expect(breakers([shows], driver)).toEqual(all([shows], 'policy'));
  });
});
