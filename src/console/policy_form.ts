/** What a policy of a user's file has to look like, so that a mistake is named before a run. */
import { isObject } from '../campaign/replay_file.js';
import { KERNEL_FEATURES, KERNEL_VERSIONS } from '../guest/perf/kernel.js';
import { PV_SITES } from '../guest/pv/kvm_para.js';
import { HOOK_NAMES, type HookName } from '../host/policy/guarded.js';
import { ALL_POLICIES } from '../host/policy/index.js';
import { kvm } from '../host/policy/kvm.js';
import type { KnownFailure, LbrPolicy, Needs, NoGuestLbrHere } from '../host/policy/policy.js';
import { PROPERTY_NAMES } from '../judge/properties.js';
import { guessOf } from './nearest.js';

/** What is wrong with a value, as what follows its name in a sentence; null if nothing is. */
type Wrong = (value: unknown) => string | null;

/** A field, and whether every policy needs it. */
interface Field {
  readonly needed: boolean;
  readonly wrong: Wrong;
}

type Fields<T> = Readonly<Record<keyof T, Field>>;

const needed = (wrong: Wrong): Field => ({ needed: true, wrong });
const optional = (wrong: Wrong): Field => ({ needed: false, wrong });

/** A name and what is wrong with it; what is wrong with a part of it comes after a colon. */
function said(name: string, wrong: string): string {
  return wrong.startsWith(':') ? `${name}${wrong}` : `${name} ${wrong}`;
}

function must(be: string, is: (value: unknown) => boolean): Wrong {
  return (value) => (is(value) ? null : `must be ${be}`);
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value.trim() !== '';
}

const TEXT = must('a text that says something', isText);
const METHOD = must('a function', (value) => typeof value === 'function');
const FLAG = must('true, or left out', (value) => value === true);
const COUNT = must(
  'a whole number from 0 on',
  (value) => Number.isInteger(value) && Number(value) >= 0,
);

/** @param hint - what to do about a field that is missing, after it. */
function wrongFields<T>(
  value: unknown,
  fields: Fields<T>,
  hint: (name: string) => string = () => '',
): string | null {
  if (!isObject(value)) return 'must be an object';
  const names = Object.keys(fields);
  for (const [name, field] of Object.entries<Field>(fields)) {
    const part = value[name];
    if (part === undefined && !field.needed) continue;
    if (part === undefined) return `has no ${name}${hint(name)}`;
    const wrong = field.wrong(part);
    if (wrong !== null) return `: ${said(name, wrong)}`;
  }
  const stranger = Object.keys(value).find((name) => !names.includes(name));
  if (stranger === undefined) return null;
  return `has '${stranger}', which means nothing here.${guessOf(stranger, names)}`;
}

/** A record by the names of properties, each of which is right. */
function byProperty(wrong: Wrong): Wrong {
  return (value) => {
    if (!isObject(value)) return 'must be an object, by names of properties';
    for (const [name, part] of Object.entries(value)) {
      if (!PROPERTY_NAMES.some((known) => known === name)) {
        const guess = guessOf(name, PROPERTY_NAMES);
        return `has '${name}', which is no property.${guess} See: vlbr list properties`;
      }
      const why = wrong(part);
      if (why !== null) return said(`for '${name}'`, why);
    }
    return null;
  };
}

const KNOWN_FAILURE: Fields<KnownFailure> = {
  why: needed(TEXT),
  where: optional(METHOD),
  seldom: optional(FLAG),
};

const NO_GUEST_LBR: Fields<NoGuestLbrHere> = { why: needed(TEXT), where: needed(METHOD) };

const FEATURES = Object.keys(KERNEL_FEATURES[KERNEL_VERSIONS[0]]);
const NEEDS: Fields<Needs> = {
  feature: needed(must(`one of ${FEATURES.join(', ')}`, (value) => FEATURES.includes(`${value}`))),
  what: needed(TEXT),
  pmuVersion: needed(COUNT),
};

