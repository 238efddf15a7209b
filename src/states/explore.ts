/**
 * Explores one policy: every schedule of a small machine, up to bounds that the result states. What
 * it finds is run once more on the machine as `verify` runs it before it is told.
 */
import { driverOf, type KernelVersion } from '../guest/perf/kernel.js';
import type { DriverKind } from '../guest/perf/lbr_driver.js';
import { assert } from '../hw/assert.js';
import type { CpuModel } from '../hw/cpu_models.js';
import { knownFailure, notApplicable } from '../judge/declared.js';
import { PROPERTIES, PROPERTY, type PropertyName, REACH } from '../judge/properties.js';
import type { LbrPolicy } from '../host/policy/policy.js';
import { type Action, ACTION_NAMES } from '../schedule/table.js';
import type { MachineConfig, Shape } from '../machine/config.js';
import { Schedule } from '../schedule/schedule.js';
import type { Counterexample } from '../campaign/campaign.js';
import { ShapeCampaign } from '../campaign/shape_campaign.js';
import { Bench } from '../campaign/trial.js';
import type { Bounds } from '../schedule/explored.js';
import { actionsOf } from './alphabet.js';
import { findLasso } from '../search/lasso.js';
import { MachineModel } from './machine_model.js';
import { type End, type Outcome, type Progress, Search } from '../search/search.js';

export interface ExploreOptions {
  readonly model: CpuModel;
  readonly kernel: KernelVersion;
  readonly driver?: DriverKind;
  readonly policy: LbrPolicy;
  readonly shape: Shape;
  readonly bounds: Bounds;
  readonly properties: readonly PropertyName[];
  /** No schedule of more actions is looked at; Infinity for all. */
  readonly maxLength: number;
  readonly memoryBytes: number;
  readonly fingerprints: boolean;
  readonly symmetry: boolean;
  /** Whether to stop once every property asked for has a counterexample. */
  readonly untilBroken: boolean;
  readonly poll?: (progress: Progress) => boolean;
  /** Is called when the search has ended: what comes then is about what it found. */
  readonly searched?: (outcome: Outcome) => void;
}

/**
 * `unknown`: the search was cut short before it found a counterexample. `holds`: the search was
 * complete within its bounds.
 */
export type ExploreVerdict = 'holds' | 'fails' | 'unknown' | 'vacuous' | 'not applicable';

export interface ExploreResult {
  readonly property: PropertyName;
  readonly verdict: ExploreVerdict;
  /** Whether the policy declares that it breaks the property, and why; or why it says nothing. */
  readonly reason: string;
  readonly known: boolean;
  readonly counterexample: Counterexample | null;
}

/** Demand #2 as a claim about what goes on for ever. */
export interface Liveness {
  /** Whether some schedule saves or restores for ever after a guest has stopped. */
  readonly recurs: boolean;
  /** Saves and restores after a guest has stopped, on the worst schedule; Infinity if it recurs. */
  readonly most: number;
  /** What leads to the cycle, and the cycle. */
  readonly stem: readonly Action[];
  readonly cycle: readonly Action[];
}

export interface Explored {
  readonly policy: string;
  readonly outcome: Outcome;
  /** Whether every schedule within the bounds was looked at. */
  readonly complete: boolean;
  /** Whether every longer schedule only repeats states that were looked at. */
  readonly exhausted: boolean;
  readonly results: readonly ExploreResult[];
  /** Null where the search was not exhausted, or can't say. */
  readonly liveness: Liveness | null;
  /** Kinds of action that the bounds allow and that were never possible. */
  readonly neverPossible: readonly string[];
  /** Bytes held for each state, all told. */
  readonly bytesPerState: number;
}

/** States between two calls of `poll`: working one out takes up to ten milliseconds. */
export const POLL_STATES = 256;

/** Kernels that run as C code go through `enumerate` instead: their states have no words. */
export function explore(options: ExploreOptions): Explored {
  const { model, kernel, policy, shape, bounds } = options;
  assert(driverOf(options).image === undefined, 'states are kept of the port and of lbr.c alone');
  const config: MachineConfig = { shape, model, kernel, policy, driver: driverOf(options) };
  const explored = new MachineModel(config, bounds);
  const asked = options.properties.filter((name) => PROPERTIES[PROPERTY[name]].of === 'policy');
  const wanted = asked.filter((name) => silence(options, name) === null);
  const search = new Search(explored, {
    maxLength: options.maxLength,
    memoryBytes: options.memoryBytes,
    extraBytes: () => explored.bytes,
    fingerprints: options.fingerprints,
    symmetry: options.symmetry,
    wanted: wanted.map((name) => PROPERTY[name]),
    stopWhenAllBroken: options.untilBroken,
    kindOf: (action) => explored.table.kind(action),
    kinds: ACTION_NAMES.length,
    pollStates: POLL_STATES,
    ...(options.poll === undefined ? {} : { poll: options.poll }),
  });
  const outcome = search.run();
  options.searched?.(outcome);
  const { end } = outcome;
  const complete = end === 'exhausted' || end === 'bound' || end === 'broken';
  return {
    policy: policy.name,
    outcome,
    complete,
    exhausted: end === 'exhausted',
    results: asked.map((name) => resultOf(name, options, config, explored, search, outcome)),
    liveness: asksLiveness(options, end) ? livenessOf(options, config) : null,
    neverPossible: neverPossible(bounds, shape, outcome.performed),
    bytesPerState: outcome.bytes / outcome.states,
  };
}

