/** What `vlbr conform` has found, as test cases, one for each CPU, and as an exit code. */
import { countedIn, forgiven, isKnown, type Loss, type Since } from '../../console/baseline.js';
import { exitCodeOf } from '../../console/exit_codes.js';
import type { Suite, TestCase } from '../../console/report_forms.js';

/** What came of one CPU. */
export interface ConformCase {
  readonly cpu: string;
  /** The differences, each in a line. */
  readonly differs: readonly { readonly says: string; readonly loss: Loss }[];
}

/** @param interrupted - whether something was not compared: no difference says nothing then. */
export function conformSuite(
  group: string,
  found: readonly ConformCase[],
  interrupted: boolean,
  since: Since | null,
): Suite {
  const cases = found.map(({ cpu: name, differs }): TestCase => {
    if (differs.length > 0) {
      const { says } = differs.find(({ loss }) => !isKnown(since, loss)) ?? differs[0];
      const losses = differs.map(({ loss }) => loss);
      return forgiven({ group, name, outcome: 'not ok', says }, losses, since);
    }
    const says = interrupted ? 'cut short: there is no difference so far' : '';
    return { group, name, outcome: interrupted ? 'skip' : 'ok', says };
  });
  return { name: 'vlbr conform', cases };
}

/** What the command ends with: a difference that no baseline knows is a loss. */
export function conformExit(
  losses: readonly Loss[],
  since: Since | null,
  cutShort: boolean,
): number {
  return exitCodeOf({ lost: countedIn(losses, since).length > 0, cutShort });
}
