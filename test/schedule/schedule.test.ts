/** Schedules as data: actions, the list that holds them, and machine configurations. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ModelInvariantError } from '../../src/hw/assert.js';
import { type Action, ACTION_NAMES, ACTIONS, KIND, KINDS } from '../../src/schedule/table.js';
import { actionText } from '../../src/schedule/action_text.js';
import { type Shape, shapeProblem, taskSlots, totalVcpus } from '../../src/machine/config.js';
import { ACTION_WORDS, Schedule, step } from '../../src/schedule/schedule.js';
import { anyAction } from '../rig/actions.js';
import { bootedMachine, machineConfig } from '../rig/machine.js';
import { Recorder } from '../rig/observer.js';
import { seeded } from '../rig/seed.js';

/** The lists are long, so the array behind a schedule grows more than once. */
const actions = fc.array(anyAction(7), { maxLength: 300, size: 'max' });

describe('the table of actions', () => {
  it('the table numbers the names of actions in their order', () => {
    ACTION_NAMES.forEach((name, i) => {
      expect(KIND[name]).toBe(i);
      expect(ACTIONS[name].params.length).toBeLessThanOrEqual(3);
      expect(ACTIONS[name].weight).toBeGreaterThan(0);
      expect(ACTIONS[name].code).toBeGreaterThanOrEqual(0);
    });
    expect(Object.keys(ACTIONS)).toEqual([...ACTION_NAMES]);
    expect(new Set(KINDS.map(({ code }) => code)).size).toBe(KINDS.length);
  });

  it('actionText always lets an action be read', () => {
    const text = (kind: Action['kind'], actor: number, ...args: number[]): string =>
      actionText({ kind, actor, args });
    expect(text('call', 1, 3, 0)).toBe('v1: call n=3');
    expect(text('run', 0, 2, 7)).toBe('p0: run vcpu=2 after=7');
    expect(text('open', 0, -1, 4, 8)).toBe('v0: open task=-1 attr=disabled type=ANY');
    expect(text('wrmsr', 3, 0x100, -1, 16)).toBe('v3: wrmsr msr=0x100 eax=0xffffffff edx=0x10');
    expect(text('leave', 2)).toBe('v2: leave');
  });
});

describe('Schedule', () => {
  it('a schedule always gives back the actions that it was made of', () => {
    fc.assert(
      fc.property(actions, (list) => {
        const schedule = Schedule.of(list);
        expect(schedule.length).toBe(list.length);
        expect(schedule.actions()).toEqual(list);
        expect(schedule.copy().actions()).toEqual(list);
        list.forEach((each, i) => expect(schedule.action(i)).toEqual(each));
      }),
      seeded(50),
    );
  });

  it('append always adds the part that was asked for to what was there', () => {
    fc.assert(
      fc.property(actions, actions, fc.nat(300), fc.nat(300), (a, b, x, y) => {
        const [from, to] = [Math.min(x, y, b.length), Math.min(Math.max(x, y), b.length)];
        const schedule = Schedule.of(a);
        const other = Schedule.of(b);
        schedule.append(other, from, to);
        expect(schedule.actions()).toEqual([...a, ...b.slice(from, to)]);
        expect(other.actions()).toEqual(b);
      }),
      seeded(50),
    );
  });

  it('a copy never shares words with its schedule, nor remembers what was cleared', () => {
    const schedule = Schedule.of([{ kind: 'ret', actor: 0, args: [1] }]);
    const copy = schedule.copy();
    copy.words[2] = 9;
    copy.push(KIND.leave, 0, 0, 0, 0);
    expect(schedule.actions()).toEqual([{ kind: 'ret', actor: 0, args: [1] }]);
    schedule.clear();
    expect([schedule.length, schedule.actions(), copy.length]).toEqual([0, [], 2]);
    schedule.push(KIND.exit, 1, 0, 0, 0);
    expect(schedule.actions()).toEqual([{ kind: 'exit', actor: 1, args: [] }]);
  });

  it('missing parameters are always filled with 0', () => {
    const schedule = Schedule.of([{ kind: 'wrmsr', actor: 5, args: [] }]);
    expect(Array.from(schedule.words.subarray(0, ACTION_WORDS))).toEqual([KIND.wrmsr, 5, 0, 0, 0]);
  });

  it('an action that does not exist is always refused', () => {
    const schedule = new Schedule();
    schedule.push(ACTION_NAMES.length, 0, 0, 0, 0);
    expect(() => schedule.action(0)).toThrow(ModelInvariantError);
  });
});

