/**
 * Whether it pays to keep schedules by what they cover: runs and processor time to the first
 * failure of each known defect and each golden finding, drawn afresh and with a corpus. Medians of
 * 10 seeds. An argument is `golden` or `defects`, for one half of the table.
 */
import { defectQuarries } from './corpus/defects.js';
import { goldenQuarries } from './corpus/golden.js';
import { type Hit, hunt, type Quarry, RUNS_MOST } from './corpus/hunt.js';

const SEEDS = 10;

/** Runs that are made first, so that Node has compiled what is measured. */
const WARM_UP = 200;
const WARM_UP_SEED = 0;

/** A finding from more than this many runs on is rare. */
const RARE = 300;

/** Medians of one finding: of the runs, and of their milliseconds. Infinity if it is not found. */
interface Row {
  readonly cells: readonly string[];
  readonly afresh: Hit;
  readonly corpus: Hit;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

function medianHit(hits: readonly (Hit | null)[]): Hit {
  const of = (what: keyof Hit): number => median(hits.map((hit) => hit?.[what] ?? Infinity));
  return { runs: of('runs'), ms: of('ms') };
}

function measure(quarry: Quarry): Row[] {
  const ways = [false, true];
  for (const way of ways) hunt(quarry, WARM_UP_SEED, way, WARM_UP);
  const hits = ways.map((): (Hit | null)[][] => []);
  for (let seed = 1; seed <= SEEDS; seed++) {
    for (const way of ways) hits[Number(way)].push(hunt(quarry, seed, way));
  }
  return quarry.wanted.map((cells, w) => {
    const [afresh, corpus] = hits.map((of) => medianHit(of.map((found) => found[w])));
    return { cells, afresh, corpus };
  });
}

function number(value: number): string {
  return Number.isFinite(value) ? value.toFixed(0) : '-';
}

function ratio(row: Row, what: keyof Hit): number {
  return row.corpus[what] / row.afresh[what];
}

function printed(row: Row): string {
  const { cells, afresh, corpus } = row;
  const both = (what: keyof Hit): string[] => {
    const times = ratio(row, what);
    return [
      number(afresh[what]),
      number(corpus[what]),
      Number.isFinite(times) ? times.toFixed(1) : '-',
    ];
  };
  return `| ${[...cells, ...both('runs'), ...both('ms')].join(' | ')} |`;
}

function summary(name: string, rows: readonly Row[]): string {
  const of = (what: keyof Hit): string => {
    const ratios = rows.map((row) => ratio(row, what)).filter(Number.isFinite);
    const [least, most] = [Math.min(...ratios), Math.max(...ratios)];
    return `${median(ratios).toFixed(2)} times (${least.toFixed(1)} to ${most.toFixed(1)})`;
  };
  return `${name}: ${rows.length}; with a corpus, ${of('runs')} the runs, ${of('ms')} the time`;
}

const [, , asked] = process.argv;
const quarries = [
  ...(asked === 'golden' ? [] : await defectQuarries()),
  ...(asked === 'defects' ? [] : goldenQuarries()),
];
const COLUMNS = ['runs', 'with corpus', 'times', 'ms', 'with corpus', 'times'];
console.log(`| ${['finding', 'by', 'CPU', 'property', ...COLUMNS].join(' | ')} |`);
console.log(`|${' --- |'.repeat(4)}${' ---: |'.repeat(COLUMNS.length)}`);
const rows = quarries.flatMap((quarry) => {
  const measured = measure(quarry);
  for (const row of measured) console.log(printed(row));
  return measured;
});
const rare = rows.filter(({ afresh }) => afresh.runs > RARE);
console.log(`
- is a finding that half of the seeds do not show in ${RUNS_MOST} runs.
${summary('all findings', rows)}
${summary(`findings of more than ${RARE} runs afresh`, rare)}`);
