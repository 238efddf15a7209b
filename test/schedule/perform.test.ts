/** When an action is possible: generation, replay and shrinking all use one rule. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as perf from '../../src/guest/perf/perf_event.js';
import { MSR_CORE_PERF_GLOBAL_CTRL, MSR_LBR_TOS } from '../../src/hw/msr_index.js';
import { lazySound } from '../../src/host/policy/lazy_sound.js';
import { ACTION_NAMES, ACTIONS, KIND } from '../../src/schedule/table.js';
import type { ActionName } from '../../src/schedule/table.js';
import { GUEST_EVENTS } from '../../src/machine/config.js';
import { BRANCH_TYPES } from '../../src/schedule/actions/events.js';
import { Generator } from '../../src/schedule/generate.js';
import type { Machine } from '../../src/machine/machine.js';
import { canPerform, IS_VCPU, needsTree, perform } from '../../src/schedule/table.js';
import { canSwitchTo } from '../../src/schedule/guest.js';
import { bootedMachine, OF_TASK, PINNED } from '../rig/machine.js';
import { drawOf, SEED, seeded } from '../rig/seed.js';

const PART = { cpu: 'skylake', policy: lazySound };

/** Two VMs of two vCPUs: v0 on p0, v1 on p1, v2 on p2; v3 is off. Task i runs on CPU i. */
class Rig {
  readonly m: Machine = bootedMachine({ ...PART, vcpus: 2, tasks: 4, pcpus: 3 });

  readonly can = (kind: ActionName, actor: number, a = 0, b = 0): boolean =>
    canPerform(this.m, KIND[kind], actor, a, b);

  readonly act = (kind: ActionName, actor: number, a = 0, b = 0, c = 0): void => {
    expect(this.can(kind, actor, a, b)).toBe(true);
    perform(this.m, KIND[kind], actor, a, b, c);
  };

  /** Opens a call-stack event, which takes the first free slot. */
  open(vcpu: number, task: number, attr = 0): void {
    this.act('open', vcpu, task, attr, BRANCH_TYPES[0]);
  }
}

describe('IS_VCPU', () => {
  it('IS_VCPU always says whose action a kind is', () => {
    const ofPcpus = ACTION_NAMES.filter((_, kind) => IS_VCPU[kind] === 0);
    const ofHost = ['run', 'idle', 'exit', 'hostEvent', 'hostWork', 'cstate'];
    expect(ofPcpus).toEqual([
      ...ofHost,
      'arrive',
      'hostOverflow',
      'watchdog',
      'pt',
      'hostCounters',
      'interrupt',
      'freezeOnSmi',
    ]);
  });
});

