/** Shrinks a sequence that shows a difference. */
import { TAME } from './registers.js';
import type { Sequence } from './sequence.js';

/** Index of the call at which a sequence shows the wanted difference, or -1. */
export type DivergesAt = (sequence: Sequence) => number;

function upTo(sequence: Sequence, call: number): Sequence {
  return { ...sequence, calls: sequence.calls.slice(0, call + 1) };
}

/** Drops calls, many at a time and then one by one, until every remaining call is needed. */
export function shrinkSequence(sequence: Sequence, divergesAt: DivergesAt): Sequence {
  let best = upTo(sequence, divergesAt(sequence));
  const attempt = (candidate: Sequence): boolean => {
    const at = divergesAt(candidate);
    if (at >= 0) best = upTo(candidate, at);
    return at >= 0;
  };
  let size = best.calls.length >> 1;
  while (size >= 1) {
    let shorter = false;
    for (let from = best.calls.length - size; from >= 0; from -= size) {
      if (from + size > best.calls.length) continue;
      const calls = best.calls.toSpliced(from, size);
      if (attempt({ ...best, calls })) shorter = true;
    }
    if (size > 1) size >>= 1;
    else if (!shorter) break;
  }
  const { seed, full } = best.registers;
  attempt({ ...best, registers: { ...TAME, seed, full } });
  return best;
}
