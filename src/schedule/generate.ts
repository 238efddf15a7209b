/**
 * Draws schedules, one action at a time, from those that the machine can perform next: nothing is
 * drawn and then skipped. A run switches some kinds of action off ("swarm"), so that the others
 * get to meet each other.
 */
import type { Machine } from '../machine/machine.js';
import { type ActionKind, SWARMS } from './action.js';
import type { Draw } from './draw.js';
import type { Drawing, RunStyle } from './drawing.js';
import { type ActionName, canBegin, canPerform, IS_VCPU, isFor, KIND, KINDS } from './table.js';

/** Until a run begins. */
const NO_DRAW: Draw = { below: () => 0 };

const NUMBERS = Uint8Array.from(KINDS.keys());
const VCPU_KINDS = NUMBERS.filter((kind) => IS_VCPU[kind] === 1);
const PCPU_KINDS = NUMBERS.filter((kind) => IS_VCPU[kind] === 0);

/** Draws after which the possible actions are listed: almost all draws need one or two. */
const TRIES = 32;

/** Families grow by forks, so a run with one family forks more often. */
const FAMILY_FORK_WEIGHT = 6;

/** Numbers of the actions of which something is true. */
function kindsWhere(is: (kind: ActionKind) => boolean): readonly number[] {
  return [...KINDS.keys()].filter((kind) => is(KINDS[kind]));
}

const SWITCHES = kindsWhere(({ outside }) => outside === 'switch');
const OUTSIDE = kindsWhere(({ outside }) => outside !== undefined);
const SWARM = SWARMS.map((name) => kindsWhere(({ swarm }) => swarm === name));

type Offer = (d: Generator, actor: number) => boolean;

/** Whether some parameters make an action possible; of a parameter that counts, the first do. */
const OFFERS: readonly Offer[] = KINDS.map(({ offer, params: [first] }, kind): Offer => {
  if (offer !== undefined) {
    return (d, actor) => canBegin(d.machine, kind, actor) && offer(d, actor);
  }
  const count = first?.count;
  if (count === undefined) {
    const least = first?.min ?? 0;
    return ({ machine }, actor) => canPerform(machine, kind, actor, least, 0);
  }
  return ({ machine }, actor) => {
    for (let i = count(machine, actor) - 1; i >= 0; i--) {
      if (canPerform(machine, kind, actor, i, 0)) return true;
    }
    return false;
  };
});

type DrawParams = (d: Generator, actor: number) => void;

/** Fills in the parameters, which are all 0 before. */
const DRAWS: readonly DrawParams[] = KINDS.map(({ draw, params: [first] }): DrawParams => {
  if (draw !== undefined) return draw;
  if (first?.repeats === true) return (d) => void (d.a = d.repeat());
  if (first?.count !== undefined) return (d, actor) => void (d.a = d.pickPossible(actor));
  return () => {};
});

interface Style extends RunStyle {
  callstackOnly: boolean;
  preemptive: boolean;
  guestsOnly: boolean;
  oneFamily: boolean;
}

export class Generator implements Drawing {
  kind = 0;
  actor = 0;
  a = 0;
  b = 0;
  c = 0;
  readonly machine: Machine;
  draw: Draw = NO_DRAW;
  readonly style: Style = {
    callstackOnly: false,
    preemptive: true,
    guestsOnly: false,
    oneFamily: false,
  };
  private readonly off: Uint8Array = new Uint8Array(KINDS.length);
  /** Sums of the weights of the kinds that a run has, in the order of VCPU_KINDS, PCPU_KINDS. */
  private readonly vcpuSums: Int32Array = new Int32Array(VCPU_KINDS.length);
  private readonly pcpuSums: Int32Array = new Int32Array(PCPU_KINDS.length);

  /** Numbers of the actions that no run has. */
  private readonly without: readonly number[];

  /**
   * @param without - actions that are never drawn. A pCPU on which nothing else can happen does
   *   host work even so: a schedule has a next action.
   */
  constructor(machine: Machine, without: readonly ActionName[] = []) {
    this.machine = machine;
    this.without = without.map((name) => KIND[name]);
  }

  /**
   * Starts a run and draws which groups of actions the run goes without.
   *
   * @param switches - whether vCPU switches are drawn; a recording brings its own.
   */
  begin(draw: Draw, switches: boolean): void {
    this.style.guestsOnly = false;
    this.style.oneFamily = false;
    this.beginWithout(draw, switches ? [] : SWITCHES);
  }

  /**
   * Starts a run in which nothing happens to a guest but what its own kernel does: the run meets
   * rare situations of that kernel sooner. Every vCPU must have a pCPU.
   */
  beginGuestsOnly(draw: Draw): void {
    const { style } = this;
    style.guestsOnly = true;
    style.oneFamily = draw.below(2) === 0;
    this.beginWithout(draw, OUTSIDE);
    style.callstackOnly ||= style.oneFamily && this.machine.config.model.callstack;
    style.preemptive = false;
  }

