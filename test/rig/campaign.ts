/** A small campaign, and the doing of its units in this thread. */
import { DEFAULT_SHAPES } from '../../src/campaign/campaign.js';
import { PORT } from '../../src/guest/perf/lbr_port.js';
import { PROPERTY_NAMES } from '../../src/judge/properties.js';
import { type Asked, subjectsOf } from '../../src/store/asked.js';
import type { Crew } from '../../src/store/owner.js';
import { doUnit, type Unit, type UnitDone, type UnitOptions } from '../../src/store/unit.js';
import { cpuModel } from './cpu.js';
import { policyOf } from './machine.js';

export const PORT_7_3 = {
  name: '7.3',
  kernel: '7.3',
  version: '7.3',
  code: null,
  words: [],
} as const;

/** What fails often, so that a few runs find something. */
export const ASKED: Asked = {
  targets: [PORT_7_3],
  cpus: ['haswell/4'],
  policies: ['merged', 'parked'],
  properties: PROPERTY_NAMES,
  shapes: DEFAULT_SHAPES,
  without: [],
  runs: 50,
  unitRuns: 20,
  seed: 1,
  shorten: false,
};

/** The options of a subject's units. */
export function optionsOf(
  asked: Asked,
  subject: number,
  alive: () => boolean = () => true,
): UnitOptions {
  const { target, cpu, policy } = subjectsOf(asked)[subject];
  const named = { model: cpuModel(cpu), policy: policyOf(policy), driver: PORT };
  return { ...named, asked, target, alive, ran: alive };
}

/** As what a unit comes to is after it has crossed to another process. */
export function crossed<T>(done: T): T {
  return JSON.parse(JSON.stringify(done)) as T;
}

/**
 * Does units in this thread, and gives the results out of order.
 *
 * @param pick - the index of the result that comes next, of so many.
 * @param most - units after which the crew is to end.
 */
export function crewOf(asked: Asked, pick: (n: number) => number, most: number = Infinity): Crew {
  const waiting: (() => void)[] = [];
  let units = 0;
  return {
    atOnce: 4,
    get ended() {
      return units >= most;
    },
    do: async (subject: number, unit: Unit): Promise<UnitDone | null> => {
      const cut = units++ >= most;
      const turn = new Promise<void>((resolve) => void waiting.push(resolve));
      setImmediate(() => waiting.splice(pick(waiting.length), 1)[0]?.());
      await turn;
      return cut ? null : crossed(doUnit(optionsOf(asked, subject), unit));
    },
  };
}
