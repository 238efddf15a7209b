/** How commands print, and write files. */
import { accessSync, closeSync, constants, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { printable } from '../recording/trace_error.js';
import { place } from '../tree/place.js';
import { UsageError } from './errors.js';
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

/** Prints a text as it is. */
export function printText(text: string): void {
  process.stdout.write(text);
}

/** Prints one JSON object and nothing else. */
export function printJson(value: object): void {
  print(`${JSON.stringify(value, null, 2)}\n`);
}

/**
 * Writes a file: all of it, or none.
 *
 * @throws UsageError for a file that can't be written.
 */
export function writeFileWhole(path: string, content: string): void {
  tryWriting(path, () => place(path, content));
}

/**
 * Refuses a file that can't be written, before there is anything to write. It makes no file.
 *
 * @throws UsageError
 */
export function checkWritable(path: string): void {
  tryWriting(path, () => {
    const there = statSync(path, { throwIfNoEntry: false });
    if (there === undefined || there.isFile()) accessSync(dirname(path), constants.W_OK);
    else closeSync(openSync(path, 'r+'));
  });
}

function tryWriting(path: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`${printable(path)} can't be written: ${printable(why)}`);
  }
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
