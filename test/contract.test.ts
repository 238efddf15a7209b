/**
 * docs/CONTRACT.md: each schedule in it is replayed on the C code of Linux 6.1 and 7.3, and where a
 * clause is undone, on 6.1 so changed. Each must end as the comment below it says. What the
 * document says of a function, it must say of one that is there.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ReplayCase, replayToken, withDriver } from '../src/campaign/replay_file.js';
import { Bench } from '../src/campaign/trial.js';
import { kvmOf } from '../src/host/policy/kvm.js';
import { lazySound } from '../src/host/policy/lazy_sound.js';
import { NoGuestLbr } from '../src/machine/no_guest_lbr.js';
import { PROPERTY } from '../src/judge/properties.js';
import { imageDriver, treeImage } from '../src/tree/image/image.js';
import { patchedTree } from '../src/tree/image/patched.js';
import { openTree } from '../src/tree/image/tree.js';
import { CACHE, imageVersions, tarOf } from './rig/images.js';

const TEXT = readFileSync(new URL('../docs/CONTRACT.md', import.meta.url), 'utf8');

/** Of each clause, its number, and the text from there to the next heading. */
const CLAUSES = TEXT.split(/^## (?=C\d+[.] )/m)
  .slice(1)
  .map((text) => ({ clause: /^C\d+/.exec(text)?.[0] ?? '', text: text.split(/^## /m)[0] }));

/** A change of a file of 6.1, as a script for sed. */
interface Edit {
  readonly script: string;
  readonly path: string;
}

interface Shown {
  readonly clause: string;
  readonly token: string;
  readonly property: string;
  /** Where something is said: a tree, or 'so changed'. */
  readonly ends: ReadonlyMap<string, number>;
  /** Undoes the clause in 6.1; null if no such change is shown. */
  readonly edit: Edit | null;
}

/** A schedule that breaks nothing. */
const HOLDS = -1;

/** A CPU on which the tree's KVM has no LBR for guests, so that nothing can be run. */
const NO_LBR = -2;

/** A change that undoes the clause, if there is one; the command; and the comment below it. */
const SCHEDULE = new RegExp(
  [
    String.raw`^(?:sed -i '(.+)' (\S+)\n)?`,
    String.raw`node dist/cli\.js replay --kernel-src ${tarOf('6.1')} (v1\.\S+)\n`,
    String.raw`# (\S+) (.+); (?:minimal \([a-z, ]+\)|shrunk)\n`,
  ].join(''),
  'gm',
);
const END = /^(?:breaks at action (\d+)|(holds|gets no LBR)) in (.+)$/;

function endsOf(said: string): ReadonlyMap<string, number> {
  const ends = said.split(', ').flatMap((part) => {
    const [, at, not, places = ''] = END.exec(part) ?? [];
    const end = at === undefined ? (not === 'holds' ? HOLDS : NO_LBR) : Number(at);
    const names = places.replace('6.1 so changed', 'so changed').split(' and ');
    return names.map((name) => [name, end] as const);
  });
  return new Map(ends);
}

const SHOWN: readonly Shown[] = CLAUSES.flatMap(({ clause, text }) =>
  [...text.matchAll(SCHEDULE)].map(([, script, path, token, property, said]) => ({
    clause,
    token,
    property,
    ends: endsOf(said),
    edit: script === undefined ? null : { script, path },
  })),
);

function caseOf({ token }: Shown): ReplayCase {
  return replayToken(token);
}

function breaksAt({ config, property, schedule }: ReplayCase): number {
  return new Bench(config).breaksAt(schedule, PROPERTY[property]);
}

/** On the C code of a tree. */
function endOnTree(replay: ReplayCase): number {
  try {
    return breaksAt(replay);
  } catch (error) {
    if (error instanceof NoGuestLbr) return NO_LBR;
    throw error;
  }
}

const CHANGED = SHOWN.filter(({ edit }) => edit !== null);

type Ends = readonly string[];

/** What a place makes of schedules, in lines that say which. */
function listed(shown: readonly Shown[], at: (one: Shown) => number | undefined): Ends {
  return shown.map((one) => `${one.clause} ${one.token}: ${at(one) ?? 'not said'}`);
}

/** Runs schedules on the image of a tree. */
async function endsOn(tree: string, version: string, shown: readonly Shown[]): Promise<Ends> {
  const driver = imageDriver(await treeImage(tree, CACHE, { kvm: true }));
  return listed(shown, (one) => endOnTree(withDriver(caseOf(one), driver, kvmOf(version))));
}

/** Linux 6.1 with the clauses of some schedules undone. Returns the folder. */
async function changedTree(shown: readonly Shown[]): Promise<string> {
  const tree = await openTree(tarOf('6.1'), CACHE);
  const files = shown.flatMap(({ edit }) => {
    if (edit === null) return [];
    const before = readFileSync(join(tree, edit.path), 'utf8');
    const after = execFileSync('sed', [edit.script], { input: before, encoding: 'utf8' });
    expect(after).not.toBe(before);
    return [[edit.path, after] as const];
  });
  return patchedTree(tree, new Map(files), CACHE);
}

/** Where the document says that functions are. */
const FILES = [
  'arch/x86/events/core.c',
  'arch/x86/events/intel/core.c',
  'arch/x86/events/intel/lbr.c',
  ...['msrs.c', 'pmu.c', 'x86.c', 'vmx/pmu_intel.c', 'vmx/vmx.c'].map((c) => `arch/x86/kvm/${c}`),
  'kernel/events/core.c',
];

/** Said of 7.3 alone. */
const MEDIATED = /^## The mediated PMU[^]+?(?=^## )/m.exec(TEXT)?.[0] ?? '';

/** The functions and tables that are named for a tree, as `name()` or `name[]`. */
function namesOf(version: string): readonly string[] {
  const points = CLAUSES.flatMap(({ text }) => text.match(/^- [*][*][^]+?(?=\n(?:- |\n))/gm) ?? []);
  const own = points.filter((point) =>
    (/^- [*][*](.+?):/.exec(point)?.[1] ?? '').includes(version),
  );
  if (version === '7.3') own.push(MEDIATED);
  return own.flatMap((point) => [...point.matchAll(/`(\w+(?:[(]|\[))[)\]]`/g)].map(([, n]) => n));
}

/** Whether a name and its bracket stand in a line that is not indented: a definition. */
function definedIn(source: string, name: string): boolean {
  const found = name.replace(/[[(]$/, String.raw`\$&`);
  return new RegExp(String.raw`^(?:\w[^\n;=]*\W)?${found}`, 'm').test(source);
}

describe('docs/CONTRACT.md', () => {
  it('shows a schedule for each clause, and none that is not understood', () => {
    const names = CLAUSES.map(({ clause }) => clause);
    expect(names).toEqual(CLAUSES.map((_, i) => `C${i + 1}`));
    expect(names.length).toBeGreaterThan(7);
    expect([...new Set(SHOWN.map(({ clause }) => clause))]).toEqual(names);
    expect(SHOWN).toHaveLength(TEXT.match(/^node /gm)?.length ?? 0);
    expect(CHANGED).toHaveLength(TEXT.match(/^sed /gm)?.length ?? 0);
  });

  it.each(CLAUSES)('says in $clause who promises what, and what each does', ({ text }) => {
    expect(text).toMatch(/^[*](?:perf to KVM|KVM to perf|KVM to its VMM|Both)[.][*] /m);
    expect(text).toMatch(/^- [*][*]6[.]1(?: and 7[.]3:|:[^]+^- [*][*]7[.]3:)[*][*] /m);
    expect(text).toMatch(/^- [*][*]lazy-sound:[*][*] /m);
  });

  it.each(SHOWN)('says of which property and machine a schedule is: $clause $token', (shown) => {
    const { config, property, schedule } = caseOf(shown);
    expect(property).toBe(shown.property);
    expect(config.policy.name).toBe('kvm');
    expect([...shown.ends.keys()].slice(0, 2)).toEqual(['6.1', '7.3']);
    const broken = [...shown.ends.values()].filter((at) => at !== HOLDS && at !== NO_LBR);
    expect(new Set(broken)).toEqual(new Set([schedule.length]));
    expect(shown.ends.has('so changed')).toBe(shown.edit !== null);
  });

  it('has schedules that hold under lazy-sound', () => {
    const run = listed(SHOWN, (one) => {
      const { config, ...rest } = caseOf(one);
      return breaksAt({ ...rest, config: { ...config, policy: lazySound } });
    });
    expect(run).toEqual(listed(SHOWN, () => HOLDS));
  });

  it.each(imageVersions('6.1', '7.3'))(
    'has schedules that end on the C code of Linux %s as it says',
    { timeout: 300_000 },
    async (version) => {
      expect(SHOWN.length).toBeGreaterThan(9);
      const run = await endsOn(tarOf(version), version, SHOWN);
      expect(run).toEqual(listed(SHOWN, (one) => one.ends.get(version)));
    },
  );

  it.each(imageVersions('6.1', '7.3'))('names what is in Linux %s', async (version) => {
    const tree = await openTree(tarOf(version), CACHE);
    const source = FILES.flatMap((file) => {
      const path = join(tree, file);
      return existsSync(path) ? [readFileSync(path, 'utf8')] : [];
    }).join('\n');
    const names = namesOf(version);
    expect(names).toContain(version === '6.1' ? 'kvm_arch_sched_in(' : 'perf_load_guest_context(');
    expect(names.filter((name) => !definedIn(source, name))).toEqual([]);
  });
});

/**
 * An image takes a while to build, so two clauses are undone at a time: two that do not meet. The
 * change for C4 and that for C9 show under a host event alone, and the other two schedules have no
 * such event.
 */
const PAIRS = [
  ['C2', 'C4'],
  ['C5', 'C9'],
];

describe.each(imageVersions('6.1'))('Linux %s with a clause undone', (version) => {
  it('is tried for each clause that has such a change', () => {
    expect(CHANGED.map(({ clause }) => clause).sort()).toEqual(PAIRS.flat());
  });

  it.each(PAIRS)('breaks the schedules of %s and %s', { timeout: 300_000 }, async (...pair) => {
    const shown = CHANGED.filter(({ clause }) => pair.includes(clause));
    const run = await endsOn(await changedTree(shown), version, shown);
    expect(run).toEqual(listed(shown, (one) => one.ends.get('so changed')));
  });
});
