/** What `vlbr conform` has found, as test cases: one for each CPU. */
import type { Suite, TestCase } from '../../console/report_forms.js';

/** What came of one CPU. */
export interface ConformCase {
  readonly cpu: string;
  /** The first difference in a line; null if there is none. */
  readonly differs: string | null;
}

/** @param interrupted - whether something was not compared: no difference says nothing then. */
export function conformSuite(
  group: string,
  found: readonly ConformCase[],
  interrupted: boolean,
): Suite {
  const cases = found.map(({ cpu, differs }): TestCase => {
    if (differs !== null) return { group, name: cpu, outcome: 'not ok', says: differs };
    const says = interrupted ? 'cut short: there is no difference so far' : '';
    return { group, name: cpu, outcome: interrupted ? 'skip' : 'ok', says };
  });
  return { name: 'vlbr conform', cases };
}
