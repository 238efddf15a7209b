/** The verdicts of a campaign as test cases. */
import { forgiven } from '../../console/baseline.js';
import type { Suite, TestCase } from '../../console/report_forms.js';
import { ascii, plural } from '../../console/text.js';
import { encodeToken } from '../../schedule/token.js';
import type { Result } from '../../campaign/campaign.js';
import { lossOfFinding, lossOfMissing, lossOfResult, unexpectedOf } from './losses.js';
import type { Campaign } from './text.js';

/** A case for each verdict, and for each finding of the guest's kernel. */
export function verifySuite(campaign: Campaign): Suite {
  const { report, policies, byKernel, since } = campaign;
  const unexpected = new Set(unexpectedOf(report));
  const begun = new Set(report.results.map(({ policy }) => policy));
  const never = policies.filter((policy) => !begun.has(policy));
  const kernel = `Linux ${byKernel.version}`;
  return {
    name: 'vlbr verify',
    cases: [
      ...report.results.map((result) => {
        const one = caseOf(result, unexpected.has(result), report.interrupted);
        return forgiven(one, [lossOfResult(result)], since);
      }),
      ...never.map((policy) => skipped(policy, 'all properties', 'cut short: it was not run')),
      ...report.kernelFindings.map((finding) => {
        const { property, known, counterexample } = finding;
        const says = `${counterexample.text}; vlbr replay ${encodeToken(counterexample)}`;
        const outcome = known === null ? 'not ok' : 'ok';
        const name = `${property}: ${ascii(known ?? 'not known')}`;
        return forgiven({ group: kernel, name, outcome, says }, [lossOfFinding(finding)], since);
      }),
      ...byKernel.missing.map((missing) => {
        const loss = lossOfMissing(missing);
        const says = 'this no longer shows';
        return forgiven({ group: kernel, name: loss.what, outcome: 'not ok', says }, [loss], since);
      }),
    ],
  };
}

function skipped(group: string, name: string, says: string): TestCase {
  return { group, name, outcome: 'skip', says };
}

function caseOf(result: Result, isUnexpected: boolean, interrupted: boolean): TestCase {
  const { policy, property, verdict, expected, reason, runs, counterexample } = result;
  if (verdict === 'not applicable') return skipped(policy, property, ascii(reason));
  if (interrupted && verdict !== 'fails') {
    return skipped(policy, property, `cut short after ${plural(runs, 'run')}`);
  }
  const where = counterexample === null ? '' : `; vlbr replay ${encodeToken(counterexample)}`;
  const what = counterexample === null ? '' : `: ${counterexample.text}`;
  const says = isUnexpected ? `${verdict}, expected: ${expected}${what}${where}` : verdict;
  return { group: policy, name: property, outcome: isUnexpected ? 'not ok' : 'ok', says };
}
