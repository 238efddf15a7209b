/** The report of a campaign as text: the matrix, what was run, and every counterexample. */
import { declareLines } from './declare.js';
import type { KernelVerdict } from './kernel_verdict.js';
import type { DriverKind } from '../../guest/perf/lbr_driver.js';
import type { CpuModel } from '../../hw/cpu_models.js';
import type { KernelInfo } from '../../tree/binary.js';
import { type Recording, summarize } from '../../recording/recording.js';
import { printable } from '../../recording/trace_error.js';
import type { Shape } from '../../machine/config.js';
import type { Counterexample, Report, Result, Verdict } from '../../campaign/campaign.js';
import { REACH_NAMES } from '../../judge/properties.js';
import { RecordedWindows, WINDOW_STEPS } from '../../schedule/recorded.js';
import { caseOf, withDriver } from '../../campaign/replay_file.js';
import { encodeToken } from '../../schedule/token.js';
import type { Colours } from '../../console/colours.js';
import { exitCodeOf } from '../../console/exit_codes.js';
import { guestText } from '../../tell/source_text.js';
import { nameMsrs } from '../../tell/msr_name.js';
import { policyWords } from '../../console/policy_files.js';
import { splitTable, tableLines } from '../../console/table.js';
import {
  ascii,
  compact,
  grouped,
  NOT_APPLICABLE,
  plural,
  WIDTH,
  wrap,
} from '../../console/text.js';
import { timeline } from '../../tell/timeline.js';

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
  readonly recordings: readonly Recording[];
  /** The runs for each policy that were asked for; a recording may take more. */
  readonly runsAsked: number;
  readonly elapsed_s: number;
  readonly report: Report;
  readonly byKernel: KernelVerdict;
}

/**
 * Verdicts that are not the expected ones. After an interruption, what has not failed says nothing:
 * it may do so yet.
 */
export function unexpectedOf({ results, interrupted }: Report): Result[] {
  return results.filter(
    ({ verdict, expected }) => verdict !== expected && (verdict === 'fails' || !interrupted),
  );
}

/** Everything that is not as expected: verdicts, and what the guest's kernel breaks by itself. */
export function unexpectedIn({ report, byKernel }: Pick<Campaign, 'report' | 'byKernel'>): number {
  return unexpectedOf(report).length + byKernel.unknown.length + byKernel.missing.length;
}

/** What a campaign ends with. */
export function exitCodeFor(campaign: Pick<Campaign, 'report' | 'byKernel'>): number {
  const { report, byKernel } = campaign;
  const failing = unexpectedOf(report).some(({ verdict }) => verdict === 'fails');
  return exitCodeOf({
    lost: failing || byKernel.unknown.length > 0,
    cutShort: report.interrupted,
    notShown: unexpectedIn(campaign) > 0,
  });
}

/** Verdicts as a matrix shows them. */
export const VERDICT_WORDS: Readonly<Record<Verdict, string>> = {
  holds: 'holds',
  fails: 'FAILS',
  vacuous: 'vacuous',
  'not applicable': NOT_APPLICABLE,
};

const RANDOM_SAYS =
  'random: a verdict is of the schedules that were run; vlbr explore looks at every schedule of ' +
  'a small machine';

const MINIMAL_SAYS =
  'minimal: exploration of one pCPU with 2 VMs of 1 vCPU, and with 1 VM of 2, found no schedule ' +
  'of fewer actions';

/** The whole report, as lines. */
export function verifyText(campaign: Campaign, colours: Colours): string[] {
  const { report } = campaign;
  return [
    ...headLines(campaign, colours),
    '',
    ...matrixLines(report, colours),
    '',
    ...legendLines(report),
    '',
    ...workLines(campaign),
    ...report.results.flatMap((_, i) => failureLines(campaign, i, colours)),
    ...findingLines(campaign, colours),
    '',
    ...closingLines(campaign, colours),
  ];
}

