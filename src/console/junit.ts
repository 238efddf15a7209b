/** JUnit's XML, as Jenkins, GitLab and others read it. It has no times, which differ. */
import { create } from 'xmlbuilder2';
import { printable } from '../recording/trace_error.js';
import { groupsOf, type Suite, type TestCase } from './report_forms.js';

function counts(cases: readonly TestCase[]): Record<string, number> {
  const of = (outcome: TestCase['outcome']): number =>
    cases.filter((one) => one.outcome === outcome).length;
  return { tests: cases.length, failures: of('not ok'), errors: 0, skipped: of('skip') };
}

/** A suite as a document; its groups are suites of it. */
export function junit(suite: Suite): string {
  const root = create({ version: '1.0', encoding: 'UTF-8' }).ele('testsuites', {
    name: suite.name,
    ...counts(suite.cases),
  });
  for (const [group, cases] of groupsOf(suite)) {
    const element = root.ele('testsuite', { name: group, ...counts(cases) });
    for (const { name, outcome, says } of cases) {
      const one = element.ele('testcase', { classname: `${suite.name}.${group}`, name });
      const message = printable(says);
      if (outcome === 'not ok') one.ele('failure', { message }).txt(message);
      if (outcome === 'skip') one.ele('skipped', { message });
    }
  }
  return `${root.end({ prettyPrint: true })}\n`;
}
