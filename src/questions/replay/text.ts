/** What `vlbr replay` prints beside timelines: a token for a mail, and a legend. */
import { type ReplayCase, tokenOf } from '../../campaign/replay_file.js';
import { tableLines } from '../../console/table.js';
import { wrap } from '../../console/text.js';

/** Columns of a mail. */
export const MAIL_WIDTH = 72;

/** Characters of a piece of a token in a mail, which may be quoted several times. */
const PIECE = 60;

/** The token of a case in pieces, and what to do with them. */
export function mailLines(one: ReplayCase): string[] {
  const pieces = tokenOf(one).match(new RegExp(`.{1,${PIECE}}`, 'g')) ?? [];
  const says = 'To run this again, give this mail, or the lines below, to `vlbr replay -`:';
  return ['', ...wrap(says, '', ''), '', ...pieces];
}

const LEGEND: readonly (readonly [mark: string, says: string])[] = [
  ['#2', 'the second action; what it did is below it'],
  ['v0, p0', 'a vCPU, over all VMs; a pCPU of the host'],
  ['call#3', 'a branch, by its kind and its number among those of its VM'],
  ['<- foreign', 'a record that another VM, another task or the host has made'],
  ['[reference: ...]', 'what the guest would have read on a pCPU of its own'],
  ['=>', 'what breaks the property'],
  ['because:', 'the action in which the machine parts from the reference machine, and by whom'],
];

/** What the marks of a timeline mean. */
export function legendLines(): string[] {
  return ['', ...tableLines(['', ''], LEGEND).slice(1)];
}
