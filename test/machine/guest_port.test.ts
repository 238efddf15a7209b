/** A guest's accesses to MSRs: what can happen between two accesses, and what a function locks. */
import { describe, expect, it } from 'vitest';
import * as perf from '../../src/guest/perf/perf_event.js';
import { assert, ModelInvariantError } from '../../src/hw/assert.js';
import * as branch from '../../src/hw/branch.js';
import { GP_VECTOR, type Vector } from '../../src/hw/msr_port.js';
import { DEBUGCTLMSR_FREEZE_IN_SMM } from '../../src/hw/msr_index.js';
import { always } from '../../src/host/policy/always.js';
import { BRANCH_TYPES } from '../../src/schedule/actions/events.js';
import * as call from '../../src/machine/guest_call.js';
import { GuestPort } from '../../src/machine/guest_port.js';
import type { Machine } from '../../src/machine/machine.js';
import { DEBUGCTL, Rig, TOS } from '../rig/machine.js';
import { Recorder } from '../rig/observer.js';

/** One VM of two vCPUs and four tasks on two pCPUs, with stacks of four and an open event. */
function rigOf(recorder?: Recorder): Rig {
  const part = { vms: 1, vcpus: 2, tasks: 4, pcpus: 2, cpu: 'skylake/4' };
  const rig = new Rig(always, part, recorder);
  expect(rig.m.open(0, 0, 0, BRANCH_TYPES[0])).toBe(0);
  rig.said();
  return rig;
}

describe('an NMI', () => {
  it('an NMI is taken once, after so many accesses counted over all functions', () => {
    for (const [after, at, pending] of [
      [1, 0, 0],
      [2, 1, 0],
      [5, 4, 0],
      [7, -1, 2],
    ]) {
      const { m, said } = rigOf();
      m.pmi(0, 0, after);
      expect(m.ports[0].nmiArmed).toBe(true);
      for (let i = 0; i < 5; i++) m.rdmsr(0, TOS);
      const lines = said('guestRead', 'guestPmi').filter(
        (line) => line.startsWith('guestPmi') || line.startsWith(`guestRead 0 ${TOS} `),
      );
      // The PMI handler reads TOS once, too.
      const before = lines.findIndex((line) => line.startsWith('guestPmi'));
      expect([before, m.ports[0].nmiArmed]).toEqual([at, pending > 0]);
      for (let i = 0; i < pending; i++) m.rdmsr(0, TOS);
      const came = [...lines, ...said('guestPmi')].filter((line) => line.startsWith('guestPmi'));
      expect([came, m.ports[0].nmiArmed]).toEqual([['guestPmi 0 0'], false]);
    }
  });

  it('an NMI always interrupts kernel code, runs in kernel code, and returns there', () => {
    const { m, said } = rigOf();
    m.pmi(0, 0, 1);
    m.rdmsr(0, TOS);
    const lines = said('guestBranch', 'guestPmi', 'guestSample', 'guestRead');
    const branches = lines.filter((line) => line.startsWith('guestBranch'));
    expect(branches.map((line) => line.split(' ').slice(2, 4).map(Number))).toEqual([
      [branch.BRANCH_SYSCALL, 0],
      [branch.BRANCH_IRQ, 0],
      [branch.BRANCH_IRET, 0],
      [branch.BRANCH_SYSRET, 3],
    ]);
    for (const line of branches.slice(1, 3)) {
      const [from, to] = line.split(' ').slice(5).map(Number);
      expect([from < 0, to < 0]).toEqual([true, true]);
    }
    const [pmi, irq, sample, iret] = [
      lines.indexOf('guestPmi 0 0'),
      lines.indexOf(branches[1]),
      lines.indexOf('guestSample 0 0'),
      lines.indexOf(branches[2]),
    ];
    expect(pmi < irq && irq < sample && sample < iret).toBe(true);
    expect(lines.at(-2)?.startsWith(`guestRead 0 ${TOS} `)).toBe(true);
  });

  it('an NMI inside a function is told apart from a PMI that interrupts no function', () => {
    /** For each sample, whether its NMI came inside another function. */
    const nested: boolean[] = [];
    const recorder = new Recorder((name, [vcpu]) => {
      if (name === 'guestSample') nested.push(rig.m.ports[vcpu].nested);
    });
    const rig = rigOf(recorder);
    rig.m.pmi(0, 0, 0);
    rig.m.pmi(0, 0, 1);
    rig.m.rdmsr(0, TOS);
    rig.m.pmi(0, 0, 0);
    expect(nested).toEqual([false, true, false]);
    expect(rig.m.ports[0].nested).toBe(false);
  });

  it('an NMI is never taken once it was called off', () => {
    const { m, said } = rigOf();
    m.pmi(0, 0, 1);
    m.ports[0].disarmNmi();
    m.rdmsr(0, TOS);
    expect([said('guestPmi'), m.ports[0].nmiArmed]).toEqual([[], false]);
  });

  it('an NMI is always taken on its own vCPU', () => {
    const { m, said } = rigOf();
    m.pmi(0, 0, 1);
    m.rdmsr(1, TOS);
    expect([said('guestPmi'), m.ports[1].nmiArmed, m.ports[0].nmiArmed]).toEqual([[], false, true]);
  });

  it('an NMI inside a function that is interrupted still counts on, and is taken once', () => {
    const { m, said } = rigOf();
    m.pmi(0, 0, 2);
    m.arm(0, -1, 0);
    m.rdmsr(0, TOS);
    expect([said('guestPmi', 'guestRead'), m.ports[0].nmiArmed]).toEqual([[], true]);
    m.switchTo(0, 0);
    m.resume(0);
    m.rdmsr(0, TOS);
    m.rdmsr(0, TOS);
    expect(said('guestPmi')).toEqual(['guestPmi 0 0']);
  });
});

