/**
 * The report of a campaign as text: what was run, counterexamples that are asked for or not
 * expected, and at the end a conclusion and the matrix.
 */
import { declareLines } from './declare.js';
import type { KernelVerdict } from './kernel_verdict.js';
import type { DriverKind } from '../../guest/perf/lbr_driver.js';
import type { CpuModel } from '../../hw/cpu_models.js';
import type { KernelInfo } from '../../tree/binary.js';
import { type Recording, summarize } from '../../recording/recording.js';
import { printable } from '../../recording/trace_error.js';
import type { Shape } from '../../machine/config.js';
import type { Report, Verdict } from '../../campaign/campaign.js';
import { type PropertyName, REACH_NAMES } from '../../judge/properties.js';
import type { ActionName } from '../../schedule/table.js';
import { RecordedWindows, WINDOW_STEPS } from '../../schedule/recorded.js';
import { isKnown, type Since, sinceLines } from '../../console/baseline.js';
import type { Colours } from '../../console/colours.js';
import { guestText } from '../source_text.js';
import { conclusionLines, matrixLines } from './conclusion.js';
import { counterexampleLines, isUnexpected, lossOf } from './counterexamples.js';
import { type Numbered, numbered, SHOW_ALL, shown } from './counterexamples.js';
import { lossesIn, unexpectedOf } from './losses.js';
import { splitTable, tableLines } from '../../console/table.js';
import {
  ascii,
  compact,
  grouped,
  NOT_APPLICABLE,
  plural,
  textWidth,
  wrap,
} from '../../console/text.js';

/** What was asked for, and what came of it. */
export interface Campaign {
  readonly model: CpuModel;
  readonly kernel: string;
  readonly driver: DriverKind;
  /** Where the driver's C file comes from; null for the port. */
  readonly source: KernelInfo | null;
  /** Options that `vlbr replay` needs to run the same driver, as words of a command line. */
  readonly driverWords: readonly string[];
  readonly seed: number;
  /** Those that were asked for; an interruption may have come before some of them. */
  readonly policies: readonly string[];
  readonly shapes: readonly Shape[];
  /** Actions that were left out. */
  readonly without: readonly ActionName[];
  readonly recordings: readonly Recording[];
  /** The runs for each policy that were asked for; a recording may take more. */
  readonly runsAsked: number;
  /** Those that were asked for. */
  readonly properties: readonly PropertyName[];
  readonly elapsed_s: number;
  readonly report: Report;
  readonly byKernel: KernelVerdict;
  /** What is new since an earlier report; null if none was given. */
  readonly since: Since | null;
}

/** Verdicts as a matrix shows them. */
export const VERDICT_WORDS: Readonly<Record<Verdict, string>> = {
  holds: 'holds',
  fails: 'FAILS',
  vacuous: 'vacuous',
  'not applicable': NOT_APPLICABLE,
};
/** How much of a report is printed. */
export interface Extent {
  /** What --show asks for: numbers, policies, POLICY/PROPERTY, `kernel` or `all`. */
  readonly show: readonly string[];
  /**
   * Only the conclusion and the matrix, which may leave out how to see more (`verdicts`); or only
   * the last line. With any of them, what is not expected.
   */
  readonly only?: 'summary' | 'verdicts' | 'quiet';
  /** Why cells are as they are, each action's count, and how often each situation was met. */
  readonly legend?: boolean;
}

const RANDOM_SAYS =
  'random: a verdict is of the schedules that were run; vlbr explore looks at every schedule of ' +
  'a small machine';

const MINIMAL_SAYS =
  'minimal: exploration of one pCPU with 2 VMs of 1 vCPU, and with 1 VM of 2, found no schedule ' +
  'of fewer actions';

/** The report, as lines. @throws UsageError for a number of --show that there is not. */
export function verifyText(
  campaign: Campaign,
  colours: Colours,
  { show, only, legend = false }: Extent = { show: [] },
): string[] {
  const { report } = campaign;
  const all = numbered(report);
  const asked = shown(all, show);
  const isNew = (one: Numbered): boolean =>
    isUnexpected(one) && !isKnown(campaign.since, lossOf(one));
  const brief = only === 'summary' || only === 'verdicts';
  const news = brief ? [] : all.filter(isNew);
  const told = [...asked, ...news.filter((one) => !asked.includes(one))];
  const everything = legend || show.includes(SHOW_ALL);
  const counterexamples = counterexampleLines(campaign, told, colours);
  const cut = report.interrupted ? [...interruptedLines(campaign, colours), ''] : [];
  const unexpected = [...unexpectedLines(campaign, colours), ...cut];
  const last = [countLine(campaign, colours), ...sinceLines(campaign.since, colours)];
  if (only === 'quiet') return [...withGap(counterexamples.slice(1)), ...unexpected, ...last];
  const conclusion = [
    ...conclusionLines(campaign, colours, only !== 'verdicts'),
    '',
    ...matrixLines(campaign, unexpectedOf(report), colours),
    '',
    ...(only === 'verdicts' ? [] : wrap(MORE_SAYS, '', '  ')),
    ...last,
  ];
  if (brief) return [...unexpected, ...conclusion];
  return [
    ...headLines(campaign, colours),
    ...runLines(campaign),
    ...(everything ? ['', ...workLines(report), '', ...legendLines(report)] : []),
    ...counterexamples,
    '',
    ...unexpected,
    ...conclusion,
  ];
}

