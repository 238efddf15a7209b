/** The report of an exploration as text: what was bounded, how far it came, and what it found. */
import type { Bounds } from '../../schedule/explored.js';
import type { Explored, ExploreResult, ExploreVerdict, Liveness } from '../../states/explore.js';
import { collisionOdds } from '../../search/visited.js';
import type { DriverKind } from '../../guest/perf/lbr_driver.js';
import { findPolicy } from '../../host/policy/index.js';
import { assert, unreachable } from '../../hw/assert.js';
import { type CpuModel, siliconOf } from '../../hw/cpu_models.js';
import type { KernelInfo } from '../../tree/binary.js';
import type { KernelVersion } from '../../guest/perf/kernel.js';
import { Schedule } from '../../schedule/schedule.js';
import type { Shape } from '../../machine/config.js';
import type { Counterexample } from '../../campaign/campaign.js';
import { caseOf, withDriver } from '../../campaign/replay_file.js';
import { encodeToken } from '../../schedule/token.js';
import { Bench } from '../../campaign/trial.js';
import { actionLine } from '../../tell/action_line.js';
import type { Colours } from '../../console/colours.js';
import { nameMsrs } from '../../tell/msr_name.js';
import { policyWords } from '../../console/policy_files.js';
import { splitTable } from '../../console/table.js';
import { ascii, grouped, NOT_APPLICABLE, plural, wrap } from '../../console/text.js';
import { timeline } from '../../tell/timeline.js';
import { guestText } from '../../tell/source_text.js';

/** What a worker finds about one policy. */
export interface TimedExploration {
  readonly explored: Explored;
  /** Of the search; what was found is run again after it. */
  readonly seconds: number;
}

/** What was asked for, and what came of it. */
export interface Exploration {
  readonly model: CpuModel;
  readonly kernel: KernelVersion;
  readonly driver: DriverKind;
  /** Where the driver's C file comes from; null for the port. */
  readonly source: KernelInfo | null;
  /** Options that `vlbr replay` needs to run the same driver, as words of a command line. */
  readonly driverWords: readonly string[];
  readonly shape: Shape;
  readonly bounds: Bounds;
  /** Infinity for schedules of any length. */
  readonly maxLength: number;
  readonly memoryMB: number;
  readonly fingerprints: boolean;
  readonly symmetry: boolean;
  /** All that were asked for; those that were not begun when it was interrupted have no result. */
  readonly policies: readonly string[];
  readonly results: readonly TimedExploration[];
  readonly interrupted: boolean;
  readonly elapsed_s: number;
}

/** Whether the model is one of silicon. */
export function isSilicon(model: CpuModel): boolean {
  return siliconOf(model) === model;
}

/** The model's name, whatever depth it has here. */
export function siliconName(model: CpuModel): string {
  return siliconOf(model)?.name ?? model.name;
}

/** Whether every schedule within the bounds was looked at, as one word. */
export function verdictWord({ complete }: Explored): 'complete' | 'truncated' {
  return complete ? 'complete' : 'truncated';
}

/** What is told of a policy, however its schedules were gone through. */
export type Told = Pick<Explored, 'policy' | 'results'>;

/** Failures that the policy does not declare. */
export function unexpectedIn({ results }: Pick<Told, 'results'>): ExploreResult[] {
  return results.filter(({ verdict, known }) => verdict === 'fails' && !known);
}

/** The longest length whose schedules were all looked at; null if none was left out. */
export function coveredLength({ outcome, complete }: Explored): number | null {
  return complete ? null : outcome.covered;
}

/** Whether it went to the end of its bounds: a search may also end as there is no more to ask. */
function saysAll({ outcome: { end } }: Explored): boolean {
  return end === 'exhausted' || end === 'bound';
}

/** What ended a search, in words. */
export function endText({ outcome }: Explored): string {
  switch (outcome.end) {
    case 'exhausted':
      return 'no schedule is left';
    case 'bound':
      return 'no schedule within --bound is left';
    case 'broken':
      return 'everything asked for is broken';
    case 'memory':
      return 'the memory ran out';
    case 'states':
      return 'more states than one search can number';
    case 'interrupted':
      return 'interrupted';
    default:
      return unreachable(outcome.end);
  }
}

