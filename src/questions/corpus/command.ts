/** The command line of `vlbr corpus`. */
import { Command } from 'commander';
import {
  addWidthOption,
  runsNumber,
  SEED_SAYS,
  seedNumber,
  TREE_SAYS,
  timeLimitOption,
} from '../../console/arguments.js';
import {
  EXIT_CUT_SHORT,
  EXIT_EXPECTED,
  EXIT_NOT_SHOWN,
  exitCodesText,
} from '../../console/exit_codes.js';
import { helpText } from '../../console/help.js';
import { reporterOption } from '../../console/reporters.js';
import type { CorpusOptions } from './corpus.js';

const HELP = `
Each defect that somebody has fixed in Linux or Xen is put back into the model by a patch in
test/corpus, and the suite must find it by a property that the defect's entry names: a schedule
counts only if the unmodified model keeps the property on it. Patches of lbr.c are tried on a
kernel's own file, if there is one, and clang. This needs a clone of vlbr's repository, with npm ci
done in it.

Examples:
  vlbr corpus
  vlbr corpus --id A03 D05 --json > report.json`;

const EXITS = exitCodesText({
  [EXIT_EXPECTED]: 'each defect that the model can have was found',
  [EXIT_CUT_SHORT]: 'cut short (--time-limit, SIGTERM, Ctrl-C); not every defect was tried',
  [EXIT_NOT_SHOWN]: 'some defect was not found',
});

/** @param done - receives the exit code. */
export function corpusCommand(done: (code: number) => void): Command {
  const command = new Command('corpus')
    .description('put real defects back, one at a time, and see that the suite finds them')
    .option('--id <ids...>', 'defects, by the ids of test/corpus/corpus.json (default: all)')
    .option('--kernel-src <path>', TREE_SAYS)
    .option('--runs <n>', 'most runs for each defect, of 60 actions', runsNumber, 4000)
    .option('--seed <n>', SEED_SAYS, seedNumber, 1)
    .addOption(timeLimitOption())
    .addOption(reporterOption());
  return addWidthOption(command)
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', helpText(HELP, EXITS))
    .action(async (options: CorpusOptions) => {
      const { corpus } = await import('./corpus.js');
      done(await corpus(options));
    });
}
