/** The report of a campaign as a page: the matrix, and every counterexample step by step. */
import type { Counterexample, Result } from '../../campaign/campaign.js';
import { ascii, plural } from '../../console/text.js';
import { ofKernel, toldCounterexample } from '../picture/counterexample.js';
import { matrixPage, type MatrixCell } from '../picture/matrix_page.js';
import type { Told } from '../picture/story_article.js';
import { guestText } from '../source_text.js';
import { isJudged } from './conclusion.js';
import { lossesIn, unexpectedOf } from './losses.js';
import { type Campaign, VERDICT_WORDS } from './text.js';

/** The text of an HTML file. */
export function verifyHtml(campaign: Campaign): string {
  const { model, kernel, source, seed, policies, report } = campaign;
  const { results, kernelFindings, runs, steps, interrupted } = report;
  const properties = [...new Set(results.map(({ property }) => property))];
  const surprises = new Set(unexpectedOf(report));
  const rows = policies.map((policy) => ({
    policy,
    cells: properties.map((property) => {
      const result = results.find((one) => one.policy === policy && one.property === property);
      const judged = result !== undefined && isJudged(result);
      return judged ? cellOf(campaign, result, !surprises.has(result)) : null;
    }),
  }));
  return matrixPage({
    command: 'vlbr verify',
    lines: [
      `vlbr verify: ${model.name} (${model.lbr_nr} records), ${guestText(kernel, source)}, ` +
        `seed ${seed}`,
      `${plural(runs, 'run')}, ${plural(steps, 'action')}: ${plural(results.length, 'verdict')}, ` +
        `${lossesIn(campaign).length} unexpected`,
      ...(interrupted ? ['Interrupted: these are the verdicts of the runs until then.'] : []),
    ],
    properties,
    rows,
    others: [
      ...results.flatMap((result) => otherCauses(campaign, result)),
      ...kernelFindings.map(({ known, counterexample }) =>
        tellOf(campaign, counterexample, ofKernel(known)),
      ),
    ],
  });
}

/** The causes of a failure besides that of the counterexample in its cell. */
function otherCauses(campaign: Campaign, { otherCauses: others }: Result): Told[] {
  return others.map((found, i) => {
    const told = tellOf(campaign, found, []);
    return { ...told, title: `${told.title}, cause ${i + 2} of ${others.length + 1}` };
  });
}

function cellOf(campaign: Campaign, result: Result, asExpected: boolean): MatrixCell {
  const { verdict, reason, counterexample } = result;
  const why = asExpected ? `Known: ${ascii(reason)}` : 'This is not expected.';
  return {
    word: VERDICT_WORDS[verdict],
    fails: verdict === 'fails',
    expected: asExpected,
    note: ascii(reason),
    told: counterexample === null ? null : tellOf(campaign, counterexample, [why]),
  };
}

function tellOf(campaign: Campaign, counterexample: Counterexample, says: readonly string[]): Told {
  const length = counterexample.label === 'minimal' ? MINIMAL : SHRUNK;
  return toldCounterexample(campaign, counterexample, [...says, length]);
}

const MINIMAL = 'No schedule of fewer actions shows it on the small machines that were explored.';
const SHRUNK = 'The schedule is shrunk; there may be a shorter one.';
