/** What an author is told to write into the file of a policy. */
import { describe, expect, it } from 'vitest';
import type { Result } from '../../../src/campaign/campaign.js';
import { withPolicyFiles } from '../../../src/console/policy_files.js';
import { declareLines } from '../../../src/tell/verdicts/declare.js';
import { policyText, writtenFile } from '../../rig/policy_file.js';

function result(policy: string, property: string, verdict: string): Result {
  return { policy, property, verdict } as unknown as Result;
}

describe('declareLines', () => {
  it('each policy of a file that breaks something is told, with its properties', async () => {
    const files = ['declared-one', 'declared-two'].map((name) =>
      writtenFile(policyText(`name: '${name}',`), `${name}.mjs`),
    );
    const [one, two] = files;
    await withPolicyFiles(files.join(','));
    const lines = declareLines([
      result('declared-two', 'no-fault', 'fails'),
      result('declared-one', 'no-leak/vm', 'fails'),
      result('declared-two', 'balanced', 'fails'),
      result('declared-two', 'no-leak/vm', 'holds'),
      result('declared-one', 'owner-only', 'vacuous'),
      result('never', 'no-leak/vm', 'fails'),
    ]);
    const asked = (name: string, file: string): string =>
      `Is it by design that ${name} breaks these? Then ${file} says why:`;
    const joined = (all: readonly string[]): string => all.join(' ').replaceAll(/\s+/g, ' ');
    expect(lines).toContain("    'no-fault': { why: '...' },");
    expect(lines).toContain('');
    expect(joined(lines)).toBe(
      joined([
        asked('declared-two', two),
        '  knownFailures: {',
        "    'no-fault': { why: '...' },",
        "    'balanced': { why: '...' },",
        '  },',
        '',
        asked('declared-one', one),
        '  knownFailures: {',
        "    'no-leak/vm': { why: '...' },",
        '  },',
        '',
      ]),
    );
  });

  it('nothing is told of policies of vlbr, and of what does not fail', async () => {
    await withPolicyFiles(writtenFile(policyText("name: 'declared-three',")));
    expect(
      declareLines([
        result('never', 'balanced', 'fails'),
        result('declared-three', 'x', 'vacuous'),
      ]),
    ).toEqual([]);
    expect(declareLines([])).toEqual([]);
  });
});
