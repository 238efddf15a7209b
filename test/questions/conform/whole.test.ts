/**
 * The comparison of the port with a kernel's whole path: it finds every kind of difference, shrinks
 * the first, and shows it. A broken port stands for the kernel, so no kernel is needed.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { coloursFor } from '../../../src/console/colours.js';
import type { DriverKind, LbrDriver } from '../../../src/guest/perf/lbr_driver.js';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import { always } from '../../../src/host/policy/always.js';
import { MSR_LBR_SELECT, MSR_LBR_TOS } from '../../../src/hw/msr_index.js';
import { WholeComparison } from '../../../src/questions/conform/whole/comparison.js';
import { filesOf, WholeCoverageRun } from '../../../src/questions/conform/whole/coverage.js';
import { divergenceOf } from '../../../src/questions/conform/whole/divergence.js';
import { wholeJson } from '../../../src/questions/conform/whole/json.js';
import { Pair } from '../../../src/questions/conform/whole/pair.js';
import { differingWord } from '../../../src/questions/conform/whole/state.js';
import { type Whole, wholeText } from '../../../src/questions/conform/whole/text.js';
import { differingRow } from '../../../src/questions/conform/whole/trace.js';
import { PROPERTY } from '../../../src/judge/properties.js';
import { parseAction } from '../../../src/schedule/action_text.js';
import { Schedule } from '../../../src/schedule/schedule.js';
import { decodeToken } from '../../../src/schedule/token.js';
import type { LineCount } from '../../../src/tree/gcov/gcov.js';
import { PERF_FILES } from '../../../src/tree/image/sources.js';
import { broken } from '../../rig/broken_port.js';
import { cpuModel } from '../../rig/cpu.js';
import { CACHE, imageOf, imageVersions, tarOf } from '../../rig/images.js';
import { machineConfig } from '../../rig/machine.js';
import { conformed } from '../../rig/conformed.js';
import { wrongWithMade, wrongWithPrinted } from '../../rig/schemas.js';
import { tooLong, WIDTHS } from '../../rig/widths.js';

const RUNS = 60;

function comparisonOf(kernel: DriverKind, runs = RUNS, ...cpus: string[]): WholeComparison {
  const models = (cpus.length === 0 ? ['skylake'] : cpus).map(cpuModel);
  const comparison = new WholeComparison({
    models,
    policy: always,
    kernel,
    version: '6.1',
    seed: 1,
    runs,
  });
  for (const _ of comparison.work());
  return comparison;
}

/** What is found of a broken port on a skylake. */
function brokenBy(changes: (lbr: LbrDriver) => Partial<LbrDriver>): WholeComparison {
  return comparisonOf(broken(changes));
}

function reportOf(comparison: WholeComparison): Whole {
  const { counts, results, withoutLbr } = comparison;
  return {
    kernel: { version: '6.1.1', sha256: '0'.repeat(64) },
    driver: PORT,
    driverWords: ['--driver', 'kernel'],
    policy: 'always',
    models: results.map(({ cpu }) => cpu),
    seed: 1,
    runs: counts.schedules,
    counts,
    results,
    withoutLbr,
    coverage: null,
    coverageProblem: '',
    interrupted: false,
    elapsed_s: 1,
    since: null,
  };
}

function textOf(comparison: WholeComparison): string {
  return wholeText(reportOf(comparison), coloursFor(false)).join('\n');
}

const EXTRA_READ = (lbr: LbrDriver): Partial<LbrDriver> => ({
  intel_pmu_lbr_del: (cpu, event) => {
    lbr.intel_pmu_lbr_del(cpu, event);
    cpu.rdmsrl(MSR_LBR_TOS);
  },
});

