/** The command line of `vlbr list`. */
import { Argument, Command } from 'commander';
import { addWidthOption } from '../../console/arguments.js';
import { PLAIN_EXITS } from '../../console/exit_codes.js';
import { helpText } from '../../console/help.js';
import type { ListName, ListOptions } from './list.js';

/** What can be listed. */
export const LISTS = ['policies', 'properties', 'cpus'] as const;

export function listCommand(): Command {
  const command = new Command('list')
    .description('list what there is')
    .addArgument(new Argument('<what>').choices(LISTS));
  return addWidthOption(command)
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', helpText(PLAIN_EXITS))
    .action(async (what: ListName, options: ListOptions) => {
      const { list } = await import('./list.js');
      list(what, options);
    });
}
