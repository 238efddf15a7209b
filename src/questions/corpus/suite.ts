/** The trials of the corpus as test cases: a defect that is found is ok. */
import type { Suite, TestCase } from '../../console/report_forms.js';
import { type CorpusReport, outsideOf, tokenOf } from './text.js';
import { isCaught, trialName } from './trial.js';

export function corpusSuite(report: CorpusReport): Suite {
  const group = 'corpus';
  const skipped = (name: string, says: string): TestCase => {
    return { group, name, outcome: 'skip', says };
  };
  const judged = report.judged.map((one): TestCase => {
    const name = trialName(one.trial);
    if (isCaught(one)) return { group, name, outcome: 'ok', says: `vlbr replay ${tokenOf(one)}` };
    const says = `${one.report.outcome.verdict} after ${one.report.runs} runs`;
    return { group, name, outcome: 'not ok', says };
  });
  return {
    name: 'vlbr corpus',
    cases: [
      ...judged,
      ...report.notTried.map((name) => skipped(name, 'not tried')),
      ...outsideOf(report).map(({ id, reason }) => skipped(id, reason)),
    ],
  };
}
