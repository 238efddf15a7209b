/** What `vlbr campaign bisect` is asked: the range, and what is to be lost in it. */
import { entryOf, namesOf, policiesOf, TELLING } from '../../console/arguments.js';
import { UsageError } from '../../console/errors.js';
import { withPolicyFiles } from '../../console/policy_files.js';
import { casesOf } from '../../console/schedules.js';
import type { ReplayCase } from '../../campaign/replay_file.js';
import { CPU_MODELS } from '../../hw/cpu_models.js';
import { PROPERTY_NAMES, type PropertyName } from '../../judge/properties.js';
import { KernelError } from '../../tree/errors.js';
import {
  type Commit,
  commitHash,
  commitsAt,
  isRepository,
  isShallow,
  mergeBase,
} from '../../tree/git.js';

/** The options as commander hands them over. */
export interface BisectOptions {
  readonly kernelSrc: string;
  readonly policy?: string;
  readonly property?: string;
  readonly cpu?: string;
  readonly runs?: number;
  readonly seed?: number;
  readonly jobs?: number;
  readonly json?: boolean;
}

/** What a search without a schedule takes where it is not said. */
export const BISECT_DEFAULTS: Required<
  Pick<BisectOptions, 'policy' | 'property' | 'cpu' | 'runs' | 'seed'>
> = {
  policy: TELLING,
  property: 'all',
  cpu: 'skylake',
  runs: 500,
  seed: 1,
};

/** The commits between which the first bad one is. */
export interface Range {
  readonly repository: string;
  readonly good: Commit;
  readonly bad: Commit;
}

/** What is to be searched for without a schedule: the work of a small campaign. */
export interface SmallCampaign {
  readonly policies: readonly string[];
  readonly properties: readonly PropertyName[];
  readonly cpu: string;
  readonly runs: number;
  readonly seed: number;
}

/**
 * Looks the two commits up.
 *
 * @throws KernelError for what is no range.
 */
export async function rangeOf(repository: string, good: string, bad: string): Promise<Range> {
  if (!isRepository(repository)) {
    throw new KernelError(`${repository}: this is no git repository; bisecting needs its commits`);
  }
  const from = await known(repository, good);
  const to = await known(repository, bad);
  if (from === to) throw new KernelError(`${good} and ${bad} are the same commit`);
  const base = await mergeBase(repository, from, to);
  if (base === to) {
    throw new KernelError(`${bad} is an ancestor of ${good}: name the older commit first`);
  }
  if (base !== from) throw new KernelError(await unrelated(repository, good, bad, base));
  const [older, newer] = await commitsAt(repository, [from, to]);
  return { repository, good: older, bad: newer };
}

async function known(repository: string, name: string): Promise<string> {
  try {
    return await commitHash(repository, name);
  } catch (error) {
    throw await withShallow(repository, error);
  }
}

/** An error that a shallow clone may be the reason of. */
async function withShallow(repository: string, error: unknown): Promise<unknown> {
  if (!(error instanceof KernelError) || !(await isShallow(repository))) return error;
  return new KernelError(`${error.message}; ${SHALLOW}`);
}

const SHALLOW = 'the clone is shallow, so complete it (git fetch --unshallow)';

async function unrelated(
  repository: string,
  good: string,
  bad: string,
  base: string | null,
): Promise<string> {
  const not = `${good} is no ancestor of ${bad}`;
  if (await isShallow(repository)) return `${not}; ${SHALLOW}`;
  if (base === null) return `${not}, and they have none in common`;
  return `${not}; give their common ancestor ${base.slice(0, 12)} in its place, if that is good`;
}

/** The schedule of the user. @throws UsageError for what can't be bisected. */
export async function scheduleOf(from: string, options: BisectOptions): Promise<ReplayCase> {
  const { policy, ...rest } = options;
  const forRuns = (['property', 'cpu', 'runs', 'seed'] as const).find((key) => key in rest);
  if (forRuns !== undefined) {
    throw new UsageError(`--${forRuns} is for a search without a schedule: leave one of them out`);
  }
  if (policy !== undefined) await withPolicyFiles(policy);
  const cases = casesOf(from);
  if (cases.length === 1) return cases[0];
  throw new UsageError(`${from}: there are ${cases.length} schedules in it; give one, as a token`);
}

/** What is run without a schedule. @throws UsageError for names that there are not. */
export async function campaignOf(options: BisectOptions): Promise<SmallCampaign> {
  const { policy, property, cpu, runs, seed } = { ...BISECT_DEFAULTS, ...options };
  entryOf('CPU', cpu, CPU_MODELS);
  const policies = policiesOf(await withPolicyFiles(policy), null);
  return { policies, properties: namesOf('property', property, PROPERTY_NAMES), cpu, runs, seed };
}
