/** `vlbr worker`: does units of campaigns from a queue. */
import { EXIT_CUT_SHORT, EXIT_EXPECTED } from '../../console/exit_codes.js';
import { printLines } from '../../console/output.js';
import { NO_LINE } from '../../console/progress.js';
import { queueAddress, type QueueOptions } from '../../console/queue_options.js';
import { plural } from '../../console/text.js';
import { withServer } from '../../store/queue_server.js';
import { workAt } from '../../store/queue_worker.js';

/** As commander hands them over. */
export interface WorkerOptions extends QueueOptions {
  readonly queue: string;
  readonly jobs?: number;
}

/** Does units until it is ended. Returns the exit code. @throws UsageError, WriteError */
export async function work(options: WorkerOptions): Promise<number> {
  const { jobs } = options;
  const threads = { line: NO_LINE, ...(jobs === undefined ? {} : { jobs }) };
  return withServer(queueAddress(options), NO_LINE, async (server) => {
    const units = await workAt(server, threads);
    printLines([`${plural(units, 'unit')} done`]);
    return server.lost.aborted ? EXIT_CUT_SHORT : EXIT_EXPECTED;
  });
}
