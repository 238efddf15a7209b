/** Schedules up to a length, one by one: what fails is what a search with cached states finds. */
import { describe, expect, it } from 'vitest';
import type { KernelList } from '../../src/campaign/kernel_lists.js';
import { listFor } from '../../src/campaign/kernel_lists.js';
import type { Group } from '../../src/schedule/explored.js';
import { actionText } from '../../src/schedule/action_text.js';
import { DEFAULT_GROUPS } from '../../src/states/alphabet.js';
import { enumerate, type Enumerated, type EnumerateOptions } from '../../src/states/enumerate.js';
import { explore } from '../../src/states/explore.js';
import { imageDriver } from '../../src/tree/image/image.js';
import { cpuModel } from '../rig/cpu.js';
import { imageOf, imageVersions } from '../rig/images.js';
import { policyOf } from '../rig/machine.js';
import { exploreOptions } from '../rig/states.js';

const EMPTY: KernelList = { version: '6.1', findings: [] };

function optionsOf(
  policy: string,
  groups: readonly Group[],
  maxLength: number,
  more: Partial<EnumerateOptions> = {},
): EnumerateOptions {
  const { poll: _, ...common } = exploreOptions(policyOf(policy), groups, { maxLength });
  return { ...common, list: listFor('6.1'), ...more };
}

/** States assume of reach counters what schedules know: there, what is vacuous may hold. */
function failing(found: Pick<Enumerated, 'results'>): [string, string, number][] {
  return lengths(found).map(([property, verdict, length]) => [
    property,
    verdict === 'vacuous' ? 'holds' : verdict,
    length,
  ]);
}

function lengths({ results }: Pick<Enumerated, 'results'>): [string, string, number][] {
  return results.map(({ property, verdict, counterexample }) => [
    property,
    verdict,
    counterexample?.actions.length ?? 0,
  ]);
}

describe('schedules one by one', () => {
  it.each([
    ['never', DEFAULT_GROUPS, 6],
    ['merged', ['calls', 'events', 'host', 'exit', 'idle'], 5],
    ['v6', ['events', 'raw', 'migrate', 'inside'], 4],
  ] as const)('fail as states do that are searched, under %s', (policy, groups, length) => {
    const options = exploreOptions(policyOf(policy), groups, { maxLength: length });
    const searched = explore(options);
    const found = enumerate(optionsOf(policy, groups, length));
    expect(found.complete).toBe(true);
    const judged = found.results.slice(0, searched.results.length);
    expect(failing({ results: judged })).toEqual(failing(searched));
    expect(judged.some(({ verdict }) => verdict === 'fails')).toBe(true);
    expect(found.neverPossible).toEqual(searched.neverPossible);
    expect(found.schedules).toHaveLength(length);
  });

  it('are counted by length, and none is missing: opens, switches, and both inside another', () => {
    // One VM, one task: open, and the switch to idle inside of it before each access.
    const shape = { vms: 1, vcpus: 1, tasks: 1, pcpus: 1 };
    const { schedules } = enumerate(optionsOf('always', ['events', 'idle'], 2, { shape }));
    // open; idle. Then: close, idle; run, cstate.
    expect(schedules).toEqual([2, 4]);
    const inside = enumerate(optionsOf('always', ['events', 'idle', 'inside'], 2, { shape }));
    expect(inside.schedules[0]).toBe(2);
    expect(inside.schedules[1]).toBeGreaterThan(10);
  });

  it('end with what is known when they are interrupted', () => {
    const seen: number[] = [];
    const poll = ({ schedules, length }: { schedules: number; length: number }): boolean => {
      seen.push(schedules);
      return length < 4;
    };
    const found = enumerate(optionsOf('never', DEFAULT_GROUPS, 6, { poll }));
    expect([found.complete, found.covered]).toEqual([false, 3]);
    expect(seen.length).toBeGreaterThan(1);
    expect(found.results.map(({ verdict }) => verdict)).not.toContain('holds');
    expect(found.results.map(({ verdict }) => verdict)).toContain('unknown');
  });

  it('tell what the kernel breaks by itself against its list, the shortest of each entry', () => {
    const groups = ['calls', 'tasks', 'events', 'pmi', 'ioctl', 'ring'] as const;
    const shape = { vms: 1, vcpus: 1, tasks: 2, pcpus: 1 };
    const bounds = { groups, events: 2, calls: 2, suspended: 1 };
    const kernel = (list: KernelList): Enumerated =>
      enumerate(optionsOf('always', groups, 5, { shape, bounds, list }));
    const known = kernel(listFor('6.1'));
    const leak = known.findings.find(({ property }) => property === 'balanced');
    expect(leak?.known).toMatch(/counts call-stack users by cpuc->br_sel/);
    expect(leak?.counterexample.label).toBe('minimal');
    expect(lengths(known)).toContainEqual(['balanced', 'holds', 0]);
    expect(kernel(EMPTY).findings.map((f) => f.known)).toContain(null);
  });

  it('carry the token of a schedule that crashes the machine', () => {
    const policy = {
      ...policyOf('never'),
      vcpu_put: (): never => {
        throw new Error('boom');
      },
    };
    let error: unknown = null;
    try {
      enumerate(optionsOf('never', ['events'], 2, { policy }));
    } catch (e) {
      error = e;
    }
    expect(error).toMatchObject({ message: 'boom', token: expect.stringMatching(/^v1\./) });
  });
});

describe.each(imageVersions('6.1', '7.3'))('schedules of the image of Linux %s', (version) => {
  async function images(
    policy: string,
    groups: readonly Group[],
    maxLength: number,
    more: Partial<EnumerateOptions> = {},
  ): Promise<EnumerateOptions> {
    const driver = imageDriver(await imageOf(version));
    const list = listFor(version);
    const model = cpuModel('haswell');
    return optionsOf(policy, groups, maxLength, { driver, list, model, ...more });
  }

  it('fail under never as those of the port do, and kernels break nothing', async () => {
    const groups = ['calls', 'tasks', 'events'] as const;
    const options = await images('never', groups, 6);
    const found = enumerate(options);
    const port = enumerate(optionsOf('never', groups, 6, { model: options.model }));
    expect(found.schedules).toEqual(port.schedules);
    const schedules = ({ results }: Enumerated): unknown =>
      results.map(({ property, counterexample }) => [
        property,
        counterexample?.actions.map(actionText),
      ]);
    expect(schedules(found)).toEqual(schedules(port));
    expect(found.results.find(({ property }) => property === 'no-leak/vm')?.verdict).toBe('fails');
    expect(lengths(found)).toContainEqual(['no-warn', 'holds', 0]);
    expect(found.findings).toEqual([]);
  });

  it('show what a fork breaks since 6.15 in three actions, and nothing else', async () => {
    const shape = { vms: 1, vcpus: 1, tasks: 2, pcpus: 1 };
    const groups = ['tasks', 'events', 'fork'] as const;
    const { findings } = enumerate(await images('always', groups, 4, { shape }));
    const told = findings.map(({ property, known, counterexample }) => [
      property,
      known?.slice(0, 17),
      counterexample.actions.length,
    ]);
    expect(told).toEqual(version === '6.1' ? [] : [['balanced', 'a user is counted', 3]]);
  });

  it('leave functions before each access of the C code', async () => {
    const found = enumerate(await images('parked', ['tasks', 'events', 'inside'], 3));
    expect(found.complete).toBe(true);
    expect(found.schedules[1]).toBeGreaterThan(40);
    expect(lengths(found).some(([, verdict]) => verdict === 'fails')).toBe(false);
  });
});
