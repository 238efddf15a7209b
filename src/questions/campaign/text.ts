/** The report and the state of a campaign as text and JSON. */
import { type JsonReport, replayToken, withDriver } from '../../campaign/replay_file.js';
import { UsageError } from '../../console/errors.js';
import type { Colours } from '../../console/colours.js';
import { tableLines } from '../../console/table.js';
import { ascii, grouped, plural, wrap } from '../../console/text.js';
import type { Suite } from '../../console/report_forms.js';
import type { Asked } from '../../store/asked.js';
import { timeline } from '../../tell/timeline.js';
import { verifyJson } from '../../tell/verdicts/json.js';
import { verifySuite } from '../../tell/verdicts/suite.js';
import { type Campaign, verifyText } from '../../tell/verdicts/text.js';
import type { CampaignReport, ToldFailure } from './report.js';
import type { Status } from './status.js';

/** The schema of `vlbr campaign report --json`. */
const REPORT_SCHEMA = 'vlbr/campaign-report/1';
/** The schema of `vlbr campaign status --json`. */
const STATUS_SCHEMA = 'vlbr/campaign-status/1';

/** What a campaign is of. */
export function whatOf({ targets, cpus, policies, runs, seed }: Asked): string {
  const kernels = targets.map(({ name }) => name).join(', ');
  const of = policies.length > 3 ? `${policies.length} policies` : policies.join(', ');
  const what = `${of} on ${cpus.join(', ')}, Linux ${kernels}`;
  return `vlbr campaign: ${what}, ${grouped(runs)} runs each, seed ${seed}`;
}

function headLines(asked: Asked): string[] {
  return wrap(whatOf(asked), '', '  ');
}

/** Refuses words of --show that can't be the number of a failure. @throws UsageError */
export function checkShow(words: readonly string[]): void {
  const wrong = words.find((word) => word !== 'all' && !/^[1-9]\d{0,8}$/.test(word));
  if (wrong === undefined) return;
  throw new UsageError(`--show ${wrong}: it must be the number of a failure, or all`);
}

/**
 * Each failure by its cause, those that are asked for as timelines, and the verdicts on each CPU.
 *
 * @param show - numbers of failures, or `all`.
 * @throws UsageError for a number that there is not.
 */
export function reportText(
  report: CampaignReport,
  colours: Colours,
  show: readonly string[],
): string[] {
  const { asked, campaigns, failures, runs, runsAsked } = report;
  const several = campaigns.length > 1;
  const verdicts = campaigns.flatMap((campaign) => {
    const { model, byKernel } = campaign;
    const name = `${model.name}, Linux ${byKernel.version}`;
    const head = several ? [colours.bold(name), ''] : [];
    return [...head, ...verifyText(campaign, colours, { show: [], only: 'verdicts' }), ''];
  });
  return [
    ...headLines(asked).map((line) => colours.bold(line)),
    `runs: ${grouped(runs)} of ${grouped(runsAsked)}`,
    '',
    ...failureLines(failures, colours),
    ...shownLines(report, colours, show),
    ...verdicts.slice(0, -1),
  ];
}

/** Each failure with its number, in the order of the policies. */
function failureLines(failures: readonly ToldFailure[], colours: Colours): string[] {
  const heading = `failures, by what decides them: ${grouped(failures.length)}`;
  if (failures.length === 0) return [colours.bold(heading), ''];
  const rows = failures.map(({ policy, property, own, cause, count, first, actions }, i) => [
    String(i + 1),
    own ? 'the kernel' : policy,
    property,
    grouped(count),
    grouped(first[0]),
    grouped(actions),
    cause,
  ]);
  const head = ['', 'whose', 'property', 'met', 'from run', 'actions', 'decided by'];
  return [colours.bold(heading), ...tableLines(head, rows), ''];
}