describe('the port against itself', () => {
  it('CPUs that were left out are named, and no line is there without them', () => {
    const report = reportOf(comparisonOf(PORT, 2));
    const says = (withoutLbr: string[]): string =>
      wholeText({ ...report, withoutLbr }, coloursFor(false)).join('\n');
    expect(says(['core2', 'atom'])).toContain(
      '\n  left out, for this KVM gives no LBR there: core2, atom\n',
    );
    expect(says([])).not.toContain('left out');
    expect(wholeJson({ ...report, withoutLbr: ['knl'] })).toMatchObject({ withoutLbr: ['knl'] });
  });

  it('no schedule parts, and everything that is compared was met', () => {
    const comparison = comparisonOf(PORT, 40, 'haswell', 'core2');
    const { counts, results } = comparison;
    expect(results).toEqual([
      { cpu: 'haswell', schedules: 20, parted: 0, first: null },
      { cpu: 'core2', schedules: 20, parted: 0, first: null },
    ]);
    expect(counts.schedules).toBe(40);
    expect(counts.actions).toBe(40 * 60);
    expect(counts.accesses).toBeGreaterThan(5000);
    expect(counts.eventStates).toBeGreaterThan(2000);
    expect(counts.samples).toBeGreaterThan(20);
    expect(textOf(comparison)).toContain('No difference.');
  });

  it('the same seed draws the same schedules, and another seed draws others', () => {
    const countsOf = (seed: number): object => {
      const models = [cpuModel('skylake')];
      const options = {
        models,
        policy: always,
        kernel: PORT,
        version: '6.1' as const,
        seed,
        runs: 8,
      };
      const comparison = new WholeComparison(options);
      for (const _ of comparison.work());
      return comparison.counts;
    };
    expect(countsOf(5)).toEqual(countsOf(5));
    expect(countsOf(5)).not.toEqual(countsOf(6));
  });
});

