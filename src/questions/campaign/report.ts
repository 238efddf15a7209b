/** What a campaign has come to. It has no times in it, so it is the same whoever did the work. */
import type { Report } from '../../campaign/campaign.js';
import { mergedReports } from '../../campaign/campaign.js';
import { listFor } from '../../campaign/kernel_lists.js';
import { scheduleOf } from '../../campaign/shape_campaign.js';
import { PORT } from '../../guest/perf/lbr_port.js';
import { CPU_MODELS } from '../../hw/cpu_models.js';
import { entryOf } from '../../console/arguments.js';
import { sinceOf } from '../../console/baseline.js';
import { UsageError } from '../../console/errors.js';
import { codeOf } from '../../console/kernel_source.js';
import { encodeToken } from '../../schedule/token.js';
import { type Asked, rangeAt, type Subject, subjectsOf } from '../../store/asked.js';
import type { Directory } from '../../store/directory.js';
import { type Entry, foundIn, shortestOf } from '../../store/findings.js';
import { reportsInThreads } from '../../store/threads.js';
import { kernelVerdict } from '../../tell/verdicts/kernel_verdict.js';
import { exitCodeFor, lossesIn } from '../../tell/verdicts/losses.js';
import type { Campaign } from '../../tell/verdicts/text.js';
import {
  EXIT_CUT_SHORT,
  EXIT_EXPECTED,
  EXIT_LOST,
  EXIT_NOT_SHOWN,
} from '../../console/exit_codes.js';

/** A failure, as it is told. */
export interface ToldFailure {
  /** Index in the report's campaigns. */
  readonly campaign: number;
  readonly target: string;
  readonly cpu: string;
  readonly policy: string;
  readonly property: string;
  /** Whether the guest's kernel breaks the property by itself. */
  readonly own: boolean;
  /** Why that is known of the kernel; null if it is not, or if a policy breaks the property. */
  readonly known: string | null;
  /** Which code has decided it. */
  readonly cause: string;
  /** How many of the failing runs that were looked at have this cause. */
  readonly count: number;
  /** Numbers of the first and the last of the runs in which it was met first. */
  readonly first: readonly [number, number];
  /** Actions of the shortest schedule, which is in the token. */
  readonly actions: number;
  readonly token: string;
  /** Whether all its schedules were made short. */
  readonly short: boolean;
}

/** What a campaign has come to. */
export interface CampaignReport {
  readonly asked: Asked;
  /** Runs that were made, and all that were asked for. */
  readonly runs: number;
  readonly runsAsked: number;
  readonly done: boolean;
  /** The verdicts, for each kernel's code on each CPU. */
  readonly campaigns: readonly Campaign[];
  readonly failures: readonly ToldFailure[];
}

/**
 * The failures of all subjects, in the order of the subjects. What the guest's kernel breaks by
 * itself it breaks under every policy, so it is told once for each CPU.
 */
export function failuresIn(directory: Directory): ToldFailure[] {
  const { asked } = directory;
  const all: ToldFailure[] = [];
  for (const [i, subject] of subjectsOf(asked).entries()) {
    const campaign = Math.trunc(i / asked.policies.length);
    for (const entry of directory.findings(i).entries) {
      const one = { campaign, ...told(asked, subject, entry) };
      const at = all.findIndex((other) => isSameOfKernel(other, one));
      if (at < 0) all.push(one);
      else all[at] = together(all[at], one);
    }
  }
  return all;
}

function isSameOfKernel(a: ToldFailure, b: ToldFailure): boolean {
  const both = a.own && b.own && a.campaign === b.campaign;
  return both && a.property === b.property && a.known === b.known && a.cause === b.cause;
}

/** One failure of the kernel, which was met under two policies. */
function together(a: ToldFailure, b: ToldFailure): ToldFailure {
  const shorter = b.actions < a.actions ? b : a;
  const first = b.first[0] < a.first[0] ? b.first : a.first;
  return { ...shorter, count: a.count + b.count, first, short: a.short && b.short };
}

