/** The report of schedules that were run one by one, as text. */
import type { KernelFinding } from '../../campaign/campaign.js';
import type { KernelList } from '../../campaign/kernel_lists.js';
import type { Colours } from '../../console/colours.js';
import { splitTable } from '../../console/table.js';
import { ascii, grouped, plural, wrap } from '../../console/text.js';
import { PROPERTIES, PROPERTY } from '../../judge/properties.js';
import type { Enumerated } from '../../states/enumerate.js';
import { guestText } from '../../tell/source_text.js';
import * as text from './text.js';
import type { Exploration } from './text.js';

/** What a worker finds about one policy. */
export interface TimedEnumeration {
  readonly explored: Enumerated;
  readonly seconds: number;
}

type Common =
  | 'model'
  | 'kernel'
  | 'driver'
  | 'source'
  | 'driverWords'
  | 'shape'
  | 'bounds'
  | 'maxLength'
  | 'policies'
  | 'interrupted'
  | 'elapsed_s';

/** What was asked for, and what came of it. */
export interface ImageExploration extends Pick<Exploration, Common> {
  readonly results: readonly TimedEnumeration[];
  /** What the kernel is known to break by itself, and whether the list is that version's own. */
  readonly list: KernelList;
  readonly ownList: boolean;
}

/** Schedules of any length. */
export function countOf({ schedules }: Pick<Enumerated, 'schedules'>): number {
  return schedules.reduce((sum, n) => sum + n, 0);
}

/** Whether a property is a kernel's, so that its verdict is about what the kernel breaks. */
function isOfKernel({ property }: Pick<KernelFinding, 'property'>): boolean {
  return PROPERTIES[PROPERTY[property]].of === 'kernel';
}

/** Failures of the policy that it does not declare, and of the kernel that are on no list. */
export function unexpectedIn(explored: Pick<Enumerated, 'results' | 'findings'>): number {
  const unknown = explored.findings.filter((one) => one.known === null && !isOfKernel(one));
  return text.unexpectedIn(explored).length + unknown.length;
}

/** The whole report, as lines. */
export function imageText(exploration: ImageExploration, colours: Colours): string[] {
  const { results } = exploration;
  return [
    ...headLines(exploration, colours),
    '',
    ...tableOf(results, colours),
    ...(results.length === 0 ? [] : ['', ...text.matrixLines(results, colours)]),
    ...text.legendLines(results),
    ...results.flatMap(({ explored }) => policyLines(exploration, explored, colours)),
    ...findingLines(exploration, colours),
    '',
    ...closingLines(exploration, colours),
  ];
}

function headLines(exploration: ImageExploration, colours: Colours): string[] {
  const { kernel, source } = exploration;
  const each = 'each schedule is run by itself: no states are kept, and no two are taken for one';
  return [
    ...wrap(`vlbr explore: ${text.machineWords(exploration)}`, '', '  ').map(colours.bold),
    ...wrap(guestText(kernel, source), '', '  '),
    ...wrap(`bounds: ${text.boundWords(exploration)}`, '', '  '),
    ...wrap(each, '', '  '),
  ];
}

function tableOf(results: readonly TimedEnumeration[], colours: Colours): string[] {
  const head = ['', 'search', 'schedules', 'actions performed', 's', 'schedules/s'];
  const rows = results.map(({ explored, seconds }) => {
    const schedules = countOf(explored);
    return [
      explored.policy,
      explored.complete ? colours.green('complete') : colours.yellow('truncated'),
      grouped(schedules),
      grouped(explored.performed),
      seconds.toFixed(1),
      grouped(Math.round(schedules / Math.max(seconds, 0.001))),
    ];
  });
  return splitTable(head, rows, { numeric: true });
}

