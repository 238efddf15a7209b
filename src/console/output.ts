/** How commands print, and write files. */
import { accessSync, closeSync, constants, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { JsonReport } from '../campaign/replay_file.js';
import { UsageError, WriteError } from './errors.js';
import { EXIT_NOT_WRITTEN } from './exit_codes.js';
import { printable } from '../recording/trace_error.js';
import { place } from '../tree/place.js';
import { COMMIT, packageVersion } from './version.js';

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
  print(text);
}

/** Prints one JSON object and nothing else. Behind its schema it says which vlbr has made it. */
export function printJson({ schema, ...rest }: JsonReport): void {
  const whole = { schema, version: packageVersion(), commit: COMMIT, ...rest };
  print(`${JSON.stringify(whole, null, 2)}\n`);
}

/**
 * Writes a file: all of it, or none. What was there before stays until all of it is written.
 * A device or a pipe, such as /dev/stdout, is written to.
 *
 * @throws WriteError for a file that can't be written.
 */
export function writeFileWhole(path: string, content: string | Uint8Array): void {
  tryWriting(path, () => place(path, content));
}

/**
 * Refuses a file that can't be written, before there is anything to write. It makes no file.
 *
 * @throws WriteError
 */
export function checkWritable(path: string): void {
  tryWriting(path, () => {
    const there = statSync(path, { throwIfNoEntry: false });
    if (there === undefined || there.isFile()) accessSync(dirname(path), constants.W_OK);
    else closeSync(openSync(path, 'r+'));
  });
}

/**
 * Refuses that two things go to standard output.
 *
 * @param mine - options that print there, as words.
 * @param others - further ones, which may be several.
 * @throws UsageError
 */
export function checkOnOutput(mine: readonly string[], others: readonly string[]): void {
  const all = [...mine, ...others];
  if (mine.length === 0 || all.length === 1) return;
  throw new UsageError(`${all.join(' and ')}: standard output takes one of them`);
}

/** Calls what writes to a path. @throws WriteError where it fails. */
function tryWriting(path: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new WriteError(`${printable(path)} can't be written: ${printable(why)}`);
  }
}

/**
 * Says once, on standard error, that the report can't be written: the disk is full, or the reader
 * of a pipe has gone. The work goes on to its end, since it may have files to write; what the
 * process ends with says that nobody has the report.
 */
export function watchOutput(): void {
  let said = false;
  process.stdout.on('error', ({ message }) => {
    if (!said) process.stderr.write(`vlbr: the report can't be written: ${message}\n`);
    said = true;
    process.exitCode = EXIT_NOT_WRITTEN;
  });
  // There is nobody left to tell.
  process.stderr.on('error', () => {});
}