function told(
  asked: Asked,
  { policy, cpu, target }: Subject,
  entry: Entry,
): Omit<ToldFailure, 'campaign'> {
  const { property, own, known, cause, count, first, short } = entry;
  const example = shortestOf(entry);
  const actions = scheduleOf(example.words).actions();
  const shape = asked.shapes[example.shape];
  const { from, to } = rangeAt(asked, first);
  return {
    target: target.name,
    cpu,
    policy,
    property,
    own,
    known: own ? (listFor(target.version).findings[known]?.why ?? null) : null,
    cause,
    count,
    first: [from, to - 1],
    actions: actions.length,
    token: encodeToken({ policy, property, cpu, kernel: target.kernel, shape, actions }),
    short: !short.includes(null),
  };
}

/**
 * Reads what a campaign has come to. Where work is left, the verdicts are made of what is known,
 * which takes threads and time.
 */
export async function readReport(directory: Directory): Promise<CampaignReport> {
  const { asked } = directory;
  const subjects = subjectsOf(asked);
  const stored = subjects.map((_, i) => directory.report(i));
  const left = subjects.flatMap((_, i) => {
    const found = stored[i] === null ? foundIn(directory.findings(i)) : null;
    return found === null ? [] : [{ subject: i, found: { ...found, interrupted: true } }];
  });
  const made = await reportsInThreads(directory, left);
  const reports = subjects.map((_, i) => stored[i] ?? made.get(i) ?? null);
  return {
    asked,
    runs: subjects.reduce((sum, _, i) => sum + (directory.findings(i).found?.runs ?? 0), 0),
    runsAsked: subjects.length * asked.runs,
    done: !stored.includes(null),
    campaigns: campaignsOf(directory, subjects, reports),
    failures: failuresIn(directory),
  };
}

function campaignsOf(
  directory: Directory,
  subjects: readonly Subject[],
  reports: readonly (Report | null)[],
): Campaign[] {
  const { asked } = directory;
  const { policies, properties, shapes, without, seed, runs } = asked;
  return asked.targets.flatMap((target) => {
    const code = target.code === null ? null : codeOf(directory.code(target.code));
    return asked.cpus.map((cpu): Campaign => {
      const its = reports.filter(
        (_, i) => subjects[i].target === target && subjects[i].cpu === cpu,
      );
      const there = its.filter((report) => report !== null);
      const merged = mergedReports(there, properties);
      const report = { ...merged, interrupted: merged.interrupted || there.length < its.length };
      const model = entryOf('CPU', cpu, CPU_MODELS);
      const judged = { version: target.version, policies, properties, runs, shapes, without };
      return {
        model,
        kernel: target.kernel,
        driver: code?.driver ?? PORT,
        source: code?.info ?? null,
        driverWords: target.words,
        seed,
        policies,
        shapes,
        without,
        recordings: [],
        runsAsked: runs,
        properties,
        // Nor is the time known that all who did the work have taken.
        elapsed_s: 0,
        report,
        byKernel: kernelVerdict(report, { ...judged, schedules: [] }, model),
        since: null,
      };
    });
  });
}

/**
 * The same with what an earlier campaign has lost as known.
 *
 * @param file - the directory of the earlier one, as the user named it.
 * @throws UsageError if that has not looked at the same.
 */
export function sinceReport(
  report: CampaignReport,
  earlier: CampaignReport,
  file: string,
): CampaignReport {
  const campaigns = report.campaigns.map((campaign) => {
    const key = settingsOf(campaign);
    const other = earlier.campaigns.find((one) => settingsOf(one) === key);
    if (other === undefined) {
      throw new UsageError(
        `--baseline ${file}: it has no verdicts on the same policies and properties, on ` +
          `${campaign.model.name}, Linux ${campaign.byKernel.version}; give a campaign that has`,
      );
    }
    const baseline = { file, losses: lossesIn(other) };
    const since = sinceOf(baseline, lossesIn(campaign), campaign.report.interrupted);
    return { ...campaign, since };
  });
  return { ...report, campaigns };
}

/** What verdicts must have in common to be compared. */
function settingsOf({ model, byKernel, policies, properties, shapes, without }: Campaign): string {
  return JSON.stringify([model.name, byKernel.version, policies, properties, shapes, without]);
}

/** The worst of what the verdicts on each CPU end with. */
export function exitCodeOfReport({ campaigns }: CampaignReport): number {
  const codes = campaigns.map((campaign) => exitCodeFor(campaign));
  const worst = [EXIT_LOST, EXIT_CUT_SHORT, EXIT_NOT_SHOWN].find((code) => codes.includes(code));
  return worst ?? EXIT_EXPECTED;
}
