/** The report of `vlbr cost` as text. */
import type { Colours } from '../../console/colours.js';
import { splitTable, tableLines } from '../../console/table.js';
import { compact, grouped, plural, textWidth, wrap } from '../../console/text.js';
import type { KernelVersion } from '../../guest/perf/kernel.js';
import { CPU_MODELS } from '../../hw/cpu_models.js';
import { type Recording, summarize } from '../../recording/recording.js';
import { printable } from '../../recording/trace_error.js';
import { guessLines } from '../../tell/recording_text.js';
import type { JoinedGuest } from '../../console/guests.js';
import { guestsLines } from '../../tell/guest_text.js';
import { type CostTable, isParameter, PRICE_NAMES } from './cost_table.js';
import { type Count, countOf, type Counts, cyclesOfCounts } from './ledger.js';
import { type Profile, profileText } from './profile.js';
import {
  alike,
  crossings,
  playedOf,
  shareOf,
  type Sweep,
  type Total,
  totalsOf,
} from './summary.js';
import type { PolicyResult } from './worker.js';

export interface Costs {
  readonly recordings: readonly Recording[];
  /** Of the only recording, if there are any. */
  readonly guests: readonly JoinedGuest[];
  readonly profiles: readonly Profile[];
  readonly results: readonly PolicyResult[];
  readonly costs: CostTable;
  readonly sweep: Sweep | null;
  readonly interrupted: boolean;
  readonly cpu: string;
  readonly kernel: KernelVersion;
  readonly seed: number;
}

/** Columns of what is done, and the counts that each adds up. */
const DONE: readonly (readonly [string, ...Count[]])[] = [
  ['saves', 'saves'],
  ['restores', 'restores'],
  ['wipes', 'wipes'],
  ['reads', 'reads'],
  ['writes', 'writes', 'selects'],
  ['exits', 'exits'],
  ['bitmap', 'bitmaps'],
  ['events', 'events'],
  ['guest reads', 'guestReads'],
  ['guest writes', 'guestWrites'],
];

/** Columns of what guests got for it. */
const GOT: readonly (readonly [string, ...Count[]])[] = [
  ['needless', 'needless'],
  ['wrong', 'wrong'],
  ['foreign', 'foreign'],
];

const BAR_MAX = 24;

/** @param byVcpu - whether each vCPU has its line, too. */
export function costText(report: Costs, byVcpu: boolean, colours: Colours): string[] {
  const { recordings, interrupted, cpu, kernel, seed } = report;
  return [
    ...recordings.flatMap((recording, host) => hostLines(report, recording, host, byVcpu, colours)),
    ...comparedLines(report),
    ...priceLines(report),
    ...wrap(`${cpu}, Linux ${kernel}, seed ${seed}. ${COLUMNS_SAY}`, '', ''),
    ...(interrupted ? ['interrupted: this is what was read and played until then'] : []),
  ];
}

const COLUMNS_SAY =
  'Accesses are those of the host; exits are those of accesses to LBR MSRs and to ACTIVE. Those ' +
  'to DEBUGCTL exit under each policy, never too, and have no price here. Needless: accesses for ' +
  'a guest without LBR event. Wrong: reads of guests that gave another value than on a pCPU of ' +
  "its own; foreign: those that gave another guest's record. Each vCPU is a guest of its own.";

function hostLines(
  report: Costs,
  recording: Recording,
  host: number,
  byVcpu: boolean,
  colours: Colours,
): string[] {
  const { profiles } = report;
  const { vcpus, pcpus, vcpu_switches, changes, span_s } = summarize(recording);
  const what = [
    `${plural(vcpus, 'vCPU')} on ${plural(pcpus, 'pCPU')}`,
    `${plural(vcpu_switches, 'vCPU switch')}, ${plural(changes, 'change')} of the vCPU on a pCPU`,
    `${span_s.toFixed(3)} s`,
  ];
  return [
    colours.bold(printable(recording.file)),
    ...wrap(what.join('; '), '  ', '  '),
    ...guessLines(recording, '  '),
    ...guestsLines(recording, report.guests, '  '),
    '',
    ...profiles.flatMap((_, p) => profileLines(report, host, p, byVcpu, colours)),
  ];
}

