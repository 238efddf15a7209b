/** The command line of `vlbr verify`. */
import { Command, Option } from 'commander';
import {
  addWidthOption,
  collect,
  driverOption,
  KERNEL_SRC_SAYS,
  kernelOption,
  runsNumber,
  SEED_SAYS,
  seedNumber,
  POLICIES_SAY,
  jobsOption,
  timeLimitOption,
} from '../../console/arguments.js';
import {
  EXIT_CUT_SHORT,
  EXIT_EXPECTED,
  EXIT_LOST,
  EXIT_NOT_SHOWN,
  exitCodesText,
} from '../../console/exit_codes.js';
import { baselineOption } from '../../console/baseline.js';
import { helpText } from '../../console/help.js';
import { addShapeOptions, addWithoutOption } from '../../console/machine_options.js';
import { addPictureOptions } from '../../console/picture_options.js';
import { addRecordingOptions, RECORDINGS_HELP } from '../../console/recording_options.js';
import { reporterOption } from '../../console/reporters.js';
import type { VerifyOptions } from './verify.js';

const HELP = `
The machine:
  Without --vms, --vcpus, --tasks and --pcpus, runs take turns with several small machines.
  With any of them there is one: 2 VMs of 1 vCPU and 2 tasks on 1 pCPU, but for what is given.
  A --schedule brings its own. It is cut into windows of 24 recorded switches, one for each run;
  where one machine can't hold all of it, a window has the switches of four pCPUs.
  Every window is run at least once, also where that takes more runs than --runs says.

${RECORDINGS_HELP}

Examples:
  vlbr verify --policy pv-v2,pv-sound --property no-leak
  vlbr verify --schedule host.txt --vcpu-threads 'CPU \\d+/KVM' --json > report.json`;

const EXITS = exitCodesText({
  [EXIT_EXPECTED]:
    'everything came out as expected: what a policy declares as a known failure fails, and ' +
    'everything else holds',
  [EXIT_LOST]: "a property fails, and is no known failure of the policy, or of the guest's kernel",
  [EXIT_CUT_SHORT]: null,
  [EXIT_NOT_SHOWN]: null,
});

/** @param done - is told the exit code. */
export function verifyCommand(done: (code: number) => void): Command {
  const command = new Command('verify')
    .description('judge host policies by generated schedules, against every property')
    .option('--policy <names>', POLICIES_SAY, 'all')
    .option('--property <names>', 'properties, likewise (see: vlbr list properties)', 'all')
    .option('--cpu <name>', 'CPU model (see: vlbr list cpus)', 'skylake')
    .addOption(kernelOption())
    .addOption(driverOption())
    .option('--kernel-src <path>', KERNEL_SRC_SAYS);
  addShapeOptions(command)
    .option('--runs <n>', 'runs for each policy, of 60 actions', runsNumber, 4000)
    .option('--seed <n>', SEED_SAYS, seedNumber, 1)
    .option('--no-shorten', 'no exploration for schedules shorter than those found');
  addWithoutOption(command).option(
    '--schedule <file>',
    'recording of a host (see: vlbr look); repeatable',
    collect,
  );
  addPictureOptions(addRecordingOptions(command), ['html'])
    .option('--show <what>', 'counterexamples: a number, POLICY, POLICY/PROPERTY or all', collect)
    .option('--legend', 'why cells are as they are, and how often each risk was met')
    .option('--summary', 'only the conclusion and the matrix')
    .addOption(
      new Option('--quiet', 'only the last line, and what is not expected').conflicts('summary'),
    );
  return addWidthOption(command)
    .addOption(jobsOption())
    .addOption(timeLimitOption())
    .addOption(baselineOption())
    .addOption(reporterOption())
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', helpText(HELP, EXITS))
    .action(async (options: VerifyOptions) => {
      const { verify } = await import('./verify.js');
      done(await verify(options));
    });
}
