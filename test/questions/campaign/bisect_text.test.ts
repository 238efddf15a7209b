/** What `vlbr campaign bisect` says of what it has found. */
import { describe, expect, it } from 'vitest';
import { caseOf } from '../../../src/campaign/replay_file.js';
import { coloursFor } from '../../../src/console/colours.js';
import type { Bisection } from '../../../src/questions/campaign/bisect.js';
import { bisectJson } from '../../../src/questions/campaign/bisect_json.js';
import type { Subject } from '../../../src/questions/campaign/bisect_subject.js';
import { bisectText, judgedLine } from '../../../src/questions/campaign/bisect_text.js';
import { parseAction } from '../../../src/schedule/action_text.js';
import type { Commit } from '../../../src/tree/git.js';
import { wrongWithMade } from '../../rig/schemas.js';

function commit(n: number, subject = `change ${n}`): Commit {
  const hash = String(n).padStart(40, '0');
  return { hash, subject, author: 'A <a@b>', date: '2026-02-03T04:05:06+01:00' };
}

const WHO = { cause: 'hook:f', decidedBy: 'f', of: 'policy always' };
const BECAUSE = { ...WHO, step: 1, expected: 'x', found: 'y' };
const SHAPE = { vms: 1, vcpus: 1, tasks: 1, pcpus: 1 };
const names = { policy: 'always', property: 'no-fault', cpu: 'skylake', kernel: '6.1' };

const SUBJECT: Subject = {
  replay: caseOf({ ...names, shape: SHAPE, actions: [parseAction('v0: halt')] }),
  by: 'policy',
  ending: { kind: 'fails', breaker: 'policy', token: 'v1.bad', because: BECAUSE },
  campaign: null,
  others: [],
};

const RANGE = { repository: 'linux', good: commit(1), bad: commit(99) };

const FOUND: Bisection = {
  range: RANGE,
  subject: SUBJECT,
  commits: 1234,
  changing: 3,
  judged: [
    {
      commit: commit(7),
      ending: { kind: 'fails', breaker: 'policy', token: 'v1.seven', because: null },
    },
  ],
  left: 1,
  suspects: [commit(7)],
  failing: {
    hash: 'f'.repeat(40),
    ending: { kind: 'fails', breaker: 'policy', token: 'v1.seven', because: BECAUSE },
  },
  interrupted: false,
  elapsed_s: 1,
};

const textOf = (result: Bisection): string => bisectText(result, coloursFor(false)).join('\n');

describe('the report of a bisection', () => {
  it('names the commit, why it fails there, and how to see it again', () => {
    expect(textOf(FOUND)).toBe(
      [
        'vlbr campaign bisect: linux',
        'good: 000000000000 ("change 1")',
        'bad: 000000000000 ("change 99")',
        'lost: no-fault under always on skylake (the policy breaks it), on a schedule of 1 action',
        '1,234 commits, 3 of them change what the kernel is made of, 1 judged',
        '',
        'The first commit that loses no-fault:',
        `  ${commit(7).hash}`,
        '  change 7',
        '  A <a@b>, 2026-02-03',
        '  because: #1, f() of policy always; expected x; found y',
        '  vlbr replay v1.seven --kernel-src linux@ffffffffffff',
      ].join('\n'),
    );
    expect(wrongWithMade(bisectJson(FOUND))).toEqual([]);
    expect(bisectJson(FOUND)).toMatchObject({ first: commit(7), token: 'v1.seven', runs: null });
  });

  it('says what a campaign has found beside it', () => {
    const policies = ['always', 'merged'];
    const campaign = { policies, properties: [], cpu: 'skylake', runs: 500, seed: 7 };
    const others = ['balanced', 'no-leak/vm'] as const;
    const result = { ...FOUND, subject: { ...SUBJECT, by: 'kernel', campaign, others } as const };
    const text = textOf(result).replaceAll(/\s+/g, ' ');
    expect(text).toContain(
      "(the guest's kernel breaks it), on a schedule of 1 action, found by 500",
    );
    expect(text).toContain('found by 500 runs of seed 7 also lost: balanced, no-leak/vm 1,234');
    expect(wrongWithMade(bisectJson(result))).toEqual([]);
    expect(bisectJson(result)).toMatchObject({ runs: 500, seed: 7, alsoLost: others });
  });

  it('lists several commits, or says how many they are', () => {
    const several: Bisection = { ...FOUND, left: 2, suspects: [commit(10), commit(11)] };
    const head = 'The first commit that loses no-fault is one of';
    expect(textOf(several)).toContain(
      `\n${head} 2 commits (some of them can't be judged)\n` +
        '  2026-02-03 000000000000 ("change 10")\n' +
        '  2026-02-03 000000000000 ("change 11")\n  because',
    );
    expect(textOf(several)).toMatch(/vlbr replay v1.seven --kernel-src linux@f{12}$/);
    expect(bisectJson(several)).toMatchObject({ first: null, left: 2, suspects: several.suspects });
    const many: Bisection = { ...FOUND, left: 2100, suspects: [] };
    const said = `${head} 2,100 commits (some of them can't be judged)`;
    expect(textOf(many)).toContain(`\n${said}\n  because: `);
    expect(wrongWithMade(bisectJson(many))).toEqual([]);
  });

  it('says what was left when it was cut short, with and without a schedule', () => {
    const cut = { ...FOUND, interrupted: true, suspects: [commit(7)] };
    expect(textOf(cut)).toContain('loses no-fault is one of 1 commit (cut short)');
    expect(bisectJson(cut)).toMatchObject({ first: null, interrupted: true });
    const early: Bisection = { ...cut, subject: null, changing: null, judged: [], failing: null };
    const text = textOf(early);
    expect(text).toContain('\n1,234 commits, 0 judged\n');
    expect(text).toContain('The first commit that loses anything is one of 1 commit (cut short)');
    expect(text).not.toMatch(/because|vlbr replay|lost:/);
    expect(wrongWithMade(bisectJson(early))).toEqual([]);
    expect(bisectJson(early)).toMatchObject({ replay: null, token: null, property: null });
  });

  it('names a commit that was passed over, and writes no control characters', () => {
    const ending = { kind: 'skipped', why: 'it \u001bcrashes' } as const;
    const skipped = { commit: commit(8, 'a \u001b[31msubject'), ending };
    const line = 'skipped  000000000000 ("a \\x1b[31msubject"): it \\x1bcrashes';
    expect(judgedLine(skipped)).toBe(line);
    const result = { ...FOUND, judged: [skipped, ...FOUND.judged], suspects: [skipped.commit] };
    expect(textOf(result)).toContain(`, 2 judged\n${line}\n`);
    expect(textOf(result)).not.toContain('\u001b');
    expect(wrongWithMade(bisectJson(result))).toEqual([]);
    expect(judgedLine({ commit: commit(8), ending: { kind: 'holds' } })).toBe(
      'holds    000000000000 ("change 8")',
    );
  });
});
