/**
 * Guards of the kernel that calls through perf reach rarely or never. Each test calls a function
 * directly, in the state that its guard is for.
 */
import { describe, expect, it } from 'vitest';
import { EOPNOTSUPP } from '../../../src/guest/perf/perf_event.js';
import * as core from '../../../src/guest/perf/events_core.js';
import * as intel from '../../../src/guest/perf/intel_core.js';
import * as lbr from '../../../src/guest/perf/intel_lbr.js';
import { intel_pmu_setup_lbr_filter } from '../../../src/guest/perf/intel_lbr_filter.js';
import {
  KERNEL_VERSIONS,
  KernelLayout,
  type KernelVersion,
  portOf,
} from '../../../src/guest/perf/kernel.js';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import {
  branch_type,
  X86_BR_ABORT,
  X86_BR_JCC,
  X86_BR_NONE,
  X86_BR_USER,
} from '../../../src/guest/perf/x86_br.js';
import { Layout } from '../../../src/hw/memory.js';
import * as perf from '../../../src/guest/perf/perf_event.js';
import { LBR_NOT_SUPP, x86PmuOf } from '../../../src/guest/perf/x86_pmu.js';
import { addressHigh, BRANCH_JCC } from '../../../src/hw/branch.js';
import * as msrs from '../../../src/hw/msr_index.js';
import { modelOf } from '../../golden/accesses.js';
import { ANY, CALLSTACK, DEPTH, Rig } from '../../rig/kernel.js';

const { PERF_EVENT_STATE_ACTIVE: ACTIVE, PERF_EVENT_STATE_INACTIVE: INACTIVE } = perf;

describe('perf_event_set_state', () => {
  it('an event that stays ACTIVE is never taken for one that has run', () => {
    const rig = new Rig();
    const event = rig.open(0, CALLSTACK);
    core.perf_event_set_state(event, ACTIVE);
    expect([event.state, event.total_time_running]).toEqual([ACTIVE, 0]);
    core.perf_event_set_state(event, INACTIVE);
    expect([event.state, event.total_time_running]).toEqual([INACTIVE, 1]);
  });

  it('an event that becomes ACTIVE is never taken for one that has run', () => {
    const rig = new Rig();
    const event = rig.open(2, CALLSTACK);
    core.perf_event_set_state(event, ACTIVE);
    expect([event.state, event.total_time_running]).toEqual([ACTIVE, 0]);
  });
});

describe('a PMU without room for another event', () => {
  it('a PMU without room leaves the event as it was, and nothing counted', () => {
    const rig = new Rig();
    const { cpuc, cpuctx } = rig.cpu;
    cpuc.n_events = rig.kernel.config.events;
    const event = rig.open(0, CALLSTACK);
    // lbr.c and the event list do not change.
    expect(rig.take().filter((line) => line.startsWith('w FROM'))).toEqual([]);
    expect([cpuc.br_sel, event.branch_reg_alloc]).toEqual([0, 0]);
    expect([event.state, event.oncpu, event.total_time_running]).toEqual([INACTIVE, -1, 0]);
    expect(rig.kernel.contexts[rig.ctxOf(0)].nr_active).toBe(0);
    expect([cpuc.n_events, cpuc.n_added, cpuc.n_txn]).toEqual([rig.kernel.config.events, 0, 0]);
    expect([cpuc.lbr_users, cpuctx.pmu_disable_count, cpuc.txn_flags]).toEqual([0, 0, 0]);
    cpuc.n_events = 0;
    rig.disable(event);
    rig.enable(event);
    expect([event.state, event.oncpu]).toEqual([ACTIVE, 0]);
  });
});

describe('x86_schedule_events', () => {
  it('two guest LBR events are never on together, since their fake counter is one', () => {
    const rig = new Rig();
    const attr = perf.ATTR_PINNED | perf.ATTR_VLBR;
    const [first, second] = [rig.open(0, CALLSTACK, attr), rig.open(0, CALLSTACK, attr)];
    expect([first.state, second.state]).toEqual([ACTIVE, perf.PERF_EVENT_STATE_ERROR]);
    rig.close(first);
    rig.enable(second);
    expect([second.state, rig.onPmu()]).toEqual([ACTIVE, [second.id]]);
  });
});