const MORE_SAYS =
  'More: --show N, --show POLICY/PROPERTY or --show all tells counterexamples, vlbr explain 001 ' +
  'a schedule that is kept; --legend says why cells are as they are.';

function withGap(lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [...lines, ''];
}

function headLines(campaign: Campaign, colours: Colours): string[] {
  const { model, kernel, source, seed, recordings, shapes, without } = campaign;
  const cpu = `${model.name} (${model.lbr_nr} records)`;
  const what = `${cpu}, ${guestText(kernel, source)}, seed ${seed}`;
  const machines =
    recordings.length > 0
      ? [...recordings.flatMap(scheduleLines), ...windowLines(campaign)]
      : shapeLines(shapes);
  const head = wrap(`vlbr verify: ${what}`, '', '  ').map((line) => colours.bold(line));
  const less = without.length === 0 ? [] : wrap(`without: ${without.join(', ')}`, '', '  ');
  return [...head, ...machines, ...less];
}

function shapeLines(shapes: readonly Shape[]): string[] {
  const texts = shapes.map(({ vms, vcpus, tasks, pcpus }) => {
    const vm = `${plural(vcpus, 'vCPU')} and ${plural(tasks, 'task')}`;
    return `${plural(vms, 'VM')} of ${vm} on ${plural(pcpus, 'pCPU')}`;
  });
  return wrap(`machines: ${texts.join('; ')}`, '', '  ');
}

function scheduleLines(recording: Recording): string[] {
  const { vcpus, vms, pcpus, vcpu_switches, span_s } = summarize(recording);
  const who = `${plural(vcpus, 'vCPU')} of ${plural(vms, 'VM')} on ${plural(pcpus, 'pCPU')}`;
  const what = `${plural(vcpu_switches, 'vCPU switch')} in ${span_s.toFixed(1)} s`;
  const text = `schedule: ${printable(recording.file)}: ${who}, ${what}`;
  return wrap(text, '', '  ');
}

/** Number of windows that a recording is cut into: the runs that it takes to run all of it. */
export function windowsIn(recording: Recording): number {
  return new RecordedWindows(recording).length;
}

/** Says that a recording takes more runs than were asked for: none of its windows is left out. */
function windowLines({ recordings, runsAsked }: Campaign): string[] {
  const windows = recordings.reduce((sum, recording) => sum + windowsIn(recording), 0);
  if (windows <= runsAsked) return [];
  const what = `${plural(windows, 'window')} of at most ${WINDOW_STEPS} switches`;
  const text = `runs: ${grouped(windows)} for each policy, and not ${grouped(runsAsked)}`;
  return wrap(`${text}, since what is recorded fills ${what}`, '', '  ');
}

/** Why some cells are as they are. */
function legendLines(report: Report): string[] {
  const { results } = report;
  const lines: string[] = [];
  lines.push(...wrap(RANDOM_SAYS, '', '  '));
  const found = results.flatMap(({ counterexample, otherCauses }) => [counterexample, otherCauses]);
  const labels = new Set(found.flat().map((one) => one?.label));
  if (labels.has('minimal')) lines.push(...wrap(MINIMAL_SAYS, '', '  '));
  if (labels.has('shrunk'))
    lines.push('shrunk: the shortest schedule found; there may be a shorter');
  const reasons = new Map<string, Set<string>>();
  for (const { verdict, property, policy, reason } of results) {
    if (verdict !== 'not applicable') continue;
    const key = `${property}: ${ascii(reason)}`;
    reasons.set(key, (reasons.get(key) ?? new Set()).add(policy));
  }
  const all = new Set(results.map(({ policy }) => policy)).size;
  for (const [reason, policies] of reasons) {
    const whose = policies.size === all ? '' : ` (${[...policies].join(', ')})`;
    lines.push(...wrap(`${NOT_APPLICABLE} ${reason}${whose}`, '', '  '));
  }
  return lines;
}

