import { always } from './always.js';
import { lazyLiteral } from './lazy_literal.js';
import { lazySound } from './lazy_sound.js';
import { merged } from './merged.js';
import { never } from './never.js';
import { parked } from './parked.js';
import type { LbrPolicy } from './policy.js';
import { pvSound } from './pv_sound.js';
import { pvV2 } from './pv_v2.js';

/** Every policy, in the order of the matrix; the CLI, the tests and README share this table. */
export const POLICIES: readonly LbrPolicy[] = [
  never,
  always,
  pvV2,
  lazyLiteral,
  merged,
  pvSound,
  lazySound,
  parked,
];

/** Finds a policy by name; undefined when there is none. */
export function findPolicy(name: string): LbrPolicy | undefined {
  return POLICIES.find((policy) => policy.name === name);
}
