/** The command line of `vlbr explore`. */
import { Command, Option } from 'commander';
import { GROUPS } from '../../schedule/explored.js';
import {
  addWidthOption,
  choiceOf,
  driverOption,
  KERNEL_SRC_SAYS,
  kernelOption,
  timeLimitOption,
  POLICIES_SAY,
} from '../../console/arguments.js';
import { addPictureOptions } from '../../console/picture_options.js';
import {
  EXIT_CUT_SHORT,
  EXIT_EXPECTED,
  EXIT_LOST,
  exitCodesText,
} from '../../console/exit_codes.js';
import { helpText } from '../../console/help.js';
import { wholeNumber } from '../../console/arguments.js';
import type { ExploreOptions } from './asked.js';

const BOUND_SAYS = 'longest schedule, in actions (default: none; 4 for a tree)';
const MEGABYTES = wholeNumber(1, 1_000_000);

const GROUP_LINES = Object.entries(GROUPS).map(([name, says]) => `  ${name.padEnd(9)}  ${says}`);

const HELP = `
Every schedule of the machine that \`vlbr verify\` draws from at random, as far as the bounds go.
They are part of each verdict:
  complete   every schedule within the bounds was looked at: what holds, holds for all of them
  truncated  the memory ran out, or Ctrl-C: failures are failures, of the rest nothing is known
Counterexamples are the shortest there are.

No silicon has an LBR of 2 or 4 with call-stack mode. Such depths are for exploration alone: a full
stack has far too many states, and the code that runs is the same.

With --driver kernel, guests and host run a tree's own C. Schedules of at most --bound actions are
then run one by one: no two states are taken for one, and each action makes five to seven times as
many. The kernel's own failures are told against the list of its version, as by \`vlbr verify\`.
--depth, --memory, --fingerprints and --no-symmetry are about states, and are refused.

Groups of actions for --actions; \`default\` is calls,tasks,events,pmi,inside:
${GROUP_LINES.join('\n')}

Examples:
  vlbr explore --policy pv-sound --depth 2
  vlbr explore --policy pv-v2 --property no-leak --actions default,host --bound 12 --json
  vlbr explore --driver kernel --kernel-src linux-6.1.tar.xz --policy parked --bound 6`;

const EXITS = exitCodesText({
  [EXIT_EXPECTED]:
    'complete: nothing fails but what the policy declares as a known failure, or what is on the ' +
    "kernel's list",
  [EXIT_LOST]: 'some other property fails',
  [EXIT_CUT_SHORT]:
    'truncated or cut short: nothing unexpected was found, but not every schedule was looked at',
});

/** @param done - is told the exit code. */
export function exploreCommand(done: (code: number) => void): Command {
  const command = new Command('explore')
    .description('judge host policies by every schedule of a small machine')
    .option('--policy <names>', POLICIES_SAY, 'all')
    .option('--property <names>', 'properties, likewise (see: vlbr list properties)', 'all')
    .option('--cpu <name>', 'CPU model (see: vlbr list cpus), but for its depth', 'haswell')
    .addOption(kernelOption())
    .addOption(driverOption())
    .option('--kernel-src <path>', KERNEL_SRC_SAYS)
    .option('--vms <n>', 'VMs, 1 to 3', wholeNumber(1, 3), 2)
    .option('--vcpus <n>', 'vCPUs of each VM, 1 or 2', wholeNumber(1, 2), 1)
    .option('--tasks <n>', 'tasks of each VM, from its vCPUs to 3', wholeNumber(1, 3), 2)
    .option('--pcpus <n>', 'pCPUs, 1 or 2', wholeNumber(1, 2), 1)
    .option('--depth <n>', 'records of the LBR, 2 or 4 (default: 4)', choiceOf([2, 4]))
    .option('--events <n>', 'events that a VM may open, 1 to 4', wholeNumber(1, 4), 1)
    .option(
      '--calls <n>',
      'frames of a call stack, 1 to 8 (default: --depth, or 4)',
      wholeNumber(1, 8),
    )
    .option('--suspended <n>', 'suspended kernel functions, 1 to 6', wholeNumber(1, 6), 1)
    .option('--bound <n>', BOUND_SAYS, wholeNumber(1, 1000))
    .option('--memory <MB>', 'for the states of one policy (default: 1024)', MEGABYTES)
    .option('--actions <groups>', 'what may happen, separated by commas (below)', 'default')
    .option('--fingerprints', 'tell states apart by 64 bits each, and print the odds')
    .addOption(new Option('--no-symmetry', 'states that differ in names only are two'))
    .addOption(timeLimitOption());
  return addWidthOption(addPictureOptions(command, ['html']))
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', helpText(HELP, EXITS))
    .action(async (options: ExploreOptions) => {
      const { explore } = await import('./explore.js');
      done(await explore(options));
    });
}
