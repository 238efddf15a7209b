/** The C file in the machine behaves as the port, and its state lies in the block. */
import { readdirSync, readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { DriverKind } from '../../src/guest/perf/lbr_driver.js';
import { PORT } from '../../src/guest/perf/lbr_port.js';
import { POLICIES } from '../../src/host/policy/index.js';
import { CPU_MODELS, type CpuModel } from '../../src/hw/cpu_models.js';
import { kernelDriver } from '../../src/tree/driver.js';
import type { MachineConfig, Shape } from '../../src/machine/config.js';
import { type Schedule, step } from '../../src/schedule/schedule.js';
import { AccessLog, partsAt } from '../../src/questions/review/access_log.js';
import { drawOf } from '../../src/schedule/draw.js';
import { DEFAULT_SHAPES } from '../../src/campaign/campaign.js';
import { ShapeCampaign } from '../../src/campaign/shape_campaign.js';
import { breakerOf, parseReplayText } from '../../src/campaign/replay_file.js';
import { Bench } from '../../src/campaign/trial.js';
import { installedBinary, installedSource } from '../rig/installed_kernel.js';
import { cpuModel } from '../rig/cpu.js';
import { machineConfig, policyOf } from '../rig/machine.js';
import { SEED } from '../rig/seed.js';

const STEPS = 60;

function configOf(policyName: string, model: CpuModel, shape: Shape): MachineConfig {
  return machineConfig({ shape, model, policy: policyOf(policyName) });
}

const GOLDEN_FOLDER = new URL('../golden/', import.meta.url);

/** The kept schedules, except those for 4.18, for which there is no C file here. */
const GOLDEN = readdirSync(GOLDEN_FOLDER)
  .filter((name) => /^\d{3}-.*\.json$/.test(name))
  .flatMap((name) =>
    parseReplayText(readFileSync(new URL(name, GOLDEN_FOLDER), 'utf8')).map(
      (replay) => [name, replay] as const,
    ),
  )
  .filter(([, { config }]) => config.kernel === '6.1');

/** The machine's block as bytes. Comparing single words takes the test runner seconds. */
function bytesOf({ machine }: AccessLog): Buffer {
  const { buffer, byteOffset, byteLength } = machine.memory.words;
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** Calls `visit` with generated schedules. */
function eachSchedule(config: MachineConfig, runs: number, visit: (s: Schedule) => void): void {
  const campaign = new ShapeCampaign(config);
  for (let run = 0; run < runs; run++) {
    campaign.run(drawOf(SEED, run), STEPS, null);
    visit(campaign.lastSchedule);
  }
}

describe.skipIf(installedSource === null)("the kernel's driver", () => {
  let driver: DriverKind = PORT;
  beforeAll(() => {
    driver = kernelDriver(installedBinary());
  });

  it.each(CPU_MODELS.map((model) => [model.name, model] as const))(
    'the C file always makes the accesses that the port makes, on %s',
    (_, model) => {
      let compared = 0;
      for (const { name } of POLICIES) {
        for (const shape of DEFAULT_SHAPES) {
          const config = configOf(name, model, shape);
          const [port, kernel] = [new AccessLog(config), new AccessLog({ ...config, driver })];
          eachSchedule(config, 12, (schedule) => {
            const [a, b] = [port.run(schedule), kernel.run(schedule)];
            expect(partsAt(a, b)).toBe(-1);
            compared += a.length;
          });
        }
      }
      expect(compared).toBeGreaterThan(10_000);
    },
  );

  it.each(GOLDEN)(
    'the C file always ends as the port does on %s',
    (_, { config, property, schedule, whose }) => {
      const breaker = breakerOf({ config: { ...config, driver }, property, schedule, whose });
      expect(breaker).toBe(whose);
    },
  );

  it('the C file always breaks the properties that the port breaks', () => {
    const model = cpuModel('skylake');
    let broken = 0;
    for (const { name } of POLICIES) {
      const config = configOf(name, model, DEFAULT_SHAPES[2]);
      const [port, kernel] = [new Bench(config), new Bench({ ...config, driver })];
      eachSchedule(config, 60, (schedule) => {
        for (const bench of [port, kernel]) {
          bench.boot();
          for (let i = 0; i < schedule.length; i++) bench.step(schedule, i);
        }
        const [a, b] = [port.monitor.verdicts, kernel.monitor.verdicts];
        expect([b.broken, b.own, b.reach]).toEqual([a.broken, a.own, a.reach]);
        for (const [p, yes] of a.broken.entries()) {
          if (yes === 0) continue;
          broken++;
          expect(b.details[p]).toBe(a.details[p]);
        }
      });
    }
    expect(broken).toBeGreaterThan(100);
  });

  it('the C file always has its whole state in the block of words', () => {
    const model = cpuModel('haswell');
    let inside = 0;
    for (const shape of DEFAULT_SHAPES) {
      const config = { ...configOf('merged', model, shape), driver };
      const [first, second] = [new AccessLog(config), new AccessLog(config)];
      eachSchedule(config, 40, (schedule) => {
        // The second half runs on the machine of the first half and on a fresh machine.
        const half = STEPS >> 1;
        first.machine.boot();
        second.run(schedule);
        for (let i = 0; i < half; i++) step(first.machine, schedule, i);
        second.machine.memory.words.set(first.machine.memory.words);
        inside += first.machine.ports.filter((port) => port.suspended !== 0).length;
        first.accesses = [];
        second.accesses = [];
        for (let i = half; i < STEPS; i++) {
          expect(step(second.machine, schedule, i)).toBe(step(first.machine, schedule, i));
        }
        expect(partsAt(first.accesses, second.accesses)).toBe(-1);
        expect(bytesOf(second).equals(bytesOf(first))).toBe(true);
      });
    }
    expect(inside).toBeGreaterThan(10);
  });

  it('the C file always leaves its static data as the boot made it', () => {
    const model = cpuModel('haswell-notsx');
    const config = { ...configOf('merged', model, DEFAULT_SHAPES[2]), driver };
    const log = new AccessLog(config);
    const statics = (): Int32Array[] =>
      [log.machine.host.kernel, ...log.machine.guests].map(({ layout }) =>
        log.machine.memory.words.slice(layout.statics, layout.statics + driver.staticWords),
      );
    log.machine.boot();
    const booted = statics();
    // Host and guests have PMUs of different versions.
    const model4 = cpuModel('skylake');
    const skylake = new AccessLog({ ...config, model: model4 });
    skylake.machine.boot();
    const { words } = skylake.machine.memory;
    const versions = [skylake.machine.host.kernel, skylake.machine.guests[0]].map(({ layout }) =>
      words.slice(layout.statics, layout.statics + driver.staticWords),
    );
    expect(versions[0]).not.toEqual(versions[1]);
    expect(booted[0].some((word) => word !== 0)).toBe(true);
    eachSchedule(config, 40, (schedule) => {
      log.run(schedule);
      expect(statics()).toEqual(booted);
    });
  });
});
