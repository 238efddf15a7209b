/** Situations in schedules: each has a schedule with it, and none is seen where it is not. */
import { describe, expect, it } from 'vitest';
import { type Situation, situationsIn } from '../../src/campaign/situations.js';
import { parseAction } from '../../src/schedule/action_text.js';
import { Schedule } from '../../src/schedule/schedule.js';

function found(...lines: readonly string[]): Situation[] {
  return [...situationsIn(Schedule.of(lines.map(parseAction)))];
}

/** A schedule that has a situation and no other, and schedules that are near it and have none. */
type Example = readonly [Situation, has: readonly string[], hasNot: readonly (readonly string[])[]];

const OPEN = 'v0: open task=0 type=CALL_STACK|USER';
const INHERITED = 'v0: open task=0 attr=inherited type=CALL_STACK|USER';
const BOUND = 'v0: open task=0 attr=bound type=CALL_STACK|USER';
const OF_CPU = 'v0: open task=-1 type=CALL_STACK|USER';
const OF_CGROUP = 'v0: open task=-1 attr=cgroup-b type=CALL_STACK|USER';
const MIGRATION = 'v0: migrateTask task=1';

const EXAMPLES: readonly Example[] = [
  ['a raw write of an MSR', ['v0: wrmsr msr=0x1d9 eax=1'], [['v0: rdmsr msr=0x1d9']]],
  ['a zero-length call', ['v0: call n=1 kind=2'], [['v0: call n=2'], ['v0: call n=2 kind=1']]],
  ['an event that is disabled', [OPEN, 'v0: disable event=0'], [[OPEN, 'v0: enable event=0']]],
  ['an event that is closed', [OPEN, 'v0: close event=0'], [[OPEN]]],
  ['an NMI inside a function', [OPEN, 'v0: pmi event=0 after=1'], [[OPEN, 'v0: pmi event=1']]],
  ['a task that exits', ['v0: taskExit task=1'], [['v0: taskSwitch task=1']]],
  [
    'a pinned event of a cgroup',
    [OF_CGROUP.replace('attr=', 'attr=pinned|')],
    [[OF_CGROUP], ['v0: open task=-1 attr=pinned type=CALL_STACK|USER']],
  ],
  [
    'an event that is enabled beside one of a cgroup',
    [OF_CGROUP, 'v0: enable event=0'],
    [[OF_CGROUP], [OF_CPU, 'v0: enable event=0']],
  ],
  [
    'a fork that inherits an event',
    [INHERITED, 'v0: fork'],
    [[OPEN, 'v0: fork'], [INHERITED], ['v0: fork']],
  ],
  [
    'a task that leaves the CPU of an event',
    [OF_CPU, MIGRATION],
    [[OPEN, MIGRATION], [OF_CPU, 'v0: taskSwitch task=1'], [BOUND], [MIGRATION]],
  ],
  [
    'events that ask for different branches',
    [OPEN, 'v0: open task=0 type=ANY|USER'],
    [
      [OPEN, OPEN],
      [OPEN, OF_CPU, 'v0: pmi event=0'],
    ],
  ],
];

describe('situationsIn', () => {
  it.each(EXAMPLES)('%s is seen in a schedule that has it, alone', (situation, has) => {
    expect(found(...has)).toEqual([situation]);
    // Whichever action comes first, and whatever lies around them.
    expect(found('v1: call n=3', ...has.toReversed(), 'p0: hostWork n=2')).toEqual([situation]);
  });

  it.each(EXAMPLES)('%s is not seen in schedules that are near', (_situation, _has, hasNot) => {
    for (const lines of hasNot) expect([lines, found(...lines)]).toEqual([lines, []]);
  });

  it('an event of a task on one CPU is one of a CPU', () => {
    expect(found(BOUND, MIGRATION)).toEqual(['a task that leaves the CPU of an event']);
  });

  it('an event that asks for no level asks for all of them', () => {
    const types = (...asked: readonly string[]): Situation[] =>
      found(...asked.map((type) => `v0: open task=0 type=${type}`));
    expect(types('ANY', 'ANY|USER|KERNEL|HV')).toEqual([]);
    expect(types('ANY', 'ANY|USER')).toEqual(['events that ask for different branches']);
  });

  it('several situations are all seen, and an empty schedule has none', () => {
    const lines = EXAMPLES.flatMap(([, has]) => has);
    expect(found(...lines).toSorted()).toEqual(EXAMPLES.map(([name]) => name).toSorted());
    expect(found()).toEqual([]);
  });
});
