/** The command line of `vlbr new`. */
import { Command } from 'commander';
import { PLAIN_EXITS } from '../../console/exit_codes.js';
import { helpText } from '../../console/help.js';
import type { NewPolicyOptions } from './new_policy.js';

const HELP = `
It writes NAME.mjs, a policy that runs and says what each part of it is for, and NAME.test.mjs,
which node --test runs. Nothing that exists is overwritten.

Examples:
  vlbr new policy my-policy
  vlbr verify --policy ./my-policy.mjs
  vlbr new policy my-policy --ts --dir policies`;

export function newCommand(): Command {
  const policy = new Command('policy')
    .description('a policy of your own, with its test')
    .argument('<name>', "small letters, digits and '-'")
    .option('--ts', 'in TypeScript: NAME.ts')
    .option('--dir <folder>', 'where to write; it is made if it is not there', '.')
    .addHelpText('after', helpText(HELP, PLAIN_EXITS))
    .action(async (name: string, options: NewPolicyOptions) => {
      const { newPolicy } = await import('./new_policy.js');
      newPolicy(name, options);
    });
  return new Command('new').description('write files to begin with').addCommand(policy);
}
