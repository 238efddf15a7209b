/** What `vlbr replay --emit selftest` writes: text, and what the guests' code means. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ReplayCase } from '../../../../src/campaign/replay_file.js';
import { parseReplayText, tokenOf } from '../../../../src/campaign/replay_file.js';
import type { Vector } from '../../../../src/hw/msr_port.js';
import { packageVersion } from '../../../../src/console/version.js';
import type { LbrPolicy } from '../../../../src/host/policy/policy.js';
import { never } from '../../../../src/host/policy/never.js';
import { selftest } from '../../../../src/questions/replay/selftest/selftest.js';
import { TO_DO } from '../../../../src/questions/replay/selftest/run.js';
import { parseAction } from '../../../../src/schedule/action_text.js';
import { Schedule } from '../../../../src/schedule/schedule.js';
import { machineConfig } from '../../../rig/machine.js';

const GOLDEN = new URL('../../../golden/', import.meta.url);
const GUEST = 'Linux 6.1 guest';

interface Written {
  readonly lines: readonly string[];
}

function written(text: string): Written {
  return shown(parseReplayText(text)[0]);
}

/** The mark of what is left to do is spelled LEFT here. */
function shown(one: ReplayCase): Written {
  const lines = selftest(one, GUEST).lines.map((line) => line.replaceAll(TO_DO, 'LEFT'));
  return { lines };
}

const OTHERWISE = { policy: 'always', property: 'no-loss/any', cpu: 'skylake', kernel: '6.1' };
const SHAPE = { vms: 1, vcpus: 1, tasks: 2, pcpus: 1 };

/** A schedule; what it does not say is as above. */
function emitted(actions: readonly string[], more: object = {}): Written {
  const json = { schema: 'vlbr/schedule/1', ...OTHERWISE, ...SHAPE, ...more, actions };
  return written(JSON.stringify(json));
}

function golden(number: string, folder: URL = GOLDEN): string {
  const name = readdirSync(folder).find((one) => one.startsWith(`${number}-`));
  return readFileSync(new URL(name ?? number, folder), 'utf8');
}

/** The lines of a function, without braces and tabs. */
function bodyOf({ lines }: Written, name: string): string[] {
  const start = lines.findIndex((line) => line.includes(`void ${name}(void)`));
  const end = lines.indexOf('}', start);
  expect(start).toBeGreaterThan(0);
  return lines.slice(start + 2, end).map((line) => line.trim());
}

/** The code of a vCPU, without the writes of zeros to records. */
function codeOf(of: Written, vcpu = 0): string[] {
  const body = bodyOf(of, `v${vcpu}_code`);
  expect(body[0]).toBe(`struct access *at = v${vcpu}_log;`);
  expect(body.at(-1)).toBe(`check(v${vcpu}_log, at);`);
  return body.slice(1, -1).filter((line) => line !== '' && !/^WRITE\(FROM\(\d+\), 0\)/.test(line));
}

/** With tabs of eight columns. */
function widthOf(line: string): number {
  return [...line].reduce((at, letter) => (letter === '\t' ? (at | 7) + 1 : at + 1), 0);
}

const scriptOf = (of: Written): string[] => bodyOf(of, 'schedule');
const hostCode = ({ lines }: Written): string => lines.join('\n');

