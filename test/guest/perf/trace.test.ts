/**
 * Compares the port of perf's core and the x86 PMU drivers with the C.
 * test/golden/perf_accesses.json.gz holds calls of Linux 6.1, compiled to WebAssembly, that open,
 * switch, fork, enable, disable, close and overflow events on two CPUs. A call has its MSR accesses
 * and its changes of state. The port must do the same in the same order.
 */
import { describe, expect, it } from 'vitest';
import * as core from '../../../src/guest/perf/events_core.js';
import * as syscall from '../../../src/guest/perf/events_syscall.js';
import * as intel from '../../../src/guest/perf/intel_core.js';
import type { Cpu, Kernel } from '../../../src/guest/perf/kernel.js';
import { PERF_SAMPLE_BRANCH_CALL_STACK } from '../../../src/guest/perf/perf_event.js';
import type { RecordedCall, RecordedTrace } from '../../golden/accesses.js';
import { modelOf, readGolden, RecordedPort, repeat } from '../../golden/accesses.js';
import { bootKernel, startTasks, switchIn, switchOut } from '../../rig/kernel.js';

/** A call of the recording. Only an open has `ret`, only a PMI has `samples`. */
interface Call extends RecordedCall {
  readonly ret?: number;
  readonly samples?: readonly number[];
}

type Trace = RecordedTrace<Call>;

const { traces: TRACES } = readGolden('perf_accesses') as { readonly traces: readonly Trace[] };

const SIZES = { cpus: 2, tasks: 6, events: 12 };
/** Compared entries of event_list. A failed transaction can leave a stale one behind them. */
const LISTED = 6;

const CPUC = [
  'enabled',
  'n_events',
  'n_added',
  'txn_flags',
  'lbr_users',
  'br_sel',
  'lbr_select',
  'last_task_ctx',
  'last_log_id',
  'lbr_sel_ref',
  'lbr_sel_config',
  'lbr_sel_config_hi',
  'guest_mask_vlbr',
] as const;
const CPUCTX = ['task_ctx', 'sched_cb_usage', 'perf_sched_cb_usages', 'pmu_disable_count'] as const;
const CTX = [
  'task',
  'parent_ctx',
  'generation',
  'nr_events',
  'nr_active',
  'is_active',
  'task_ctx_data',
  'rotate_necessary',
] as const;
const DATA = [
  'lbr_sel',
  'tos',
  'valid_lbrs',
  'lbr_callstack_users',
  'lbr_stack_state',
  'log_id',
] as const;
const EVENT = [
  'used',
  'state',
  'oncpu',
  'branch_reg_alloc',
  'lbr_select_flag',
  'total_time_running',
  'pending_disable',
  'ctx',
] as const;

function stateOf(kernel: Kernel): Record<string, number> {
  const state: Record<string, number> = {};
  for (const { id, cpuc, cpuctx } of kernel.cpus) {
    for (const field of CPUC) state[`cpu${id}.${field}`] = cpuc[field];
    for (const field of CPUCTX) state[`cpu${id}.${field}`] = cpuctx[field];
    for (let i = 0; i < LISTED; i++) {
      state[`cpu${id}.list${i}`] = i < cpuc.n_events ? cpuc.event_list(i) + 1 : 0;
    }
  }
  for (const task of kernel.tasks) state[`task${task.id}.perf_event_ctxp`] = task.perf_event_ctxp;
  for (const ctx of kernel.contexts) {
    for (const field of CTX) state[`ctx${ctx.id}.${field}`] = ctx[field];
    // parent_gen means nothing once the context is no clone.
    state[`ctx${ctx.id}.parent_gen`] = ctx.parent_ctx === 0 ? 0 : ctx.parent_gen;
  }
  for (const data of kernel.data) {
    for (const field of DATA) state[`data${data.id}.${field}`] = data[field];
  }
  for (const event of kernel.events) {
    for (const field of EVENT) {
      state[`event${event.id}.${field}`] = event.used === 0 ? 0 : event[field];
    }
  }
  return state;
}

