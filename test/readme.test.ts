import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { findCpuModel } from '../src/hw/cpu_models.js';
import { knownFailure, notApplicable } from '../src/judge/declared.js';
import { ALL_POLICIES } from '../src/host/policy/index.js';
import { POLICY_PROPERTIES } from '../src/judge/properties.js';

const README = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

/** The matrix: a row for each policy, below the numbers of the properties. */
const [MATRIX = ''] = /^ +1  2  3 [^]*?```$/m.exec(README) ?? [];

describe('README', () => {
  it('README.md always has a row for each policy', () => {
    const names = MATRIX.split('\n')
      .slice(1)
      .flatMap((line) => /^([a-z]\S*)(?: +[x.-]){15}$/.exec(line)?.slice(1) ?? []);
    expect(names).toEqual(ALL_POLICIES.map(({ name }) => name));
  });

  it('README.md always numbers the properties in their order', () => {
    const named = POLICY_PROPERTIES.map(({ name }, i) => `${i + 1} ${name}`);
    const shown = MATRIX.match(/\b\d+ [a-z][a-z/-]*/g);
    expect(shown).toEqual(named);
  });

  it('README.md always shows the verdicts that the policies declare', () => {
    const skylake = findCpuModel('skylake');
    if (skylake === undefined) throw new Error('skylake is the CPU of the table');
    for (const policy of ALL_POLICIES) {
      const row = MATRIX.split('\n').find((line) => line.startsWith(`${policy.name} `));
      const cells = POLICY_PROPERTIES.map(({ name }) => {
        if (notApplicable(policy, name, skylake, '7.3') !== null) return '-';
        return knownFailure(policy, name, skylake, '7.3') === null ? '.' : 'x';
      });
      expect(row?.split(/\s+/)).toEqual([policy.name, ...cells]);
    }
  });

  it('README.md and every document give the right number of properties', () => {
    const words = ['ten', 'eleven', 'twelve', 'thirteen', 'fourteen', 'fifteen', 'sixteen'];
    const documents = ['README', 'CHANGELOG', 'ARCHITECTURE', 'docs/RECOMMENDATION'];
    const counts = [...documents, 'docs/FINDINGS', 'docs/FIDELITY'].flatMap((name) => {
      const text = readFileSync(new URL(`../${name}.md`, import.meta.url), 'utf8');
      const found = [...text.matchAll(/\b(\d+|\w+teen|ten|eleven|twelve) properties\b/gi)];
      return found.map(([, count]) => {
        const word = words.indexOf(count.toLowerCase());
        return word < 0 ? Number(count) : 10 + word;
      });
    });
    expect(counts.length).toBeGreaterThan(2);
    expect(new Set(counts)).toEqual(new Set([POLICY_PROPERTIES.length]));
  });

  it('README.md never names a golden schedule that does not exist', () => {
    const named = README.match(/\d{3}-[a-z0-9-]+\.json/g) ?? [];
    expect(named.length).toBeGreaterThan(0);
    for (const name of named) {
      expect(() => readFileSync(new URL(`golden/${name}`, import.meta.url))).not.toThrow();
    }
  });
});
