/** What befalls the threads of vCPUs and their pCPUs, some of it where the KVM of a tree runs. */
import type { Machine } from '../../machine/machine.js';
import { INTERRUPTS } from '../../machine/host_perf.js';
import {
  arriveAt,
  freezeOnSmi,
  hostCounters,
  hostOverflow,
  takeLbr,
  togglePt,
  toggleWatchdog,
} from '../../machine/threads.js';
import type { ActionKind } from '../action.js';
import { DECIMAL, type Param, vcpu, words } from '../param.js';

type ThreadAction =
  | 'userspace'
  | 'arrive'
  | 'hostOverflow'
  | 'watchdog'
  | 'pt'
  | 'takeLbr'
  | 'hostCounters'
  | 'interrupt'
  | 'freezeOnSmi';

const BY = ['capabilities', 'cpuid'] as const;
const by: Param = { name: 'by', min: 0, max: BY.length - 1, form: words(...BY) };
const OPS = ['close', 'open'] as const;
const op: Param = { name: 'op', min: 0, max: 1, form: words(...OPS) };

const what: Param = {
  name: 'what',
  min: 0,
  max: INTERRUPTS.length - 1,
  form: words(...INTERRUPTS),
};
/** From one VM exit to the entry after it there are a few of them. */
const places: Param = { name: 'after', min: 0, max: 7, form: DECIMAL, implied: 0 };

function canArrive(m: Machine, _p: number, v: number): boolean {
  return m.vcpus[v] !== undefined && m.vcpus[v].pcpu < 0;
}

export const THREAD_ACTIONS: Readonly<Record<ThreadAction, ActionKind>> = {
  userspace: {
    code: 33,
    actor: 'vcpu',
    params: [],
    weight: 2,
    says: 'its thread returns from KVM_RUN, and is still on its pCPU',
    outside: 'other',
    anyState: true,
    possible: (m, v) => m.vcpus[v].pcpu >= 0 && m.hypervisor.isInRun(m.vcpus[v]),
    perform: (m, v) => m.hypervisor.toUserspace(m.vcpus[v]),
    explored: [{ groups: ['userspace'], when: 'at once' }],
  },
  arrive: {
    code: 34,
    actor: 'pcpu',
    params: [vcpu],
    weight: 2,
    says: 'switches to a vCPU, which does not enter its guest before its next action',
    outside: 'switch',
    possible: canArrive,
    perform: arriveAt,
    draw(d, p): void {
      d.a = d.pickPossible(p);
    },
  },
  hostOverflow: {
    code: 35,
    actor: 'pcpu',
    params: [],
    weight: 2,
    says: "a counter of the host's own overflows while the guest runs",
    outside: 'other',
    swarm: 'host events',
    possible: (m, p) => m.loaded(p) !== null,
    perform: hostOverflow,
    explored: [{ groups: ['overflow'], when: 'pcpu' }],
  },
  watchdog: {
    code: 36,
    actor: 'pcpu',
    params: [],
    weight: 1,
    says: "the host's NMI watchdog starts on the pCPU, or ends: a pinned event that counts cycles",
    outside: 'other',
    swarm: 'host events',
    needsKvm: true,
    perform: toggleWatchdog,
  },
  pt: {
    code: 37,
    actor: 'pcpu',
    params: [],
    weight: 1,
    says: 'a use of Intel PT begins on the host, or ends: perf keeps it apart from LBR',
    outside: 'other',
    swarm: 'host events',
    possible: (m) => m.config.model.pmu_version >= 4,
    perform: togglePt,
  },
  takeLbr: {
    code: 38,
    actor: 'vcpu',
    params: [by],
    weight: 1,
    says: 'the machine monitor takes LBR from the vCPU, while off, if KVM agrees; no guest is told',
    outside: 'other',
    swarm: 'migration',
    needsKvm: true,
    anyState: true,
    possible: (m, v) => m.vcpus[v].pcpu < 0,
    perform: (m, v, how) => takeLbr(m, v, how === 1),
    draw(d): void {
      d.a = d.pick(BY.length, () => true);
    },
  },
  hostCounters: {
    code: 39,
    actor: 'pcpu',
    params: [op],
    weight: 1,
    says: "pinned counters of the host's own fill the PMU of the pCPU",
    outside: 'other',
    swarm: 'host events',
    possible: (m, p, a) => m.host.countersTaken(p) === (a === 0),
    perform: (m, p, a) => hostCounters(m, p, a === 1),
    offer: () => true,
    draw(d, p): void {
      d.a = d.machine.host.countersTaken(p) ? 0 : 1;
    },
  },
  interrupt: {
    code: 40,
    actor: 'pcpu',
    params: [what, places],
    weight: 4,
    says:
      'an interrupt of the host is to come inside KVM, after so many times that KVM turns ' +
      'interrupts on or off, or before it accesses an LBR MSR with them on',
    outside: 'other',
    swarm: 'host events',
    needsKvm: true,
    possible: (m, p) => m.loaded(p) !== null,
    perform: (m, p, a, b) => m.hypervisor.tree?.interrupt(p, a, b),
    draw(d): void {
      d.a = d.draw.below(INTERRUPTS.length);
      d.b = d.draw.below(places.max + 1);
    },
  },
  freezeOnSmi: {
    code: 41,
    actor: 'pcpu',
    params: [],
    weight: 1,
    says: 'somebody tells the host to freeze counters in SMM, or not to any more',
    outside: 'other',
    swarm: 'host events',
    needsKvm: true,
    perform: freezeOnSmi,
  },
};
