/**
 * Every schedule of a small machine up to a number of actions, one after the other. Nothing is
 * cached and no two states are taken for one, so that kernels may run as C code, whose state is
 * memory of their own. Schedules of each length are gone through before those that are longer: the
 * first one that fails is a shortest one.
 */
import { driverOf } from '../guest/perf/kernel.js';
import { assert } from '../hw/assert.js';
import { PROPERTIES, PROPERTY, PROPERTY_NAMES } from '../judge/properties.js';
import { type PropertyName, REACH } from '../judge/properties.js';
import type { MachineConfig } from '../machine/config.js';
import { ACTION_WORDS, type Schedule } from '../schedule/schedule.js';
import { ACTION_NAMES } from '../schedule/table.js';
import { encodeToken } from '../schedule/token.js';
import type { Counterexample, KernelFinding } from '../campaign/campaign.js';
import type { KernelList, KnownFinding } from '../campaign/kernel_lists.js';
import { ShapeCampaign } from '../campaign/shape_campaign.js';
import { Branching, isArming } from './branching.js';
import {
  type ExploreOptions,
  type ExploreResult,
  neverPossible,
  silence,
  withoutVerdict,
} from './explore.js';

/** Of an exploration's options, those that don't depend on how it goes through schedules. */
type Common =
  'model' | 'kernel' | 'driver' | 'policy' | 'shape' | 'bounds' | 'properties' | 'maxLength';

export interface EnumerateOptions extends Pick<ExploreOptions, Common> {
  /** What the guest's kernel is known to break. */
  readonly list: KernelList;
  /** Is told now and then how far it is. The work ends if it returns false. */
  readonly poll?: (progress: EnumerateProgress) => boolean;
}

export interface EnumerateProgress {
  /** Schedules so far, and the actions that were performed for them. */
  readonly schedules: number;
  readonly performed: number;
  /** The length of those that are being gone through. */
  readonly length: number;
  /** Of the first moves of that length, those that are done, and all. */
  readonly done: number;
  readonly of: number;
}

export interface Enumerated {
  readonly policy: string;
  /** Number of schedules of each length from 1 on; the last one may not be all of them. */
  readonly schedules: readonly number[];
  readonly performed: number;
  /** Every schedule of at most so many actions was looked at. */
  readonly covered: number;
  readonly complete: boolean;
  /**
   * What the host breaks, and of a kernel's properties what the kernel breaks, too: such a failure
   * is known if all of its kind are.
   */
  readonly results: readonly ExploreResult[];
  /** What the guest's kernel breaks by itself: for each entry of its list the shortest. */
  readonly findings: readonly KernelFinding[];
  readonly neverPossible: readonly string[];
}

/** A failure of the guest's kernel, by what it is on the kernel's list. */
interface Own {
  readonly property: number;
  readonly known: KnownFinding | null;
  readonly schedule: Schedule;
}

/** Schedules between two calls of `poll`. */
const POLL_SCHEDULES = 64;

export function enumerate(options: EnumerateOptions): Enumerated {
  return new Enumeration(options).run();
}

class Enumeration {
  private readonly options: EnumerateOptions;
  private readonly campaign: ShapeCampaign;
  private readonly branching: Branching;
  /** Per property: the first schedule in which the host breaks it. */
  private readonly broken: (Schedule | null)[] = PROPERTY_NAMES.map(() => null);
  private readonly own: Own[] = [];
  private readonly asked: readonly number[];
  private readonly schedules: number[] = [];
  private readonly kinds: Float64Array = new Float64Array(ACTION_NAMES.length);
  private performed = 0;
  private untilPoll = POLL_SCHEDULES;
  private done = 0;
  private of = 0;

  constructor(options: EnumerateOptions) {
    const { model, kernel, policy, shape, list, bounds } = options;
    const config: MachineConfig = { shape, model, kernel, policy, driver: driverOf(options) };
    this.options = options;
    this.campaign = new ShapeCampaign(config, undefined, list);
    const { machine, monitor } = this.campaign.bench;
    this.branching = new Branching(machine, monitor, bounds);
    this.asked = options.properties.map((name) => PROPERTY[name]);
  }

  run(): Enumerated {
    const { options, schedules } = this;
    let covered = 0;
    while (covered < options.maxLength && this.allOf(covered + 1)) covered++;
    this.own.sort((a, b) => a.property - b.property);
    const own = this.own.map((failure) => this.finding(failure));
    return {
      policy: options.policy.name,
      schedules,
      performed: this.performed,
      covered,
      complete: covered === options.maxLength,
      results: options.properties.map((name) => this.result(name, own, covered)),
      findings: own,
      neverPossible: neverPossible(options.bounds, options.shape, this.kinds),
    };
  }