/** The whole report, as lines. */
export function exploreText(exploration: Exploration, colours: Colours): string[] {
  const { results } = exploration;
  return [
    ...headLines(exploration, colours),
    '',
    ...tableOf(results, colours),
    ...(results.length === 0 ? [] : ['', ...matrixLines(results, colours)]),
    ...legendLines(results),
    ...results.flatMap(({ explored }) => policyLines(exploration, explored, colours)),
    '',
    ...closingLines(exploration, colours),
  ];
}

/** The machine in words. */
export function machineWords({ shape, model }: Pick<Exploration, 'shape' | 'model'>): string {
  const { vms, vcpus, tasks, pcpus } = shape;
  const vm = `${plural(vms, 'VM')} x ${plural(vcpus, 'vCPU')} x ${plural(tasks, 'task')}`;
  const depth = isSilicon(model) ? '' : ' (no silicon has that depth)';
  const lbr = `${siliconName(model)} with an LBR of ${model.lbr_nr}${depth}`;
  return `${vm} on ${plural(pcpus, 'pCPU')}, ${lbr}`;
}

/** What schedules there are, in words. */
export function boundWords({
  bounds,
  maxLength,
}: Pick<Exploration, 'bounds' | 'maxLength'>): string {
  const { events, calls, suspended, groups } = bounds;
  const length = maxLength === Infinity ? [] : [`at most ${plural(maxLength, 'action')}`];
  return [
    ...length,
    `${plural(events, 'event')} per VM`,
    `calls ${calls} deep`,
    `${plural(suspended, 'kernel function')} suspended at a time`,
    `actions: ${groups.join(', ')}`,
  ].join(', ');
}

function headLines(exploration: Exploration, colours: Colours): string[] {
  const { kernel, source, memoryMB, fingerprints, symmetry } = exploration;
  const guest = guestText(kernel, source);
  const told = fingerprints ? 'told apart by 64 bits each' : 'told apart by all that is in them';
  const same = symmetry ? ', and taken for one if they differ in names only' : '';
  const states = `states: ${told}${same}; up to ${grouped(memoryMB)} MB of them for each policy`;
  return [
    ...wrap(`vlbr explore: ${machineWords(exploration)}`, '', '  ').map(colours.bold),
    ...wrap(guest, '', '  '),
    ...wrap(`bounds: ${boundWords(exploration)}`, '', '  '),
    ...wrap(states, '', '  '),
  ];
}

function tableOf(results: readonly TimedExploration[], colours: Colours): string[] {
  const head = ['', 'search', 'states', 'transitions', 'longest', 's', 'states/s', 'bytes/state'];
  const rows = results.map(({ explored, seconds }) => {
    const { policy, outcome, bytesPerState } = explored;
    const word = verdictWord(explored);
    return [
      policy,
      explored.complete ? colours.green(word) : colours.yellow(word),
      grouped(outcome.states),
      grouped(outcome.transitions),
      grouped(outcome.length),
      seconds.toFixed(1),
      grouped(statesPerSecond({ explored, seconds })),
      grouped(Math.round(bytesPerState)),
    ];
  });
  return splitTable(head, rows, { numeric: true });
}

/** At least a millisecond is taken to have passed. */
export function statesPerSecond({ explored, seconds }: TimedExploration): number {
  return Math.round(explored.outcome.states / Math.max(seconds, 0.001));
}

/** Properties as rows, policies as columns, as in the report of a campaign. */
export function matrixLines(
  results: readonly { readonly explored: Told }[],
  colours: Colours,
): string[] {
  const properties = results[0].explored.results.map(({ property }) => property);
  const rows = properties.map((property, i) => [
    property,
    ...results.map(({ explored }) => cell(explored.results[i], colours)),
  ]);
  return splitTable(['', ...results.map(({ explored }) => explored.policy)], rows);
}

function cell({ verdict, known, counterexample }: ExploreResult, colours: Colours): string {
  switch (verdict) {
    case 'holds':
      return colours.green('holds');
    case 'fails': {
      const word = `FAILS ${counterexample?.actions.length ?? ''}`;
      return known ? colours.yellow(word) : colours.red(colours.bold(`${word}!`));
    }
    case 'unknown':
      return colours.yellow('unknown');
    case 'vacuous':
      return colours.dim('vacuous');
    case 'not applicable':
      return colours.dim(NOT_APPLICABLE);
    default:
      return unreachable(verdict);
  }
}

const LEGEND: readonly (readonly [verdict: ExploreVerdict, says: string])[] = [
  ['fails', 'FAILS n: the shortest schedule that breaks it has n actions'],
  ['holds', 'holds: on every schedule within the bounds'],
  ['unknown', 'unknown: nothing has broken it, but the search was cut short'],
  ['vacuous', 'vacuous: the situation in which it could fail is not within the bounds'],
];

