/** What samples hold: no-leak/task and callstack-true, on hand-made schedules, both ways. */
import { describe, expect, it } from 'vitest';
import * as perf from '../../src/guest/perf/perf_event.js';
import * as branch from '../../src/hw/branch.js';
import { findCpuModel, withDepth } from '../../src/hw/cpu_models.js';
import type { CpuModel } from '../../src/hw/cpu_models.js';
import * as msrs from '../../src/hw/msr_index.js';
import { always } from '../../src/host/policy/always.js';
import { never } from '../../src/host/policy/never.js';
import { PROPERTY_NAMES } from '../../src/judge/properties.js';
import type { LbrPolicy } from '../../src/host/policy/policy.js';
import { KIND } from '../../src/schedule/table.js';
import { BRANCH_TYPES } from '../../src/schedule/actions/events.js';
import { Machine } from '../../src/machine/machine.js';
import { canPerform } from '../../src/schedule/table.js';
import { Monitor } from '../../src/judge/monitor.js';
import type { PropertyName, ReachName } from '../../src/judge/properties.js';
import { P, R } from '../../src/judge/verdicts.js';

const CALLSTACK_USER = BRANCH_TYPES[0];
const ANY_USER = BRANCH_TYPES[1];
const CALLSTACK_BOTH = BRANCH_TYPES[3];
const { BRANCH_REL_CALL: CALL, BRANCH_IND_CALL, BRANCH_ZERO_CALL, BRANCH_RET, BRANCH_JCC } = branch;

function skylake(): CpuModel {
  const found = findCpuModel('skylake');
  if (found === undefined) throw new Error('no skylake');
  return found;
}

/** A watched machine of four records; vCPU 0 of each VM is CPU 0 of its guest. */
class Rig {
  readonly m: Machine;
  readonly monitor: Monitor;

  constructor(policy: LbrPolicy = never, vcpus = 1, vms = 2) {
    const shape = { vms, vcpus, tasks: 3, pcpus: 1 };
    const model = withDepth(skylake(), 4);
    const config = { ...shape, model, kernel: '6.1' as const, policy };
    this.monitor = new Monitor(config);
    this.m = new Machine(config, this.monitor);
    this.monitor.start(this.m);
    this.m.boot();
  }

  open(vcpu = 0, task = 0, type = CALLSTACK_USER, attr = 0): void {
    expect(this.m.open(vcpu, task, attr, type)).toBe(0);
  }

  calls(n: number, vcpu = 0): void {
    this.m.branches(vcpu, CALL, n);
  }

  /** Takes a sample of the first event that counts. */
  sample(vcpu = 0, after = 0): void {
    const { events } = this.m.cpu(vcpu).kernel;
    const slot = events.findIndex(({ id }) => canPerform(this.m, KIND.pmi, vcpu, id, after));
    expect(slot).toBeGreaterThanOrEqual(0);
    this.m.pmi(vcpu, slot, after);
  }

  /** Broken by the policy, then by the guest's kernel itself. */
  get verdict(): [PropertyName[], PropertyName[]] {
    const { broken, own } = this.monitor.verdicts;
    return [
      PROPERTY_NAMES.filter((_, p) => broken[p] !== 0),
      PROPERTY_NAMES.filter((_, p) => own[p] !== 0),
    ];
  }

  get broken(): PropertyName[] {
    return this.verdict[0];
  }

  reach(name: ReachName): number {
    return this.monitor.verdicts.reach[R[name]];
  }

  /** Makes the records of a guest differ from those of the reference machine, unseen by it. */
  tamper(slot: number, seq: number): void {
    const { stack } = this.m.pcpus[this.m.vcpus[0].pcpu];
    const from = msrs.MSR_LBR_NHM_FROM + slot;
    stack.write(from, seq, stack.readHigh(from));
  }
}

