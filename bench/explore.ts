/**
 * Speed and memory of the exploration engine on the protocol of bench/protocol, on one core, beside
 * SPIN, rumur and TLC where they are installed. Every run is a separate process. The programs take
 * turns, so ratios hold even if the machine's speed drifts. Figures are medians of all turns. All
 * programs must report the same number of states, or the benchmark fails.
 *
 *   npx tsx bench/explore.ts [rounds]     TLC is taken from the file that TLA2TOOLS names
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { assert } from '../src/hw/assert.js';
import { Search } from '../src/search/search.js';
import { protocol } from './protocol/protocol.js';

const FILE = fileURLToPath(import.meta.url);
const MODELS = fileURLToPath(new URL('protocol/', import.meta.url));
const DEPTHS = [4, 8];
/** The number of the protocol's states without symmetry, at each depth. */
const STATES: Readonly<Record<number, number>> = { 4: 468_384, 8: 3_463_200 };
const OWN_MODES = ['exact', 'fingerprints', 'symmetry'] as const;

interface Run {
  readonly states: number;
  readonly seconds: number;
  readonly bytes: number;
}

interface Contender {
  readonly name: string;
  /** Whether the program counts all states, without symmetry reduction. */
  readonly whole: boolean;
  readonly spin: boolean;
  readonly run: () => Run;
  readonly runs: Run[];
}

const contender = (name: string, run: () => Run, spin = false, whole = true): Contender => ({
  name,
  run,
  spin,
  whole,
  runs: [],
});

/** Runs a program to its end. Returns its output, or null if it is not installed. */
function output(command: string, args: readonly string[], cwd: string): string | null {
  const done = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (done.error !== undefined) return null;
  assert(done.status === 0, `${command} ${args.join(' ')}: ${done.stdout}${done.stderr}`);
  return done.stdout;
}

function mustOutput(command: string, args: readonly string[], cwd: string): string {
  const text = output(command, args, cwd);
  if (text === null) throw new Error(`${command} is not installed`);
  return text;
}

function number(text: string, pattern: RegExp): number {
  const [, digits] = pattern.exec(text) ?? [];
  assert(digits !== undefined, `${pattern.source} is in: ${text}`);
  return Number(digits.replaceAll(',', ''));
}

/** The last match: a program that reports repeatedly reports the whole run last. */
function lastOf(text: string, pattern: RegExp): string {
  const [last] = [...text.matchAll(pattern)].slice(-1);
  assert(last !== undefined, `${pattern.source} is in: ${text}`);
  return last[0];
}

/** One search in the process that this file started for it. Prints a Run. */
function searchOnce(depth: number, mode: string): void {
  const options = { fingerprints: mode === 'fingerprints', symmetry: mode === 'symmetry' };
  const start = performance.now();
  const { states, bytes, end } = new Search(protocol(depth, false), options).run();
  const seconds = (performance.now() - start) / 1000;
  assert(end === 'exhausted', 'a search without a bound finds everything');
  console.log(JSON.stringify({ states, seconds, bytes }));
}

function own(depth: number, mode: string): Contender {
  const args = [...process.execArgv, FILE, 'once', String(depth), mode];
  const run = (): Run => JSON.parse(mustOutput(process.execPath, args, MODELS)) as Run;
  return contender(`vlbr, ${mode}`, run, false, mode !== 'symmetry');
}

/** SPIN's usual exact searches, with the seconds and the memory that SPIN reports. */
function spins(depth: number, work: string): Contender[] {
  const model = readFileSync(join(MODELS, 'lbr.pml'), 'utf8');
  writeFileSync(join(work, 'lbr.pml'), model);
  if (output('spin', [`-DD=${depth}`, '-a', 'lbr.pml'], work) === null) return [];
  return ['', '-DBFS', '-DCOLLAPSE'].map((flag) => {
    const pan = `pan${depth}${flag}`;
    const flags = ['-O2', '-w', '-DSAFETY', '-DNOREDUCE', ...(flag === '' ? [] : [flag])];
    mustOutput('gcc', [...flags, '-o', pan, 'pan.c'], work);
    const run = (): Run => {
      const text = mustOutput(join(work, pan), ['-m1000000', '-w22'], work);
      return {
        states: number(text, /([\d.]+) states, stored/),
        seconds: number(text, /elapsed time ([\d.]+) seconds/),
        bytes: number(text, /([\d.]+)\ttotal actual memory usage/) * 2 ** 20,
      };
    };
    return contender(`SPIN ${flag}`.trim(), run, true);
  });
}

