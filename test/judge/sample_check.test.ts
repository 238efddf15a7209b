/** no-leak/task and callstack-true on hand-made schedules that keep or break them. */
import { describe, expect, it } from 'vitest';
import * as perf from '../../src/guest/perf/perf_event.js';
import * as branch from '../../src/hw/branch.js';
import { never } from '../../src/host/policy/never.js';
import { BRANCH_TYPES } from '../../src/schedule/actions/events.js';
import { WatchedRig } from '../rig/judge.js';
import { DEBUGCTL, FROM, TOS } from '../rig/machine.js';

const CALLSTACK_USER = BRANCH_TYPES[0];
const ANY_USER = BRANCH_TYPES[1];
const CALLSTACK_BOTH = BRANCH_TYPES[3];
const { BRANCH_REL_CALL: CALL, BRANCH_IND_CALL, BRANCH_ZERO_CALL, BRANCH_RET, BRANCH_JCC } = branch;

/** A watched machine under `never`, which leaves the registers as they are. */
const leaky = (cpu = 'skylake'): WatchedRig => new WatchedRig({ policy: never, cpu });

function calls({ m }: WatchedRig, n: number, vcpu = 0): void {
  m.branches(vcpu, CALL, n);
}

/** Changes a record of a guest behind the back of the reference machine. */
function tamper({ m }: WatchedRig, slot: number, seq: number): void {
  const { stack } = m.pcpus[m.vcpus[0].pcpu];
  stack.write(FROM + slot, seq, stack.readHigh(FROM + slot));
}

/** v0 makes calls and leaves, v1 makes other calls, v0 returns and takes a sample. */
function sampleAfterOther(rig: WatchedRig, type: number, others: number, otherTask: number): void {
  rig.open(type);
  calls(rig, 3);
  rig.m.switchTo(0, 1);
  rig.open(type, otherTask, 1);
  calls(rig, others, 1);
  rig.m.switchTo(0, 0);
  rig.sample();
}

describe('callstack-true', () => {
  it('callstack-true always holds for the innermost frames, up to depth', () => {
    const rig = leaky();
    calls(rig, 2);
    rig.open(CALLSTACK_USER);
    for (const step of [
      (): void => calls(rig, 3),
      (): void => rig.m.branches(0, BRANCH_IND_CALL, 1),
      (): void => rig.m.branches(0, BRANCH_RET, 2),
      (): void => rig.m.branches(0, BRANCH_JCC, 3),
      (): void => calls(rig, 9),
      (): void => rig.m.branches(0, BRANCH_RET, 3),
      (): void => rig.m.branches(0, BRANCH_RET, 9),
    ]) {
      step();
      rig.sample();
    }
    expect(rig.allBroken).toEqual([]);
    expect(rig.reach('callstack-sample')).toBe(6);
    expect(rig.reach('wrapped')).toBeGreaterThan(0);
  });

  it('callstack-true fails for a frame that is another one, missing or made up', () => {
    for (const [slot, seq] of [
      [1, 77],
      [2, 77],
      // An empty slot ends the stack, so a frame below it is missing.
      [2, 0],
    ]) {
      const rig = leaky();
      rig.open(CALLSTACK_USER);
      calls(rig, 3);
      const { stack } = rig.m.pcpus[0];
      const newest = stack.tos;
      tamper(rig, (newest - slot + 1) & 3, seq);
      if (seq === 0) stack.write(FROM + ((newest - 1) & 3), 0, 0);
      rig.sample();
      expect(rig.broken).toContain('callstack-true');
      expect(rig.detail('callstack-true')).toContain('v0: a sample of ');
    }
  });

  it('callstack-true is never asked of other modes, nor of call stacks with the kernel', () => {
    for (const type of [ANY_USER, CALLSTACK_BOTH]) {
      const rig = leaky();
      rig.open(type, 0, 0);
      calls(rig, 3);
      tamper(rig, rig.m.pcpus[0].stack.tos, 77);
      rig.sample();
      expect([type, rig.broken.includes('no-loss/any')]).toEqual([type, true]);
      expect(rig.broken).not.toContain('callstack-true');
      expect(rig.reach('callstack-sample')).toBe(0);
    }
  });

  it('callstack-true fails for frames that the host put there from elsewhere', () => {
    const bad = leaky();
    const good = new WatchedRig();
    for (const rig of [bad, good]) sampleAfterOther(rig, CALLSTACK_USER, 2, 0);
    expect(bad.broken).toEqual(
      expect.arrayContaining(['no-loss/callstack', 'no-leak/vm', 'callstack-true']),
    );
    expect(good.allBroken).toEqual([]);
  });

  it('callstack-true is exact for plain use: a stack that ends too early is wrong', () => {
    const short = (prepare: (rig: WatchedRig) => void, cpu?: string): boolean => {
      const rig = leaky(cpu);
      rig.open(CALLSTACK_USER);
      prepare(rig);
      calls(rig, 3);
      // Loses the oldest frame.
      const oldest = (rig.m.pcpus[0].stack.tos - 2) & 3;
      rig.m.pcpus[0].stack.write(FROM + oldest, 0, 0);
      rig.sample();
      return rig.broken.includes('callstack-true');
    };
    expect(short(() => {})).toBe(true);
    // A short stack is tolerated if hardware cannot know the exact depth: raw accesses,
    expect(short((rig) => rig.m.rdmsr(0, TOS))).toBe(false);
    expect(short((rig) => rig.m.wrmsr(0, TOS, 0, 0))).toBe(false);
    // a call to the next instruction, where hardware takes it for a frame,
    const zeroCall = (rig: WatchedRig): void => rig.m.branches(0, BRANCH_ZERO_CALL, 1);
    expect([short(zeroCall), short(zeroCall, 'haswell')]).toEqual([true, false]);
    // a second event of any kind,
    const extra = (type: number, task: number) => (rig: WatchedRig) => {
      rig.open(type, task, 0);
      rig.m.close(0, 1);
    };
    expect(short(extra(CALLSTACK_USER, 1))).toBe(false);
    expect(short(extra(ANY_USER, 0))).toBe(false);
    expect(short(extra(CALLSTACK_USER, -1))).toBe(false);
    // an event that stops counting for its task and starts again.
    expect(
      short((rig) => {
        rig.m.disable(0, 0);
        rig.m.enable(0, 0);
      }),
    ).toBe(false);
    // The same actions of the other VM have no effect.
    expect(
      short((rig) => {
        rig.m.switchTo(0, 1);
        rig.m.rdmsr(1, TOS);
        rig.m.switchTo(0, 0);
      }),
    ).toBe(true);
  });

  it('callstack-true is exact for each task from when on its event counts', () => {
    const rig = leaky();
    calls(rig, 4);
    rig.open(CALLSTACK_USER, 0, 0, perf.ATTR_INHERIT);
    calls(rig, 2);
    rig.m.fork(0);
    rig.m.switchTask(0, 3);
    calls(rig, 3);
    rig.sample();
    rig.m.switchTask(0, 0);
    rig.sample();
    expect(rig.allBroken).toEqual([]);
    expect(rig.reach('sample-after-other-task')).toBe(1);
  });

  it('callstack-true is never exact for an NMI inside a kernel function', () => {
    const rig = leaky();
    rig.open(CALLSTACK_USER, 0, 0, perf.ATTR_INHERIT);
    calls(rig, 3);
    rig.m.fork(0);
    rig.m.switchTask(0, 3);
    calls(rig, 1);
    for (let after = 1; after < 40; after++) {
      rig.sample(after);
      rig.m.switchTask(0, rig.m.cpu(0).cpuctx.current === 3 ? 0 : 3);
      if (rig.m.ports[0].nmiArmed) rig.m.ports[0].disarmNmi();
    }
    expect(rig.broken).toEqual([]);
  });
});