describe('canPerform', () => {
  it('an actor that does not exist is never possible', () => {
    const { can } = new Rig();
    for (const name of ACTION_NAMES) {
      const n = ACTIONS[name].actor === 'vcpu' ? 4 : 3;
      const args: readonly [number, number] = name === 'run' ? [3, 0] : [1, 0];
      expect([can(name, -1, ...args), can(name, n, ...args)]).toEqual([false, false]);
    }
  });

  it('a vCPU that is off never acts, and one that is on is never migrated', () => {
    const { can } = new Rig();
    const guest = ['call', 'ret', 'enter', 'fork', 'rdmsr', 'wrmsr', 'halt'] as const;
    for (const name of [...guest, 'kexec'] as const) {
      expect([name, can(name, 2, 1), can(name, 3, 1)]).toEqual([name, true, false]);
    }
    expect([can('open', 2, -1), can('open', 3, -1)]).toEqual([true, false]);
    expect([can('liveMigrate', 2), can('liveMigrate', 3)]).toEqual([false, true]);
  });

  it('a branch action needs at least one branch, of a kind that exists', () => {
    const { can } = new Rig();
    for (const name of ['call', 'ret', 'jmp', 'jcc'] as const) {
      expect([name, can(name, 0, 0), can(name, 0, -1), can(name, 0, 1)]).toEqual([
        name,
        false,
        false,
        true,
      ]);
    }
    expect([0, 1, 2, 3, -1].map((b) => can('call', 0, 1, b))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
    expect([0, 1, 2, -1].map((b) => can('jmp', 0, 1, b))).toEqual([true, true, false, false]);
    expect([0, 1].map((n) => can('hostWork', 0, n))).toEqual([false, true]);
  });

  it('a vCPU may enter the kernel from user mode and leave it again', () => {
    const { can, act } = new Rig();
    expect([0, 1, 2, -1].map((kind) => can('enter', 0, kind))).toEqual([true, true, false, false]);
    expect(can('leave', 0)).toBe(false);
    act('enter', 0, 1);
    expect([can('enter', 0, 0), can('leave', 0)]).toEqual([false, true]);
    act('leave', 0);
    expect([can('enter', 0, 0), can('leave', 0)]).toEqual([true, false]);
  });

  it('a task switch takes a live task that runs nowhere; its kind tells where it last ran', () => {
    const { m, can, act } = new Rig();
    const tasks = [-1, 0, 1, 2, 3, 4, 99];
    // Tasks 2 and 3 have not run yet, so they count as CPU 0's.
    expect(tasks.filter((t) => can('taskSwitch', 0, t))).toEqual([2, 3]);
    expect(tasks.filter((t) => can('migrateTask', 0, t))).toEqual([]);
    expect(tasks.filter((t) => can('taskSwitch', 1, t))).toEqual([]);
    expect(tasks.filter((t) => can('migrateTask', 1, t))).toEqual([2, 3]);
    act('migrateTask', 1, 2);
    expect(tasks.filter((t) => can('taskSwitch', 1, t))).toEqual([1]);
    expect(tasks.filter((t) => can('migrateTask', 1, t))).toEqual([3]);
    expect(tasks.filter((t) => can('migrateTask', 0, t))).toEqual([1]);
    expect(tasks.filter((t) => canSwitchTo(m, 0, t))).toEqual([1, 3]);
  });

  it('a fork needs a free task, and an event for each that is inherited', () => {
    const { can, act } = new Rig();
    for (let i = 0; i < 4; i++) act('fork', 0);
    expect([can('fork', 0), can('fork', 2)]).toEqual([false, true]);
    const rig = new Rig();
    for (let i = 0; i < GUEST_EVENTS / 2; i++) rig.open(0, 0, perf.ATTR_INHERIT);
    expect(rig.can('fork', 0)).toBe(true);
    rig.open(0, 0);
    expect(rig.can('fork', 0)).toBe(false);
    rig.act('close', 0, GUEST_EVENTS / 2);
    rig.act('fork', 0);
    expect([rig.can('fork', 0), rig.can('fork', 1)]).toEqual([false, true]);
  });

  it('an event opens on a CPU, on the task that runs, or on one that runs nowhere', () => {
    const rig = new Rig();
    expect([-1, 0, 1, 2, 3, 4].map((task) => rig.can('open', 0, task))).toEqual([
      true,
      true,
      false,
      true,
      true,
      false,
    ]);
    for (let i = 0; i < GUEST_EVENTS; i++) rig.open(0, -1);
    expect([rig.can('open', 0, 0), rig.can('open', 1, -1), rig.can('open', 2, 0)]).toEqual([
      false,
      false,
      true,
    ]);
  });

  it('an event that is off can be enabled, one that is on disabled, and both closed', () => {
    const rig = new Rig();
    const now = (): boolean[] => [
      rig.can('enable', 0, 0),
      rig.can('disable', 0, 0),
      rig.can('close', 0, 0),
    ];
    expect(now()).toEqual([false, false, false]);
    rig.open(0, 0);
    expect(now()).toEqual([false, true, true]);
    rig.act('disable', 0, 0);
    expect(now()).toEqual([true, false, true]);
    rig.act('enable', 0, 0);
    expect(now()).toEqual([false, true, true]);
    rig.act('close', 0, 0);
    expect(now()).toEqual([false, false, false]);
    expect([rig.can('close', 0, -1), rig.can('close', 0, 99)]).toEqual([false, false]);
  });

  it('an event of another CPU, or of a task that runs there, is never in reach', () => {
    const rig = new Rig();
    rig.open(1, -1);
    rig.open(1, 1);
    rig.open(0, 2);
    const reach = (v: number): boolean[] => [0, 1, 2].map((e) => rig.can('close', v, e));
    expect([reach(0), reach(1)]).toEqual([
      [false, false, true],
      [true, true, true],
    ]);
    rig.act('migrateTask', 1, 3);
    expect(reach(0)).toEqual([false, true, true]);
    expect(rig.can('close', 2, 0)).toBe(false);
  });

  it('a family never changes by a child, nor while a child is out of reach', () => {
    const rig = new Rig();
    rig.open(0, 0, perf.ATTR_INHERIT);
    rig.act('fork', 0);
    expect([rig.can('disable', 0, 0), rig.can('disable', 0, 1)]).toEqual([true, false]);
    rig.act('migrateTask', 1, 4);
    for (const kind of ['disable', 'close'] as const) {
      expect([rig.can(kind, 0, 0), rig.can(kind, 1, 1)]).toEqual([false, false]);
    }
  });

  it('a counter overflows only while it counts, and while no NMI is under way', () => {
    const rig = new Rig();
    expect(rig.can('pmi', 0, 0)).toBe(false);
    rig.open(0, 0);
    rig.open(0, 2);
    expect([0, 1, 2, 99].map((e) => rig.can('pmi', 0, e))).toEqual([true, false, false, false]);
    expect(rig.can('pmi', 1, 0)).toBe(false);
    rig.act('wrmsr', 0, MSR_CORE_PERF_GLOBAL_CTRL, 0, 0);
    expect(rig.can('pmi', 0, 0)).toBe(false);
    rig.act('wrmsr', 0, MSR_CORE_PERF_GLOBAL_CTRL, 1, 0);
    rig.act('pmi', 0, 0, 2);
    expect(rig.can('pmi', 0, 0)).toBe(false);
    rig.act('rdmsr', 0, MSR_LBR_TOS);
    rig.act('rdmsr', 0, MSR_LBR_TOS);
    expect(rig.can('pmi', 0, 0)).toBe(true);
    rig.act('disable', 0, 0);
    expect(rig.can('pmi', 0, 0)).toBe(false);
    rig.act('enable', 0, 0);
    rig.act('taskSwitch', 0, 3);
    expect(rig.can('pmi', 0, 0)).toBe(false);
  });

  it('a suspended vCPU can do nothing but resume, once it runs', () => {
    const rig = new Rig();
    rig.open(0, 0);
    expect(rig.can('resume', 0)).toBe(false);
    rig.act('run', 0, 3, 2);
    rig.act('taskSwitch', 0, 2);
    expect([rig.m.ports[0].suspended !== 0, rig.can('resume', 0)]).toEqual([true, false]);
    expect(rig.can('liveMigrate', 0)).toBe(true);
    rig.act('idle', 0);
    rig.act('run', 0, 0);
    for (const kind of ['call', 'fork', 'halt', 'kexec', 'boot'] as const) {
      expect([kind, rig.can(kind, 0, 1)]).toEqual([kind, false]);
    }
    // A kexec may not stop a CPU inside a kernel function of its VM. Another VM's kexec is free.
    expect([rig.can('kexec', 1), rig.can('kexec', 2)]).toEqual([false, true]);
    rig.act('resume', 0);
    expect([rig.can('resume', 0), rig.can('call', 0, 1), rig.can('kexec', 1)]).toEqual([
      false,
      true,
      true,
    ]);
  });

  it('a task that a suspended function holds is never taken, in its own VM', () => {
    const rig = new Rig();
    rig.open(0, 0);
    rig.act('idle', 0, 3);
    rig.act('taskSwitch', 0, 2);
    expect([0, 1, 2, 3].map((v) => rig.m.lockedTasks(v))).toEqual([0b101, 0b101, 0, 0]);
    expect([0, 2, 3].map((t) => rig.can('migrateTask', 1, t))).toEqual([false, false, true]);
    expect([0, 2, 3].map((t) => rig.can('open', 1, t))).toEqual([false, false, true]);
    expect([rig.can('close', 1, 0), rig.can('disable', 1, 0)]).toEqual([false, false]);
    rig.act('run', 0, 0);
    rig.act('resume', 0);
    expect([rig.m.lockedTasks(0), rig.can('migrateTask', 1, 0)]).toEqual([0, true]);
  });

  it('the event of a task that has gone is closed once no function is suspended', () => {
    const rig = new Rig();
    rig.open(0, 0);
    rig.act('taskExit', 0, 2);
    expect([rig.m.guests[0].events[0].state, rig.can('close', 1, 0)]).toEqual([
      perf.PERF_EVENT_STATE_EXIT,
      true,
    ]);
    rig.open(0, 2);
    rig.act('idle', 0, 3);
    rig.act('taskSwitch', 0, 3);
    expect([rig.m.ports[0].suspended !== 0, rig.can('close', 1, 0)]).toEqual([true, false]);
    rig.act('run', 0, 0);
    rig.act('resume', 0);
    expect(rig.can('close', 1, 0)).toBe(true);
  });

  it('after a kexec the other CPUs of a VM start before they do anything', () => {
    const rig = new Rig();
    expect(rig.can('boot', 1)).toBe(false);
    rig.act('kexec', 0);
    expect([0, 1, 2].map((v) => rig.can('boot', v))).toEqual([false, true, false]);
    expect([0, 1, 2].map((v) => rig.can('call', v, 1))).toEqual([true, false, true]);
    rig.act('idle', 1);
    expect(rig.can('boot', 1)).toBe(false);
    rig.act('run', 1, 1);
    rig.act('boot', 1);
    expect([rig.can('boot', 1), rig.can('call', 1, 1)]).toEqual([false, true]);
  });

  it('a vCPU that is off can run, and later only if something runs and nothing is armed', () => {
    const { can, act } = new Rig();
    expect([-1, 0, 1, 3, 4].map((v) => can('run', 0, v))).toEqual([
      false,
      false,
      false,
      true,
      false,
    ]);
    expect([can('run', 0, 3, 5), can('idle', 0, 5), can('idle', 0)]).toEqual([true, true, true]);
    act('run', 0, 3, 5);
    expect([can('run', 0, 3, 5), can('idle', 0, 5)]).toEqual([false, false]);
    expect([can('run', 0, 3), can('idle', 0), can('run', 1, 3, 5)]).toEqual([true, true, true]);
    act('idle', 0);
    expect([can('run', 0, 3, 1), can('run', 0, 3), can('idle', 0), can('exit', 0)]).toEqual([
      false,
      true,
      false,
      false,
    ]);
    expect([can('exit', 1), can('cstate', 0), can('cstate', 1)]).toEqual([true, true, false]);
  });

  it('a host event can go on when it is off, off when on, and close when it is there', () => {
    const { can, act } = new Rig();
    for (const which of [PINNED, OF_TASK, 2]) {
      const now = (): boolean[] => [0, 1, 2].map((op) => can('hostEvent', 0, which, op));
      expect(now()).toEqual([true, false, false]);
      act('hostEvent', 0, which, 0);
      expect(now()).toEqual([false, true, true]);
      expect(can('hostEvent', 1, which, 1)).toBe(false);
      act('hostEvent', 0, which, 1);
      expect(now()).toEqual([true, false, true]);
      act('hostEvent', 0, which, 0);
      act('hostEvent', 0, which, 2);
      expect(now()).toEqual([true, false, false]);
    }
    act('idle', 0);
    expect(can('hostEvent', 0, OF_TASK, 0)).toBe(false);
    expect(can('hostEvent', 0, PINNED, 0)).toBe(true);
    expect([can('hostEvent', 0, -1, 0), can('hostEvent', 0, 3, 0)]).toEqual([false, false]);
    act('hostEvent', 0, PINNED, 0);
    const op = (n: number): boolean => can('hostEvent', 0, PINNED, n);
    expect([op(-1), op(2), op(3)]).toEqual([false, true, false]);
  });
});

const SHAPES = [
  { vms: 2, vcpus: 1, tasks: 2, pcpus: 1, cpu: 'skylake' },
  { vms: 1, vcpus: 2, tasks: 3, pcpus: 1, cpu: 'haswell' },
  { vms: 2, vcpus: 2, tasks: 3, pcpus: 3, cpu: 'goldmont' },
  { vms: 3, vcpus: 1, tasks: 1, pcpus: 2, cpu: 'core2' },
];

function same(a: Int32Array, b: Int32Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return a.length === b.length;
}

describe('every action that is drawn', () => {
  it.each(SHAPES)('a drawn action is always possible, and never fails, on $cpu', (shape) => {
    const m = bootedMachine({ ...PART, ...shape });
    const generator = new Generator(m);
    fc.assert(
      fc.property(fc.noBias(fc.infiniteStream(fc.nat(0xffff))), (stream) => {
        m.boot();
        generator.begin({ below: (n) => (stream.next().value ?? 0) % n }, true);
        for (let i = 0; i < 150; i++) {
          generator.next();
          const { kind, actor, a, b, c } = generator;
          const before = m.memory.words.slice();
          expect(canPerform(m, kind, actor, a, b)).toBe(true);
          // canPerform never changes the machine.
          for (let k = 0; k < ACTION_NAMES.length; k++) {
            canPerform(m, k, 0, a, b);
          }
          expect(same(m.memory.words, before)).toBe(true);
          perform(m, kind, actor, a, b, c);
        }
      }),
      seeded(8),
    );
  });

  it('a drawn action is of a kind that some state makes possible, and every kind is drawn', () => {
    const m = bootedMachine({ ...PART, vcpus: 2, tasks: 3, pcpus: 2 });
    const generator = new Generator(m);
    const drawn = new Float64Array(ACTION_NAMES.length);
    const draw = drawOf(SEED);
    for (let run = 0; run < 40; run++) {
      m.boot();
      generator.begin(draw, true);
      for (let i = 0; i < 200; i++) {
        generator.next();
        const { kind, actor, a, b, c } = generator;
        drawn[kind]++;
        perform(m, kind, actor, a, b, c);
      }
    }
    const never = ACTION_NAMES.filter((_, kind) => drawn[kind] === 0);
    // The port can't do these.
    expect(never).toEqual(ACTION_NAMES.filter((name) => needsTree(ACTIONS[name])));
  });

  it('a drawn action is always of a kind that exists', () => {
    const { m } = new Rig();
    expect(() => perform(m, ACTION_NAMES.length, 0, 0, 0, 0)).toThrow(
      'a schedule holds known actions',
    );
  });
});
