/** The command line of `vlbr campaign bisect`. */
import { Command } from 'commander';
import {
  addWidthOption,
  jobsOption,
  POLICIES_SAY,
  runsNumber,
  SEED_SAYS,
  seedNumber,
  timeLimitOption,
} from '../../console/arguments.js';
import {
  EXIT_CUT_SHORT,
  EXIT_EXPECTED,
  EXIT_PARTIAL,
  exitCodesText,
} from '../../console/exit_codes.js';
import { helpText } from '../../console/help.js';
import { BISECT_DEFAULTS, type BisectOptions } from './bisect_asked.js';

const HELP = `
GOOD and BAD are commits, tags or branches of the repository, and GOOD is an ancestor of BAD. With a
schedule, the property is the one that the schedule names. It must hold on GOOD and break on BAD,
whoever breaks it. A schedule that breaks it when its interruptions come at another time counts as
one that does, since code that changes makes its MSR accesses elsewhere.

Without a schedule, the suite runs on the kernels of both commits with the same seeds, as in vlbr
review, and the shortest schedule that breaks a property on BAD alone is taken.

Only commits are looked at that change a file of which the perf core and the x86 driver are made, as
whole C files with all that they include; under the policy kvm, KVM as well. Of each, only what has
changed is compiled. A commit that can't be built, or crashes, is passed over; if it lies beside the
first that breaks the property, the answer is several commits, of which one is the first.

Examples:
  vlbr campaign bisect --kernel-src ~/linux v6.14 v6.15 --property no-loss/task --policy always
  vlbr campaign bisect --kernel-src ~/linux v6.14 v6.15 report.json`;

const EXITS = exitCodesText({
  [EXIT_EXPECTED]: 'the first commit that breaks the property is found',
  [EXIT_CUT_SHORT]: 'cut short (--time-limit, SIGTERM, Ctrl-C); the report says what is left',
  [EXIT_PARTIAL]: "the first commit is one of several, since some of them can't be judged",
});

/** @param done - is told the exit code. */
export function bisectCommand(done: (code: number) => void): Command {
  const { policy, property, cpu, runs, seed } = BISECT_DEFAULTS;
  const command = new Command('bisect')
    .description('find the first commit of a kernel that loses a property')
    .argument('<good>', 'a commit on which the property holds')
    .argument('<bad>', 'a later one on which it does not')
    .argument('[schedule]', 'a token, a file of whatever vlbr prints, or - for standard input')
    .requiredOption('--kernel-src <folder>', 'the git repository of the kernel')
    .option('--policy <names>', `${POLICIES_SAY} (default: ${policy})`)
    .option('--property <names>', `properties, likewise (default: ${property})`)
    .option('--cpu <name>', `CPU model (default: ${cpu})`)
    .option('--runs <n>', `runs for each policy and side (default: ${runs})`, runsNumber)
    .option('--seed <n>', `${SEED_SAYS} (default: ${seed})`, seedNumber)
    .addOption(jobsOption())
    .addOption(timeLimitOption());
  return addWidthOption(command)
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', helpText(HELP, EXITS))
    .action(
      async (good: string, bad: string, schedule: string | undefined, options: BisectOptions) => {
        const { bisect } = await import('./bisect.js');
        done(await bisect(good, bad, schedule, options));
      },
    );
}
