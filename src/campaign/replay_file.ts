/**
 * Schedules that are kept: replay files, replay tokens, and what they name. A replay file is JSON,
 * `{schema, policy, property, cpu, kernel, vms, vcpus, tasks, pcpus, actions}`, each action a
 * line such as `v0: open task=0 type=CALL_STACK|USER` or an object `{kind, actor, args}`. The file
 * may say in `whose` who is to break the property: `policy`, `kernel` or `nobody`. Other keys are
 * ignored.
 * The output of `vlbr verify --json`, text that holds tokens, and every picture that vlbr draws are
 * taken as well.
 */
import { ALL_POLICIES, findPolicy } from '../host/policy/index.js';
import { missingInKernel } from '../judge/needs.js';
import type { LbrPolicy } from '../host/policy/policy.js';
import { knownFailure } from '../judge/declared.js';
import { PROPERTY, PROPERTY_NAMES, type PropertyName } from '../judge/properties.js';
import { CPU_MODELS, findCpuModel } from '../hw/cpu_models.js';
import { KERNEL_VERSIONS } from '../guest/perf/kernel.js';
import type { DriverKind } from '../guest/perf/lbr_driver.js';
import { actionProblem, isActionName, parseAction } from '../schedule/action_text.js';
import { type Action, ACTION_NAMES, ACTIONS } from '../schedule/table.js';
import { type MachineConfig, shapeProblem } from '../machine/config.js';
import { Schedule } from '../schedule/schedule.js';
import { decodeToken, encodeToken, type Replay, replayOf } from '../schedule/token.js';
import { Bench } from './trial.js';

export const SCHEDULE_SCHEMA = 'vlbr/schedule/1';

/** The schema of `vlbr verify --json`. */
export const VERIFY_SCHEMA = 'vlbr/verify/1';

/** A token or a file that says nothing that could be replayed; the message says why. */
export class ReplayError extends Error {
  override readonly name: string = 'ReplayError';
}

/** Who breaks a property: nobody, the policy, or the guest's kernel, as it would on any machine. */
export const BREAKERS = ['policy', 'kernel', 'nobody'] as const;
export type Breaker = (typeof BREAKERS)[number];

/** A machine, a property and a schedule. */
export interface ReplayCase {
  readonly config: MachineConfig;
  readonly property: PropertyName;
  readonly schedule: Schedule;
  /** Who is to break it, if that was said; else what the policy declares counts. */
  readonly whose: Breaker | null;
}

/** Says who breaks the property of a case, by running it. */
export function breakerOf({ config, property, schedule }: ReplayCase): Breaker {
  const index = PROPERTY[property];
  const bench = new Bench(config);
  if (bench.breaksAt(schedule, index) >= 0) return 'policy';
  return bench.guestBreaksAt(schedule, index) >= 0 ? 'kernel' : 'nobody';
}

/** Why the case's policy is known to break the property; null if it is not. */
export function declaredFailure({ config, property }: ReplayCase): string | null {
  return knownFailure(config.policy, property, config.model, config.kernel);
}

/**
 * Whether a case ends as it says or, if it does not say, as its policy declares: a known failure
 * fails, and nothing else does. The kernel's own failures count against no policy.
 */
export function endsAsExpected(replay: ReplayCase, breaker: Breaker): boolean {
  if (replay.whose !== null) return breaker === replay.whose;
  if (breaker === 'kernel') return true;
  return (breaker === 'policy') === (declaredFailure(replay) !== null);
}

function unknown(what: string, name: string, known: readonly string[]): ReplayError {
  return new ReplayError(`there is no ${what} '${name}'; there are: ${known.join(', ')}`);
}

/** Finds what a replay names. @throws ReplayError when there is no such thing here. */
export function caseOf(replay: Replay, whose: Breaker | null = null): ReplayCase {
  const { shape } = replay;
  const schedule = Schedule.of(replay.actions);
  const policy = findPolicy(replay.policy);
  if (policy === undefined) {
    throw new ReplayError(
      `there is no policy '${replay.policy}'; if it is a file's, give the file with --policy; ` +
        `there are: ${ALL_POLICIES.map(({ name }) => name).join(', ')}`,
    );
  }
  const model = findCpuModel(replay.cpu);
  if (model === undefined)
    throw unknown(
      'CPU',
      replay.cpu,
      CPU_MODELS.map(({ name }) => name),
    );
  const kernel = KERNEL_VERSIONS.find((version) => version === replay.kernel);
  if (kernel === undefined) throw unknown('kernel', replay.kernel, KERNEL_VERSIONS);
  const missing = missingInKernel(policy, kernel);
  if (missing !== null) throw new ReplayError(missing);
  const property = PROPERTY_NAMES.find((name) => name === replay.property);
  if (property === undefined) throw unknown('property', replay.property, PROPERTY_NAMES);
  const config = { model, kernel, policy, shape };
  const whole = Object.values(shape).every((n) => Number.isInteger(n));
  const problem = whole ? shapeProblem(shape) : 'vms, vcpus, tasks and pcpus are whole numbers';
  if (problem !== null) throw new ReplayError(problem.replace('--', ''));
  for (const [i, action] of schedule.actions().entries()) {
    const wrong = actionProblem(action);
    if (wrong !== null) throw new ReplayError(`action ${i + 1}: ${wrong}`);
  }
  return { config, property, schedule, whose };
}

/** The same case with another driver. */
export function withDriver(
  replay: ReplayCase,
  driver: DriverKind,
  policy: LbrPolicy = replay.config.policy,
): ReplayCase {
  return { ...replay, config: { ...replay.config, driver, policy } };
}

