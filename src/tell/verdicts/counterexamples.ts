/** The counterexamples of a campaign: their numbers, those that are asked for, their text. */
import type { Counterexample, KernelFinding, Report, Result } from '../../campaign/campaign.js';
import { caseOf, withDriver } from '../../campaign/replay_file.js';
import { unknownName } from '../../console/arguments.js';
import type { Loss } from '../../console/baseline.js';
import type { Colours } from '../../console/colours.js';
import { policyWords } from '../../console/policy_files.js';
import { UsageError } from '../../console/errors.js';
import { ascii, plural, wrap } from '../../console/text.js';
import { encodeToken } from '../../schedule/token.js';
import { nameMsrs } from '../msr_name.js';
import { timeline } from '../timeline.js';
import { lossOfFinding, lossOfResult } from './losses.js';
import type { Campaign } from './text.js';

/** A word of --show that stands for all counterexamples. */
export const SHOW_ALL = 'all';
/** A word of --show that stands for what the guest's kernel breaks by itself. */
const SHOW_KERNEL = 'kernel';

/** A counterexample with its number, from 1: those of policies, then those of the kernel. */
export interface Numbered {
  readonly number: number;
  readonly found: Counterexample;
  /** The verdict that it stands for, or what it shows of the kernel. */
  readonly of: { readonly result: Result } | { readonly finding: KernelFinding };
}

export function numbered({ results, kernelFindings }: Report): Numbered[] {
  const ofPolicies = results.flatMap((result) => {
    const { counterexample } = result;
    return counterexample === null ? [] : [{ found: counterexample, of: { result } }];
  });
  const ofKernel = kernelFindings.map((finding) => ({
    found: finding.counterexample,
    of: { finding },
  }));
  return [...ofPolicies, ...ofKernel].map((one, i) => ({ number: i + 1, ...one }));
}

/** The words of --show, each once. @param given - values of the option; each may be a list. */
export function showWords(given: readonly string[]): string[] {
  return [...new Set(given.flatMap((value) => value.split(',')).map((word) => word.trim()))];
}

/**
 * Refuses words of --show that can't be a counterexample of a campaign, before that runs.
 *
 * @throws UsageError that says what can be.
 */
export function checkShow(
  words: readonly string[],
  policies: readonly string[],
  properties: readonly string[],
): void {
  const cells = policies.flatMap((policy) => [policy, ...properties.map((p) => `${policy}/${p}`)]);
  for (const word of words) {
    if (/^\d+$/.test(word) || word === SHOW_ALL || word === SHOW_KERNEL) continue;
    if (cells.includes(word)) continue;
    const known = [...policies, SHOW_ALL, SHOW_KERNEL, 'N', 'POLICY/PROPERTY'];
    throw unknownName('counterexample', word, word.includes('/') ? cells : known);
  }
}

/**
 * Those that the words of --show ask for, in their order.
 *
 * @throws UsageError for a number that there is not.
 */
export function shown(all: readonly Numbered[], words: readonly string[]): Numbered[] {
  for (const word of words) {
    if (!/^\d+$/.test(word) || all.some(({ number }) => number === Number(word))) continue;
    const there = all.length === 0 ? 'there is none' : `there are 1 to ${all.length}`;
    throw new UsageError(`--show ${word}: ${there}`);
  }
  return all.filter((one) => words.some((word) => asks(word, one)));
}

function asks(word: string, { number, of }: Numbered): boolean {
  if (word === SHOW_ALL || word === String(number)) return true;
  if (!('result' in of)) return word === SHOW_KERNEL;
  const { policy, property } = of.result;
  return word === policy || word === `${policy}/${property}`;
}

/** What a later run knows it by, if it is not expected. */
export function lossOf({ of }: Numbered): Loss {
  return 'result' in of ? lossOfResult(of.result) : lossOfFinding(of.finding);
}

export function isUnexpected({ of }: Numbered): boolean {
  return 'result' in of ? of.result.verdict !== of.result.expected : of.finding.known === null;
}

/** Counterexamples as lines. A schedule that breaks several properties is told once. */
export function counterexampleLines(
  campaign: Campaign,
  told: readonly Numbered[],
  colours: Colours,
): string[] {
  return told.flatMap((one, i) => {
    const twin = told.slice(0, i).find((earlier) => isTwin(earlier, one));
    const body =
      twin === undefined ? timelineLines(campaign, one.found) : twinLines(campaign, one, twin);
    const [title, ...why] = headOf(campaign, one);
    const own = ['', colours.bold(title), ...why, ...body, replayLine(campaign, one.found)];
    return [...own, ...otherCauseLines(campaign, one)];
  });
}

/** The causes of the same failure besides that of its shortest counterexample. */
function otherCauseLines(campaign: Campaign, { of }: Numbered): string[] {
  if (!('result' in of)) return [];
  const { otherCauses } = of.result;
  return otherCauses.flatMap((found, i) => [
    `  cause ${i + 2} of ${otherCauses.length + 1}: ${lengthText(found)}`,
    ...timelineLines(campaign, found),
    replayLine(campaign, found),
  ]);
}

function lengthText({ actions, label }: Counterexample): string {
  return `${plural(actions.length, 'action')} (${label})`;
}

function headOf({ byKernel }: Campaign, { number, found, of }: Numbered): string[] {
  if ('finding' in of) {
    const { property, known } = of.finding;
    return [
      `${number}: the guest's kernel breaks ${property}`,
      ...wrap('by itself, as it would on a pCPU of its own: counts against no policy', '  ', '  '),
      ...wrap(
        known === null ? `not known of Linux ${byKernel.list.version}` : `known: ${ascii(known)}`,
        '  ',
        '    ',
      ),
    ];
  }
  const { policy, property, verdict, expected, reason, otherCauses } = of.result;
  const causes = otherCauses.length === 0 ? '' : `, ${otherCauses.length + 1} causes`;
  const known = verdict === expected ? `known: ${ascii(reason)}` : 'not expected';
  const what = `${policy} breaks ${property}: ${lengthText(found)}${causes}`;
  return [`${number}: ${what}`, ...wrap(known, '  ', '    ')];
}

/** Whether two are the same schedule under one policy. */
function isTwin(a: Numbered, b: Numbered): boolean {
  const text = ({ found: { policy, shape, actions } }: Numbered): string =>
    JSON.stringify([policy, shape, actions]);
  return 'result' in a.of && 'result' in b.of && text(a) === text(b);
}

function twinLines({ model }: Campaign, { found }: Numbered, twin: Numbered): string[] {
  return [
    `  the schedule of ${twin.number} above`,
    ...wrap(ascii(nameMsrs(model, found.text)), '      => ', '         '),
  ];
}

function timelineLines({ driver }: Campaign, found: Counterexample): readonly string[] {
  return timeline(withDriver(caseOf(found), driver)).lines;
}

/** One word, however long, on a line of its own: it is there to be copied. */
function replayLine({ driverWords }: Campaign, found: Counterexample): string {
  const words = [...driverWords, ...policyWords(found.policy)];
  return `  ${['vlbr replay', encodeToken(found), ...words].join(' ')}`;
}
