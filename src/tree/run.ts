/** Programs that work for a while. None goes on when this process has ended. */
import { type ChildProcess, execFile } from 'node:child_process';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';

const execute = promisify(execFile);

const running: Set<ChildProcess> = new Set();

function endAll(): void {
  for (const child of running) child.kill();
}

/** A signal to a whole group, as from Ctrl-C, reaches this process within this time. */
const SIGNAL_MS = 200;

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Kills the program, or keeps it from being started. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a program. Returns what it has printed.
 *
 * @param options - of `execFile`.
 * @throws what `execFile` throws, when it fails.
 */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  // Node would start it first, and kill it then.
  options.signal?.throwIfAborted();
  const ended = execute(program, args, { ...options, encoding: 'utf8', maxBuffer: 1 << 26 });
  // Before what removes its files.
  if (running.size === 0) process.prependListener('exit', endAll);
  running.add(ended.child);
  try {
    return (await ended).stdout;
  } catch (error) {
    const killed = error instanceof Error && 'signal' in error && error.signal !== null;
    if (killed) await setTimeout(SIGNAL_MS);
    throw error;
  } finally {
    running.delete(ended.child);
    if (running.size === 0) process.off('exit', endAll);
  }
}

/** Why a program has failed: the first line of what it wrote. It may have written nothing. */
export function complaintOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT' && 'path' in error) {
    return `${String(error.path)} is not installed`;
  }
  const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
  return stderr.split('\n')[0];
}
