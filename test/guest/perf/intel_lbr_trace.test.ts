/**
 * Compares the port of lbr.c with the C. test/golden/lbr_accesses.json.gz holds calls of Linux
 * 6.1's lbr.c, compiled to WebAssembly, with their MSR accesses and the state after each call. The
 * port must make the same accesses in the same order and leave the same state.
 */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import * as lbr from '../../../src/guest/perf/intel_lbr.js';
import { x86PmuOf } from '../../../src/guest/perf/x86_pmu.js';
import { intel_pmu_setup_lbr_filter } from '../../../src/guest/perf/intel_lbr_filter.js';
import type { Cpu, Kernel } from '../../../src/guest/perf/kernel.js';
import { BRANCH_ENTRY_WORDS, LBR_ENTRY_WORDS } from '../../../src/guest/perf/perf_event.js';
import { perf_event } from '../../../src/guest/perf/perf_structs.js';
import { branch_type, common_branch_type } from '../../../src/guest/perf/x86_br.js';
import { CPU_MODELS, type CpuModel } from '../../../src/hw/cpu_models.js';
import type { RecordedCall, RecordedTrace } from '../../golden/accesses.js';
import { modelOf, print64, readGolden, RecordedPort, repeat } from '../../golden/accesses.js';
import { words64 } from '../../golden/accesses.js';
import { bootKernel } from '../../rig/kernel.js';

/** A call of the recording. Its function decides which fields it has. */
interface Call extends RecordedCall {
  readonly ret?: number;
  readonly reg?: number;
  readonly idx?: number;
  readonly config?: string;
  readonly hw_idx?: number;
  readonly stack?: readonly string[];
  readonly entries?: readonly string[];
}

type Trace = RecordedTrace<Call>;

interface Golden {
  readonly traces: readonly Trace[];
  readonly filters: Readonly<Record<string, readonly [number, number, number, number, string][]>>;
  readonly filter_digests: Readonly<Record<string, string>>;
  readonly branch_types: readonly [string, string, number, number][];
  readonly common_branch_types: readonly [number, number][];
}

const GOLDEN = readGolden('lbr_accesses') as Golden;

/** The digests leave HW_INDEX, PRIV_SAVE and the bits above to the list of pairs. */
const DIGEST_BITS = 17;

function stateOf(kernel: Kernel): Record<string, number> {
  const state: Record<string, number> = {};
  for (const { id, cpuc, cpuctx } of kernel.cpus) {
    state[`cpu${id}.lbr_users`] = cpuc.lbr_users;
    state[`cpu${id}.br_sel`] = cpuc.br_sel;
    state[`cpu${id}.lbr_select`] = cpuc.lbr_select;
    state[`cpu${id}.last_task_ctx`] = cpuc.last_task_ctx;
    state[`cpu${id}.last_log_id`] = cpuc.last_log_id;
    state[`cpu${id}.sched_cb_usage`] = cpuctx.sched_cb_usage;
  }
  for (const ctx of kernel.contexts) state[`ctx${ctx.id}.task_ctx_data`] = ctx.task_ctx_data;
  for (const data of kernel.data) {
    state[`data${data.id}.lbr_sel`] = data.lbr_sel;
    state[`data${data.id}.tos`] = data.tos;
    state[`data${data.id}.valid_lbrs`] = data.valid_lbrs;
    state[`data${data.id}.lbr_callstack_users`] = data.lbr_callstack_users;
    state[`data${data.id}.lbr_stack_state`] = data.lbr_stack_state;
    state[`data${data.id}.log_id`] = data.log_id;
  }
  return state;
}

/** Prints consecutive 64-bit fields of a kernel's memory. */
function print(words: Int32Array, at: number, fields: number): string {
  const values = Array.from({ length: fields }, (_, i) =>
    print64(words[at + 2 * i], words[at + 2 * i + 1]),
  );
  return values.join(' ');
}

function lbrStack(cpu: Cpu): string[] {
  const { words } = cpu.kernel;
  return Array.from({ length: cpu.cpuc.lbr_stack_nr }, (_, i) => {
    const at = cpu.lbr_entry(i);
    return `${print(words, at, 2)} ${words[at + BRANCH_ENTRY_WORDS - 1].toString(16)}`;
  });
}

