/** Timelines of hand-written schedules, whose text is known. */
import { describe, expect, it } from 'vitest';
import {
  PERF_SAMPLE_BRANCH_ANY,
  PERF_SAMPLE_BRANCH_CALL_STACK,
  PERF_SAMPLE_BRANCH_USER,
} from '../../src/guest/perf/perf_event.js';
import type { PropertyName } from '../../src/judge/properties.js';
import { CPU_MODELS } from '../../src/hw/cpu_models.js';
import { MSR_LBR_NHM_FROM, MSR_LBR_TOS } from '../../src/hw/msr_index.js';
import { actionLines, timeline } from '../../src/tell/timeline.js';
import type { Action, ActionName } from '../../src/schedule/table.js';
import { Schedule } from '../../src/schedule/schedule.js';
import type { ReplayCase } from '../../src/campaign/replay_file.js';
import { machineConfig, policyOf } from '../rig/machine.js';

const CALLSTACK = PERF_SAMPLE_BRANCH_CALL_STACK | PERF_SAMPLE_BRANCH_USER;
const ANY = PERF_SAMPLE_BRANCH_ANY | PERF_SAMPLE_BRANCH_USER;

const act = (kind: ActionName, actor: number, ...args: number[]): Action => ({ kind, actor, args });

function replayCase(
  policyName: string,
  property: PropertyName,
  actions: readonly Action[],
  cpu = 'skylake',
): ReplayCase {
  const config = machineConfig({ policy: policyOf(policyName), cpu, tasks: 2 });
  return { config, property, schedule: Schedule.of(actions), whose: null };
}

/** A VM reads a call stack of another VM after it has opened an event of its own. */
const LEAK: readonly Action[] = [
  act('open', 0, 0, 0, CALLSTACK),
  act('call', 0, 2, 0),
  act('run', 0, 1, 0),
  act('rdmsr', 1, MSR_LBR_NHM_FROM + 2),
];

