/** How a change of lbr.c affects the properties: the findings of all policies together. */
import { type FileCounts, sumOf } from '../../guest/image/arcs.js';
import { driverOf } from '../../guest/perf/kernel.js';
import type { DriverKind } from '../../guest/perf/lbr_driver.js';
import { PROPERTY_NAMES, type PropertyName } from '../../judge/properties.js';
import type { Counterexample } from '../../campaign/campaign.js';
import type { Change, ChangeKind, CompareOptions, Comparison } from '../../campaign/compare.js';
import type { Breaking, Crash } from '../../campaign/side.js';
import { compareDrivers } from '../../campaign/compare.js';
import { type AccessComparison, compareAccesses, type Parting } from './parting.js';

/** The review of one policy on one CPU. */
export interface PolicyReview {
  readonly comparison: Comparison;
  /** Null if a driver crashed. */
  readonly accesses: AccessComparison | null;
  /** What has run of images that count; else nothing. */
  readonly ran: { readonly before: readonly FileCounts[]; readonly after: readonly FileCounts[] };
}

export function reviewPolicy(options: CompareOptions): PolicyReview {
  const judged = judgedPolicy(options);
  const ran = { before: countsOf(options.before), after: countsOf(driverOf(options)) };
  return { ...judged, ran };
}

function countsOf({ image }: DriverKind): readonly FileCounts[] {
  return image?.counted?.counts() ?? [];
}

function judgedPolicy(options: CompareOptions): Omit<PolicyReview, 'ran'> {
  const comparison = compareDrivers(options);
  if (comparison.crashes.length > 0) return { comparison, accesses: null };
  const { crash, accesses } = compareAccesses(options);
  if (crash === null) return { comparison, accesses };
  // compareAccesses() runs other schedules, so its crash may be the first.
  return { comparison: { ...comparison, crashes: [crash], changes: [], vacuous: [] }, accesses };
}

/** What has run of one side, under all policies and on all CPUs. */
export function ranOn(
  reviews: readonly PolicyReview[],
  side: 'before' | 'after',
): readonly FileCounts[] {
  return sumOf(reviews.map(({ ran }) => ran[side]));
}

/** A property that is lost or gained. */
export interface Finding {
  readonly kind: ChangeKind;
  /** A failure of the guest's kernel is one finding, whatever the number of policies. */
  readonly by: Breaking;
  readonly policies: readonly string[];
  /** CPUs on which the finding was made. */
  readonly cpus: readonly string[];
  readonly property: PropertyName;
  /** The property also fails on the other side, but in other schedules. */
  readonly elsewhere: boolean;
  /** Linux 6.1 fails in this schedule as well. */
  readonly onLinux61: boolean;
  /** The shortest schedule that fails on one side only. */
  readonly counterexample: Counterexample;
}

function length({ counterexample }: Change): number {
  return counterexample.actions.length;
}

function findingOf(changes: readonly Change[]): Finding {
  const telling = changes.filter(({ onLinux61 }) => !onLinux61);
  const shortest = (telling.length > 0 ? telling : changes).reduce((best, change) =>
    length(change) < length(best) ? change : best,
  );
  const { kind, elsewhere, onLinux61, by, property, counterexample } = shortest;
  const policies = [...new Set(changes.map(({ policy }) => policy))];
  const cpus = [...new Set(changes.map(({ cpu }) => cpu))];
  return { kind, by, policies, cpus, property, elsewhere, onLinux61, counterexample };
}

/**
 * Whether a finding is reported in full. If a policy fails the property on both sides, any change
 * of guest behaviour moves the failure to other schedules. Such a finding is listed without its
 * schedule.
 */
export function isMain({ by, elsewhere }: Finding): boolean {
  return by === 'kernel' || !elsewhere;
}

/** Drops gains of a property that is also lost: the failure has only moved to other schedules. */
function withoutMoved(findings: readonly Finding[]): Finding[] {
  return findings.filter(
    ({ kind, elsewhere, by, property, policies }) =>
      kind === 'lost' ||
      !elsewhere ||
      !findings.some(
        (f) =>
          f.kind === 'lost' &&
          f.by === by &&
          f.property === property &&
          (by === 'kernel' || f.policies[0] === policies[0]),
      ),
  );
}

/**
 * Whether a loss is a known fault of Linux 6.1 that was hidden until now. The change then fixes a
 * fault, which counts as a gain, and the schedule goes on to the known fault behind it.
 */
function isUncovered(change: Change, all: readonly Change[]): boolean {
  if (change.kind === 'gained' || !change.onLinux61) return false;
  return all.some(
    ({ kind, by, policy }) =>
      kind === 'gained' && by === change.by && (by === 'kernel' || policy === change.policy),
  );
}

/** Losses first, the kernel's own before those of policies, then by property. */
export function findingsOf(reviews: readonly PolicyReview[]): Finding[] {
  const found = reviews.flatMap(({ comparison }) => comparison.changes);
  const all = found.filter((change) => !isUncovered(change, found));
  const findings: Finding[] = [];
  for (const kind of ['lost', 'gained'] as const) {
    for (const property of PROPERTY_NAMES) {
      const own = all.filter(
        (c) => c.kind === kind && c.by === 'kernel' && c.property === property,
      );
      if (own.length > 0) findings.push(findingOf(own));
    }
    for (const property of PROPERTY_NAMES) {
      const theirs = all.filter(
        (c) => c.kind === kind && c.property === property && c.by === 'policy',
      );
      for (const policy of new Set(theirs.map((c) => c.policy))) {
        findings.push(findingOf(theirs.filter((c) => c.policy === policy)));
      }
    }
  }
  return withoutMoved(findings);
}

/** Properties that say nothing any more, with the policies concerned. */
export function vacuousOf(
  reviews: readonly PolicyReview[],
): { readonly property: PropertyName; readonly policies: readonly string[] }[] {
  return PROPERTY_NAMES.flatMap((property) => {
    const found = reviews.filter(({ comparison }) => comparison.vacuous.includes(property));
    const policies = [...new Set(found.map(({ comparison }) => comparison.policy))];
    return policies.length === 0 ? [] : [{ property, policies }];
  });
}

/** The shortest schedule in which accesses part, over all policies. */
export function shortestParting(reviews: readonly PolicyReview[]): Parting | null {
  return reviews.reduce<Parting | null>((best, { accesses }) => {
    const parting = accesses?.parting ?? null;
    if (parting === null) return best;
    return best === null || parting.actions.length < best.actions.length ? parting : best;
  }, null);
}

/** What a kernel does that has crashed, or that could not be booted at all. */
export function crashWord({ actions }: Crash): string {
  return actions.length === 0 ? 'does not start' : 'crashes';
}

/** The shortest schedule in which a side crashes, over all policies; null if none does. */
export function crashOf(reviews: readonly PolicyReview[], side: Crash['side']): Crash | null {
  const found = reviews.flatMap(({ comparison }) =>
    comparison.crashes.filter((crash) => crash.side === side),
  );
  return found.sort((a, b) => a.actions.length - b.actions.length)[0] ?? null;
}

export function losesAnything(reviews: readonly PolicyReview[]): boolean {
  if (crashOf(reviews, 'after') !== null) return true;
  return findingsOf(reviews).some(({ kind }) => kind === 'lost') || vacuousOf(reviews).length > 0;
}