describe('an NMI inside a function that is interrupted', () => {
  /** Reads of TOS that are made before an armed NMI comes; the host takes the CPU before one. */
  function readsBefore(after: number, interrupted: number): number {
    const { m, said } = rigOf();
    m.pmi(0, 0, after);
    for (let i = 0; i < after; i++) {
      if (i === interrupted) m.arm(0, -1, 0);
      m.rdmsr(0, TOS);
      if (i !== interrupted) continue;
      m.switchTo(0, 0);
      m.resume(0);
    }
    const lines = said('guestRead', 'guestPmi');
    return lines.indexOf('guestPmi 0 0');
  }

  /** What a function of several accesses does while an NMI is armed. */
  function disabled(after: number, interrupted: number): string[] {
    const { m, said } = rigOf();
    m.pmi(0, 0, after);
    if (interrupted >= 0) m.arm(0, -1, interrupted);
    m.disable(0, 0);
    if (interrupted >= 0) {
      m.switchTo(0, 0);
      m.resume(0);
    }
    return said('guestRead', 'guestWrite', 'guestPmi', 'guestSample');
  }

  it('an armed NMI comes at the same access, wherever its function was unwound before', () => {
    for (const after of [2, 3]) {
      const plain = disabled(after, -1);
      expect(plain.indexOf('guestPmi 0 0')).toBe(after - 1);
      for (let at = 0; at < after; at++) expect([at, disabled(after, at)]).toEqual([at, plain]);
    }
  });

  it('an armed NMI counts an access once, though its function is unwound there', () => {
    for (const after of [1, 2, 3, 4]) {
      for (let at = 0; at < after; at++) {
        expect([after, at, readsBefore(after, at)]).toEqual([after, at, after - 1]);
      }
    }
  });
});

describe('an access that may fault', () => {
  /** A CPU of a new kernel that the host takes before it asks for a freeze in SMM. */
  function takenInStart(): { rig: Rig; writes: () => string[] } {
    const rig = rigOf();
    const { m } = rig;
    const reset = 2 + 3 * m.config.model.lbr_nr;
    m.close(0, 0);
    m.arm(0, -1, reset);
    m.kexec(0);
    expect([m.ports[0].suspended, m.ports[0].accesses]).toEqual([call.CALL_BOOT, reset]);
    const writes = (): string[] => rig.said('guestFault', 'guestWrite');
    writes();
    return { rig, writes };
  }

  it('no fault is expected while the host has the CPU, nor once the write is made', () => {
    const { rig, writes } = takenInStart();
    const { m } = rig;
    expect(m.ports[0].expectsFault).toBe(false);
    m.switchTo(0, 0);
    m.resume(0);
    expect(writes()).toEqual([`guestFault 0 ${DEBUGCTL} true ${DEBUGCTLMSR_FREEZE_IN_SMM} 0`]);
    expect(m.ports[0].expectsFault).toBe(false);
  });
});

