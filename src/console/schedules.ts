/** The schedules that a user names: a token, a file, or standard input. */
import { existsSync } from 'node:fs';
import {
  parseReplayText,
  type ReplayCase,
  ReplayError,
  replayToken,
} from '../campaign/replay_file.js';
import { UsageError } from './errors.js';
import { inputName, inputText } from './input_file.js';

const ADVICE = 'give a token, which begins with v1., or a replay file';

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
    return isToken ? [replayToken(what)] : parseReplayText(inputText(what, ADVICE));
  } catch (error) {
    if (!(error instanceof ReplayError)) throw error;
    throw new UsageError(isToken ? error.message : `${inputName(what)}: ${error.message}`);
  }
}