/** What the words of the matrix say, and why properties say nothing. */
export function legendLines(results: readonly { readonly explored: Told }[]): string[] {
  const all = results.flatMap(({ explored }) =>
    explored.results.map((result) => ({ ...result, policy: explored.policy })),
  );
  const lines = LEGEND.filter(([word]) => all.some(({ verdict }) => verdict === word)).flatMap(
    ([, says]) => wrap(says, '', '  '),
  );
  if (results.some(({ explored }) => unexpectedIn(explored).length > 0)) {
    lines.unshift('! not a known failure');
  }
  const reasons = new Map<string, string[]>();
  for (const { verdict, property, policy, reason } of all) {
    if (verdict !== 'not applicable') continue;
    const key = `${property}: ${ascii(reason)}`;
    reasons.set(key, [...(reasons.get(key) ?? []), policy]);
  }
  for (const [reason, policies] of reasons) {
    const whose = policies.length === results.length ? '' : ` (${policies.join(', ')})`;
    lines.push(...wrap(`${NOT_APPLICABLE} ${reason}${whose}`, '', '  '));
  }
  return lines.length === 0 ? [] : ['', ...lines];
}

export function item(text: string): string[] {
  return wrap(ascii(text), '  ', '    ');
}

/** What was found of one policy, in words. */
function policyLines(exploration: Exploration, explored: Explored, colours: Colours): string[] {
  const { policy, results, liveness, neverPossible, outcome } = explored;
  const lines = [
    '',
    colours.bold(`${policy}: ${verdictWord(explored)}: ${endText(explored)}`),
    ...restLines(explored).flatMap(item),
    ...heldLines(exploration, explored).flatMap(item),
  ];
  const silent = results.filter(({ known, verdict }) => known && verdict !== 'fails');
  if (silent.length > 0) {
    const where = explored.complete
      ? 'not within these bounds'
      : 'not found before it was cut short';
    const names = silent.map(({ property }) => property).join(', ');
    lines.push(...item(`${where}, though known to fail: ${names}`));
  }
  if (neverPossible.length > 0) {
    const where = saysAll(explored) ? 'within the bounds' : 'as far as the search went';
    lines.push(...item(`never possible ${where}: ${neverPossible.join(', ')}`));
  }
  if (exploration.fingerprints) {
    const odds = oddsText(collisionOdds(outcome.states));
    lines.push(...item(`that a state was taken for another and missed: odds of ${odds}`));
  }
  lines.push(...livenessLines(exploration, explored, liveness));
  const failures = results.flatMap((_, i) => failureLines(exploration, explored, i, colours));
  return [...lines, ...failures];
}

/** What a search that was cut short has left. */
function restLines(explored: Explored): string[] {
  const covered = coveredLength(explored);
  if (covered === null) return [];
  const { frontier } = explored.outcome;
  const left = `${plural(frontier, 'state')} ${frontier === 1 ? 'was' : 'were'} not expanded`;
  return [`left: ${left}; schedules of at most ${plural(covered, 'action')} were all looked at`];
}

function heldLines(exploration: Exploration, explored: Explored): string[] {
  const held = explored.results.filter(({ verdict }) => verdict === 'holds');
  if (held.length === 0) return [];
  const { maxLength } = exploration;
  const short = maxLength === Infinity ? '' : ` of at most ${plural(maxLength, 'action')}`;
  const bounds = boundWords({ ...exploration, maxLength: Infinity });
  const names = held.map(({ property }) => property).join(', ');
  const where = `holds for every schedule${short} of ${machineWords(exploration)}, ${bounds}`;
  return [`${where}: ${names}`];
}

function oddsText(odds: number): string {
  return odds === 0 ? '0' : `1 in ${(1 / odds).toExponential(1)}, at most`;
}