function savedEntries(kernel: Kernel, id: number): string[] {
  const data = kernel.data[id];
  return Array.from({ length: data.valid_lbrs }, (_, i) =>
    print(kernel.words, data.lbr(i), LBR_ENTRY_WORDS / 2),
  );
}

/** What perf_event_open() derives from a branch_sample_type, in the order of the digests. */
function setUp(kernel: Kernel, event: perf_event, type: number): number[] {
  kernel.words.fill(0, event.o, event.o + perf_event.WORDS);
  event.branch_sample_type = type;
  const ret = intel_pmu_setup_lbr_filter(kernel, event);
  const { branch_reg_reg, branch_reg_idx, branch_reg_config, branch_reg_config_hi } = event;
  return [ret, branch_reg_reg, branch_reg_idx, branch_reg_config, branch_reg_config_hi];
}

class Replay {
  private readonly port = new RecordedPort();
  private readonly kernel: Kernel;
  private cpu: Cpu;
  private readonly trace: Trace;

  constructor(trace: Trace) {
    this.trace = trace;
    const model = { ...modelOf(trace.model), lbr_nr: trace.lbr_nr };
    this.kernel = bootKernel({ model, pmu_version: trace.version }, this.port);
    this.cpu = this.kernel.cpus[0];
  }

  run(): void {
    const state = (): Record<string, number> => stateOf(this.kernel);
    repeat(this.trace, this.port, (call) => this.perform(call), state, state());
  }

  private perform({ call, ret, reg, idx, config, hw_idx, stack, entries }: Call): void {
    const [name, a, b, c, d, e] = call;
    const { kernel, cpu } = this;
    const event = kernel.events[a];
    switch (name) {
      case 'cpu':
        this.cpu = kernel.cpus[a];
        break;
      case 'data':
        kernel.contexts[a].task_ctx_data = b + 1;
        break;
      case 'event': {
        const set = setUp(kernel, event, c);
        expect([set[0], set[1], set[2], print64(set[3], set[4])]).toEqual([ret, reg, idx, config]);
        event.ctx = b + 1;
        event.lbr_select_flag = d;
        event.total_time_running = e;
        break;
      }
      case 'ran':
        event.total_time_running = b;
        break;
      case 'sel':
        cpu.cpuc.lbr_sel_config = a;
        cpu.cpuc.lbr_sel_config_hi = b;
        break;
      case 'guest':
        cpu.cpuc.guest_mask_vlbr = a;
        break;
      case 'read':
        lbr.intel_pmu_lbr_read(cpu);
        expect(lbrStack(cpu)).toEqual(stack);
        expect(cpu.cpuc.lbr_stack_hw_idx).toBe(hw_idx);
        break;
      case 'entries':
        expect(savedEntries(kernel, a)).toEqual(entries);
        break;
      default:
        this.callDriver(name, a, b);
    }
  }

  private callDriver(name: string, a: number, b: number): void {
    const { kernel, cpu } = this;
    switch (name) {
      case 'add':
        return lbr.intel_pmu_lbr_add(cpu, kernel.events[a]);
      case 'del':
        return lbr.intel_pmu_lbr_del(cpu, kernel.events[a]);
      case 'sched':
        return lbr.intel_pmu_lbr_sched_task(cpu, a < 0 ? null : kernel.contexts[a], b !== 0);
      case 'swap':
        return lbr.intel_pmu_lbr_swap_task_ctx(cpu, kernel.contexts[a], kernel.contexts[b]);
      case 'enable':
        return lbr.intel_pmu_lbr_enable_all(cpu, a !== 0);
      case 'disable':
        return lbr.intel_pmu_lbr_disable_all(cpu);
      case 'reset':
        return lbr.intel_pmu_lbr_reset(cpu);
      default:
        throw new Error('the recording names a function that is not known here');
    }
  }
}

const NAMES = [...new Set(GOLDEN.traces.map((trace) => trace.model))];

/**
 * Risky situations: a name, a pattern of the call, a pattern of its accesses. Indices of FROM and
 * TO begin with 4 or 6; LBR_SELECT is 1c8, TOS is 1c9, DEBUGCTL is 1d9.
 */