describe('timeline', () => {
  it('a timeline tells who runs where, what was read, whose it was, and the registers', () => {
    const { lines, breaker, text } = timeline(replayCase('never', 'no-leak/vm', LEAK));
    expect(breaker).toBe('policy');
    expect(text).toMatch(/^v1: RDMSR FROM_2 returned 0x\w+, of VM 0, instead of 0x0$/);
    expect(lines.join('\n')).toMatchInlineSnapshot(`
      "  2 VMs of 1 vCPU, 1 pCPU: v0 (VM 0) on p0, v1 (VM 1) off
        #1  v0 (VM 0, task 0, p0): open event 0: of task 0, CALL_STACK|USER (4 exits)
            - writes slots 0..31: all 0; LBR_SELECT=0x3c5 (call stack); DEBUGCTL=LBR
        #2  v0 (VM 0, task 0, p0): 2 calls
            - hardware records call#3..#4 (LBR_TOS was 0)
        #3  p0: switch to v1 (1 exit)
            - v0 leaves p0; v1 comes to p0
        #4  v1 (VM 1, task 0, p0): raw RDMSR FROM_2
            - reads FROM_2=VM 0 task 0 call#4 <- foreign [reference: FROM_2=0]
            => breaks no-leak/vm: v1: RDMSR FROM_2 returned 0x80000000004, of VM 0, instead of 0x0
               because: #3, vcpu_load() of policy never; expected FROM_2 of v1: 0; found VM 0 task 0
                 call#4 <- foreign
                           p0, in v1                         reference v1
               DEBUGCTL    0                                 0
               LBR_SELECT  0x3c5 call stack                  0x0
               LBR_TOS     2                                 0
               newest      2: VM 0 task 0 call#4 <- foreign  0: empty
                           1: VM 0 task 0 call#3 <- foreign  31: empty"
    `);
  });
  it('a timeline ends at the failure: nothing after it happened yet', () => {
    const { lines } = timeline(
      replayCase('never', 'no-leak/vm', [...LEAK, act('run', 0, 0, 0), act('call', 0, 1, 0)]),
    );
    expect(lines.some((line) => line.startsWith('  #4 '))).toBe(true);
    expect(lines.some((line) => line.startsWith('  #5 '))).toBe(false);
  });
  it('a timeline tells a schedule to its end when nothing breaks', () => {
    const told = timeline(replayCase('always', 'no-leak/vm', LEAK));
    expect(told).toMatchObject({ breaker: 'nobody', text: '' });
    const text = told.lines.join('\n');
    expect(text).toContain('policy reads all 98 LBR MSRs of p0 for v0: 2 records (task 0 call#4,');
    expect(text).toContain('policy writes all 98 LBR MSRs of p0 for v0: no records');
    expect(text).toContain('- reads FROM_2=0');
    expect(text).not.toContain('breaks');
  });
  it('a timeline says where a function was interrupted, and what the policy believes', () => {
    const { lines } = timeline(
      replayCase('pv-v2', 'balanced', [
        act('open', 0, 0, 0, CALLSTACK),
        act('run', 0, 1, 5),
        act('taskSwitch', 0, 1),
        act('run', 0, 0, 0),
        act('resume', 0),
      ]),
    );
    const text = lines.join('\n').replaceAll(/\n {8}/g, ' ');
    expect(text).toContain('#2  p0: switch to v1, after 4 MSR accesses of the vCPU that runs');
    expect(text).toContain(
      '- v0 leaves p0 inside context_switch(), after 4 of its MSR accesses (policy: LBR in use); ' +
        'v1 comes to p0 (policy: LBR not in use)',
    );
    expect(text).toContain(
      '#5  v0 (VM 0, task 0, p0): resume context_switch(), after 4 of its MSR',
    );
    expect(text).toContain('writes PV_LBR_CTRL=ACTIVE');
  });
  it('a timeline shows samples, and what the host does for itself', () => {
    const { lines } = timeline(
      replayCase('never', 'balanced', [
        act('open', 0, 0, 0, ANY),
        act('jmp', 0, 3, 0),
        act('pmi', 0, 0, 0),
        act('hostEvent', 0, 0, 0),
        act('hostWork', 0, 2),
        act('idle', 0, 0),
        act('cstate', 0),
        act('liveMigrate', 0),
      ]),
    );
    const text = lines.join('\n');
    expect(text).toMatch(
      /- sample of event 0: 3 branches: task 0 jmp#5, task 0 jmp#4, task 0 jmp#3/,
    );
    expect(text).toContain("p0: the host's CPU-pinned LBR event: on");
    expect(text).toContain('host records a branch on p0 (2 times)');
    expect(text).toMatch(/host sample: \d+ branches: host call#2, host call#1/);
    expect(text).toContain('the records of p0 are gone');
    expect(text).toContain('v0 (VM 0, task 0, off): liveMigrate');
  });
  it('a timeline always shows what faults', () => {
    const { lines } = timeline(
      replayCase('never', 'no-fault', [act('wrmsr', 0, MSR_LBR_NHM_FROM, 1, 0x00ff0000)]),
    );
    expect(lines).toContain('      - WRMSR FROM_0=0xff000000000001 raises #GP');
  });
  it('a timeline says so when an action is not possible', () => {
    const { lines } = timeline(replayCase('never', 'balanced', [act('leave', 0)]));
    expect(lines).toContain('      - not possible here, so passed over');
  });
  it("a timeline tells the guest kernel's own failures apart", () => {
    // Haswell takes a zero-length call for a frame; the task has no such frame.
    const { breaker, text } = timeline(
      replayCase(
        'always',
        'callstack-true',
        [
          act('open', 0, 0, 0, CALLSTACK),
          act('call', 0, 1, 0),
          act('call', 0, 1, 2),
          act('ret', 0, 1),
          act('pmi', 0, 0, 0),
        ],
        'haswell',
      ),
    );
    expect(breaker).toBe('kernel');
    expect(text).toContain('is not the innermost part of the call stack');
  });
  it.each(CPU_MODELS)('a timeline never has more than plain, short lines on $name', ({ name }) => {
    const actions = [
      act('open', 0, 0, 0, ANY),
      act('call', 0, 40, 0),
      act('run', 0, 1, 2),
      act('taskSwitch', 0, 1),
      act('wrmsr', 1, MSR_LBR_TOS, 1, 0),
      act('hostEvent', 0, 0, 0),
      act('run', 0, 0, 0),
      act('resume', 0),
      act('pmi', 0, 0, 0),
    ];
    for (const policy of ['never', 'merged', 'parked']) {
      const { lines } = timeline(replayCase(policy, 'balanced', actions, name));
      for (const line of lines) expect(line).toMatch(/^[\x20-\x7e]{1,100}$/);
      const perAction = lines
        .join('\n')
        .split(/\n {2}#/)
        .slice(1);
      expect(perAction.length).toBe(actions.length);
      for (const part of perAction) expect(part.split('\n      - ').length).toBeLessThan(8);
    }
  });
  it('a timeline is always the same for the same case', () => {
    const one = (): unknown => timeline(replayCase('merged', 'no-loss/callstack', LEAK));
    expect(one()).toEqual(one());
  });
});

describe('actionLines', () => {
  it('actionLines shows every action, also those after a failure, and nothing else', () => {
    const replay = replayCase('never', 'no-leak/vm', [...LEAK, act('call', 1, 1, 0)]);
    expect(actionLines(replay)).toEqual([
      '  2 VMs of 1 vCPU, 1 pCPU: v0 (VM 0) on p0, v1 (VM 1) off',
      '  #1  v0 (VM 0, task 0, p0): open event 0: of task 0, CALL_STACK|USER',
      '  #2  v0 (VM 0, task 0, p0): 2 calls',
      '  #3  p0: switch to v1',
      '  #4  v1 (VM 1, task 0, p0): raw RDMSR FROM_2',
      '  #5  v1 (VM 1, task 0, p0): 1 call',
    ]);
    expect(timeline(replay).lines.join('\n')).not.toContain('#5');
  });
});
