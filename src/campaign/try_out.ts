/** A policy that nobody knows yet, tried on a few schedules before it is judged. */
import { PolicyError } from '../host/policy/guarded.js';
import type { MachineConfig } from '../machine/config.js';
import { drawOf } from '../schedule/draw.js';
import { ACTIONS_PER_RUN, DEFAULT_SHAPES } from './campaign.js';
import { ShapeCampaign } from './shape_campaign.js';

/** Schedules on each shape of machine. */
const TRIED = 2;

/**
 * Runs a few schedules twice, and compares what is left of them: what a policy remembers outside of
 * its words would make a schedule end in another way when it is run again.
 *
 * @throws PolicyError for a hook that fails, with the token of the schedule, or for what differs.
 */
export function tryOut(config: Omit<MachineConfig, 'shape'>): void {
  for (const shape of DEFAULT_SHAPES) {
    const campaign = new ShapeCampaign({ ...config, shape });
    const { words } = campaign.bench.machine.memory;
    for (let run = 0; run < TRIED; run++) {
      campaign.run(drawOf(0, run), ACTIONS_PER_RUN, null);
      const first = words.slice();
      campaign.run(drawOf(0, run), ACTIONS_PER_RUN, null);
      if (first.every((word, i) => word === words[i])) continue;
      throw new PolicyError(
        `policy ${config.policy.name} does not do the same twice on one schedule: what it ` +
          'remembers of a vCPU has to be in `vcpu.words`, and nowhere else',
      );
    }
  }
}