describe('an interruption', () => {
  it('an interruption leaves the number, the arguments and the way back of the function', () => {
    const { m } = rigOf();
    m.arm(0, -1, 0);
    m.wrmsr(0, TOS, 2, 3);
    const { suspended, argA, argB, argC, accesses } = m.ports[0];
    expect([suspended, argA, argB, argC, accesses]).toEqual([call.CALL_WRMSR, TOS, 2, 3, 0]);
    const fromUser = m.ports[0].epilogue;
    m.switchTo(0, 0);
    m.resume(0);
    expect(m.ports[0].suspended).toBe(0);
    m.enterKernel(0, branch.BRANCH_IRQ);
    m.arm(0, -1, 0);
    m.rdmsr(0, TOS);
    expect([fromUser === 0, m.ports[0].epilogue]).toEqual([false, 0]);
    m.switchTo(0, 0);
    m.resume(0);
    expect(m.cpl(0)).toBe(0);
  });

  it('an interruption may hit the handler of an NMI, whose sample is taken once', () => {
    const plain = rigOf();
    plain.m.pmi(0, 0, 1);
    plain.m.rdmsr(0, TOS);
    const wanted = plain.said('guestRead', 'guestWrite', 'guestSample', 'guestPmi', 'guestBranch');
    const n = wanted.filter((line) => /Read|Write/.test(line)).length;
    for (let k = 0; k < n; k++) {
      const { m, said } = rigOf();
      m.pmi(0, 0, 1);
      m.arm(0, -1, k);
      m.rdmsr(0, TOS);
      expect([m.ports[0].suspended, m.ports[0].accesses]).toEqual([call.CALL_RDMSR, k]);
      m.switchTo(0, 0);
      m.resume(0);
      expect(said('guestRead', 'guestWrite', 'guestSample', 'guestPmi', 'guestBranch')).toEqual(
        wanted,
      );
    }
  });

  it('re-executed accesses are never reported twice', () => {
    const { m, said } = rigOf();
    m.arm(0, -1, 4);
    m.switchTask(0, 2);
    const first = said('guestRead', 'guestWrite');
    expect([first.length, m.ports[0].accesses, m.ports[0].replaying]).toEqual([4, 4, false]);
    m.switchTo(0, 0);
    m.resume(0);
    const rest = said('guestRead', 'guestWrite');
    const plain = rigOf();
    plain.m.switchTask(0, 2);
    const whole = plain.said('guestRead', 'guestWrite');
    expect(whole.length).toBeGreaterThan(4);
    expect([...first, ...rest]).toEqual(whole);
  });
});

describe('lockedTasks', () => {
  /** Tasks that a function has locked when it is interrupted before its first access. */
  function held(run: (m: Machine) => void, prepare = (_m: Machine): void => {}): number {
    const { m } = rigOf();
    prepare(m);
    m.arm(0, -1, 0);
    run(m);
    expect(m.ports[0].suspended).not.toBe(0);
    return m.ports[0].lockedTasks;
  }

  it('lockedTasks are the current task, and those whose contexts the function changes', () => {
    const inherit = (m: Machine): void => {
      m.open(0, 0, perf.ATTR_INHERIT, BRANCH_TYPES[0]);
      m.fork(0);
    };
    expect(held((m) => m.switchTask(0, 2))).toBe(0b101);
    expect(held((m) => m.switchTask(0, 3))).toBe(0b1001);
    expect(held((m) => m.rdmsr(0, TOS))).toBe(0b1);
    expect(held((m) => m.kexec(0))).toBe(0b1);
    expect(held((m) => m.disable(0, 0))).toBe(0b1);
    expect(held((m) => m.close(0, 1), inherit)).toBe(0b10001);
    expect(held((m) => m.disable(0, 1), inherit)).toBe(0b10001);
    expect(
      held(
        (m) => m.enable(0, 1),
        (m) => {
          inherit(m);
          m.disable(0, 1);
        },
      ),
    ).toBe(0b10001);
    expect(held((m) => void m.open(0, 0, 0, BRANCH_TYPES[0]))).toBe(0b1);
    // Opening an event for another task changes that task's context.
    const other = (m: Machine): void => void m.open(0, 2, 0, BRANCH_TYPES[0]);
    const both = (m: Machine): void => {
      m.open(0, 0, perf.ATTR_INHERIT, BRANCH_TYPES[0]);
      m.fork(0);
      other(m);
      m.switchTask(0, 4);
      m.switchTask(0, 0);
    };
    expect(held((m) => m.close(0, 1), both)).toBe(0b10001);
    // A PMI handler locks nothing: it stops the PMU, reads, and starts the PMU.
    expect(held((m) => m.pmi(0, 0, 0))).toBe(0);
  });

  it('lockedTasks never outlive the function', () => {
    const { m } = rigOf();
    m.arm(0, -1, 0);
    m.switchTask(0, 2);
    m.switchTo(0, 0);
    m.resume(0);
    expect([m.ports[0].suspended, m.ports[0].lockedTasks]).toEqual([0, 0]);
  });
});