describe('callstack-true', () => {
  it('always holds for the innermost frames, up to depth', () => {
    const rig = new Rig();
    rig.calls(2);
    rig.open();
    for (const step of [
      (): void => rig.calls(3),
      (): void => rig.m.branches(0, BRANCH_IND_CALL, 1),
      (): void => rig.m.branches(0, BRANCH_RET, 2),
      (): void => rig.m.branches(0, BRANCH_JCC, 3),
      (): void => rig.calls(9),
      (): void => rig.m.branches(0, BRANCH_RET, 3),
      (): void => rig.m.branches(0, BRANCH_RET, 9),
    ]) {
      step();
      rig.sample();
    }
    expect(rig.verdict).toEqual([[], []]);
    expect(rig.reach('callstack-sample')).toBe(6);
    expect(rig.reach('wrapped')).toBeGreaterThan(0);
  });

  it('never holds for a frame that is another one, missing or made up, by wrong reads', () => {
    for (const [slot, seq] of [
      [1, 77],
      [2, 77],
      // An empty slot ends the stack: a frame is missing from below it.
      [2, 0],
    ]) {
      const rig = new Rig();
      rig.open();
      rig.calls(3);
      const { stack } = rig.m.pcpus[0];
      const newest = stack.tos;
      rig.tamper((newest - slot + 1) & 3, seq);
      if (seq === 0) stack.write(msrs.MSR_LBR_NHM_FROM + ((newest - 1) & 3), 0, 0);
      rig.sample();
      expect(rig.broken).toContain('callstack-true');
      expect(rig.monitor.verdicts.details[P['callstack-true']]).toContain('v0: a sample of ');
    }
  });

  it('never is asked of other modes, nor of call stacks that include the kernel', () => {
    for (const type of [ANY_USER, CALLSTACK_BOTH]) {
      const rig = new Rig();
      rig.open(0, 0, type);
      rig.calls(3);
      rig.tamper(rig.m.pcpus[0].stack.tos, 77);
      rig.sample();
      expect([type, rig.broken.includes('no-loss/any')]).toEqual([type, true]);
      expect(rig.broken).not.toContain('callstack-true');
      expect(rig.reach('callstack-sample')).toBe(0);
    }
  });

  it('never holds for frames that the host put there from elsewhere', () => {
    const bad = new Rig(never);
    const good = new Rig(always);
    for (const rig of [bad, good]) {
      rig.open();
      rig.calls(3);
      rig.m.switchTo(0, 1);
      rig.open(1);
      rig.calls(2, 1);
      rig.m.switchTo(0, 0);
      rig.sample();
    }
    expect(bad.broken).toEqual(
      expect.arrayContaining(['no-loss/callstack', 'no-leak/vm', 'callstack-true']),
    );
    expect(good.verdict).toEqual([[], []]);
  });

  it('always is exact for plain use: a stack that ends too early is wrong', () => {
    const short = (prepare: (rig: Rig) => void): boolean => {
      const rig = new Rig();
      rig.open();
      prepare(rig);
      rig.calls(3);
      // The oldest frame is lost.
      const oldest = (rig.m.pcpus[0].stack.tos - 2) & 3;
      rig.m.pcpus[0].stack.write(msrs.MSR_LBR_NHM_FROM + oldest, 0, 0);
      rig.sample();
      return rig.broken.includes('callstack-true');
    };
    expect(short(() => {})).toBe(true);
    // Whatever makes the exact number unpredictable makes it lenient: raw accesses by the guest,
    expect(short((rig) => rig.m.rdmsr(0, msrs.MSR_LBR_TOS))).toBe(false);
    expect(short((rig) => rig.m.wrmsr(0, msrs.MSR_LBR_TOS, 0, 0))).toBe(false);
    // a call to the next instruction, which hardware takes for a frame,
    expect(short((rig) => rig.m.branches(0, BRANCH_ZERO_CALL, 1))).toBe(false);
    // a second event of any kind,
    const extra = (type: number, task: number) => (rig: Rig) => {
      rig.open(0, task, type);
      rig.m.close(0, 1);
    };
    expect(short(extra(CALLSTACK_USER, 1))).toBe(false);
    expect(short(extra(ANY_USER, 0))).toBe(false);
    expect(short(extra(CALLSTACK_USER, -1))).toBe(false);
    // an event that stops to count for its task, and comes back.
    expect(
      short((rig) => {
        rig.m.disable(0, 0);
        rig.m.enable(0, 0);
      }),
    ).toBe(false);
    // Nothing of the other VM does.
    expect(
      short((rig) => {
        rig.m.switchTo(0, 1);
        rig.m.rdmsr(1, msrs.MSR_LBR_TOS);
        rig.m.switchTo(0, 0);
      }),
    ).toBe(true);
  });

  it('always is exact from when on the event counts, for each task by itself', () => {
    const rig = new Rig();
    rig.calls(4);
    rig.open(0, 0, CALLSTACK_USER, perf.ATTR_INHERIT);
    rig.calls(2);
    rig.m.fork(0);
    rig.m.switchTask(0, 3);
    rig.calls(3);
    rig.sample();
    rig.m.switchTask(0, 0);
    rig.sample();
    expect(rig.verdict).toEqual([[], []]);
    expect(rig.reach('sample-after-other-task')).toBe(1);
  });

  it('never is exact for an NMI inside a kernel function', () => {
    const rig = new Rig();
    rig.open(0, 0, CALLSTACK_USER, perf.ATTR_INHERIT);
    rig.calls(3);
    rig.m.fork(0);
    rig.m.switchTask(0, 3);
    rig.calls(1);
    for (let after = 1; after < 40; after++) {
      rig.sample(0, after);
      rig.m.switchTask(0, rig.m.cpu(0).cpuctx.current === 3 ? 0 : 3);
      if (rig.m.ports[0].nmiArmed) rig.m.ports[0].disarmNmi();
    }
    expect(rig.broken).toEqual([]);
  });
});