describe('intel_get_event_constraints', () => {
  it('an event never takes the shared register twice', () => {
    const rig = new Rig();
    const event = rig.open(0, CALLSTACK);
    expect([rig.cpu.cpuc.lbr_sel_ref, event.branch_reg_alloc]).toEqual([1, 1]);
    // The event keeps the register, even if the register has another configuration now.
    rig.cpu.cpuc.lbr_sel_config = 0;
    expect(intel.intel_get_event_constraints(rig.cpu, event)).toBe(true);
    expect([rig.cpu.cpuc.lbr_sel_ref, rig.cpu.cpuc.lbr_sel_config]).toEqual([1, 0]);
  });

  it('an event never gives back a register that it does not have', () => {
    const rig = new Rig();
    rig.open(0, CALLSTACK);
    const other = rig.create(2, CALLSTACK);
    intel.intel_put_event_constraints(rig.cpu, other);
    expect(rig.cpu.cpuc.lbr_sel_ref).toBe(1);
  });
});

describe('handle_pmi_common', () => {
  it('a PMI never samples for the guest LBR event, whose counter is no bit of STATUS', () => {
    const rig = new Rig();
    rig.open(0, CALLSTACK, perf.ATTR_PINNED | perf.ATTR_VLBR);
    rig.open(-1, ANY);
    rig.port.set(msrs.MSR_CORE_PERF_GLOBAL_STATUS, 0xff);
    intel.intel_pmu_handle_irq(rig.cpu);
    expect(rig.samples.map(([event]) => event)).toEqual([1]);
  });
});

describe('intel_pmu_lbr_reset', () => {
  it('a reset forgets whose stack was saved last, and does nothing without LBR', () => {
    for (const lbr_nr of [DEPTH, 0]) {
      const rig = new Rig({ model: { ...modelOf('haswell'), lbr_nr } });
      const { cpuc } = rig.cpu;
      cpuc.last_task_ctx = 3;
      cpuc.last_log_id = 5;
      cpuc.lbr_select = 1;
      lbr.intel_pmu_lbr_reset(rig.cpu);
      const there = lbr_nr === 0;
      expect([cpuc.last_task_ctx, cpuc.last_log_id]).toEqual(there ? [3, 5] : [0, 0]);
      expect(rig.take().at(-1)).toBe(there ? undefined : 'w SELECT 0');
    }
  });
});

describe('intel_pmu_lbr_read_32', () => {
  it('intel_pmu_lbr_read_32 fills the five words of each entry, newest first, and no more', () => {
    const model = { ...modelOf('core2'), lbr_nr: DEPTH, lbr_format: 0 };
    const rig = new Rig({ model });
    const { kernel, cpu } = rig;
    rig.open(0, ANY | perf.PERF_SAMPLE_BRANCH_KERNEL);
    rig.port.set(msrs.MSR_LBR_TOS, 1);
    for (let i = 0; i < DEPTH; i++) rig.port.set(model.lbr_from + i, 10 + i, 20 + i);
    const first = cpu.lbr_entry(0);
    const words = kernel.words.subarray(first - 1, first + 5 * DEPTH + 1);
    words.fill(99);
    lbr.intel_pmu_lbr_read(cpu);
    const entries = [1, 0, 3, 2].flatMap((i) => [10 + i, 0, 20 + i, 0, 0]);
    expect([...words]).toEqual([99, ...entries, 99]);
    expect([cpu.cpuc.lbr_stack_nr, cpu.cpuc.lbr_stack_hw_idx]).toEqual([DEPTH, 1]);
  });
});

