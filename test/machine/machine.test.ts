/** The machine: boot, branches, guest functions, user mode and kernel, kexec, the host's work. */
import { describe, expect, it } from 'vitest';
import { PORT } from '../../src/guest/perf/lbr_port.js';
import * as perf from '../../src/guest/perf/perf_event.js';
import * as branch from '../../src/hw/branch.js';
import * as msrs from '../../src/hw/msr_index.js';
import { always } from '../../src/host/policy/always.js';
import { never } from '../../src/host/policy/never.js';
import type { LbrPolicy } from '../../src/host/policy/policy.js';
import { pvV2 } from '../../src/host/policy/pv_v2.js';
import { mispredicted } from '../../src/machine/config.js';
import { BRANCH_TYPES } from '../../src/schedule/actions/events.js';
import { Generator } from '../../src/schedule/generate.js';
import * as call from '../../src/machine/guest_call.js';
import type { Machine } from '../../src/machine/machine.js';
import { guestKernelConfig } from '../../src/machine/machine_layout.js';
import { perform } from '../../src/schedule/table.js';
import { cpuModel } from '../rig/cpu.js';
import type { Part } from '../rig/machine.js';
import { CLOSE, DEBUGCTL, FROM, OF_TASK, OFF, ON, PINNED, Rig, TO, TOS } from '../rig/machine.js';
import { drawOf, SEED } from '../rig/seed.js';

const U_CALLSTACK = BRANCH_TYPES[0];

/** Two VMs of two vCPUs on two pCPUs: v0 runs on p0, v1 on p1, v2 and v3 are off. */
const rigOf = (policy: LbrPolicy = never, part: Part = {}): Rig =>
  new Rig(policy, { vcpus: 2, tasks: 3, pcpus: 2, ...part });

/** [kind, cpl] of each branch among logged lines. */
function branches(lines: readonly string[]): number[][] {
  return lines
    .filter((line) => line.startsWith('guestBranch'))
    .map((line) => line.split(' ').slice(2, 4).map(Number));
}

describe('boot', () => {
  it('boot always puts vCPU i on pCPU i in user mode, with task i current on CPU i', () => {
    for (const [pcpus, on] of [
      [1, [0, -1, -1, -1]],
      [3, [0, 1, 2, -1]],
      [6, [0, 1, 2, 3]],
    ] as const) {
      const { m } = rigOf(never, { pcpus });
      expect(m.vcpus.map(({ pcpu }) => pcpu)).toEqual(on);
      expect(m.vcpus.map(({ id }) => m.cpl(id))).toEqual([3, 3, 3, 3]);
      expect(m.vcpus.map(({ inGuest }) => inGuest)).toEqual(on.map((p) => p >= 0));
      expect(m.pcpus.map((_, p) => m.loaded(p)?.id ?? -1)).toEqual(
        m.pcpus.map((_, p) => (p < 4 ? p : -1)),
      );
      for (const kernel of m.guests) {
        expect(kernel.cpus.map((cpu) => cpu.cpuctx.current)).toEqual([0, 1]);
        expect(kernel.cpus.map((cpu) => cpu.ctx.used)).toEqual([1, 1]);
        expect(kernel.tasks.map((t) => t.alive)).toEqual([1, 1, 1, 0, 0, 0]);
        expect(kernel.tasks.map((t) => t.on_cpu)).toEqual([1, 2, 0, 0, 0, 0]);
        expect(kernel.tasks.map((t) => t.cpu)).toEqual([0, 1, 0, 0, 0, 0]);
      }
    }
  });

  it('boot always resets what the policy keeps', () => {
    expect(rigOf(never).m.vcpus.map((v) => v.msr_passthrough)).toEqual([true, true, true, true]);
  });

  it('boot always brings the machine back to the same state', () => {
    for (const policy of [always, pvV2]) {
      const { m } = rigOf(policy);
      const first = digest(m);
      m.boot();
      expect(digest(m)).toBe(first);
      const generator = new Generator(m);
      generator.begin({ below: (n) => ((n * 7) % 5) % n }, true);
      play(m, generator, 200);
      expect(digest(m)).not.toBe(first);
      m.boot();
      expect(digest(m)).toBe(first);
    }
  });
});

