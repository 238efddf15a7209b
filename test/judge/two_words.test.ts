/** A register is two words. No check may take a register for empty because its low word is 0. */
import { describe, expect, it } from 'vitest';
import type { Observer } from '../../src/host/observer.js';
import { addressHigh, BRANCH_REL_CALL } from '../../src/hw/branch.js';
import { MSR_LBR_NHM_FROM as FROM } from '../../src/hw/msr_index.js';
import { Monitor } from '../../src/judge/monitor.js';
import { Reference } from '../../src/judge/reference.js';
import { PROPERTY, REACH } from '../../src/judge/properties.js';
import { Verdicts } from '../../src/judge/verdicts.js';
import { Machine } from '../../src/machine/machine.js';
import { BRANCH_TYPES } from '../../src/schedule/actions/events.js';
import { configOf } from '../rig/states.js';
import { policyOf } from '../rig/machine.js';

const CONFIG = configOf(policyOf('never'), [2, 1, 2, 1], 'skylake/4');

/** High word of the address of a call by task 0 of a VM. */
const callOf = (vm: number): number => addressHigh(false, BRANCH_REL_CALL, vm, 0, 0);

/** A reference machine; the test tells it by hand what the guests did. */
function told(): { readonly reference: Reference; readonly verdicts: Verdicts } {
  const deaf = new Proxy({} as Observer, { get: () => (): void => {} });
  const machine = new Machine(CONFIG, deaf);
  machine.boot();
  const verdicts = new Verdicts();
  const reference = new Reference(CONFIG, () => machine, verdicts);
  reference.start();
  return { reference, verdicts };
}

describe('a record whose low word is 0', () => {
  it('a record whose low word is 0 is a leak when another VM reads it', () => {
    const { reference, verdicts } = told();
    reference.read(0, FROM, 0, callOf(1));
    expect(verdicts.broken[PROPERTY['no-leak/vm']]).toBe(1);
  });

  it('a record whose low word is 0 can be lost by a policy that dropped it too early', () => {
    const { reference, verdicts } = told();
    reference.write(0, FROM, 0, callOf(0));
    expect(reference.drop(0)).toBe(true);
    reference.read(0, FROM, 0, 0);
    expect(verdicts.broken[PROPERTY['no-premature-stop']]).toBe(1);
  });

  it('a record whose low word is 0 counts as read, and shows that nothing was dropped', () => {
    const { reference, verdicts } = told();
    reference.write(0, FROM, 0, callOf(0));
    reference.noteHolder(1);
    expect(reference.drop(0)).toBe(true);
    reference.read(0, FROM, 0, callOf(0));
    // The earlier drop is forgotten, so the stack can be dropped once more.
    expect([verdicts.reach[REACH['read-after-other']], reference.drop(0)]).toEqual([1, true]);
  });

  it('a record whose low word is 0 never ends the call stack that a sample must hold', () => {
    const monitor = new Monitor(CONFIG);
    const machine = new Machine(CONFIG, monitor);
    monitor.start(machine);
    machine.boot();
    expect(machine.open(0, 0, 0, BRANCH_TYPES[0])).toBe(0);
    machine.branches(0, BRANCH_REL_CALL, 3);
    for (const stack of [machine.pcpus[0].stack, monitor.reference.of(0).stack]) {
      stack.write(FROM + stack.tos - 1, 0, callOf(0));
    }
    machine.pmi(0, 0, 0);
    const { broken, own, reach } = monitor.verdicts;
    const p = PROPERTY['sample-true'];
    expect([broken[p], own[p], reach[REACH['sample-judged']]]).toEqual([0, 0, 1]);
  });
});
