/** The report of `vlbr review` as text. */
import { assert } from '../../hw/assert.js';
import { type CpuModel, findCpuModel } from '../../hw/cpu_models.js';
import { actionText } from '../../schedule/action_text.js';
import { CALL_NAMES } from '../../machine/guest_call.js';
import type { Cost } from './access_log.js';
import { conclusionOf, isCutShort, type Review } from './conclusion.js';
import { eachLines } from './each_text.js';
import type { Finding, PolicyReview } from './comparison.js';
import {
  crashOf,
  crashWord,
  findingsOf,
  isMain,
  shortestParting,
  vacuousOf,
} from './comparison.js';
import type { AccessComparison, Parting } from './parting.js';
import { type NotReached, whyNot } from './reached.js';
import { PROPERTIES } from '../../judge/properties.js';
import { caseOf, withDriver } from '../../campaign/replay_file.js';
import { encodeToken } from '../../schedule/token.js';
import { accessColumns } from '../../tell/access_text.js';
import { isKnown, sinceLines } from '../../console/baseline.js';
import { lossOf } from './losses.js';
import type { Colours } from '../../console/colours.js';
import { tableLines } from '../../console/table.js';
import { ascii, grouped, plural, wrap } from '../../console/text.js';
import { actionLines, timeline } from '../../tell/timeline.js';
import { sourceText } from '../../tell/source_text.js';

export function reviewText(review: Review, colours: Colours): string[] {
  const findings = findingsOf(review.reviews);
  // If no loss is a main finding, the losses of policies that fail on both sides are shown in full.
  const alone = findings.some((finding) => finding.kind === 'lost' && isMain(finding));
  const shown = (finding: Finding): boolean =>
    isMain(finding) || (finding.kind === 'lost' && !alone);
  const main = findings.filter(shown);
  const others = findings.filter((finding) => !shown(finding));
  const told = main.length > 0 ? main : others;
  const news = told.filter((finding) => !isKnownLoss(review, finding));
  return [
    ...headLines(review, colours),
    '',
    ...findingTable(review, main, others, colours),
    ...vacuousLines(review),
    ...crashLines(review, colours),
    ...news.flatMap((finding) => scheduleLines(review, news, finding, colours)),
    '',
    ...accessLines(review, colours),
    '',
    ...costLines(review),
    '',
    ...reachedLines(review),
    ...(review.each === null ? [] : eachLines(review.each)),
    ...closingLines(review, colours),
    ...sinceLines(review.since, colours),
  ];
}

function headLines(review: Review, colours: Colours): string[] {
  const { cpus, seed, runs, before, after, patches, reverse, leftOut, reviews } = review;
  const done = `${plural(runs, 'run')} on each side under ${policiesText(reviews)}`;
  const what = reverse ? 'without' : 'with';
  const sides = reverse ? [after, before] : [before, after];
  return [
    ...wrap(`vlbr review: ${cpus.join(', ')}; seed ${seed}; ${done}`, '', '  ').map(colours.bold),
    ...wrap(`tree: ${sourceText(sides[0].info)}`, '', '  '),
    ...wrap(
      `${what}: ${patches.join(', ')} (sha256 ${sides[1].info.sha256.slice(0, 12)})`,
      '',
      '  ',
    ),
    ...(leftOut.length === 0
      ? []
      : wrap(`not run here, so left out: ${leftOut.join(', ')}`, '', '  ')),
  ];
}

function policiesText(reviews: readonly PolicyReview[]): string {
  const names = [...new Set(reviews.map(({ comparison }) => comparison.policy))];
  return names.length === 1 ? names[0] : `each of ${names.length} policies`;
}

function whoText({ by, policies }: Finding): string {
  return by === 'kernel' ? "the guest's kernel itself" : policies.join(', ');
}

function findingTable(
  review: Review,
  main: readonly Finding[],
  others: readonly Finding[],
  colours: Colours,
): string[] {
  const { cpus, reviews } = review;
  const rows = main.map((finding) => {
    const { kind, property, counterexample } = finding;
    return [
      kind === 'lost' ? colours.red('LOST') : colours.green('gained'),
      property,
      whoText(finding),
      cpus.length > 1 && finding.cpus.length === cpus.length ? 'all' : finding.cpus.join(', '),
      [plural(counterexample.actions.length, 'action'), ...notesOf(review, finding)].join('; '),
    ];
  });
  const table = tableLines(['', 'property', 'broken by', 'CPU', 'schedule'], rows);
  const crashed = reviews.some(({ comparison }) => comparison.crashes.length > 0);
  return [
    ...(main.length > 0 ? table : []),
    ...(main.length + others.length === 0 && !crashed ? [nothingLine(review)] : []),
    ...otherLines(others, 'lost', 'Fails on more schedules, where it failed anyway'),
    ...otherLines(others, 'gained', 'Fails on fewer schedules, but still fails'),
  ];
}

function nothingLine(review: Review): string {
  const what = 'No property is lost or gained';
  return isCutShort(review) ? `${what} until the end came.` : `${what}.`;
}