const REACH: readonly (readonly [string, RegExp, RegExp])[] = [
  ['a restore that the shortcut spares', /^sched \d 1$/, /^r[46][0-9a-f]+=[1-9a-f]\S*$/],
  ['a shortcut that a C-state forbids', /^sched \d 1$/, /^r[46][0-9a-f]+=0 w.* w1c9=/],
  ['a restore of INFO', /^sched \d 1$/, /wdc\S+=[1-9a-f]\S* .*w1c9=/],
  ['a restore of LBR_SELECT', /^sched \d 1$/, /w1c9=\S+ w1c8=/],
  ['a save that a hole cuts short', /^sched \d 0$/, /^r1c9=\S+( r\S+=[1-9a-f]\S*)* r[46]\S+=0$/],
  ['a reset that finds LBR_SELECT in use', /^(reset|sched|add)/, /^w[46]\S+=0 .* w1c8=0$/],
  ['an enable that only reads DEBUGCTL', /^enable/, /^(w1c8=\S+ )?r1d9=\S+$/],
  ['an enable for a PMI', /^enable 1$/, /^r1d9=/],
  ['a read of a whole stack', /^read$/, /( r[46]\S+){64}/],
];

describe('the recording', () => {
  // What lbr.c knows of a CPU is its x86_pmu. Of the version it only asks whether it is 4 or more.
  it('the recording of lbr.c holds every CPU model, or one that is the same to lbr.c', () => {
    const known = (model: CpuModel): string => {
      const pmu_version = Math.min(4, model.pmu_version);
      const config = { cpus: 1, tasks: 1, events: 1, version: '6.1', pv: 'none' } as const;
      return JSON.stringify(x86PmuOf({ ...config, model, pmu_version }));
    };
    const recorded = new Set(NAMES.map((name) => known(modelOf(name))));
    const missing = CPU_MODELS.filter((model) => !recorded.has(known(model)));
    expect(missing.map(({ name }) => name)).toEqual([]);
    expect(NAMES).toEqual(expect.arrayContaining(['skylake', 'goldmont', 'format-info2']));
  });

  it.each(REACH)('the recording of lbr.c reaches %s', (_, name, msrs) => {
    const calls = GOLDEN.traces.flatMap((trace) => trace.calls);
    const hits = calls.filter((c) => name.test(c.call.join(' ')) && msrs.test(c.msrs ?? ''));
    expect(hits.length).toBeGreaterThan(5);
  });
});

describe.each(NAMES)('lbr.c on %s', (name) => {
  it(`on ${name} the port always makes the accesses of lbr.c, and leaves what it leaves`, () => {
    for (const trace of GOLDEN.traces) if (trace.model === name) new Replay(trace).run();
  });

  it(`on ${name} the port sets up the filters of lbr.c for each bit and pair of bits`, () => {
    const kernel = bootKernel({ model: modelOf(name), pmu_version: 4 }, new RecordedPort());
    for (const [type, ret, reg, idx, config] of GOLDEN.filters[name]) {
      const set = setUp(kernel, kernel.events[0], type);
      const got = [set[0], set[1], set[2], print64(set[3], set[4])];
      expect(got, `branch_sample_type ${type.toString(16)}`).toEqual([ret, reg, idx, config]);
    }
  });

  it(`on ${name} the port sets up the filters of lbr.c for each type that can matter`, () => {
    const kernel = bootKernel({ model: modelOf(name), pmu_version: 4 }, new RecordedPort());
    const count = 1 << DIGEST_BITS;
    const all = new Int32Array(5 * count);
    for (let type = 0; type < count; type++)
      all.set(setUp(kernel, kernel.events[0], type), 5 * type);
    const digest = createHash('sha256').update(new Uint8Array(all.buffer)).digest('hex');
    expect(digest).toBe(GOLDEN.filter_digests[name]);
  });
});

describe('branch_type', () => {
  it('branch_type always names each kind of branch, between the rings, as utils.c does', () => {
    for (const [from, to, abort, type] of GOLDEN.branch_types) {
      const got = branch_type(...words64(from), ...words64(to), abort !== 0);
      expect(got, `${from} to ${to}, abort ${abort}`).toBe(type);
    }
  });
});

describe('common_branch_type', () => {
  it('common_branch_type always gives the PERF_BR_* value of utils.c', () => {
    for (const [type, common] of GOLDEN.common_branch_types) {
      expect(common_branch_type(type), `type ${type.toString(16)}`).toBe(common);
    }
  });
});
