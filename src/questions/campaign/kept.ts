/** What the commands of a campaign's directory do. */
import type { BaselineOptions } from '../../console/baseline.js';
import { coloursFor } from '../../console/colours.js';
import { printJson, printLines } from '../../console/output.js';
import { checkReporters, type ReporterOptions, writeReports } from '../../console/reporters.js';
import { Directory } from '../../store/directory.js';
import type { Address } from './address.js';
import { type CampaignReport, exitCodeOfReport, readReport, sinceReport } from './report.js';
import { type AskedOptions, newCampaign, type WorkOptions, withWorkers, workOn } from './run.js';
import { statusOf, stopOwner } from './status.js';
import { checkShow, reportJson, reportSuite, reportText, statusJson, statusText } from './text.js';

/** As commander hands them over. */
export interface ReportOptions extends WorkOptions, ReporterOptions, BaselineOptions {
  readonly show?: readonly string[];
  readonly json?: boolean;
}

export type RunOptions = AskedOptions & ReportOptions;

/** Begins a campaign, works on it and tells what it has found. Returns the exit code. */
export async function run(path: string, options: RunOptions): Promise<number> {
  const tell = teller(options);
  return withWorkers(options, async (workers) => {
    const directory = await newCampaign(path, options);
    return closing(directory, async () => {
      await workOn(directory, workers);
      return tell(directory);
    });
  });
}

/** Goes on with a campaign and tells what it has found. Returns the exit code. */
export async function resume(path: string, options: ReportOptions): Promise<number> {
  const tell = teller(options);
  return withWorkers(options, async (workers) => {
    const directory = Directory.own(path);
    return closing(directory, async () => {
      await workOn(directory, workers);
      return tell(directory);
    });
  });
}

/** Tells what a campaign has found. Returns the exit code. */
export async function report(path: string, options: ReportOptions): Promise<number> {
  const tell = teller(options);
  const directory = Directory.read(path);
  return closing(directory, async () => tell(directory, await earlierReport(options)));
}

/** What the campaign of --baseline has come to; null without it. */
async function earlierReport({ baseline }: BaselineOptions): Promise<CampaignReport | null> {
  if (baseline === undefined) return null;
  const directory = Directory.read(baseline);
  return closing(directory, () => readReport(directory));
}

/** Tells what a campaign has come to, beside an earlier one. Returns the exit code. */
type Tell = (directory: Directory, earlier?: CampaignReport | null) => Promise<number>;

/** Checks the options. Returns what tells a campaign's report, and returns the exit code. */
function teller(options: ReportOptions): Tell {
  const { show = [], json = false, baseline = '' } = options;
  checkShow(show);
  const inPlace = checkReporters(options, json ? ['--json'] : []);
  return async (directory, earlier = null) => {
    const all = await readReport(directory);
    const told = earlier === null ? all : sinceReport(all, earlier, baseline);
    if (json) printJson(reportJson(told));
    else if (inPlace.length === 0) {
      printLines(reportText(told, coloursFor(process.stdout.isTTY), show));
    }
    await writeReports(options, () => reportSuite(told));
    return exitCodeOfReport(told);
  };
}

export interface StatusOptions {
  readonly json?: boolean;
  readonly serve?: Address;
}

/** Says how far a campaign is: once, or on pages until it is told to end. */
export async function status(path: string, { json, serve: address }: StatusOptions): Promise<void> {
  const directory = Directory.read(path);
  await closing(directory, async () => {
    if (address !== undefined) {
      // What makes pages is loaded when it is asked for.
      const { serve } = await import('./serve.js');
      await serve(directory, address);
    } else if (json === true) printJson(statusJson(statusOf(directory)));
    else printLines(statusText(statusOf(directory)));
  });
}

/** Has the process end that works on a campaign. */
export async function stop(path: string): Promise<void> {
  const owner = await stopOwner(path);
  const said = owner === null ? 'nobody works on it' : `process ${owner} has ended`;
  printLines([`${path}: ${said}`]);
}

async function closing<T>(directory: Directory, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    directory.close();
  }
}
