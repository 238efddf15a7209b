/** The parts of the comparison: drawing calls, shrinking them, names of words, and coverage. */
import { describe, expect, it } from 'vitest';
import { Kernel, KernelLayout } from '../../../src/guest/perf/kernel.js';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import { CPU_MODELS } from '../../../src/hw/cpu_models.js';
import { Layout } from '../../../src/hw/memory.js';
import { MSR_LBR_NHM_FROM, MSR_LBR_TOS } from '../../../src/hw/msr_index.js';
import { coverageOf } from '../../../src/questions/conform/coverage.js';
import { drawSequence } from '../../../src/questions/conform/draw.js';
import { gcdaBytes } from '../../../src/tree/gcov/gcda.js';
import { linesOf, parseGcov } from '../../../src/tree/gcov/gcov.js';
import type { Access } from '../../../src/questions/conform/lockstep.js';
import { RegisterFile } from '../../../src/questions/conform/registers.js';
import type { Call, Sequence } from '../../../src/questions/conform/sequence.js';
import * as sequences from '../../../src/questions/conform/sequence.js';
import { shrinkSequence } from '../../../src/questions/conform/shrink_calls.js';
import { PMU_VERSIONS, SUBJECTS, subjectOf } from '../../../src/questions/conform/subjects.js';
import { wordName } from '../../../src/questions/conform/words.js';
import { accessColumns } from '../../../src/tell/access_text.js';
import { inColumns } from '../../rig/widths.js';

const { model } = subjectOf('skylake');

function many(runs: number): Sequence[] {
  return Array.from({ length: runs }, (_, run) => drawSequence(3, run, SUBJECTS));
}

describe('drawSequence', () => {
  it('a sequence is the same for the same seed and run, and another for another', () => {
    expect(many(50)).toEqual(many(50));
    expect(drawSequence(4, 0, SUBJECTS)).not.toEqual(drawSequence(3, 0, SUBJECTS));
    expect(drawSequence(3, SUBJECTS.length, [SUBJECTS[0]])).not.toEqual(many(1)[0]);
  });

  it('sequences always reach every function, subject and PMU version', () => {
    const drawn = many(3 * SUBJECTS.length);
    const functions = drawn.flatMap(({ calls }) => calls.map(({ fn }) => fn));
    expect(new Set(functions)).toEqual(new Set(Object.keys(sequences.FUNCTIONS)));
    const machines = new Set(drawn.map(({ cpu, pmuVersion }) => `${cpu} ${pmuVersion}`));
    expect(machines.size).toBe(PMU_VERSIONS.length * SUBJECTS.length);
    const names = SUBJECTS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { name } of CPU_MODELS) expect(names).toContain(name);
  });

  it('a call always has as many arguments as the function takes', () => {
    for (const { fn, args } of many(100).flatMap(({ calls }) => calls)) {
      expect([fn, args.length]).toEqual([fn, sequences.FUNCTIONS[fn].length]);
      for (const argument of args) expect(Number.isInteger(argument)).toBe(true);
    }
  });

  it('a sequence never begins without an event that was set up', () => {
    for (const { calls } of many(100)) {
      const first = calls.findIndex(({ fn }) => fn !== 'setTaskData');
      expect(calls[first].fn).toBe('intel_pmu_setup_lbr_filter');
    }
  });
});

describe('callText', () => {
  it('callText always names what the arguments are', () => {
    const text = (fn: Call['fn'], ...args: number[]): string => sequences.callText({ fn, args });
    expect(text('intel_pmu_lbr_sched_task', 1, -1, 0)).toBe(
      'intel_pmu_lbr_sched_task(cpu1, NULL, false)',
    );
    expect(text('setFilter', 0, -1, 0)).toBe('setFilter(cpu0, 0xffffffff, 0x0)');
    expect(text('stir', 1, 2, 33)).toBe('stir(cpu1, branches, 33)');
  });
});

