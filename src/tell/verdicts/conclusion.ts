/** What a campaign says in a screen: each policy in a line, and the matrix of all verdicts. */
import type { Result } from '../../campaign/campaign.js';
import type { Colours } from '../../console/colours.js';
import { plural, textWidth, wrap } from '../../console/text.js';
import { findPolicy } from '../../host/policy/index.js';
import { POLICY_PROPERTIES, type PropertyName } from '../../judge/properties.js';
import { keptSchedules } from '../kept_schedules.js';
import { numbered, type Numbered } from './counterexamples.js';
import type { Campaign } from './text.js';

/** What a policy may break and still keep every stack: it does more than it has to. */
const COSTS: ReadonlySet<PropertyName> = new Set(['no-needless-switch']);

/** Properties whose breach is told first: what shows records to others, then what loses them. */
const GRAVEST: readonly PropertyName[] = [
  'no-leak/vm',
  'host-intact',
  'no-leak/task',
  'no-loss/callstack',
  'no-loss/any',
];

/** A policy with its verdicts. */
interface Row {
  readonly policy: string;
  readonly results: readonly Result[];
}

function rowsOf({ policies, report }: Campaign): Row[] {
  return policies.map((policy) => ({
    policy,
    results: report.results.filter((result) => result.policy === policy),
  }));
}

/** Whether any run has had a say. */
export function isJudged({ verdict, runs }: Result): boolean {
  return verdict === 'not applicable' || runs > 0;
}

/**
 * A line for each policy, or for several that end alike; wrapped.
 *
 * @param hints - whether it says by which --show a counterexample is told.
 */
export function conclusionLines(campaign: Campaign, colours: Colours, hints: boolean): string[] {
  const rows = rowsOf(campaign);
  const found = hints ? numbered(campaign.report) : [];
  const groups = new Map<Label, string[]>();
  const broken: [label: string, text: string][] = [];
  for (const row of rows) {
    const label = labelOf(campaign, row);
    if (label === null) broken.push([row.policy, brokenText(row, found)]);
    else groups.set(label, [...(groups.get(label) ?? []), named(label, row, found)]);
  }
  const joined = LABELS.flatMap((label) => {
    const names = groups.get(label) ?? [];
    return names.length === 0 ? [] : [[label, names.join(', ')] as const];
  });
  const lines = [...joined, ...broken, ...kernelText(campaign, found)];
  const width = Math.max(0, ...lines.map(([label]) => label.length)) + 2;
  return [
    colours.bold(`Conclusion${campaign.report.interrupted ? ' so far' : ''}`),
    ...lines.flatMap(([label, text]) => wrap(text, label.padEnd(width), ' '.repeat(width))),
  ];
}

/** What a policy can be that breaks nothing which loses or shows a record, the best first. */
const LABELS = [
  'sound',
  'sound, costs',
  'holds',
  'no guest LBR',
  'holds so far',
  'not judged',
] as const;
type Label = (typeof LABELS)[number];

/** Returns null for a policy that breaks more. */
function labelOf({ properties, report }: Campaign, { policy, results }: Row): Label | null {
  const failed = results.filter(({ verdict }) => verdict === 'fails');
  if (failed.some(({ property }) => !COSTS.has(property))) return null;
  const judged = results.filter(isJudged);
  const asked = POLICY_PROPERTIES.filter(({ name }) => properties.includes(name)).length;
  if (judged.length < asked || judged.length === 0) return 'not judged';
  if (findPolicy(policy)?.withoutGuestLbr === true) return 'no guest LBR';
  const vacuous = results.some(({ verdict }) => verdict === 'vacuous');
  if (vacuous || report.interrupted) return 'holds so far';
  if (failed.length > 0) return 'sound, costs';
  return asked < POLICY_PROPERTIES.length ? 'holds' : 'sound';
}

function named(label: Label, row: Row, found: readonly Numbered[]): string {
  return label === 'sound, costs' ? `${row.policy}: ${worstText(row, found)}` : row.policy;
}

function brokenText(row: Row, found: readonly Numbered[]): string {
  const asked = row.results.filter(({ verdict }) => verdict !== 'not applicable');
  const failed = asked.filter(({ verdict }) => verdict === 'fails');
  const unexpected = failed.filter(({ expected }) => expected !== 'fails').length;
  const news = unexpected === 0 ? '' : `, ${unexpected} of them unexpected`;
  return `breaks ${failed.length} of ${asked.length}${news}: ${worstText(row, found)}`;
}