describe('a selftest', () => {
  it('a selftest has a head that says where it is from and what it needs', () => {
    const text = golden('001');
    const [one] = parseReplayText(text);
    const { lines } = written(text);
    const head = lines.slice(2, lines.indexOf(' */')).map((line) => line.slice(3));
    expect(lines[0]).toBe('// SPDX-License-Identifier: GPL-2.0-only');
    expect(head).toContain(tokenOf(one));
    const said = head.join(' ');
    expect(said).toContain('An LBR stack across vCPU switches: no-leak/vm.');
    expect(said).toContain(
      `Written by vlbr ${packageVersion()} (vlbr replay --emit selftest) from`,
    );
    expect(said).toContain('this schedule for merged on skylake, Linux 6.1 guest:');
    expect(said).toContain(
      'no-leak/vm: No guest ever reads a record of another VM or of the host.',
    );
    expect(said).toContain('In vlbr, the policy merged breaks it: v0: RDMSR FROM_1 returned 0x9');
    expect(said).toContain(
      'The test fails where a guest reads something else than on a CPU of its',
    );
    expect(said).toContain('nearest thing: 1 place is marked LEFT.');
    expect(said).toContain('It needs 2 CPUs with 32 records of LBR format 5, such as Skylake to');
    for (const line of lines)
      expect(line.length).toBeLessThanOrEqual(line.includes('v1.') ? 999 : 100);
  });
  it('a line of code never has more than 100 columns', () => {
    for (const number of ['001', '013', '024', '036']) {
      const wide = written(golden(number)).lines.filter((line) => widthOf(line) > 100);
      expect(wide.filter((line) => !/^ \* |^\t\/\* #/.test(line))).toEqual([]);
    }
  });
  it('a selftest always has its last stop before the access that fails', () => {
    const of = written(golden('001'));
    expect(scriptOf(of)).toMatchInlineSnapshot(`
      [
        "keep_awake();",
        "run_on(0, 0);",
        "/* #1 p0: switch to v1 */",
        "stands(0); /* v0 */",
        "run_on(1, 0);",
        "/* #5 p0: switch to v0 */",
        "stands(1); /* v1 */",
        "run_on(0, 0);",
        "/* #7 p0: switch to v1 */",
        "stands(2); /* v0 */",
        "run_on(1, 0);",
        "/* #8 p0: switch to v0 */",
        "stands(3); /* v1 */",
        "run_on(0, 0);",
        "ends(0);",
        "run_on(1, 0);",
        "ends(1);",
      ]
    `);
    expect(codeOf(of)).toMatchInlineSnapshot(`
      [
        "SWITCH(0);",
        "/* #6 v0 (VM 0, task 0, p0): open event 0: of task 0, CALL_STACK|USER */",
        "WRITE(MSR_CORE_PERF_GLOBAL_CTRL, 0);",
        "WRITE(MSR_LBR_SELECT, 0x3c4);",
        "READ(MSR_IA32_DEBUGCTLMSR, 0);",
        "WRITE(MSR_IA32_DEBUGCTLMSR, 0x1);",
        "WRITE(MSR_CORE_PERF_GLOBAL_CTRL, 0x70000000full & counters);",
        "SWITCH(2);",
        "/* #9 v0 (VM 0, task 0, p0): PMI of event 0 */",
        "/* LEFT: make counter 0 overflow here, and take its PMI as an NMI */",
        "WRITE(MSR_CORE_PERF_GLOBAL_CTRL, 0);",
        "READ_ANY(MSR_CORE_PERF_GLOBAL_STATUS);",
        "READ_ANY(MSR_LBR_TOS);",
        "READ(FROM(1), 0); READ(TO(1), 0); READ(INFO(1), 0);",
        "READ(FROM(0), 0); READ(TO(0), 0);",
        "WRITE(MSR_CORE_PERF_GLOBAL_OVF_CTRL, 0x1 & counters);",
        "READ_ANY(MSR_CORE_PERF_GLOBAL_STATUS);",
        "READ(MSR_IA32_DEBUGCTLMSR, 0x1);",
        "WRITE(MSR_CORE_PERF_GLOBAL_CTRL, 0x70000000full & counters);",
      ]
    `);
    expect(codeOf(of, 1)).toMatchInlineSnapshot(`
      [
        "/* #2 v1 (VM 1, task 0, p0): open event 0: of task 0, CALL_STACK|USER */",
        "WRITE(MSR_CORE_PERF_GLOBAL_CTRL, 0);",
        "WRITE(MSR_LBR_SELECT, 0x3c4);",
        "READ(MSR_IA32_DEBUGCTLMSR, 0);",
        "WRITE(MSR_IA32_DEBUGCTLMSR, 0x1);",
        "WRITE(MSR_CORE_PERF_GLOBAL_CTRL, 0x70000000full & counters);",
        "/* #3 v1 (VM 1, task 0, p0): 1 call */",
        "/* not in the schedule: an empty stack may have any LBR_TOS */",
        "WRITE(MSR_LBR_TOS, 0);",
        "CALL(vm1_b3);",
        "/* #4 v1 (VM 1, task 0, p0): taskSwitch 0 -> 1 */",
        "WRITE(MSR_CORE_PERF_GLOBAL_CTRL, 0);",
        "READ(MSR_IA32_DEBUGCTLMSR, 0x1);",
        "WRITE(MSR_IA32_DEBUGCTLMSR, 0);",
        "READ(MSR_LBR_TOS, 0x1);",
        "READ_ADDRESS(FROM(1), vm1_b3_from); READ_ADDRESS(TO(1), vm1_b3_to); READ_ANY(INFO(1));",
        "READ(FROM(0), 0);",
        "WRITE(MSR_CORE_PERF_GLOBAL_CTRL, 0x70000000full & counters);",
        "SWITCH(1);",
        "SWITCH(3);",
      ]
    `);
  });
  it('a switch inside a function of the guest always comes between the same two accesses', () => {
    const code = codeOf(written(golden('004')));
    const at = code.findIndex((line) => line.startsWith('SWITCH'));
    expect(code.slice(at - 3, at + 4)).toMatchInlineSnapshot(`
      [
        "READ(MSR_IA32_DEBUGCTLMSR, 0x1);",
        "WRITE(MSR_IA32_DEBUGCTLMSR, 0);",
        "/* inside context_switch(), after 3 MSR accesses */",
        "SWITCH(0);",
        "/* #6 v0 (VM 0, task 0, p0): resume context_switch(), after 3 of its MSR accesses */",
        "READ(MSR_LBR_TOS, 0x2);",
        "READ_ADDRESS(FROM(2), vm0_b4_from);",
      ]
    `);
  });
  it('the same schedule always gives the same text', () => {
    expect(written(golden('003')).lines).toEqual(written(golden('003')).lines);
  });
  it('a schedule that nobody breaks, and one that a kernel breaks, say so', () => {
    const says = (of: Written): string | undefined =>
      of.lines.find((line) => line.startsWith(' * In vlbr, '));
    expect(says(emitted(['v0: call']))).toBe(' * In vlbr, nobody breaks it.');
    expect(says(written(golden('012')))).toMatch(/In vlbr, the guest's kernel breaks it: v0: /);
    expect(hostCode(written(golden('012')))).toContain("A test can't look at this itself.");
  });
  it('a selftest ends with the action in which its property breaks', () => {
    const of = emitted(['v0: rdmsr msr=0xdc0', 'v0: rdmsr msr=0xdc1'], {
      policy: 'v6',
      property: 'no-fault',
    });
    expect(codeOf(of)).toEqual([
      '/* #1 v0 (VM 0, task 0, p0): raw RDMSR INFO_0 */',
      'READ(INFO(0), 0);',
    ]);
  });
});

describe('the host of a selftest', () => {
  it('a vCPU is held where the host does something, once for all that is done there', () => {
    const of = emitted([
      'p0: hostEvent which=thread op=on',
      'p0: hostEvent which=pinned op=on',
      'p0: hostWork n=2',
      'p0: hostEvent which=pinned op=off',
      'v0: rdmsr msr=0x680',
      'p0: hostEvent which=thread op=close',
    ]);
    expect(codeOf(of).filter((line) => !line.startsWith('/*'))).toEqual([
      'HOLD(0);',
      'READ(FROM(0), 0);',
      'HOLD(1);',
    ]);
    expect(scriptOf(of)).toMatchInlineSnapshot(`
      [
        "keep_awake();",
        "run_on(0, 0);",
        "/* #1 p0: the host's LBR event of this thread: on */",
        "stands(0); /* v0 */",
        "event_on(0, threads[0].tid, -1, false, CALL_STACKS);",
        "/* #2 p0: the host's CPU-pinned LBR event: on */",
        "event_on(1, -1, cpus[0], true, ALL_BRANCHES);",
        "/* #3 p0: 2 branches of host code */",
        "/* LEFT: take one sample, after exactly 2 of these calls */",
        "work(0, 0, 2);",
        "/* #4 p0: the host's CPU-pinned LBR event: off */",
        "event_off(1);",
        "go_on(0);",
        "/* #6 p0: the host's LBR event of this thread: closed */",
        "stands(1); /* v0 */",
        "event_close(0);",
        "go_on(0);",
        "ends(0);",
        "event_close(0);",
        "event_close(1);",
      ]
    `);
    expect(of.lines).toContain('#define NR_EVENTS 2');
  });
  it('host code on an idle pCPU needs no vCPU, and without an event none of its functions', () => {
    const of = emitted(['p0: idle', 'p0: hostWork n=2'], { cpu: 'nehalem' });
    expect(scriptOf(of)).toContain('work(-1, 0, 2);');
    expect(hostCode(of)).not.toContain('event_on(');
    const thread = emitted(['p0: hostEvent which=thread op=on'], { cpu: 'nehalem' });
    expect(scriptOf(thread)).toContain('event_on(0, threads[0].tid, -1, false, ALL_BRANCHES);');
  });
  it('a vCPU that migrates has left KVM_RUN, and one that never ran has no stop', () => {
    const of = emitted(['p0: idle', 'v0: liveMigrate', 'v1: liveMigrate', 'p0: run vcpu=0'], {
      vms: 2,
    });
    expect(codeOf(of)).toEqual(['LEAVE(0);']);
    expect(codeOf(of, 1)).toEqual([]);
    expect(scriptOf(of)).toMatchInlineSnapshot(`
      [
        "keep_awake();",
        "run_on(0, 0);",
        "/* #1 p0: switch to idle */",
        "stands(0); /* v0 */",
        "/* #2 v0 (VM 0, task 0, off): liveMigrate */",
        "migrate(0);",
        "/* #3 v1 (VM 1, task 0, off): liveMigrate */",
        "migrate(1);",
        "/* #4 p0: switch to v0 */",
        "run_on(0, 0);",
        "ends(0);",
      ]
    `);
    expect(hostCode(of)).toContain('vm_recreate_with_one_vcpu');
  });
  it('a vCPU of several in its VM migrates in place, which is left to do', () => {
    const of = emitted(['p0: idle', 'v0: liveMigrate'], { vcpus: 2 });
    expect(scriptOf(of)).toContain('/* LEFT: create the VM anew, with all of its vCPUs */');
    expect(hostCode(of)).not.toContain('vm_recreate_with_one_vcpu');
    expect(hostCode(of)).toContain('nearest thing: 1 place is marked LEFT.');
  });
  it('CPUs are kept awake unless one is to sleep deeply', () => {
    expect(scriptOf(emitted(['p0: idle']))).toContain('keep_awake();');
    const sleeps = emitted(['p0: idle', 'p0: cstate']);
    expect(scriptOf(sleeps)).toContain('usleep(100000);');
    expect(hostCode(sleeps)).not.toContain('keep_awake');
  });
  it('a guest that is held goes on before it leaves its pCPU, and every guest ends', () => {
    const of = emitted(['p0: hostWork n=1', 'p0: run vcpu=1', 'p1: idle', 'p1: run vcpu=0'], {
      vms: 3,
      pcpus: 2,
    });
    expect(scriptOf(of).filter((line) => !line.startsWith('/*'))).toMatchInlineSnapshot(`
      [
        "keep_awake();",
        "run_on(0, 0);",
        "run_on(1, 1);",
        "stands(0); /* v0 */",
        "work(0, 0, 1);",
        "stands(1); /* v1 */",
        "go_on(0);",
        "ends(0);",
        "run_on(1, 0);",
        "ends(1);",
      ]
    `);
  });
  it('an action that is not possible is told as passed over, on the side that it is on', () => {
    const of = emitted(['p0: run vcpu=0', 'v0: leave', 'v1: call'], { vms: 2 });
    const passed = '/* not possible here, so passed over */';
    expect(scriptOf(of)).toContain(passed);
    expect(codeOf(of)).toContain(passed);
    expect(codeOf(of, 1)).toContain(passed);
  });
});

describe('the guests of a selftest', () => {
  const kinds = ['v0: open task=0 type=ANY|USER|KERNEL', 'v0: call', 'v0: call kind=indirect'];
  kinds.push('v0: call kind=zero-length', 'v0: ret', 'v0: jmp', 'v0: jmp kind=indirect', 'v0: jcc');

  it('each kind of branch has a macro of its own, and far branches share one', () => {
    const code = codeOf(emitted(kinds)).filter((line) => !/^(\/\*|READ|WRITE)/.test(line));
    expect(code).toMatchInlineSnapshot(`
      [
        "FAR(vm0_b2);",
        "CALL(vm0_b3);",
        "CALL_INDIRECT(vm0_b4);",
        "CALL_NEXT(vm0_b5);",
        "RET(vm0_b6);",
        "JMP(vm0_b7);",
        "JMP_INDIRECT(vm0_b8);",
        "JCC(vm0_b9);",
      ]
    `);
  });
  it('branches that are not recorded are left out, and an empty stack is given its LBR_TOS', () => {
    const of = emitted(['v0: call', 'v0: open task=0 type=CALL_STACK|USER', 'v0: jmp', 'v0: call']);
    const branches = codeOf(of).filter((line) => /CALL|JMP|TOS/.test(line));
    expect(branches).toMatchInlineSnapshot(`
      [
        "/* #2 v0 (VM 0, task 0, p0): open event 0: of task 0, CALL_STACK|USER */",
        "/* not in the schedule: an empty stack may have any LBR_TOS */",
        "WRITE(MSR_LBR_TOS, 0);",
        "CALL(vm0_b5);",
      ]
    `);
  });
  it('a return from an empty stack needs no LBR_TOS', () => {
    const of = emitted(['v0: open task=0 type=CALL_STACK|USER', 'v0: ret n=2']);
    expect(codeOf(of).at(-1)).toBe('RET(vm0_b3); RET(vm0_b4);');
    expect(hostCode(of)).not.toContain('WRITE(MSR_LBR_TOS');
  });
  it('an exit is an exit', () => {
    expect(codeOf(emitted(['p0: exit']))).toEqual(['EXIT();']);
  });
  it('an overflow is left to do, and the guest freezes the LBR itself where a PMI does', () => {
    const of = emitted(['v0: open task=0 type=ANY|USER', 'v0: pmi event=0']);
    const code = codeOf(of);
    const at = code.findIndex((line) => line.includes('LEFT'));
    expect(code.slice(at, at + 4)).toMatchInlineSnapshot(`
      [
        "/* LEFT: make counter 0 overflow here, and take its PMI as an NMI */",
        "/* nearest: the guest clears DEBUGCTL.LBR, as the PMI does */",
        "WRITE(MSR_IA32_DEBUGCTLMSR, 0x800);",
        "WRITE(MSR_CORE_PERF_GLOBAL_CTRL, 0);",
      ]
    `);
    const callstack = emitted(['v0: open task=0 type=CALL_STACK|USER', 'v0: pmi event=0']);
    expect(hostCode(callstack)).toContain('LEFT: make counter 0 overflow');
    expect(hostCode(callstack)).not.toContain('nearest: the guest clears');
  });
  it('registers that no KVM has are left out', () => {
    const pv = codeOf(emitted(['v0: open task=0 type=CALL_STACK|USER'], { policy: 'pv-v2' }));
    expect(pv).toContain('/* left out: WRMSR of PV_LBR_CTRL; no KVM has it */');
    expect(codeOf(emitted(['v0: rdmsr msr=0x10'])).at(-1)).toBe(
      '/* left out: RDMSR of 0x10; vlbr has no such register */',
    );
  });
  it('a write that must fault says so, whether it did in the run or not', () => {
    const write = parseAction('v0: wrmsr msr=0x680 edx=0xff0000');
    const takesAll: LbrPolicy = { ...never, reset: () => {}, set_msr: (): Vector => 0 };
    for (const policy of [never, takesAll]) {
      const config = machineConfig({ policy, cpu: 'skylake' });
      const schedule = Schedule.of([write]);
      const of = shown({ config, property: 'no-loss/any', schedule, whose: null });
      expect(codeOf(of).at(-1)).toBe('WRITE_GP(FROM(0), 0xff000000000000ull);');
    }
  });
  it('after a write that has faulted and should not have, no read is compared', () => {
    const read = 'v0: rdmsr msr=0xdc0';
    const actions = [read, 'v0: wrmsr msr=0xdc0 eax=0x5', read, 'v0: rdmsr msr=0x680'];
    const of = emitted(actions, { policy: 'v6', property: 'no-leak/vm' });
    expect(codeOf(of).filter((line) => !line.startsWith('/*'))).toEqual([
      'READ(INFO(0), 0);',
      'WRITE(INFO(0), 0x5);',
      'READ_ANY(INFO(0));',
      'READ_ANY(FROM(0));',
    ]);
  });
  it('an INFO is compared if the guest has written it, and not if hardware has', () => {
    const reads = ['v0: rdmsr msr=0xdc0', 'v0: rdmsr msr=0xdc1'];
    const of = emitted([
      'v0: wrmsr msr=0xdc0 eax=0x1234 edx=0x80000000',
      'v0: open task=0 type=ANY|USER',
      'v0: wrmsr msr=0xdc0 eax=0x1234 edx=0x80000000',
      ...reads,
      'v0: wrmsr msr=0xdc1 eax=0x7',
      ...reads,
    ]);
    const infos = codeOf(of).filter((line) => /^READ\w*\(INFO\(/.test(line));
    expect(infos).toMatchInlineSnapshot(`
      [
        "READ(INFO(0), 0x8000000000001234ull);",
        "READ_ANY(INFO(1));",
        "READ(INFO(0), 0x8000000000001234ull);",
        "READ(INFO(1), 0x7);",
      ]
    `);
  });
  it('a CPU without INFO and LBR_SELECT has neither, and its own registers', () => {
    const of = emitted(['v0: open task=0 type=ANY|USER', 'v0: call'], { cpu: 'core2' });
    expect(of.lines).toContain('#define FROM(slot) (MSR_LBR_CORE_FROM + (slot))');
    expect(hostCode(of)).not.toMatch(/INFO\(|LBR_SELECT,/);
    expect(of.lines).toContain('#define LBR_DEPTH 4');
  });
  it('a FROM that the guest has made up is a number, and so is a record of another VM', () => {
    const of = emitted(
      [
        'v0: open task=0 type=ANY|USER',
        'v0: call',
        'v0: wrmsr msr=0x694 eax=0x3 edx=0x7800',
        'v0: rdmsr msr=0x694',
        'v0: wrmsr msr=0x695 eax=0x3 edx=0x900',
        'v0: wrmsr msr=0x696 eax=0x4 edx=0x800',
        'v0: rdmsr msr=0x682',
      ],
      { vms: 2 },
    );
    const code = codeOf(of).filter((line) => /^(CALL|\w+\(FROM\((2|2\d)\))/.test(line));
    expect(code).toMatchInlineSnapshot(`
      [
        "CALL(vm0_b3);",
        "WRITE(FROM(20), 0x780000000003ull);",
        "READ_ADDRESS(FROM(20), 0x780000000003ull);",
        "WRITE(FROM(21), 0x90000000003ull);",
        "WRITE(FROM(22), 0x80000000004ull);",
        "READ_ADDRESS(FROM(2), vm0_b3_from);",
      ]
    `);
  });
});
