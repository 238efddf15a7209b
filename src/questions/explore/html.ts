/** The report of an exploration as a page: the matrix, and every counterexample step by step. */
import type { KernelFinding } from '../../campaign/campaign.js';
import { ascii, NOT_APPLICABLE } from '../../console/text.js';
import type { ExploreResult } from '../../states/explore.js';
import { ofKernel, toldCounterexample } from '../../tell/picture/counterexample.js';
import { type MatrixCell, matrixPage } from '../../tell/picture/matrix_page.js';
import { guestText } from '../../tell/source_text.js';
import { boundWords, type Exploration, machineWords, type Told as Explored } from './text.js';

/** What a page needs of any exploration. */
type Shown = Pick<
  Exploration,
  'model' | 'shape' | 'kernel' | 'driver' | 'source' | 'driverWords' | 'policies' | 'interrupted'
> &
  Parameters<typeof boundWords>[0] & {
    readonly results: readonly {
      readonly explored: Explored & {
        readonly complete: boolean;
        /** What the guest's kernel breaks by itself; left out where it is not asked. */
        readonly findings?: readonly KernelFinding[];
      };
    }[];
  };

/** The text of an HTML file. */
export function exploreHtml(exploration: Shown): string {
  const { kernel, source, policies, results, interrupted } = exploration;
  const all = results.map(({ explored }) => explored);
  const cut = all.filter(({ complete }) => !complete).map(({ policy }) => policy);
  const properties = all.length === 0 ? [] : all[0].results.map(({ property }) => property);
  return matrixPage({
    command: 'vlbr explore',
    lines: [
      `vlbr explore: ${machineWords(exploration)}, ${guestText(kernel, source)}`,
      `Every schedule within these bounds: ${boundWords(exploration)}.`,
      ...(cut.length === 0 ? [] : [`Truncated, so not all were looked at: ${cut.join(', ')}.`]),
      ...(interrupted ? ['Interrupted: this is what was known until then.'] : []),
    ],
    properties,
    rows: policies.map((policy) => {
      const begun = all.find((one) => one.policy === policy);
      const cells = begun?.results.map((result) => cellOf(exploration, result));
      return { policy, cells: cells ?? properties.map(() => null) };
    }),
    others: all.flatMap(({ findings = [] }) =>
      findings.map(({ known, counterexample }) =>
        toldCounterexample(exploration, counterexample, ofKernel(known)),
      ),
    ),
  });
}

function cellOf(exploration: Shown, result: ExploreResult): MatrixCell {
  const { verdict, known, reason, counterexample } = result;
  const fails = verdict === 'fails';
  const why = known ? `Known: ${ascii(reason)}` : 'This is not expected.';
  return {
    word: fails
      ? `FAILS ${counterexample?.actions.length ?? ''}`.trim()
      : verdict === 'not applicable'
        ? NOT_APPLICABLE
        : verdict,
    fails,
    expected: !fails || known,
    note: ascii(reason),
    told: counterexample === null ? null : toldCounterexample(exploration, counterexample, [why]),
  };
}
