/** Words of a kernel that are wiped because nothing reads them again, and words that are kept. */
import { describe, expect, it } from 'vitest';
import type { Kernel } from '../../src/guest/perf/kernel.js';
import { ATTR_INHERIT, ATTR_INHERIT_STAT } from '../../src/guest/perf/perf_event.js';
import { LBR_NONE, LBR_VALID } from '../../src/guest/perf/perf_event.js';
import { perf_event } from '../../src/guest/perf/perf_structs.js';
import { always } from '../../src/host/policy/always.js';
import { retireKernel, settleKernel, wipeSamples } from '../../src/states/settle.js';
import { bootedMachine } from '../rig/machine.js';

/** A guest's kernel after its boot. */
function kernelOf(): Kernel {
  const machine = bootedMachine({ cpu: 'haswell/2', policy: always, vms: 1, vcpus: 2, tasks: 3 });
  return machine.guests[0];
}

const wordsOf = ({ words, layout }: Kernel): number[] => [
  ...words.subarray(layout.start, layout.start + layout.size),
];

describe('settleKernel', () => {
  it('settleKernel never changes a kernel that has just booted', () => {
    const kernel = kernelOf();
    const before = wordsOf(kernel);
    settleKernel(kernel, 0, false);
    expect(wordsOf(kernel)).toEqual(before);
  });

  it('settleKernel wipes events that are closed, and never those that are open', () => {
    const kernel = kernelOf();
    const [open, closed] = kernel.events;
    for (const { o } of [open, closed]) kernel.words.fill(5, o, o + perf_event.WORDS);
    closed.used = 0;
    settleKernel(kernel, 0, false);
    const of = ({ o }: perf_event): number[] => [...kernel.words.subarray(o, o + perf_event.WORDS)];
    expect(new Set(of(open))).toEqual(new Set([5]));
    expect(new Set(of(closed))).toEqual(new Set([0]));
  });

  it('settleKernel always cuts lists to their lengths', () => {
    const kernel = kernelOf();
    const [ctx] = kernel.contexts;
    const { cpuc } = kernel.cpus[1];
    for (let i = 0; i < kernel.events.length; i++) {
      ctx.setEvent(i, i + 1);
      cpuc.setEventList(i, i + 1);
    }
    ctx.nr_events = 2;
    cpuc.n_events = 1;
    settleKernel(kernel, 0, false);
    expect([0, 1, 2].map((i) => ctx.event(i))).toEqual([1, 2, 0]);
    expect([0, 1].map((i) => cpuc.event_list(i))).toEqual([1, 0]);
  });

  it('settleKernel keeps event_list if an event has inherit_stat, and only then', () => {
    const kernel = kernelOf();
    const [ctx] = kernel.contexts;
    const [event] = kernel.events;
    const settled = (used: number, attr: number): number[] => {
      Object.assign(event, { used, attr });
      for (let i = 0; i < 3; i++) ctx.setListed(i, i + 1);
      ctx.nr_events = 2;
      settleKernel(kernel, 0, false);
      return [0, 1, 2].map((i) => ctx.listed(i));
    };
    expect(settled(1, ATTR_INHERIT_STAT)).toEqual([1, 2, 0]);
    expect(settled(1, ATTR_INHERIT)).toEqual([0, 0, 0]);
    expect(settled(0, ATTR_INHERIT_STAT)).toEqual([0, 0, 0]);
  });

  it('settleKernel forgets generations, unless a context is a clone', () => {
    const kernel = kernelOf();
    const [ctx, clone] = kernel.contexts;
    const set = (): void => {
      ctx.generation = 3;
      ctx.parent_gen = 4;
    };
    set();
    clone.parent_ctx = 1;
    settleKernel(kernel, 0, false);
    expect([ctx.generation, ctx.parent_gen]).toEqual([3, 4]);
    clone.parent_ctx = 0;
    settleKernel(kernel, 0, false);
    expect([ctx.generation, ctx.parent_gen]).toEqual([0, 0]);
  });

  it('settleKernel keeps of a saved stack what would be restored, and if it is the last', () => {
    const kernel = kernelOf();
    const [saved, stale, none] = kernel.data;
    const [one, two] = kernel.cpus;
    for (const data of [saved, stale, none]) {
      data.lbr_stack_state = LBR_VALID;
      data.valid_lbrs = 1;
      data.log_id = 9;
      data.tos = 1;
      data.lbr_sel = 3;
      kernel.words.fill(7, data.lbr(0), data.lbr(2));
    }
    none.lbr_stack_state = LBR_NONE;
    one.cpuc.last_task_ctx = saved.id + 1;
    one.cpuc.last_log_id = 9;
    two.cpuc.last_task_ctx = stale.id + 1;
    two.cpuc.last_log_id = 8;
    settleKernel(kernel, 0, false);
    const records = (at: number): number => kernel.words[at];
    expect([records(saved.lbr(0)), records(saved.lbr(1)), records(none.lbr(0))]).toEqual([7, 0, 0]);
    expect([saved.tos, saved.lbr_sel, saved.valid_lbrs, saved.log_id]).toEqual([1, 3, 1, 1]);
    expect([none.tos, none.lbr_sel, none.valid_lbrs, none.log_id]).toEqual([0, 0, 0, 0]);
    expect([one.cpuc.last_log_id, two.cpuc.last_log_id, stale.log_id]).toEqual([1, 0, 1]);
    expect(one.cpuc.last_task_ctx).toBe(saved.id + 1);
    one.cpuc.last_task_ctx = none.id + 1;
    one.cpuc.last_log_id = none.log_id;
    settleKernel(kernel, 0, false);
    expect([one.cpuc.last_task_ctx, one.cpuc.last_log_id]).toEqual([0, 0]);
  });
});

