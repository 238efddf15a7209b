/** A record that leaked to another VM is never mistaken for a later record. */
import { describe, expect, it } from 'vitest';
import { MachineModel } from '../../src/states/machine_model.js';
import { actionText } from '../../src/schedule/action_text.js';
import { Schedule } from '../../src/schedule/schedule.js';
import { Bench } from '../../src/campaign/trial.js';
import { PROPERTY } from '../../src/judge/properties.js';
import { machineConfig } from '../rig/machine.js';

/** v1 saves a record of v0, v0 records another branch there, v1 restores the old record. */
const SCHEDULE = [
  'v0: open task=0 type=CALL_STACK|USER',
  'p0: run vcpu=1',
  'v1: open task=0 type=CALL_STACK|USER',
  'p0: run vcpu=0',
  'v0: call',
  'p0: run vcpu=1',
  'v1: taskSwitch task=1',
  'p0: run vcpu=0',
  'v0: ret',
  'v0: call',
  'p0: run vcpu=1',
  'v1: taskSwitch task=0',
  'p0: run vcpu=0',
  'v0: pmi event=0',
];

const CONFIG = machineConfig({ cpu: 'haswell/2', tasks: 2, kernel: '4.18' });

describe('a leaked record', () => {
  it('a leaked record always keeps the number that it had when it was taken', () => {
    const groups = ['calls', 'tasks', 'events', 'pmi'] as const;
    const bounds = { groups, events: 1, calls: 2, suspended: 0 };
    const model = new MachineModel(CONFIG, bounds);
    const bench = new Bench(CONFIG);
    bench.boot();
    const state = new Int32Array(model.stateWords);
    const out = new Int32Array(model.actionsMax);
    model.init(state);
    for (const text of SCHEDULE) {
      const n = model.actions(state, out);
      const action = out
        .subarray(0, n)
        .find((one) => model.actionsOf(state, one).map(actionText).join() === text);
      if (action === undefined) throw new Error(`${text} is not possible`);
      bench.monitor.verdicts.clear();
      bench.step(Schedule.of(model.actionsOf(state, action)), 0);
      model.apply(state, action);
    }
    expect(bench.monitor.verdicts.broken[PROPERTY['no-loss/callstack']]).toBe(1);
    const broken = model.invariants.filter((claim) => !claim.holds(state)).map(({ name }) => name);
    expect(broken).toContain('no-loss/callstack');
    expect(broken).toContain('sample-true');
  });
});