/** What weakens a finding. */
function notesOf(review: Review, finding: Finding): string[] {
  const { kind, elsewhere, onLinux61 } = finding;
  const other = kind === 'lost' ? 'failed elsewhere before' : 'still fails elsewhere';
  return [
    ...(isKnownLoss(review, finding) ? ['known'] : []),
    ...(elsewhere ? [other] : []),
    ...(onLinux61 ? ['as in Linux 6.1'] : []),
  ];
}

/** Whether a baseline has it, so that its schedule is told there. */
function isKnownLoss({ since }: Review, finding: Finding): boolean {
  return finding.kind === 'lost' && isKnown(since, lossOf(finding));
}

/** Findings under policies that fail the property on both sides, with the schedules' lengths. */
function otherLines(others: readonly Finding[], kind: Finding['kind'], head: string): string[] {
  const mine = others.filter((finding) => finding.kind === kind);
  if (mine.length === 0) return [];
  const properties = [...new Set(mine.map(({ property }) => property))];
  const texts = properties.map((property) => {
    const under = mine
      .filter((finding) => finding.property === property)
      .map((f) => `${f.policies.join(', ')} ${f.counterexample.actions.length}`);
    return `${property} (${under.join(', ')})`;
  });
  return wrap(`${head} (policies, actions): ${texts.join('; ')}`, '', '  ');
}

/**
 * What a report tells besides the schedules of its findings, as blocks of lines: what says nothing
 * any more, crashes, where accesses part, costs, lines that were not reached, and each patch.
 */
export function reviewNotes(review: Review, colours: Colours): string[][] {
  return [
    vacuousLines(review),
    crashLines(review, colours),
    accessLines(review, colours),
    costLines(review),
    reachedLines(review),
    review.each === null ? [] : eachLines(review.each),
  ].filter((lines) => lines.length > 0);
}

function vacuousLines({ reviews }: Review): string[] {
  return vacuousOf(reviews).flatMap(({ property, policies }) =>
    wrap(
      `${property} says nothing any more: its situation does not arise (${policies.join(', ')})`,
      'LOST  ',
      '      ',
    ),
  );
}

/** The crashes of a driver. Nothing else is judged after a crash. */
function crashLines({ reviews, before, after }: Review, colours: Colours): string[] {
  return (['before', 'after'] as const).flatMap((side) => {
    const crash = crashOf(reviews, side);
    if (crash === null) return [];
    const { error, actions } = crash;
    const { path } = side === 'before' ? before : after;
    return [
      '',
      ...wrap(`the kernel ${side} the change ${crashWord(crash)}: ${error}`, '', '  ').map(
        colours.red,
      ),
      ...wrap(
        'so nothing else was judged under the policies and on the CPUs where it did',
        '  ',
        '  ',
      ),
      ...actions.flatMap((action, i) => wrap(actionText(action), `  #${i + 1} `, '      ')),
      `  vlbr replay ${encodeToken(crash)} --kernel-src ${path}`,
    ];
  });
}

/** The timeline of a finding, if its schedule is the shortest for its property. */
function scheduleLines(
  review: Review,
  told: readonly Finding[],
  finding: Finding,
  colours: Colours,
): string[] {
  const { kind, property, counterexample } = finding;
  const alike = told.filter((f) => f.kind === kind && f.property === property);
  const lengths = alike.map((f) => f.counterexample.actions.length);
  if (alike[lengths.indexOf(Math.min(...lengths))] !== finding) return [];
  const side = kind === 'lost' ? review.after : review.before;
  const { lines } = timeline(withDriver(caseOf(counterexample), side.driver));
  const held = kind === 'lost' ? 'held before' : 'holds now';
  const statement = PROPERTIES.find(({ name }) => name === property)?.statement ?? '';
  return [
    '',
    ...wrap(`${headText(finding)}: ${property}, broken by ${whoText(finding)}`, '', '  ').map(
      colours.bold,
    ),
    ...wrap(ascii(statement), '  ', '  '),
    `  On this schedule it ${held}:`,
    ...lines,
    `  vlbr replay ${encodeToken(counterexample)} --kernel-src ${side.path}`,
  ];
}

/** A property that still fails elsewhere is not gained. */
function headText(finding: Finding): string {
  return finding.kind === 'gained' && !isMain(finding) ? 'fails on fewer schedules' : finding.kind;
}

