import { always } from './always.js';
import { kvm } from './kvm.js';
import { lazyLiteral } from './lazy_literal.js';
import { lazySound } from './lazy_sound.js';
import { mediated, mediatedLbr } from './mediated.js';
import { merged } from './merged.js';
import { never } from './never.js';
import { parked } from './parked.js';
import type { LbrPolicy } from './policy.js';
import { pvSound } from './pv_sound.js';
import { pvV2, pvV2Direct } from './pv_v2.js';
import { v1Vmx, v1VmxArea, v1VmxSwap } from './v1_vmx.js';
import { v10 } from './v10.js';
import { v4, v4Select } from './v4.js';
import { v6, v7 } from './v6.js';
import { v8, v8Posted } from './v8.js';

/**
 * Every policy that all kernels can have, in the order of the matrix; the CLI, the tests and README
 * share this table.
 */
export const POLICIES: readonly LbrPolicy[] = [
  never,
  always,
  v1Vmx,
  v1VmxSwap,
  v1VmxArea,
  pvV2,
  pvV2Direct,
  lazyLiteral,
  v4,
  v4Select,
  v6,
  v7,
  v8,
  v8Posted,
  v10,
  merged,
  pvSound,
  lazySound,
  parked,
];

/** Policies that need more of a kernel: 7.0 and later. */
export const LATER_POLICIES: readonly LbrPolicy[] = [mediated, mediatedLbr];

/** Policies that the model has, for any kernel. */
export const ALL_POLICIES: readonly LbrPolicy[] = [...POLICIES, ...LATER_POLICIES];

/** Policies of users' files, in the order in which this thread has loaded them. */
const added: LbrPolicy[] = [];

export function addedPolicies(): readonly LbrPolicy[] {
  return added;
}

/** Adds a policy to those of this thread, under a name that none of them has. */
export function addPolicy(policy: LbrPolicy): void {
  added.push(policy);
}

/** Finds a policy by name, a tree's own KVM and added ones included; undefined if there is none. */
export function findPolicy(name: string): LbrPolicy | undefined {
  return name === kvm.name ? kvm : [...ALL_POLICIES, ...added].find((one) => one.name === name);
}