describe('RegisterFile', () => {
  const spec = { seed: 5, full: false, wildRecords: true, wildTos: true };

  function file(cpu = 0): { readonly registers: RegisterFile; readonly log: number[] } {
    const log: number[] = [];
    const registers = new RegisterFile(model, cpu, log);
    registers.begin(spec);
    return { registers, log };
  }

  it('a register file never depends on the order in which registers are first read', () => {
    const [a, b] = [file().registers, file().registers];
    const indices = Array.from({ length: 32 }, (_, i) => MSR_LBR_NHM_FROM + i);
    const forward = indices.map((msr) => a.rdmsr(msr));
    const backward = indices.toReversed().map((msr) => b.rdmsr(msr));
    expect(backward.toReversed()).toEqual(forward);
    expect(new Set(forward).size).toBeGreaterThan(16);
    const other = file(1).registers;
    expect(indices.map((msr) => other.rdmsr(msr))).not.toEqual(forward);
  });

  it('a register file logs what is read and written, with indices as unsigned words', () => {
    const { registers, log } = file();
    registers.wrmsr(MSR_LBR_TOS, 0xffffffff, 2);
    expect(registers.rdmsr(MSR_LBR_TOS)).toBe(-1);
    expect(registers.edx).toBe(2);
    registers.wrmsr(-1, 0, 0);
    expect(log).toEqual([1, MSR_LBR_TOS, -1, 2, 0, MSR_LBR_TOS, -1, 2, 1, 0xffffffff, 0, 0]);
  });

  it('a stir always changes a register file in the same way on both sides', () => {
    const values = (kinds: readonly number[]): number[] => {
      const { registers, log } = file();
      for (let i = 0; i < 32; i++) registers.rdmsr(MSR_LBR_NHM_FROM + i);
      for (const kind of kinds) registers.stir(kind, 1);
      const before = log.length;
      for (let i = 0; i < 32; i++) registers.rdmsr(MSR_LBR_NHM_FROM + i);
      return log.slice(before);
    };
    const kinds = sequences.STIRS.map((_, i) => i);
    expect(values(kinds)).toEqual(values(kinds));
    const changing = kinds.filter((kind) => String(values([kind])) !== String(values([])));
    expect(changing).toEqual([0, 1, 2, 3]);
  });
});

describe('shrinkSequence', () => {
  it('shrinkSequence leaves just the calls that are needed, and tame registers if they do', () => {
    const calls = Array.from({ length: 60 }, (_, i): Call => ({ fn: 'setRan', args: [i, 0] }));
    const registers = { seed: 1, full: true, wildRecords: true, wildTos: true };
    const sequence: Sequence = { cpu: 'skylake', pmuVersion: 4, registers, calls };
    let tries = 0;
    const short = shrinkSequence(sequence, (candidate) => {
      tries++;
      const numbers = candidate.calls.map(({ args }) => args[0]);
      const [first, second] = [numbers.indexOf(13), numbers.indexOf(41)];
      return first >= 0 && second > first ? second : -1;
    });
    expect(short.calls.map(({ args }) => args[0])).toEqual([13, 41]);
    expect(short.registers).toEqual({ seed: 1, full: true, wildRecords: false, wildTos: false });
    expect(tries).toBeLessThan(200);
  });
});

