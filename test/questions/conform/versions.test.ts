/** Each version of the port against the tree of that version, with every action that it has. */
import { describe, expect, it } from 'vitest';
import { portOf } from '../../../src/guest/perf/kernel.js';
import { ATTR_INHERIT, ATTR_INHERIT_STAT } from '../../../src/guest/perf/perf_event.js';
import { parseAction } from '../../../src/schedule/action_text.js';
import { Schedule } from '../../../src/schedule/schedule.js';
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

  it('with inherit_stat a task that swaps contexts has one reset less, with both', async () => {
    for (const version of imageVersions('6.1', '6.12', '7.3')) {
      const part = { cpu: 'skylake', policy: always, kernel: portOf(version), tasks: 2 };
      const pair = new Pair(machineConfig(part), imageDriver(await imageOf(version)));
      const accesses = ['inherited', 'inherited|inherit-stat'].map((attr) => {
        const actions = [
          `v0: open task=0 attr=${attr} type=CALL_STACK|USER`,
          'v0: fork',
          'v0: taskSwitch task=2',
          'v0: taskSwitch task=1',
          'v0: taskSwitch task=0',
        ];
        const before = pair.port.trace.accesses;
        expect([version, attr, pair.run(Schedule.of(actions.map(parseAction)))]).toEqual([
          version,
          attr,
          null,
        ]);
        return pair.port.trace.accesses - before;
      });
      const { lbr_nr } = cpuModel('skylake');
      // FROM, TO and INFO of each record are written.
      expect([version, accesses[0] - accesses[1]]).toEqual([version, 3 * lbr_nr]);
    }
  });

  it('drawn schedules never part if each inherited event has inherit_stat', async () => {
    for (const version of imageVersions('6.1', '6.12', '7.3')) {
      const part = { cpu: 'skylake', policy: always, kernel: portOf(version), ...SHAPE };
      const pair = new Pair(machineConfig(part), imageDriver(await imageOf(version)));
      let changed = 0;
      for (let run = 0; run < 40; run++) {
        const drawn = new Schedule();
        expect(pair.drawn(drawOf(9, run), ACTIONS_PER_RUN, noCounts())).toBeNull();
        for (const { kind, actor, args } of pair.schedule.actions()) {
          const [a = 0, b = 0, c = 0] = args;
          const isInherited = kind === 'open' && (b & ATTR_INHERIT) !== 0;
          if (isInherited) changed++;
          drawn.push(KIND[kind], actor, a, isInherited ? b | ATTR_INHERIT_STAT : b, c);
        }
        expect([version, run, pair.run(drawn)]).toEqual([version, run, null]);
      }
      expect(changed).toBeGreaterThan(30);
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
