/** How a schedule ends on a kernel, whatever its MSR accesses are. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  breakerOf,
  parseReplayText,
  type ReplayCase,
  replayToken,
  tokenOf,
  withDriver,
} from '../../../src/campaign/replay_file.js';
import type { DriverKind } from '../../../src/guest/perf/lbr_driver.js';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import { type Ending, endingOf } from '../../../src/questions/campaign/bisect_ending.js';
import { CRASHING, NO_RESTORE, ONE_MORE_READ } from '../../rig/broken_port.js';

function caseWith(policy: string, property: string, ...actions: readonly string[]): ReplayCase {
  const machine = { cpu: 'skylake', kernel: '6.1', vms: 2, vcpus: 1, tasks: 2, pcpus: 1 };
  const file = { schema: 'vlbr/schedule/1', policy, property, ...machine, actions };
  return parseReplayText(JSON.stringify(file))[0];
}

const SWITCHES = caseWith(
  'always',
  'no-loss/task',
  'v0: open task=0 type=CALL_STACK|USER',
  'v0: call n=2',
  'v0: taskSwitch task=1',
  'v0: taskSwitch task=0',
);

let signs = 0;

function ending(replay: ReplayCase, driver: DriverKind, by: 'policy' | 'kernel'): Ending {
  return endingOf(withDriver(replay, driver), by, () => ++signs > 0);
}

/** The schedule 004 with its switch after another access. */
function switchedAfter(after: number): ReplayCase {
  const text = readFileSync('test/golden/004-merged-drops-the-stack-in-the-window.json', 'utf8');
  return parseReplayText(text.replace('after=4', `after=${after}`))[0];
}

describe('the ending of a schedule', () => {
  it('is that it holds, or who breaks it and why', () => {
    expect(ending(SWITCHES, PORT, 'kernel')).toEqual({ kind: 'holds' });
    const found = ending(SWITCHES, NO_RESTORE, 'kernel');
    expect(found).toMatchObject({ kind: 'fails', breaker: 'kernel', token: tokenOf(SWITCHES) });
    expect(found).toMatchObject({ because: { step: 4, of: "the guest's perf" } });
    expect(ending(SWITCHES, NO_RESTORE, 'policy')).toEqual(found);
  });

  it('is the same when an interruption comes at another access', () => {
    const [hit, missed] = [switchedAfter(4), switchedAfter(1)];
    expect([hit, missed].map(breakerOf)).toEqual(['policy', 'nobody']);
    signs = 0;
    const found = ending(missed, PORT, 'policy');
    if (found.kind !== 'fails') throw new Error('it has to fail at some time');
    expect([found.breaker, breakerOf(replayToken(found.token))]).toEqual(['policy', 'policy']);
    expect(found.token).not.toBe(tokenOf(missed));
    expect(found.because).not.toBeNull();
    expect(signs).toBeGreaterThan(2);
    // What moves the accesses does not mend it.
    expect(ending(hit, ONE_MORE_READ, 'policy')).toMatchObject({ kind: 'fails' });
  });

  it('is nothing to go by where the kernel crashes', () => {
    const pmi = caseWith(
      'always',
      'callstack-true',
      'v0: open task=0 type=CALL_STACK|USER',
      'v0: call n=2',
      'v0: pmi event=0',
    );
    expect(ending(pmi, CRASHING, 'policy')).toEqual({
      kind: 'skipped',
      why: 'it crashes: RangeError: unreachable',
    });
  });
});