describe('no-leak/task', () => {
  it('no-leak/task fails for a branch that another vCPU of the VM recorded', () => {
    const bad = new WatchedRig({ policy: never, vcpus: 2, vms: 1 });
    const good = new WatchedRig({ vcpus: 2, vms: 1 });
    for (const rig of [bad, good]) sampleAfterOther(rig, ANY_USER, 4, 1);
    expect(bad.broken).toContain('no-leak/task');
    const text = 'v0: a sample of task 0 holds a branch of task 1';
    expect(bad.detail('no-leak/task')).toBe(text);
    expect(good.allBroken).toEqual([]);
  });

  it('no-leak/task fails against a kernel that leaves a task what another recorded', () => {
    const rig = leaky();
    rig.open(ANY_USER, -1, 0);
    calls(rig, 2);
    rig.m.enterKernel(0, branch.BRANCH_IRQ);
    rig.m.disable(0, 0);
    rig.m.switchTask(0, 1);
    rig.m.enable(0, 0);
    rig.m.leaveKernel(0, branch.BRANCH_IRET);
    rig.sample();
    expect(rig.broken).toEqual([]);
    expect(rig.own).toEqual(['no-leak/task']);
    const text = 'v0: a sample of task 1 holds a branch of task 0';
    expect(rig.ownDetail('no-leak/task')).toBe(text);
  });

  it('no-leak/task never speaks of records of another VM, nor of empty ones', () => {
    const rig = leaky();
    rig.open(ANY_USER, 0, 0);
    calls(rig, 2);
    rig.m.switchTo(0, 1);
    rig.open(ANY_USER, 0, 1);
    rig.m.switchTask(1, 1);
    rig.m.wrmsr(1, DEBUGCTL, 1, 0);
    calls(rig, 4, 1);
    rig.m.switchTo(0, 0);
    rig.sample();
    expect(rig.broken).toContain('no-leak/vm');
    expect(rig.broken).not.toContain('no-leak/task');
  });
});