function profileLines(
  report: Costs,
  host: number,
  p: number,
  byVcpu: boolean,
  colours: Colours,
): string[] {
  const { profiles, costs, sweep } = report;
  const totals = totalsOf(report.results, host, p);
  const { name } = profiles[p];
  return [
    ...wrap(`${colours.bold(`profile ${name}`)}: ${profileText(profiles[p])}`, '', '  '),
    ...tablesOf(
      totals.map(({ policy, complete, ...rest }) => ({
        name: complete ? policy : `${policy} (cut short)`,
        ...rest,
      })),
      costs,
    ),
    ...(byVcpu ? vcpuLines(report, host, p) : []),
    '',
    ...conclusionLines(report, totals, host, p),
    ...(sweep === null ? [] : sweepLines(totals, costs, sweep)),
    '',
  ];
}

function cellsOf(counts: Counts, columns: readonly (readonly [string, ...Count[]])[]): string[] {
  return columns.map(([, ...names]) =>
    compact(names.reduce((sum, name) => sum + countOf(counts, name), 0)),
  );
}

/** A line of the tables: a policy, or a vCPU under one. */
type Row = Pick<Total, 'counts' | 'ran'> & { readonly name: string };

/** What was done, and what it comes to. */
function tablesOf(rows: readonly Row[], costs: CostTable): string[] {
  const most = Math.max(1, ...rows.map(({ counts }) => cyclesOfCounts(counts, costs)));
  const done = rows.map(({ name, counts }) => [name, ...cellsOf(counts, DONE)]);
  const comesTo = rows.map(({ name, counts, ran }) => {
    const cycles = cyclesOfCounts(counts, costs);
    const arrivals = countOf(counts, 'arrivals');
    return [
      name,
      ...cellsOf(counts, GOT),
      compact(Math.round(cycles)),
      arrivals === 0 ? '-' : compact(Math.round(cycles / arrivals)),
      `${(100 * shareOf({ counts, ran }, costs)).toFixed(3)}%`,
    ];
  });
  const heads = [...GOT.map(([head]) => head), 'cycles', 'a switch', 'of the time'];
  const table = splitTable(['', ...heads], comesTo, { numeric: true });
  // A table that is split has the cycles in its last lines.
  const first = table.length - rows.length;
  const room = textWidth() - Math.max(...table.slice(first).map(({ length }) => length)) - 2;
  const bars = rows.map(({ counts }) => {
    const part = cyclesOfCounts(counts, costs) / most;
    return '#'.repeat(Math.ceil(part * Math.min(BAR_MAX, Math.max(0, room))));
  });
  return [
    ...splitTable(['', ...DONE.map(([title]) => title)], done, { numeric: true }),
    '',
    ...table.map((line, i) => `${line}  ${bars[i - first] ?? ''}`.trimEnd()),
  ];
}

function vcpuLines({ recordings, results, costs }: Costs, host: number, p: number): string[] {
  const { vcpus, vms } = recordings[host];
  const rows = playedOf(results, host, p).flatMap(({ policy, played }) =>
    played.counts.map((counts, v) => ({
      name: `${policy} ${printable(vms[vcpus[v].vm].name)}/${vcpus[v].index}`,
      counts,
      ran: played.ran[v],
    })),
  );
  return ['', ...tablesOf(rows, costs)];
}

/** Whether a guest has touched LBR MSRs. */
function isUsed({ counts }: Total): boolean {
  return countOf(counts, 'guestReads') + countOf(counts, 'guestWrites') > 0;
}

/** Why policies have done the same. */
function whyAlike(
  { recordings, profiles, cpu }: Costs,
  totals: readonly Total[],
  host: number,
  p: number,
): string {
  if (profiles[p].share === 0) return 'no guest uses LBR';
  if (!CPU_MODELS.some(({ name, callstack }) => name === cpu && callstack)) {
    return `a guest of ${printable(cpu)} has no call stacks, and so does not use LBR`;
  }
  if (!totals.some(isUsed)) return 'no vCPU runs at a time when its guest takes call stacks';
  return summarize(recordings[host]).changes === 0
    ? 'no vCPU finds a pCPU where another one was before'
    : 'they do the same at each switch that was recorded';
}

