/** How the shim adapts the perf of the model to an lbr.c of another version. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { addressHigh, BRANCH_NAMES } from '../../src/hw/branch.js';
import { buildKernel } from '../../src/tree/build.js';
import { kernelSource } from '../../src/tree/source.js';
import { clangOf, lbrC } from '../rig/stub_lbr.js';
import { type WasmGlobal, WebAssembly } from '../../src/guest/image/webassembly.js';

const ROOT = mkdtempSync(join(tmpdir(), 'vlbr-shim-'));
const { missing } = clangOf(ROOT);

beforeAll(() => vi.stubEnv('XDG_CACHE_HOME', join(ROOT, 'cache')));
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(ROOT, { recursive: true });
});

/** Addresses of the test's objects: two contexts, their tasks' data, an event and a CPU. */
const CTX = [0x20000, 0x20100] as const;
const DATA = [0x21000, 0x22000] as const;
const EVENT = 0x23000;
const CPUC = 0x24000;
/** Word offsets of fields, from perf_structs.ts. */
const CTX_DATA = 7;
const DATA_USERS = 4;
const EVENT_CTX = 1;
const EVENT_CPU = 2;

type Call = (...args: number[]) => number;

/** A compiled lbr.c that can be called. `written` holds its MSR writes. */
class Rig {
  readonly words: Int32Array;
  readonly written: [msr: number, low: number, high: number][] = [];
  private readonly exports: Record<string, unknown>;

  constructor(text: string) {
    const memory = new WebAssembly.Memory({ initial: 4 });
    const { exports } = new WebAssembly.Instance(buildKernel(kernelSource(text)).module, {
      env: { memory },
      vlbr: {
        rdmsr: () => 0,
        rdmsr_edx: () => 0,
        wrmsr: (msr: number, low: number, high: number) => this.written.push([msr, low, high]),
        perf_sched_cb_inc: () => undefined,
        perf_sched_cb_dec: () => undefined,
      },
    });
    this.exports = exports as Record<string, unknown>;
    (this.exports.__stack_pointer as WasmGlobal).value = 0x1f000;
    this.words = new Int32Array(memory.buffer);
    for (const i of [0, 1]) {
      this.words[CTX[i] / 4 + CTX_DATA] = DATA[i];
      this.words[DATA[i] / 4 + DATA_USERS] = i + 1;
    }
    this.words[EVENT / 4 + EVENT_CTX] = CTX[0];
    this.words[EVENT / 4 + EVENT_CPU] = -1;
  }

  call(name: string, ...args: number[]): number {
    return (this.exports[name] as Call)(...args);
  }

  /** The data of both contexts, each with its number of users. */
  data(): number[][] {
    const found = CTX.map((ctx) => this.words[ctx / 4 + CTX_DATA]);
    return found.map((at) => [at, this.words[at / 4 + DATA_USERS]]);
  }
}

/** An lbr.c as from 6.15 on: the data belongs to the task. */
const OF_TASK = {
  intel_pmu_lbr_sched_task: `
    struct perf_ctx_data *d = task->perf_ctx_data;
    wrmsrl(in, (u32)(d ? d->data : 0));`,
  intel_pmu_lbr_add: `
    if (event->attach_state & PERF_ATTACH_TASK)
      task_context_opt(event->hw.target->perf_ctx_data->data)->lbr_callstack_users++;
    else
      wrmsrl(1, 1);`,
};
const TASK_LBR = lbrC(OF_TASK).replace('bool sched_in)', 'struct task_struct *task, bool in)');

describe.skipIf(missing !== '')('the swap of two tasks', () => {
  it('a swap leaves the users with the data where lbr.c has no say in it', () => {
    const rig = new Rig(lbrC());
    rig.call('intel_pmu_lbr_swap_task_ctx', 0, CPUC, ...CTX);
    expect(rig.data()).toEqual([
      [DATA[1], 2],
      [DATA[0], 1],
    ]);
  });
  it('a swap is what lbr.c makes of it, where lbr.c does it', () => {
    const swap = 'void intel_pmu_lbr_swap_task_ctx(struct perf_event_context *a,';
    const rest = 'struct perf_event_context *b) { wrmsrl((u32)a, (u32)b); }';
    const rig = new Rig(lbrC({}, `${swap}\n${rest}`));
    rig.call('intel_pmu_lbr_swap_task_ctx', 0, CPUC, ...CTX);
    expect(rig.written).toEqual([[CTX[0], CTX[1], 0]]);
    expect(rig.data().map(([at]) => at)).toEqual(DATA);
  });
  it('a swap never touches users only because the data belongs to a task', () => {
    const { intel_pmu_lbr_sched_task } = OF_TASK;
    const text = lbrC({ intel_pmu_lbr_sched_task });
    const rig = new Rig(text.replace('bool sched_in)', 'struct task_struct *task, bool in)'));
    rig.call('intel_pmu_lbr_swap_task_ctx', 0, CPUC, ...CTX);
    expect(rig.data()).toEqual([
      [DATA[1], 2],
      [DATA[0], 1],
    ]);
  });
  it('a swap keeps users with the context if lbr.c counts them for a target', () => {
    const rig = new Rig(TASK_LBR);
    rig.call('intel_pmu_lbr_swap_task_ctx', 0, CPUC, ...CTX);
    expect(rig.data()).toEqual([
      [DATA[1], 1],
      [DATA[0], 2],
    ]);
  });
  it('a swap never touches users where a task has no data', () => {
    const rig = new Rig(TASK_LBR);
    rig.words[CTX[1] / 4 + CTX_DATA] = 0;
    rig.call('intel_pmu_lbr_swap_task_ctx', 0, CPUC, ...CTX);
    expect(rig.words[CTX[0] / 4 + CTX_DATA]).toBe(0);
    expect(rig.data()[1]).toEqual([DATA[0], 1]);
  });
});