/** The port of vCPU 0. */
function portOf(m: Machine): GuestPort {
  const [port] = m.ports;
  assert(port instanceof GuestPort, 'the machine runs the port of the kernel');
  return port;
}

describe('guest functions', () => {
  it('each guest function has a name and a number', () => {
    expect(call.CALL_NAMES.length).toBe(call.CALL_ATTACH + 1);
    expect(new Set(call.CALL_NAMES).size).toBe(call.CALL_NAMES.length);
    const { m } = rigOf();
    expect(() => call.runGuestCall(m.cpu(0), 99, 0, 0, 0)).toThrow('no guest function 99');
    // What the port lacks.
    expect(() => call.runGuestCall(m.cpu(0), call.CALL_ATTACH, 0, 0, 0)).toThrow(
      'no guest function 15',
    );
  });

  it('a guest function always runs on a port that belongs to a CPU', () => {
    const { m } = rigOf();
    portOf(m).cpu = null;
    expect(() => portOf(m).rewind()).toThrow('a port belongs to a CPU');
  });

  it('a guest function never begins while another is suspended, nor resumes if none is', () => {
    const { m } = rigOf();
    const port = portOf(m);
    expect(() => port.rewind()).toThrow('only a suspended function runs again');
    expect(() => port.suspend()).toThrow(ModelInvariantError);
    m.arm(0, -1, 0);
    m.rdmsr(0, TOS);
    expect(port.suspended).toBe(call.CALL_RDMSR);
    const underWay = 'a function begins when no other is under way';
    expect(() => port.begin(call.CALL_BOOT, 0, 0, 0, 0, 0)).toThrow(underWay);
    expect(() => port.beginQuiet()).toThrow(underWay);
  });

  it('a re-executed guest function must repeat all its accesses', () => {
    const { m } = rigOf();
    const port = portOf(m);
    m.arm(0, -1, 2);
    m.disable(0, 0);
    expect(port.accesses).toBe(2);
    port.rewind();
    port.rdmsr(DEBUGCTL);
    expect(() => port.end()).toThrow('a function that runs again makes the same accesses');
  });

  it('a read that is repeated faults as it did, whatever was read meanwhile', () => {
    const { m } = rigOf();
    const port = portOf(m);
    const unknown = 0x10;
    port.begin(call.CALL_RDMSR, unknown, 0, 0, 0, 0);
    port.rdmsr(unknown);
    port.rdmsr(TOS);
    port.suspend();
    const vectorsAfter = (vector: Vector): Vector[] => {
      port.rewind();
      port.vector = vector;
      const vectors = [unknown, TOS].map((msr) => {
        port.rdmsr(msr);
        return port.vector;
      });
      port.suspend();
      return vectors;
    };
    for (const vector of [0, GP_VECTOR] as const) {
      expect(vectorsAfter(vector)).toEqual([GP_VECTOR, 0]);
    }
  });

  it('a task switch never leaves a task that does not run, nor goes to one that does', () => {
    const { m } = rigOf();
    const [cpu] = m.guests[0].cpus;
    expect(() => call.runGuestCall(cpu, call.CALL_SWITCH, 2, 3, 0)).toThrow(
      'the task that leaves is the one that runs',
    );
    expect(() => call.runGuestCall(cpu, call.CALL_SWITCH, 0, 1, 0)).toThrow(
      'a task runs on one CPU at a time',
    );
  });
});
