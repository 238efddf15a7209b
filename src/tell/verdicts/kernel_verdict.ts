/** What a campaign says of the guest's kernel, against the list of what that is known to break. */
import {
  areDefault,
  type CampaignOptions,
  type KernelFinding,
  type Report,
} from '../../campaign/campaign.js';
import { isListOf, type KernelList, listFor, mustShow } from '../../campaign/kernel_lists.js';
import type { KnownFinding } from '../../campaign/kernel_lists.js';
import { always } from '../../host/policy/always.js';
import type { CpuModel } from '../../hw/cpu_models.js';

export interface KernelVerdict {
  /** Version of the kernel, and the list that counts for it. */
  readonly version: string;
  readonly list: KernelList;
  /** Whether the list is that version's own. */
  readonly own: boolean;
  /** What is on no list. */
  readonly unknown: readonly KernelFinding[];
  /** What is on the list and no longer shows. */
  readonly missing: readonly KnownFinding[];
}

/** Runs for each policy after which what is on the list must have been met. */
const ENOUGH_RUNS = 4000;

/** What of a campaign counts. */
interface Judged extends Pick<
  CampaignOptions,
  'properties' | 'runs' | 'shapes' | 'schedules' | 'without'
> {
  /** Of the guest's kernel. */
  readonly version: string;
  readonly policies: readonly string[];
}

/**
 * A finding can only be missed where guests use LBR as on a CPU of their own, which is under
 * `always`, on the machines and in the runs of the default, with all actions.
 */
export function kernelVerdict(report: Report, job: Judged, model: CpuModel): KernelVerdict {
  const { version, policies, properties, runs, shapes, schedules, without = [] } = job;
  const list = listFor(version);
  const found = report.kernelFindings;
  const enough =
    !report.interrupted &&
    runs >= ENOUGH_RUNS &&
    schedules.length === 0 &&
    without.length === 0 &&
    areDefault(shapes) &&
    policies.includes(always.name);
  const missing = mustShow(list, model).filter(
    ({ property, why }) =>
      properties.includes(property) && !found.some(({ known }) => known === why),
  );
  return {
    version,
    list,
    own: isListOf(list, version),
    unknown: found.filter(({ known }) => known === null),
    missing: enough ? missing : [],
  };
}