describe('wipeSamples', () => {
  it('wipeSamples always wipes what the last sample of each CPU held', () => {
    const kernel = kernelOf();
    const [, cpu] = kernel.cpus;
    kernel.words.fill(4, cpu.lbr_entry(0), cpu.lbr_entry(kernel.lbrRecords));
    cpu.cpuc.lbr_stack_nr = 2;
    cpu.cpuc.lbr_stack_hw_idx = 1;
    wipeSamples(kernel);
    expect([cpu.cpuc.lbr_stack_nr, cpu.cpuc.lbr_stack_hw_idx]).toEqual([0, 0]);
    const entries = kernel.words.subarray(cpu.lbr_entry(0), cpu.lbr_entry(kernel.lbrRecords));
    expect(entries.every((word) => word === 0)).toBe(true);
  });
});

describe('retireKernel', () => {
  it('retireKernel wipes contexts and saved stacks, except the CPUs’ own', () => {
    const kernel = kernelOf();
    const { layout, words, tasks, cpus } = kernel;
    words.fill(6, layout.contexts, layout.events);
    for (const task of tasks) task.perf_event_ctxp = 2;
    for (const { cpuc, cpuctx } of cpus) {
      cpuctx.task_ctx = 1;
      cpuc.last_task_ctx = 1;
      cpuc.last_log_id = 5;
      cpuc.br_sel = 1;
      cpuc.lbr_sel_config = 1;
      cpuc.lbr_sel_config_hi = 1;
    }
    const current = cpus.map(({ cpuctx }) => cpuctx.current);
    retireKernel(kernel);
    for (const { ctx } of cpus) {
      expect(ctx.used).toBe(1);
      ctx.used = 0;
    }
    expect(words.subarray(layout.contexts, layout.events).every((word) => word === 0)).toBe(true);
    expect(tasks.every((task) => task.perf_event_ctxp === 0)).toBe(true);
    for (const { cpuc, cpuctx } of cpus) {
      const { br_sel, lbr_sel_config, lbr_sel_config_hi, last_task_ctx, last_log_id } = cpuc;
      expect([br_sel, lbr_sel_config, lbr_sel_config_hi, last_task_ctx, last_log_id]).toEqual([
        0, 0, 0, 0, 0,
      ]);
      expect(cpuctx.task_ctx).toBe(0);
    }
    expect(cpus.map(({ cpuctx }) => cpuctx.current)).toEqual(current);
  });
});
