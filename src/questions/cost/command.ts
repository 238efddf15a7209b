/** The command line of `vlbr cost`. */
import { Command } from 'commander';
import {
  addWidthOption,
  collect,
  kernelOption,
  SEED_SAYS,
  seedNumber,
  timeLimitOption,
  POLICIES_SAY,
} from '../../console/arguments.js';
import { EXIT_CUT_SHORT, EXIT_EXPECTED, exitCodesText } from '../../console/exit_codes.js';
import { helpText } from '../../console/help.js';
import {
  addGuestOptions,
  addRecordingOptions,
  RECORDINGS_HELP,
} from '../../console/recording_options.js';
import type { CostOptions } from './cost.js';
import { PRICE_NAMES } from './cost_table.js';
import { PROFILE_SAYS, PROFILES } from './profile.js';

const HELP = `
The recording says which vCPU ran where and when. All of it is played on the model, once for each
policy and profile. What guests did meanwhile is said by a profile; when they switched tasks, by a
--guest recording, if there is one.

Profiles:
${PROFILES.map(({ name }) => `  ${name.padEnd(8)} ${PROFILE_SAYS[name]}`).join('\n')}
  NAME,share=0.2,period=1,hz=4000,switches=2000,depth=20,exits=0  the same with other numbers:
  part of the time with call stacks, seconds of a period, samples and task switches a second,
  frames, and VM exits a second where the recording has none

Costs: ${PRICE_NAMES.join(', ')}. --json shows each with its range and source.

${RECORDINGS_HELP}

Examples:
  vlbr cost --host host.txt
  vlbr cost --host host.txt --policy merged,lazy-sound,pv-sound --profile always,hz=4000
  vlbr cost --host quiet.txt --host busy.txt --sweep exit=1000..4000 --svg cost.svg`;

const EXITS = exitCodesText({
  [EXIT_EXPECTED]: 'the costs of all of the recordings were counted',
  [EXIT_CUT_SHORT]:
    'cut short (--time-limit, SIGTERM, Ctrl-C); the report is of what was played until then',
});

/** @param done - is told the exit code. */
export function costCommand(done: (code: number) => void): Command {
  const command = new Command('cost')
    .description('count what each policy would have cost on a recorded host')
    .requiredOption('--host <file>', 'recording of a host (see: vlbr look); repeatable', collect)
    .option('--policy <names>', POLICIES_SAY, 'all')
    .option('--profile <profile>', 'what guests do; repeatable; default: all of them', collect)
    .option('--cpu <name>', 'CPU model (see: vlbr list cpus)', 'skylake')
    .addOption(kernelOption())
    .option('--costs <file>', 'JSON: cycles, in place of those that vlbr has')
    .option(
      '--without <what>',
      'exits: only those of LBR where none were recorded; host, migrate: never played anyway',
    )
    .option('--sweep <range>', 'NAME=LOW..HIGH of a cost: where two policies cost the same')
    .option('--vcpus', 'a line for each vCPU, too')
    .option('--seed <n>', SEED_SAYS, seedNumber, 1);
  return addWidthOption(addGuestOptions(addRecordingOptions(command)))
    .addOption(timeLimitOption())
    .option('--json', 'one JSON object on standard output')
    .option('--csv', 'a line of comma-separated values for each vCPU, on standard output')
    .option('--svg <file>', 'a chart as well')
    .addHelpText('after', helpText(HELP, EXITS))
    .action(async (options: CostOptions) => {
      const { cost } = await import('./cost.js');
      done(await cost(options));
    });
}
