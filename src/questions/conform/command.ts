/** The command line of `vlbr conform`. */
import { Command } from 'commander';
import { KERNEL_SRC_SAYS, runsNumber, SEED_SAYS, seedNumber } from '../../console/arguments.js';
import {
  EXIT_EXPECTED,
  EXIT_PARTIAL,
  EXIT_TRUNCATED,
  EXIT_UNEXPECTED,
} from '../../console/exit_codes.js';
import { exitCodesText } from '../../console/exit_codes.js';
import type { ConformOptions } from './conform.js';

const HELP = `
Both drivers get the same calls, on the same words, and the same registers. After each call the MSR
accesses in order, what was returned and every word of the kernel are compared. The C is right.

The CPUs are the models of \`vlbr list cpus\` and variants of them, as skylake/depth-4; a model's
name stands for its variants, too.

Examples:
  vlbr conform --kernel-src ~/linux
  vlbr conform --cpu skylake,haswell --runs 100000 --json > report.json`;

const EXITS = exitCodesText({
  [EXIT_EXPECTED]: 'no difference',
  [EXIT_UNEXPECTED]: 'the port differs from this lbr.c',
  [EXIT_TRUNCATED]: null,
  [EXIT_PARTIAL]: null,
});

/** @param done - receives the exit code. */
export function conformCommand(done: (code: number) => void): Command {
  return new Command('conform')
    .description("compare the port of lbr.c with a kernel's own, call by call")
    .option('--kernel-src <path>', KERNEL_SRC_SAYS)
    .option('--cpu <names>', 'CPU models, separated by commas', 'all')
    .option('--runs <n>', 'sequences of calls', runsNumber, 20_000)
    .option('--seed <n>', SEED_SAYS, seedNumber, 1)
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', `${HELP}\n${EXITS}`)
    .action(async (options: ConformOptions) => {
      const { conform } = await import('./conform.js');
      done(await conform(options));
    });
}
