/** The cause of a failure, as a key. */
import type { Parting } from './parting.js';
import type { Actor } from './running.js';

/**
 * Who has decided a failure, as a string that is the same in every run and for every seed:
 * failures of one property with the same key have the same cause.
 *
 * `hook:NAME` is a hook of the policy, `perf:NAME of the host` or `perf:NAME of the guest` a
 * function of a kernel's perf, `kvm:NAME` one of the KVM of a tree. ` in ` and the key of a hook or
 * of a function of KVM follow if that has called perf. What hardware alone decides is `hardware`.
 */
export function causeKey({ by, point }: Parting): string {
  const { by: actor, within } = point;
  const key = keyOf(actor);
  if (actor.who !== 'perf') return key;
  const whose = `${key} of the ${by === 'kernel' ? 'guest' : 'host'}`;
  return within === null ? whose : `${whose} in ${keyOf(within)}`;
}

function keyOf({ who, name }: Actor): string {
  return who === 'hardware' ? who : `${who}:${name}`;
}
