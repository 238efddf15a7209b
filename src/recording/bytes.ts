/**
 * Looks at the bytes of a line without making a string of them: a recording of 1 GB has millions
 * of lines. All positions are indices into one buffer.
 */

const SPACE = 0x20;
const TAB = 0x09;
const ZERO = 0x30;

export function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= 0x39;
}

/** Space, tab, and the CR of a CRLF. */
export function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB || byte === 0x0d;
}

export function isLetter(byte: number): boolean {
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

/** The bytes of an ASCII word, to compare with. */
export function word(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/** Whether a word stands at a position, before `end`. */
export function isAt(bytes: Uint8Array, at: number, end: number, sought: Uint8Array): boolean {
  if (at + sought.length > end) return false;
  for (let i = 0; i < sought.length; i++) if (bytes[at + i] !== sought[i]) return false;
  return true;
}

/** Where a word stands first in [from, end), or -1. */
export function find(bytes: Uint8Array, from: number, end: number, sought: Uint8Array): number {
  const last = end - sought.length;
  for (let i = from; i <= last; i++) {
    if (bytes[i] === sought[0] && isAt(bytes, i, end, sought)) return i;
  }
  return -1;
}

/** The first position from `at` on that is not blank. */
export function skipBlanks(bytes: Uint8Array, at: number, end: number): number {
  let i = at;
  while (i < end && isBlank(bytes[i])) i++;
  return i;
}

/** Behind the digits that begin at `at`. */
export function skipDigits(bytes: Uint8Array, at: number, end: number): number {
  let i = at;
  while (i < end && isDigit(bytes[i])) i++;
  return i;
}

/** Behind the run of bytes that are not blank. */
export function skipWord(bytes: Uint8Array, at: number, end: number): number {
  let i = at;
  while (i < end && !isBlank(bytes[i])) i++;
  return i;
}

/** Before the blanks that end at `at`. */
export function blanksBefore(bytes: Uint8Array, at: number, start: number): number {
  let i = at;
  while (i > start && isBlank(bytes[i - 1])) i--;
  return i;
}

/** Where the digits begin that end at `at`. */
export function digitsBefore(bytes: Uint8Array, at: number, start: number): number {
  let i = at;
  while (i > start && isDigit(bytes[i - 1])) i--;
  return i;
}

/** Where the word begins that ends at `at`; none that is sought has more than `most` bytes. */
export function wordBefore(bytes: Uint8Array, at: number, start: number, most: number): number {
  let i = at;
  while (i > start && at - i <= most && !isBlank(bytes[i - 1])) i--;
  return i;
}

/** The number whose digits fill [from, to). Beyond 2^53 it is not exact. */
export function numberIn(bytes: Uint8Array, from: number, to: number): number {
  let value = 0;
  for (let i = from; i < to; i++) value = value * 10 + bytes[i] - ZERO;
  return value;
}

/** The bytes as text, each a character. */
export function latin1(bytes: Buffer, from: number, to: number): string {
  return bytes.toString('latin1', from, to);
}

const UTF8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** The bytes as text; what is no UTF-8 becomes U+FFFD. */
export function utf8(bytes: Uint8Array, from: number, to: number): string {
  return UTF8.decode(bytes.subarray(from, to));
}
