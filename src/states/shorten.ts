/**
 * Looks for schedules that are shorter than those that a random campaign has found, by exploring
 * every short schedule of two small machines. A counterexample that none is shorter than is
 * minimal; where the search does not reach that far, it stays a shrunk one.
 */
import { driverOf, type KernelVersion } from '../guest/perf/kernel.js';
import type { DriverKind } from '../guest/perf/lbr_driver.js';
import { type CpuModel, withDepth } from '../hw/cpu_models.js';
import type { LbrPolicy } from '../host/policy/policy.js';
import { PROPERTY, type PropertyName } from '../judge/properties.js';
import type { MachineConfig, Shape } from '../machine/config.js';
import { accessesMost } from '../machine/guest_call.js';
import { interruptionsIn, type Schedule } from '../schedule/schedule.js';
import { type Counterexample, oneForEachCause, type Result } from '../campaign/campaign.js';
import { ShapeCampaign } from '../campaign/shape_campaign.js';
import { Bench } from '../campaign/trial.js';
import { type Group, GROUP_NAMES } from '../schedule/explored.js';
import { POLL_STATES, scheduleTo } from './explore.js';
import { MachineModel } from './machine_model.js';
import { type End, Search } from '../search/search.js';

/** Every schedule of up to SHORT actions is explored; one more action makes ten times as many. */
const SHORT = 4;

/** The fewest records that a stack can have: its functions make the fewest accesses. */
const DEPTH = 2;

/** The machines, which differ in whose vCPUs share the pCPU. */
export const SMALL_MACHINES: readonly Shape[] = [
  { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 },
  { vms: 1, vcpus: 2, tasks: 2, pcpus: 1 },
];

/** These make many states each, and have shortened no schedule so far. */
const LEFT_OUT: readonly Group[] = ['nmi', 'fork', 'userspace'];
const SHORT_GROUPS: readonly Group[] = GROUP_NAMES.filter((g) => !LEFT_OUT.includes(g));

interface ShortenOptions {
  readonly model: CpuModel;
  readonly kernel: KernelVersion;
  readonly driver?: DriverKind;
  readonly policy: LbrPolicy;
  /** Is asked now and then whether to go on; without all of the search nothing is minimal. */
  readonly poll?: () => boolean;
}

/** What is known of one property that fails. */
interface Shorter {
  /** No schedule of fewer actions breaks it on the small machines. */
  atLeast: number;
  counterexample: Counterexample;
}

/**
 * The results, each counterexample the shortest that is known, and labelled. After an interruption
 * all labels are "shrunk", those of schedules that are short by chance included.
 */
export function shorten(results: readonly Result[], options: ShortenOptions): Result[] {
  const found = new Map<PropertyName, Shorter>();
  let longest = 0;
  for (const { property, counterexample } of results) {
    if (counterexample === null) continue;
    found.set(property, { atLeast: Infinity, counterexample });
    longest = Math.max(longest, counterexample.actions.length);
  }
  if (found.size === 0) return [...results];
  const maxLength = Math.min(SHORT, longest - 1);
  const ends = SMALL_MACHINES.map((shape) => searchShort(shape, maxLength, found, options));
  const whole = !ends.includes('interrupted');
  return results.map((result) => labelled(result, found.get(result.property), whole));
}

function labelled(result: Result, known: Shorter | undefined, whole: boolean): Result {
  if (known === undefined) return result;
  const { atLeast } = known;
  const all = [known.counterexample, result.counterexample ?? [], result.otherCauses].flat();
  const [counterexample, ...otherCauses] = oneForEachCause(all).map((one) => {
    const minimal = whole && one.actions.length <= atLeast;
    return { ...one, label: minimal ? ('minimal' as const) : ('shrunk' as const) };
  });
  return { ...result, counterexample, otherCauses };
}

/** Explores one of the machines, notes what that says of each property, and says how it ended. */
function searchShort(
  shape: Shape,
  maxLength: number,
  found: Map<PropertyName, Shorter>,
  options: ShortenOptions,
): End {
  const { model, kernel, policy, poll } = options;
  const real: MachineConfig = { shape, model, kernel, policy, driver: driverOf(options) };
  const small = new MachineModel(
    { ...real, model: withDepth(model, DEPTH) },
    { groups: SHORT_GROUPS, events: 1, calls: DEPTH + 1, suspended: 1 },
  );
  const search = new Search(small, {
    maxLength,
    symmetry: true,
    wanted: [...found.keys()].map((name) => PROPERTY[name]),
    stopWhenAllBroken: true,
    pollStates: POLL_STATES,
    ...(poll === undefined ? {} : { poll }),
  });
  const { broken, brokenLength, end, covered } = search.run();
  for (const [property, known] of found) {
    const p = PROPERTY[property];
    known.atLeast = Math.min(known.atLeast, broken[p] < 0 ? covered + 1 : brokenLength[p]);
    if (broken[p] < 0 || brokenLength[p] >= known.counterexample.actions.length) continue;
    const schedule = onSilicon(real, scheduleTo(small, search, broken[p]), p);
    if (schedule === null) continue;
    known.counterexample = new ShapeCampaign(real).counterexample(schedule, p, false);
  }
  return end;
}

/**
 * The schedule as it breaks the property on the machine with all its records, where an interruption
 * may have to come after more accesses; null if it does not break there.
 */
function onSilicon(config: MachineConfig, schedule: Schedule, property: number): Schedule | null {
  const bench = new Bench(config);
  const breaks = (): boolean => bench.breaksAt(schedule, property) === schedule.length;
  if (breaks()) return schedule;
  const [at] = interruptionsIn(schedule);
  if (at === undefined) return null;
  for (let after = 1; after <= accessesMost(config.model.lbr_nr); after++) {
    schedule.words[at] = after;
    if (breaks()) return schedule;
  }
  return null;
}