describe('wordName', () => {
  it('wordName always gives every word a name of its own', () => {
    const config = { model, cpus: 2, tasks: 4, events: 4, pmu_version: 4 };
    const whole = { ...config, version: '6.1', pv: 'none' } as const;
    const layout = new Layout();
    const words = new KernelLayout(layout, whole);
    const port = new RegisterFile(model, 0, []);
    const kernel = new Kernel(PORT.createMemory(layout), words, whole, [port, port], {
      sample: () => {},
    });
    const names = Array.from({ length: words.statics }, (_, at) => wordName(words, at));
    expect(new Set(names).size).toBe(names.length);
    const [, cpu] = kernel.cpus;
    expect(names[cpu.lbr_entry(31) + 3]).toBe('cpu1: cpu_hw_events.lbr_entries[31].to, high');
    expect(names[kernel.data[2].o + 2]).toBe('data2: x86_perf_task_context.tos');
    expect(names[kernel.events[3].o + 6]).toBe('event3: perf_event.branch_reg_reg');
    expect(names[kernel.contexts[1].o + 7]).toBe('ctx1: perf_event_context.task_ctx_data');
    expect(names[kernel.contexts[5].o + 9]).toBe('cpu1: perf_event_context.used');
    expect(names[cpu.cpuctx.o + 1]).toBe('cpu1: perf_cpu_context.sched_cb_usage');
    expect(names[kernel.tasks[0].o]).toBe('task0: task_struct.perf_event_ctxp');
  });
});