/** A hash of the machine's memory. */
function digest(m: Machine): number {
  let h = 0;
  for (const word of m.memory.words) h = Math.imul(h ^ word, 0x01000193) ^ (h >>> 15);
  return h;
}

/** Performs `steps` drawn actions. Returns the digest after each. */
function play(m: Machine, generator: Generator, steps: number): number[] {
  return Array.from({ length: steps }, () => {
    generator.next();
    perform(m, generator.kind, generator.actor, generator.a, generator.b, generator.c);
    return digest(m);
  });
}

describe('the state of a machine', () => {
  it('machines with the same words always go on alike, whatever they did before', () => {
    const [a, b, c] = [rigOf(always).m, rigOf(always).m, rigOf(always).m];
    const [ga, gb, gc] = [new Generator(a), new Generator(b), new Generator(c)];
    for (let run = 0; run < 5; run++) {
      for (const m of [a, b, c]) m.boot();
      ga.begin(drawOf(SEED + run), true);
      gb.begin(drawOf(SEED + run), true);
      for (let part = 0; part < 4; part++) {
        expect(play(b, gb, 20)).toEqual(play(a, ga, 20));
        // A machine with another history takes over the state completely.
        const state = a.memory.words.slice();
        gc.begin(drawOf(SEED + 77), true);
        play(c, gc, 20);
        c.memory.words.set(state);
        gc.begin(drawOf(SEED + part), true);
        const later = play(c, gc, 20);
        ga.begin(drawOf(SEED + part), true);
        gb.begin(drawOf(SEED + part), true);
        expect(play(a, ga, 20)).toEqual(later);
        expect(play(b, gb, 20)).toEqual(later);
      }
    }
  });
});

describe('branches', () => {
  it('a branch always carries VM, vCPU, task, privilege and a number of its own', () => {
    const { m, said } = rigOf();
    m.enterKernel(1, branch.BRANCH_SYSCALL);
    m.branches(1, branch.BRANCH_JCC, 2);
    const task = 1;
    const hi = (kernel: boolean, kind: number): number =>
      branch.addressHigh(kernel, kind, 0, 1, task);
    const syscallHi = hi(false, branch.BRANCH_SYSCALL);
    expect(said('guestBranch')).toEqual([
      `guestBranch 1 ${branch.BRANCH_SYSCALL} 0 1 ${syscallHi} ${hi(true, 15)}`,
      `guestBranch 1 ${branch.BRANCH_JCC} 0 2 ${hi(true, branch.BRANCH_JCC)} ${hi(true, 15)}`,
      `guestBranch 1 ${branch.BRANCH_JCC} 0 3 ${hi(true, branch.BRANCH_JCC)} ${hi(true, 15)}`,
    ]);
    m.switchTo(0, 2);
    m.branches(2, branch.BRANCH_RET, 1);
    const other = branch.addressHigh(false, branch.BRANCH_RET, 1, 0, 0);
    const to = branch.addressHigh(false, branch.BRANCH_NONE, 1, 0, 0);
    expect(said('guestBranch')).toEqual([`guestBranch 2 ${branch.BRANCH_RET} 3 1 ${other} ${to}`]);
  });

  it('a branch is always recorded as it is told, in the guest', () => {
    const { m } = rigOf(never, { cpu: 'skylake' });
    m.kvm.guestWrmsr(m.vcpus[0], DEBUGCTL, msrs.DEBUGCTLMSR_LBR, 0);
    expect(m.vcpus[0].inGuest).toBe(false);
    m.branches(0, branch.BRANCH_JCC, 4);
    expect([m.vcpus[0].inGuest, m.pcpus[0].stack.tos]).toEqual([true, 4]);
    const read = (msr: number): number[] => [m.pcpus[0].rdmsr(msr), m.pcpus[0].edx];
    for (const seq of [1, 2, 3, 4]) {
      expect(read(FROM + seq)).toEqual([seq, branch.addressHigh(false, 0, 0, 0, 0)]);
      expect(read(TO + seq)).toEqual([seq, branch.addressHigh(false, 15, 0, 0, 0)]);
      const flag = seq === 3 ? msrs.LBR_INFO_MISPRED_HI : 0;
      expect(read(msrs.MSR_LBR_INFO_0 + seq)).toEqual([branch.branchCycles(0, seq), flag]);
    }
    expect([0, 1, 2, 3, 4].filter((seq) => mispredicted(m.config, seq))).toEqual([0, 3]);
  });

  it('a branch into or out of the kernel always moves the privilege level', () => {
    const { m, said } = rigOf();
    m.enterKernel(0, branch.BRANCH_IRQ);
    expect(m.cpl(0)).toBe(0);
    m.leaveKernel(0, branch.BRANCH_IRET);
    expect(m.cpl(0)).toBe(3);
    const [enter, leave] = said('guestBranch').map((line) => line.split(' ').map(Number));
    expect([enter, leave].map(([, , kind, cpl]) => [kind, cpl])).toEqual([
      [branch.BRANCH_IRQ, 0],
      [branch.BRANCH_IRET, 3],
    ]);
    expect([enter, leave].map(([, , , , , from, to]) => [from < 0, to < 0])).toEqual([
      [false, true],
      [true, false],
    ]);
  });
});

