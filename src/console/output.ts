/** How commands print. */
import { EXIT_USAGE } from './exit_codes.js';

/** Prints lines, in one write: a reader that goes away sees whole lines or none. */
export function printLines(lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** Prints one JSON object and nothing else. */
export function printJson(value: object): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/**
 * A reader that has seen enough (`| head`) is no error: what is left to print is dropped. Output
 * that can't be written for another reason, as to a full disk, ends the process.
 */
export function watchOutput(): void {
  process.stdout.on('error', unlessBrokenPipe);
  process.stderr.on('error', unlessBrokenPipe);
}

function unlessBrokenPipe(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') return;
  process.stderr.write(`vlbr: the output can't be written: ${error.message}\n`);
  process.exit(EXIT_USAGE);
}
