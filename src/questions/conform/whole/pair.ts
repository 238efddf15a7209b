/**
 * The port and a kernel's whole path on two machines of one kind: the same actions on both, and
 * after each of them a comparison of all that their guests did and are in. Under the policy `kvm`,
 * the tree's perf runs on both, and the tree's KVM is compared with the model of it, `merged`.
 */
import type { DriverKind } from '../../../guest/perf/lbr_driver.js';
import { PORT } from '../../../guest/perf/lbr_port.js';
import { merged } from '../../../host/policy/merged.js';
import type { LbrPolicy } from '../../../host/policy/policy.js';
import type { MachineConfig } from '../../../machine/config.js';
import type { Draw } from '../../../schedule/draw.js';
import { Generator } from '../../../schedule/generate.js';
import { Schedule } from '../../../schedule/schedule.js';
import { KIND } from '../../../schedule/table.js';
import { crashed, type Divergence, divergenceOf, performedByOne } from './divergence.js';
import { Side } from './side.js';
import { differingWord } from './state.js';
import { differingRow } from './trace.js';

/** How much was compared, counted on the port. */
export interface Counts {
  schedules: number;
  actions: number;
  /** Accesses of the guests, with what they read or wrote and whether they faulted. */
  accesses: number;
  /** States of events, of each event after each action. */
  eventStates: number;
  samples: number;
}

export function noCounts(): Counts {
  return { schedules: 0, actions: 0, accesses: 0, eventStates: 0, samples: 0 };
}

/**
 * Whether `merged` does an action in another way than a KVM that runs: a migration takes the
 * thread to a pCPU; a PMI inside a function of a guest may find that its counter does not count by
 * then; and beside an event of the host's own, the events that KVM makes for a guest's counters
 * are among those that perf takes out and puts in again.
 */
function isOtherwise(kind: number, b: number): boolean {
  if (kind === KIND.pmi) return b > 0;
  return kind === KIND.liveMigrate || kind === KIND.hostEvent || kind === KIND.hostCounters;
}

export class Pair {
  readonly config: MachineConfig;
  /** The schedule of the last run: its actions up to the one that differs, if one does. */
  readonly schedule: Schedule = new Schedule();
  private readonly driver: DriverKind;
  /** Of the kernel's side. */
  private readonly policy: LbrPolicy;
  readonly port: Side;
  kernel: Side;
  private readonly generator: Generator;

  /** @param kernel - the whole path of a tree. */
  constructor(config: MachineConfig, kernel: DriverKind) {
    this.driver = kernel;
    const { ofTree = false, needlessSwitches } = config.policy;
    this.policy = config.policy;
    this.config = ofTree
      ? { ...config, policy: { ...merged, needlessSwitches }, driver: kernel }
      : { ...config, driver: PORT };
    this.port = new Side(this.config, ofTree);
    this.kernel = this.madeKernel();
    this.generator = new Generator(this.port.machine);
  }

  private madeKernel(): Side {
    const { config, driver, policy } = this;
    return new Side({ ...config, driver, policy }, policy.ofTree);
  }

  /** Draws a schedule on the port as it goes. Returns the first difference, or null. */
  drawn(draw: Draw, actions: number, counts: Counts): Divergence | null {
    const { generator, schedule, port } = this;
    const { accesses, samples } = port.trace;
    const { events } = port.state;
    schedule.clear();
    let divergence = this.boot();
    if (divergence === null) generator.begin(draw, true);
    while (divergence === null && schedule.length < actions) {
      this.next();
      const { kind, actor, a, b, c } = generator;
      schedule.push(kind, actor, a, b, c);
      divergence = this.step(schedule, schedule.length - 1);
    }
    counts.schedules++;
    counts.actions += schedule.length;
    counts.accesses += port.trace.accesses - accesses;
    counts.samples += port.trace.samples - samples;
    counts.eventStates += port.state.events - events;
    return divergence;
  }

  /** Draws the next action, leaving out what the model of KVM is known to do in another way. */
  private next(): void {
    const { generator, policy } = this;
    do generator.next();
    while (policy.ofTree === true && isOtherwise(generator.kind, generator.b));
  }

  /** Runs a schedule from the boot. Returns the first difference, or null. */
  run(schedule: Schedule): Divergence | null {
    let divergence = this.boot();
    for (let i = 0; i < schedule.length && divergence === null; i++) {
      divergence = this.step(schedule, i);
    }
    return divergence;
  }

  private boot(): Divergence | null {
    this.port.boot();
    try {
      this.kernel.boot();
    } catch (error) {
      return this.crash(-1, error);
    }
    return this.compared(-1);
  }

  private step(schedule: Schedule, i: number): Divergence | null {
    const { port } = this;
    const possible = port.step(schedule, i);
    let alsoPossible: boolean;
    try {
      alsoPossible = this.kernel.step(schedule, i);
    } catch (error) {
      return this.crash(i, error);
    }
    return possible === alsoPossible ? this.compared(i) : performedByOne(i, possible);
  }

  private compared(action: number): Divergence | null {
    const { port, kernel } = this;
    const row = differingRow(port.trace, kernel.trace);
    const word = row < 0 ? differingWord(port.state, kernel.state) : -1;
    return row < 0 && word < 0 ? null : divergenceOf(this.port, this.kernel, action, row, word);
  }

  /** A crash may leave an instance in the middle of something, so there is a new one. */
  private crash(action: number, error: unknown): Divergence {
    const divergence = crashed(this.port, action, error);
    this.kernel = this.madeKernel();
    return divergence;
  }
}
