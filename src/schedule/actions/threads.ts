/** What befalls the threads of vCPUs, where the KVM of a tree runs. */
import type { Machine } from '../../machine/machine.js';
import { arriveAt, hostOverflow } from '../../machine/threads.js';
import type { ActionKind } from '../action.js';
import { vcpu } from '../param.js';

type ThreadAction = 'userspace' | 'arrive' | 'hostOverflow';

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
    needsKvm: true,
    anyState: true,
    possible: (m, v) => m.vcpus[v].pcpu >= 0 && m.hypervisor.tree?.isInRun(m.vcpus[v]) === true,
    perform: (m, v) => m.hypervisor.tree?.toUserspace(m.vcpus[v]),
  },
  arrive: {
    code: 34,
    actor: 'pcpu',
    params: [vcpu],
    weight: 2,
    says: 'switches to a vCPU, which does not enter its guest before its next action',
    outside: 'switch',
    needsKvm: true,
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
    says: "a counter of the host's own event overflows while the guest runs",
    outside: 'other',
    swarm: 'host events',
    needsKvm: true,
    possible: (m, p) => m.loaded(p) !== null,
    perform: hostOverflow,
  },
};
