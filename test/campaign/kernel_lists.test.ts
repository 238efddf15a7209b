/** The lists of what each kernel is known to break by itself. */
import { describe, expect, it } from 'vitest';
import * as lists from '../../src/campaign/kernel_lists.js';
import { KERNEL_LISTS, type KernelList, listFor } from '../../src/campaign/kernel_lists.js';
import type { PropertyName } from '../../src/judge/properties.js';
import { parseAction } from '../../src/schedule/action_text.js';
import { Schedule } from '../../src/schedule/schedule.js';
import { cpuModel } from '../rig/cpu.js';

function scheduleOf(...lines: readonly string[]): Schedule {
  return Schedule.of(lines.map(parseAction));
}

const SKYLAKE = cpuModel('skylake');
const OPEN = 'v0: open task=0 type=CALL_STACK|USER';
const MIXED = scheduleOf(OPEN, 'v0: open task=0 type=ANY|USER');
const PLAIN = scheduleOf(OPEN, 'v0: call n=3');
const FAMILY = scheduleOf('v0: open task=0 attr=inherited type=CALL_STACK|USER', 'v0: fork');

describe('listFor', () => {
  it.each([
    ['6.1', '6.1'],
    ['6.1.192', '6.1'],
    ['6.2', '6.1'],
    ['6.11.7', '6.1'],
    ['6.12.30', '6.12'],
    ['6.15', '6.12'],
    ['6.17.3', '6.17'],
    ['7.1.1-rc3', '6.17'],
    ['7.3.4', '7.3'],
    ['7.10', '7.3'],
    ['4.18', '4.18'],
    ['4.9', '4.18'],
    ['5.4', '4.18'],
    ['5.10.200', '5.9'],
    ['unknown', '7.3'],
  ])('a kernel %s is measured by the list of %s', (version, list) => {
    expect(listFor(version).version).toBe(list);
  });

  it('the lists are in the order of their versions, each with one list', () => {
    const rank = (version: string): number => {
      const [major = 0, minor = 0] = version.split('.').map(Number);
      return major * 1000 + minor;
    };
    const ranks = KERNEL_LISTS.map(({ version }) => rank(version));
    expect(ranks).toEqual([...new Set(ranks)].toSorted((a, b) => a - b));
  });

  it('a list is that of its own version, patches included, and of no other', () => {
    const of = (version: string): boolean => lists.isListOf(listFor('6.12'), version);
    expect([of('6.12'), of('6.12.30')]).toEqual([true, true]);
    expect([of('6.1'), of('6.13'), of('unknown')]).toEqual([false, false, false]);
  });
});

describe('knownIn', () => {
  const known = (list: KernelList, property: PropertyName, schedule: Schedule): boolean =>
    lists.knownIn(list, SKYLAKE, property, schedule) !== null;

  it('a failure is known in the situation in which it shows, and in no other', () => {
    const list = listFor('6.1');
    expect(known(list, 'balanced', MIXED)).toBe(true);
    expect(known(list, 'balanced', PLAIN)).toBe(false);
    expect(known(list, 'callstack-true', scheduleOf(OPEN, 'v0: disable event=0'))).toBe(true);
    expect(known(list, 'callstack-true', PLAIN)).toBe(false);
  });

  it('a failure of a property that is on no list is never known', () => {
    for (const list of KERNEL_LISTS) {
      for (const property of ['no-warn', 'no-fault', 'no-loss/callstack'] as const) {
        expect(known(list, property, MIXED)).toBe(false);
      }
    }
  });

  it('a failure without a situation is known in any schedule, on the CPUs that it names', () => {
    const on = (cpu: string): boolean =>
      lists.knownIn(listFor('6.1'), cpuModel(cpu), 'filter-true', PLAIN) !== null;
    expect([on('nehalem'), on('silvermont')]).toEqual([true, true]);
    expect([on('skylake'), on('haswell')]).toEqual([false, false]);
  });

  it('what 7.3 breaks for families is known since 6.17 alone', () => {
    for (const property of ['balanced', 'callstack-true', 'no-loss/task'] as const) {
      expect(KERNEL_LISTS.filter((list) => known(list, property, FAMILY))).toEqual([
        listFor('6.17'),
        listFor('7.2'),
        listFor('7.3'),
      ]);
    }
  });

  it('samples of user mode that show the kernel are known of two kernels', () => {
    const shows = (property: PropertyName): string[] =>
      KERNEL_LISTS.filter((list) => known(list, property, PLAIN)).map(({ version }) => version);
    expect(shows('sample-true')).toEqual(['5.9', '6.17']);
    expect(shows('filter-true')).toEqual(['5.9']);
  });

  it('what a kernel breaks for cgroups is known where guests have some', () => {
    const cpu = 'v0: open task=-1 attr=pinned|cgroup-a type=ANY|USER';
    const pinned = scheduleOf(cpu, 'v0: moveTask cgroup=a');
    const beside = scheduleOf(cpu.replace('pinned|', ''), 'v0: enable event=1');
    const of = (property: PropertyName, schedule: Schedule): string[] =>
      KERNEL_LISTS.filter((list) => known(list, property, schedule)).map(({ version }) => version);
    for (const schedule of [pinned, beside]) {
      expect(of('events-count', schedule)).toEqual(['6.1', '6.12', '6.17', '7.2', '7.3']);
    }
    const since = ['6.12', '6.17', '7.2', '7.3'];
    expect([of('balanced', pinned), of('balanced', beside)]).toEqual([since, []]);
    const refuses = ['5.9'];
    expect(of('filter-true', pinned)).toEqual([...refuses, ...since]);
    expect(of('filter-true', beside)).toEqual(refuses);
  });

  it('of two entries that fit, the first of the list is the answer', () => {
    const [first] = ['a', 'b'].map((why) => ({ property: 'balanced', given: [], why }) as const);
    const second = { ...first, why: 'b' };
    const list = { version: '6.1', findings: [first, second] };
    expect(lists.knownIn(list, SKYLAKE, 'balanced', PLAIN)).toBe(first);
  });
});

describe('mustShow', () => {
  const properties = (version: string, cpu: string): PropertyName[] =>
    lists.mustShow(listFor(version), cpuModel(cpu)).map(({ property }) => property);

  it('a campaign must meet what is on the list, except what is rare', () => {
    expect(properties('6.1', 'skylake')).toEqual([
      'balanced',
      'sample-true',
      'callstack-true',
      'no-leak/task',
    ]);
    expect(properties('7.3', 'skylake')).toEqual([
      ...properties('6.1', 'skylake'),
      'balanced',
      'callstack-true',
      'no-loss/task',
    ]);
  });

  it('a campaign must meet nothing about call stacks on a CPU without that mode', () => {
    for (const version of ['6.1', '7.3']) {
      expect(properties(version, 'sandybridge')).toEqual(['sample-true', 'no-leak/task']);
    }
  });

  it('a campaign must meet what shows on some CPUs, there alone', () => {
    expect(properties('6.1', 'nehalem')).toContain('filter-true');
    expect(properties('6.1', 'haswell')).not.toContain('filter-true');
  });
});