/** How much was run, in how long. */
function runLines({ report, elapsed_s }: Campaign): string[] {
  const { runs, steps } = report;
  const mean = runs === 0 ? 0 : steps / runs;
  const total = `${plural(runs, 'run')}, ${plural(steps, 'action')}`;
  const text = `${total} (mean ${mean.toFixed(1)} a run); ${elapsed_s.toFixed(1)} s in all`;
  return wrap(`random: ${text}`, '', '  ');
}

/** How often each action was performed, and each risk was met. */
function workLines({ actions, results }: Report): string[] {
  const policies = [...new Map(results.map(({ policy, reach }) => [policy, reach]))];
  const rows = REACH_NAMES.map((name) => [
    name,
    ...policies.map(([, reach]) => compact(reach[name] ?? 0)),
  ]);
  const head = ['risky situations met', ...policies.map(([policy]) => policy)];
  return [
    ...wrap('0 % skipped: each action is drawn from those that are possible next', '', '  '),
    '',
    ...actionColumns(actions),
    '',
    ...splitTable(head, rows, { numeric: true }),
  ];
}

/** Name and count, several to a line. */
function actionColumns(actions: Readonly<Record<string, number>>): string[] {
  const entries = Object.entries(actions);
  const name = Math.max(...entries.map(([key]) => key.length));
  const count = Math.max(...entries.map(([, n]) => grouped(n).length));
  const cells = entries.map(([key, n]) => `${key.padEnd(name)} ${grouped(n).padStart(count)}`);
  const perLine = Math.max(1, Math.floor((textWidth() + 3) / (name + 1 + count + 3)));
  const lines: string[] = [];
  for (let i = 0; i < cells.length; i += perLine) {
    lines.push(cells.slice(i, i + perLine).join('   '));
  }
  return lines;
}

/** What is not expected of the guest's kernel. */
function kernelLines({ byKernel }: Campaign, colours: Colours): string[] {
  const { version, list, own, unknown, missing } = byKernel;
  const rows = [
    ...unknown.map(({ property }) => [property, `breaks it; not known of Linux ${list.version}`]),
    ...missing.map(({ property, why }) => [property, `no longer breaks it: ${why}`]),
  ];
  const head = own
    ? []
    : wrap(
        `Linux ${version} has no list of its own of what a kernel breaks by itself: it is ` +
          `compared with that of ${list.version}.`,
        '',
        '  ',
      );
  if (rows.length === 0) return head.length === 0 ? [] : [...head, ''];
  const table = tableLines([`Linux ${version} by itself`, ''], rows);
  return [...head, ...table.map((line, i) => (i === 0 ? colours.bold(line) : line)), ''];
}

/** How much was run before the end came. */
function interruptedLines({ report, policies, runsAsked }: Campaign, colours: Colours): string[] {
  const begun = new Set(report.results.flatMap(({ policy, runs }) => (runs > 0 ? [policy] : [])));
  const rest = policies.filter((policy) => !begun.has(policy));
  const wanted = plural(policies.length * runsAsked, 'run');
  const text = `cut short after ${grouped(report.runs)} of ${wanted}`;
  return wrap(
    rest.length === 0 ? text : `${text}; not run at all: ${rest.join(', ')}`,
    '',
    '  ',
  ).map((line) => colours.yellow(line));
}

/** Each verdict that is not the expected one, and what is new of the kernel. */
function unexpectedLines(campaign: Campaign, colours: Colours): string[] {
  const unexpected = unexpectedOf(campaign.report);
  const lines: string[] = [];
  if (unexpected.length > 0) {
    const rows = unexpected.map(({ policy, property, verdict, expected, reason }) => [
      policy,
      property,
      `${verdict}, expected: ${expected}${expected === 'fails' ? ` (${ascii(reason)})` : ''}`,
    ]);
    lines.push(...tableLines(['policy', 'property', 'verdict'], rows), '');
    lines.push(...declareLines(unexpected));
    if (unexpected.some(({ expected }) => expected === 'fails')) {
      const text = 'A known failure that was not met may need more --runs, or other machines.';
      lines.push(...wrap(text, '', ''), '');
    }
  }
  return [...lines, ...kernelLines(campaign, colours)];
}

/** How many verdicts there are, and how many are not expected. */
function countLine(campaign: Campaign, colours: Colours): string {
  const { results } = campaign.report;
  const all = lossesIn(campaign).length;
  const count = `${plural(results.length, 'verdict')}, ${grouped(all)} unexpected`;
  return all === 0 ? colours.green(count) : colours.red(count);
}