function headLines(campaign: Campaign, colours: Colours): string[] {
  const { model, kernel, source, seed, recordings, shapes } = campaign;
  const cpu = `${model.name} (${model.lbr_nr} records)`;
  const what = `${cpu}, ${guestText(kernel, source)}, seed ${seed}`;
  const machines =
    recordings.length > 0
      ? [...recordings.flatMap(scheduleLines), ...windowLines(campaign)]
      : shapeLines(shapes);
  return [colours.bold(`vlbr verify: ${what}`), ...machines];
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

/** Properties as rows, policies as columns; `!` marks what is not expected. */
function matrixLines(report: Report, colours: Colours): string[] {
  const { results } = report;
  const unexpected = new Set(unexpectedOf(report));
  const policies = [...new Set(results.map(({ policy }) => policy))];
  const properties = [...new Set(results.map(({ property }) => property))];
  const rows = properties.map((property) => [
    property,
    ...policies.map((policy) => {
      const result = results.find((r) => r.policy === policy && r.property === property);
      return result === undefined ? '' : cell(result, unexpected.has(result), colours);
    }),
  ]);
  return splitTable(['', ...policies], rows);
}

function cell({ verdict, runs }: Result, isUnexpected: boolean, colours: Colours): string {
  const word = verdict === 'vacuous' && runs === 0 ? 'not run' : VERDICT_WORDS[verdict];
  if (isUnexpected) return colours.red(colours.bold(`${word}!`));
  switch (verdict) {
    case 'holds':
      return colours.green(word);
    case 'fails':
      return colours.yellow(word);
    default:
      return colours.dim(word);
  }
}

/** Why some cells are as they are. */
function legendLines(report: Report): string[] {
  const { results } = report;
  const lines: string[] = [];
  if (unexpectedOf(report).length > 0) lines.push('! not the expected verdict');
  if (results.some(({ verdict, runs }) => verdict === 'vacuous' && runs > 0)) {
    lines.push('vacuous: holds, but the situation in which it could fail never came up');
  }
  lines.push(...wrap(RANDOM_SAYS, '', '  '));
  const labels = new Set(results.map(({ counterexample }) => counterexample?.label));
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

/** How much was run, which actions, and how often each risk was met. */
function workLines({ report, elapsed_s }: Campaign): string[] {
  const { runs, steps, actions, results } = report;
  const mean = runs === 0 ? 0 : steps / runs;
  const total = `${plural(runs, 'run')}, ${plural(steps, 'action')}`;
  const lines = [
    `random: ${total} (mean ${mean.toFixed(1)} a run); ${elapsed_s.toFixed(1)} s in all`,
    '0 % skipped: each action is drawn from those that are possible next',
    '',
    ...actionColumns(actions),
  ];
  const policies = [...new Map(results.map(({ policy, reach }) => [policy, reach]))];
  const rows = REACH_NAMES.map((name) => [
    name,
    ...policies.map(([, reach]) => compact(reach[name] ?? 0)),
  ]);
  const head = ['risky situations met', ...policies.map(([policy]) => policy)];
  return [...lines, '', ...splitTable(head, rows, { numeric: true })];
}

/** Name and count, several to a line. */
function actionColumns(actions: Readonly<Record<string, number>>): string[] {
  const entries = Object.entries(actions);
  const name = Math.max(...entries.map(([key]) => key.length));
  const count = Math.max(...entries.map(([, n]) => grouped(n).length));
  const cells = entries.map(([key, n]) => `${key.padEnd(name)} ${grouped(n).padStart(count)}`);
  const perLine = Math.max(1, Math.floor((WIDTH + 3) / (name + 1 + count + 3)));
  const lines: string[] = [];
  for (let i = 0; i < cells.length; i += perLine) {
    lines.push(cells.slice(i, i + perLine).join('   '));
  }
  return lines;
}

/** The i-th result's counterexample, if it has one. */
function failureLines(campaign: Campaign, i: number, colours: Colours): string[] {
  const { report, model } = campaign;
  const { policy, property, verdict, expected, reason, counterexample } = report.results[i];
  if (counterexample === null) return [];
  const known = verdict === expected ? `known: ${ascii(reason)}` : 'not expected';
  const twin = report.results
    .slice(0, i)
    .find((r) => r.policy === policy && sameSchedule(r.counterexample, counterexample));
  const body =
    twin === undefined
      ? timelineLines(campaign, counterexample)
      : [
          `  the schedule of ${twin.property} above`,
          ...wrap(ascii(nameMsrs(model, counterexample.text)), '      => ', '         '),
          replayLine(campaign, counterexample),
        ];
  const { label, actions } = counterexample;
  const title = `${policy} breaks ${property}: ${plural(actions.length, 'action')} (${label})`;
  return ['', colours.bold(title), ...wrap(known, '  ', '    '), ...body];
}

function sameSchedule(a: Counterexample | null, b: Counterexample): boolean {
  return a !== null && scheduleText(a) === scheduleText(b);
}

function scheduleText({ shape, actions }: Counterexample): string {
  return JSON.stringify([shape, actions]);
}

function timelineLines(campaign: Campaign, counterexample: Counterexample): string[] {
  const { lines } = timeline(withDriver(caseOf(counterexample), campaign.driver));
  return [...lines, replayLine(campaign, counterexample)];
}

/** One word, however long, on a line of its own: it is there to be copied. */
function replayLine({ driverWords }: Campaign, counterexample: Counterexample): string {
  const words = [...driverWords, ...policyWords(counterexample.policy)];
  return `  ${['vlbr replay', encodeToken(counterexample), ...words].join(' ')}`;
}

/** What the guest's kernel breaks by itself counts against no policy. */
function findingLines(campaign: Campaign, colours: Colours): string[] {
  const { kernelFindings } = campaign.report;
  // What is not known is told first.
  const ordered = [true, false].flatMap((unknown) =>
    kernelFindings.filter(({ known }) => (known === null) === unknown),
  );
  return ordered.flatMap(({ property, known, counterexample }) => [
    '',
    colours.bold(`the guest's kernel breaks ${property}`),
    '  by itself, as it would on a pCPU of its own: counts against no policy',
    ...wrap(
      known === null ? `not known of Linux ${campaign.byKernel.list.version}` : `known: ${known}`,
      '  ',
      '    ',
    ),
    ...timelineLines(campaign, counterexample),
  ]);
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
  const table = tableLines([`Linux ${version} by itself`, ''], rows, { wrapLast: true });
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

function closingLines(campaign: Campaign, colours: Colours): string[] {
  const { report } = campaign;
  const { results, interrupted } = report;
  const unexpected = unexpectedOf(report);
  const lines: string[] = [];
  if (interrupted) lines.push(...interruptedLines(campaign, colours));
  if (unexpected.length > 0) {
    const rows = unexpected.map(({ policy, property, verdict, expected, reason }) => [
      policy,
      property,
      `${verdict}, expected: ${expected}${expected === 'fails' ? ` (${ascii(reason)})` : ''}`,
    ]);
    lines.push(...tableLines(['policy', 'property', 'verdict'], rows, { wrapLast: true }), '');
    lines.push(...declareLines(unexpected));
    if (unexpected.some(({ expected }) => expected === 'fails')) {
      lines.push('A known failure that was not met may need more --runs, or other machines.', '');
    }
  }
  lines.push(...kernelLines(campaign, colours));
  const all = unexpectedIn(campaign);
  const count = `${plural(results.length, 'verdict')}, ${grouped(all)} unexpected`;
  lines.push(all === 0 ? colours.green(count) : colours.red(count));
  return lines;
}
