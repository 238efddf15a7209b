/** Actions of a guest's users of perf, and the overflow of a counter. */
import * as perf from '../../guest/perf/perf_event.js';
import { CALLSTACK_USER, cgroupAsked, CGROUPS } from '../../guest/perf/perf_event.js';
import { hasRoom } from '../../guest/perf/task_data.js';
import { accessesMost } from '../../machine/guest_call.js';
import type { Machine } from '../../machine/machine.js';
import type { ActionKind } from '../action.js';
import type { Drawing } from '../drawing.js';
import type { Explored, Exploring, Try } from '../explored.js';
import { canSwitchTo, familyReachable, freeEvents, hasFamily, runsImage } from '../guest.js';
import {
  after,
  type BitNames,
  DECIMAL,
  event,
  flags,
  type Param,
  task,
  TASK_LIKING,
} from '../param.js';

type EventAction = 'open' | 'enable' | 'disable' | 'close' | 'pmi';

const U = perf.PERF_SAMPLE_BRANCH_USER;
const K = perf.PERF_SAMPLE_BRANCH_KERNEL;

/** branch_sample_type values that perf users ask for; the first is drawn most often. */
export const BRANCH_TYPES: readonly number[] = [
  CALLSTACK_USER,
  perf.PERF_SAMPLE_BRANCH_ANY | U,
  perf.PERF_SAMPLE_BRANCH_ANY | U | K,
  perf.PERF_SAMPLE_BRANCH_CALL_STACK | U | K,
  perf.PERF_SAMPLE_BRANCH_ANY_CALL | U,
  perf.PERF_SAMPLE_BRANCH_ANY_RETURN | K,
  perf.PERF_SAMPLE_BRANCH_COND | U | perf.PERF_SAMPLE_BRANCH_TYPE_SAVE,
  perf.PERF_SAMPLE_BRANCH_IND_CALL | perf.PERF_SAMPLE_BRANCH_IND_JUMP | U,
  perf.PERF_SAMPLE_BRANCH_CALL | U | perf.PERF_SAMPLE_BRANCH_IN_TX,
  perf.PERF_SAMPLE_BRANCH_ANY |
    U |
    perf.PERF_SAMPLE_BRANCH_NO_FLAGS |
    perf.PERF_SAMPLE_BRANCH_NO_CYCLES,
  perf.PERF_SAMPLE_BRANCH_ANY | U | perf.PERF_SAMPLE_BRANCH_NO_CYCLES,
  perf.PERF_SAMPLE_BRANCH_ANY | U | perf.PERF_SAMPLE_BRANCH_NO_FLAGS,
  perf.PERF_SAMPLE_BRANCH_ANY_RETURN | U | K,
  perf.PERF_SAMPLE_BRANCH_ANY | U | K | perf.PERF_SAMPLE_BRANCH_TYPE_SAVE,
  // What `perf record --call-graph lbr` asks for since 5.7.
  CALLSTACK_USER |
    perf.PERF_SAMPLE_BRANCH_NO_FLAGS |
    perf.PERF_SAMPLE_BRANCH_NO_CYCLES |
    perf.PERF_SAMPLE_BRANCH_HW_INDEX,
];

/** The bits of branch_sample_type, in the order in which people write them. */
export const SAMPLE_TYPES: BitNames = [
  [perf.PERF_SAMPLE_BRANCH_CALL_STACK, 'CALL_STACK'],
  [perf.PERF_SAMPLE_BRANCH_ANY, 'ANY'],
  [perf.PERF_SAMPLE_BRANCH_ANY_CALL, 'ANY_CALL'],
  [perf.PERF_SAMPLE_BRANCH_ANY_RETURN, 'ANY_RETURN'],
  [perf.PERF_SAMPLE_BRANCH_IND_CALL, 'IND_CALL'],
  [perf.PERF_SAMPLE_BRANCH_ABORT_TX, 'ABORT_TX'],
  [perf.PERF_SAMPLE_BRANCH_IN_TX, 'IN_TX'],
  [perf.PERF_SAMPLE_BRANCH_NO_TX, 'NO_TX'],
  [perf.PERF_SAMPLE_BRANCH_COND, 'COND'],
  [perf.PERF_SAMPLE_BRANCH_IND_JUMP, 'IND_JUMP'],
  [perf.PERF_SAMPLE_BRANCH_CALL, 'CALL'],
  [perf.PERF_SAMPLE_BRANCH_NO_FLAGS, 'NO_FLAGS'],
  [perf.PERF_SAMPLE_BRANCH_NO_CYCLES, 'NO_CYCLES'],
  [perf.PERF_SAMPLE_BRANCH_TYPE_SAVE, 'TYPE_SAVE'],
  [perf.PERF_SAMPLE_BRANCH_HW_INDEX, 'HW_INDEX'],
  [perf.PERF_SAMPLE_BRANCH_PRIV_SAVE, 'PRIV_SAVE'],
  [perf.PERF_SAMPLE_BRANCH_USER, 'USER'],
  [perf.PERF_SAMPLE_BRANCH_KERNEL, 'KERNEL'],
  [perf.PERF_SAMPLE_BRANCH_HV, 'HV'],
];

