/** Colours, if the output is a terminal; the same functions that do nothing, if not. */
import pc from 'picocolors';

export type Colours = ReturnType<typeof pc.createColors>;

/**
 * picocolors by itself would colour a pipe on a CI machine; colour is for people.
 *
 * @param terminal - whether the output is one; undefined, as Node has it for a pipe, is not.
 */
export function coloursFor(terminal: boolean | undefined): Colours {
  return pc.createColors(terminal ? pc.isColorSupported : false);
}