  /** Goes through all schedules of a length. Returns whether nobody has ended it. */
  private allOf(length: number): boolean {
    this.schedules.push(0);
    this.branching.boot();
    return this.visit(0, length);
  }

  /** Goes on from where the machine is with all that has so many actions. */
  private visit(depth: number, left: number): boolean {
    const { branching } = this;
    const { schedule, monitor } = branching;
    const moves = branching.enter(depth, left);
    const { length } = schedule;
    const ownBefore = monitor.verdicts.own.slice();
    if (depth === 0) this.of = moves.length;
    for (let i = 0; i < moves.length;) {
      if (depth === 0) this.done = i;
      const actions = isArming(moves, i) ? 2 : 1;
      branching.back(depth, length);
      this.perform(moves, i);
      i += actions;
      if (left > actions) {
        if (!this.visit(depth + 1, left - actions)) return false;
      } else {
        this.judge(ownBefore);
        if (!this.goesOn()) return false;
      }
    }
    return true;
  }

  /** A bug of the model is thrown with the token of the schedule that shows it. */
  private perform(moves: Schedule, i: number): void {
    const { branching, kinds } = this;
    try {
      const actions = branching.go(moves, i);
      for (let k = i; k < i + actions; k++) kinds[moves.words[k * ACTION_WORDS]]++;
      this.performed += actions;
    } catch (e) {
      const token = encodeToken(this.campaign.replay(branching.schedule, 0));
      throw e instanceof Error ? Object.assign(e, { token }) : e;
    }
  }

  private goesOn(): boolean {
    const { schedules, performed, done, of, options } = this;
    schedules[schedules.length - 1]++;
    if (--this.untilPoll > 0) return true;
    this.untilPoll = POLL_SCHEDULES;
    const all = schedules.reduce((sum, n) => sum + n, 0);
    const now = { schedules: all, performed, length: schedules.length, done, of };
    return options.poll?.(now) ?? true;
  }

  /** Looks at a schedule of the length that is gone through. */
  private judge(ownBefore: Uint8Array): void {
    const { schedule, monitor } = this.branching;
    const { broken, own } = monitor.verdicts;
    for (const p of this.asked) {
      if (broken[p] !== 0) this.broken[p] ??= schedule.copy();
      if (own[p] !== 0 && ownBefore[p] === 0) this.judgeOwn(p);
    }
  }

  /** The last action has made the guest's kernel break something, as it seems. */
  private judgeOwn(property: number): void {
    const { campaign, own } = this;
    const { schedule } = this.branching;
    const known = campaign.known(property, schedule);
    if (own.some((found) => found.property === property && found.known === known)) return;
    if (!campaign.bench.breaksAlone(schedule, schedule.length, property)) return;
    own.push({ property, known, schedule: schedule.copy() });
  }

  private finding({ property, known, schedule }: Own): KernelFinding {
    const at = this.campaign.bench.guestBreaksAt(schedule, property);
    const counterexample = this.counterexample(schedule, property, true, at);
    return { property: PROPERTY_NAMES[property], known: known?.why ?? null, counterexample };
  }

  /** A schedule that fails must fail at its end, too, when it is run from the boot. */
  private counterexample(
    schedule: Schedule,
    property: number,
    own: boolean,
    at: number,
  ): Counterexample {
    const text = JSON.stringify(schedule.actions());
    const name = PROPERTY_NAMES[property];
    assert(at === schedule.length, `${name} breaks from the boot at action ${at}: ${text}`);
    return { ...this.campaign.counterexample(schedule, property, own), label: 'minimal' };
  }

  private result(
    name: PropertyName,
    findings: readonly KernelFinding[],
    covered: number,
  ): ExploreResult {
    const { options, campaign } = this;
    const schedule = this.broken[PROPERTY[name]];
    const found = withoutVerdict(options, name);
    if (silence(options, name) !== null) return { ...found, verdict: 'not applicable' };
    if (schedule !== null) {
      const p = PROPERTY[name];
      const at = campaign.bench.breaksAt(schedule, p);
      const counterexample = this.counterexample(schedule, p, false, at);
      return { ...found, verdict: 'fails', counterexample };
    }
    const own = findings.filter(({ property }) => property === name);
    if (own.length > 0 && PROPERTIES[PROPERTY[name]].of === 'kernel') {
      const known = own.every((finding) => finding.known !== null);
      const [{ counterexample }] = own;
      return { ...found, verdict: 'fails', known, reason: own[0].known ?? '', counterexample };
    }
    const reach = campaign.bench.monitor.verdicts.reach;
    const met = reach[REACH[PROPERTIES[PROPERTY[name]].reach]] > 0;
    const verdict = covered < options.maxLength ? 'unknown' : met ? 'holds' : 'vacuous';
    return { ...found, verdict };
  }
}
