/**
 * Results in the forms that other programs read. Each question makes one list of test cases; each
 * form is a function of that list. A case is *ok* if it came out as expected, so a known failure
 * that fails is ok.
 */
import { createHash } from 'node:crypto';

export interface TestCase {
  /** What the case belongs to, such as a policy. */
  readonly group: string;
  readonly name: string;
  /** `skip`: nothing can be said. */
  readonly outcome: 'ok' | 'not ok' | 'skip';
  /** What came out, and why it was to; the reason of a skip. One line; it may be empty. */
  readonly says: string;
}

/** What one command has to report. */
export interface Suite {
  /** As `vlbr verify`. */
  readonly name: string;
  readonly cases: readonly TestCase[];
}

function skipText({ outcome, says }: TestCase): string {
  return outcome === 'skip' ? ` # SKIP ${says}` : '';
}

function word({ outcome }: TestCase): string {
  return outcome === 'not ok' ? 'not ok' : 'ok';
}

/** The Test Anything Protocol, version 13, as `prove` reads it. */
export function tap({ name, cases }: Suite): string {
  const lines = cases.flatMap((one, i) => [
    `${word(one)} ${i + 1} - ${`${one.group}: ${one.name}`.replaceAll('#', '\\#')}${skipText(one)}`,
    ...(one.outcome === 'not ok' ? [`# ${one.says}`] : []),
  ]);
  return ['TAP version 13', `1..${cases.length}`, `# ${name}`, ...lines, ''].join('\n');
}

/** The groups of a suite in order, each with its cases. */
export function groupsOf({ cases }: Suite): [group: string, cases: readonly TestCase[]][] {
  const names = [...new Set(cases.map(({ group }) => group))];
  return names.map((name) => [name, cases.filter(({ group }) => group === name)]);
}

/** A description of KTAP has no `#`, not even an escaped one. */
function withoutHash(text: string): string {
  return text.replaceAll('#', '');
}

/** KTAP version 1, as Documentation/dev-tools/ktap.rst of the kernel has it: a subtest a group. */
export function ktap(suite: Suite): string {
  const groups = groupsOf(suite);
  const lines = groups.flatMap(([group, cases], g) => {
    const own = cases.flatMap((one, i) => [
      ...(one.outcome === 'not ok' ? [`  # ${one.says}`] : []),
      `  ${word(one)} ${i + 1} ${withoutHash(one.name)}${skipText(one)}`,
    ]);
    const head = ['  KTAP version 1', `  # Subtest: ${group}`, `  1..${cases.length}`];
    const failed = cases.some(({ outcome }) => outcome === 'not ok');
    return [...head, ...own, `${failed ? 'not ok' : 'ok'} ${g + 1} ${withoutHash(group)}`];
  });
  return ['KTAP version 1', `1..${groups.length}`, ...lines, ''].join('\n');
}

/** What GitHub would take for its own in the text of a command. */
function escaped(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

/** Workflow commands of GitHub: an annotation for each case that is not ok, and a count. */
export function github({ name, cases }: Suite): string {
  const failed = cases.filter(({ outcome }) => outcome === 'not ok');
  const lines = failed.map((one) => {
    const title = escaped(`${name}: ${one.group}, ${one.name}`);
    const property = title.replaceAll(':', '%3A').replaceAll(',', '%2C');
    return `::error title=${property}::${escaped(one.says)}`;
  });
  return [...lines, `${name}: ${cases.length} cases, ${failed.length} not ok`, ''].join('\n');
}

/** GitLab's report of code quality. A case is no line of a file: its group stands for the path. */
export function gitlab({ name, cases }: Suite): string {
  const issues = cases
    .filter(({ outcome }) => outcome === 'not ok')
    .map((one) => ({
      description: `${one.group}, ${one.name}: ${one.says}`,
      check_name: name,
      fingerprint: createHash('sha256').update(`${name}\0${one.group}\0${one.name}`).digest('hex'),
      severity: 'major',
      location: { path: one.group, lines: { begin: 1 } },
    }));
  return `${JSON.stringify(issues, null, 2)}\n`;
}