function conclusionLines(
  report: Costs,
  totals: readonly Total[],
  host: number,
  p: number,
): string[] {
  const { costs } = report;
  // Where other policies let guests use LBR, one that does not has nothing to be compared by.
  const withheld = totals.some(isUsed) ? totals.filter((total) => !isUsed(total)) : [];
  const right = totals.filter(
    (total) => countOf(total.counts, 'wrong') === 0 && !withheld.includes(total),
  );
  const wrong = totals.filter(({ counts }) => countOf(counts, 'wrong') > 0);
  const lines: string[] = [];
  if (wrong.length > 0) {
    lines.push(
      `A guest reads something wrong here under ${wrong.map((t) => t.policy).join(', ')}.`,
    );
  }
  if (withheld.length > 0) {
    const names = withheld.map((t) => t.policy).join(', ');
    const which = withheld.length === 1 ? 'it is' : 'they are';
    lines.push(`Guests have no LBR to use under ${names}, and so ${which} not ranked.`);
  }
  if (right.length > 0) {
    lines.push(`No read is wrong here, cheapest first: ${ranked(right, costs).join(', ')}.`);
  }
  for (const group of alike(totals)) {
    const why = whyAlike(report, totals, host, p);
    lines.push(`This recording can't tell ${group.join(', ')} apart: ${why}.`);
  }
  return lines.flatMap((line) => wrap(line, '', '  '));
}

/** Costs that differ by less than this part depend on the seed. */
const ALIKE = 0.02;

/** Policies by ascending cost. Those that cost about the same are one entry, in their own order. */
function ranked(totals: readonly Total[], costs: CostTable): string[] {
  const sorted = totals
    .map(({ policy, counts }, place) => ({ policy, place, cycles: cyclesOfCounts(counts, costs) }))
    .sort((a, b) => a.cycles - b.cycles);
  const groups: (typeof sorted)[] = [];
  for (const one of sorted) {
    const group = groups.at(-1);
    if (group !== undefined && one.cycles <= group[0].cycles * (1 + ALIKE)) group.push(one);
    else groups.push([one]);
  }
  return groups.map((group) =>
    group
      .sort((a, b) => a.place - b.place)
      .map(({ policy }) => policy)
      .join(' = '),
  );
}

function sweepLines(totals: readonly Total[], costs: CostTable, sweep: Sweep): string[] {
  const { name, low, high } = sweep;
  const found = crossings(totals, costs, sweep);
  const head = `Sweep of ${name} from ${low} to ${high}:`;
  if (found.length === 0) {
    return ['', ...wrap(`${head} the order of the policies does not change.`, '', '  ')];
  }
  return [
    '',
    head,
    ...found.flatMap(({ below, above, at }) =>
      wrap(`below ${grouped(Math.round(at))} ${below} is cheaper, above ${above}`, '  ', '    '),
    ),
  ];
}

/** Cycles a switch of several recordings, beside each other. */
function comparedLines({ recordings, profiles, results, costs }: Costs): string[] {
  if (recordings.length < 2) return [];
  const share = (total: Total | undefined): string =>
    total === undefined ? '-' : `${(100 * shareOf(total, costs)).toFixed(3)}%`;
  return profiles.flatMap(({ name }, p) => {
    const byHost = recordings.map((_, host) => totalsOf(results, host, p));
    const rows = byHost[0].map(({ policy }) => [
      policy,
      ...byHost.map((totals) => share(totals.find((total) => total.policy === policy))),
    ]);
    const head = ['policy', ...recordings.map((_, host) => `recording ${host + 1}`)];
    const files = recordings.map(({ file }, host) => `${host + 1} is ${printable(file)}`);
    return [
      ...wrap(`Part of the vCPUs' time, profile ${name}; ${files.join(', ')}:`, '', '  '),
      ...splitTable(head, rows, { numeric: true }),
      '',
    ];
  });
}

function priceLines({ costs }: Costs): string[] {
  const rows = PRICE_NAMES.map((name) => {
    const price = costs[name];
    const { value, low, high, unit } = price;
    return [
      isParameter(price) ? `${name} *` : name,
      `${grouped(value)} ${unit}`,
      `${grouped(low)} to ${grouped(high)}`,
      price.says,
    ];
  });
  return [
    ...wrap(
      'Costs, with their ranges; * is a parameter that nobody has measured (--costs, --sweep):',
      '',
      '  ',
    ),
    ...tableLines(['', '', '', ''], rows).filter((line) => line !== ''),
    '',
  ];
}
