/** The command line of `vlbr review`. */
import { Command } from 'commander';
import {
  addWidthOption,
  runsNumber,
  SEED_SAYS,
  seedNumber,
  TREE_SAYS,
  jobsOption,
  timeLimitOption,
  POLICIES_SAY,
  TELLING,
} from '../../console/arguments.js';
import { baselineOption } from '../../console/baseline.js';
import { addPictureOptions } from '../../console/picture_options.js';
import {
  EXIT_CUT_SHORT,
  EXIT_EXPECTED,
  EXIT_LOST,
  EXIT_PARTIAL,
  EXIT_UNREACHED,
  exitCodesText,
} from '../../console/exit_codes.js';
import { helpText } from '../../console/help.js';
import { reporterOption } from '../../console/reporters.js';
import type { ReviewOptions } from './review.js';

const HELP = `
The suite runs on the perf core and x86 driver of the tree and on the changed ones, in every guest,
with the same seeds; of two files of lbr.c, it runs on those in the port. Every schedule that fails
on one side is tried on the other. A property is lost if there is a schedule on which it held and
now fails, whoever breaks it and whenever its interruptions come. A loss is left out only where it
uncovers what Linux 6.1 does wrong itself, while something is gained.

Lines of a series that were not reached are named, as far as they have code.

The default policies are those under which a guest's kernel shows: the sound designs, each of
another kind, and the model of KVM. A series that changes KVM is run on the tree's own KVM as well
(policy kvm), and on that alone if it changes nothing else.

With --each, each patch is reviewed against the tree before it, too: what a later one mends is a
loss. A patch after which the tree does not build is reviewed together with the next.

Examples:
  vlbr review --kernel-src ~/linux 0001-perf-x86-lbr-my-change.patch
  git -C ~/linux show HEAD | vlbr review --kernel-src ~/linux --reverse -`;

const EXITS = exitCodesText({
  [EXIT_EXPECTED]: 'no property is lost',
  [EXIT_LOST]: 'some property is lost (with --each, by any patch), or the changed kernel crashes',
  [EXIT_CUT_SHORT]: null,
  [EXIT_PARTIAL]: 'no property is lost, but some files of the series do not run here',
  [EXIT_UNREACHED]: 'none of the changed lines was reached, so nothing is said of them',
});

/** @param done - receives the exit code. */
export function reviewCommand(done: (code: number) => void): Command {
  const command = new Command('review')
    .description('say which properties a patch, a series or another tree loses or gains')
    .argument('<patch...>', 'diffs or mails in order, as git am takes them, or a second tree')
    .option('--kernel-src <path>', TREE_SAYS)
    .option('--reverse', 'the tree has the patches: what did they fix?')
    .option('--each', 'review each patch of the series as well: which of them loses what?')
    .option('--policy <names>', `${POLICIES_SAY} (default: ${TELLING})`)
    .option('--property <names>', 'properties, likewise', 'all')
    .option('--cpu <names>', 'CPU models, likewise', 'skylake,haswell')
    .option('--runs <n>', 'runs for each policy, CPU and side', runsNumber, 500)
    .option('--seed <n>', SEED_SAYS, seedNumber, 1)
    .addOption(jobsOption())
    .addOption(timeLimitOption())
    .addOption(baselineOption())
    .addOption(reporterOption());
  return addWidthOption(addPictureOptions(command, ['html']))
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', helpText(HELP, EXITS))
    .action(async (patches: string[], options: ReviewOptions) => {
      const { review } = await import('./review.js');
      done(await review(patches, options));
    });
}
