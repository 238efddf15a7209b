/** What the reports of `vlbr verify` are made of, for a campaign of the library. */
import { type CampaignOptions, DEFAULTS, type Report } from '../../campaign/campaign.js';
import { driverOf } from '../../guest/perf/kernel.js';
import { kernelVerdict } from './kernel_verdict.js';
import type { Campaign } from './text.js';

/**
 * A campaign on the port with its report, as `verifyText` and `verifyJson` take it.
 *
 * @param options - those that `verify` was given.
 *
 * @example
 * import { campaignOf, coloursFor, findPolicy, verify, verifyJson, verifyText } from 'vlbr';
 *
 * const options = { policies: [findPolicy('parked')], properties: ['no-fault'], runs: 50 };
 * const campaign = campaignOf(options, verify(options));
 * verifyText(campaign, coloursFor(false)).at(-1); // '1 verdict, 0 unexpected'
 * verifyJson(campaign).unexpected; // 0
 */
export function campaignOf(
  options: Partial<CampaignOptions> & Pick<CampaignOptions, 'policies'>,
  report: Report,
): Campaign {
  const all = { ...DEFAULTS, ...options };
  const { model, kernel, seed, shapes, runs, policies, properties, without = [] } = all;
  const names = policies.map(({ name }) => name);
  return {
    model,
    kernel,
    policies: names,
    properties,
    driver: driverOf(all),
    source: null,
    driverWords: [],
    seed,
    shapes,
    without,
    recordings: [],
    runsAsked: runs,
    elapsed_s: 0,
    report,
    byKernel: kernelVerdict(report, { ...all, version: kernel, policies: names }, model),
    since: null,
  };
}
