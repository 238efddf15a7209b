/** What a policy declares about the properties, read by the judge. */
import { KERNEL_FEATURES, type KernelVersion } from '../guest/perf/kernel.js';
import { KVM_FEATURES } from '../host/kvm_versions.js';
import type { HostFeatures, KnownFailure, LbrPolicy } from '../host/policy/policy.js';
import { missingOnCpu } from './needs.js';
import type { CpuModel } from '../hw/cpu_models.js';
import { PROPERTY_NAMES, type PropertyName } from './properties.js';

/**
 * Checks that all that a policy declares is about properties that exist.
 *
 * @throws TypeError if it declares a name that is none.
 */
export function checkDeclared(policy: LbrPolicy): void {
  const known: ReadonlySet<string> = new Set(PROPERTY_NAMES);
  for (const list of ['knownFailures', 'notApplicable', 'withoutCallstack'] as const) {
    const stranger = Object.keys(policy[list] ?? {}).find((name) => !known.has(name));
    if (stranger === undefined) continue;
    throw new TypeError(
      `${list} of policy ${policy.name} has '${stranger}', which is no property; ` +
        `the properties are ${PROPERTY_NAMES.join(', ')}`,
    );
  }
}

function featuresOf(kernel: KernelVersion): HostFeatures {
  return { ...KERNEL_FEATURES[kernel], ...KVM_FEATURES[kernel] };
}

/** Why a policy is known to break a property on this CPU and kernel; null if it is not. */
export function knownFailure(
  policy: LbrPolicy,
  property: PropertyName,
  model: CpuModel,
  kernel: KernelVersion,
): string | null {
  const known: KnownFailure | undefined = policy.knownFailures[property];
  return whyHere(known, model, kernel);
}

function whyHere(
  known: KnownFailure | undefined,
  model: CpuModel,
  kernel: KernelVersion,
): string | null {
  if (known === undefined) return null;
  return known.where === undefined || known.where(model, featuresOf(kernel)) ? known.why : null;
}

/** Whether a campaign may pass over a known failure. */
export function isSeldom(policy: LbrPolicy, property: PropertyName): boolean {
  const known: KnownFailure | undefined = policy.knownFailures[property];
  return known?.seldom === true;
}

/** What cannot be asked of a policy, by what it is. */
function silentAbout({ pv, inUse }: LbrPolicy): Partial<Record<PropertyName, string>> {
  return {
    ...(pv === 'none' ? { 'active-agrees': 'not a paravirtual policy' } : {}),
    ...(inUse === null ? { 'no-premature-stop': 'it never takes the guest to have stopped' } : {}),
  };
}

/** What cannot be asked of a policy anywhere, and why: what it says itself, and what follows. */
export function neverAsked(policy: LbrPolicy): Partial<Record<PropertyName, string>> {
  return { ...silentAbout(policy), ...policy.notApplicable };
}

/** Why a property says nothing about a policy on this CPU and kernel; null if it does. */
export function notApplicable(
  policy: LbrPolicy,
  property: PropertyName,
  model: CpuModel,
  kernel: KernelVersion,
): string | null {
  const missing = missingOnCpu(policy, model);
  if (missing !== null) return missing;
  const refused = whyHere(policy.noGuestLbr, model, kernel);
  if (refused !== null) return refused;
  const why = neverAsked(policy)[property];
  if (why !== undefined) return why;
  return (model.callstack ? null : policy.withoutCallstack?.[property]) ?? null;
}
