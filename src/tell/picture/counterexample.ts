/** A counterexample of a matrix, as a page tells it. */
import type { Counterexample } from '../../campaign/campaign.js';
import { caseOf, withDriver } from '../../campaign/replay_file.js';
import { policyWords } from '../../console/policy_files.js';
import { ascii } from '../../console/text.js';
import type { DriverKind } from '../../guest/perf/lbr_driver.js';
import type { KernelInfo } from '../../tree/binary.js';
import { guestText } from '../source_text.js';
import { type Told, toldOf } from './story_article.js';

/** What ran in the guests of a campaign or an exploration. */
export interface Guests {
  readonly kernel: string;
  readonly driver: DriverKind;
  /** Where the driver's C file comes from; null for the port. */
  readonly source: KernelInfo | null;
  /** Options that `vlbr replay` needs to run the same driver. */
  readonly driverWords: readonly string[];
}

/** @param says - sentences at its head. */
export function toldCounterexample(
  { kernel, driver, source, driverWords }: Guests,
  counterexample: Counterexample,
  says: readonly string[],
): Told {
  return toldOf(withDriver(caseOf(counterexample), driver), {
    guest: guestText(kernel, source),
    says: () => says,
    replayWords: [...driverWords, ...policyWords(counterexample.policy)],
  });
}

/**
 * What a page says of a failure of the guest's kernel itself.
 *
 * @param known - why it is known of this kernel; null if it is not.
 */
export function ofKernel(known: string | null): string[] {
  return [
    'This counts against no policy: a pCPU of its own would show it as well.',
    known === null ? 'It is not known of this kernel.' : `Known: ${ascii(known)}`,
  ];
}
