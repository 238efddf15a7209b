/** The schedules that a user names: a token, a file, or standard input. */
import { existsSync, readFileSync } from 'node:fs';
import {
  parseReplayText,
  type ReplayCase,
  ReplayError,
  replayToken,
} from '../campaign/replay_file.js';
import { UsageError } from './errors.js';

/**
 * Reads what `vlbr replay` takes. A token is recognised by its first characters, unless there is
 * such a file.
 *
 * Returns at least one case.
 *
 * @throws UsageError when there is none.
 */
export function casesOf(what: string): ReplayCase[] {
  const isToken = /^v\d+\./.test(what) && !existsSync(what);
  try {
    return isToken ? [replayToken(what)] : parseReplayText(textOf(what));
  } catch (error) {
    if (!(error instanceof ReplayError)) throw error;
    throw new UsageError(isToken ? error.message : `${nameOf(what)}: ${error.message}`);
  }
}

/** What stands for standard input. */
const STANDARD_INPUT = '-';

function nameOf(path: string): string {
  return path === STANDARD_INPUT ? 'standard input' : path;
}

function textOf(path: string): string {
  try {
    return readFileSync(path === STANDARD_INPUT ? 0 : path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    const why = code === 'ENOENT' ? 'there is no such file' : `it can't be read (${code})`;
    const advice = 'give a token, which begins with v1., or a replay file';
    throw new UsageError(`${nameOf(path)}: ${why}; ${advice}`);
  }
}
