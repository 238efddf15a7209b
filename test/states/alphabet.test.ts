/** The actions that an exploration tries, in words, and the number of states of small machines. */
import { describe, expect, it } from 'vitest';
import { type Group, GROUP_NAMES } from '../../src/schedule/explored.js';
import { DEFAULT_GROUPS } from '../../src/states/alphabet.js';
import { MachineModel } from '../../src/states/machine_model.js';
import { Search } from '../../src/search/search.js';
import * as msrs from '../../src/hw/msr_index.js';
import { hex } from '../../src/hw/u64.js';
import { actionText } from '../../src/schedule/action_text.js';
import type { Shape } from '../../src/machine/config.js';
import { machineConfig, policyOf } from '../rig/machine.js';

const TWO_VMS: Shape = { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 };

function modelOf(
  policyName: string,
  shape: Shape,
  groups: readonly Group[],
  cpu = 'haswell',
): MachineModel {
  const config = machineConfig({ shape, cpu: `${cpu}/2`, policy: policyOf(policyName) });
  return new MachineModel(config, { groups, events: 1, calls: 2, suspended: 0 });
}

/** A model; the test walks through its states by hand. */
class Walk {
  private readonly model: MachineModel;
  private readonly state: Int32Array;
  private readonly out: Int32Array;

  constructor(groups: readonly Group[], cpu = 'haswell') {
    this.model = modelOf('lazy-sound', TWO_VMS, groups, cpu);
    this.state = new Int32Array(this.model.stateWords);
    this.out = new Int32Array(this.model.actionsMax);
    this.model.init(this.state);
  }

  get offers(): string[] {
    const n = this.model.actions(this.state, this.out);
    return Array.from(this.out.subarray(0, n), (action) =>
      this.model.actionsOf(this.state, action).map(actionText).join(' & '),
    );
  }

  take(text: string): this {
    const at = this.offers.indexOf(text);
    expect(this.offers).toContain(text);
    this.model.apply(this.state, this.out[at]);
    return this;
  }
}

const OPEN = 'v0: open task=0 type=CALL_STACK|USER';
const [FROM, TOS] = [msrs.MSR_LBR_NHM_FROM, msrs.MSR_LBR_TOS].map(hex);
const [DEBUGCTL, SELECT] = [msrs.MSR_IA32_DEBUGCTLMSR, msrs.MSR_LBR_SELECT].map(hex);

