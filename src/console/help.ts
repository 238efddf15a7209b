/** What `--help` prints below the options, in the columns of the terminal. */
import { setTextWidth, WIDTH, wrap } from './text.js';

/** Columns before the text of a list's entry, at most; it is below a name that has no room. */
const NAME_MAX = 14;
const NESTED = '    ';

/**
 * Texts of `--help`, one below the other. Their lines are broken again where the terminal ends: a
 * line that had no room for the next word goes on in the next line.
 *
 * @param texts - with lines of at most 100 columns.
 */
export function helpText(...texts: readonly string[]): () => string {
  return () => {
    setTextWidth(undefined);
    return paragraphsOf(texts.join('\n')).flatMap(wrapped).join('\n');
  };
}

/** The name of an entry of a list, or the word that begins a command: neither goes on a line. */
const BEGINS = /^ *(?:\S+ {2,}|vlbr )/;

/** The lines of a text, those joined that were one. */
function paragraphsOf(text: string): string[] {
  const paragraphs: string[] = [];
  let [last, within] = ['', 0];
  for (const line of text.split('\n')) {
    const indent = line.search(/\S/);
    const [word] = line.trim().split(' ');
    const noRoom = indent === within && last.length + 1 + word.length > WIDTH;
    if (noRoom && !BEGINS.test(line)) paragraphs.push(`${paragraphs.pop()} ${line.trim()}`);
    else paragraphs.push(line);
    [last, within] = [line, indent];
  }
  return paragraphs;
}

/** Text in a list goes on below itself, and a command further in. */
function wrapped(line: string): string[] {
  const [, indent, name = ''] = /^( *)(\S+ {2,})?/.exec(line) ?? ['', ''];
  const start = indent + name;
  const text = line.slice(start.length);
  if (start.length > NAME_MAX) return [start.trimEnd(), ...wrap(text, NESTED, NESTED)];
  if (name !== '') return wrap(text, start, ' '.repeat(start.length));
  return wrap(text, indent, text.startsWith('vlbr ') ? `${indent}    ` : indent);
}
