/**
 * Exploration with the C file in place of the port must find the same states and the same
 * counterexamples. A compiler may move memory writes inside a function, so suspended states may
 * differ.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import type { Group } from '../../../src/schedule/explored.js';
import { explore } from '../../../src/states/explore.js';
import { MachineModel } from '../../../src/states/machine_model.js';
import { Search } from '../../../src/search/search.js';
import type { DriverKind } from '../../../src/guest/perf/lbr_driver.js';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import { kernelDriver } from '../../../src/tree/driver.js';
import { installedBinary, installedSource } from '../../rig/installed_kernel.js';
import { policyOf } from '../../rig/machine.js';
import { configOf, exploreOptions } from '../../rig/states.js';

function modelOf(policy: string, driver: DriverKind, groups: readonly Group[]): MachineModel {
  const config = { ...configOf(policyOf(policy), [2, 1, 2, 1]), driver };
  const bounds = { groups, events: 1, calls: 2, suspended: 1 };
  // The C code holds addresses of its VM's memory, so VM numbers must not be canonicalised.
  return new MachineModel(config, bounds, true);
}

describe.skipIf(installedSource === null)('exploration with the C file', () => {
  let kernel: DriverKind = PORT;
  beforeAll(() => {
    kernel = kernelDriver(installedBinary());
  });

  it.each(['pv-sound', 'merged'])(
    'the C file always has the states of the port under %s',
    (policy) => {
      const counts = [PORT, kernel].map((driver) => {
        const model = modelOf(policy, driver, ['calls', 'tasks', 'events', 'pmi']);
        const search = new Search(model, { symmetry: true, maxLength: 9 });
        const { end, states, transitions, brokenLength } = search.run();
        return { end, states, transitions, brokenLength };
      });
      expect(counts[0].states).toBeGreaterThan(1000);
      expect(counts[1]).toEqual(counts[0]);
    },
  );

  it('the C file always has the shortest counterexamples of the port', () => {
    const policy = policyOf('lazy-literal');
    const [lengths, same] = [PORT, kernel].map((driver) => {
      const more = { driver, maxLength: 5 };
      const { results, complete } = explore(
        exploreOptions(policy, ['calls', 'tasks', 'events'], more),
      );
      expect(complete).toBe(true);
      return results.map(({ property, verdict, counterexample }) => [
        property,
        verdict,
        counterexample?.actions.length,
      ]);
    });
    expect(lengths).toContainEqual(['no-loss/callstack', 'fails', 5]);
    expect(same).toEqual(lengths);
  });
});
