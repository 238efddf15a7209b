/**
 * Speed on one core: schedule steps and guest MSR accesses a second with all properties checked,
 * beside a plain fast-check run (`fc.commands` and `fc.modelRun`) of the same actions on the same
 * machine. One process measures the figures of a line in turns, so ratios hold even if the
 * machine's speed drifts.
 */
import fc from 'fast-check';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { DriverKind } from '../src/guest/perf/lbr_driver.js';
import { PORT } from '../src/guest/perf/lbr_port.js';
import { findPolicy } from '../src/host/policy/index.js';
import { findCpuModel, withDepth } from '../src/hw/cpu_models.js';
import { buildKernel } from '../src/tree/build.js';
import { kernelDriver } from '../src/tree/driver.js';
import { KernelError } from '../src/tree/errors.js';
import { installedKernel, readKernelSource } from '../src/tree/source.js';
import { ACTION_NAMES, ACTIONS, type ActionName } from '../src/schedule/table.js';
import type { MachineConfig } from '../src/machine/config.js';
import { BRANCH_TYPES } from '../src/schedule/actions/events.js';
import { Generator } from '../src/schedule/generate.js';
import { canPerform, perform } from '../src/schedule/table.js';
import { Schedule, step } from '../src/schedule/schedule.js';
import { Bench } from '../src/campaign/trial.js';
import { REACH } from '../src/judge/properties.js';

const STEPS = 60;
const ROUNDS = 5;

/** Performed steps, LBR accesses of guests, and seconds. */
interface Measured {
  steps: number;
  accesses: number;
  seconds: number;
}

function configOf(policy: string, depth: number, driver: DriverKind = PORT): MachineConfig {
  const model = findCpuModel('skylake');
  const found = findPolicy(policy);
  if (model === undefined || found === undefined)
    throw new Error('the benchmark names what exists');
  const shape = { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 };
  return { shape, model: withDepth(model, depth), kernel: '6.1', policy: found, driver };
}

function measure(bench: Bench, work: () => number): Measured {
  const { reach } = bench.monitor.verdicts;
  const before = reach[REACH['lbr-access']];
  const start = performance.now();
  const steps = work();
  const seconds = (performance.now() - start) / 1000;
  return { steps, accesses: reach[REACH['lbr-access']] - before, seconds };
}

/** Generates and checks, as `vlbr verify` does. Keeps the schedules for `replayed`. */
function generated(bench: Bench, runs: number, seed: number, kept: Schedule[]): Measured {
  const rng = xoroshiro128plus(seed);
  const draw = { below: (n: number): number => (rng.next() >>> 0) % n };
  const generator = new Generator(bench.machine);
  return measure(bench, () => {
    for (let run = 0; run < runs; run++) {
      const schedule = new Schedule();
      bench.boot();
      generator.begin(draw, true);
      for (let i = 0; i < STEPS; i++) {
        generator.next();
        const { kind, actor, a, b, c } = generator;
        schedule.push(kind, actor, a, b, c);
        perform(bench.machine, kind, actor, a, b, c);
      }
      kept.push(schedule);
    }
    return runs * STEPS;
  });
}

/** Runs given schedules: the model and the checks, without generation. */
function replayed(bench: Bench, schedules: readonly Schedule[]): Measured {
  return measure(bench, () => {
    let steps = 0;
    for (const schedule of schedules) {
      bench.boot();
      for (let i = 0; i < schedule.length; i++) if (step(bench.machine, schedule, i)) steps++;
    }
    return steps;
  });
}

interface Model {
  readonly bench: Bench;
}

class ActionCommand implements fc.Command<Model, Bench> {
  static performed = 0;
  private readonly words: readonly number[];

  constructor(words: readonly number[]) {
    this.words = words;
  }

  check(model: Readonly<Model>): boolean {
    const [kind, actor, a, b] = this.words;
    return canPerform(model.bench.machine, kind, actor, a, b);
  }

  run(_model: Model, bench: Bench): void {
    const [kind, actor, a, b, c] = this.words;
    perform(bench.machine, kind, actor, a, b, c);
    ActionCommand.performed++;
  }

  toString(): string {
    return this.words.join(' ');
  }
}

