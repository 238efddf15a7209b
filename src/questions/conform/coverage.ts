/**
 * How much of lbr.c sequences reach: they run on an instrumented build, and `llvm-cov gcov` reads
 * its counters.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BLOCK_ADDRESS } from '../../hw/memory.js';
import { inertInstance, type KernelBinary } from '../../tree/binary.js';
import { buildInstrumented, COVERAGE_NOTES } from '../../tree/build.js';
import { kernelDriver, PAGE_BYTES, STACK_BYTES, STATICS_END } from '../../tree/driver.js';
import { KernelError } from '../../tree/errors.js';
import type { KernelSource } from '../../tree/source.js';
import { gcdaBytes } from '../../tree/gcov/gcda.js';
import { gcovText, type LineCount, linesOf, parseGcov } from '../../tree/gcov/gcov.js';
import { ArcTable, type FileCounts, sumOf } from '../../guest/image/arcs.js';
import { assert } from '../../hw/assert.js';
import type { Sequence } from './sequence.js';
import { Side } from './side.js';
import { subjectOf, toldModel } from './subjects.js';
import { textAt, type WasmGlobal, WebAssembly } from '../../guest/image/webassembly.js';
import { discard, scratchFolder } from '../../tree/scratch.js';

export interface Share {
  readonly reached: number;
  readonly total: number;
}

export interface Coverage {
  /** Number of sequences that were run again. */
  readonly sequences: number;
  readonly lines: Share;
  readonly branches: Share;
  /** Lines outside Architectural LBR and PEBS. */
  readonly legacyLines: Share;
  readonly legacyBranches: Share;
  readonly legacyFunctions: number;
  /** Functions of the legacy path that were not reached completely, each with the missing lines. */
  readonly notReached: readonly Missing[];
}

/** A function of which some lines were not reached. */
export interface Missing {
  readonly function: string;
  readonly lines: readonly number[];
}

/** Where the counters lie in the static data, as an instance of its own says. */
function arcTable({ module }: KernelBinary): ArcTable {
  const memory = new WebAssembly.Memory({ initial: BLOCK_ADDRESS / PAGE_BYTES });
  const exports = inertInstance(module, memory);
  (exports.__stack_pointer as WasmGlobal).value = STATICS_END + STACK_BYTES;
  const of = {
    ints: () => new Int32Array(memory.buffer),
    text: (address: number) => textAt(memory, address),
  };
  return new ArcTable(of, (exports.gcov_table as () => number)());
}

/** Runs sequences on an instrumented build. `close` deletes its files. */
export class CoverageRun {
  private readonly folder: string;
  private readonly binary: KernelBinary;
  private readonly table: ArcTable;
  private counts: readonly FileCounts[] = [];
  private readonly sides = new Map<string, Side>();
  private sequences = 0;

  /** @throws KernelError if lbr.c cannot be compiled. */
  constructor(source: KernelSource) {
    this.folder = scratchFolder();
    try {
      this.binary = buildInstrumented(source, this.folder);
    } catch (error) {
      this.close();
      throw error;
    }
    this.table = arcTable(this.binary);
  }

  close(): void {
    discard(this.folder);
  }

  run(sequence: Sequence): void {
    const side = this.side(sequence);
    side.begin(sequence);
    for (const call of sequence.calls) side.perform(call);
    this.sequences++;
    this.add(side);
  }

  private side({ cpu, pmuVersion }: Sequence): Side {
    const key = `${cpu} ${pmuVersion}`;
    let side = this.sides.get(key);
    if (side === undefined) {
      const subject = subjectOf(cpu);
      side = new Side(subject, toldModel(subject), pmuVersion, kernelDriver(this.binary));
      this.sides.set(key, side);
    }
    return side;
  }

  /** Adds the counters, which lie in the static data: each boot resets them to 0. */
  private add({ kernel }: Side): void {
    const { words, layout } = kernel;
    const now = this.table.counts(words, layout.statics - this.binary.staticsFrom / 4);
    this.counts = sumOf([this.counts, now]);
  }

  /** The coverage so far. @throws KernelError if llvm-cov is missing or prints no line. */
  report(): Coverage {
    const [file] = this.counts;
    assert(file !== undefined, 'a sequence has run');
    const data = COVERAGE_NOTES.replace(/gcno$/, 'gcda');
    writeFileSync(join(this.folder, data), gcdaBytes(file));
    const lines = linesOf(parseGcov(gcovText(this.folder, data)), 'lbr.c');
    if (lines.length === 0) throw new KernelError('llvm-cov gcov shows no line of lbr.c');
    return coverageOf(lines, this.sequences);
  }
}

/** Functions that only Architectural LBR, its buffers, branch counters or PEBS use. */
const OTHER_FUNCTION =
  /arch_lbr|xsave|xrstor|store_lbr|pebs|_lbr_buffers|get_lbr_|x86_perf_get_lbr|counters|brstack/;

/**
 * Text in a line, or in the condition above it, of these features: their names, a request that only
 * their map refuses, and a use of records that they have already read.
 */
const OTHER_TEXT = /pebs|arch_lbr|LBR_NOT_SUPP|return lbr->/i;
const CONDITION = /^\s*(?:\} else )?if \(|\) \{$/;
const ELSE = /^\s*\} else\b/;

function share(counts: readonly (readonly [reached: number, total: number])[]): Share {
  const sum = (which: 0 | 1): number => counts.reduce((all, count) => all + count[which], 0);
  return { reached: sum(0), total: sum(1) };
}

export function lineShare(lines: readonly LineCount[]): Share {
  return share(lines.map(({ count }) => [count > 0 ? 1 : 0, 1]));
}

export function branchShare(lines: readonly LineCount[]): Share {
  return share(lines.map(({ branches, branchesTaken }) => [branchesTaken, branches]));
}

/** Sums up the lines of lbr.c. */
export function coverageOf(lines: readonly LineCount[], sequences: number): Coverage {
  const legacy = lines.filter((line, i) => {
    if (OTHER_FUNCTION.test(line.function) || OTHER_TEXT.test(line.text)) return false;
    const above = lines[i - 1]?.text ?? '';
    if (line.count > 0 || !OTHER_TEXT.test(above)) return true;
    return !CONDITION.test(above) && !ELSE.test(line.text);
  });
  return {
    sequences,
    lines: lineShare(lines),
    branches: branchShare(lines),
    legacyLines: lineShare(legacy),
    legacyBranches: branchShare(legacy),
    legacyFunctions: new Set(legacy.map((line) => line.function)).size,
    notReached: notReached(legacy),
  };
}

/** Lines that did not run, by function. */
export function notReached(lines: readonly LineCount[]): Missing[] {
  const missing = lines.filter(({ count }) => count === 0);
  return [...new Set(missing.map((line) => line.function))].map((name) => ({
    function: name,
    lines: missing.filter((line) => line.function === name).map(({ line }) => line),
  }));
}
