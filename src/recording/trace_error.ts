/** What can be wrong with a recording, in words that a terminal may show. */

/** A mistake in a recording or in how it is used; the message says where, what and what to do. */
export class TraceError extends Error {
  override readonly name: string = 'TraceError';
  readonly file: string;
  /** From 1; 0 when the whole file is meant. */
  readonly line: number;

  constructor(file: string, line: number, what: string) {
    const where = line === 0 ? file : `${file}:${line}`;
    super(printable(`${where}: ${what}`));
    this.file = file;
    this.line = line;
  }
}

/**
 * Control characters, and those that turn the direction of text: a terminal would obey them, and
 * any program may put them into the name of a thread.
 */
// oxlint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** The text with each such character as its number: `\x1b`, `\u2028`. */
export function printable(text: string): string {
  return text.replace(CONTROLS, (char) => {
    const code = char.charCodeAt(0);
    return code < 256 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`;
  });
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0');
}

/** At most 60 characters of a line, for a message. */
export function excerpt(line: string): string {
  const shown = line.trim();
  return printable(shown.length > 60 ? `${shown.slice(0, 30)} ... ${shown.slice(-25)}` : shown);
}