describe('intel_pmu_lbr_read_64', () => {
  /** High words of FROM and TO in the entry that was read, and the entry's flags. */
  function entryOf(cpu: string): number[] {
    const model = { ...modelOf(cpu), lbr_nr: DEPTH };
    const rig = new Rig({ model });
    rig.open(0, ANY | perf.PERF_SAMPLE_BRANCH_KERNEL);
    rig.port.set(msrs.MSR_LBR_TOS, 2);
    rig.port.set(model.lbr_from + 2, 5, 0x9abc1234);
    rig.port.set(model.lbr_to + 2, 6, 0x1234f678);
    if (model.lbr_info !== 0) rig.port.set(model.lbr_info + 2, 0x70003, msrs.LBR_INFO_IN_TX_HI);
    lbr.intel_pmu_lbr_read(rig.cpu);
    const at = rig.cpu.lbr_entry(0);
    const [from, fromHi, to, toHi, flags] = rig.kernel.words.subarray(at, at + 5);
    expect([from, to]).toEqual([5, 6]);
    return [fromHi >>> 0, toHi >>> 0, flags];
  }

  const { BRANCH_MISPRED, BRANCH_PREDICTED, BRANCH_IN_TX } = perf;
  const rows = [
    // FROM has 3 flags, 1 flag or none above the address. Goldmont's TO has 16 bits of cycles.
    { cpu: 'haswell', entry: [0xfabc1234, 0x1234f678, BRANCH_MISPRED] },
    { cpu: 'nehalem', entry: [0x1abc1234, 0x1234f678, BRANCH_MISPRED] },
    { cpu: 'goldmont', entry: [0x1abc1234, 0xfffff678, BRANCH_MISPRED | 0x12340] },
    { cpu: 'core2', entry: [0x9abc1234, 0x1234f678, 0] },
    { cpu: 'skylake', entry: [0x9abc1234, 0x1234f678, BRANCH_PREDICTED | BRANCH_IN_TX | 0x30] },
  ];
  it.each(rows)('in entries of $cpu the sign takes the place of the flags', ({ cpu, entry }) => {
    expect(entryOf(cpu)).toEqual(entry);
  });
});

describe('intel_pmu_setup_lbr_filter', () => {
  it('a filter that the map calls impossible for hardware is always refused', () => {
    const { kernel } = new Rig();
    const event = kernel.events[0];
    event.branch_sample_type = ANY | perf.PERF_SAMPLE_BRANCH_COND;
    const shift = Math.log2(perf.PERF_SAMPLE_BRANCH_COND);
    const lbr_sel_map = kernel.x86_pmu.lbr_sel_map?.with(shift, LBR_NOT_SUPP);
    const pmu = { value: { ...kernel.x86_pmu, lbr_sel_map } };
    const strict = Object.create(kernel, { x86_pmu: pmu }) as typeof kernel;
    expect(intel_pmu_setup_lbr_filter(kernel, event)).toBe(0);
    expect(intel_pmu_setup_lbr_filter(strict, event)).toBe(-EOPNOTSUPP);
    event.branch_sample_type = ANY;
    expect(intel_pmu_setup_lbr_filter(strict, event)).toBe(0);
  });
});

describe('intel_pmu_lbr_filter', () => {
  const WORDS = perf.BRANCH_ENTRY_WORDS;

  /** Reads a stack whose branch i ends in the kernel if bit i is set. Newest entry first. */
  function read(type: number, kernelBits: number): { entries: number[][]; nr: number } {
    // The registers of this model hold addresses only.
    const model = { ...modelOf('core2'), lbr_nr: DEPTH };
    const rig = new Rig({ model });
    rig.open(0, perf.PERF_SAMPLE_BRANCH_ANY | type);
    rig.port.set(msrs.MSR_LBR_TOS, DEPTH - 1);
    for (let i = 0; i < DEPTH; i++) {
      const high = addressHigh(((kernelBits >> i) & 1) !== 0, BRANCH_JCC, 0, 0, 0);
      rig.port.set(model.lbr_from + DEPTH - 1 - i, 10 + i, high);
      rig.port.set(model.lbr_to + DEPTH - 1 - i, 20 + i, high);
    }
    lbr.intel_pmu_lbr_read(rig.cpu);
    const entries = Array.from({ length: DEPTH }, (_, i) => {
      const at = rig.cpu.lbr_entry(i);
      return [...rig.kernel.words.subarray(at, at + WORDS)];
    });
    return { entries, nr: rig.cpu.cpuc.lbr_stack_nr };
  }

  /** Works as the C does: zeroes FROM of a dropped entry, then closes gaps one by one. */
  function compress(entries: number[][], dropped: readonly boolean[]): number {
    for (const [i, drop] of dropped.entries()) if (drop) entries[i].splice(0, 2, 0, 0);
    let nr = entries.length;
    let i = 0;
    while (i < nr) {
      if ((entries[i][0] | entries[i][1]) === 0) {
        for (let j = i + 1; j < nr; j++) entries[j - 1] = [...entries[j]];
        nr--;
      } else {
        i++;
      }
    }
    return nr;
  }

  it('the software filter leaves the words that closing one gap after the other leaves', () => {
    const { PERF_SAMPLE_BRANCH_USER: USER, PERF_SAMPLE_BRANCH_KERNEL: KERNEL } = perf;
    for (let kernelBits = 0; kernelBits < 2 ** DEPTH; kernelBits++) {
      const { entries } = read(USER | KERNEL, kernelBits);
      const dropped = entries.map((_, i) => ((kernelBits >> i) & 1) !== 0);
      const nr = compress(entries, dropped);
      expect(read(USER, kernelBits)).toEqual({ entries, nr });
    }
  });
});

