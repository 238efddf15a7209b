/**
 * Whatever branches were gone before it, a schedule ends as it does from the boot: the machine has
 * the same words, the judge remembers the same, and says the same.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bench } from '../../src/campaign/trial.js';
import type { DriverKind } from '../../src/guest/perf/lbr_driver.js';
import { PORT } from '../../src/guest/perf/lbr_port.js';
import { Machine } from '../../src/machine/machine.js';
import type { MachineConfig } from '../../src/machine/config.js';
import { type Group, GROUP_NAMES } from '../../src/schedule/explored.js';
import { actionText } from '../../src/schedule/action_text.js';
import type { Schedule } from '../../src/schedule/schedule.js';
import { Branching, isArming } from '../../src/states/branching.js';
import { imageDriver } from '../../src/tree/image/image.js';
import { cpuModel } from '../rig/cpu.js';
import { imageOf, imageVersions } from '../rig/images.js';
import { machineConfig, policyOf } from '../rig/machine.js';

/** Where the moves of a list begin: one that arms a switch is two actions. */
function startsOf(moves: Schedule): number[] {
  const starts: number[] = [];
  for (let i = 0; i < moves.length; i += isArming(moves, i) ? 2 : 1) starts.push(i);
  return starts;
}

/** Words of nothing: scratch of one function, and frames above the top of a stack. */
const NOTHING = ['held', 'frames'];

/** All words that an object and its parts have, by name. */
function wordsOf(object: object, path = '', seen: Set<object> = new Set()): [string, number[]][] {
  if (object instanceof Machine || seen.has(object)) return [];
  seen.add(object);
  if (object instanceof Int32Array || object instanceof Uint8Array) return [[path, [...object]]];
  return Object.entries(object).flatMap(([name, part]: [string, unknown]) =>
    typeof part !== 'object' || part === null || NOTHING.includes(name)
      ? []
      : wordsOf(part, `${path}.${name}`, seen),
  );
}

/** What a machine and its judge have at the end of a schedule. */
function endOf({ machine, monitor }: Pick<Branching, 'machine' | 'monitor'>): object {
  const { broken, own, details, ownDetails } = monitor.verdicts;
  const told = [...broken].map((is, p) => (is !== 0 ? details[p] : ''));
  const ownTold = [...own].map((is, p) => (is !== 0 ? ownDetails[p] : ''));
  return { words: [...machine.memory.words], judge: wordsOf(monitor), told, ownTold };
}

const ALL_ACTIONS = { groups: GROUP_NAMES, events: 3, calls: 4, suspended: 2 };
const STEPS = 12;
const picks = fc.array(fc.nat(), { minLength: 3 * STEPS, maxLength: 3 * STEPS });

/** Goes one wrong branch of up to two moves before each step of a schedule. */
function walk(branching: Branching, draws: readonly number[]): void {
  const pick = (moves: Schedule, draw: number): number => {
    const starts = startsOf(moves);
    // A switch inside a function is one of two: there are so many of them.
    const inside = starts.filter((i) => isArming(moves, i));
    const among = draw % 2 === 0 && inside.length > 0 ? inside : starts;
    return among[(draw >>> 1) % among.length];
  };
  branching.boot();
  for (let step = 0; step < STEPS; step++) {
    const { length } = branching.schedule;
    const moves = branching.enter(0, 2);
    const [first, second, right] = draws.slice(3 * step, 3 * step + 3);
    branching.back(0, length);
    branching.go(moves, pick(moves, first));
    const deeper = branching.enter(1, 2);
    branching.back(1, branching.schedule.length);
    branching.go(deeper, pick(deeper, second));
    branching.back(0, length);
    branching.go(moves, pick(moves, right));
  }
}

function check(config: MachineConfig, numRuns: number): void {
  const bench = new Bench(config);
  const branching = new Branching(...branchingParts(config));
  fc.assert(
    fc.property(picks, (draws) => {
      walk(branching, draws);
      bench.boot();
      const { schedule } = branching;
      for (let i = 0; i < schedule.length; i++) {
        expect([bench.step(schedule, i), actionText(schedule.action(i))]).toContain(true);
      }
      expect(endOf(branching)).toEqual(endOf(bench));
    }),
    { numRuns },
  );
}

function branchingParts(config: MachineConfig): ConstructorParameters<typeof Branching> {
  const { machine, monitor } = new Bench(config);
  return [machine, monitor, ALL_ACTIONS];
}

function configOf(policy: string, vcpus: number, driver: DriverKind): MachineConfig {
  const shape = { vms: vcpus === 1 ? 2 : 1, vcpus, tasks: 2, pcpus: 1 };
  return {
    ...machineConfig({ shape, policy: policyOf(policy) }),
    model: cpuModel('haswell'),
    driver,
  };
}

describe('a branch', () => {
  it.each(['merged', 'v8'])('a branch on the port ends as from the boot, under %s', (policy) => {
    for (const vcpus of [1, 2]) check(configOf(policy, vcpus, PORT), 20);
  });

  it('offers the tick to the port as well', () => {
    const branching = new Branching(...branchingParts(configOf('never', 1, PORT)));
    branching.boot();
    const moves = branching.enter(0, 1);
    const image: Group = 'image';
    expect(ALL_ACTIONS.groups).toContain(image);
    expect(moves.actions().map(({ kind }) => kind)).toContain('tick');
  });

  describe.each(imageVersions('6.1', '7.3'))('on the image of Linux %s', (version) => {
    it('ends as from the boot', async () => {
      const driver = imageDriver(await imageOf(version));
      for (const vcpus of [1, 2]) check(configOf('merged', vcpus, driver), 4);
    });

    it('goes through an exit, execve, ticks and turns of events', async () => {
      const driver = imageDriver(await imageOf(version));
      const branching = new Branching(...branchingParts(configOf('never', 1, driver)));
      branching.boot();
      const moves = branching.enter(0, 1).actions().map(actionText);
      expect(moves).toEqual(
        expect.arrayContaining(['v0: taskExit task=1', 'v0: exec', 'v0: tick', 'v0: rotate']),
      );
    });
  });
});
