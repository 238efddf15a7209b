/** How commands print. */
import { EXIT_USAGE } from './exit_codes.js';

/** Once others' code runs here: how standard output is written to. */
let write: ((text: string) => boolean) | null = null;

function print(text: string): void {
  if (write === null) process.stdout.write(text);
  else write(text);
}

/**
 * Sends what anybody else prints in this thread to standard error, as the code of a user's file
 * may: standard output is the report.
 */
export function divertOutput(): void {
  write ??= process.stdout.write.bind(process.stdout);
  process.stdout.write = process.stderr.write.bind(process.stderr);
}

/** Prints lines, in one write: a reader that goes away sees whole lines or none. */
export function printLines(lines: readonly string[]): void {
  print(`${lines.join('\n')}\n`);
}

/** Prints one JSON object and nothing else. */
export function printJson(value: object): void {
  print(`${JSON.stringify(value, null, 2)}\n`);
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