/** rumur on one or two threads, as it decides. rumur does not report its memory. */
function rumurs(depth: number, work: string): Contender[] {
  const model = readFileSync(join(MODELS, 'lbr.m'), 'utf8').replace(/D: 4;/, `D: ${depth};`);
  writeFileSync(join(work, 'lbr.m'), model);
  const plain = ['--threads', '1', '--symmetry-reduction', 'off', 'lbr.m', '--output', 'lbr.c'];
  if (output('rumur', plain, work) === null) return [];
  const file = `rumur${depth}`;
  mustOutput(
    'gcc',
    ['-O3', '-march=native', '-w', '-o', file, 'lbr.c', '-lpthread', '-latomic'],
    work,
  );
  const run = (): Run => {
    const start = performance.now();
    const text = mustOutput(join(work, file), [], work);
    const seconds = (performance.now() - start) / 1000;
    return { states: number(lastOf(text, /\d+ states/g), /(\d+)/), seconds, bytes: NaN };
  };
  return [contender('rumur, one thread', run)];
}

function tlcs(depth: number, work: string): Contender[] {
  const jar = process.env['TLA2TOOLS'];
  if (jar === undefined) return [];
  copyFileSync(join(MODELS, 'Lbr.tla'), join(work, 'Lbr.tla'));
  const config = readFileSync(join(MODELS, 'Lbr.cfg'), 'utf8').replace(/D = 4/, `D = ${depth}`);
  writeFileSync(join(work, 'Lbr.cfg'), config);
  const args = ['-cp', jar, 'tlc2.TLC', '-workers', '1', '-config', 'Lbr.cfg', 'Lbr'];
  const run = (): Run => {
    const start = performance.now();
    const text = mustOutput('java', ['-XX:+UseParallelGC', ...args], work);
    const seconds = (performance.now() - start) / 1000;
    const distinct = lastOf(text, /[\d,]+ distinct states found/g);
    return { states: number(distinct, /([\d,]+)/), seconds, bytes: NaN };
  };
  return [contender('TLC, one worker', run)];
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1];

interface Summary extends Run {
  readonly name: string;
  readonly spin: boolean;
}

function summaryOf({ name, spin, runs }: Contender): Summary {
  const [{ states, bytes }] = runs;
  return { name, spin, states, seconds: median(runs.map((run) => run.seconds)), bytes };
}

const rate = (run: Run): number => run.states / run.seconds;

function ratio(value: number, base: number | undefined): string {
  return base === undefined || Number.isNaN(value) ? '-' : `${(value / base).toFixed(2)} x`;
}

function print(depth: number, summaries: readonly Summary[]): void {
  const [spin] = summaries.filter((s) => s.spin).sort((a, b) => rate(b) - rate(a));
  const base: Summary | undefined = spin;
  const per = (run: Run): number => run.bytes / run.states;
  const table = new Table({
    head: ['checker', 'states', 'seconds', 'states/s', 'to SPIN', 'bytes/state', 'to SPIN'],
    style: { head: [], border: [] },
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'right'],
  });
  for (const s of summaries) {
    const bytes = Number.isNaN(s.bytes) ? 'not said' : per(s).toFixed(1);
    const speed = [s.seconds.toFixed(2), Math.round(rate(s)), ratio(rate(s), base && rate(base))];
    table.push([s.name, s.states, ...speed, bytes, ratio(per(s), base && per(base))]);
  }
  console.log(`protocol, depth ${depth}; SPIN's fastest: ${base?.name ?? 'not installed'}`);
  console.log(table.toString());
}

function compare(depth: number, rounds: number, work: string): void {
  const ours = OWN_MODES.map((mode) => own(depth, mode));
  const peers: readonly (readonly [name: string, found: Contender[]])[] = [
    ['SPIN', spins(depth, work)],
    ['rumur', rumurs(depth, work)],
    ['TLC', tlcs(depth, work)],
  ];
  for (const [name, found] of peers) {
    if (found.length === 0) console.log(`${name}: not measured: it is not installed`);
  }
  const all = [...ours, ...peers.flatMap(([, found]) => found)];
  for (let round = 0; round < rounds; round++) {
    for (const { name, whole, run, runs } of all) {
      const result = run();
      if (whole) {
        const wanted = STATES[depth];
        assert(result.states === wanted, `${name} finds ${wanted} states, not ${result.states}`);
      }
      runs.push(result);
    }
  }
  print(depth, all.map(summaryOf));
}

const [first, depth, mode] = process.argv.slice(2);
if (first === 'once') searchOnce(Number(depth), mode);
else {
  const work = mkdtempSync(join(tmpdir(), 'vlbr-bench-'));
  try {
    for (const d of DEPTHS) compare(d, Number(first ?? 3), work);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
