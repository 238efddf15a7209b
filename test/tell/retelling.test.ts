/** A schedule that is run again, action by action. */
import { describe, expect, it } from 'vitest';
import { caseOf, type ReplayCase } from '../../src/campaign/replay_file.js';
import { parseAction } from '../../src/schedule/action_text.js';
import { Retelling, type ToldAction } from '../../src/tell/retelling.js';
import { Watcher } from '../../src/tell/watcher.js';

function retold(
  policy: string,
  property: string,
  ...actions: readonly string[]
): Retelling<Watcher> {
  const shape = { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 };
  const names = { policy, property, cpu: 'skylake', kernel: '6.1', shape };
  const replay: ReplayCase = caseOf({ ...names, actions: actions.map(parseAction) });
  return new Retelling(replay, (monitor, watch) => new Watcher(monitor, watch));
}

const told = (retelling: Retelling<Watcher>): ToldAction[] => [...retelling.actions(false)];

/** VM 0 leaves its records in the registers, and VM 1 reads one. */
const LEAK = [
  'v0: open task=0 type=ANY|USER',
  'v0: call n=3',
  'p0: run vcpu=1',
  'v1: rdmsr msr=0x680',
  'v1: rdmsr msr=0x681',
];

describe('Retelling', () => {
  it('ends with the action in which the property breaks', () => {
    const retelling = retold('never', 'no-leak/vm', ...LEAK, 'v1: call n=1');
    const actions = told(retelling);
    expect(actions.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5].slice(0, actions.length));
    expect(actions.length).toBeLessThan(6);
    expect(actions.at(-1)?.action.kind).toBe('rdmsr');
    expect(retelling.breaker).toBe('policy');
    const { text, because } = retelling.ending();
    expect(text).toContain('v1');
    expect(because?.found).not.toBe('');
  });

  it('goes to the end where nothing breaks, and has no reason then', () => {
    const retelling = retold('parked', 'no-leak/vm', ...LEAK);
    expect(told(retelling).length).toBe(5);
    expect(retelling.breaker).toBe('nobody');
    expect(retelling.ending()).toEqual({ text: '', because: null });
  });

  it('tells who acts as things were before the action', () => {
    const [first, second] = told(retold('never', 'no-fault', 'v0: taskSwitch task=1', 'v0: halt'));
    expect(first.head).toMatch(/^v0 \(VM 0, task 0, p0\): /);
    expect(second.head).toMatch(/^v0 \(VM 0, task 1, p0\): /);
  });

  it('counts VM exits, and says what was not possible', () => {
    const [run, again, exit] = told(
      retold('never', 'no-fault', 'p0: run vcpu=1', 'p0: run vcpu=1', 'p0: exit'),
    );
    expect([run.possible, again.possible, exit.possible]).toEqual([true, false, true]);
    expect([run.exits, again.exits, exit.exits]).toEqual([1, 0, 1]);
    expect(again.lines).toEqual([]);
  });
});
