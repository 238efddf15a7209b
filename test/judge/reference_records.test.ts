/** The reference machine records as the machine does, and takes over a free TOS. */
import { describe, expect, it } from 'vitest';
import * as branch from '../../src/hw/branch.js';
import { type CheckRig, referenceRig } from '../rig/judge.js';
import { DEBUGCTL, FROM, INFO, LBR, TO, TOS } from '../rig/machine.js';

const address = (vm: number): number => branch.addressHigh(false, branch.BRANCH_JCC, vm, 0, 0);

describe('branch', () => {
  it('the reference always records a branch as the machine itself does', () => {
    const { ref, m } = referenceRig();
    const from = address(1);
    ref.branch(2, branch.BRANCH_JCC, 3, 1, from, from);
    ref.write(2, DEBUGCTL, LBR, 0);
    m.switchTo(0, 2);
    m.pcpus[0].debugctl = LBR;
    for (const seq of [2, 3]) {
      ref.branch(2, branch.BRANCH_JCC, 3, seq, from, from);
      const cycles = branch.branchCycles(1, seq);
      m.pcpus[0].branch(branch.BRANCH_JCC, 3, seq, from, seq, from, seq === 3, cycles);
    }
    const all = (port: (typeof m.host.kernel.cpus)[0]['port']): number[][] =>
      [FROM, TO, INFO].flatMap((base) => [0, 1, 2, 3].map((i) => [port.rdmsr(base + i), port.edx]));
    expect(all(ref.of(2))).toEqual(all(m.pcpus[0]));
    expect([ref.of(2).stack.tos, ref.of(0).stack.empty]).toEqual([2, true]);
  });
});

describe('beforeRecord', () => {
  const own = branch.addressHigh(false, branch.BRANCH_JCC, 0, 0, 0);
  const tosAfter = (prepare: (rig: CheckRig) => void): number => {
    const rig = referenceRig();
    prepare(rig);
    rig.m.pcpus[0].wrmsr(TOS, 5, 0);
    rig.ref.beforeRecord(0);
    return rig.ref.of(0).stack.tos;
  };

  it('beforeRecord follows the TOS of the machine while both stacks are empty', () => {
    expect(tosAfter(() => {})).toBe(5);
    expect(tosAfter(({ ref }) => ref.write(0, FROM, 1, 0))).toBe(0);
    expect(tosAfter(({ m }) => void m.pcpus[0].wrmsr(FROM, 1, 0))).toBe(0);
  });

  it('beforeRecord never looks again once the reference has recorded and is not empty', () => {
    const on = ({ ref }: CheckRig): void => ref.write(0, DEBUGCTL, LBR, 0);
    const record = (rig: CheckRig): void => {
      on(rig);
      rig.ref.branch(0, branch.BRANCH_JCC, 3, 1, own, own);
      // The reference stack is empty from here on.
      rig.ref.of(0).stack.clear();
    };
    expect(tosAfter(record)).toBe(0);
    for (const not of [
      ({ ref }: CheckRig): void => ref.branch(0, branch.BRANCH_JCC, 3, 1, own, own),
      (rig: CheckRig): void => {
        on(rig);
        rig.ref.branch(0, branch.BRANCH_RET, 3, 1, own, own);
        rig.ref.of(0).stack.clear();
      },
    ]) {
      expect(tosAfter(not)).toBe(5);
    }
    for (const again of [
      ({ ref }: CheckRig): void => ref.branch(0, branch.BRANCH_RET, 3, 1, 0, 0),
      ({ ref }: CheckRig): void => ref.write(0, FROM, 0, 0),
      ({ ref }: CheckRig): void => ref.forget(),
      ({ ref }: CheckRig): void => ref.start(),
    ]) {
      expect(
        tosAfter((rig) => {
          record(rig);
          again(rig);
          rig.ref.of(0).stack.clear();
        }),
      ).toBe(5);
    }
    expect(
      tosAfter((rig) => {
        record(rig);
        rig.ref.branch(1, branch.BRANCH_RET, 3, 1, 0, 0);
        rig.ref.write(0, DEBUGCTL, 0, 0);
      }),
    ).toBe(0);
  });
});
