/** The command line of `vlbr conform`. */
import { Command, Option } from 'commander';
import {
  addWidthOption,
  DRIVER_DEFAULT_SAYS,
  KERNEL_SRC_SAYS,
  runsNumber,
  SEED_SAYS,
  seedNumber,
  timeLimitOption,
} from '../../console/arguments.js';
import { baselineOption } from '../../console/baseline.js';
import {
  EXIT_CUT_SHORT,
  EXIT_EXPECTED,
  EXIT_LOST,
  exitCodesText,
} from '../../console/exit_codes.js';
import { helpText } from '../../console/help.js';
import { DRIVERS } from '../../console/drivers.js';
import { reporterOption } from '../../console/reporters.js';
import type { ConformOptions } from './options.js';

const HELP = `
The whole path (perf core and x86 driver): the guests of two machines, one with the port and one
with the tree's C code, are given the same schedules. After each action every MSR access with its
value, every fault and sample, the states of events, the counts of CPUs and what the judge has found
are compared. The CPUs take turns. On each CPU the first difference is shown, with a short schedule.
The port is that of 6.1, 6.12 or 7.3, whichever the tree is like.

lbr.c alone (--driver lbr.c, or an lbr.c as --kernel-src): both drivers get the same calls, on the
same words, and the same registers. After each call the MSR accesses in order, what was returned and
every word of the kernel are compared, and what was reached of the file is counted. The CPUs are the
models of \`vlbr list cpus\` and variants of them, as skylake/depth-4; a model's name stands for its
variants, too.

The C is right.

Examples:
  vlbr conform --kernel-src ~/linux
  vlbr conform --cpu skylake,haswell --policy pv-sound --json > report.json
  vlbr conform --driver lbr.c --runs 100000`;

const EXITS = exitCodesText({
  [EXIT_EXPECTED]: 'no difference',
  [EXIT_LOST]: 'the port differs from this kernel',
  [EXIT_CUT_SHORT]: 'cut short (--time-limit, SIGTERM, Ctrl-C); no difference until then',
});

/** @param done - receives the exit code. */
export function conformCommand(done: (code: number) => void): Command {
  const command = new Command('conform')
    .description("compare the port with a kernel's own code, access by access")
    .addOption(
      new Option(
        '--driver <name>',
        `compare the whole path, or its lbr.c alone, call by call; ${DRIVER_DEFAULT_SAYS}`,
      ).choices(DRIVERS.filter((name) => name !== 'port')),
    )
    .option('--kernel-src <path>', KERNEL_SRC_SAYS)
    .option('--cpu <names>', 'CPU models, separated by commas', 'all')
    .option('--policy <name>', "the host's, for the whole path (default: always)")
    .option('--runs <n>', 'schedules of 60 actions, or sequences of calls', runsNumber, 20_000)
    .option('--seed <n>', SEED_SAYS, seedNumber, 1)
    .addOption(timeLimitOption())
    .addOption(baselineOption())
    .addOption(reporterOption());
  return addWidthOption(command)
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', helpText(HELP, EXITS))
    .action(async (options: ConformOptions) => {
      const { conform } = await import('./conform.js');
      done(await conform(options));
    });
}
