/** Files that the command line names to be read. */
import { readFileSync } from 'node:fs';
import { printable } from '../recording/trace_error.js';
import { UsageError } from './errors.js';

/** What stands for standard input. */
const STANDARD_INPUT = '-';

/** How messages name a file. */
export function inputName(path: string): string {
  return path === STANDARD_INPUT ? 'standard input' : printable(path);
}

/**
 * The text of a file, or of standard input.
 *
 * @param advice - what to give in its place.
 * @throws UsageError for a file that can't be read.
 */
export function inputText(path: string, advice: string): string {
  try {
    return readFileSync(path === STANDARD_INPUT ? 0 : path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    const why = code === 'ENOENT' ? 'there is no such file' : `it can't be read (${code})`;
    throw new UsageError(`${inputName(path)}: ${why}; ${advice}`);
  }
}
