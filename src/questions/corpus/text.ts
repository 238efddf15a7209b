/** The report of `vlbr corpus` as text. */
import type { Defect } from './corpus_file.js';
import { isCaught, type Judged, trialName } from './trial.js';
import type { KernelInfo } from '../../tree/binary.js';
import { encodeToken } from '../../schedule/token.js';
import { actionText } from '../../schedule/action_text.js';
import { actionLine } from '../../tell/action_line.js';
import { findCpuModel } from '../../hw/cpu_models.js';
import type { Colours } from '../../console/colours.js';
import { nameMsrs } from '../../tell/msr_name.js';
import { tableLines } from '../../console/table.js';
import { ascii, grouped, plural, wrap } from '../../console/text.js';
import { sourceText } from '../../tell/source_text.js';

export interface CorpusReport {
  /** The requested defects, in the order of the corpus. */
  readonly defects: readonly Defect[];
  readonly seed: number;
  /** Most runs for each trial. */
  readonly runs: number;
  /** The lbr.c to which patches were applied; null if there was none. */
  readonly kernel: KernelInfo | null;
  /** Why there was no lbr.c. */
  readonly kernelProblem: string;
  readonly judged: readonly Judged[];
  /** Trials that were not made, for want of an lbr.c or after a Ctrl-C. */
  readonly notTried: readonly string[];
  readonly interrupted: boolean;
  readonly elapsed_s: number;
}

/** Trials in which the suite did not find the defect. */
export function survivorsOf({ judged }: Pick<CorpusReport, 'judged'>): readonly Judged[] {
  return judged.filter((one) => !isCaught(one));
}

/** Defects outside the model, for which there is no trial. */
export function outsideOf({ defects }: Pick<CorpusReport, 'defects'>): readonly Defect[] {
  return defects.filter(({ kind }) => kind === 'outside');
}

const INDENT = '      ';

export function corpusText(report: CorpusReport, colours: Colours): string[] {
  return [
    ...headLines(report, colours),
    ...tableOf(report, colours),
    ...outsideLines(report, colours),
    ...report.judged.flatMap((judged, i, all) => scheduleLines(judged, all.slice(0, i), colours)),
    '',
    ...closingLines(report, colours),
  ];
}

function headLines(report: CorpusReport, colours: Colours): string[] {
  const { defects, seed, runs, kernel, kernelProblem, elapsed_s } = report;
  const most = `up to ${plural(runs, 'run')} for each`;
  const outside = outsideOf(report).length;
  const reach = outside === 0 ? '' : `, ${defects.length - outside} within the model's reach`;
  const what = `${plural(defects.length, 'real defect')}${reach}`;
  const title = `vlbr corpus: ${what}; seed ${seed}; ${most}`;
  const c =
    kernel === null ? `patches of lbr.c not tried: ${kernelProblem}` : `C: ${sourceText(kernel)}`;
  return [
    ...wrap(title, '', '  ').map(colours.bold),
    ...(kernel === null && kernelProblem === '' ? [] : wrap(c, '', '  ')),
    `${elapsed_s.toFixed(1)} s`,
  ];
}

function tableOf({ judged }: CorpusReport, colours: Colours): string[] {
  if (judged.length === 0) return [];
  const rows = judged.map((one) => {
    const { trial, report, elapsed_s } = one;
    const { outcome, runs, steps } = report;
    const word = verdictWord(one);
    const actions =
      outcome.verdict === 'killed'
        ? outcome.kill.schedule.length
        : outcome.verdict === 'oops'
          ? outcome.crash.actions.length
          : null;
    return [
      trialName(trial),
      trial.defect.component,
      isCaught(one) ? word : colours.red(word),
      grouped(runs),
      grouped(steps),
      elapsed_s.toFixed(1),
      actions === null ? '' : String(actions),
    ];
  });
  const head = ['defect', 'component', 'killed by', 'runs', 'steps', 's', 'actions'];
  return ['', ...tableLines(head, rows)];
}

/** The entry of the column that says how the defect was found. */
function verdictWord(one: Judged): string {
  const { trial, report } = one;
  const { outcome } = report;
  if (outcome.verdict === 'survived') return 'SURVIVED';
  if (outcome.verdict === 'killed') {
    const { property } = outcome.kill;
    return trial.defect.kind === 'present' ? `${property} (there anyway)` : property;
  }
  return isCaught(one) ? 'no-fault (oops)' : 'OOPS';
}

function outsideLines(report: CorpusReport, colours: Colours): string[] {
  const outside = outsideOf(report);
  if (outside.length === 0) return [];
  const lines = outside.flatMap(({ id, component, reason, fidelity }) => {
    const rows = fidelity.length === 0 ? '' : ` (docs/FIDELITY.md: ${fidelity.join(', ')})`;
    return wrap(`${component}: ${ascii(reason)}${rows}`, `  ${id}  `, INDENT);
  });
  return ['', colours.bold("out of the model's reach"), ...lines];
}