/** What a token says. @throws ReplayError when it is none, or names something unknown. */
export function replayToken(token: string): ReplayCase {
  let replay: Replay | null = null;
  try {
    replay = decodeToken(token);
  } catch (error) {
    // A token whose check sum is right and whose content is not was made by another version.
    if (!(error instanceof RangeError)) throw error;
  }
  if (replay === null) {
    throw new ReplayError(
      'this is no replay token of this version of vlbr, or it is cut off; ' +
        'copy all of it, from v1. to the end of the word',
    );
  }
  return caseOf(replay);
}

/** The token of a case. */
export function tokenOf({ config, property, schedule }: ReplayCase): string {
  return encodeToken(replayOf(config, property, schedule));
}

/** A case as the object of a replay file. */
export function scheduleJson({ config, property, schedule }: ReplayCase): object {
  const { shape, actions, ...names } = replayOf(config, property, schedule);
  return { schema: SCHEDULE_SCHEMA, ...names, ...shape, actions };
}

/** Reads everything that a file's text asks to be replayed; at least one case. */
export function parseReplayText(text: string): ReplayCase[] {
  const trimmed = text.trim();
  if (trimmed === '') throw new ReplayError('the file is empty');
  if (trimmed.startsWith('{')) return casesOfJson(trimmed);
  if (trimmed.startsWith('<')) return casesOfMarkup(trimmed);
  return trimmed.split(/\s+/).map((word) => replayToken(word));
}

type Json = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function casesOfJson(text: string): ReplayCase[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new ReplayError(`this is no JSON: ${error instanceof Error ? error.message : ''}`);
  }
  if (!isObject(json)) throw new ReplayError('the JSON is no object');
  const token = tokenOfTrace(json);
  if (token !== null) return [replayToken(token)];
  if (json.schema === SCHEDULE_SCHEMA) return [caseOf(replayOfJson(json), whoseOf(json))];
  if (json.schema === VERIFY_SCHEMA) return casesOfReport(json);
  throw new ReplayError(
    `the schema is ${JSON.stringify(json.schema) ?? 'missing'}; it must be ` +
      `"${SCHEDULE_SCHEMA}" or "${VERIFY_SCHEMA}"`,
  );
}

/** The schedules of a page or a drawing: each is there as a command that replays it. */
function casesOfMarkup(text: string): ReplayCase[] {
  const tokens = [...text.matchAll(/vlbr replay (v1\.[\w-]+)/g)].map(([, token]) => token);
  if (tokens.length === 0) throw new ReplayError('the page has no schedule');
  return [...new Set(tokens)].map((token) => replayToken(token));
}

/** The token in the notes of a trace, in ITF or for Perfetto; null for other JSON. */
function tokenOfTrace(json: Json): string | null {
  const notes = json['#meta'] ?? json.otherData;
  return isObject(notes) && typeof notes.token === 'string' ? notes.token : null;
}

/** The counterexamples of a report, by their tokens. */
function casesOfReport(json: Json): ReplayCase[] {
  const results = Array.isArray(json.results) ? json.results : [];
  const tokens = results.flatMap((result: unknown) => {
    const found = isObject(result) ? result.counterexample : null;
    return isObject(found) && typeof found.token === 'string' ? [found.token] : [];
  });
  if (tokens.length === 0) throw new ReplayError('the report has no counterexample');
  return tokens.map((token) => replayToken(token));
}

function whoseOf({ whose }: Json): Breaker | null {
  if (whose === undefined) return null;
  const breaker = BREAKERS.find((name) => name === whose);
  if (breaker !== undefined) return breaker;
  throw new ReplayError(`"whose" must be one of ${BREAKERS.join(', ')}`);
}

function replayOfJson(json: Json): Replay {
  const text = (key: string): string => {
    const value = json[key];
    if (typeof value !== 'string') throw new ReplayError(`"${key}" must be a string`);
    return value;
  };
  const number = (key: string): number => {
    const value = json[key];
    if (typeof value !== 'number') throw new ReplayError(`"${key}" must be a number`);
    return value;
  };
  if (!Array.isArray(json.actions)) throw new ReplayError('"actions" must be a list');
  return {
    policy: text('policy'),
    property: text('property'),
    cpu: text('cpu'),
    kernel: text('kernel'),
    shape: {
      vms: number('vms'),
      vcpus: number('vcpus'),
      tasks: number('tasks'),
      pcpus: number('pcpus'),
    },
    actions: json.actions.map(actionOfJson),
  };
}

function actionOfJson(json: unknown, i: number): Action {
  try {
    return typeof json === 'string' ? parseAction(json) : actionOfObject(json);
  } catch (error) {
    if (error instanceof RangeError) throw new ReplayError(`action ${i + 1}: ${error.message}`);
    throw error;
  }
}

/** @throws RangeError which says what is wrong. */
function actionOfObject(json: unknown): Action {
  if (!isObject(json)) {
    throw new RangeError(
      "this is neither a line such as 'v0: call n=3' nor an object {kind, actor, args}",
    );
  }
  const { kind, actor, args } = json;
  if (!isActionName(kind)) {
    throw new RangeError(
      `there is no kind ${JSON.stringify(kind)}; there are: ${ACTION_NAMES.join(' ')}`,
    );
  }
  const names = ACTIONS[kind].params.map(({ name }) => name);
  if (!isWhole(actor)) throw new RangeError('"actor" must be a whole number');
  if (!Array.isArray(args) || args.length !== names.length || !args.every(isWhole)) {
    throw new RangeError(`"args" of ${kind} must be whole numbers: [${names.join(', ')}]`);
  }
  return { kind, actor, args };
}

function isWhole(value: unknown): value is number {
  return Number.isInteger(value);
}
