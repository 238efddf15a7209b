/** What the host does: switches, exits, its own LBR users, C-states, live migration. */
import {
  HOST_EVENT_CLOSE,
  HOST_EVENT_OFF,
  HOST_EVENT_ON,
  HOST_EVENT_OPS,
  HOST_EVENT_TASK,
  HOST_EVENTS,
} from '../../machine/host_perf.js';
import type { Machine } from '../../machine/machine.js';
import type { ActionKind } from '../action.js';
import type { Exploring, Try } from '../explored.js';
import { after, n, type Param, vcpu, words } from '../param.js';

type HostAction = 'run' | 'idle' | 'exit' | 'hostEvent' | 'hostWork' | 'cstate' | 'liveMigrate';

const which: Param = {
  name: 'which',
  min: 0,
  max: HOST_EVENTS.length - 1,
  form: words(...HOST_EVENTS),
};
const op: Param = {
  name: 'op',
  min: 0,
  max: HOST_EVENT_OPS.length - 1,
  form: words(...HOST_EVENT_OPS),
};

function canArm(m: Machine, p: number): boolean {
  return m.loaded(p) !== null && !m.isArmed(p);
}

function canRun(m: Machine, p: number, v: number, at: number): boolean {
  const next = m.vcpus[v];
  if (next === undefined || next.pcpu >= 0) return false;
  return at === 0 || canArm(m, p);
}

function canHostEvent(m: Machine, p: number, whose: number, what: number): boolean {
  if (whose < 0 || whose >= HOST_EVENTS.length) return false;
  if (whose === HOST_EVENT_TASK && m.loaded(p) === null) return false;
  const state = m.host.hostEventState(p, whose);
  if (what === HOST_EVENT_ON) return state !== 'on';
  if (what === HOST_EVENT_OFF) return state === 'on';
  return what === HOST_EVENT_CLOSE && state !== 'none';
}

function eachHostEvent(_x: Exploring, _p: number, can: Try): void {
  for (const whose of HOST_EVENTS.keys()) {
    for (const what of HOST_EVENT_OPS.keys()) can(whose, what, 0);
  }
}

export const HOST_ACTIONS: Readonly<Record<HostAction, ActionKind>> = {
  run: {
    code: 20,
    actor: 'pcpu',
    params: [vcpu, after],
    weight: 12,
    says: 'switches to a vCPU, at once or before MSR access number `after` of the one that runs',
    outside: 'switch',
    possible: canRun,
    perform: (m, p, a, b) => (b === 0 ? m.switchTo(p, a) : m.arm(p, a, b - 1)),
    draw(d, p): void {
      d.a = d.pickPossible(p);
      d.b = d.after(canArm(d.machine, p));
    },
    explored: [{ groups: [], when: 'switch' }],
  },
  idle: {
    code: 21,
    actor: 'pcpu',
    params: [after],
    weight: 2,
    says: 'switches to the idle thread, at once or before MSR access number `after`',
    outside: 'switch',
    swarm: 'idleness',
    possible: (m, p, a) => m.loaded(p) !== null && (a === 0 || !m.isArmed(p)),
    perform: (m, p, a) => (a === 0 ? m.switchTo(p, -1) : m.arm(p, -1, a - 1)),
    draw(d, p): void {
      d.a = d.after(!d.machine.isArmed(p));
    },
    explored: [{ groups: ['idle'], when: 'switch' }],
  },
  exit: {
    code: 22,
    actor: 'pcpu',
    params: [],
    weight: 2,
    says: 'a VM exit and re-entry for a reason of no interest',
    outside: 'other',
    possible: (m, p) => m.loaded(p) !== null,
    perform: (m, p) => m.exitAndEnter(p),
    explored: [{ groups: ['exit'], when: 'pcpu' }],
  },
  hostEvent: {
    code: 23,
    actor: 'pcpu',
    params: [which, op],
    weight: 2,
    says: "the host's own LBR event: pinned to the CPU, of the vCPU's thread, or flexible",
    outside: 'other',
    swarm: 'host events',
    possible: canHostEvent,
    perform: (m, p, a, b) => m.hostEvent(p, a, b),
    // An event that is on can go off, and one that is not can go on.
    offer: () => true,
    draw(d, p): void {
      const events = HOST_EVENTS.length;
      const i = d.pick(HOST_EVENT_OPS.length * events, (j) =>
        canHostEvent(d.machine, p, j % events, Math.trunc(j / events)),
      );
      d.a = i % events;
      d.b = Math.trunc(i / events);
    },
    explored: [{ groups: ['host'], when: 'pcpu', each: eachHostEvent }],
  },
  hostWork: {
    code: 24,
    actor: 'pcpu',
    params: [n],
    weight: 2,
    says: 'n branches of host code; then the host event that counts takes a sample',
    outside: 'other',
    swarm: 'host events',
    possible: (_m, _p, a) => a >= 1,
    perform: (m, p, a) => m.hostWork(p, a),
    explored: [{ groups: ['host'], when: 'pcpu', each: (_x, _p, can): void => can(1, 0, 0) }],
  },
  cstate: {
    code: 25,
    actor: 'pcpu',
    params: [],
    weight: 1,
    says: 'an idle pCPU sleeps deeply enough to lose its records',
    swarm: 'idleness',
    possible: (m, p) => m.loaded(p) === null,
    perform: (m, p) => m.cstate(p),
    explored: [{ groups: ['idle'], when: 'pcpu' }],
  },
  liveMigrate: {
    code: 26,
    actor: 'vcpu',
    params: [],
    weight: 1,
    says: 'the vCPU, while off, is saved and created anew',
    outside: 'other',
    swarm: 'migration',
    anyState: true,
    possible: (m, v) => m.vcpus[v].pcpu < 0,
    perform: (m, v) => m.liveMigrate(v),
    explored: [{ groups: ['migrate'], when: 'off' }],
  },
};
