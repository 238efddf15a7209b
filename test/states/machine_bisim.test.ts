/** The explored machine beside the machine of `verify`: same actions and verdicts at each step. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Alphabet, type Offer } from '../../src/states/alphabet.js';
import { PROPERTY_NAMES, type PropertyName } from '../../src/judge/properties.js';
import { type Action, ACTION_NAMES, ACTIONS, KIND, perform } from '../../src/schedule/table.js';
import { Machine } from '../../src/machine/machine.js';
import { Schedule } from '../../src/schedule/schedule.js';
import { Bench } from '../../src/campaign/trial.js';
import { type Drawn, explorations, textOf, Walker } from '../rig/states.js';
import { Observer } from '../../src/host/observer.js';
import { seeded } from '../rig/seed.js';

/** More accesses than any function makes. */
const FAR = 10_000;

/** The machine as `verify` runs it, with the actions that an exploration may try. */
class Plain {
  private readonly bench: Bench;
  private readonly drawn: Drawn;
  private readonly opened: Int32Array;
  private readonly alphabet: Alphabet;
  /** A scratch machine for counting the accesses of a function. */
  private readonly spare: Machine;

  constructor(drawn: Drawn) {
    const { config, bounds } = drawn;
    this.drawn = drawn;
    this.bench = new Bench(config);
    this.bench.boot();
    this.opened = new Int32Array(config.shape.vms);
    const { machine, monitor } = this.bench;
    this.alphabet = new Alphabet(
      machine,
      bounds,
      (vcpu) => monitor.reference.of(vcpu).recording,
      (vm, task) => monitor.samples.frames(vm, task),
      this.opened,
    );
    this.spare = new Machine(config, new Observer());
  }

  /** Performs an action's part of a schedule. Returns the properties that broke. */
  perform(actions: readonly Action[]): PropertyName[] {
    const { machine, monitor } = this.bench;
    monitor.verdicts.clear();
    const schedule = Schedule.of(actions);
    for (let i = 0; i < schedule.length; i++) expect(this.bench.step(schedule, i)).toBe(true);
    for (const { kind, actor } of actions) {
      if (kind === 'open') this.opened[machine.vcpus[actor].vm]++;
    }
    return PROPERTY_NAMES.filter((_, p) => monitor.verdicts.broken[p] !== 0);
  }

  actions(): string[] {
    const { machine } = this.bench;
    const texts: string[] = [];
    const offer: Offer = (kind, actor, ...args) =>
      void texts.push(textOf([action(kind, actor, args)]));
    machine.pcpus.forEach((_, p) => {
      for (const next of this.alphabet.successors(p)) {
        if (next < 0) offer(KIND.idle, p, 0, 0, 0);
        else offer(KIND.run, p, next, 0, 0);
      }
      this.alphabet.onPcpu(p, offer);
      const loaded = machine.loaded(p);
      if (loaded === null) return;
      this.alphabet.atOnce(loaded.id, offer);
      this.alphabet.functions(loaded.id, (kind, actor, ...args) => {
        offer(kind, actor, ...args);
        texts.push(...this.interrupted(p, loaded.id, kind, args));
      });
    });
    if (this.alphabet.has('migrate')) {
      for (const { id, pcpu } of machine.vcpus) if (pcpu < 0) offer(KIND.liveMigrate, id, 0, 0, 0);
    }
    return texts.sort();
  }

  /** Runs the same function with a switch before each of its accesses. */
  private interrupted(p: number, v: number, kind: number, args: readonly number[]): string[] {
    const { machine } = this.bench;
    const others = machine.ports.filter(({ suspended }, id) => suspended !== 0 && id !== v);
    if (!this.alphabet.has('inside')) return [];
    if (others.length >= this.drawn.bounds.suspended) return [];
    const [a, b, c] = args;
    const { spare } = this;
    spare.memory.words.set(machine.memory.words);
    spare.arm(p, -1, FAR);
    perform(spare, kind, v, a, b, c);
    const accesses = FAR + 1 - spare.disarm(p);
    return this.alphabet.successors(p).flatMap((next) =>
      Array.from({ length: accesses }, (_, i) => {
        const params = next < 0 ? [i + 1] : [next, i + 1];
        return textOf([
          { kind: next < 0 ? 'idle' : 'run', actor: p, args: params },
          action(kind, v, args),
        ]);
      }),
    );
  }
}

function action(kind: number, actor: number, args: readonly number[]): Action {
  const name = ACTION_NAMES[kind];
  return { kind: name, actor, args: args.slice(0, ACTIONS[name].params.length) };
}

describe('MachineModel', () => {
  it('an explored machine can do what the machine can, and breaks what it breaks', () => {
    const reached = new Map<string, number>();
    fc.assert(
      fc.property(explorations(60), (drawn) => {
        const walker = new Walker(drawn);
        const plain = new Plain(drawn);
        const state = walker.first();
        for (const pick of drawn.picks) {
          const actions = walker.actions(state);
          const texts = actions.map((one) => walker.text(state, one)).sort();
          expect(texts).toEqual(plain.actions());
          if (actions.length === 0) break;
          const one = walker.pick(actions, pick);
          const broken = plain.perform(walker.model.actionsOf(state, one));
          walker.model.apply(state, one);
          const { invariants } = walker.model;
          expect(invariants.filter((claim) => !claim.holds(state)).map(({ name }) => name)).toEqual(
            broken,
          );
          for (const name of broken) reached.set(name, (reached.get(name) ?? 0) + 1);
        }
      }),
      seeded(150),
    );
    // The comparison is worthless unless these properties broke at some time.
    expect([...reached.keys()]).toEqual(
      expect.arrayContaining([
        'no-loss/callstack',
        'no-loss/any',
        'host-intact',
        'owner-only',
        'recorder-owned',
        'no-needless-switch',
        'no-premature-stop',
        'balanced',
      ]),
    );
  });
});
