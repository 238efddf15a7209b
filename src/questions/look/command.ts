/** The command line of `vlbr look`. */
import { Command } from 'commander';
import { addWidthOption, kernelOption } from '../../console/arguments.js';
import {
  EXIT_CUT_SHORT,
  EXIT_EXPECTED,
  EXIT_LOST,
  exitCodesText,
} from '../../console/exit_codes.js';
import { helpText } from '../../console/help.js';
import {
  addGuestOptions,
  addRecordingOptions,
  RECORDINGS_HELP,
} from '../../console/recording_options.js';
import type { LookOptions } from './look.js';

const HELP = `
${RECORDINGS_HELP}

Examples:
  vlbr look host.txt
  vlbr look trace.dat --vm web=1001,1002 --vm db=2001
  vlbr look host.txt --guest 0=guest.txt
  vlbr look host.txt --check merged --cpu haswell
  cat /sys/kernel/tracing/trace_pipe | vlbr look --last 100000 -`;

const EXITS = exitCodesText({
  [EXIT_EXPECTED]: 'the recording can be read',
  [EXIT_LOST]: '--check: the recording and the policy disagree',
  [EXIT_CUT_SHORT]: 'cut short (SIGTERM, Ctrl-C); the report is of what was read until then',
});

/** @param done - is told the exit code. */
export function lookCommand(done: (code: number) => void): Command {
  const command = new Command('look')
    .description('say what a recording of a host holds: vCPUs, VMs, switches, gaps')
    .argument('<file>', 'the recording; - is standard input');
  return addWidthOption(addGuestOptions(addRecordingOptions(command)))
    .option(
      '--check <policy>',
      'compare the recorded accesses to LBR MSRs with a policy of the model',
    )
    .option('--cpu <name>', 'CPU model of --check', 'skylake')
    .addOption(kernelOption())
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', helpText(HELP, EXITS))
    .action(async (file: string, options: LookOptions) => {
      const { look } = await import('./look.js');
      done(await look(file, options));
    });
}
