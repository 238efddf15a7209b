/**
 * Schedules for fast-check, which has to be installed beside vlbr. Each action is drawn from those
 * that the machine can perform next, so no action is generated and skipped.
 */
import fc from 'fast-check';
import { ACTIONS_PER_RUN } from './campaign/campaign.js';
import { Bench } from './campaign/trial.js';
import type { MachineConfig } from './machine/config.js';
import { Generator } from './schedule/generate.js';
import { performAt, Schedule } from './schedule/schedule.js';

class ScheduleArbitrary extends fc.Arbitrary<Schedule> {
  private readonly bench: Bench;
  private readonly generator: Generator;
  private readonly steps: number;

  constructor(config: MachineConfig, steps: number) {
    super();
    this.bench = new Bench(config);
    this.generator = new Generator(this.bench.machine);
    this.steps = steps;
  }

  override generate(random: fc.Random): fc.Value<Schedule> {
    const { bench, generator } = this;
    const schedule = new Schedule();
    bench.boot();
    generator.begin({ below: (n: number): number => random.nextInt(0, n - 1) }, true);
    for (let i = 0; i < this.steps; i++) {
      generator.next();
      const { kind, actor, a, b, c } = generator;
      schedule.push(kind, actor, a, b, c);
      performAt(bench.machine, schedule, i);
    }
    return new fc.Value(schedule, undefined);
  }

  override canShrinkWithoutContext(_value: unknown): _value is Schedule {
    return false;
  }

  override shrink(schedule: Schedule): fc.Stream<fc.Value<Schedule>> {
    return fc.stream(this.smaller(schedule));
  }

  private *smaller(schedule: Schedule): IterableIterator<fc.Value<Schedule>> {
    for (let size = schedule.length >> 1; size >= 1; size >>= 1) {
      for (let from = 0; from + size <= schedule.length; from += size) {
        const rest = new Schedule();
        rest.append(schedule, 0, from);
        rest.append(schedule, from + size, schedule.length);
        yield new fc.Value(rest, undefined);
      }
    }
  }
}

/**
 * Schedules that a machine can perform. Shrinking removes actions; what is no longer possible then
 * is passed over when the schedule is run.
 *
 * @param steps - actions in a schedule, before it is shrunk.
 *
 * @example
 * import fc from 'fast-check';
 * import { breakerOf, findCpuModel, findPolicy } from 'vlbr';
 * import { schedules } from 'vlbr/fast-check';
 *
 * const shape = { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 };
 * const [policy, model] = [findPolicy('lazy-sound'), findCpuModel('skylake')];
 * const config = { shape, model, kernel: '6.1', policy };
 * const holds = fc.property(schedules(config), (schedule) => {
 *   return breakerOf({ config, property: 'no-leak/vm', schedule, whose: null }) === 'nobody';
 * });
 * fc.check(holds, { numRuns: 20, seed: 1 }).failed; // false
 */
export function schedules(
  config: MachineConfig,
  steps: number = ACTIONS_PER_RUN,
): fc.Arbitrary<Schedule> {
  return new ScheduleArbitrary(config, steps);
}
