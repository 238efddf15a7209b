/** `vlbr review`: how a change of a kernel's perf affects the properties. */
import { PROPERTY_NAMES } from '../../judge/properties.js';
import { CPU_MODELS } from '../../hw/cpu_models.js';
import { type Baseline, type BaselineOptions, isInBaseline } from '../../console/baseline.js';
import { readBaseline, sinceOf } from '../../console/baseline.js';
import { coloursFor } from '../../console/colours.js';
import { REVIEW_SCHEMA, reviewJson, settingsOf } from './json.js';
import { exitCodeFor, lossesIn, lossOf } from './losses.js';
import { reviewSuite } from './suite.js';
import { isCutShort, type Review } from './conclusion.js';
import { reviewText } from './text.js';
import { DEFAULT_SHAPES } from '../../campaign/campaign.js';
import { findingsOf, isMain, type PolicyReview, ranOn } from './comparison.js';
import { plural } from '../../console/text.js';
import { reviewEach } from './each.js';
import { type Reached, reachedOf } from './reached.js';
import { explainedAsync } from '../../console/kernel_source.js';
import { namesKvm, namesOf, policiesOf, TELLING } from '../../console/arguments.js';
import { withPolicyFiles } from '../../console/policy_files.js';
import { campaignsInWorkers } from '../../console/campaigns.js';
import type { ReviewJob } from './worker.js';
import { checkPictures, type PictureOptions } from '../../console/picture_options.js';
import { writePictures } from '../../tell/picture/write.js';
import { checkReporters, type ReporterOptions, writeReports } from '../../console/reporters.js';
import { printJson, printLines } from '../../console/output.js';
import { type Counting, kvmIn, seriesIn, type Sides, sidesOf } from './sides.js';

/** The build puts the worker's code beside this file. */
const WORKER: URL = new URL('./review_worker.js', import.meta.url);

/** A run takes milliseconds. A changed kernel that is silent for so long is in an endless loop. */
const SILENCE_MS = 15_000;

export interface ReviewOptions extends PictureOptions, ReporterOptions, BaselineOptions {
  readonly kernelSrc?: string;
  readonly reverse?: boolean;
  /** Whether each patch of the series is reviewed as well. */
  readonly each?: boolean;
  /** By default, TELLING, and the tree's KVM if that is changed; that alone if nothing else is. */
  readonly policy?: string;
  readonly property: string;
  readonly cpu: string;
  readonly runs: number;
  readonly seed: number;
  readonly jobs?: number;
  readonly json?: boolean;
}

async function defaultPolicies(patches: readonly string[]): Promise<string> {
  return { none: TELLING, some: `${TELLING},kvm`, alone: 'kvm' }[await kvmIn(patches)];
}

/** Returns the exit code. @throws UsageError before anything has run. */
export async function review(patches: readonly string[], options: ReviewOptions): Promise<number> {
  const { runs, seed, reverse = false, kernelSrc } = options;
  const words = options.json === true ? ['--json'] : [];
  const reported = checkReporters(options, words);
  const quiet = checkPictures(options, [...words, ...reported]) || reported.length > 0;
  const cpus = namesOf(
    'CPU',
    options.cpu,
    CPU_MODELS.map(({ name }) => name),
  );
  const asked = await withPolicyFiles(options.policy ?? (await defaultPolicies(patches)));
  const policies = policiesOf(asked, null);
  const properties = namesOf('property', options.property, PROPERTY_NAMES);
  const kvm = namesKvm(asked);
  const series = options.each === true ? await seriesIn(patches, kernelSrc, reverse, kvm) : null;
  const sides = await sidesOf(patches, kernelSrc, reverse, kvm);
  const of = { cpus, policies, properties, runs, seed, jobs: options.jobs };
  const settings = settingsOf({ cpus, policies, properties, reverse, before: sides.before });
  const baseline = readBaseline(options, REVIEW_SCHEMA, settings);
  const whole = await reviewSides(sides, { ...of, patches, reverse }, lossesTold(baseline));
  const each = await explainedAsync(undefined, async () => {
    if (series === null) return null;
    return reviewEach(
      series,
      whole,
      async (step, titles) => reviewSides(step, { ...of, patches: titles, reverse }),
      lineSaid,
    );
  });
  const found: Review = { ...whole, each };
  const since = sinceOf(baseline, lossesIn(found), isCutShort(found));
  const result = { ...found, since };
  if (options.json === true) printJson(reviewJson(result));
  else if (!quiet) printLines(reviewText(result, coloursFor(process.stdout.isTTY)));
  await writeReports(options, () => reviewSuite(result));
  await writePictures(options, async () => {
    const { reviewHtml } = await import('./html.js');
    return reviewHtml(result);
  });
  return exitCodeFor(result);
}

function lineSaid(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** What is asked of two sides. */
interface Asked extends Pick<ReviewJob, 'cpus' | 'policies' | 'properties' | 'runs' | 'seed'> {
  readonly jobs: number | undefined;
  readonly patches: readonly string[];
  readonly reverse: boolean;
}

/** @param says - what to say of a result before the others are there; by default nothing. */
async function reviewSides(
  { before, after, leftOut, counting }: Sides,
  { cpus, policies, properties, runs, seed, jobs, patches, reverse }: Asked,
  says: (judged: PolicyReview) => string | null = () => null,
): Promise<Review> {
  const job: ReviewJob = {
    cpus,
    kernel: '6.1',
    shapes: DEFAULT_SHAPES,
    policies,
    properties,
    runs,
    seed,
    schedules: [],
    binary: after.bytes,
    before: before.bytes,
  };
  const began = performance.now();
  const { results: reviews, interrupted } = await campaignsInWorkers<ReviewJob, PolicyReview>(
    WORKER,
    job,
    SILENCE_MS,
    says,
    jobs,
  );
  const elapsed_s = Math.round(performance.now() - began) / 1000;
  const reached = await explainedAsync(undefined, () => reachedIn(reviews, counting));
  const what = { cpus, policies, properties, seed, runs, before, after, patches, reverse, leftOut };
  return { ...what, reviews, reached, each: null, interrupted, elapsed_s, since: null };
}

/** Which changed lines ran; null where nothing did, or nothing counts. */
async function reachedIn(
  reviews: readonly PolicyReview[],
  counting: Counting | null,
): Promise<Reached | null> {
  if (counting === null || reviews.length === 0) return null;
  return reachedOf(counting, { before: ranOn(reviews, 'before'), after: ranOn(reviews, 'after') });
}

/** Tells of each property once, when its first loss is there that no baseline knows. */
function lossesTold(baseline: Baseline | null): (judged: PolicyReview) => string | null {
  const told = new Set<string>();
  return (judged) => {
    const lost = findingsOf([judged]).filter(
      (finding) => finding.kind === 'lost' && isMain(finding),
    );
    const fresh = lost
      .filter((finding) => !isInBaseline(baseline, lossOf(finding)))
      .filter(({ property }) => !told.has(property));
    for (const { property } of fresh) told.add(property);
    if (fresh.length === 0) return null;
    const { policy, cpu } = judged.comparison;
    const names = fresh.map(({ property, counterexample: { actions } }) => {
      return `${property} (${plural(actions.length, 'action')})`;
    });
    return `lost so far: ${names.join(', ')}; under ${policy} on ${cpu}`;
  };
}
