/** The option --reporter: results in the forms that other programs read. */
import { InvalidArgumentError, Option } from 'commander';
import { checkOnOutput, checkWritable, printText, writeFileWhole } from './output.js';
import { github, gitlab, ktap, type Suite, tap } from './report_forms.js';

type Form = 'tap' | 'ktap' | 'junit' | 'github' | 'gitlab';

const FORMS: Readonly<Record<Form, (suite: Suite) => string | Promise<string>>> = {
  tap,
  ktap,
  // Its library is loaded when it is asked for.
  junit: async (suite) => (await import('./junit.js')).junit(suite),
  github,
  gitlab,
};

function isForm(name: string): name is Form {
  return name in FORMS;
}

/** A form that was asked for, and its file; null for standard output. */
export interface Reporter {
  readonly form: Form;
  readonly path: string | null;
}

/** As commander hands it over. */
export interface ReporterOptions {
  readonly reporter?: readonly Reporter[];
}

/** The option. It may be given more than once. */
export function reporterOption(): Option {
  const names = Object.keys(FORMS);
  const says = `${names.join(', ')}: a form for other programs, as NAME=FILE beside the report`;
  return new Option('--reporter <name>', says).argParser(
    (text: string, earlier: readonly Reporter[] = []) => {
      const [, form = '', path = null] = /^(\w+)(?:=(.+))?$/.exec(text) ?? [];
      if (isForm(form)) return [...earlier, { form, path }];
      throw new InvalidArgumentError(`It must be NAME or NAME=FILE; names: ${names.join(', ')}.`);
    },
  );
}

/**
 * Looks whether each report can be written, before anything is run. Returns the words of those that
 * take the place of the text on standard output: none, or one.
 *
 * @param others - options that were given and print something of their own.
 * @throws UsageError where two things are to go to standard output.
 * @throws WriteError for a file that can't be written.
 */
export function checkReporters(
  { reporter = [] }: ReporterOptions,
  others: readonly string[],
): string[] {
  const words = reporter.flatMap(({ form, path }) => (path === null ? [`--reporter ${form}`] : []));
  checkOnOutput(words, others);
  for (const { path } of reporter) if (path !== null) checkWritable(path);
  return words;
}

/** Writes each report that was asked for. @throws WriteError for a file that can't be written. */
export async function writeReports(
  { reporter = [] }: ReporterOptions,
  suite: () => Suite,
): Promise<void> {
  const texts = await Promise.all(reporter.map(async ({ form }) => FORMS[form](suite())));
  for (const [i, { path }] of reporter.entries()) {
    if (path === null) printText(texts[i]);
    else writeFileWhole(path, texts[i]);
  }
}
