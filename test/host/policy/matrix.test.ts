/**
 * What each policy declares, stated again as the matrix shows it, for four machines. The campaigns
 * of test/property compare the declarations with runs. Change this table together with a
 * declaration.
 */
import { describe, expect, it } from 'vitest';
import { knownFailure, notApplicable } from '../../../src/judge/declared.js';
import { POLICIES } from '../../../src/host/policy/index.js';
import type { LbrPolicy } from '../../../src/host/policy/policy.js';
import { POLICY_PROPERTIES } from '../../../src/judge/properties.js';
import { cpuModel } from '../../rig/cpu.js';

const MACHINES = [
  ['skylake', '6.1'],
  ['skylake', '4.18'],
  ['haswell-notsx', '6.1'],
  ['nehalem', '6.1'],
] as const;

/** A letter for each property, in order. F: declared to fail; -: not applicable; .: holds. */
const MATRIX: Readonly<Record<string, string>> = {
  never: 'FFFFFFF-F-.-... FFFFFFF-F-.-... FFFFFFF-F-.-... FFFFFFF-F-.-...',
  always: '.........-F-... .........-F-... FF..FF...-F-... .F...F...-F-...',
  'v1-vmx': 'FF..FFFF.-F-... FF..FFFF.-F-... FF..FFFF.-F-... FF..FFFF.-F-...',
  'v1-vmx-swap': 'FF..FFF..-F-... FF..FFF..-F-... FF..FFF..-F-... FF..FFF..-F-...',
  'v1-vmx-area': 'FF..FFFF.-F-... FF..FFFF.-F-... FFFFFFFFF-F-F.. FF..FFFF.-F-...',
  'pv-v2': 'FFFFFFF-FFFF... FFFFFFF-FFFF... FFFFFFF-FFFF... FFFFFFF-F..F...',
  'pv-v2-direct': 'FFFFFFFFFFFF... FFFFFFFFFFFF... FFFFFFFFFFFF... FFFFFFF-F..F...',
  'lazy-literal': 'FFF.FFFFF-.F... FFF.FFFFF-.F... FFF.FFFFF-.F... FFF.FFFFF-.F...',
  v4: 'FFFFFFFFF-FFF.. FFFFFFFFF-FFF.. FFFFFFFFF-FFF.. FFFFFFFFF-.FF..',
  'v4-select': 'FFFFFFFFF-FFF.. FFFFFFFFF-FFF.. FFFFFFFFF-FFF.. FFFFFFFFF-.FF..',
  v6: 'FFFFFFFFF-FFF.. FFFFFFFFF-FFF.. FFFFFFFFF-FFF.. FFFFFFFFF-.FF..',
  v7: 'FFFFFFFFF-FFF.. FFFFFFFFF-FFF.. FFFFFFFFF-FFF.. FFFFFFFFF-.FF..',
  v8: 'FFFFFFF.F-FFFF. FF..FFF.F-FFFF. FFFFFFF.F-FFFF. F--.F.----.-F..',
  'v8-posted': 'FFFFFFF.F-FFFF. FF..FFF.F-FFFF. FFFFFFF.F-FFFF. F--.F.----.-F..',
  v10: 'FFFFFFF.F-FFFF. FFF.FFF.F-FFFF. FFFFFFF.F-FFFF. FF..FFF-F-.F...',
  merged: 'FFFFFFF.F-FFFF. FFF.FFF.F-FFFF. FFFFFFF.F-FFFF. FF..FFF-F-.F...',
  'pv-sound': '............... ............... ............... ...............',
  'lazy-sound': '.........-..... .........-..... .........-..... .........-.....',
  parked: '.........-..... .........-..... .........-..... .........-.....',
};

function declared(policy: LbrPolicy): string {
  const columns = MACHINES.map(([cpu, kernel]) => {
    const model = cpuModel(cpu);
    const letters = POLICY_PROPERTIES.map(({ name: property }) => {
      if (notApplicable(policy, property, model, kernel) !== null) return '-';
      return knownFailure(policy, property, model, kernel) === null ? '.' : 'F';
    });
    return letters.join('');
  });
  return columns.join(' ');
}

describe('the matrix of declarations', () => {
  it('the matrix has a row for each policy, and for nothing else', () => {
    expect(Object.keys(MATRIX)).toEqual(POLICIES.map(({ name }) => name));
  });

  it.each(POLICIES)('the declarations of $name are the row of the matrix', (policy) => {
    expect(declared(policy)).toBe(MATRIX[policy.name]);
  });

  it.each(POLICIES)('each failure or exemption that $name declares has a reason', (policy) => {
    const whys = Object.values(policy.knownFailures).map(({ why }) => why);
    const { notApplicable: never, withoutCallstack = {} } = policy;
    for (const text of [...whys, ...Object.values(never), ...Object.values(withoutCallstack)]) {
      expect(text).toMatch(/^.{15,}$/);
    }
  });

  it.each(POLICIES)('each word that $name keeps for a vCPU has a name', ({ words }) => {
    for (const word of words) expect(word).toMatch(/^[a-z_]+$/);
  });
});

describe('words', () => {
  it('a policy keeps as few words as it needs, since each is state of every vCPU', () => {
    const counts = POLICIES.map(({ name, words }) => `${name} ${words.length}`);
    expect(counts.join(', ')).toBe(
      'never 0, always 3, v1-vmx 0, v1-vmx-swap 1, v1-vmx-area 0, pv-v2 0, pv-v2-direct 0, ' +
        'lazy-literal 0, v4 3, v4-select 3, v6 2, v7 2, v8 2, v8-posted 2, v10 2, merged 3, ' +
        'pv-sound 4, lazy-sound 4, parked 6',
    );
  });
});
