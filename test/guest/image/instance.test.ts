/** Images of whole trees: they boot on every CPU, and can be left before any MSR access. */
import { describe, expect, it } from 'vitest';
import { ATTR_INHERIT, CALLSTACK_USER } from '../../../src/guest/perf/perf_event.js';
import { BRANCH_REL_CALL } from '../../../src/hw/branch.js';
import { CPU_MODELS } from '../../../src/hw/cpu_models.js';
import { MSR_LBR_NHM_FROM, MSR_LBR_TOS } from '../../../src/hw/msr_index.js';
import { cpuModel } from '../../rig/cpu.js';
import { ImageGuest, imageOf, imageVersions } from '../../rig/images.js';

describe.each(imageVersions('6.1', '6.12', '7.3'))('the image of Linux %s', (version) => {
  it.each(CPU_MODELS)('finds the LBR of $name by CPUID and MSRs alone', async (model) => {
    const guest = new ImageGuest(await imageOf(version), model);
    const pmu = guest.kernel.ask('vlbr_x86_pmu');
    const of = (field: string): number => guest.field(pmu, `x86_pmu.${field}`);
    const found = ['version', 'lbr_nr', 'lbr_from', 'lbr_to', 'lbr_tos'].map(of);
    const { pmu_version, lbr_nr, lbr_from, lbr_to } = model;
    expect(found).toEqual([pmu_version, lbr_nr, lbr_from, lbr_to, MSR_LBR_TOS]);
    expect(guest.printed.join('\n')).toContain(`${lbr_nr}-deep LBR`);
    expect(guest.printed.join('\n')).toContain('Intel PMU driver');
    expect(guest.warnings).toEqual([]);
  });

  /** Two tasks with a call stack each, on one CPU; a fork that inherits, a PMI, a close. */
  async function story(leave: () => boolean) {
    const guest = new ImageGuest(await imageOf(version), cpuModel('skylake'), 2);
    guest.leave = leave;
    const [first, second] = [guest.task(), guest.task()];
    guest.switchTo(0, first);
    const event = guest.open(0, guest.pid(first), CALLSTACK_USER, ATTR_INHERIT);
    expect(guest.call(0, 'vlbr_fork', second)).toBe(0);
    let running = first;
    for (const task of [second, first, second, first]) {
      guest.msrs[0].cpu.branch(BRANCH_REL_CALL, 3, running, 0, running, 0, false, 1);
      guest.switchTo(0, task);
      running = task;
    }
    const newest = guest.msrs[0].cpu;
    const from = newest.rdmsr(MSR_LBR_NHM_FROM + newest.stack.tos);
    guest.pmi(0, event);
    // The other CPU takes the event's task over.
    guest.switchTo(0, guest.idle[0]);
    guest.switchTo(1, first);
    const users = [0, 1].map((cpu) => guest.lbrUsers(cpu));
    guest.call(0, 'vlbr_close', event);
    guest.kernel.ask('vlbr_grace_period');
    return { guest, first, from, users, accesses: guest.msrs.map((msrs) => msrs.take()) };
  }

  it('gives a task its call stack back, and counts its users', async () => {
    const { guest, first, from, users } = await story(() => false);
    expect(from).toBe(first);
    expect(users).toEqual([0, 1]);
    expect([0, 1].map((cpu) => guest.lbrUsers(cpu))).toEqual([0, 0]);
    expect(guest.samples).toHaveLength(1);
    expect(guest.warnings).toEqual([]);
  });

  it('does the same, however often its functions are left before an MSR access', async () => {
    const whole = await story(() => false);
    let asked = 0;
    const often = await story(() => ++asked % 2 === 1);
    expect(asked).toBeGreaterThan(300);
    expect(often.accesses).toEqual(whole.accesses);
    expect(often.guest.samples).toEqual(whole.guest.samples);
    expect(often.from).toBe(whole.from);
  });

  it('goes on from a snapshot inside of a function, as often as it is put back', async () => {
    const guest = new ImageGuest(await imageOf(version), cpuModel('skylake'), 1);
    const { kernel, msrs } = guest;
    const [first, second] = [guest.task(), guest.task()];
    guest.switchTo(0, first);
    guest.open(0, guest.pid(first), CALLSTACK_USER, 0);
    msrs[0].take();
    let accesses = 0;
    guest.leave = () => ++accesses === 4;
    expect(kernel.run(0, 'vlbr_context_switch', second).left).toBe(true);
    const inside = kernel.snapshot();
    const users = guest.lbrUsers(0);
    expect(msrs[0].take()).toHaveLength(3);
    for (const _ of [1, 2]) {
      kernel.restore(inside);
      expect([kernel.anyLeft, guest.lbrUsers(0)]).toEqual([true, users]);
      // The MSRs are the caller's, who puts them back as well.
      expect(kernel.resume(0)).toMatchObject({ left: false });
      expect([kernel.anyLeft, guest.lbrUsers(0)]).toEqual([false, 0]);
      expect(msrs[0].take().length).toBeGreaterThan(0);
    }
  });
});
