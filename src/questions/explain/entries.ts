/** What `vlbr explain` can tell: each name, what kind of thing it is, and what there is to say. */
import { EXIT_MEANINGS } from '../../console/exit_codes.js';
import { ascii } from '../../console/text.js';
import { type Breaker, breakerOf, type ReplayCase } from '../../campaign/replay_file.js';
import { ALL_POLICIES } from '../../host/policy/index.js';
import { kvm } from '../../host/policy/kvm.js';
import type { LbrPolicy } from '../../host/policy/policy.js';
import { neverAsked } from '../../judge/declared.js';
import { PROPERTIES, type Property, REACH_NAMES, type ReachName } from '../../judge/properties.js';
import { type ActionName, ACTION_NAMES, ACTIONS } from '../../schedule/table.js';
import type { Because } from '../../tell/because.js';
import { type KeptSchedule, keptSchedules } from '../../tell/kept_schedules.js';
import { actionLines, timeline } from '../../tell/timeline.js';
import { SITUATION_SAYS } from './situations.js';

/** A name that can be explained. */
export interface Entry {
  readonly name: string;
  /** What it is, as a heading of several: `properties`. */
  readonly kind: string;
  /** What it says of itself, in a line of a list. */
  readonly summary: string;
  /** What there is to say, made when it is asked for. */
  facts(): Fact[];
  /** Tells what happens in a schedule that is kept; null for anything else. */
  readonly story: (() => Story) | null;
}

/** A paragraph, and what it is about. */
export interface Fact {
  readonly name: string;
  readonly text: string;
}

/** A schedule that is kept, and what happens in it. */
export interface Story {
  readonly replay: ReplayCase;
  readonly breaker: Breaker;
  /** The machine and the actions in words. */
  readonly lines: readonly string[];
  /** What broke, in a line; empty if nothing did. */
  readonly text: string;
  readonly because: Because | null;
}

const POLICIES: readonly LbrPolicy[] = [...ALL_POLICIES, kvm];

/** All of them, kind by kind. */
export function entries(): Entry[] {
  return [
    ...PROPERTIES.map(propertyEntry),
    ...REACH_NAMES.map(situationEntry),
    ...POLICIES.map(policyEntry),
    ...ACTION_NAMES.map(actionEntry),
    ...Object.entries(EXIT_MEANINGS).map(([code, says]) => exitEntry(code, says)),
    ...keptSchedules().map(scheduleEntry),
  ];
}

/** Nothing where there is no text. */
function said(name: string, text: string): Fact[] {
  return text === '' ? [] : [{ name, text: ascii(text) }];
}

function propertyEntry({ name, statement, of, reach }: Property): Entry {
  const facts = (): Fact[] => {
    const breakers = POLICIES.filter(({ knownFailures }) => name in knownFailures);
    const kept = keptSchedules().filter(({ replay }) => replay.property === name);
    const whose =
      of === 'policy'
        ? 'a policy can break it'
        : "a kernel's: no policy can break it, a kernel's own code can";
    return [
      ...said('says', statement),
      ...said('whose', whose),
      ...said('at risk when', SITUATION_SAYS[reach]),
      ...breakers.flatMap((policy) => said(policy.name, policy.knownFailures[name].why)),
      ...POLICIES.flatMap((policy) =>
        said(`n/a for ${policy.name}`, neverAsked(policy)[name] ?? ''),
      ),
      ...said('schedules', kept.map(({ number }) => number).join(', ')),
    ];
  };
  return { name, kind: 'properties', summary: statement, facts, story: null };
}

function situationEntry(name: ReachName): Entry {
  const summary = SITUATION_SAYS[name];
  const facts = (): Fact[] => {
    const names = PROPERTIES.filter(({ reach }) => reach === name).map((one) => one.name);
    return [
      ...said('is', summary),
      ...said('without it nothing is known of', names.join(', ')),
      ...(names.length > 0 ? [] : said('counted', 'to show that runs meet it')),
    ];
  };
  return { name, kind: 'risky situations', summary, facts, story: null };
}

function policyEntry(policy: LbrPolicy): Entry {
  const { name, summary, cites, assumes, pv, knownFailures } = policy;
  const facts = (): Fact[] => {
    const kept = keptSchedules().filter(({ replay }) => replay.config.policy.name === name);
    return [
      ...said('does', summary),
      ...said('from', cites),
      ...said('assumes', assumes),
      ...said('the guest', pv === 'none' ? '' : 'tells by ACTIVE that it uses LBR call stacks'),
      ...Object.entries(knownFailures).flatMap(([property, { why }]) =>
        said(`breaks ${property}`, why),
      ),
      ...Object.entries(neverAsked(policy)).flatMap(([property, why]) =>
        said(`n/a ${property}`, why),
      ),
      ...said('schedules', kept.map(({ number }) => number).join(', ')),
    ];
  };
  return { name, kind: 'policies', summary, facts, story: null };
}

function actionEntry(name: ActionName): Entry {
  const { actor, params, says, needsImage, needsKvm } = ACTIONS[name];
  const facts = (): Fact[] => {
    const words = params.map((param) => ` ${param.name}=...`).join('');
    const where =
      needsKvm === true
        ? 'only under the KVM of a tree'
        : needsImage === true
          ? 'only where guests run as C code'
          : '';
    return [
      ...said('is', says),
      ...said('written', `${actor === 'vcpu' ? 'v0' : 'p0'}: ${name}${words}`),
      ...params.flatMap(({ name: param, form, implied }) =>
        said(
          param,
          implied === undefined ? form.expects : `${form.expects}; ${implied} by default`,
        ),
      ),
      ...said('where', where),
    ];
  };
  return { name, kind: 'actions', summary: says, facts, story: null };
}

function exitEntry(code: string, says: string): Entry {
  const facts = (): Fact[] => said('says', says);
  return { name: code, kind: 'exit codes', summary: says, facts, story: null };
}

function scheduleEntry(kept: KeptSchedule): Entry {
  const { number, title } = kept;
  const summary = title.replaceAll('-', ' ');
  const story = (): Story => storyOf(kept);
  return { name: number, kind: 'schedules', summary, facts: () => factsOf(kept), story };
}

/** What a kept schedule shows, and how it ends. */
function factsOf({ says, hazard, replay }: KeptSchedule): Fact[] {
  const { config, property } = replay;
  const ends = {
    policy: `policy ${config.policy.name} breaks ${property}`,
    kernel: `the guest's kernel breaks ${property} by itself, under policy ${config.policy.name}`,
    nobody: `policy ${config.policy.name} keeps ${property}`,
  }[breakerOf(replay)];
  const row = hazard === null ? '' : `; hazard ${hazard} of docs/FINDINGS.md`;
  return [
    ...said('shows', says),
    ...said('ends', `${ends} (${config.model.name}, Linux ${config.kernel})${row}`),
  ];
}

function storyOf({ replay }: KeptSchedule): Story {
  const { breaker, text, because } = timeline(replay);
  return { replay, breaker, lines: actionLines(replay), text, because };
}
