/** Slices of v0 with one use of LBR each, for policies that count idle slices. */
import * as fc from 'fast-check';
import { DEBUGCTL, LBR, type Rig, TOS } from './machine.js';

const SLICES = ['idle', 'read', 'on', 'off'] as const;

/** The use of LBR in a slice: none, a read of TOS, or a write of DEBUGCTL with LBR 1 or 0. */
export type Slice = (typeof SLICES)[number];

export const anySlices: fc.Arbitrary<Slice[]> = fc.array(fc.constantFrom(...SLICES), {
  minLength: 1,
  maxLength: 12,
  size: 'max',
});

/** Performs the slice. No access may fault. */
export function performSlice(rig: Rig, slice: Slice): void {
  if (slice === 'read') rig.get(0, TOS);
  if (slice === 'on') rig.set(0, DEBUGCTL, LBR);
  if (slice === 'off') rig.set(0, DEBUGCTL, 0);
}