/** Parameters as a plain arbitrary draws them, without regard to the machine's state. */
function paramOf(name: string): fc.Arbitrary<number> {
  if (name === 'n') return fc.integer({ min: 1, max: 4 });
  if (name === 'after') return fc.integer({ min: 0, max: 60 });
  if (name === 'type') return fc.constantFrom(...BRANCH_TYPES);
  if (name === 'msr') return fc.constantFrom(1665, 1729, 457);
  if (name === 'eax' || name === 'edx') return fc.constant(0);
  return fc.integer({ min: 0, max: 1 });
}

function commandOf(name: ActionName, kind: number): fc.Arbitrary<ActionCommand> {
  const params = ACTIONS[name].params.map((param) => paramOf(param.name));
  return fc
    .tuple(fc.integer({ min: 0, max: 1 }), ...params)
    .map(([actor, a = 0, b = 0, c = 0]) => new ActionCommand([kind, actor, a, b, c]));
}

function plainFastCheck(bench: Bench, runs: number, seed: number): Measured {
  const commands = fc.commands(ACTION_NAMES.map(commandOf), { maxCommands: STEPS, size: 'max' });
  return measure(bench, () => {
    ActionCommand.performed = 0;
    const property = fc.property(commands, (list) => {
      bench.boot();
      fc.modelRun(() => ({ model: { bench }, real: bench }), list);
    });
    fc.assert(property, { numRuns: runs, seed });
    return ActionCommand.performed;
  });
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

const rate = (m: Measured): number => m.steps / m.seconds;

function line(policy: string, depth: number): void {
  const bench = new Bench(configOf(policy, depth));
  const rates: { own: number[]; model: number[]; plain: number[]; accesses: number[] } = {
    own: [],
    model: [],
    plain: [],
    accesses: [],
  };
  for (let round = 0; round <= ROUNDS; round++) {
    const schedules: Schedule[] = [];
    const own = generated(bench, 1500, round + 1, schedules);
    const model = replayed(bench, schedules);
    const plain = plainFastCheck(bench, 300, round + 1);
    if (round === 0) continue; // The first round warms up the compiler.
    rates.own.push(rate(own));
    rates.model.push(rate(model));
    rates.plain.push(rate(plain));
    rates.accesses.push(own.accesses / own.seconds);
  }
  const own = median(rates.own);
  const model = median(rates.model);
  const plain = median(rates.plain);
  const cells = [
    `${policy} depth ${depth}`.padEnd(22),
    `${Math.round(own / 1000)}k steps/s`.padStart(14),
    `${Math.round(median(rates.accesses) / 1000)}k LBR accesses/s`.padStart(22),
    `replayed ${Math.round(model / 1000)}k`.padStart(16),
    `fc.commands ${Math.round(plain / 1000)}k`.padStart(20),
    `${(own / plain).toFixed(1)} x`.padStart(8),
  ];
  console.log(cells.join(''));
}

/** The kernel's C file beside the port, on the same schedules. */
function driverLine(policy: string, depth: number, driver: DriverKind): void {
  const port = new Bench(configOf(policy, depth));
  const kernel = new Bench(configOf(policy, depth, driver));
  const rates: { port: number[]; kernel: number[] } = { port: [], kernel: [] };
  for (let round = 0; round <= ROUNDS; round++) {
    const schedules: Schedule[] = [];
    const own = generated(port, 1500, round + 1, schedules);
    const other = generated(kernel, 1500, round + 1, []);
    if (round === 0) continue;
    rates.port.push(rate(own));
    rates.kernel.push(rate(other));
  }
  const [a, b] = [median(rates.port), median(rates.kernel)];
  const cells = [
    `${policy} depth ${depth}`.padEnd(22),
    `port ${Math.round(a / 1000)}k steps/s`.padStart(19),
    `kernel ${Math.round(b / 1000)}k steps/s`.padStart(22),
    `${(b / a).toFixed(2)} x`.padStart(10),
  ];
  console.log(cells.join(''));
}

/** The driver of the installed kernel. If there is none, prints the reason and returns null. */
function installedDriver(): DriverKind | null {
  try {
    return kernelDriver(buildKernel(readKernelSource(installedKernel())));
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    console.log(`kernel driver: not measured: ${error.message}`);
    return null;
  }
}

const POLICIES = ['always', 'merged', 'parked'];
for (const policy of POLICIES) for (const depth of [8, 32]) line(policy, depth);
const driver = installedDriver();
if (driver !== null) {
  for (const policy of POLICIES) for (const depth of [8, 32]) driverLine(policy, depth, driver);
}
