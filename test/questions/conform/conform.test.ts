/**
 * The comparison of the port with a kernel's lbr.c must find no difference on Linux 6.1, and must
 * find each difference that there is. For the latter a broken port is compared with the port, so no
 * kernel is needed.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../../../src/console/errors.js';
import type { DriverKind, LbrDriver } from '../../../src/guest/perf/lbr_driver.js';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import { MSR_IA32_DEBUGCTLMSR, MSR_LBR_SELECT } from '../../../src/hw/msr_index.js';
import { buildKernel } from '../../../src/tree/build.js';
import type { Difference } from '../../../src/questions/conform/campaign.js';
import { Conformance, lossOf, REPORTED_MAX } from '../../../src/questions/conform/campaign.js';
import { CoverageRun } from '../../../src/questions/conform/coverage.js';
import { drawSequence } from '../../../src/questions/conform/draw.js';
import { Lockstep } from '../../../src/questions/conform/lockstep.js';
import { callText } from '../../../src/questions/conform/sequence.js';
import { SUBJECTS } from '../../../src/questions/conform/subjects.js';
import { kernelDriver } from '../../../src/tree/driver.js';
import { installedKernel, type KernelSource, readKernelSource } from '../../../src/tree/source.js';
import { sinceOf } from '../../../src/console/baseline.js';
import { coloursFor } from '../../../src/console/colours.js';
import { conformJson } from '../../../src/questions/conform/json.js';
import {
  type ConformCase,
  conformExit,
  conformSuite,
} from '../../../src/questions/conform/suite.js';
import { type Conform, conformText } from '../../../src/questions/conform/text.js';
import { broken } from '../../rig/broken_port.js';
import { conformed } from '../../rig/conformed.js';
import { wrongWithMade, wrongWithPrinted } from '../../rig/schemas.js';
import { tooLong, WIDTHS } from '../../rig/widths.js';

const KERNEL_RUNS = 4000;
const COVERAGE_RUNS = 1500;

/** The reference source, or the reason why it or a tool is missing. */
function reference(): KernelSource | string {
  try {
    for (const tool of ['clang', 'wasm-ld', 'llvm-cov']) execFileSync(tool, ['--version']);
    const source = readKernelSource(installedKernel());
    return source.info.version.startsWith('6.1.') ? source : `it is Linux ${source.info.version}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const source = reference();
if (typeof source === 'string') {
  console.warn(
    '\n*** SKIPPED: the port is not compared with lbr.c of Linux 6.1, since clang, lld, llvm or ' +
      `its source is missing: ${source}\n*** apt-get install clang lld llvm linux-source-6.1\n`,
  );
}

/** For one subject the C code corrects the reported LBR format. The port does not. */
const OF_THE_PORT = SUBJECTS.filter(({ model, reported }) => reported === model.lbr_format);

function comparisonOf(port: DriverKind, kernel: DriverKind, runs: number): Conformance {
  const subjects = kernel.name === PORT.name ? OF_THE_PORT : SUBJECTS;
  return new Conformance({ subjects, seed: 1, runs, drivers: { port, kernel } });
}

function differencesOf(port: DriverKind, kernel: DriverKind, runs: number): readonly Difference[] {
  const comparison = comparisonOf(port, kernel, runs);
  for (const _ of comparison.sequenceWork());
  return comparison.differences;
}

/** The first difference of a broken port within a few sequences, shrunk. */
function firstOf(changes: (lbr: LbrDriver) => Partial<LbrDriver>): Difference {
  const lockstep = new Lockstep({ port: broken(changes), kernel: PORT });
  const found = differencesOf(broken(changes), PORT, 300);
  expect(found.length).toBeGreaterThan(0);
  const [first] = found;
  expect(lockstep.run(first.sequence)).toEqual(first.divergence);
  return first;
}

function textOf(differences: readonly Difference[]): string {
  return conformText(reportOf(differences), coloursFor(false)).join('\n');
}

function reportOf(differences: readonly Difference[]): Conform {
  return {
    kernel: { version: '6.1.1', sha256: '0'.repeat(64) },
    seed: 1,
    runs: 300,
    cpus: ['skylake'],
    counts: { sequences: 300, calls: 9000, msrAccesses: 90_000 },
    filterCalls: 0,
    coverage: null,
    coverageProblem: '',
    differences,
    interrupted: false,
    elapsed_s: 1,
    since: null,
  };
}

describe.skipIf(typeof source === 'string')('the port of lbr.c of Linux 6.1', () => {
  const known = source as KernelSource;

  it(`the port never differs from 6.1 in ${KERNEL_RUNS} sequences, nor for any type`, () => {
    const kernel = kernelDriver(buildKernel(known));
    const comparison = comparisonOf(PORT, kernel, KERNEL_RUNS);
    for (const _ of comparison.work());
    expect(textOf(comparison.differences)).toContain('No difference.');
    expect(comparison.counts.sequences).toBe(KERNEL_RUNS);
    expect(comparison.counts.msrAccesses).toBeGreaterThan(100 * KERNEL_RUNS);
    expect(comparison.filters.calls % (1 << 19)).toBe(0);
    expect(comparison.filters.calls).toBeGreaterThan(10 << 19);
  });

  it('the port is compared with 6.1 on the whole legacy path', () => {
    const counting = new CoverageRun(known);
    try {
      for (let run = 0; run < COVERAGE_RUNS; run++) counting.run(drawSequence(1, run, SUBJECTS));
      const coverage = counting.report();
      expect(coverage.notReached).toEqual([]);
      expect(coverage.legacyFunctions).toBeGreaterThan(40);
      expect(coverage.legacyLines.total).toBeGreaterThan(450);
      expect(coverage.lines.total).toBeGreaterThan(coverage.lines.reached);
    } finally {
      counting.close();
    }
  });

  it('the comparison always shows what sequences do not reach', () => {
    const counting = new CoverageRun(known);
    try {
      counting.run({ ...drawSequence(1, 0, SUBJECTS), calls: [] });
      const names = counting.report().notReached.map((part) => part.function);
      expect(names).toContain('intel_pmu_lbr_save');
      expect(names).not.toContain('intel_pmu_lbr_init_core');
    } finally {
      counting.close();
    }
  });

  it('a broken port always differs from the C code', () => {
    const port = broken((lbr) => ({
      intel_pmu_lbr_reset: (cpu) => {
        lbr.intel_pmu_lbr_reset(cpu);
        cpu.cpuc.last_task_ctx = 2;
      },
    }));
    const [first] = differencesOf(port, kernelDriver(buildKernel(known)), 300);
    expect(first.sequence.calls.map(({ fn }) => fn)).toEqual(['intel_pmu_lbr_reset']);
    expect(first.divergence.word).toEqual({
      name: expect.stringMatching(/^cpu[01]: cpu_hw_events\.last_task_ctx$/),
      port: 'data1',
      kernel: 'NULL',
    });
  });
});

/** A call with as many arguments as there are. */
const WIDE_CALL = { fn: 'intel_pmu_setup_lbr_filter', args: [0, 0, 0x7ffff, 0, 0] } as const;

describe('a broken port', () => {
  it('a broken port is found by an access too many, and by the call that makes it', () => {
    const { sequence, divergence } = firstOf((lbr) => ({
      intel_pmu_lbr_del: (cpu, event) => {
        lbr.intel_pmu_lbr_del(cpu, event);
        if (cpu.cpuc.lbr_users === 1) cpu.rdmsrl(MSR_IA32_DEBUGCTLMSR);
      },
    }));
    const names = sequence.calls.map(({ fn }) => fn);
    expect(names).toEqual(['intel_pmu_lbr_add', 'intel_pmu_lbr_add', 'intel_pmu_lbr_del']);
    expect(divergence).toMatchObject({ call: 2, in: 'access', access: 0 });
    expect(divergence.accesses.port).toHaveLength(1);
    expect(divergence.accesses.kernel).toEqual([]);
  });

  it('a broken port is found by a wrong value, which is shown beside the right one', () => {
    const difference = firstOf((lbr) => ({
      intel_pmu_lbr_enable_all: (cpu, pmi) => {
        const { port } = cpu;
        // Only the high word written to LBR_SELECT is wrong.
        const wrmsr = (msr: number, eax: number, edx: number): 0 | 13 =>
          port.wrmsr(msr, eax, msr === MSR_LBR_SELECT ? 1 : edx);
        const wrong = { vector: 0, rdmsr: (msr: number) => port.rdmsr(msr), wrmsr } as const;
        cpu.port = Object.defineProperty({ ...wrong, edx: 0 }, 'edx', { get: () => port.edx });
        lbr.intel_pmu_lbr_enable_all(cpu, pmi);
        cpu.port = port;
      },
    }));
    expect(difference.sequence.calls.length).toBeLessThanOrEqual(3);
    expect(difference.divergence.in).toBe('access');
    expect(textOf([difference])).toMatch(
      /> WRMSR LBR_SELECT 0x1[0-9a-f]{8} +WRMSR LBR_SELECT 0x[0-9a-f]{1,3}\n/,
    );
  });

  it('a broken port is found by a wrong word, which is named', () => {
    const difference = firstOf((lbr) => ({
      intel_pmu_lbr_read: (cpu) => {
        lbr.intel_pmu_lbr_read(cpu);
        if (cpu.cpuc.lbr_stack_nr > 0) cpu.kernel.words[cpu.lbr_entry(0) + 4] ^= 4;
      },
    }));
    const { sequence, divergence } = difference;
    expect(sequence.calls.length).toBeLessThanOrEqual(4);
    expect(divergence.in).toBe('word');
    expect(divergence.word?.name).toMatch(/cpu_hw_events\.lbr_entries\[0\]\.flags and cycles$/);
    expect(textOf([difference])).toContain('The accesses of the call are the same:');
  });

  it('a broken port is found by a word beyond the records that the model has', () => {
    const { sequence, divergence } = firstOf((lbr) => ({
      intel_pmu_lbr_disable_all: (cpu) => {
        lbr.intel_pmu_lbr_disable_all(cpu);
        const { lbr_nr } = cpu.x86_pmu;
        if (lbr_nr === 8) cpu.kernel.words[cpu.kernel.data[3].lbr(lbr_nr - 1) + 5] = 1;
      },
    }));
    expect(divergence.word?.name).toBe('data3: x86_perf_task_context.lbr[7].info, high');
    expect(sequence.calls).toHaveLength(1);
  });

  it('a broken port is found by what it returns, for any branch_sample_type', () => {
    const port = broken((lbr) => ({
      intel_pmu_setup_lbr_filter: (kernel, event) => {
        const ret = lbr.intel_pmu_setup_lbr_filter(kernel, event);
        return event.branch_sample_type === 0x7ffff ? -1 : ret;
      },
    }));
    const drivers = { port, kernel: PORT };
    const comparison = new Conformance({ subjects: [SUBJECTS[0]], seed: 1, runs: 0, drivers });
    for (const _ of comparison.work());
    const [difference] = comparison.differences;
    expect(difference.sequence.calls.map(callText)).toEqual([
      'intel_pmu_setup_lbr_filter(event0, ctx0, 0x7ffff, false, false)',
    ]);
    expect(difference.divergence.returned.port).toBe(-1);
    expect(textOf([difference])).toMatch(/Returned: port -1, lbr\.c -?\d+/);
  });

  it('a broken port is found by an exception', () => {
    const swap = (): never => {
      throw new RangeError('out of it');
    };
    const { divergence } = firstOf(() => ({ intel_pmu_lbr_swap_task_ctx: swap }));
    expect(divergence.returned).toEqual({ port: 'RangeError: out of it', kernel: 0 });
    // An exception is wrong even if both sides throw it.
    const both = broken(() => ({ intel_pmu_lbr_swap_task_ctx: swap }));
    expect(differencesOf(both, both, 100).length).toBeGreaterThan(0);
  });

  it('the report is never filled with one difference', () => {
    const wrong = broken(() => ({ intel_pmu_lbr_reset: (cpu) => cpu.wrmsrl(0, 0, 0) }));
    const differences = differencesOf(wrong, PORT, 200);
    expect(differences.length).toBeLessThanOrEqual(REPORTED_MAX);
    expect(differences[0].count).toBeGreaterThan(1);
  });

  it('a broken port is reported as JSON with everything to run it again', () => {
    const difference = firstOf((lbr) => ({
      intel_pmu_lbr_disable_all: (cpu) => {
        lbr.intel_pmu_lbr_disable_all(cpu);
        cpu.wrmsrl(MSR_IA32_DEBUGCTLMSR, 5, 6);
      },
    }));
    const made = conformJson(reportOf([difference]));
    expect(wrongWithMade(made)).toEqual([]);
    const json = JSON.parse(JSON.stringify(made));
    const part = {
      function: 'intel_pmu_lbr_filter',
      lines: [1001, 1002, 1003, 1004, 1005, 1006, 1007],
    };
    const share = { reached: 1, total: 2 };
    const shares = { lines: share, branches: share, legacyLines: share, legacyBranches: share };
    const coverage = { ...shares, sequences: 300, legacyFunctions: 44, notReached: [part] };
    const { calls } = difference.sequence;
    const long = {
      ...difference,
      sequence: { ...difference.sequence, calls: [...calls, WIDE_CALL] },
    };
    const told = { ...reportOf([difference, long]), coverage };
    for (const width of WIDTHS) {
      for (const one of [told, { ...told, coverage: { ...coverage, notReached: [] } }]) {
        expect(tooLong(width, () => conformText(one, coloursFor(false)))).toEqual([]);
      }
    }
    const { sequence, divergence } = difference;
    expect(json).toMatchObject({
      schema: 'vlbr/conform/2',
      kernel: { version: '6.1.1' },
      schedules: 300,
      calls: 9000,
      msrAccesses: 90_000,
      coverage: null,
      interrupted: false,
    });
    expect(json.losses).toEqual([
      { of: 'intel_pmu_lbr_disable_all()', what: 'access', how: 'differs' },
    ]);
    const [shown] = json.differences;
    expect(shown).toMatchObject({ ...sequence, call: divergence.call, in: 'access', access: 0 });
    expect(shown.accesses.port.at(-1)).toEqual({
      kind: 'WRMSR',
      msr: '0x1d9',
      name: 'DEBUGCTL',
      value: '0x0000000600000005',
    });
  });
});

describe('a comparison with a baseline', () => {
  const [access] = differencesOf(
    broken((lbr) => ({
      intel_pmu_lbr_disable_all: (cpu) => {
        lbr.intel_pmu_lbr_disable_all(cpu);
        cpu.wrmsrl(MSR_IA32_DEBUGCTLMSR, 5, 6);
      },
    })),
    PORT,
    20,
  );
  const word: Difference = {
    ...access,
    divergence: {
      ...access.divergence,
      in: 'word',
      word: { name: 'cpu1: cpu_hw_events.lbr_users', port: 1, kernel: 2 },
    },
  };
  const losses = [access, word].map(lossOf);
  const since = sinceOf({ file: 'base.json', losses: [losses[0]] }, losses, false);

  it('a difference is known by its function and by what differs, whatever the number', () => {
    expect(losses).toEqual([
      { of: 'intel_pmu_lbr_disable_all()', what: 'access', how: 'differs' },
      {
        of: 'intel_pmu_lbr_disable_all()',
        what: 'word cpu#: cpu_hw_events.lbr_users',
        how: 'differs',
      },
    ]);
  });

  it('only what is new is told in full', () => {
    const report = { ...reportOf([access, word]), since };
    const text = conformText(report, coloursFor(false)).join('\n');
    expect(text).not.toContain('\n1. ');
    expect(text).toContain('\n2. ');
    expect(text).toContain('First word that differs: cpu1: cpu_hw_events.lbr_users');
    expect(text).toMatch(/\nsince base\.json: 1 new loss, 1 known, 0 no longer$/);
    expect(wrongWithMade(conformJson(report))).toEqual([]);
    expect(conformJson(report)).toMatchObject({ losses, baseline: { known: [losses[0]] } });
  });

  it('a CPU with known differences alone is ok, and the exit code goes by what is new', () => {
    const caseOf = (differs: ConformCase['differs'], cut = false) =>
      conformSuite('lbr.c', [{ cpu: 'knl', differs }], cut, since).cases[0];
    const [known, fresh] = losses.map((loss, i) => ({ says: `difference ${i}`, loss }));
    expect(caseOf([known])).toEqual({
      group: 'lbr.c',
      name: 'knl',
      outcome: 'ok',
      says: 'known from base.json: difference 0',
    });
    expect(caseOf([known, fresh])).toMatchObject({ outcome: 'not ok', says: 'difference 1' });
    expect(caseOf([])).toMatchObject({ outcome: 'ok', says: '' });
    expect(caseOf([], true)).toMatchObject({ outcome: 'skip', says: /^cut short/ });
    expect(conformExit(losses, since, false)).toBe(1);
    expect(conformExit(losses, null, false)).toBe(1);
    const all = sinceOf({ file: 'base.json', losses }, losses, false);
    expect(conformExit(losses, all, false)).toBe(0);
    expect(conformExit(losses, all, true)).toBe(4);
  });
});

describe('no difference', () => {
  it('no difference is ever found between the port and itself', () => {
    expect(differencesOf(PORT, PORT, 200)).toEqual([]);
  });
});

describe('vlbr conform --driver lbr.c', () => {
  const run = async (...words: readonly string[]) => conformed('--driver', 'lbr.c', ...words);

  it.skipIf(typeof source === 'string')(
    'vlbr conform always ends with 0 without a difference',
    async () => {
      const { code, out } = await run('--cpu', 'knl', '--runs', '60', '--seed', '9', '--json');
      expect(code).toBe(0);
      expect(wrongWithPrinted(out)).toEqual([]);
      const report = JSON.parse(out);
      expect(report).toMatchObject({
        schema: 'vlbr/conform/2',
        seed: 9,
        cpus: ['knl', 'knl/reports-lip'],
        schedules: 60,
        filterCalls: 1 << 19,
        coverageProblem: null,
        differences: [],
        interrupted: false,
      });
      expect(report.coverage.sequences).toBe(60);
      expect(report.coverage.notReached.length).toBeGreaterThan(0);
      const loss = { of: 'intel_pmu_lbr_add()', what: 'access', how: 'differs' };
      const folder = mkdtempSync(join(tmpdir(), 'vlbr-conform-'));
      const file = join(folder, 'base.json');
      writeFileSync(file, JSON.stringify({ ...report, losses: [loss] }));
      const known = ['--cpu', 'knl', '--runs', '1', '--json', '--baseline', file];
      expect(JSON.parse((await run(...known)).out)).toMatchObject({
        baseline: { file, new: [], known: [], noLonger: [loss] },
      });
      const other = run('--cpu', 'haswell', '--baseline', file);
      await expect(other).rejects.toThrow(/its cpus is knl,knl\/reports-lip, and here it is has/);
      rmSync(folder, { recursive: true });
    },
  );

  it.skipIf(typeof source === 'string')(
    'vlbr conform --reporter has a case for each CPU in place of the text',
    async () => {
      const { code, out } = await run('--cpu', 'core2', '--runs', '4', '--reporter', 'tap');
      expect(code).toBe(0);
      expect(out).toMatch(/^TAP version 13\n1\.\.\d\n# vlbr conform\nok 1 - lbr\.c: core2\n/);
      expect(out).not.toContain('No difference');
    },
  );

  it.skipIf(typeof source === 'string')(
    'vlbr conform always ends with what is known on Ctrl-C',
    async () => {
      const pressed = setTimeout(() => process.emit('SIGINT'), 1500);
      const before = process.listeners('SIGINT').length;
      const { code, out, err } = await run('--cpu', 'core2', '--runs', '100000000');
      clearTimeout(pressed);
      expect(code).toBe(4);
      expect(out).toContain('interrupted: this is what was known until then');
      expect(out).toMatch(/^Cut short: .*\.$/m);
      expect(out).not.toContain('No difference');
      expect(err).toContain('Ctrl-C once more');
      expect(process.listeners('SIGINT').length).toBe(before);
    },
  );

  it('vlbr conform always says what is wrong with the command line', async () => {
    await expect(run('--cpu', 'skylak')).rejects.toThrow(/Did you mean skylake\?/);
    await expect(run('--kernel-src', 'no-such-tree')).rejects.toThrow(UsageError);
    await expect(run('--runs', '0')).rejects.toThrow(/whole number from 1/);
  });
});