describe('a guest function', () => {
  const SYSCALL = [
    [branch.BRANCH_SYSCALL, 0],
    [branch.BRANCH_SYSRET, 3],
  ];
  const IRQ = [
    [branch.BRANCH_IRQ, 0],
    [branch.BRANCH_IRET, 3],
  ];

  it('a guest function is entered from user mode and left again, by syscall or interrupt', () => {
    const { m, said } = rigOf();
    const calls: [number, () => void, number[][]][] = [
      [call.CALL_INSTALL, (): void => void m.open(0, 0, 0, U_CALLSTACK), SYSCALL],
      [call.CALL_DISABLE, (): void => m.disable(0, 0), SYSCALL],
      [call.CALL_ENABLE, (): void => m.enable(0, 0), SYSCALL],
      [call.CALL_RDMSR, (): void => m.rdmsr(0, TOS), SYSCALL],
      [call.CALL_WRMSR, (): void => m.wrmsr(0, TOS, 1, 0), SYSCALL],
      [call.CALL_PMI, (): void => m.pmi(0, 0, 0), IRQ],
      [call.CALL_CLOSE, (): void => m.close(0, 0), SYSCALL],
      [call.CALL_SWITCH, (): void => m.switchTask(0, 2), IRQ],
      [call.CALL_BOOT, (): void => m.kexec(0), IRQ],
    ];
    for (const [fn, run, around] of calls) {
      said();
      run();
      const lines = said();
      expect([fn, branches(lines)]).toEqual([fn, around]);
      expect(lines.filter((line) => line.startsWith('guestIdle'))).toEqual(['guestIdle 0']);
      // guestIdle comes after the function has returned and before the return to user mode.
      expect(lines.indexOf('guestIdle 0')).toBeLessThan(lines.length - 1);
      expect([m.runningCall(0), m.cpl(0)]).toEqual([fn, 3]);
    }
  });

  it('a guest function in the kernel never enters it, nor leaves it', () => {
    const { m, said } = rigOf();
    m.open(0, 0, 0, U_CALLSTACK);
    m.enterKernel(0, branch.BRANCH_SYSCALL);
    for (const run of [
      (): void => m.rdmsr(0, TOS),
      (): void => m.switchTask(0, 2),
      (): void => m.switchTask(0, 0),
    ]) {
      said();
      run();
      expect([branches(said()), m.cpl(0)]).toEqual([[], 0]);
    }
    m.pmi(0, 0, 0);
    expect(branches(said())).toEqual([[branch.BRANCH_IRQ, 0]]);
    expect(m.cpl(0)).toBe(0);
  });

  it('an event that the PMU refuses is reported, and leaves what any system call leaves', () => {
    const { m, said } = rigOf(never, { cpu: 'nehalem' });
    expect(m.open(0, 0, 0, U_CALLSTACK)).toBe(-95);
    const lines = said();
    expect(lines[0]).toBe(`guestOpened 0 ${U_CALLSTACK} -95`);
    expect(lines.map((line) => line.split(' ')[0])).toEqual([
      'guestOpened',
      'guestBranch',
      'guestCall',
      'guestIdle',
      'guestBranch',
    ]);
    expect(branches(lines)).toEqual([
      [branch.BRANCH_SYSCALL, 0],
      [branch.BRANCH_SYSRET, 3],
    ]);
    // Nothing else has changed.
    m.guests[0].words.fill(0, m.guests[0].events[0].o, m.guests[0].events[0].o + 17);
    m.settle(0);
    const other = rigOf(never, { cpu: 'nehalem' }).m;
    other.enterKernel(0, branch.BRANCH_SYSCALL);
    other.leaveKernel(0, branch.BRANCH_SYSRET);
    expect(digest(m)).toBe(digest(other));
    expect(m.open(0, 0, 0, BRANCH_TYPES[1])).toBe(0);
  });
});

