/**
 * Foreign records in a sample: `no-leak/task` must blame the host for some and the guest's kernel
 * for others. A rule that this file states again says for which. Records of another VM are tried,
 * too.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as branch from '../../src/hw/branch.js';
import { withDepth } from '../../src/hw/cpu_models.js';
import type { LbrStack } from '../../src/hw/lbr_stack.js';
import * as msrs from '../../src/hw/msr_index.js';
import { never } from '../../src/host/policy/never.js';
import { BRANCH_TYPES } from '../../src/schedule/actions/events.js';
import { Machine } from '../../src/machine/machine.js';
import { Monitor } from '../../src/judge/monitor.js';
import { PROPERTY } from '../../src/judge/properties.js';
import { cpuModel } from '../rig/cpu.js';

const SEED = Number(process.env['VLBR_SEED'] ?? 1);
const [CALLSTACK_USER, ANY_USER] = BRANCH_TYPES;
const DEPTH = 4;
const VCPUS = 2;

/** A branch and who executed it. */
interface BranchRecord {
  readonly seq: number;
  readonly vm: number;
  readonly vcpu: number;
  readonly task: number;
}

const record: fc.Arbitrary<BranchRecord> = fc.record({
  seq: fc.integer({ min: 1, max: 3 }),
  vm: fc.constantFrom(0, 0, 0, 1),
  vcpu: fc.nat(VCPUS - 1),
  task: fc.nat(2),
});
const stack = fc.array(record, { minLength: DEPTH, maxLength: DEPTH });

/** Few distinct words, so that the two stacks often agree in all respects except one. */
const stacks: fc.Arbitrary<readonly [hardware: BranchRecord[], reference: BranchRecord[]]> =
  fc.oneof(
    stack.map((same): [BranchRecord[], BranchRecord[]] => [same, same]),
    fc.tuple(stack, stack),
  );

/** Fills a stack, newest record first. VM 0 is the VM that is sampled. */
function fill(to: LbrStack, records: readonly BranchRecord[], ofVm: number): void {
  for (const [i, { seq, vm, vcpu, task }] of records.entries()) {
    const slot = (to.tos - i) & (DEPTH - 1);
    const high = (kind: number): number =>
      branch.addressHigh(false, kind, (ofVm + vm) % 2, vcpu, task);
    to.write(msrs.MSR_LBR_NHM_FROM + slot, seq, high(branch.BRANCH_REL_CALL));
    to.write(msrs.MSR_LBR_NHM_TO + slot, seq, high(branch.BRANCH_NONE));
  }
}

/** Returns who is to blame for a sample that a vCPU of VM 0 takes of a task. */
function answersFor(
  vcpu: number,
  current: number,
  hardware: readonly BranchRecord[],
  reference: readonly BranchRecord[],
): 'policy' | 'kernel' | 'nobody' {
  const foreign = hardware.find(({ vm, task }) => vm === 0 && task !== current);
  if (foreign === undefined) return 'nobody';
  const moved = reference.some(({ seq, task }) => seq === foreign.seq && task === foreign.task);
  if (foreign.vcpu !== vcpu && !moved) return 'policy';
  // A guest that has read a wrong value has diverged from the reference.
  const same = JSON.stringify(hardware) === JSON.stringify(reference);
  return same ? 'kernel' : 'nobody';
}

function boot(monitor: Monitor, machine: Machine): void {
  monitor.start(machine);
  machine.boot();
}

/** Two VMs of two vCPUs on one pCPU, under `never`. */
function watched(): [Monitor, Machine] {
  const shape = { vms: 2, vcpus: VCPUS, tasks: 3, pcpus: 1 };
  const model = withDepth(cpuModel('skylake'), DEPTH);
  const config = { shape, model, kernel: '6.1', policy: never } as const;
  const monitor = new Monitor(config);
  const machine = new Machine(config, monitor);
  boot(monitor, machine);
  return [monitor, machine];
}

describe('no-leak/task', () => {
  it('no-leak/task blames the host for what another vCPU recorded and no task has moved', () => {
    const [monitor, machine] = watched();
    const seen = new Set<string>();
    fc.assert(
      fc.property(stacks, fc.nat(2 * VCPUS - 1), ([hardware, reference], vcpu) => {
        boot(monitor, machine);
        if (vcpu !== 0) machine.switchTo(0, vcpu);
        const { current } = machine.cpu(vcpu).cpuctx;
        expect(machine.open(vcpu, current, 0, ANY_USER)).toBe(0);
        const { vm, cpu } = machine.vcpus[vcpu];
        fill(machine.pcpus[0].stack, hardware, vm);
        fill(monitor.reference.of(vcpu).stack, reference, vm);
        machine.pmi(vcpu, 0, 0);
        const { broken, own } = monitor.verdicts;
        const p = PROPERTY['no-leak/task'];
        const blamed = broken[p] !== 0 ? 'policy' : own[p] !== 0 ? 'kernel' : 'nobody';
        expect(blamed).toBe(answersFor(cpu, current, hardware, reference));
        seen.add(`${blamed} ${cpu}`);
      }),
      { seed: SEED, numRuns: 600 },
    );
    expect(seen.size).toBe(3 * VCPUS);
  });
});

describe('callstack-true', () => {
  it('callstack-true never holds for frames of another VM that have the same numbers', () => {
    for (const otherVm of [false, true]) {
      const [monitor, machine] = watched();
      expect(machine.open(0, 0, 0, CALLSTACK_USER)).toBe(0);
      machine.branches(0, branch.BRANCH_REL_CALL, DEPTH);
      const { stack: hardware } = machine.pcpus[0];
      for (let i = 0; i < DEPTH; i++) {
        if (!otherVm) continue;
        const from = msrs.MSR_LBR_NHM_FROM + i;
        const high = branch.addressHigh(false, branch.BRANCH_REL_CALL, 1, 0, 0);
        hardware.write(from, hardware.readLow(from), high);
      }
      machine.pmi(0, 0, 0);
      expect(monitor.verdicts.broken[PROPERTY['callstack-true']]).toBe(otherVm ? 1 : 0);
    }
  });
});
