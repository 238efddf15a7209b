/** A worker thread that explores policies. */
import { explore } from '../../states/explore.js';
import type { Outcome, Progress } from '../../search/search.js';
import { findPolicy } from '../../host/policy/index.js';
import { assert } from '../../hw/assert.js';
import { findCpuModel } from '../../hw/cpu_models.js';
import type { TimedExploration } from './text.js';
import type { ExploreJob, ExploreProgress } from './job.js';
import { driverOfBytes, serve } from '../../console/worker.js';

serve<ExploreJob, ExploreProgress, TimedExploration>((job) => {
  const driver = driverOfBytes(job.binary);
  return ({ policy: name, cpu }, tell) => {
    const model = findCpuModel(cpu);
    const policy = findPolicy(name);
    assert(model !== undefined && policy !== undefined, 'a job names what there is');
    let found: ExploreProgress | null = null;
    const began = performance.now();
    let seconds = 0;
    const explored = explore({
      ...job,
      model,
      driver,
      policy,
      untilBroken: true,
      poll: ({ states, frontier, bytes, estimate }: Progress): boolean => {
        const searching = 'searching' as const;
        const now = { policy: name, states, frontier, bytes, estimate, phase: searching };
        return tell(found ?? now);
      },
      searched: ({ states, frontier, bytes }: Outcome): void => {
        seconds = (performance.now() - began) / 1000;
        found = { policy: name, states, frontier, bytes, estimate: states, phase: 'cycles' };
        tell(found, true);
      },
    });
    const { states, frontier, bytes } = explored.outcome;
    tell({ policy: name, states, frontier, bytes, estimate: states, phase: 'done' }, true);
    return { explored, seconds };
  };
});