/** Whether what goes on for ever is to be judged, and can be: raw accesses never start nor stop. */
function asksLiveness({ properties, bounds, fingerprints }: ExploreOptions, end: End): boolean {
  if (end !== 'exhausted' || fingerprints || bounds.groups.includes('raw')) return false;
  return properties.includes('no-needless-switch');
}

/** Whom properties are judged for. */
type Judged = Pick<ExploreOptions, 'policy' | 'model' | 'kernel'>;

/** Why a property says nothing here, or null. */
export function silence({ policy, model, kernel }: Judged, name: PropertyName): string | null {
  const property = PROPERTIES[PROPERTY[name]];
  return notApplicable(policy, name, model, kernel) ?? property.notApplicable(model);
}

/** What is said of a property whatever comes out. */
export function withoutVerdict(
  judged: Judged,
  property: PropertyName,
): Omit<ExploreResult, 'verdict'> {
  const why = silence(judged, property);
  const { policy, model, kernel } = judged;
  const known = why === null ? knownFailure(policy, property, model, kernel) : null;
  const reason = why ?? known ?? '';
  return { property, reason, known: known !== null, counterexample: null };
}

function resultOf(
  name: PropertyName,
  options: ExploreOptions,
  config: MachineConfig,
  model: MachineModel,
  search: Search,
  outcome: Outcome,
): ExploreResult {
  const found = withoutVerdict(options, name);
  if (silence(options, name) !== null) return { ...found, verdict: 'not applicable' };
  const p = PROPERTY[name];
  if (outcome.broken[p] >= 0) {
    const schedule = scheduleTo(model, search, outcome.broken[p]);
    return { ...found, verdict: 'fails', counterexample: confirmed(config, schedule, p) };
  }
  const { reach } = model.parts.monitor.verdicts;
  const met = reach[REACH[PROPERTIES[p].reach]] > 0;
  const whole = outcome.end === 'exhausted' || outcome.end === 'bound';
  const verdict = !whole ? 'unknown' : met ? 'holds' : 'vacuous';
  return { ...found, verdict };
}

/** A schedule to the state of this number, in names of the machine. */
export function scheduleTo(model: MachineModel, search: Search, index: number): Schedule {
  return Schedule.of(model.scheduleOf(search.replay([]), search.path(index)));
}

/** Runs a counterexample on the machine as it is: it must break the property at its end. */
function confirmed(config: MachineConfig, schedule: Schedule, property: number): Counterexample {
  const at = new Bench(config).breaksAt(schedule, property);
  const { name } = PROPERTIES[property];
  assert(
    at === schedule.length,
    `${name} breaks on the machine where exploration says so, not at action ${at}: ` +
      JSON.stringify(schedule.actions()),
  );
  return {
    ...new ShapeCampaign(config).counterexample(schedule, property, false),
    label: 'minimal',
  };
}

/** @param performed - how often each kind of action was performed. */
export function neverPossible(bounds: Bounds, shape: Shape, performed: Float64Array): string[] {
  const kinds = new Set([...actionsOf(bounds.groups), 'run']);
  // A task can't have run on another vCPU where there is none.
  if (shape.vcpus === 1) kinds.delete('migrateTask');
  return ACTION_NAMES.filter((name, kind) => kinds.has(name) && performed[kind] === 0);
}

/**
 * Looks for a cycle on which a vCPU is saved or restored after its guest has stopped for good. The
 * claim names one vCPU, so VM numbers must not be canonicalised. VMs are interchangeable, so trying
 * the vCPUs of VM 0 is enough.
 */
function livenessOf(options: ExploreOptions, config: MachineConfig): Liveness | null {
  const model = new MachineModel(config, options.bounds, true);
  const { symmetry, memoryBytes } = options;
  const search = new Search(model, {
    symmetry,
    memoryBytes,
    extraBytes: () => model.bytes,
    wanted: [],
    pollStates: POLL_STATES,
    ...(options.poll === undefined ? {} : { poll: options.poll }),
  });
  if (search.run().end !== 'exhausted') return null;
  let worst: Liveness = { recurs: false, most: 0, stem: [], cycle: [] };
  for (let vcpu = 0; vcpu < config.shape.vcpus && !worst.recurs; vcpu++) {
    const claim = {
      name: 'no-needless-switch',
      within: (state: Int32Array): boolean => model.stopped(state, vcpu),
      recurs: (from: Int32Array, action: number): boolean => model.worksInVain(from, action, vcpu),
    };
    const found = findLasso(search, claim, () => options.poll?.(search.progress()) ?? true);
    if (found === null) return null;
    const { lasso, most } = found;
    if (lasso === null) {
      if (most > worst.most) worst = { ...worst, most };
      continue;
    }
    const state = search.replay([]);
    const stem = model.scheduleOf(state, lasso.stem);
    worst = { recurs: true, most, stem, cycle: model.scheduleOf(state, lasso.cycle) };
  }
  return worst;
}