describe('accessColumns', () => {
  const column = (head: string, accesses: readonly Access[]) => ({ head, accesses });
  const reads = (...eax: number[]): Access[] =>
    eax.map((word) => ({ write: false, msr: MSR_LBR_TOS, eax: word, edx: 0 }));

  it('accessColumns shows the access that differs with those around it', () => {
    const port = reads(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
    const kernel = [...reads(0, 1, 2, 3, 4, 5, 60, 7), { ...reads(8)[0], edx: 1, write: true }];
    expect(accessColumns(model, column('port', port), column('lbr.c', kernel), 6)).toEqual([
      '       port               lbr.c',
      '       (2 accesses before, the same)',
      '       RDMSR LBR_TOS 0x2  RDMSR LBR_TOS 0x2',
      '       RDMSR LBR_TOS 0x3  RDMSR LBR_TOS 0x3',
      '       RDMSR LBR_TOS 0x4  RDMSR LBR_TOS 0x4',
      '       RDMSR LBR_TOS 0x5  RDMSR LBR_TOS 0x5',
      '     > RDMSR LBR_TOS 0x6  RDMSR LBR_TOS 0x3c',
      '       RDMSR LBR_TOS 0x7  RDMSR LBR_TOS 0x7',
      '       RDMSR LBR_TOS 0x8  WRMSR LBR_TOS 0x100000008',
      '       RDMSR LBR_TOS 0x9  (nothing more)',
      '       (2 accesses after)',
    ]);
  });

  it('accessColumns puts one list below the other where there is no room', () => {
    const [port, kernel] = [reads(0, 1, 2), reads(0, 7)];
    const listed = (width: number): string[] =>
      inColumns(width, () =>
        accessColumns(model, column('port', port), column('lbr.c', kernel), 1),
      );
    expect(listed(43)[2]).toBe('     > RDMSR LBR_TOS 0x1  RDMSR LBR_TOS 0x7');
    expect(listed(42)).toEqual([
      '       port',
      '       RDMSR LBR_TOS 0x0',
      '     > RDMSR LBR_TOS 0x1',
      '       RDMSR LBR_TOS 0x2',
      '       lbr.c',
      '       RDMSR LBR_TOS 0x0',
      '     > RDMSR LBR_TOS 0x7',
      '       (nothing more)',
    ]);
    const long = reads(...Array.from({ length: 20 }, (_, i) => i));
    const cut = inColumns(42, () => accessColumns(model, column('a', long), column('b', long), 10));
    expect(cut.filter((line) => line.includes('(6 accesses before, the same)'))).toHaveLength(1);
    expect(cut.at(-1)).toBe('       (6 accesses after)');
  });

  it('accessColumns says when there are none, and shows the last when none differs', () => {
    expect(accessColumns(model, column('a', []), column('b', []), -1)).toEqual([
      '     neither accesses an MSR',
    ]);
    const same = reads(0, 1, 2, 3, 4);
    const lines = accessColumns(model, column('a', same), column('b', same), -1);
    expect(lines).toHaveLength(6);
    expect(lines.join('\n')).not.toContain('>');
  });
});

describe('gcdaBytes', () => {
  it('gcdaBytes writes the words of the format, counters in 64 bits', () => {
    const functions = [
      { ident: 7, funcChecksum: 0xfffffff0, cfgChecksum: 9, arcs: [5, 2 ** 32 + 1] },
      { ident: 8, funcChecksum: 1, cfgChecksum: 2, arcs: [] },
    ];
    const bytes = gcdaBytes({
      name: 'lbr.gcda',
      version: 0x3430382a,
      checksum: 0xdeadbeef,
      functions,
    });
    expect(Buffer.from(bytes).subarray(0, 8).toString()).toBe('adcg*804');
    const words = Array.from({ length: bytes.length / 4 }, (_, i) =>
      Buffer.from(bytes).readUInt32LE(4 * i),
    );
    const first = [0x01000000, 3, 7, 0xfffffff0, 9, 0x01a10000, 4, 5, 0, 1, 1];
    const second = [0x01000000, 3, 8, 1, 2, 0x01a10000, 0];
    expect(words.slice(2)).toEqual([0xdeadbeef, ...first, ...second, 0, 0]);
  });
});

const GCOV = `        -:    0:Source:/tmp/x/header.h
        9:    5:static inline int other(void) { return 0; }
        -:    0:Source:/tmp/x/intel/lbr.c
        -:    0:Graph:lbr.gcno
        -:    1:// Nothing.
function first called 12 returned 100% blocks executed 75%
       12:    2:int first(int x) {
       12:    3:  if (x)
branch  0 taken 25% (fallthrough)
branch  1 taken 75%
        3:    4:    pebs();
      12*:    5:  if (pebs_users)
branch  0 taken 0%
branch  1 taken 100%
    #####:    6:    users--;
    #####:    7:  call();
call    0 never executed
function intel_pmu_arch_lbr_read called 0 returned 0% blocks executed 0%
    #####:    9:void intel_pmu_arch_lbr_read(void) {
    #####:   10:  if (y)
branch  0 never executed
branch  1 never executed
        -:    0:Source:/tmp/x/perf_event.h
    #####:   11:static int never(void)
`;

describe('parseGcov', () => {
  const files = parseGcov(GCOV);
  const lines = linesOf(files, 'lbr.c');

  it('parseGcov takes the lines of the one file, with function and branches', () => {
    expect(lines.map(({ line, count, function: name }) => [line, count, name])).toEqual([
      [2, 12, 'first'],
      [3, 12, 'first'],
      [4, 3, 'first'],
      [5, 12, 'first'],
      [6, 0, 'first'],
      [7, 0, 'first'],
      [9, 0, 'intel_pmu_arch_lbr_read'],
      [10, 0, 'intel_pmu_arch_lbr_read'],
    ]);
    expect(lines.map(({ branches, branchesTaken }) => [branches, branchesTaken])).toEqual([
      [0, 0],
      [2, 2],
      [0, 0],
      [2, 1],
      [0, 0],
      [0, 0],
      [0, 0],
      [2, 0],
    ]);
    expect(linesOf(files, 'elsewhere.c')).toEqual([]);
    expect([...files.keys()]).toEqual(
      ['header.h', 'intel/lbr.c', 'perf_event.h'].map((name) => `/tmp/x/${name}`),
    );
  });

  it('parseGcov counts other hardware apart, and names what was not reached', () => {
    expect(coverageOf(lines, 4)).toEqual({
      sequences: 4,
      lines: { reached: 4, total: 8 },
      branches: { reached: 3, total: 6 },
      legacyLines: { reached: 2, total: 3 },
      legacyBranches: { reached: 2, total: 2 },
      legacyFunctions: 1,
      notReached: [{ function: 'first', lines: [7] }],
    });
  });
});