describe.skipIf(missing !== '')('a task that has its data', () => {
  it('the task with data is the one whose context is scheduled, and there always is one', () => {
    const rig = new Rig(TASK_LBR);
    rig.call('intel_pmu_lbr_sched_task', 0, CPUC, CTX[1], 1);
    rig.call('intel_pmu_lbr_sched_task', 0, CPUC, 0, 0);
    expect(rig.written).toEqual([
      [1, DATA[1], 0],
      [0, 0, 0],
    ]);
  });
  it('the task with data is the target of a task event, and never of a CPU event', () => {
    const rig = new Rig(TASK_LBR);
    rig.call('intel_pmu_lbr_add', 0, CPUC, EVENT);
    expect(rig.data()[0]).toEqual([DATA[0], 2]);
    for (const cpu of [0, 3, 4, 7]) {
      rig.words[EVENT / 4 + EVENT_CPU] = cpu;
      rig.call('intel_pmu_lbr_add', 0, CPUC, EVENT);
    }
    expect(rig.data()[0]).toEqual([DATA[0], 2]);
    expect(rig.written).toHaveLength(4);
  });
  it('a task with data never leaves anything of itself in memory between calls', () => {
    const rig = new Rig(TASK_LBR);
    const before = rig.words.slice(CTX[0] / 4);
    rig.call('intel_pmu_lbr_sched_task', 0, CPUC, CTX[1], 1);
    rig.words[EVENT / 4 + EVENT_CPU] = 0;
    rig.call('intel_pmu_lbr_add', 0, CPUC, EVENT);
    rig.words[EVENT / 4 + EVENT_CPU] = -1;
    expect(rig.words.slice(CTX[0] / 4)).toEqual(before);
  });
});

describe.skipIf(missing !== '')('an lbr.c that decodes branches', () => {
  /** Decodes at the address in the CPU's first words: opcode, ModRM, and if the offset is 0. */
  const decoder = `
static int branch_type(unsigned long from, unsigned long to, int abort) {
  struct insn insn;
  u8 bytes[MAX_INSN_SIZE];
  if (!current->mm || copy_from_user_nmi(bytes, (void __user *)from, MAX_INSN_SIZE))
    return -1;
  insn_init(&insn, bytes, MAX_INSN_SIZE, 0);
  insn_get_opcode(&insn);
  insn_get_modrm(&insn);
  insn_get_immediate(&insn);
  return insn.opcode.bytes[0] | insn.opcode.bytes[1] << 8 | !insn.immediate1.value << 16;
}`;
  const body = 'wrmsrl(sizeof(long), branch_type(*(u64 *)this_cpu_ptr(&cpu_hw_events), 1, 0));';

  it('an lbr.c that decodes finds an instruction of the kind that the address has', () => {
    const rig = new Rig(lbrC({ intel_pmu_lbr_read: body }, decoder));
    const found = BRANCH_NAMES.map((_name, kind) => {
      rig.words[CPUC / 4] = 1;
      rig.words[CPUC / 4 + 1] = addressHigh(kind % 2 === 0, kind, 1, 0, 2);
      rig.call('intel_pmu_lbr_read', 0, CPUC);
      return rig.written.at(-1)?.[1];
    });
    const expected = {
      jcc: 0x70,
      call: 0xe8,
      'ind-call': 0x10ff,
      ret: 0xc3,
      'ind-jmp': 0x20ff,
      jmp: 0xe9,
      'call+0': 0x100e8,
      syscall: 0x050f,
      sysret: 0x070f,
      irq: 0x90,
      iret: 0xcf,
    };
    expect(Object.fromEntries(BRANCH_NAMES.map((name, i) => [name, found[i]]))).toEqual(expected);
    // A long has 8 bytes, so an address fits.
    expect(rig.written[0][0]).toBe(8);
  });
});

describe.skipIf(missing !== '')('an lbr.c from 5.9 to 5.13', () => {
  /** What is said there of the architectural LBR, which no CPU of the model has. */
  const body = `
    struct cpu_hw_events *cpuc = this_cpu_ptr(&cpu_hw_events);
    struct x86_perf_task_context_arch_lbr_xsave *saved = cpuc->lbr_xsave;
    struct kmem_cache *cache = event->pmu->task_ctx_cache;
    if (static_cpu_has(X86_FEATURE_ARCH_LBR) && cache && !saved) {
      cpuc->lbr_xsave = kmem_cache_alloc(cache, GFP_KERNEL);
      copy_kernel_to_dynamic_supervisor(&saved->xsave, XFEATURE_MASK_LBR);
      copy_dynamic_supervisor_to_kernel(&saved->xsave, XFEATURE_MASK_LBR);
      wrmsrl(0, 0);
    }
    wrmsrl(7, 7);`;

  it('an lbr.c that names XSAVES as up to 5.13 compiles, and never accesses it', () => {
    const rig = new Rig(lbrC({ intel_pmu_lbr_add: body }));
    rig.call('intel_pmu_lbr_add', 0, CPUC, EVENT);
    expect(rig.written).toEqual([[7, 7, 0]]);
  });
});