/** The actions of a kill, in the words of `vlbr verify`. Runs the schedule again on the mutant. */
export function killLines({ report: { outcome } }: Judged): string[] {
  if (outcome.verdict === 'survived') return [];
  if (outcome.verdict === 'oops') return outcome.crash.actions.map((action) => actionText(action));
  const { bench, schedule } = outcome.kill;
  bench.boot();
  return schedule.actions().map((action, i) => {
    const line = actionLine(bench.machine, action);
    bench.step(schedule, i);
    return line;
  });
}

function scheduleLines(judged: Judged, before: readonly Judged[], colours: Colours): string[] {
  const { trial, report } = judged;
  const { defect, suspect } = trial;
  const title = `${trialName(trial)}: ${defect.subject} (${defect.commit})`;
  const twin = before.find((other) => sameKill(other, judged));
  const head = ['', ...wrap(title, '', '  ').map(colours.bold)];
  if (twin !== undefined) return [...head, `  the schedule of ${trialName(twin.trial)} above`];
  head.push(...wrap(placeText(judged), '  ', '  '));
  if (defect.reason !== '') head.push(...wrap(ascii(defect.reason), '  ', '  '));
  if (report.outcome.verdict === 'survived') {
    const none = `no schedule was found that breaks ${suspect.properties.join(' or ')} on it alone`;
    return [...head, ...wrap(none, '  ', '    ')];
  }
  const actions = killLines(judged).flatMap((line, i) => {
    const number = `#${i + 1}`.padEnd(INDENT.length - 2);
    return wrap(ascii(line), `  ${number}`, INDENT);
  });
  const what = wrap(brokenText(judged), `${INDENT}=> `, `${INDENT}   `);
  return [...head, ...actions, ...what, `  ${tokenOf(judged)}`];
}

/** Whether both trials ended in the same way. A patch of the port and one of lbr.c mostly do. */
function sameKill(a: Judged, b: Judged): boolean {
  const token = tokenOf(a);
  return token !== '' && token === tokenOf(b) && brokenText(a) === brokenText(b);
}

/** The failure in one line; empty for a survivor. */
function brokenText({ trial, report: { outcome } }: Judged): string {
  if (outcome.verdict === 'survived') return '';
  if (outcome.verdict === 'oops') return ascii(`oops: ${outcome.crash.error}`);
  const { property, counterexample } = outcome.kill;
  const model = findCpuModel(trial.suspect.cpu);
  const { text } = counterexample;
  return ascii(`breaks ${property}: ${model === undefined ? text : nameMsrs(model, text)}`);
}

/** The replay token; empty for a survivor. */
export function tokenOf({ report: { outcome } }: Judged): string {
  if (outcome.verdict === 'killed') return encodeToken(outcome.kill.counterexample);
  return outcome.verdict === 'oops' ? encodeToken(outcome.crash) : '';
}

function placeText({ trial, report: { outcome } }: Judged): string {
  const { policy, cpu, kernel, contrast } = trial.suspect;
  const by = outcome.verdict === 'killed' && outcome.kill.by === 'kernel';
  const who = by ? "; the guest's kernel breaks it by itself" : '';
  const other = contrast === undefined ? '' : `, and not on ${contrast}`;
  return `under ${policy} on ${cpu}${other}, Linux ${kernel}${who}`;
}

function closingLines(report: CorpusReport, colours: Colours): string[] {
  const { judged, notTried, interrupted } = report;
  const survivors = survivorsOf(report);
  const lines: string[] = [];
  if (interrupted) {
    lines.push(colours.yellow('interrupted: these are the verdicts of the runs until then'));
  }
  if (notTried.length > 0) lines.push(...wrap(`not tried: ${notTried.join(', ')}`, '', '  '));
  if (judged.some(({ trial }) => trial.patch !== null)) {
    const how =
      'The unmodified model keeps the property on the schedule of each patch. To see it broken: ' +
      'git apply test/corpus/NAME.patch, npm run build, and vlbr replay with the word below it.';
    lines.push(...wrap(how, '', ''), '');
  }
  const names = survivors.map(({ trial }) => trialName(trial)).join(', ');
  const outside = outsideOf(report).length;
  const parts = [
    `killed: ${countText(report)}`,
    ...(survivors.length === 0 ? [] : [`not: ${names}`]),
    ...(outside === 0 ? [] : [`out of reach: ${outside}`]),
  ];
  const paint = survivors.length === 0 ? colours.green : colours.red;
  return [...lines, ...wrap(parts.join('; '), '', '  ').map((line) => paint(line))];
}

/** A defect may have several trials, for the port and for lbr.c. All must find it. */
function countText({ defects, judged }: CorpusReport): string {
  const missed = survivorsOf({ judged });
  const killed = defectCount(judged) - defectCount(missed);
  const trials = `${judged.length - missed.length} of ${plural(judged.length, 'trial')}`;
  const of = `${killed} of ${plural(defects.length, 'defect')}`;
  return `${of}, each by a property that it names (${trials})`;
}

function defectCount(judged: readonly Judged[]): number {
  return new Set(judged.map(({ trial }) => trial.defect.id)).size;
}