describe('switchTask', () => {
  it('switchTask always makes the next task current, and says where both are', () => {
    const { m } = rigOf();
    m.switchTask(0, 2);
    m.switchTask(1, 0);
    const { tasks, cpus } = m.guests[0];
    expect(cpus.map((cpu) => cpu.cpuctx.current)).toEqual([2, 0]);
    expect(tasks.slice(0, 3).map((t) => [t.on_cpu, t.cpu])).toEqual([
      [2, 1],
      [0, 1],
      [1, 0],
    ]);
    expect(m.guests[1].cpus.map((cpu) => cpu.cpuctx.current)).toEqual([0, 1]);
  });
});

describe('fork', () => {
  it('fork takes the first free task, on the CPU of its parent, and copies its events', () => {
    const { m } = rigOf();
    m.open(1, 1, perf.ATTR_INHERIT, U_CALLSTACK);
    m.fork(1);
    const child = m.guests[0].tasks[3];
    expect([child.alive, child.cpu, child.on_cpu]).toEqual([1, 1, 0]);
    const { events } = m.guests[0];
    expect(events.map((e) => e.used)).toEqual([1, 1, 0, 0, 0, 0]);
    expect([events[1].parent, m.guests[0].ctx(events[1].ctx).task]).toEqual([1, 4]);
  });
});

describe('familyTasks', () => {
  it('familyTasks are the tasks of an event and of all inherited from it', () => {
    const { m } = rigOf();
    m.open(0, 2, 0, U_CALLSTACK);
    m.open(0, 0, perf.ATTR_INHERIT, U_CALLSTACK);
    m.open(0, -1, 0, U_CALLSTACK);
    m.fork(0);
    const [kernel] = m.guests;
    expect([0, 1, 2, 3].map((event) => call.familyTasks(kernel, event))).toEqual([
      0b100, 0b1001, 0, 0b1000,
    ]);
    m.close(0, 1);
    expect(call.familyTasks(kernel, 1)).toBe(0);
  });
});

