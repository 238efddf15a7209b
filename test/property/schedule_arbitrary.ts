import fc from 'fast-check';
import type { MachineConfig } from '../../src/machine/config.js';
import { Generator } from '../../src/schedule/generate.js';
import { perform } from '../../src/schedule/table.js';
import { Schedule } from '../../src/schedule/schedule.js';
import { Bench } from '../../src/campaign/trial.js';

/**
 * Schedules for fast-check. Each action is drawn from those that the machine can perform next, so
 * no action is generated and skipped. Shrinking removes actions.
 */
export class ScheduleArbitrary extends fc.Arbitrary<Schedule> {
  private readonly bench: Bench;
  private readonly generator: Generator;
  private readonly maxSteps: number;

  constructor(config: MachineConfig, maxSteps: number) {
    super();
    this.bench = new Bench(config);
    this.generator = new Generator(this.bench.machine);
    this.maxSteps = maxSteps;
  }

  override generate(random: fc.Random): fc.Value<Schedule> {
    const { bench, generator } = this;
    const schedule = new Schedule();
    bench.boot();
    generator.begin({ below: (n: number): number => random.nextInt(0, n - 1) }, true);
    for (let i = 0; i < this.maxSteps; i++) {
      generator.next();
      const { kind, actor, a, b, c } = generator;
      schedule.push(kind, actor, a, b, c);
      perform(bench.machine, kind, actor, a, b, c);
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