/** The timelines of failures. */
function shownLines(
  { failures, campaigns }: CampaignReport,
  colours: Colours,
  show: readonly string[],
): string[] {
  const beyond = show.find((word) => Number(word) > failures.length);
  if (beyond !== undefined) {
    throw new UsageError(`--show ${beyond}: there are ${plural(failures.length, 'failure')}`);
  }
  return failures.flatMap((failure, i) => {
    if (!show.includes('all') && !show.includes(String(i + 1))) return [];
    const { policy, property, token, campaign } = failure;
    const { driver, driverWords } = campaigns[campaign];
    const replay = withDriver(replayToken(token), driver);
    const { lines } = timeline(replay);
    const again = ['vlbr replay', token, ...driverWords].join(' ');
    return [colours.bold(`${i + 1}. ${policy}, ${property}`), ...lines, `  ${again}`, ''];
  });
}

/** All of a report; its keys are stable (README, "JSON"). */
export function reportJson({ campaigns, failures, ...rest }: CampaignReport): JsonReport {
  return {
    schema: REPORT_SCHEMA,
    ...rest,
    failures: failures.map(({ known, campaign: _, ...failure }) => {
      return { ...failure, known: known === null ? null : ascii(known) };
    }),
    verdicts: campaigns.map(verdictsJson),
  };
}

/** What `vlbr verify --json` says, but for what all verdicts of a campaign have in common. */
function verdictsJson(campaign: Campaign): object {
  const { cpu, kernel, driver, kernelSource, steps, actions, results, ...rest } =
    verifyJson(campaign);
  const { kernelList, kernelFindings, interrupted, unexpected, losses, baseline } = rest;
  return {
    cpu,
    kernel,
    driver,
    kernelSource,
    steps,
    actions,
    results,
    kernelList,
    kernelFindings,
    interrupted,
    unexpected,
    losses,
    baseline,
  };
}

/** The verdicts of all CPUs as test cases. */
export function reportSuite({ campaigns }: CampaignReport): Suite {
  const several = campaigns.length > 1;
  const cases = campaigns.flatMap((campaign) => {
    const { model, byKernel } = campaign;
    const where = several ? ` on ${model.name}, Linux ${byKernel.version}` : '';
    return verifySuite(campaign).cases.map((one) => ({ ...one, group: `${one.group}${where}` }));
  });
  return { name: 'vlbr campaign', cases };
}

/** How far a campaign is, in rows. */
export function statusRows(status: Status): [name: string, text: string][] {
  const { runs, runsAsked, failures, short, judged, subjects, owner } = status;
  return [
    ['runs', `${grouped(runs)} of ${grouped(runsAsked)}`],
    ['failures', `${grouped(failures)} different, ${grouped(short)} of them made short`],
    ['verdicts', `on ${grouped(judged)} of ${plural(subjects, 'subject')}`],
    ['worked on', owner === null ? 'by nobody' : `by process ${owner}`],
  ];
}

export function statusText(status: Status): string[] {
  const rows = statusRows(status).map(([name, text]) => `  ${name.padEnd(9)}  ${text}`);
  return [...headLines(status.asked), ...rows];
}

/** The same as Prometheus reads it. */
export function metricsText(status: Status): string {
  const { runs, runsAsked, failures, short, judged, subjects, owner } = status;
  const gauges: readonly [name: string, says: string, value: number][] = [
    ['runs', 'Runs that are done.', runs],
    ['runs_asked', 'Runs that are asked for.', runsAsked],
    ['failures', 'Different failures.', failures],
    ['failures_short', 'Different failures whose schedules were made short.', short],
    ['subjects', "Policies on a CPU beside a kernel's code.", subjects],
    ['subjects_judged', 'Those of them whose verdicts are known.', judged],
    ['owned', 'Whether a process works on the campaign.', owner === null ? 0 : 1],
  ];
  const lines = gauges.flatMap(([name, says, value]) => [
    `# HELP vlbr_campaign_${name} ${says}`,
    `# TYPE vlbr_campaign_${name} gauge`,
    `vlbr_campaign_${name} ${value}`,
  ]);
  return `${lines.join('\n')}\n`;
}

export function statusJson(status: Status): JsonReport {
  return { schema: STATUS_SCHEMA, ...status };
}
