/** A register is two words. Either word alone suffices to report or distinguish records. */
import { describe, expect, it } from 'vitest';
import {
  PERF_SAMPLE_BRANCH_CALL_STACK,
  PERF_SAMPLE_BRANCH_USER,
} from '../../src/guest/perf/perf_event.js';
import type { PropertyName } from '../../src/judge/properties.js';
import { addressHigh, BRANCH_REL_CALL } from '../../src/hw/branch.js';
import { MSR_LBR_NHM_FROM } from '../../src/hw/msr_index.js';
import type { Action } from '../../src/schedule/table.js';
import { Schedule } from '../../src/schedule/schedule.js';
import { timeline } from '../../src/tell/timeline.js';
import { configOf } from '../rig/states.js';
import { policyOf } from '../rig/machine.js';

const CALLSTACK = PERF_SAMPLE_BRANCH_CALL_STACK | PERF_SAMPLE_BRANCH_USER;

/** The timeline as one text, without line breaks. */
function told(policy: string, property: PropertyName, actions: readonly Action[]): string {
  const config = configOf(policyOf(policy), [2, 1, 2, 1], 'skylake/4');
  const { lines } = timeline({ config, property, schedule: Schedule.of(actions), whose: null });
  return lines.join('\n').replaceAll(/\n {8,}(?=[a-z])/g, ' ');
}

/** A raw write of FROM_0: call number `seq` by task 0 of a VM. */
function writes(vcpu: number, seq: number, vm = vcpu): Action {
  const high = addressHigh(false, BRANCH_REL_CALL, vm, 0, 0);
  return { kind: 'wrmsr', actor: vcpu, args: [MSR_LBR_NHM_FROM, seq, high] };
}

const reads = (vcpu: number): Action => ({
  kind: 'rdmsr',
  actor: vcpu,
  args: [MSR_LBR_NHM_FROM],
});
const run = (vcpu: number): Action => ({ kind: 'run', actor: 0, args: [vcpu, 0] });

describe('a record whose low word is 0', () => {
  it('a record whose low word is 0 never is an empty one to a guest that reads it', () => {
    const text = told('never', 'no-leak/vm', [writes(0, 0), run(1), reads(1)]);
    expect(text).toContain('- writes FROM_0=task 0 call#0\n');
    expect(text).toContain('- reads FROM_0=VM 0 task 0 call#0 <- foreign [reference: FROM_0=0]');
    expect(text).toContain(
      '=> breaks no-leak/vm: v1: RDMSR FROM_0 returned 0x80000000000, of VM 0',
    );
    expect(text).toMatch(/newest +0: VM 0 task 0 call#0 <- foreign +0: empty/);
  });

  it('a record whose low word is 0 never is an empty one to a policy that moves a stack', () => {
    const text = told('always', 'no-leak/vm', [writes(0, 0), run(1)]);
    expect(text).toContain('for v0: 1 record (task 0 call#0)');
  });

  it('a record whose low word is 0 never is an empty one to a kernel that saves its stack', () => {
    const open: Action = { kind: 'open', actor: 0, args: [0, 0, CALLSTACK] };
    const away: Action = { kind: 'taskSwitch', actor: 0, args: [1] };
    const text = told('never', 'no-leak/vm', [open, writes(0, 0), away]);
    expect(text).toMatch(/- reads .*slots 0 3: 1 record \(task 0 call#0\)/);
  });
});

describe('two records', () => {
  it.each([
    ['low', writes(0, 6, 1), 'task 0 call#6 [reference: FROM_0=task 0 call#5]'],
    ['high', writes(0, 5, 0), 'VM 0 task 0 call#5 <- foreign [reference: FROM_0=task 0 call#5]'],
  ])('two records are told apart where only their %s words differ', (_, other, text) => {
    const schedule = [run(1), writes(1, 5), run(0), other, run(1), reads(1)];
    expect(told('never', 'no-loss/any', schedule)).toContain(`- reads FROM_0=${text}`);
  });

  it('two records are the same where both of their words are', () => {
    const schedule = [run(1), writes(1, 5), run(0), writes(0, 5, 1), run(1), reads(1)];
    const text = told('never', 'no-loss/any', schedule);
    expect(text.slice(text.indexOf('- reads'))).toBe('- reads FROM_0=task 0 call#5');
  });
});