describe('kexec', () => {
  it('kexec gives the VM a new kernel, and leaves its MSRs and the other VM alone', () => {
    const { m } = rigOf();
    m.open(0, 0, 0, U_CALLSTACK);
    m.open(1, 1, 0, U_CALLSTACK);
    m.switchTask(0, 2);
    m.enterKernel(1, branch.BRANCH_SYSCALL);
    m.wrmsr(1, FROM + 3, 7, 0);
    const event = m.guests[0].events[1];
    m.pmi(1, event.id, 9);
    const kernelOf = (vm: number): Int32Array => {
      const { start, size } = m.guests[vm].layout;
      return m.memory.words.slice(start, start + size);
    };
    const other = kernelOf(1);
    const debugctl = m.vcpus[1].vmcs.guestDebugctl;
    m.kexec(0);
    expect(m.guests[0].events.map((e) => e.used)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(m.guests[0].cpus.map((cpu) => cpu.cpuctx.current)).toEqual([0, 1]);
    expect(m.guests[0].tasks.map((t) => t.on_cpu).slice(0, 3)).toEqual([1, 2, 0]);
    expect(kernelOf(1)).toEqual(other);
    expect([0, 1, 2, 3].map((v) => m.booting(v))).toEqual([false, true, false, false]);
    expect([m.cpl(0), m.cpl(1), m.ports[1].nmiArmed]).toEqual([3, 3, false]);
    expect(m.vcpus[1].vmcs.guestDebugctl).toBe(debugctl);
    expect([m.pcpus[1].rdmsr(FROM + 3)]).toEqual([7]);
    m.startCpu(1);
    expect([m.booting(1), m.pcpus[1].rdmsr(FROM + 3)]).toEqual([false, 0]);
    expect(m.runningCall(1)).toBe(call.CALL_BOOT);
  });
});

describe('a switch of vCPUs', () => {
  it('a vCPU switch always happens at once, or before the access after so many', () => {
    const { m, said } = rigOf();
    m.arm(0, 2, 2);
    expect([m.isArmed(0), m.isArmed(1)]).toEqual([true, false]);
    m.rdmsr(0, TOS);
    m.rdmsr(0, TOS);
    expect([m.vcpus[0].pcpu, m.isArmed(0)]).toEqual([0, true]);
    said();
    m.rdmsr(0, FROM);
    expect(said('guestRead')).toEqual([]);
    expect([m.vcpus[0].pcpu, m.vcpus[2].pcpu, m.isArmed(0)]).toEqual([-1, 0, false]);
    const { suspended, argA, accesses, epilogue } = m.ports[0];
    expect([suspended, argA, accesses]).toEqual([call.CALL_RDMSR, FROM, 0]);
    expect(epilogue).not.toBe(0);
    expect(said('guestIdle')).toEqual([]);
    m.switchTo(1, 0);
    m.resume(0);
    expect(said('guestRead')).toEqual([`guestRead 0 ${FROM} 0 0`]);
    expect([m.ports[0].suspended, m.cpl(0)]).toEqual([0, 3]);
  });

  it('a vCPU switch leaves the pCPU idle if the vCPU is elsewhere meanwhile', () => {
    const { m } = rigOf();
    m.arm(0, 2, 0);
    m.switchTo(1, 2);
    m.rdmsr(0, TOS);
    expect([m.vcpus[2].pcpu, m.loaded(0), m.vcpus[0].pcpu]).toEqual([1, null, -1]);
    m.arm(1, -1, 0);
    m.rdmsr(2, TOS);
    expect([m.loaded(1), m.vcpus[2].pcpu]).toEqual([null, -1]);
  });

  it('a vCPU switch that is armed is dropped once another one happened first', () => {
    const { m } = rigOf();
    m.arm(0, 2, 0);
    m.switchTo(0, -1);
    expect(m.isArmed(0)).toBe(false);
    m.switchTo(0, 0);
    m.rdmsr(0, TOS);
    expect(m.vcpus[0].pcpu).toBe(0);
  });

  it('accesses of the PMI handler always count for a vCPU switch as well', () => {
    const { m } = rigOf();
    m.open(0, 0, 0, U_CALLSTACK);
    m.arm(0, -1, 3);
    m.pmi(0, 0, 0);
    expect([m.ports[0].suspended, m.ports[0].accesses]).toEqual([call.CALL_PMI, 3]);
    expect([m.vcpus[0].pcpu, m.cpl(0), m.ports[0].lockedTasks]).toEqual([-1, 0, 0]);
    m.switchTo(0, 0);
    m.resume(0);
    expect([m.ports[0].suspended, m.cpl(0)]).toEqual([0, 3]);
  });
});

describe('the host', () => {
  it('work of the host always takes the vCPU out of the guest, and spares an idle pCPU', () => {
    const { m, said } = rigOf();
    m.exitAndEnter(0);
    expect([said(), m.vcpus[0].inGuest]).toEqual([['exited 0'], false]);
    m.exitAndEnter(0);
    expect([said(), m.vcpus[0].inGuest]).toEqual([['exited 0'], false]);
    m.kvm.enter(m.vcpus[0]);
    m.hostWork(0, 1);
    expect([said(), m.vcpus[0].inGuest]).toEqual([['exited 0'], false]);
    m.kvm.enter(m.vcpus[0]);
    m.hostEvent(0, PINNED, ON);
    expect([said()[0], m.vcpus[0].inGuest]).toEqual(['exited 0', false]);
    m.switchTo(0, -1);
    said();
    m.exitAndEnter(0);
    m.hostWork(0, 1);
    expect(said('exited')).toEqual([]);
  });

  it('branches of the host are always recorded under its own event only', () => {
    const { m, said } = rigOf();
    m.hostWork(0, 3);
    expect([said('hostBranch'), m.pcpus[0].stack.empty]).toEqual([[], true]);
    m.hostEvent(0, PINNED, ON);
    said();
    m.hostWork(0, 2);
    const lines = said();
    expect(lines.filter((line) => line === 'hostBranch 0')).toHaveLength(2);
    expect(lines.filter((line) => line.startsWith('hostSample'))).toHaveLength(1);
    const { stack } = m.pcpus[0];
    expect(stack.tos).toBe(2);
    const from = branch.addressHigh(false, branch.BRANCH_REL_CALL, branch.HOST_VM, 0, 0);
    expect([stack.readLow(FROM + 2), stack.readHigh(FROM + 2)]).toEqual([2, from]);
    expect(branch.addressVm(stack.readHigh(TO + 2))).toBe(branch.HOST_VM);
  });

  it('the policy is told before a host event starts, and after it has stopped', () => {
    const seen: unknown[] = [];
    const policy: LbrPolicy = {
      ...never,
      host_perf_event: (_kvm, pcpu, loaded, on) => {
        seen.push([pcpu, loaded?.id ?? -1, on, rig.m.pcpus[pcpu].debugctl !== 0]);
      },
    };
    const rig = rigOf(policy);
    for (const op of [ON, OFF, ON, CLOSE]) rig.m.hostEvent(1, OF_TASK, op);
    rig.m.switchTo(1, -1);
    rig.m.hostEvent(1, PINNED, ON);
    expect(seen).toEqual([
      [1, 1, true, false],
      [1, 1, false, false],
      [1, 1, true, false],
      [1, 1, false, false],
      [1, -1, true, false],
    ]);
    expect(rig.m.host.hostEventState(1, PINNED)).toBe('on');
  });

  it('a deep C-state always loses the records of one pCPU', () => {
    const { m, said } = rigOf();
    for (const vcpu of [0, 1]) m.wrmsr(vcpu, FROM + 1, 7, 0);
    said();
    m.cstate(0);
    expect([m.pcpus[0].stack.empty, m.pcpus[1].stack.empty]).toEqual([true, false]);
    expect(said()).toEqual(['cstate 0']);
  });
});

describe('guestKernelConfig', () => {
  it('a guest is always told of PMU version 2 and of its vCPUs, whatever the CPU', () => {
    const { m } = rigOf(pvV2, { cpu: 'skylake', kernel: '4.18', tasks: 4 });
    expect(guestKernelConfig(m.config)).toEqual({
      model: cpuModel('skylake'),
      cpus: 2,
      tasks: 8,
      events: 6,
      pmu_version: 2,
      version: '4.18',
      pv: 'add-del',
      driver: PORT,
      withoutLbr: false,
    });
    expect(m.guests[0].x86_pmu.restoreShortcut).toBe(false);
  });
});