function accessLines(review: Review, colours: Colours): string[] {
  const { reviews } = review;
  const compared = reviews.flatMap(({ accesses }) => accesses ?? []);
  const sum = (of: (a: AccessComparison) => number): number =>
    compared.reduce((n, a) => n + of(a), 0);
  const schedules = sum((a) => a.schedules);
  const total = sum((a) => a.accesses);
  const parting = shortestParting(reviews);
  if (schedules === 0) return ['MSR accesses were not compared.'];
  if (parting === null) {
    const same = `MSR accesses: the same in all of ${grouped(schedules)} schedules`;
    return wrap(`${same} (${grouped(total)} accesses)`, '', '  ').map(colours.bold);
  }
  const parted = sum((a) => a.parted);
  const head = `MSR accesses part in ${grouped(parted)} of ${grouped(schedules)} schedules`;
  const { before, after, at, cpu } = parting;
  const model = modelOf(cpu);
  return [
    colours.bold(head),
    ...wrap(`the shortest is this, ${whereText(parting)}:`, '', '  '),
    ...partingSchedule(review, parting),
    ...accessColumns(
      model,
      { head: 'before', accesses: before },
      { head: 'after', accesses: after },
      at,
    ),
  ];
}

function modelOf(cpu: string): CpuModel {
  const model = findCpuModel(cpu);
  assert(model !== undefined, 'a review names CPUs that there are');
  return model;
}

function whereText({ before, after, at, policy, cpu }: Parting): string {
  const access = before[at] ?? after[at];
  const fn = CALL_NAMES[access.fn];
  const where = access.byHost ? "in the host's perf" : `in ${fn === '' ? 'a call' : `${fn}()`}`;
  return `${cpu}, under ${policy}, ${where} on ${access.byHost ? 'p' : 'v'}${access.cpu}`;
}

/** The actions, of which the last is the one in which accesses part. */
function partingSchedule(review: Review, parting: Parting): string[] {
  return actionLines(withDriver(caseOf(parting), review.before.driver));
}

function costText(before: Cost, after: Cost, of: (cost: Cost) => number): string {
  const [a, b] = [of(before), of(after)].map((n) => n.toFixed(1));
  return a === b ? a : `${a} -> ${b}`;
}

function accessCount({ reads, writes }: Cost): number {
  return reads + writes;
}

/** Accesses and cycles of a kind of switch. */
function costPair(a: Cost, b: Cost): string[] {
  const cycles = costText(a, b, ({ cycles: n }) => Math.round(n)).replaceAll('.0', '');
  return [costText(a, b, accessCount), cycles];
}

/** The policies under which a cost changes. The guest's own cost is the same under all policies. */
function costLines({ reviews }: Review): string[] {
  const all = reviews.flatMap(({ accesses }) => accesses ?? []);
  if (all.length === 0) return ['Costs were not compared.'];
  const tables = [...new Set(all.map(({ cpu }) => cpu))].map((cpu) => costTable(all, cpu));
  const changed = tables.filter((lines) => lines.length > 0);
  return changed.length > 0
    ? changed[0]
    : ['Costs of task switches and of vCPU switches: unchanged.'];
}

/** The rows of one CPU in which a cost changes. */
function costTable(all: readonly AccessComparison[], cpu: string): string[] {
  const compared = all.filter((a) => a.cpu === cpu);
  const rows = compared.map(({ policy, costs }) => {
    const { before, after } = costs;
    return [
      policy,
      ...costPair(before.perTaskSwitch, after.perTaskSwitch),
      ...costPair(before.perVcpuSwitch, after.perVcpuSwitch),
    ];
  });
  const changed = rows.filter((row) => row.some((cell) => cell.includes('->')));
  if (changed.length === 0) return [];
  return [
    ...wrap(
      `Mean cost of a switch on ${cpu}: LBR MSR accesses, and cycles (orders of magnitude, ` +
        'without exits)',
      '',
      '  ',
    ),
    ...tableLines(['policy', 'task switch', 'cycles', 'vCPU switch', 'cycles'], changed, {
      numeric: true,
    }),
  ];
}

/** How many of the changed lines ran, and which did not. */
function reachedLines({ reached }: Review): string[] {
  if (reached === null) return [];
  const { lines, notReached } = reached;
  if (lines === 0) {
    const none = 'No changed line has code of its own, so whether it ran is not known.';
    return [...wrap(none, '', '  '), ''];
  }
  const head = `Changed lines with code: ${lines}, of which ${lines - notReached.length} ran.`;
  const places = [...new Set(notReached.map(placeOf))].map((place) => {
    const numbers = notReached.filter((line) => placeOf(line) === place).map(({ line }) => line);
    return `${place}: ${rangesText(numbers)}`;
  });
  return [
    head,
    ...places.flatMap((place) => wrap(place, '  not reached ', '    ')),
    ...whyNot(notReached).flatMap((why) => wrap(why, '  ', '  ')),
    '',
  ];
}

function placeOf({ side, path, function: name }: NotReached): string {
  return `${side}, ${path}, ${name}()`;
}

/** Numbers in order, as `3-5, 9`. */
function rangesText(numbers: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const n of numbers) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === n - 1) last[1] = n;
    else ranges.push([n, n]);
  }
  return ranges.map(([a, b]) => (a === b ? String(a) : `${a}-${b}`)).join(', ');
}

function closingLines(review: Review, colours: Colours): string[] {
  const { text, good } = conclusionOf(review);
  const paint = good ? colours.green : colours.red;
  return wrap(text, '', '  ').map((line) => paint(line));
}
