/**
 * The actions that an exploration tries, in a fixed order: those of the table whose groups it has,
 * with the parameters that they ask for. What is left out is a bound, and is reported as one.
 */
import type { Machine } from '../machine/machine.js';
import {
  type Bounds,
  type Explored,
  type Exploring,
  type Group,
  GROUP_NAMES,
} from '../schedule/explored.js';
import { ACTION_NAMES, type ActionName, canPerform, KINDS } from '../schedule/table.js';

/** With these the sound policies have few enough states to be explored whole. */
export const DEFAULT_GROUPS: readonly Group[] = ['calls', 'tasks', 'events', 'pmi', 'inside'];

/** Receives the actions: kind, actor and three parameters. */
export type Offer = (kind: number, actor: number, a: number, b: number, c: number) => void;

interface Entry extends Explored {
  readonly kind: number;
}

const ENTRIES: readonly Entry[] = KINDS.flatMap(({ explored = [] }, kind) =>
  explored.map((how) => ({ ...how, kind })),
);

/** Groups that are tried just before another one. All others are tried as they are listed. */
const BEFORE: Partial<Record<Group, Group>> = { ioctl: 'pmi', exit: 'idle' };

function order({ groups: [first] }: Entry): number {
  const other = BEFORE[first];
  return other === undefined ? GROUP_NAMES.indexOf(first) : GROUP_NAMES.indexOf(other) - 0.5;
}

/** Entries that take turns: for each task, or for each event, one after the other. */
type Turn = readonly Entry[];

function turnsOf(when: Explored['when']): Turn[] {
  const turns: Entry[][] = [];
  const wanted = ENTRIES.filter((entry) => entry.when === when);
  for (const entry of wanted.sort((a, b) => order(a) - order(b))) {
    const last = turns.at(-1);
    if (entry.over !== undefined && last?.[0].over === entry.over) last.push(entry);
    else turns.push([entry]);
  }
  return turns;
}

const FUNCTIONS = turnsOf('function');
const AT_ONCE = turnsOf('at once');
const ON_PCPU = turnsOf('pcpu');
const OFF = turnsOf('off');

/** The actions that some of the groups are to bring. */
export function actionsOf(groups: readonly Group[]): readonly ActionName[] {
  const brought = ENTRIES.filter((entry) => entry.groups.some((group) => groups.includes(group)));
  return ACTION_NAMES.filter((_, kind) => brought.some((entry) => entry.kind === kind));
}

/** What a machine can do next, in a fixed order. */
export class Alphabet implements Exploring {
  readonly bounds: Bounds;
  readonly machine: Machine;
  readonly lbrOn: (vcpu: number) => boolean;
  readonly frames: (vm: number, task: number) => number;
  private readonly openedBy: Int32Array;

  /** @param opened - per VM: events that it has opened. */
  constructor(
    machine: Machine,
    bounds: Bounds,
    lbrOn: (vcpu: number) => boolean,
    frames: (vm: number, task: number) => number,
    opened: Int32Array,
  ) {
    this.machine = machine;
    this.bounds = bounds;
    this.lbrOn = lbrOn;
    this.frames = frames;
    this.openedBy = opened;
  }

  has(group: Group): boolean {
    return this.bounds.groups.includes(group);
  }

  opened(vm: number): number {
    return this.openedBy[vm];
  }

  /** Guest actions that access MSRs, or may: the host can come in between. */
  functions(v: number, offer: Offer): void {
    this.turns(FUNCTIONS, v, offer);
  }

  /** Guest actions that are over at once. */
  atOnce(v: number, offer: Offer): void {
    this.turns(AT_ONCE, v, offer);
  }

  /** What happens to a pCPU, a switch to another vCPU aside. */
  onPcpu(p: number, offer: Offer): void {
    this.turns(ON_PCPU, p, offer);
  }

  /** What happens to a vCPU that runs nowhere. */
  off(v: number, offer: Offer): void {
    this.turns(OFF, v, offer);
  }

  private turns(turns: readonly Turn[], actor: number, offer: Offer): void {
    for (const turn of turns) {
      const open = turn.filter(({ groups }) => groups.some((group) => this.has(group)));
      if (open.length === 0) continue;
      const count = open[0].over === undefined ? 1 : this.count(open[0], actor);
      for (let i = 0; i < count; i++) for (const entry of open) this.tryOne(entry, actor, i, offer);
    }
  }

  private count({ kind }: Entry, actor: number): number {
    return KINDS[kind].params[0].count?.(this.machine, actor) ?? 0;
  }

  private tryOne(entry: Entry, actor: number, first: number, offer: Offer): void {
    const { kind, each } = entry;
    const can = (a: number, b: number, c: number): void => {
      if (canPerform(this.machine, kind, actor, a, b)) offer(kind, actor, a, b, c);
    };
    if (each === undefined) can(first, 0, 0);
    else each(this, actor, can);
  }

  /** Whom a pCPU can switch to: vCPUs that run nowhere, and -1 for its idle thread. */
  successors(p: number): number[] {
    const { machine } = this;
    const list: number[] = [];
    const running = machine.pcpus.map((_, i) => machine.loaded(i)?.id ?? -1);
    for (const { id } of machine.vcpus) if (!running.includes(id)) list.push(id);
    if (this.has('idle') && machine.loaded(p) !== null) list.push(-1);
    return list;
  }
}
