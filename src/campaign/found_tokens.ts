/**
 * Replay tokens in any text: a report, a JSON file, a mail. A mail program breaks a long word over
 * lines, puts `> ` before them, or writes `=` where it has broken a line and `=20` for a space at
 * the end. A check sum is in each token, so what belongs to it is tried word by word.
 */
import { decodeToken, type Replay, TOKEN_PREFIX } from '../schedule/token.js';

/** Words after its first that a token may be broken into. */
const PARTS_MAX = 400;

/** A token that does not stand in the middle of another word. */
const BEGINS = new RegExp(`(?<![\\w.-])${TOKEN_PREFIX.replace('.', '\\.')}[\\w-]*`, 'g');

export interface FoundTokens {
  /** What the tokens say, in their order, each once. */
  readonly replays: readonly Replay[];
  /** The beginning of each that is damaged or cut off. */
  readonly damaged: readonly string[];
}

/** Finds the tokens of a text. */
export function tokensIn(text: string): FoundTokens {
  const words = wordsOf(text);
  const replays = new Map<string, Replay>();
  const damaged: string[] = [];
  words.forEach((word, i) => {
    for (const { 0: begin, index } of word.matchAll(BEGINS)) {
      const isLast = index + begin.length === word.length;
      const parts = isLast ? partsAfter(words, i + 1) : [];
      const found = firstWhole(begin, parts);
      if (found === null) damaged.push(begin);
      else replays.set(found.token, found.replay);
    }
  });
  return { replays: [...replays.values()], damaged };
}

/** The words of a text, without what a mail program adds to them. */
function wordsOf(text: string): string[] {
  return text
    .split(/\s+/)
    .map((word) => word.replace(/^[>|]+/, '').replace(/=(?:20)?$/, ''))
    .filter((word) => word !== '');
}

/** The words that may go on with a token: letters, digits, `-` and `_`. */
function partsAfter(words: readonly string[], from: number): string[] {
  const after = words.slice(from, from + PARTS_MAX);
  const end = after.findIndex((word) => !/^[\w-]+$/.test(word));
  return end < 0 ? after : after.slice(0, end);
}

function firstWhole(
  begin: string,
  parts: readonly string[],
): { readonly token: string; readonly replay: Replay } | null {
  let token = begin;
  for (const part of ['', ...parts]) {
    token += part;
    const replay = decoded(token);
    if (replay !== null) return { token, replay };
  }
  return null;
}

/** What a token says; null if it is none, or was made by a version with other actions. */
function decoded(token: string): Replay | null {
  try {
    return decodeToken(token);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}
