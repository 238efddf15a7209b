/** What `vlbr explain` can tell: each name, what kind of thing it is, and its text. */
import { EXIT_MEANINGS } from '../../console/exit_codes.js';
import { ascii, wrap } from '../../console/text.js';
import { breakerOf, tokenOf } from '../../campaign/replay_file.js';
import { ALL_POLICIES } from '../../host/policy/index.js';
import { kvm } from '../../host/policy/kvm.js';
import type { LbrPolicy } from '../../host/policy/policy.js';
import { neverAsked } from '../../judge/declared.js';
import { PROPERTIES, type Property, REACH_NAMES, type ReachName } from '../../judge/properties.js';
import { type ActionName, ACTION_NAMES, ACTIONS } from '../../schedule/table.js';
import { becauseLines } from '../../tell/because.js';
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
  /** The whole text, made when it is asked for. */
  lines(): string[];
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

/** A paragraph with a name before it; nothing where there is no text. */
function said(name: string, text: string): string[] {
  return text === '' ? [] : wrap(ascii(text), `${name}: `, '  ');
}

function propertyEntry({ name, statement, of, reach }: Property): Entry {
  const lines = (): string[] => {
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
  return { name, kind: 'properties', summary: statement, lines };
}

function situationEntry(name: ReachName): Entry {
  const summary = SITUATION_SAYS[name];
  const lines = (): string[] => {
    const names = PROPERTIES.filter(({ reach }) => reach === name).map((one) => one.name);
    return [
      ...said('is', summary),
      ...said('without it nothing is known of', names.join(', ')),
      ...(names.length > 0 ? [] : said('counted', 'to show that runs meet it')),
    ];
  };
  return { name, kind: 'risky situations', summary, lines };
}

function policyEntry(policy: LbrPolicy): Entry {
  const { name, summary, cites, assumes, pv, knownFailures } = policy;
  const lines = (): string[] => {
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
  return { name, kind: 'policies', summary, lines };
}

function actionEntry(name: ActionName): Entry {
  const { actor, params, says, needsImage, needsKvm } = ACTIONS[name];
  const lines = (): string[] => {
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
  return { name, kind: 'actions', summary: says, lines };
}

function exitEntry(code: string, says: string): Entry {
  return { name: code, kind: 'exit codes', summary: says, lines: () => said('says', says) };
}

function scheduleEntry(kept: KeptSchedule): Entry {
  const { number, title } = kept;
  const summary = title.replaceAll('-', ' ');
  return { name: number, kind: 'schedules', summary, lines: () => storyOf(kept) };
}

/** What happens in a kept schedule, action by action, and why it ends as it does. */
function storyOf({ says, hazard, replay }: KeptSchedule): string[] {
  const { config, property } = replay;
  const breaker = breakerOf(replay);
  const ends = {
    policy: `policy ${config.policy.name} breaks ${property}`,
    kernel: `the guest's kernel breaks ${property} by itself, under policy ${config.policy.name}`,
    nobody: `policy ${config.policy.name} keeps ${property}`,
  }[breaker];
  const row = hazard === null ? '' : `; hazard ${hazard} of docs/FINDINGS.md`;
  const { because, text } = timeline(replay);
  return [
    ...said('shows', says),
    ...said('ends', `${ends} (${config.model.name}, Linux ${config.kernel})${row}`),
    '',
    ...actionLines(replay),
    ...(text === '' ? [] : wrap(`=> ${text}`, '      ', '         ')),
    ...(because === null ? [] : becauseLines(because, '      ')),
    '',
    'each MSR access of it:',
    `  vlbr replay ${tokenOf(replay)}`,
  ];
}