/** The attributes that an event is opened with. */
export const ATTRS: BitNames = [
  [perf.ATTR_PINNED, 'pinned'],
  [perf.ATTR_INHERIT, 'inherited'],
  [perf.ATTR_DISABLED, 'disabled'],
  [perf.ATTR_ENABLE_ON_EXEC, 'on-exec'],
  [perf.ATTR_FREQ, 'frequency'],
  [perf.ATTR_BOUND, 'bound'],
  [perf.ATTR_CGROUP_A, 'cgroup-a'],
  [perf.ATTR_CGROUP_B, 'cgroup-b'],
  [perf.ATTR_INHERIT_STAT, 'inherit-stat'],
];

/** Attributes that only a guest which runs as C code has. */
const ATTRS_OF_IMAGE: number = perf.ATTR_CGROUP_A | perf.ATTR_CGROUP_B;

/** Attributes of the event that KVM makes. */
const ATTRS_OF_KVM: number = perf.ATTR_VLBR | perf.ATTR_VLBR_EXCLUDES;

/** Types that a reader understands at once, the best first. */
const PLAIN_TYPES: readonly number[] = [CALLSTACK_USER, perf.PERF_SAMPLE_BRANCH_ANY | U];

/** A task, or -1 for an event of the CPU. */
const openedTask: Param = {
  name: 'task',
  min: -1,
  max: task.max,
  form: DECIMAL,
  liking: TASK_LIKING,
};
const attr: Param = { name: 'attr', min: 0, max: 2047, form: flags(ATTRS), implied: 0 };
const type: Param = {
  name: 'type',
  min: 0,
  max: (1 << perf.PERF_SAMPLE_BRANCH_MAX_SHIFT) - 1,
  form: flags(SAMPLE_TYPES),
  liking: {
    cost(value): number {
      const plain = PLAIN_TYPES.indexOf(value);
      return plain >= 0 ? plain : PLAIN_TYPES.length + value;
    },
    first: PLAIN_TYPES,
    halves: false,
  },
};

/**
 * An event of the CPU may give space to all tasks, 6.15 and later. The port can't do that while a
 * function of the VM is under way, which may have looked whether its task has some.
 */
function canOpenForAll(m: Machine, v: number, of: number): boolean {
  const { vm } = m.vcpus[v];
  if (of >= 0 || runsImage(m) || !m.cpu(v).kernel.x86_pmu.perfCtxData) return true;
  return m.vcpus.every((other) => other.vm !== vm || m.ports[other.id].suspended === 0);
}

function canOpen(m: Machine, v: number, of: number, how = 0): boolean {
  if ((how & ATTRS_OF_IMAGE) !== 0 && !runsImage(m)) return false;
  if ((how & ATTRS_OF_KVM) !== 0) return false;
  // An event of a cgroup is one of the CPU, and of one cgroup.
  const cgroup = cgroupAsked(how);
  if (cgroup !== 0 && (of >= 0 || cgroup >= CGROUPS.length)) return false;
  const cpu = m.cpu(v);
  if (cgroup !== 0 && !cpu.kernel.hasCgroups) return false;
  if (freeEvents(m, v) <= 0 || !hasRoom(cpu.kernel, of) || !canOpenForAll(m, v, of)) return false;
  return of < 0 || of === cpu.cpuctx.current || canSwitchTo(m, v, of);
}

function isOff(m: Machine, v: number, id: number): boolean {
  return m.cpu(v).kernel.events[id].state < perf.PERF_EVENT_STATE_INACTIVE;
}

/** Whether the event counts on this vCPU, so that its counter can overflow. */
function counting(m: Machine, v: number, id: number): boolean {
  const cpu = m.cpu(v);
  const counted = cpu.kernel.events[id];
  if (counted === undefined || counted.state !== perf.PERF_EVENT_STATE_ACTIVE) return false;
  if (counted.oncpu !== cpu.id || counted.idx === perf.IDX_UNASSIGNED) return false;
  return cpu.cpuc.events(counted.idx) === id + 1 && m.vcpus[v].global_ctrl !== 0;
}

function drawOpen(d: Drawing, v: number): void {
  const { machine, draw, style } = d;
  const cpu = machine.cpu(v);
  const { current } = cpu.cpuctx;
  d.a = current;
  const which = draw.below(4);
  if (which === 0 && !style.callstackOnly) {
    d.a = -1;
  } else if (which === 1) {
    const tasks = cpu.kernel.tasks.length;
    d.a = d.pick(tasks, (t) => t === current || canSwitchTo(machine, v, t));
  }
  if (draw.below(4) === 0) d.b |= perf.ATTR_PINNED;
  if (style.oneFamily || draw.below(2) === 0) d.b |= perf.ATTR_INHERIT;
  if (draw.below(8) === 0) d.b |= perf.ATTR_DISABLED;
  drawFurtherAttrs(d, cpu.kernel.hasCgroups);
  if (style.callstackOnly || draw.below(2) === 0) d.c = BRANCH_TYPES[0];
  else if (draw.below(8) !== 0) d.c = BRANCH_TYPES[draw.below(BRANCH_TYPES.length)];
  else d.c = draw.below(1 << perf.PERF_SAMPLE_BRANCH_MAX_SHIFT);
}