function livenessLines(
  exploration: Exploration,
  explored: Explored,
  liveness: Liveness | null,
): string[] {
  const asked = explored.results.some(({ property }) => property === 'no-needless-switch');
  if (!asked) return [];
  if (liveness === null) {
    const why = 'what goes on for ever was not judged: that takes every schedule of any length';
    return item(why);
  }
  const { recurs, most, stem, cycle } = liveness;
  const after = 'after a guest has stopped for good';
  if (!recurs) {
    const count = `at most ${plural(most, 'save')} or ${most === 1 ? 'restore' : 'restores'}`;
    return item(`${after}: ${count} on any schedule, for ever`);
  }
  const told = toldActions(exploration, explored.policy, [...stem, ...cycle]);
  return [
    ...item(`${after}, saves or restores recur for ever:`),
    ...told.slice(0, stem.length).flat(),
    `  and then, again and again, ${plural(cycle.length, 'action')}:`,
    ...told.slice(stem.length).flat(),
  ];
}

/** A line or more for each action, numbered, as the actions are performed. */
function toldActions(
  exploration: Exploration,
  policyName: string,
  actions: Liveness['stem'],
): string[][] {
  const { model, kernel, driver, shape } = exploration;
  const policy = findPolicy(policyName);
  assert(policy !== undefined, 'what was explored is a policy');
  const bench = new Bench({ shape, model, kernel, driver, policy });
  const schedule = Schedule.of(actions);
  bench.boot();
  return actions.map((action, i) => {
    const number = `    #${`${i + 1}`.padEnd(3)} `;
    const lines = wrap(ascii(actionLine(bench.machine, action)), number, ' '.repeat(9));
    bench.step(schedule, i);
    return lines;
  });
}

/** With which driver schedules are told, and what `vlbr replay` needs to run it. */
type Telling = Pick<Exploration, 'model' | 'driver' | 'driverWords' | 'fingerprints'>;

/** The i-th property's counterexample, if it has one. */
export function failureLines(
  exploration: Telling,
  { policy, results }: Told,
  i: number,
  colours: Colours,
): string[] {
  const { property, known, reason, counterexample } = results[i];
  if (counterexample === null) return [];
  const { length } = counterexample.actions;
  const shortest = exploration.fingerprints ? 'shortest schedule found' : 'shortest schedule';
  const title = `${policy} breaks ${property}: ${shortest}, ${plural(length, 'action')} (minimal)`;
  const twin = results.slice(0, i).find((r) => sameSchedule(r.counterexample, counterexample));
  return [
    '',
    ...wrap(exploration.fingerprints ? title.replace(' (minimal)', '') : title, '', '  ').map(
      colours.bold,
    ),
    ...wrap(known ? `known: ${ascii(reason)}` : 'not a known failure', '  ', '    '),
    ...(twin === undefined
      ? timelineLines(exploration.driver, counterexample)
      : [
          `  the schedule of ${twin.property} above`,
          ...wrap(
            ascii(nameMsrs(exploration.model, counterexample.text)),
            '      => ',
            '         ',
          ),
        ]),
    replayLine(exploration, counterexample),
  ];
}

/** One word, however long, on a line of its own: it is there to be copied. */
export function replayLine(
  { driverWords }: Pick<Exploration, 'driverWords'>,
  found: Counterexample,
): string {
  const words = [...driverWords, ...policyWords(found.policy)];
  return `  ${['vlbr replay', encodeToken(found), ...words].join(' ')}`;
}

export function timelineLines(driver: DriverKind, found: Counterexample): readonly string[] {
  return timeline(withDriver(caseOf(found), driver)).lines;
}

function sameSchedule(a: Counterexample | null, b: Counterexample): boolean {
  return a !== null && JSON.stringify(a.actions) === JSON.stringify(b.actions);
}

function closingLines(exploration: Exploration, colours: Colours): string[] {
  const { policies, results, interrupted, elapsed_s } = exploration;
  const lines: string[] = [];
  if (interrupted) lines.push(colours.yellow('interrupted: this is what was known until then'));
  const begun = results.map(({ explored }) => explored.policy);
  const missing = policies.filter((policy) => !begun.includes(policy));
  if (missing.length > 0) lines.push(...wrap(`not begun: ${missing.join(', ')}`, '', '  '));
  const cut = results.filter(({ explored }) => !explored.complete).length;
  const complete = `${grouped(results.length - cut)} complete, ${grouped(cut)} truncated`;
  const unexpected = results.reduce((n, { explored }) => n + unexpectedIn(explored).length, 0);
  const counts = `${complete}, ${plural(unexpected, 'unexpected failure')}`;
  const fine = cut === 0 && unexpected === 0 && missing.length === 0;
  const colour = unexpected > 0 ? colours.red : fine ? colours.green : colours.yellow;
  return [...lines, colour(`${counts}; ${elapsed_s.toFixed(1)} s`)];
}
