/** A worker thread that judges policies by campaigns. */
import { findPolicy } from '../../host/policy/index.js';
import { assert } from '../../hw/assert.js';
import { findCpuModel } from '../../hw/cpu_models.js';
import { shorten } from '../../states/shorten.js';
import type { Progress } from '../../campaign/campaign.js';
import { runCampaign } from '../../campaign/campaign.js';
import { reviewPolicy } from '../review/comparison.js';
import type { CampaignJob, CampaignResult } from './job.js';
import { ACTIONS_PER_RUN } from './job.js';
import { driverOfBytes, serve } from '../../console/worker.js';

serve<CampaignJob, Progress, CampaignResult>((job) => {
  const driver = driverOfBytes(job.binary);
  const before = job.before === null ? null : driverOfBytes(job.before);
  return ({ policy: name, cpu }, tell) => {
    const model = findCpuModel(cpu);
    const policy = findPolicy(name);
    assert(model !== undefined && policy !== undefined, 'a job names what there is');
    let last: Progress | null = null;
    const alive = (): boolean => last === null || tell(last);
    const options = {
      ...job,
      model,
      driver,
      steps: ACTIONS_PER_RUN,
      alive,
      progress: (run: Progress): boolean => {
        const now = job.cpus.length === 1 ? run : { ...run, policy: `${run.policy} on ${cpu}` };
        last = now;
        return tell(now, now.runs === now.runsWanted);
      },
    };
    if (before !== null) return reviewPolicy({ ...options, policy, before });
    const report = runCampaign({ ...options, policies: [policy] });
    if (!job.shorten || report.interrupted) return report;
    return { ...report, results: shorten(report.results, { ...options, policy, poll: alive }) };
  };
});