describe('branch_type', () => {
  it('branch_type is none for an address of 0, on either side and in either word', () => {
    const JCC = X86_BR_JCC | X86_BR_USER;
    const cases = [
      [0, 0, 1, 0],
      [1, 0, 0, 0],
      [0, 0, 0, 0],
      [1, 0, 1, 0],
      [0, 1, 1, 0],
      [1, 0, 0, 1],
    ] as const;
    const types = cases.map(([a, b, c, d]) => branch_type(a, b, c, d, false));
    expect(types).toEqual([X86_BR_NONE, X86_BR_NONE, X86_BR_NONE, JCC, JCC, JCC]);
    const aborts = cases.map(([a, b, c, d]) => branch_type(a, b, c, d, true));
    const ABORT = X86_BR_ABORT | X86_BR_USER;
    expect(aborts).toEqual([X86_BR_NONE, X86_BR_NONE, X86_BR_NONE, ABORT, ABORT, ABORT]);
  });
});

describe('Kernel', () => {
  it('a kernel has room for as many records as its driver says, and words of its own', () => {
    const layout = new Layout();
    layout.take(7);
    const { config } = new Rig().kernel;
    const first = new KernelLayout(layout, config);
    const second = new KernelLayout(layout, config);
    expect([first.start, second.start, second.start + second.size]).toEqual([
      7,
      7 + first.size,
      layout.size,
    ]);
    expect([new Rig().kernel.lbrRecords, PORT.name]).toEqual([DEPTH, 'port']);
  });
});

describe('pvLbrAdd and pvLbrDel', () => {
  it.each(['none', 'add-del', 'add-del-boot'] as const)(
    'pv_lbr_users counts call-stack users alone, and none without the feature: %s',
    (pv) => {
      const rig = new Rig({ pv });
      const [mine, other] = [rig.open(0, CALLSTACK), rig.open(-1, CALLSTACK)];
      const users = (): number => rig.cpu.cpuc.pv_lbr_users;
      const one = pv === 'none' ? 0 : 1;
      expect(users()).toBe(2 * one);
      rig.close(mine);
      expect(users()).toBe(one);
      rig.close(other);
      rig.close(rig.open(0, ANY));
      expect(users()).toBe(0);
    },
  );
});

describe('x86PmuOf', () => {
  it('x86PmuOf never looks at the name of a model or its microarchitecture', () => {
    for (const name of ['haswell', 'skylake']) {
      const { config } = new Rig({ model: modelOf(name) }).kernel;
      const model = { ...config.model, name: 'x', uarch: name === 'haswell' ? 'x' : 'Haswell' };
      expect(x86PmuOf({ ...config, model })).toEqual(x86PmuOf(config));
      expect(x86PmuOf(config).lbr_double_abort).toBe(name === 'haswell');
    }
  });
});

describe('KERNEL_VERSIONS', () => {
  it('KERNEL_VERSIONS begins with the version that is the reference', () => {
    expect(KERNEL_VERSIONS).toEqual(['6.1', '6.12', '7.3', '4.18']);
  });

  it('portOf takes a tree to be like the version that last changed where task data lives', () => {
    const like: Readonly<Record<string, KernelVersion>> = {
      '5.9.1': '6.1',
      '6.1.192': '6.1',
      '6.2.0': '6.12',
      '6.12.117': '6.12',
      '6.14.3': '6.12',
      '6.15.0': '7.3',
      '7.2.12': '7.3',
      '10.0.1': '7.3',
      unknown: '6.1',
    };
    for (const [version, port] of Object.entries(like)) {
      expect([version, portOf(version)]).toEqual([version, port]);
    }
  });
});