const CONFIG = machineConfig({ cpu: 'skylake', tasks: 2 });

describe('step', () => {
  it('step performs with every parameter, and never what is not possible', () => {
    const recorder = new Recorder();
    const machine = bootedMachine(CONFIG, recorder.observer);
    const msr = CONFIG.model.lbr_info + 1;
    const schedule = Schedule.of([
      { kind: 'leave', actor: 0, args: [] },
      { kind: 'wrmsr', actor: 0, args: [msr, 5, 6] },
      { kind: 'wrmsr', actor: 1, args: [msr, 7, 8] },
    ]);
    const before = machine.memory.words.slice();
    expect(step(machine, schedule, 0)).toBe(false);
    expect(machine.memory.words.every((w, at) => w === before[at])).toBe(true);
    expect([step(machine, schedule, 1), step(machine, schedule, 2)]).toEqual([true, false]);
    expect(recorder.said('guestWrite')).toEqual([`guestWrite 0 ${msr} 5 6`]);
  });
});

describe('shapeProblem', () => {
  const problem = (part: Partial<Shape>): string | null =>
    shapeProblem({ ...CONFIG.shape, tasks: 8, ...part });

  it('shapeProblem accepts the ends of each range, and names what lies beyond', () => {
    expect(problem({ vms: 1 })).toBe(null);
    expect(problem({ vms: 6 })).toBe(null);
    expect(problem({ vms: 0 })).toBe('--vms must be between 1 and 6, not 0');
    expect(problem({ vms: 7 })).toBe('--vms must be between 1 and 6, not 7');
    expect(problem({ vcpus: 1 })).toBe(null);
    expect(problem({ vcpus: 8 })).toBe(null);
    expect(problem({ vcpus: 0 })).toContain('--vcpus');
    expect(problem({ vcpus: 9, tasks: 9 })).toBe('--vcpus must be between 1 and 8, not 9');
    expect(problem({ vcpus: 3, tasks: 3 })).toBe(null);
    expect(problem({ tasks: 16 })).toBe(null);
    expect(problem({ vcpus: 3, tasks: 2 })).toContain('vCPUs of a VM (3) and 16, not 2');
    expect(problem({ tasks: 17 })).toContain('--tasks');
    expect(problem({ pcpus: 1 })).toBe(null);
    expect(problem({ pcpus: 8 })).toBe(null);
    expect(problem({ pcpus: 0 })).toBe('--pcpus must be between 1 and 8, not 0');
    expect(problem({ pcpus: 9 })).toBe('--pcpus must be between 1 and 8, not 9');
  });

  it('taskSlots leave a task room to fork, and every task and CPU a context of its own', () => {
    expect(taskSlots(machineConfig({ tasks: 3 }))).toBe(6);
    expect(taskSlots(machineConfig({ tasks: 16, vcpus: 2 }))).toBe(29);
    expect(taskSlots(machineConfig({ tasks: 16, vcpus: 8 }))).toBe(23);
    expect(totalVcpus(machineConfig({ vms: 3, vcpus: 4 }))).toBe(12);
  });

  it('the largest machine that is accepted can boot', () => {
    const machine = bootedMachine({ ...CONFIG, vms: 6, vcpus: 8, tasks: 16, pcpus: 8 });
    expect(machine.vcpus.map(({ pcpu }) => pcpu).slice(0, 10)).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, -1, -1,
    ]);
  });
});
