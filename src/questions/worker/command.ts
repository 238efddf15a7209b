/** The command line of `vlbr worker`. */
import { Command } from 'commander';
import { jobsOption, timeLimitOption } from '../../console/arguments.js';
import { EXIT_CUT_SHORT, EXIT_EXPECTED, exitCodesText } from '../../console/exit_codes.js';
import { helpText } from '../../console/help.js';
import { addQueueOptions, QUEUE_HELP } from '../../console/queue_options.js';
import type { WorkerOptions } from './worker.js';

const HELP = `
What it does:
  It takes units of work from a queue that vlbr campaign run --queue fills, and does them in
  threads, until it is ended: by Ctrl-C, SIGTERM or --time-limit. Workers may join and leave at any
  time. What a worker is at when it ends, or is killed, is done by another one. A worker does units
  of its own version of vlbr alone.`;

const EXAMPLES = `
Examples:
  vlbr worker --queue redis://127.0.0.1
  VLBR_QUEUE_PASSWORD=... vlbr worker --queue rediss://ci@queue.example.org/2 --jobs 8`;

const EXITS = exitCodesText({
  [EXIT_EXPECTED]: 'it was ended, and has given back what it was at',
  [EXIT_CUT_SHORT]: 'the queue went away, and did not come back',
});

/** @param done - is told the exit code. */
export function workerCommand(done: (code: number) => void): Command {
  const command = new Command('worker').description('do the work of campaigns from a queue');
  return addQueueOptions(command, 'where the work is', true)
    .addOption(jobsOption())
    .addOption(timeLimitOption())
    .addHelpText('after', helpText(HELP, QUEUE_HELP, EXAMPLES, EXITS))
    .action(async (options: WorkerOptions) => {
      const { work } = await import('./worker.js');
      done(await work(options));
    });
}