  private beginWithout(draw: Draw, without: readonly number[]): void {
    const { style, off } = this;
    this.draw = draw;
    off.fill(0);
    for (const kind of without) off[kind] = 1;
    for (let kind = 0; kind < off.length; kind++) if (!isFor(this.machine, kind)) off[kind] = 1;
    for (const group of SWARM) if (draw.below(2) === 0) for (const kind of group) off[kind] = 1;
    if (style.oneFamily) off[KIND.fork] = 0;
    for (const kind of this.without) off[kind] = 1;
    this.sumWeights(VCPU_KINDS, this.vcpuSums);
    this.sumWeights(PCPU_KINDS, this.pcpuSums);
    style.callstackOnly = draw.below(2) === 0 && this.machine.config.model.callstack;
    style.preemptive = draw.below(4) !== 0;
  }

  private sumWeights(kinds: Uint8Array, sums: Int32Array): void {
    let sum = 0;
    for (let i = 0; i < kinds.length; i++) {
      if (this.off[kinds[i]] === 0) sum += this.weight(kinds[i]);
      sums[i] = sum;
    }
  }

  private weight(kind: number): number {
    return this.style.oneFamily && kind === KIND.fork ? FAMILY_FORK_WEIGHT : KINDS[kind].weight;
  }

  /** Takes an action that was not drawn. */
  set(kind: number, actor: number, a: number, b: number): void {
    this.kind = kind;
    this.actor = actor;
    this.a = a;
    this.b = b;
    this.c = 0;
  }

  /** Draws the next action into the fields. There always is one: a pCPU can do host work. */
  next(): void {
    const { machine, draw } = this;
    const pcpus = machine.pcpus.length;
    let pcpu = draw.below(pcpus);
    // On a large machine most pCPUs may be idle, and little happens there.
    if (machine.loaded(pcpu) === null) pcpu = draw.below(pcpus);
    const vcpu = machine.loaded(pcpu);
    if (this.style.guestsOnly && vcpu !== null && this.drawKind(vcpu.id, true, true)) return;
    if (draw.below(64) === 0 && this.drawKind(draw.below(machine.vcpus.length), true, false)) {
      return;
    }
    if (vcpu !== null && draw.below(4) !== 0 && this.drawKind(vcpu.id, true, true)) return;
    this.drawKind(pcpu, false, true);
  }

  /**
   * Draws one of the actions that an actor can perform. Drawing among all by weight until one is
   * possible gives each possible one its share, and asks far fewer questions than a list would.
   * Returns false if there is none.
   */
  private drawKind(actor: number, isVcpu: boolean, loaded: boolean): boolean {
    const kinds = isVcpu ? VCPU_KINDS : PCPU_KINDS;
    const sums = isVcpu ? this.vcpuSums : this.pcpuSums;
    const total = sums[sums.length - 1];
    for (let tries = loaded && total > 0 ? TRIES : 0; tries > 0; tries--) {
      const pick = this.draw.below(total);
      let i = 0;
      while (sums[i] <= pick) i++;
      if (OFFERS[kinds[i]](this, actor)) return this.take(kinds[i], actor);
    }
    const rare = kinds.filter((kind) => this.off[kind] === 0 && this.offer(kind, actor, loaded));
    if (rare.length > 0) return this.take(rare[this.draw.below(rare.length)], actor);
    if (isVcpu) return false;
    this.set(KIND.hostWork, actor, 1, 0);
    return true;
  }

  private take(kind: number, actor: number): boolean {
    this.set(kind, actor, 0, 0);
    DRAWS[kind](this, actor);
    return true;
  }

  /** Whether some parameters make this kind possible. Little happens to a vCPU that is off. */
  private offer(kind: number, actor: number, loaded: boolean): boolean {
    return (loaded || kind === KIND.liveMigrate) && OFFERS[kind](this, actor);
  }

  pick(n: number, accept: (i: number) => boolean): number {
    let i = this.draw.below(n);
    while (!accept(i)) i = (i + 1) % n;
    return i;
  }

  pickPossible(actor: number): number {
    const { machine, kind } = this;
    const n = KINDS[kind].params[0].count?.(machine, actor) ?? 0;
    let i = this.draw.below(n);
    while (!canPerform(machine, kind, actor, i, 0)) i = (i + 1) % n;
    return i;
  }

  repeat(): number {
    const { draw } = this;
    if (draw.below(8) !== 0) return 1 + draw.below(3);
    return 1 + draw.below(this.machine.config.model.lbr_nr + 4);
  }

  accesses(): number {
    const { draw } = this;
    if (draw.below(2) === 0) return 12;
    return 6 * this.machine.config.model.lbr_nr + 12;
  }

  after(possible: boolean): number {
    if (!possible || !this.style.preemptive || this.draw.below(2) === 0) return 0;
    return 1 + this.draw.below(this.accesses());
  }
}
