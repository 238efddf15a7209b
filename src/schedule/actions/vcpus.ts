/** Actions of a vCPU as a CPU: halt, start, resume. */
import type { Machine } from '../../machine/machine.js';
import { startCpu } from '../../machine/threads.js';
import type { ActionKind } from '../action.js';

type VcpuAction = 'halt' | 'kexec' | 'boot' | 'resume';

/** A kexec stops the other CPUs of the VM wherever they are, but not inside a kernel function. */
function canKexec(m: Machine, v: number): boolean {
  const { vm } = m.vcpus[v];
  return m.vcpus.every((other) => other.vm !== vm || m.ports[other.id].suspended === 0);
}

export const VCPU_ACTIONS: Readonly<Record<VcpuAction, ActionKind>> = {
  halt: {
    code: 16,
    actor: 'vcpu',
    params: [],
    weight: 1,
    says: 'HLT: the pCPU goes idle',
    outside: 'switch',
    swarm: 'idleness',
    perform: (m, v) => m.switchTo(m.vcpus[v].pcpu, -1),
  },
  kexec: {
    code: 17,
    actor: 'vcpu',
    params: [],
    weight: 1,
    says: 'a new kernel takes over',
    outside: 'other',
    swarm: 'kexec',
    runsFunction: true,
    possible: canKexec,
    perform: (m, v) => m.kexec(v),
    explored: [{ groups: ['kexec'], when: 'function' }],
  },
  boot: {
    code: 18,
    actor: 'vcpu',
    params: [],
    weight: 30,
    says: 'the CPU starts in the kernel that took over',
    runsFunction: true,
    anyState: true,
    possible: (m, v) => m.vcpus[v].pcpu >= 0 && m.ports[v].suspended === 0 && m.booting(v),
    perform: startCpu,
    explored: [{ groups: ['kexec'], when: 'function' }],
  },
  resume: {
    code: 19,
    actor: 'vcpu',
    params: [],
    weight: 30,
    says: 'goes on in the kernel function in which it was preempted',
    anyState: true,
    possible: (m, v) => m.vcpus[v].pcpu >= 0 && m.ports[v].suspended !== 0,
    perform: (m, v) => m.resume(v),
    explored: [{ groups: ['inside'], when: 'function' }],
  },
};
