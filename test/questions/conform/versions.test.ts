/** Each version of the port against the tree of that version, with every action that it has. */
import { describe, expect, it } from 'vitest';
import { portOf } from '../../../src/guest/perf/kernel.js';
import { always } from '../../../src/host/policy/always.js';
import { WholeComparison } from '../../../src/questions/conform/whole/comparison.js';
import { noCounts, Pair } from '../../../src/questions/conform/whole/pair.js';
import type { Side } from '../../../src/questions/conform/whole/side.js';
import { merged } from '../../../src/host/policy/merged.js';
import type { Shape } from '../../../src/machine/config.js';
import { drawOf } from '../../../src/schedule/draw.js';
import { ACTIONS_PER_RUN } from '../../../src/campaign/campaign.js';
import { ACTION_NAMES, ACTIONS, isFor, KIND } from '../../../src/schedule/table.js';
import { PORT as pairDriver } from '../../../src/guest/perf/lbr_port.js';
import { imageDriver } from '../../../src/tree/image/image.js';
import { cpuModel } from '../../rig/cpu.js';
import { imageOf, imageVersions } from '../../rig/images.js';
import { machineConfig } from '../../rig/machine.js';

const CPUS = ['skylake', 'haswell', 'nehalem'];
const SHAPE: Shape = { vms: 2, vcpus: 2, tasks: 3, pcpus: 2 };

describe('the port of a version', () => {
  for (const version of imageVersions('6.1', '6.12', '7.3')) {
    it(`the port of ${version} and its tree never part`, async () => {
      const image = await imageOf(version);
      const port = portOf(image.info.version);
      expect(port).toBe(version);
      const models = CPUS.map(cpuModel);
      const asked = { models, policy: always, kernel: imageDriver(image), version: port };
      const comparison = new WholeComparison({ ...asked, seed: 21, runs: 150 });
      for (const _ of comparison.work());
      expect(comparison.results.map(({ first }) => first)).toEqual([null, null, null]);
      expect(comparison.counts.samples).toBeGreaterThan(100);
    });
  }

  it('guests of the port turn the same counters on as those of a tree, under merged', async () => {
    for (const version of imageVersions('6.12')) {
      const config = machineConfig({ cpu: 'skylake', policy: merged, kernel: '6.12', ...SHAPE });
      const pair = new Pair(config, imageDriver(await imageOf(version)));
      const masks = ({ machine }: Side): number[][] =>
        machine.vcpus.map(({ words, eventsel_en }) => {
          const { pmc_events }: Readonly<Record<string, number>> = words;
          return [eventsel_en, pmc_events];
        });
      const met = new Set<string>();
      for (let run = 0; run < 40; run++) {
        expect(pair.drawn(drawOf(7, run), ACTIONS_PER_RUN, noCounts())).toBeNull();
        expect([run, masks(pair.port)]).toEqual([run, masks(pair.kernel)]);
        for (const mask of masks(pair.port)) met.add(String(mask));
      }
      expect([...met]).toEqual(expect.arrayContaining(['0,0', '1,1', '0,1', '3,3']));
    }
  });

  it('another version’s port parts from a tree, since it is told apart', async () => {
    for (const version of imageVersions('7.3')) {
      const kernel = imageDriver(await imageOf(version));
      const asked = { models: [cpuModel('skylake')], policy: always, kernel };
      for (const port of ['6.1', '6.12'] as const) {
        const comparison = new WholeComparison({ ...asked, version: port, seed: 21, runs: 300 });
        for (const _ of comparison.work()) if (comparison.results[0].parted > 0) break;
        expect([port, comparison.results[0].parted]).toEqual([port, 1]);
      }
    }
  });

  it('the schedules have all actions in them that a guest of the port can do', () => {
    const pair = new Pair(machineConfig({ cpu: 'skylake', policy: always, ...SHAPE }), pairDriver);
    const drawn = new Set<number>();
    for (let run = 0; run < 60; run++) {
      expect(pair.drawn(drawOf(5, run), ACTIONS_PER_RUN, noCounts())).toBeNull();
      for (const { kind } of pair.schedule.actions()) drawn.add(KIND[kind]);
    }
    const possible = ACTION_NAMES.filter((name) => isFor(pair.port.machine, KIND[name]));
    const missing = possible.filter(
      (name) => ACTIONS[name].actor === 'vcpu' && !drawn.has(KIND[name]),
    );
    expect(missing).toEqual([]);
  });
});
