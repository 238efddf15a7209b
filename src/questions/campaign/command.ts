/** The command line of `vlbr campaign`. */
import { Command } from 'commander';
import { bisectCommand } from './bisect_command.js';

/** @param done - is told the exit code. */
export function campaignCommand(done: (code: number) => void): Command {
  return new Command('campaign')
    .description('long work: the commit that loses a property')
    .addCommand(bisectCommand(done));
}
