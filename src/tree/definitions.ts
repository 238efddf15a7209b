/** Where the functions of C files are defined, from the text of the files. */
import type { Definitions } from '../guest/perf/lbr_driver.js';

/** A name at the start of a line, or after what it returns, and the bracket of its parameters. */
const HEAD = /^(?:[A-Za-z_][\w \t*]*(?:[ \t*]|\n))?(\w+)\(/gm;
/** What may stand between parameters and body. */
const BODY = /\s*(?:__\w+\s*)*\{/y;

/**
 * The functions that the text of a C file defines, each with the line of its name. Of two that
 * different configurations have it is the first.
 */
export function functionsIn(text: string): Map<string, number> {
  const found = new Map<string, number>();
  let [line, counted] = [1, 0];
  for (const match of text.matchAll(HEAD)) {
    const [head, name] = match;
    const at = match.index + head.length - name.length - 1;
    BODY.lastIndex = endOfBrackets(text, match.index + head.length);
    if (found.has(name) || !BODY.test(text)) continue;
    for (; counted < at; counted++) if (text[counted] === '\n') line++;
    found.set(name, line);
  }
  return found;
}

/** Where the brackets end that are open at a place of a text. */
function endOfBrackets(text: string, from: number): number {
  let [at, open] = [from, 1];
  for (; open > 0 && at < text.length; at++) {
    if (text[at] === '(') open++;
    else if (text[at] === ')') open--;
  }
  return at;
}

/** The functions of several files. @param files - path in the tree, and text. */
export function definitionsIn(files: Iterable<readonly [path: string, text: string]>): Definitions {
  const all = new Map<string, string>();
  for (const [path, text] of files) {
    for (const [name, line] of functionsIn(text)) {
      if (!all.has(name)) all.set(name, `${path}:${line}`);
    }
  }
  return all;
}