describe('a broken port', () => {
  it('a broken port is found by an access too many, in the function that makes it', () => {
    const comparison = brokenBy(EXTRA_READ);
    const [{ parted, first }] = comparison.results;
    expect(parted).toBeGreaterThan(RUNS / 2);
    expect(first?.divergence).toMatchObject({ in: 'access', what: 'an access' });
    expect(first?.replay.actions.length).toBeLessThanOrEqual(3);
    const { divergence } = first ?? {};
    const { access = -1, accesses } = divergence ?? {};
    expect(accesses?.kernel[access]).toMatchObject({ write: false, msr: MSR_LBR_TOS });
    expect(accesses?.port.slice(0, access)).toEqual(accesses?.kernel.slice(0, access));
    for (const width of WIDTHS) {
      const told = { ...reportOf(comparison), withoutLbr: ['core2', 'atom'] };
      expect(tooLong(width, () => wholeText(told, coloursFor(false)))).toEqual([]);
    }
    const text = textOf(comparison);
    expect(text).toMatch(/> .+ {2}RDMSR LBR_TOS 0x/);
    expect(text).toMatch(/In action #\d, in \w+\(\) on v\d, this differs: an access/);
    const [token = ''] = /v1\.\S+/.exec(text) ?? [];
    expect(decodeToken(token)?.actions).toEqual(first?.replay.actions);
  });

  it('a broken port is found by a value that it writes', () => {
    const [{ first }] = brokenBy((lbr) => ({
      intel_pmu_lbr_enable_all: (cpu, pmi) => {
        const { port } = cpu;
        const rdmsr = (msr: number): number => port.rdmsr(msr);
        const wrmsr = (msr: number, eax: number, edx: number): 0 | 13 =>
          port.wrmsr(msr, msr === MSR_LBR_SELECT ? eax ^ 8 : eax, edx);
        cpu.port = {
          rdmsr,
          wrmsr,
          get edx() {
            return port.edx;
          },
          get vector() {
            return port.vector;
          },
        };
        lbr.intel_pmu_lbr_enable_all(cpu, pmi);
        cpu.port = port;
      },
    })).results;
    const { access = -1, accesses } = first?.divergence ?? {};
    const write = accesses?.port[access];
    expect(write).toMatchObject({ write: true, msr: MSR_LBR_SELECT, edx: 0 });
    expect(accesses?.kernel[access]).toEqual({ ...write, eax: (write?.eax ?? 0) ^ 8 });
  });

  it('a broken port is found by a record of a sample', () => {
    const comparison = brokenBy((lbr) => ({
      intel_pmu_lbr_read: (cpu) => {
        lbr.intel_pmu_lbr_read(cpu);
        if (cpu.cpuc.lbr_stack_nr > 1) cpu.kernel.words[cpu.lbr_entry(1) + 4] ^= 1;
      },
    }));
    const [{ first }] = comparison.results;
    expect(first?.divergence).toMatchObject({ in: 'sample', access: -1 });
    expect(textOf(comparison)).toMatch(
      /this differs: a record of a sample\n +port: v\d: 0x.* flags/,
    );
  });

  it('a broken port is found by the number of records', () => {
    const [{ first }] = brokenBy((lbr) => ({
      intel_pmu_lbr_read: (cpu) => {
        lbr.intel_pmu_lbr_read(cpu);
        if (cpu.cpuc.lbr_stack_nr > 2) cpu.cpuc.lbr_stack_nr--;
      },
    })).results;
    expect(first?.divergence).toMatchObject({ in: 'sample', what: 'a sample' });
  });

  it('a broken port is found by a count of a CPU, which is named', () => {
    const comparison = brokenBy((lbr) => ({
      intel_pmu_lbr_add: (cpu, event) => {
        lbr.intel_pmu_lbr_add(cpu, event);
        cpu.cpuctx.sched_cb_usage++;
      },
    }));
    const [{ first }] = comparison.results;
    expect(first?.divergence).toMatchObject({ in: 'cpu' });
    const what = /VM \d, CPU \d: sched_cb_usage of its context/;
    expect(first?.divergence.what).toMatch(what);
    expect(textOf(comparison)).toMatch(
      /sched_cb_usage of its context\n +port: 1\n +Linux 6\.1\.1: 2/,
    );
  });

  it('a broken port is found by what it refuses', () => {
    const [{ first }] = brokenBy(() => ({ intel_pmu_setup_lbr_filter: () => -95 })).results;
    expect(first?.divergence).toMatchObject({ in: 'open', what: 'perf_event_open()' });
    expect(first?.divergence.value.kernel).toMatch(/returns -95$/);
    expect(first?.replay.actions.map(({ kind }) => kind)).toContain('open');
  });

  it('a broken port is found by an exception, and the comparison goes on', () => {
    const comparison = brokenBy(() => ({
      intel_pmu_lbr_read: () => {
        throw new RangeError('out of it');
      },
    }));
    const [{ schedules, parted, first }] = comparison.results;
    expect(schedules).toBe(RUNS);
    expect(parted).toBeGreaterThan(1);
    expect(parted).toBeLessThan(RUNS);
    expect(first?.divergence).toMatchObject({ in: 'crash', what: 'an exception' });
    expect(textOf(comparison)).toContain('Linux 6.1.1: RangeError: out of it');
  });

  it('the first difference on each CPU is shown, with the number of schedules that part', () => {
    const comparison = comparisonOf(broken(EXTRA_READ), 40, 'haswell', 'goldmont');
    const text = textOf(comparison);
    expect(text).toMatch(/^\d+ schedules of 40 part, on 2 of 2 CPUs\.$/m);
    expect(text).toMatch(/^1\. haswell: \d+ of 20 schedules part; the first, shortened:$/m);
    expect(text).toMatch(/^2\. goldmont: /m);
  });

  it('a difference is reported as JSON with everything to run it again', () => {
    const comparison = brokenBy(EXTRA_READ);
    const made = wholeJson(reportOf(comparison));
    expect(wrongWithMade(made)).toEqual([]);
    const json = JSON.parse(JSON.stringify(made));
    const { first } = comparison.results[0];
    expect(json).toMatchObject({
      schema: 'vlbr/conform-whole/2',
      policy: 'always',
      schedules: RUNS,
      msrAccesses: comparison.counts.accesses,
    });
    const [{ cpu, difference }] = json.cpus;
    expect(cpu).toBe('skylake');
    expect(decodeToken(difference.token)?.actions).toEqual(first?.replay.actions);
    expect(difference.accesses.kernel.at(difference.access)).toMatchObject({
      kind: 'RDMSR',
      name: 'LBR_TOS',
      fault: false,
    });
  });
});

/** Two machines of one kind, on which the test makes differences itself. */
function pairOf(): Pair {
  const pair = new Pair(machineConfig({ cpu: 'skylake', policy: always, tasks: 2 }), PORT);
  expect(pair.run(new Schedule())).toBeNull();
  return pair;
}

describe('what is compared', () => {
  it('a warning of the kernel is a difference, with its file and line', () => {
    const { port, kernel } = pairOf();
    for (const { trace } of [port, kernel]) trace.begin();
    kernel.trace.guestWarned(1, 'kernel/events/core.c', 77);
    const row = differingRow(port.trace, kernel.trace);
    expect(divergenceOf(port, kernel, 0, row, -1)).toMatchObject({
      in: 'warning',
      value: { port: 'nothing more', kernel: 'VM 1: WARNING at kernel/events/core.c:77' },
    });
  });

  it('a fault differs from an access that does not fault', () => {
    const { port, kernel } = pairOf();
    for (const { trace } of [port, kernel]) trace.begin();
    port.trace.guestWrite(0, MSR_LBR_SELECT, 7, 0);
    kernel.trace.guestFault(0, MSR_LBR_SELECT, true, 7, 0);
    const row = differingRow(port.trace, kernel.trace);
    expect(divergenceOf(port, kernel, 0, row, -1)).toMatchObject({
      in: 'access',
      access: 0,
      value: {
        port: 'v0: WRMSR LBR_SELECT writes 0x7',
        kernel: 'v0: WRMSR LBR_SELECT faults',
      },
    });
  });

  it('every verdict is compared, whosever it is, except on warnings and bitmaps', () => {
    const { port, kernel } = pairOf();
    const { verdicts } = kernel.monitor;
    const named = (): string => {
      kernel.state.look();
      const word = differingWord(port.state, kernel.state);
      return word < 0 ? '' : kernel.state.name(word).name;
    };
    // Warnings are compared themselves; the bitmap shows in what is intercepted.
    const left = ['no-warn', 'pass-through'];
    for (const [name, property] of Object.entries(PROPERTY)) {
      verdicts.clear();
      verdicts.breaksOwn(property, () => '');
      const own = `whether the guest's kernel has broken ${name}`;
      expect(named()).toBe(left.includes(name) ? '' : own);
      verdicts.clear();
      verdicts.breaks(property, () => '');
      const policys = `whether the policy has broken ${name}`;
      expect(named()).toBe(left.includes(name) ? '' : policys);
    }
  });

  it('every word of an event, a CPU and a task is compared, under its own name', () => {
    const { kernel } = pairOf();
    const names = Array.from(kernel.state.words, (_, i) => kernel.state.name(i).name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain('VM 1, event 5: parent, plus one');
    expect(names).toContain('VM 0, CPU 0: cpu_hw_events.lbr_users');
    expect(names).toContain('VM 1, task 3: whether it has a context of events');
  });

  it('an action that only one machine can perform is a difference', () => {
    const pair = pairOf();
    const schedule = Schedule.of([parseAction('v0: open task=0 type=ANY|USER')]);
    // The event of the other machine fills the last slot.
    pair.kernel.machine.boot = (): void => {};
    for (const event of pair.kernel.machine.guests[0].events) event.used = 1;
    pair.kernel.state.look = (): void => {};
    expect(pair.run(schedule)).toMatchObject({
      in: 'action',
      action: 0,
      value: { port: 'possible', kernel: 'not possible' },
    });
  });
});

describe('what was reached of a tree', () => {
  const CORE = 'kernel/events/core.c';
  const line = (n: number, count: number, name: string): LineCount => {
    return { line: n, text: '', count, branches: 2, branchesTaken: 1, function: name };
  };
  const lines = new Map([
    [CORE, [line(3, 9, 'first'), line(4, 0, 'first'), line(7, 0, 'second'), line(8, 0, 'second')]],
    ['include/linux/perf_event.h', [line(1, 1, 'inline')]],
  ]);

  it('counts functions, lines and branches of the files of perf', () => {
    const files = filesOf(lines);
    expect(files.map(({ path }) => path)).toEqual(PERF_FILES);
    expect(files.find(({ path }) => path === CORE)).toEqual({
      path: CORE,
      functions: { reached: 1, total: 2 },
      lines: { reached: 1, total: 4 },
      branches: { reached: 4, total: 8 },
      notReached: [
        { function: 'first', lines: [4] },
        { function: 'second', lines: [7, 8] },
      ],
    });
    expect(files.filter(({ lines: { total } }) => total > 0)).toHaveLength(1);
  });

  it('the report shows it, or why it is not known', () => {
    const report = reportOf(comparisonOf(PORT, 2));
    const told = { ...report, coverage: { schedules: 2, files: filesOf(lines) } };
    for (const width of WIDTHS) {
      expect(tooLong(width, () => wholeText(told, coloursFor(false)))).toEqual([]);
    }
    const text = wholeText(told, coloursFor(false)).join('\n');
    expect(text).toContain('by 2 schedules on skylake, run again on an image');
    expect(text).toMatch(/kernel\/events\/core\.c +1 of 2 +1 of 4 +4 of 8/);
    expect(wrongWithMade(wholeJson(told))).toEqual([]);
    expect(wholeJson(told)).toMatchObject({ coverage: { schedules: 2 }, coverageProblem: null });
    expect(textOf(comparisonOf(PORT, 2))).not.toContain('overage');
  });

  it.skipIf(imageVersions('6.1').length === 0)('is what the schedules reach', async () => {
    const models = [cpuModel('skylake')];
    const version = '6.1' as const;
    const asked = { models, policy: always, kernel: PORT, version, seed: 1, runs: 6 };
    const counting = await WholeCoverageRun.of(tarOf('6.1'), asked, CACHE);
    const steps = [...counting.work()];
    expect(steps.at(-1)).toEqual({ doing: 'coverage, skylake', done: 6, wanted: 6 });
    const { schedules, files } = await counting.report();
    expect(schedules).toBe(6);
    const lbr = files.find(({ path }) => path.endsWith('/lbr.c'));
    expect(lbr?.functions.reached).toBeGreaterThan(25);
    const missing = lbr?.notReached.map((one) => one.function);
    expect(missing).toContain('intel_pmu_arch_lbr_init');
    expect(missing).not.toContain('intel_pmu_lbr_reset_64');
  });
});

describe('vlbr conform', () => {
  let folder = '';
  let wasm = '';
  const versions = imageVersions('6.1');

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vlbr-conform-'));
    wasm = join(folder, 'image.wasm');
    if (versions.length > 0) writeFileSync(wasm, (await imageOf('6.1')).bytes);
  }, 120_000);

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it.skipIf(versions.length === 0)(
    'vlbr conform ends with 0 and with what it compared if 6.1 does not differ',
    async () => {
      const words = ['--kernel-src', wasm, '--cpu', 'nehalem,haswell', '--runs', '40', '--json'];
      const { code, out } = await conformed(...words);
      expect([code, JSON.parse(out).cpus.map((cpu: { parted: number }) => cpu.parted)]).toEqual([
        0,
        [0, 0],
      ]);
      expect(wrongWithPrinted(out)).toEqual([]);
      const report = JSON.parse(out);
      expect(report).toMatchObject({ schema: 'vlbr/conform-whole/2', schedules: 40 });
      const loss = { of: 'nehalem', what: 'an access', how: 'differs' };
      const file = join(folder, 'base.json');
      writeFileSync(file, JSON.stringify({ ...report, losses: [loss] }));
      const asked = ['--kernel-src', wasm, '--runs', '2', '--json', '--baseline', file];
      expect(JSON.parse((await conformed(...asked, '--cpu', 'nehalem,haswell')).out)).toMatchObject(
        {
          models: ['nehalem', 'haswell'],
          baseline: { file, new: [], known: [], noLonger: [loss] },
        },
      );
      const other = conformed(...asked, '--cpu', 'nehalem');
      await expect(other).rejects.toThrow(/its models is nehalem,haswell, and here it is nehalem/);
    },
  );

  it.skipIf(versions.length === 0)('a compiled image has no source to count lines of', async () => {
    const words = ['--kernel-src', wasm, '--cpu', 'haswell', '--runs', '4'];
    const report = join(folder, 'conform.tap');
    const { out } = await conformed(...words, '--reporter', `tap=${report}`);
    expect(readFileSync(report, 'utf8')).toBe(
      'TAP version 13\n1..1\n# vlbr conform\nok 1 - whole path: haswell\n',
    );
    expect(out).toContain('No coverage: a compiled module does not have the source');
    expect(JSON.parse((await conformed(...words, '--json')).out)).toMatchObject({
      coverage: null,
      coverageProblem: 'a compiled module does not have the source',
    });
  });

  it.skipIf(versions.length === 0)('vlbr conform ends with what is known on Ctrl-C', async () => {
    const pressed = setTimeout(() => process.emit('SIGINT'), 1500);
    const { code, out } = await conformed(
      '--kernel-src',
      wasm,
      '--cpu',
      'core2',
      '--runs',
      '9999999',
    );
    clearTimeout(pressed);
    expect(code).toBe(4);
    expect(out).toContain('interrupted: this is what was known until then');
    expect(out).toMatch(/^Cut short: no difference in [\d,]+ of 9,999,999 schedules\.$/m);
  });

  it('vlbr conform says what is wrong with the command line before a build', async () => {
    await expect(conformed('--cpu', 'skylak')).rejects.toThrow(/Did you mean skylake\?/);
    await expect(conformed('--policy', 'alway')).rejects.toThrow(/Did you mean always\?/);
    await expect(conformed('--kernel-src', 'lbr.c', '--driver', 'kernel')).rejects.toThrow(
      /takes a tree/,
    );
    await expect(conformed('--kernel-src', 'lbr.c', '--policy', 'never')).rejects.toThrow(
      /whole path/,
    );
    await expect(conformed('--driver', 'port')).rejects.toThrow(/kernel, lbr\.c/);
  });
});
