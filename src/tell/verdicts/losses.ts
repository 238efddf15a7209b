/** What of a campaign is not as expected: the list that a later run is compared with. */
import type { KernelFinding, Report, Result } from '../../campaign/campaign.js';
import type { KnownFinding } from '../../campaign/kernel_lists.js';
import { countedIn, type Loss } from '../../console/baseline.js';
import { exitCodeOf } from '../../console/exit_codes.js';
import { ascii } from '../../console/text.js';
import type { Campaign } from './text.js';

/**
 * Verdicts that are not the expected ones. After an interruption, what has not failed says nothing:
 * it may do so yet.
 */
export function unexpectedOf({ results, interrupted }: Report): Result[] {
  return results.filter(
    ({ verdict, expected }) => verdict !== expected && (verdict === 'fails' || !interrupted),
  );
}

export function lossOfResult({ policy, property, verdict }: Result): Loss {
  return { of: policy, what: property, how: verdict };
}

export function lossOfFinding({ property }: KernelFinding): Loss {
  return { of: 'kernel', what: property, how: 'fails' };
}

/** What is on the list of a kernel, and is not met any more. */
export function lossOfMissing({ property, why }: KnownFinding): Loss {
  return { of: 'kernel', what: `${property}: ${ascii(why)}`, how: 'holds' };
}

/** Everything that is not as expected: verdicts, and what the guest's kernel breaks by itself. */
export function lossesIn({ report, byKernel }: Pick<Campaign, 'report' | 'byKernel'>): Loss[] {
  return [
    ...unexpectedOf(report).map(lossOfResult),
    ...byKernel.unknown.map(lossOfFinding),
    ...byKernel.missing.map(lossOfMissing),
  ];
}

/** What a campaign ends with. */
export function exitCodeFor(campaign: Pick<Campaign, 'report' | 'byKernel' | 'since'>): number {
  const losses = countedIn(lossesIn(campaign), campaign.since);
  return exitCodeOf({
    lost: losses.some(({ how }) => how === 'fails'),
    cutShort: campaign.report.interrupted,
    notShown: losses.length > 0,
  });
}
