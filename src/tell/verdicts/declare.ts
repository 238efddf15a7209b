/** What the author of a policy has to write into its file, so that verdicts become expected. */
import type { Result } from '../../campaign/campaign.js';
import { fileOf } from '../../console/policy_files.js';
import { wrap } from '../../console/text.js';

/** For each policy of a file that breaks what it does not declare: where that is declared. */
export function declareLines(unexpected: readonly Result[]): string[] {
  const broken = unexpected.filter(({ verdict }) => verdict === 'fails');
  return [...new Set(broken.map(({ policy }) => policy))].flatMap((policy) => {
    const file = fileOf(policy);
    if (file === null) return [];
    const head = `Is it by design that ${policy} breaks these? Then ${file} says why:`;
    const names = broken.filter((result) => result.policy === policy);
    const lines = names.map(({ property }) => `    '${property}': { why: '...' },`);
    return [...wrap(head, '', '  '), '  knownFailures: {', ...lines, '  },', ''];
  });
}
