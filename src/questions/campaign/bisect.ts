/** `vlbr campaign bisect`: the first commit of a range that loses a property. */
import { coloursFor } from '../../console/colours.js';
import { EXIT_EXPECTED, EXIT_PARTIAL, exitCodeOf } from '../../console/exit_codes.js';
import { Interrupt } from '../../console/interrupt.js';
import { explainedAsync } from '../../console/kernel_source.js';
import { printJson, printLines } from '../../console/output.js';
import { progressLine } from '../../console/progress.js';
import { namesKvm } from '../../console/arguments.js';
import type { ReplayCase } from '../../campaign/replay_file.js';
import {
  type Between,
  type Commit,
  commitsAt,
  halving,
  history,
  historyLength,
} from '../../tree/git.js';
import {
  type BisectOptions,
  campaignOf,
  type Range,
  rangeOf,
  scheduleOf,
  type SmallCampaign,
} from './bisect_asked.js';
import type { Ending, Failing } from './bisect_ending.js';
import { bisectJson } from './bisect_json.js';
import { type Doing, Kernels, reasonOf } from './bisect_kernels.js';
import { searched } from './bisect_search.js';
import { endsOf, type Subject, subjectBy, subjectOf } from './bisect_subject.js';
import { bisectText, judgedLine } from './bisect_text.js';

/** Commits that are listed at most. */
const LISTED_MAX = 20;

/** A commit, and how the schedule ends on it. */
export interface Judged {
  readonly commit: Commit;
  readonly ending: Ending;
}

export interface Bisection {
  readonly range: Range;
  /** Null if the work was cut short before there was one. */
  readonly subject: Subject | null;
  /** Commits of the range, the bad one included. */
  readonly commits: number;
  /** Those that change a file of which kernels are made; null if that is not known. */
  readonly changing: number | null;
  /** In the order in which they were judged. */
  readonly judged: readonly Judged[];
  /** The first bad commit is one of so many; all of the range at the worst. */
  readonly left: number;
  /** Those, from old to new, if they are at most LISTED_MAX; else none. */
  readonly suspects: readonly Commit[];
  /** The first commit that is known to fail, and how; null without a schedule. */
  readonly failing: { readonly hash: string; readonly ending: Failing } | null;
  readonly interrupted: boolean;
  readonly elapsed_s: number;
}

/** What there is to lose: a schedule, or what a campaign finds. */
type Asked = { readonly replay: ReplayCase } | { readonly campaign: SmallCampaign };

/** Returns the exit code. @throws UsageError where there is nothing to bisect. */
export async function bisect(
  good: string,
  bad: string,
  schedule: string | undefined,
  options: BisectOptions,
): Promise<number> {
  const began = performance.now();
  const asked: Asked =
    schedule === undefined
      ? { campaign: await campaignOf(options) }
      : { replay: await scheduleOf(schedule, options) };
  const found = await explainedAsync(undefined, async () => {
    const range = await rangeOf(options.kernelSrc, good, bad);
    return bisected(range, asked, options.jobs);
  });
  const elapsed_s = Math.round(performance.now() - began) / 1000;
  const result: Bisection = { ...found, elapsed_s };
  if (options.json === true) printJson(bisectJson(result));
  else printLines(bisectText(result, coloursFor(process.stdout.isTTY)));
  const code = exitCodeOf({ cutShort: result.interrupted });
  return code === EXIT_EXPECTED && result.left > 1 ? EXIT_PARTIAL : code;
}

function lineOf(): Interrupt<Doing> {
  const first = { value: 0, total: 1, doing: 'building' };
  return new Interrupt(
    progressLine('{value} of about {total} commits | {doing}', first, (now: Doing) => {
      return { value: now.judged, total: now.wanted, doing: now.doing };
    }),
  );
}

async function bisected(
  range: Range,
  asked: Asked,
  jobs: number | undefined,
): Promise<Omit<Bisection, 'elapsed_s'>> {
  const interrupt = lineOf();
  try {
    const policies =
      'replay' in asked ? asked.replay.config.policy.name : asked.campaign.policies.join(',');
    const kernels = new Kernels(range, namesKvm(policies), interrupt, jobs);
    const all: Between = { head: range.bad.hash, without: [range.good.hash] };
    const { repository } = range;
    const commits = await historyLength(repository, all);
    const ends = await endsOf(range, kernels);
    const subject =
      ends === null
        ? null
        : 'replay' in asked
          ? await subjectOf(range, ends, asked.replay, kernels)
          : await subjectBy(range, ends, asked.campaign, kernels);
    if (subject === null) {
      const nothing = { subject, changing: null, judged: [], failing: null };
      const rest = await restOf(repository, all, []);
      return { range, commits, ...nothing, ...rest, interrupted: true };
    }
    return await halved(range, subject, kernels, interrupt, commits);
  } finally {
    interrupt.end();
  }
}

/** What is left of a history. */
async function restOf(
  repository: string,
  part: Between,
  files: readonly string[],
): Promise<Pick<Bisection, 'left' | 'suspects'>> {
  const left = await historyLength(repository, part, files);
  return { left, suspects: left > LISTED_MAX ? [] : await history(repository, part, files) };
}

/** Halves the range until one commit is left. */
async function halved(
  range: Range,
  subject: Subject,
  kernels: Kernels,
  interrupt: Interrupt<Doing>,
  commits: number,
): Promise<Omit<Bisection, 'elapsed_s'>> {
  const { repository, good, bad } = range;
  const all: Between = { head: bad.hash, without: [good.hash] };
  const changing = await historyLength(repository, all, kernels.files);
  const judged: Judged[] = [];
  const judge = async (hash: string, left: number): Promise<Ending | null> => {
    const [commit] = await commitsAt(repository, [hash]);
    const wanted = judged.length + Math.ceil(Math.log2(left));
    interrupt.show({ doing: commit.subject, judged: judged.length, wanted });
    const ending = await endingAt(hash, subject, kernels);
    if (ending === null) return null;
    judged.push({ commit, ending });
    interrupt.say(judgedLine({ commit, ending }));
    return ending;
  };
  const between = async (part: Between): Promise<readonly string[]> =>
    halving(repository, part, kernels.files);
  const { part, interrupted } = await searched(all, between, judge);
  const rest = await restOf(repository, part, kernels.files);
  const last = judged.find(({ commit }) => commit.hash === part.head)?.ending;
  const ending = last?.kind === 'fails' ? last : subject.ending;
  const failing = { hash: part.head, ending };
  return { range, subject, commits, changing, judged, ...rest, failing, interrupted };
}

/** How the schedule ends on a commit; null if that was interrupted. */
async function endingAt(hash: string, subject: Subject, kernels: Kernels): Promise<Ending | null> {
  const { replay, by } = subject;
  try {
    const code = await kernels.at(hash);
    return code === null ? null : await kernels.ending(code, replay, by);
  } catch (error) {
    return { kind: 'skipped', why: reasonOf(error) };
  }
}