const NAME = /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/;
const WORD = /^[a-z][a-z_]*$/;

/** Names that mean something else in a list of policies. */
const TAKEN: ReadonlySet<string> = new Set([
  ...ALL_POLICIES.map(({ name }) => name),
  kvm.name,
  'all',
]);

/** What is wrong with a name for a policy, as what follows `the name`; null if nothing is. */
export function policyNameProblem(name: unknown): string | null {
  if (typeof name !== 'string' || !NAME.test(name)) {
    return `must be small letters, digits and '-', as 'my-policy', not ${JSON.stringify(name)}`;
  }
  return TAKEN.has(name) ? `'${name}' is taken: vlbr has such a policy` : null;
}

const wordsWrong: Wrong = (words) => {
  if (!Array.isArray(words)) return "must be a list of names, as ['live']";
  const bad = words.find((word) => typeof word !== 'string' || !WORD.test(word));
  if (bad !== undefined) {
    return `has ${JSON.stringify(bad)}: the name of a word has small letters and '_' only`;
  }
  const twice = words.find((word, i) => words.indexOf(word) < i);
  return twice === undefined ? null : `has '${twice}' twice`;
};

/** Hooks that a policy may go without. */
const OPTIONAL_HOOKS: ReadonlySet<HookName> = new Set(['recordsStale', 'reprogram_counters']);

const HOOK_FIELDS = Object.fromEntries(
  HOOK_NAMES.map((hook) => [hook, (OPTIONAL_HOOKS.has(hook) ? optional : needed)(METHOD)]),
) as Readonly<Record<HookName, Field>>;

const FIELDS: Fields<LbrPolicy> = {
  name: needed(policyNameProblem),
  summary: needed(TEXT),
  cites: needed(TEXT),
  assumes: needed(TEXT),
  words: needed(wordsWrong),
  pv: needed(
    must(`one of ${PV_SITES.join(', ')}`, (value) => PV_SITES.some((one) => one === value)),
  ),
  needlessSwitches: needed(COUNT),
  knownFailures: needed(byProperty((value) => wrongFields(value, KNOWN_FAILURE))),
  notApplicable: needed(byProperty(TEXT)),
  withoutCallstack: optional(byProperty(TEXT)),
  needs: optional((value) => wrongFields(value, NEEDS)),
  noGuestLbr: optional((value) => wrongFields(value, NO_GUEST_LBR)),
  dropsWithoutEvent: optional(FLAG),
  withoutGuestLbr: optional(FLAG),
  selectOnAnyCpu: optional(FLAG),
  changesPerf: optional(FLAG),
  ofTree: optional(must('left out: policy kvm alone is the code of a tree', () => false)),
  ...HOOK_FIELDS,
  inUse: needed(must('a function, or null', (value) => value === null || METHOD(value) === null)),
};

function hintFor(name: string): string {
  if (name === 'inUse') return '; without such a belief it is: inUse: null';
  return HOOK_NAMES.some((hook) => hook === name) || name === 'words' || name === 'pv'
    ? '; begin the policy with ...PASS_THROUGH or ...PARKED, which have it'
    : '';
}

/**
 * The first thing that is wrong with a policy, in one sentence that begins with its name; null if
 * it has all that a policy needs, and nothing that none has.
 *
 * @example
 * import { findPolicy, policyProblem } from 'vlbr';
 *
 * const mine = { ...findPolicy('parked'), name: 'mine', words: ['a-b'] };
 * policyProblem({ ...mine, words: [] }); // null
 * policyProblem(mine).slice(0, 29); // 'policy mine: words has "a-b":'
 */
export function policyProblem(policy: unknown): string | null {
  const wrong = wrongFields<LbrPolicy>(policy, FIELDS, hintFor);
  if (wrong === null) return null;
  const name = isObject(policy) ? policy['name'] : undefined;
  return said(isText(name) ? `policy ${String(name)}` : 'the policy', wrong);
}
