import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { findCpuModel } from '../src/hw/cpu_models.js';
import { knownFailure, notApplicable } from '../src/judge/declared.js';
import { ALL_POLICIES } from '../src/host/policy/index.js';
import { POLICY_PROPERTIES } from '../src/judge/properties.js';

const README = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

/** The header lines of the table, which is printed in parts. */
const COLUMNS = README.split('\n').filter((line) => /^ {10,}\S/.test(line));

describe('README', () => {
  it('README.md always has a column for each policy', () => {
    const names = COLUMNS.flatMap((line) => line.trim().split(/\s+/));
    expect(names).toEqual(ALL_POLICIES.map(({ name }) => name));
  });

  it('README.md always shows the verdicts that the policies declare', () => {
    const skylake = findCpuModel('skylake');
    if (skylake === undefined) throw new Error('skylake is the CPU of the table');
    for (const property of POLICY_PROPERTIES) {
      // The table is printed in parts, one below the other.
      const rows = README.split('\n').filter((line) => line.startsWith(`${property.name} `));
      const cells = ALL_POLICIES.map((policy) => {
        if (notApplicable(policy, property.name, skylake, '7.3') !== null) return 'n/a';
        return knownFailure(policy, property.name, skylake, '7.3') === null ? 'holds' : 'FAILS';
      });
      const shown = rows.flatMap((row) => row.split(/\s+/).slice(1));
      expect([property.name, ...shown]).toEqual([property.name, ...cells]);
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
