/** The command line of `vlbr replay`. */
import { Command, Option } from 'commander';
import { addWidthOption, driverOption, KERNEL_SRC_SAYS } from '../../console/arguments.js';
import { addPictureOptions } from '../../console/picture_options.js';
import {
  EXIT_EXPECTED,
  EXIT_LOST,
  EXIT_NOT_SHOWN,
  exitCodesText,
} from '../../console/exit_codes.js';
import { helpText } from '../../console/help.js';
import { reporterOption } from '../../console/reporters.js';
import type { ReplayOptions } from './replay.js';

const HELP = `
A file, or - for standard input, is a report of any command as text or JSON, a picture that vlbr has
written (--html, --svg, --perfetto, --itf), any text that holds tokens (a mail that quotes or wraps
them, too), or one schedule:
  {"schema": "vlbr/schedule/1", "policy": "...", "property": "...", "cpu": "...",
   "kernel": "...", "vms": 2, "vcpus": 1, "tasks": 2, "pcpus": 1,
   "actions": ["p0: run vcpu=1", "v1: open task=0 type=CALL_STACK|USER", ...]}

  It may also say "whose": "policy", "kernel" or "nobody": who is to break the property.`;

const EXITS = exitCodesText({
  [EXIT_EXPECTED]:
    'it ends as the file says in "whose" or, without that, as the policy declares: a known ' +
    "failure breaks the property, and nothing else does; what the guest's kernel breaks by " +
    'itself counts against no policy',
  [EXIT_LOST]: 'somebody else breaks the property, or somebody where nobody was to',
  [EXIT_NOT_SHOWN]: 'nobody breaks the property, and somebody was to',
});

/** @param done - is told the exit code. */
export function replayCommand(done: (code: number) => void): Command {
  const command = new Command('replay')
    .description('run one schedule again and tell what happens in it')
    .argument('<token|file|->', 'what vlbr has printed, a file, or - for standard input')
    .option('--policy <file>', 'file of the policy that the schedule names, if vlbr has none of it')
    .addOption(driverOption())
    .option('--kernel-src <path>', KERNEL_SRC_SAYS)
    .addOption(reporterOption())
    .option('--full', 'all MSR accesses and all records, without abbreviations')
    .option('--legend', 'what the marks of a timeline mean')
    .addOption(
      new Option(
        '--mail',
        'text of 72 columns, with a token that mail programs may wrap',
      ).conflicts(['json', 'emit', 'width']),
    )
    .option('--json', 'one JSON object on standard output, which is a replay file again')
    .addOption(
      new Option('--emit <what>', 'C code in place of the timeline: selftest is a KVM selftest')
        .choices(['selftest'])
        .conflicts('json'),
    );
  return addPictureOptions(addWidthOption(command))
    .addHelpText('after', helpText(HELP, EXITS))
    .action(async (what: string, options: ReplayOptions) => {
      const { replay } = await import('./replay.js');
      done(await replay(what, options));
    });
}
