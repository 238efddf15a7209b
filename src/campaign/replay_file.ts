/**
 * Schedules that are kept: replay files, replay tokens, and what they name. A replay file is JSON,
 * `{schema, policy, property, cpu, kernel, vms, vcpus, tasks, pcpus, actions}`, each action a
 * line such as `v0: open task=0 type=CALL_STACK|USER` or an object `{kind, actor, args}`. The file
 * may say in `whose` who is to break the property: `policy`, `kernel` or `nobody`. Other keys are
 * ignored.
 * Reports of every command, as text or JSON, every picture that vlbr draws, and any other text that
 * holds tokens are taken as well, quoted and wrapped as mail programs do (found_tokens.ts).
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
import { encodeToken, type Replay, replayOf, TOKEN_PREFIX } from '../schedule/token.js';
import { tokensIn } from './found_tokens.js';
import { Bench } from './trial.js';

/** What vlbr prints as JSON. Its schema (schema/) has exactly these keys, and a number for them. */
export interface JsonReport {
  readonly schema: string;
  readonly [key: string]: unknown;
}

export const SCHEDULE_SCHEMA = 'vlbr/schedule/1';

/** The schema of `vlbr verify --json`. */
export const VERIFY_SCHEMA = 'vlbr/verify/2';

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

const DAMAGED =
  'this is no replay token of this version of vlbr, or it is cut off; ' +
  'copy all of it, from v1. to the end of the word';

/** What a token says. @throws ReplayError when it is none, or names something unknown. */
export function replayToken(token: string): ReplayCase {
  const { replays } = tokensIn(token);
  if (replays.length !== 1) throw new ReplayError(DAMAGED);
  return caseOf(replays[0]);
}

/** The token of a case. */
export function tokenOf({ config, property, schedule }: ReplayCase): string {
  return encodeToken(replayOf(config, property, schedule));
}

/** A case as the object of a replay file. */
export function scheduleJson({ config, property, schedule }: ReplayCase): JsonReport {
  const { shape, actions, ...names } = replayOf(config, property, schedule);
  return { schema: SCHEDULE_SCHEMA, ...names, ...shape, actions };
}

/**
 * Reads everything that a text asks to be replayed: a replay file, or any text or JSON that holds
 * tokens. Returns at least one case.
 *
 * @throws ReplayError when there is none, or one of them is damaged.
 */
export function parseReplayText(text: string): ReplayCase[] {
  const trimmed = text.trim();
  if (trimmed === '') throw new ReplayError('the file is empty');
  if (trimmed.startsWith('<')) return casesOfMarkup(trimmed);
  const json = /^[{[]/.test(trimmed) ? jsonOf(trimmed) : [];
  if (json.length > 0) {
    const files = json.flatMap(replayFilesIn);
    if (files.length > 0) return files;
    if (json.length === 1 && isObject(json[0])) return casesOfReport(json[0], trimmed);
  }
  return casesOfTokens(trimmed);
}

function casesOfTokens(text: string): ReplayCase[] {
  const { replays, damaged } = tokensIn(text);
  if (damaged.length > 0) {
    const which = damaged[0].length > 20 ? `${damaged[0].slice(0, 20)}...` : damaged[0];
    throw new ReplayError(`${which}: ${DAMAGED}`);
  }
  if (replays.length === 0) {
    throw new ReplayError('there is no replay token in it, and it is no replay file');
  }
  return replays.map((replay) => caseOf(replay));
}

/** An object of a JSON that nobody has checked. */
export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The JSON of a text: one value, one on each line, or none. */
function jsonOf(text: string): unknown[] {
  try {
    return [JSON.parse(text)];
  } catch (error) {
    const lines = text.split('\n').filter((line) => line.trim() !== '');
    const each = lines.map((line) => jsonLine(line));
    if (lines.length > 1 && each.every((value) => value !== undefined)) return each;
    // A mail may begin with `[PATCH]`.
    if (text.startsWith('[')) return [];
    throw new ReplayError(`this is no JSON: ${error instanceof Error ? error.message : ''}`);
  }
}

function jsonLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** The replay files in a JSON value: itself, or elements of a list. */
function replayFilesIn(json: unknown): ReplayCase[] {
  if (Array.isArray(json)) return json.flatMap(replayFilesIn);
  if (!isObject(json) || json.schema !== SCHEDULE_SCHEMA) return [];
  return [caseOf(replayOfJson(json), whoseOf(json))];
}

/** The schedules of a page or a drawing: each is there as a command that replays it. */
function casesOfMarkup(text: string): ReplayCase[] {
  const tokens = [...text.matchAll(/vlbr replay (v1\.[\w-]+)/g)].map(([, token]) => token);
  if (tokens.length === 0) throw new ReplayError('the page has no schedule');
  return [...new Set(tokens)].map((token) => replayToken(token));
}

/** The token in the notes of a trace, in ITF or for Perfetto; null for other JSON. */
function tokenOfTrace(json: JsonObject): string | null {
  const notes = json['#meta'] ?? json.otherData;
  return isObject(notes) && typeof notes.token === 'string' ? notes.token : null;
}

/** The counterexamples of a command's report, by their tokens. */
function casesOfReport(json: JsonObject, text: string): ReplayCase[] {
  const { schema } = json;
  const token = tokenOfTrace(json);
  if (token !== null) return [replayToken(token)];
  const known = typeof schema === 'string' && /^vlbr\/[a-z-]+\/\d+$/.test(schema);
  if (!known || schema.startsWith('vlbr/schedule/')) {
    throw new ReplayError(
      `the schema is ${JSON.stringify(schema) ?? 'missing'}; it must be ` +
        `"${SCHEDULE_SCHEMA}", or that of a report of vlbr`,
    );
  }
  if (!text.includes(TOKEN_PREFIX)) throw new ReplayError('the report has no counterexample');
  return casesOfTokens(text);
}

function whoseOf({ whose }: JsonObject): Breaker | null {
  if (whose === undefined) return null;
  const breaker = BREAKERS.find((name) => name === whose);
  if (breaker !== undefined) return breaker;
  throw new ReplayError(`"whose" must be one of ${BREAKERS.join(', ')}`);
}

function replayOfJson(json: JsonObject): Replay {
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