describe('no-leak/task', () => {
  it('never holds for a branch that another vCPU of the VM recorded, unless it was moved', () => {
    const bad = new Rig(never, 2, 1);
    const good = new Rig(always, 2, 1);
    for (const rig of [bad, good]) {
      rig.open(0, 0, ANY_USER);
      rig.calls(2);
      rig.m.switchTo(0, 1);
      rig.open(1, 1, ANY_USER);
      rig.calls(4, 1);
      rig.m.switchTo(0, 0);
      rig.sample();
    }
    expect(bad.broken).toContain('no-leak/task');
    const text = 'v0: a sample of task 0 holds a branch of task 1';
    expect(bad.monitor.verdicts.details[P['no-leak/task']]).toBe(text);
    expect(good.verdict).toEqual([[], []]);
  });

  it('never holds against the kernel that leaves a task what its CPU recorded of another', () => {
    const rig = new Rig();
    rig.open(0, -1, ANY_USER);
    rig.calls(2);
    rig.m.enterKernel(0, branch.BRANCH_IRQ);
    rig.m.disable(0, 0);
    rig.m.switchTask(0, 1);
    rig.m.enable(0, 0);
    rig.m.leaveKernel(0, branch.BRANCH_IRET);
    rig.sample();
    expect(rig.broken).toEqual([]);
    expect(rig.verdict[1]).toEqual(['no-leak/task']);
    const text = 'v0: a sample of task 1 holds a branch of task 0';
    expect(rig.monitor.verdicts.ownDetails[P['no-leak/task']]).toBe(text);
  });

  it('never speaks of records of another VM, which are no-leak/vm, or of empty ones', () => {
    const rig = new Rig(never);
    rig.open(0, 0, ANY_USER);
    rig.calls(2);
    rig.m.switchTo(0, 1);
    rig.open(1, 0, ANY_USER);
    rig.m.switchTask(1, 1);
    rig.m.wrmsr(1, msrs.MSR_IA32_DEBUGCTLMSR, 1, 0);
    rig.calls(4, 1);
    rig.m.switchTo(0, 0);
    rig.sample();
    expect(rig.broken).toContain('no-leak/vm');
    expect(rig.broken).not.toContain('no-leak/task');
  });
});
