/** Why each kept schedule breaks: the step, the code that decided, and the values. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  breakerOf,
  parseReplayText,
  type ReplayCase,
  withDriver,
} from '../../src/campaign/replay_file.js';
import { type Because, becauseLines, becauseOf } from '../../src/tell/because.js';
import { timeline } from '../../src/tell/timeline.js';
import { LBR_PATH } from '../../src/tree/source.js';
import { kernelDriver } from '../../src/tree/driver.js';
import { installedBinary, installedSource } from '../rig/installed_kernel.js';

const GOLDEN = new URL('../golden/', import.meta.url);
const FILES = readdirSync(GOLDEN).filter((name) => /^\d{3}-/.test(name));

/** Functions of the port, by name. */
const PORT = new URL('../../src/guest/perf/', import.meta.url);
const FUNCTIONS = new Set(
  readdirSync(PORT)
    .flatMap((name) => [
      ...readFileSync(new URL(name, PORT), 'utf8').matchAll(/function (?<name>\w+)\(/g),
    ])
    .map(({ groups }) => groups?.['name']),
);

function caseOf(number: string): ReplayCase {
  const name = FILES.find((file) => file.startsWith(number));
  const [one] = parseReplayText(readFileSync(new URL(name ?? '', GOLDEN), 'utf8'));
  return one;
}

function because(number: string): Because | null {
  return timeline(caseOf(number)).because;
}

/** Step and code, as read in the schedules: what the model's sources do at that step. */
const DECIDED: readonly (readonly [golden: string, step: number, by: string, caller?: string])[] = [
  ['001', 8, '__intel_pmu_lbr_restore'],
  ['002', 3, 'get_msr'],
  ['003', 6, 'handleRequests'],
  ['004', 5, 'handleRequests'],
  ['005', 1, 'set_msr'],
  ['006', 7, 'vcpu_load'],
  ['008', 3, 'vcpu_load'],
  ['009', 5, 'get_msr'],
  ['010', 5, 'vcpu_load'],
  ['011', 3, 'intel_pmu_lbr_del'],
  ['012', 6, 'intel_pmu_lbr_add'],
  ['013', 10, '__intel_pmu_lbr_restore'],
  ['017', 3, 'intel_pmu_lbr_del'],
  ['018', 2, 'intel_pmu_lbr_add'],
  ['019', 1, 'intel_pmu_lbr_enable_all'],
  ['021', 3, '__intel_pmu_lbr_save'],
  ['026', 3, 'intel_pmu_lbr_add'],
  ['033', 7, '__intel_pmu_lbr_restore'],
  ['036', 4, 'get_state'],
  ['041', 3, 'get_msr'],
  ['042', 1, 'set_msr'],
  ['044', 6, 'sched_in'],
  ['050', 2, 'vcpu_enter'],
  ['051', 2, 'vcpu_enter'],
  ['055', 5, 'intel_pmu_lbr_add', 'debugctlAccess'],
  ['060', 7, 'sched_in'],
  ['062', 3, 'vcpu_enter'],
  ['063', 3, 'debugctlAccess'],
  ['064', 1, 'set_msr'],
  ['083', 3, 'intel_pmu_lbr_add', 'mediated_put'],
  ['093', 10, '__intel_pmu_lbr_restore'],
  ['100', 6, 'vcpu_enter'],
];

describe('because', () => {
  for (const name of FILES) {
    it(`${name} has a reason exactly if somebody breaks its property`, () => {
      const one = caseOf(name.slice(0, 3));
      const breaker = breakerOf(one);
      const why = becauseOf(one, breaker, 'what was found');
      expect(why === null).toBe(breaker === 'nobody');
      if (why === null) return;
      expect(why.step).toBeGreaterThan(0);
      expect(why.step).toBeLessThanOrEqual(one.schedule.length);
      const hooks = why.of.startsWith('policy ') ? Object.keys(one.config.policy) : FUNCTIONS;
      expect([...hooks]).toContain(why.decidedBy);
      expect(why.expected).not.toBe('');
      expect(why.found).not.toBe('');
    });
  }

  for (const [golden, step, decidedBy, calledBy] of DECIDED) {
    it(`golden ${golden} parts in step ${step}, by ${decidedBy}()`, () => {
      const why = because(golden);
      expect([why?.step, why?.decidedBy, why?.calledBy]).toEqual([step, decidedBy, calledBy]);
    });
  }

  it('a wrong record is told with what should be there, and whose it is', () => {
    expect(because('001')).toEqual({
      cause: 'perf:__intel_pmu_lbr_restore of the host',
      step: 8,
      decidedBy: '__intel_pmu_lbr_restore',
      of: "the host's perf",
      expected: 'FROM_1 of v0: 0',
      found: 'VM 1 task 0 call#3 <- foreign',
    });
    expect(because('004')).toMatchObject({
      of: 'policy merged',
      expected: 'FROM_2 of v0: task 0 call#4',
      found: '0',
    });
    expect(because('009')).toMatchObject({ expected: 'LBR_TOS of v0: 1', found: '0' });
  });

  it('what is no value is told by what the check has found', () => {
    expect(because('005')).toMatchObject({
      of: 'policy merged',
      expected: 'no #GP that a pCPU of its own would not raise',
      found: 'p0: #GP in the host on WRMSR FROM_0',
    });
    expect(because('013')).toMatchObject({
      of: "the guest's perf",
      expected: 'no record of another task',
      found: 'v0: a sample of task 0 holds a branch of task 1',
    });
  });

  it('a timeline tells the reason below the failure, and none where nothing breaks', () => {
    const told = timeline(caseOf('055')).lines;
    const at = told.findIndex((line) => line.includes('=> breaks'));
    const words = told
      .slice(at + 1)
      .join(' ')
      .replaceAll(/ +/g, ' ');
    expect(words).toContain(
      "because: #5, intel_pmu_lbr_add() of the host's perf, called by debugctlAccess(); " +
        'expected FROM_1 of v0: task 0 call#3; found 0 ',
    );
    expect(timeline(caseOf('007'))).toMatchObject({ because: null });
  });

  it.skipIf(installedSource === null)('a function of a compiled lbr.c has its line there', () => {
    const replay = withDriver(caseOf('001'), kernelDriver(installedBinary()));
    const why = becauseOf(replay, breakerOf(replay), 'what was found');
    expect([why?.step, why?.decidedBy]).toEqual([8, '__intel_pmu_lbr_restore']);
    const [path, line] = why?.at?.split(':') ?? [];
    expect(path).toBe(LBR_PATH);
    const lines = installedSource?.text.split('\n') ?? [];
    expect(lines[Number(line) - 1]).toContain('__intel_pmu_lbr_restore(');
  });

  it('hardware is no function', () => {
    const who = { cause: 'hardware', decidedBy: 'hardware', of: 'the machine' };
    const why = { ...who, step: 2, expected: 'a', found: 'b' };
    expect(becauseLines(why, '  ')).toEqual(['  because: #2, hardware; expected a; found b']);
  });
});