/** Less for a graver breach. */
function rank({ property, expected }: Result): number {
  const at = GRAVEST.indexOf(property);
  return (expected === 'fails' ? 100 : 0) + (at < 0 ? GRAVEST.length : at);
}

/** The gravest breach, and how to see it. What is not expected is the gravest. */
function worstText({ policy, results }: Row, found: readonly Numbered[]): string {
  const [worst] = results
    .filter(({ verdict }) => verdict === 'fails')
    .sort((a, b) => rank(a) - rank(b));
  const { property, counterexample } = worst;
  const one = found.find(({ of }) => 'result' in of && of.result === worst);
  const kept = keptSchedules().find(({ replay }) => {
    const { config, property: shows, whose } = replay;
    return config.policy.name === policy && shows === property && whose === 'policy';
  });
  const length = plural(counterexample?.actions.length ?? 0, 'action');
  const see = [
    ...(one === undefined ? [] : [`--show ${one.number}`]),
    ...(kept === undefined ? [] : [`explain ${kept.number}`]),
  ];
  return `${property} in ${length}${see.length === 0 ? '' : ` (${see.join(', ')})`}`;
}

/** What the guest's kernel breaks by itself. */
function kernelText(
  { byKernel, report }: Campaign,
  found: readonly Numbered[],
): [string, string][] {
  const { kernelFindings } = report;
  if (kernelFindings.length === 0) return [];
  const names = [...new Set(kernelFindings.map(({ property }) => property))].join(', ');
  const unknown = byKernel.unknown.length;
  const see = found.length === 0 ? '' : ' (--show kernel)';
  const known = unknown === 0 ? 'all known' : `${unknown} not known`;
  const text = `breaks ${names} by itself: ${known}, against no policy${see}`;
  return [[`Linux ${byKernel.version}`, text]];
}

const MARKS = { fails: 'x', holds: '.', 'not applicable': '-', vacuous: 'v' } as const;
const NOT_JUDGED = '?';

const SAYS: readonly (readonly [mark: string, says: string])[] = [
  [MARKS.fails, 'fails'],
  [MARKS.holds, 'holds'],
  [MARKS['not applicable'], 'not applicable (--legend says why)'],
  [MARKS.vacuous, 'vacuous: the situation in which it could fail never came up'],
  [NOT_JUDGED, 'not judged: no run'],
  ['!', 'not the expected verdict'],
];

/** Columns of a cell: a space, the mark, and `!` where it is not expected. */
const CELL = 3;

/** Policies as rows and properties as numbered columns, and what the marks mean. */
export function matrixLines(
  campaign: Campaign,
  unexpected: readonly Result[],
  colours: Colours,
): string[] {
  const rows = rowsOf(campaign);
  const properties = [...new Set(campaign.report.results.map(({ property }) => property))];
  const used = new Set<string>();
  const first = Math.max(0, ...rows.map(({ policy }) => policy.length));
  const lines = rows.map(({ policy, results }) => {
    const cells = properties.map((property) => {
      const result = results.find((one) => one.property === property);
      return cellText(result, unexpected, used, colours);
    });
    return `${policy.padEnd(first)}${cells.join('')}`.trimEnd();
  });
  const numbers = properties.map((_, i) => `${i + 1} `.padStart(CELL)).join('');
  const marks = SAYS.filter(([mark]) => used.has(mark)).map(([mark, says]) => `${mark} ${says}`);
  return [
    `${' '.repeat(first)}${numbers}`.trimEnd(),
    ...lines,
    '',
    ...wrapParts(properties.map((property, i) => `${i + 1} ${property}`)),
    ...wrapParts(marks),
  ];
}

function cellText(
  result: Result | undefined,
  unexpected: readonly Result[],
  used: Set<string>,
  colours: Colours,
): string {
  const judged = result !== undefined && isJudged(result);
  const mark = judged ? MARKS[result.verdict] : NOT_JUDGED;
  used.add(mark);
  if (judged && unexpected.includes(result)) {
    used.add('!');
    return ` ${colours.red(colours.bold(`${mark}!`))}`;
  }
  const colour = { x: colours.yellow, '.': colours.green, '-': colours.dim };
  const paint = mark === 'x' || mark === '.' || mark === '-' ? colour[mark] : colours.dim;
  return ` ${paint(mark)} `;
}

/** Parts with two spaces between them, none of which is broken. */
function wrapParts(parts: readonly string[]): string[] {
  const lines: string[] = [];
  for (const part of parts) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 2 + part.length > textWidth()) lines.push(part);
    else lines[lines.length - 1] = `${last}  ${part}`;
  }
  return lines;
}