function drawFurtherAttrs(d: Drawing, hasCgroups: boolean): void {
  const { draw } = d;
  if (draw.below(8) === 0) d.b |= perf.ATTR_ENABLE_ON_EXEC | perf.ATTR_DISABLED;
  if (draw.below(4) === 0) d.b |= perf.ATTR_FREQ;
  if (d.a >= 0) {
    if (draw.below(4) === 0) d.b |= perf.ATTR_BOUND;
  } else if (hasCgroups && draw.below(2) === 0) {
    d.b |= draw.below(2) === 0 ? perf.ATTR_CGROUP_A : perf.ATTR_CGROUP_B;
  }
}

function eachOpen(x: Exploring, v: number, can: Try): void {
  const { machine } = x;
  const { callstack } = machine.config.model;
  if (x.opened(machine.vcpus[v].vm) >= x.bounds.events) return;
  const types: number[] = [];
  if (x.has('events') && callstack) types.push(CALLSTACK_USER);
  // Without call-stack mode there is one way left to use LBR.
  if (x.has('ring') || (x.has('events') && !callstack)) types.push(PLAIN_TYPES[1]);
  const inherit = x.has('fork') ? perf.ATTR_INHERIT : 0;
  for (const wanted of types) {
    for (const { id } of machine.cpu(v).kernel.tasks) can(id, inherit, wanted);
  }
  if (x.has('cpu') && callstack) can(-1, 0, CALLSTACK_USER);
}

function eachNmi({ machine }: Exploring, v: number, can: Try): void {
  const most = accessesMost(machine.config.model.lbr_nr);
  for (const { id, used } of machine.cpu(v).kernel.events) {
    if (used === 0) continue;
    for (let at = 1; at <= most; at++) can(id, at, 0);
  }
}

const BY_IOCTL: readonly Explored[] = [{ groups: ['ioctl'], when: 'function', over: 'event' }];

export const EVENT_ACTIONS: Readonly<Record<EventAction, ActionKind>> = {
  open: {
    code: 9,
    actor: 'vcpu',
    params: [openedTask, attr, type],
    weight: 6,
    says: 'perf_event_open; task -1 is an event of the CPU; type is branch_sample_type',
    runsFunction: true,
    possible: canOpen,
    perform(m, v, a, b, c): void {
      m.open(v, a, b, c);
    },
    offer: (d, v) => !(d.style.oneFamily && hasFamily(d.machine, v)) && canOpen(d.machine, v, -1),
    draw: drawOpen,
    explored: [{ groups: ['events', 'ring', 'cpu'], when: 'function', each: eachOpen }],
  },
  enable: {
    code: 10,
    actor: 'vcpu',
    params: [event],
    weight: 3,
    says: 'ioctl ENABLE',
    swarm: 'ioctls',
    runsFunction: true,
    possible: (m, v, a) => familyReachable(m, v, a) && isOff(m, v, a),
    perform: (m, v, a) => m.enable(v, a),
    explored: BY_IOCTL,
  },
  disable: {
    code: 11,
    actor: 'vcpu',
    params: [event],
    weight: 3,
    says: 'ioctl DISABLE',
    swarm: 'ioctls',
    runsFunction: true,
    possible: (m, v, a) => familyReachable(m, v, a) && !isOff(m, v, a),
    perform: (m, v, a) => m.disable(v, a),
    explored: BY_IOCTL,
  },
  close: {
    code: 12,
    actor: 'vcpu',
    params: [event],
    weight: 2,
    says: 'close of an event',
    swarm: 'closing',
    runsFunction: true,
    possible: familyReachable,
    perform: (m, v, a) => m.close(v, a),
    explored: [{ groups: ['events', 'ring', 'cpu'], when: 'function', over: 'event' }],
  },
  pmi: {
    code: 13,
    actor: 'vcpu',
    params: [event, after],
    weight: 8,
    says: 'its counter overflows; the NMI comes at once, or before MSR access number `after`',
    runsFunction: true,
    possible: (m, v, a) => counting(m, v, a) && !m.ports[v].nmiArmed,
    perform: (m, v, a, b) => m.pmi(v, a, b),
    draw(d, v): void {
      d.a = d.pickPossible(v);
      const inside = !d.style.guestsOnly && d.draw.below(4) === 0;
      if (inside) d.b = 1 + d.draw.below(d.accesses());
    },
    explored: [
      { groups: ['pmi'], when: 'function', over: 'event' },
      { groups: ['nmi'], when: 'at once', each: eachNmi },
    ],
  },
};
