/** The command line of `vlbr explain`. */
import { Command } from 'commander';
import { addWidthOption } from '../../console/arguments.js';
import { PLAIN_EXITS } from '../../console/exit_codes.js';
import { helpText } from '../../console/help.js';
import type { ExplainOptions } from './explain.js';

const HELP = `
Examples:
  vlbr explain 001            the story of a schedule that is kept
  vlbr explain no-leak/vm     a property, who breaks it, and why
  vlbr explain merged         a policy`;

export function explainCommand(): Command {
  const command = new Command('explain')
    .description('tell what a property, situation, policy, action, exit code or schedule is')
    .argument('[name]', 'what to tell of; without it, a list of what there is');
  return addWidthOption(command)
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', helpText(HELP, PLAIN_EXITS))
    .action(async (name: string | undefined, options: ExplainOptions) => {
      const { explain } = await import('./explain.js');
      explain(name, options);
    });
}