describe('the alphabet', () => {
  it('without groups the alphabet has nothing but a switch', () => {
    expect(new Walk([]).offers).toEqual(['p0: run vcpu=1']);
  });

  it('the default groups have these actions, and interruptions', () => {
    const walk = new Walk(DEFAULT_GROUPS);
    const open = [OPEN, 'v0: open task=1 type=CALL_STACK|USER'];
    const first = ['p0: run vcpu=1', 'v0: taskSwitch task=1', ...open];
    expect(walk.offers).toEqual(first);
    const calls = ['v0: call', 'v0: ret'];
    const more = ['v0: taskSwitch task=1', 'v0: close event=0', 'v0: pmi event=0'];
    expect(walk.take(OPEN).offers).toEqual([first[0], ...calls, ...more]);
    // The bound allows two calls.
    walk.take(calls[0]).take(calls[0]);
    expect(walk.offers).toEqual([first[0], calls[1], ...more]);
    // No record is kept for the other task, and the bound allows one event.
    walk.take('v0: taskSwitch task=1').take('v0: taskSwitch task=0');
    walk.take('v0: close event=0');
    expect(walk.offers).toEqual([first[0], 'v0: taskSwitch task=1']);
  });

  const added: readonly (readonly [Group, readonly string[]])[] = [
    ['idle', ['p0: idle']],
    ['exit', ['p0: exit']],
    ['fork', ['v0: fork']],
    ['kexec', ['v0: kexec']],
    ['migrate', ['v1: liveMigrate']],
    ['cpu', ['v0: open task=-1 type=CALL_STACK|USER']],
    ['ring', ['v0: open task=0 type=ANY|USER', 'v0: open task=1 type=ANY|USER']],
    [
      'host',
      [
        ...['pinned', 'thread', 'flexible'].map((i) => `p0: hostEvent which=${i} op=on`),
        'p0: hostWork',
      ],
    ],
    [
      'raw',
      [
        `v0: rdmsr msr=${TOS}`,
        `v0: rdmsr msr=${FROM}`,
        `v0: rdmsr msr=${hex(msrs.MSR_LBR_NHM_FROM + 1)}`,
        `v0: wrmsr msr=${FROM} eax=0x1000 edx=0x7800`,
        `v0: wrmsr msr=${FROM} edx=0xff0000`,
        `v0: wrmsr msr=${DEBUGCTL} eax=0x1`,
        `v0: wrmsr msr=${DEBUGCTL}`,
        `v0: wrmsr msr=${SELECT} eax=0x1`,
      ],
    ],
  ];
  it.each(added)('the group %s adds to a first state what it says', (group, offers) => {
    expect(new Walk([group]).offers).toEqual(expect.arrayContaining(['p0: run vcpu=1', ...offers]));
    expect(new Walk([group]).offers.length).toBe(1 + offers.length);
  });

  it('an event brings ioctls, NMIs and runs of calls, each by its group', () => {
    const offers = (group: Group): string[] => {
      const before = new Walk(['events']).take(OPEN).offers;
      const walk = new Walk(['events', 'calls', group]).take(OPEN);
      return walk.offers.filter((text) => !before.includes(text));
    };
    const calls = ['v0: call', 'v0: ret'];
    expect(offers('ioctl')).toEqual([...calls, 'v0: disable event=0']);
    const nmis = Array.from({ length: 36 }, (_, i) => `v0: pmi event=0 after=${i + 1}`);
    expect(offers('nmi')).toEqual([...calls, ...nmis]);
    expect(offers('runs')).toEqual([
      ...['', ' n=2'].map((n) => `v0: call${n}`),
      ...['', ' n=2', ' n=3'].map((n) => `v0: ret${n}`),
    ]);
  });

  it('a disabled event can be enabled, a deep sleep can end, and a kexec leads to a start', () => {
    const off = new Walk(['events', 'ioctl']).take(OPEN).take('v0: disable event=0');
    expect(off.offers).toContain('v0: enable event=0');
    const idle = new Walk(['idle']).take('p0: idle');
    expect(idle.offers).toEqual(['p0: run vcpu=0', 'p0: run vcpu=1', 'p0: cstate']);
    expect(idle.take('p0: cstate').offers).toEqual(idle.offers);
  });

  it('INFO is read where it exists, and a ring is opened where there is no call stack', () => {
    expect(new Walk(['raw'], 'skylake').offers).toContain(
      `v0: rdmsr msr=${hex(msrs.MSR_LBR_INFO_0)}`,
    );
    expect(new Walk(['events'], 'nehalem').offers).toEqual([
      'p0: run vcpu=1',
      'v0: open task=0 type=ANY|USER',
      'v0: open task=1 type=ANY|USER',
    ]);
    expect(new Walk(['cpu'], 'nehalem').offers).toEqual(['p0: run vcpu=1']);
  });

  it('events are inherited where there are forks', () => {
    expect(new Walk(['events', 'fork']).offers).toContain(
      'v0: open task=0 attr=inherited type=CALL_STACK|USER',
    );
  });

  it('the table of groups is without repeats', () => {
    expect(new Set(GROUP_NAMES).size).toBe(GROUP_NAMES.length);
  });
});

describe('states up to a length', () => {
  const host = ['calls', 'events', 'exit', 'host'] as const;
  const pinned: readonly (readonly [string, Shape, readonly Group[], number, number, number])[] = [
    ['lazy-sound', { vms: 1, vcpus: 1, tasks: 1, pcpus: 1 }, host, 6, 6679, 17815],
    ['merged', { vms: 1, vcpus: 1, tasks: 1, pcpus: 1 }, host, 6, 9117, 23840],
    ['parked', { vms: 2, vcpus: 1, tasks: 1, pcpus: 1 }, [...host, 'idle'], 5, 5294, 10678],
  ];
  it.each(pinned)(
    'the number of states up to a length is pinned under %s',
    (policy, shape, groups, length, states, edges) => {
      const search = new Search(modelOf(policy, shape, groups), {
        maxLength: length,
        symmetry: true,
      });
      expect(search.run()).toMatchObject({ end: 'bound', states, transitions: edges });
    },
  );
});
