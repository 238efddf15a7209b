/** What the commands of a campaign's directory do. */
import { coloursFor } from '../../console/colours.js';
import { printJson, printLines } from '../../console/output.js';
import { checkReporters, type ReporterOptions, writeReports } from '../../console/reporters.js';
import { Directory } from '../../store/directory.js';
import { exitCodeOfReport, readReport } from './report.js';
import { type AskedOptions, newCampaign, type WorkOptions, withWorkers, workOn } from './run.js';
import { statusOf, stopOwner } from './status.js';
import { checkShow, reportJson, reportSuite, reportText, statusJson, statusText } from './text.js';

/** As commander hands them over. */
export interface ReportOptions extends WorkOptions, ReporterOptions {
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
  return closing(directory, () => tell(directory));
}

/** Checks the options. Returns what tells a campaign's report, and returns the exit code. */
function teller(options: ReportOptions): (directory: Directory) => Promise<number> {
  const { show = [], json = false } = options;
  checkShow(show);
  const inPlace = checkReporters(options, json ? ['--json'] : []);
  return async (directory) => {
    const told = await readReport(directory);
    if (json) printJson(reportJson(told));
    else if (inPlace.length === 0) {
      printLines(reportText(told, coloursFor(process.stdout.isTTY), show));
    }
    await writeReports(options, () => reportSuite(told));
    return exitCodeOfReport(told);
  };
}

/** Says how far a campaign is. */
export function status(path: string, { json }: ReportOptions): void {
  const directory = Directory.read(path);
  try {
    const now = statusOf(directory);
    if (json === true) {
      printJson(statusJson(now));
      return;
    }
    printLines(statusText(now));
  } finally {
    directory.close();
  }
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