class Replay {
  private readonly port = new RecordedPort();
  private readonly kernel: Kernel;
  private cpu: Cpu;
  private samples: number[] = [];
  private readonly trace: Trace;

  constructor(trace: Trace) {
    this.trace = trace;
    const model = { ...modelOf(trace.model), lbr_nr: trace.lbr_nr };
    const sample = (_: Cpu, event: { readonly id: number }): number => this.samples.push(event.id);
    const config = { model, pmu_version: trace.version, ...SIZES };
    this.kernel = bootKernel(config, this.port, { sample });
    startTasks(this.kernel);
    this.cpu = this.kernel.cpus[0];
  }

  run(): void {
    const state = (): Record<string, number> => stateOf(this.kernel);
    // Static in the C; all else begins as 0.
    const first = { 'cpu0.enabled': 1, 'cpu1.enabled': 1 };
    repeat(this.trace, this.port, (call) => this.perform(call), state, first);
  }

  private perform({ call, ret, samples }: Call): void {
    const [name, a, b, c, d] = call;
    const { kernel, cpu } = this;
    switch (name) {
      case 'cpu':
        this.cpu = kernel.cpus[a];
        break;
      case 'starting':
        return intel.intel_pmu_cpu_starting(cpu);
      case 'open':
        expect(syscall.perf_event_open(cpu, a, b, c, d)).toBe(ret);
        break;
      case 'install':
        return core.perf_install_in_context(cpu, kernel.events[a]);
      case 'enable':
        return syscall.enableFamily(cpu, kernel.events[a]);
      case 'disable':
        return syscall.disableFamily(cpu, kernel.events[a]);
      case 'close':
        return syscall.perf_event_release_kernel(cpu, kernel.events[a]);
      case 'fork':
        return syscall.perf_event_init_task(cpu, a);
      case 'switch':
        switchOut(cpu, a);
        return switchIn(cpu, a);
      case 'pmi':
        this.samples = [];
        intel.intel_pmu_handle_irq(cpu);
        expect(this.samples).toEqual(samples);
        break;
      default:
        throw new Error('the recording names a function that is not known here');
    }
  }
}

const NAMES = [...new Set(TRACES.map((trace) => trace.model))];

describe.each(NAMES)('perf on %s', (name) => {
  it(`on ${name} perf always makes the accesses of the C, and leaves what the C leaves`, () => {
    for (const trace of TRACES) if (trace.model === name) new Replay(trace).run();
  });
});

describe('the recording', () => {
  const calls = TRACES.flatMap((trace) => trace.calls);
  const count = (name: string, holds: (call: Call) => boolean): number =>
    calls.filter((call) => call.call[0] === name && holds(call)).length;
  const changes = (call: Call, pattern: RegExp, value: number): boolean =>
    Object.entries(call.state ?? {}).some(([key, v]) => pattern.test(key) && v === value);

  it('the recording of perf reaches what is hard to reach', () => {
    const swap = (call: Call): boolean =>
      Object.keys(call.state ?? {}).some((key) => /^ctx\d\.task$/.test(key));
    const callstack = ({ call }: Call): boolean => (call[4] & PERF_SAMPLE_BRANCH_CALL_STACK) !== 0;
    expect(count('switch', swap)).toBeGreaterThan(100);
    expect(count('open', (call) => call.ret !== 0)).toBeGreaterThan(10);
    expect(count('open', callstack)).toBeGreaterThan(100);
    // -2 is PERF_EVENT_STATE_ERROR.
    expect(count('install', (call) => changes(call, /state$/, -2))).toBeGreaterThan(5);
    expect(count('switch', (call) => changes(call, /state$/, -2))).toBeGreaterThan(5);
    expect(count('switch', (call) => changes(call, /rotate/, 1))).toBeGreaterThan(10);
    expect(count('pmi', ({ samples }) => (samples ?? []).length > 1)).toBeGreaterThan(10);
    expect(count('switch', (call) => changes(call, /guest_mask/, 1))).toBeGreaterThan(10);
    expect(count('fork', (call) => changes(call, /parent_ctx/, 1))).toBeGreaterThan(10);
  });
});
