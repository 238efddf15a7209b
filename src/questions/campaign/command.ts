/** The command line of `vlbr campaign`. */
import { Command } from 'commander';
import { bisectCommand } from './bisect_command.js';
import { keptCommands } from './kept_commands.js';

/** @param done - is told the exit code. */
export function campaignCommand(done: (code: number) => void): Command {
  const campaign = new Command('campaign').description(
    'long work: runs that are kept in a directory; the commit that loses a property',
  );
  for (const command of keptCommands(done)) campaign.addCommand(command);
  return campaign.addCommand(bisectCommand(done));
}