/** What was found of one policy, in words. */
function policyLines(
  exploration: ImageExploration,
  explored: Enumerated,
  colours: Colours,
): string[] {
  const { policy, complete, covered, schedules, results, neverPossible, findings } = explored;
  const how = complete ? 'complete' : 'truncated';
  const lengths = schedules.map(grouped).join(', ');
  const lines = [
    '',
    colours.bold(`${policy}: ${how} to ${plural(covered, 'action')}`),
    ...text.item(`schedules by their length, from 1 on: ${lengths}`),
  ];
  const held = results.filter(({ verdict }) => verdict === 'holds');
  if (held.length > 0) {
    const bounds = text.boundWords({ ...exploration, maxLength: Infinity });
    const where = `${text.machineWords(exploration)}, ${bounds}`;
    const names = held.map(({ property }) => property).join(', ');
    const length = plural(covered, 'action');
    lines.push(...text.item(`holds for every schedule of at most ${length} of ${where}: ${names}`));
  }
  if (neverPossible.length > 0) {
    lines.push(...text.item(`never possible within the bounds: ${neverPossible.join(', ')}`));
  }
  // What the kernel breaks by itself is told below.
  const own = findings.map(({ counterexample }) => counterexample);
  const failures = results.flatMap(({ counterexample }, i) =>
    counterexample !== null && own.includes(counterexample)
      ? []
      : text.failureLines({ ...exploration, fingerprints: false }, explored, i, colours),
  );
  return [...lines, ...failures];
}

/** What the kernel breaks by itself under any policy, one of each entry: what is unknown first. */
function findingLines(exploration: ImageExploration, colours: Colours): string[] {
  const { results, list, driver } = exploration;
  const shortest = new Map<string, KernelFinding>();
  for (const finding of results.flatMap(({ explored }) => explored.findings)) {
    const key = `${finding.property} ${finding.known}`;
    const other = shortest.get(key)?.counterexample.actions.length ?? Infinity;
    if (finding.counterexample.actions.length < other) shortest.set(key, finding);
  }
  const findings = [...shortest.values()];
  const ordered = [
    ...findings.filter(({ known }) => known === null),
    ...findings.filter(({ known }) => known !== null),
  ];
  return ordered.flatMap(({ property, known, counterexample }) => [
    '',
    ...wrap(
      `the guest's kernel breaks ${property}: shortest schedule, ` +
        `${plural(counterexample.actions.length, 'action')} (minimal)`,
      '',
      '  ',
    ).map(colours.bold),
    ...text.item('by itself, as it would on a pCPU of its own: counts against no policy'),
    ...wrap(
      known === null ? `not known of Linux ${list.version}` : `known: ${ascii(known)}`,
      '  ',
      '    ',
    ),
    ...text.timelineLines(driver, counterexample),
    text.replayLine(exploration, counterexample),
  ]);
}

function closingLines(exploration: ImageExploration, colours: Colours): string[] {
  const { policies, results, interrupted, elapsed_s, list, ownList, source } = exploration;
  const lines: string[] = [];
  if (interrupted) lines.push(colours.yellow('interrupted: this is what was known until then'));
  const begun = results.map(({ explored }) => explored.policy);
  const missing = policies.filter((policy) => !begun.includes(policy));
  if (missing.length > 0) lines.push(...wrap(`not begun: ${missing.join(', ')}`, '', '  '));
  if (!ownList) {
    const what = 'has no list of its own of what a kernel breaks by itself';
    lines.push(
      ...wrap(`Linux ${source?.version} ${what}: that of ${list.version} counts.`, '', '  '),
    );
  }
  const cut = results.filter(({ explored }) => !explored.complete).length;
  const complete = `${grouped(results.length - cut)} complete, ${grouped(cut)} truncated`;
  const unexpected = results.reduce((n, { explored }) => n + unexpectedIn(explored), 0);
  const counts = `${complete}, ${plural(unexpected, 'unexpected failure')}`;
  const fine = cut === 0 && unexpected === 0 && missing.length === 0;
  const colour = unexpected > 0 ? colours.red : fine ? colours.green : colours.yellow;
  return [...lines, colour(`${counts}; ${elapsed_s.toFixed(1)} s`)];
}
