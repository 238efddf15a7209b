import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { KernelVersion } from '../src/guest/perf/kernel.js';
import { findCpuModel } from '../src/hw/cpu_models.js';
import { findPolicy } from '../src/host/policy/index.js';
import type { PropertyName } from '../src/host/policy/policy.js';
import { PROPERTY_NAMES } from '../src/host/policy/policy.js';
import type { Action } from '../src/sim/actions.js';
import { Schedule } from '../src/sim/schedule.js';
import { Bench } from '../src/verify/run.js';

/** A schedule that was found once, and what it shows. */
interface Golden {
  readonly says: string;
  /** Whose failure it is; `nobody` for a schedule under which the property holds. */
  readonly whose: 'policy' | 'kernel' | 'nobody';
  readonly policy: string;
  readonly property: PropertyName;
  readonly cpu: string;
  readonly kernel: KernelVersion;
  readonly vms: number;
  readonly vcpus: number;
  readonly tasks: number;
  readonly pcpus: number;
  readonly actions: readonly Action[];
}

const DIR = new URL('./golden/', import.meta.url);
const FILES = readdirSync(DIR).filter((name) => /^\d{3}-.*\.json$/.test(name));

function benchOf(golden: Golden): Bench {
  const { vms, vcpus, tasks, pcpus, kernel } = golden;
  const model = findCpuModel(golden.cpu);
  const policy = findPolicy(golden.policy);
  if (model === undefined || policy === undefined) throw new Error('a golden names what exists');
  return new Bench({ model, policy, kernel, vms, vcpus, tasks, pcpus });
}

describe('schedules found once', () => {
  for (const name of FILES) {
    it(`always shows what ${name} says`, () => {
      const golden = JSON.parse(readFileSync(new URL(name, DIR), 'utf8')) as Golden;
      const bench = benchOf(golden);
      const schedule = Schedule.of(golden.actions);
      const property = PROPERTY_NAMES.indexOf(golden.property);
      const { verdicts } = bench.monitor;
      bench.boot();
      for (let i = 0; i < schedule.length; i++) {
        expect(bench.step(schedule, i), `action ${i + 1} is possible`).toBe(true);
        const last = i === schedule.length - 1;
        if (!last) expect(verdicts.broken[property], `action ${i + 1}`).toBe(0);
      }
      expect(verdicts.broken[property]).toBe(golden.whose === 'policy' ? 1 : 0);
      expect(verdicts.own[property]).toBe(golden.whose === 'kernel' ? 1 : 0);
    });
  }
});
