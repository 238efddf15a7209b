/** The command lines of campaigns that are kept in a directory. */
import { Command, Option } from 'commander';
import {
  addWidthOption,
  collect,
  driverOption,
  jobsOption,
  KERNEL_SRC_SAYS,
  kernelOption,
  runsNumber,
  SEED_SAYS,
  seedNumber,
  timeLimitOption,
} from '../../console/arguments.js';
import {
  EXIT_CUT_SHORT,
  EXIT_EXPECTED,
  EXIT_LOST,
  EXIT_NOT_SHOWN,
  exitCodesText,
  PLAIN_EXITS,
} from '../../console/exit_codes.js';
import { helpText } from '../../console/help.js';
import { addShapeOptions, addWithoutOption } from '../../console/machine_options.js';
import { addQueueOptions, QUEUE_HELP } from '../../console/queue_options.js';
import { reporterOption } from '../../console/reporters.js';
import { addressOf } from './address.js';
import type { ReportOptions, RunOptions, StatusOptions } from './kept.js';

const DIRECTORY_SAYS = 'directory of the campaign';
/** Runs of a unit by default: one or two seconds of work. */
const UNIT_RUNS = 2000;

const JSON_SAYS = 'one JSON object on standard output';

const HELP = `
The work is cut into units of some seconds. What a unit finds depends on the campaign alone, so
the report is the same for any number of threads, however often the work was ended or killed.
Each failure is one entry for each policy (or kernel), property and the code that decides it.
By default, threads of the process do the work. With --queue it is done by vlbr worker, on any
number of machines, and the process alone writes the directory.`;

const EXAMPLES = `
Examples:
  vlbr campaign run nightly --policy all --runs 1000000
  vlbr campaign resume nightly --time-limit 8h
  vlbr campaign run nightly --queue redis://queue.example.org --runs 10000000
  vlbr campaign status nightly
  vlbr campaign report nightly --reporter junit=nightly.xml`;

const PAGES_HELP = `
Pages of --serve:
  /             how far it is, and each failure
  /failure/N    the schedule of a failure, step by step
  /status.json  what --json prints
  /metrics      numbers for Prometheus`;

const EXITS = exitCodesText({
  [EXIT_EXPECTED]:
    'everything came out as expected: what a policy declares as a known failure fails, and ' +
    'everything else holds',
  [EXIT_LOST]: "a property fails, and is no known failure of the policy, or of the guest's kernel",
  [EXIT_CUT_SHORT]: 'there is work left, and nothing unexpected was met until now',
  [EXIT_NOT_SHOWN]: null,
});

/** @param done - is told the exit code. */
export function keptCommands(done: (code: number) => void): Command[] {
  return [
    runCommand(done),
    resumeCommand(done),
    statusCommand(),
    stopCommand(),
    reportCommand(done),
  ];
}

function runCommand(done: (code: number) => void): Command {
  const command = new Command('run')
    .description('begin a campaign, and work on it')
    .argument('<directory>', 'new directory for the campaign')
    .option('--policy <names>', 'policies by commas (see: vlbr list policies)', 'all')
    .option('--property <names>', 'properties, likewise (see: vlbr list properties)', 'all')
    .option('--cpu <names>', 'CPU models, likewise (see: vlbr list cpus)', 'skylake')
    .addOption(kernelOption())
    .addOption(driverOption())
    .option('--kernel-src <path>', `${KERNEL_SRC_SAYS}; repeatable`, collect);
  addShapeOptions(command)
    .option('--runs <n>', 'runs for each policy, CPU and kernel', runsNumber, 100_000)
    .option(
      '--unit-runs <n>',
      'runs of a unit of work, which is what a killed process loses',
      runsNumber,
      UNIT_RUNS,
    )
    .option('--seed <n>', SEED_SAYS, seedNumber, 1)
    .option('--no-shorten', 'no exploration for schedules shorter than those found');
  return addReportOptions(addWorkOptions(addWithoutOption(command)))
    .addOption(timeLimitOption())
    .addHelpText('after', helpText(HELP, QUEUE_HELP, EXAMPLES, EXITS))
    .action(async (directory: string, options: RunOptions) => {
      const { run } = await import('./kept.js');
      done(await run(directory, options));
    });
}

function resumeCommand(done: (code: number) => void): Command {
  const command = new Command('resume')
    .description('go on with a campaign that was ended or killed')
    .argument('<directory>', DIRECTORY_SAYS);
  return addReportOptions(addWorkOptions(command))
    .addOption(timeLimitOption())
    .addHelpText('after', helpText(QUEUE_HELP, EXITS))
    .action(async (directory: string, options: ReportOptions) => {
      const { resume } = await import('./kept.js');
      done(await resume(directory, options));
    });
}

function statusCommand(): Command {
  const command = new Command('status')
    .description('how far a campaign is')
    .argument('<directory>', DIRECTORY_SAYS);
  const serve = new Option(
    '--serve <address>',
    'show it as pages at HOST:PORT, or PORT of loopback',
  );
  return addWidthOption(command)
    .addOption(serve.argParser(addressOf).conflicts('json'))
    .option('--json', JSON_SAYS)
    .addHelpText('after', helpText(PAGES_HELP, PLAIN_EXITS))
    .action(async (directory: string, options: StatusOptions) => {
      const { status } = await import('./kept.js');
      await status(directory, options);
    });
}

function stopCommand(): Command {
  return new Command('stop')
    .description('have the process end that works on a campaign')
    .argument('<directory>', DIRECTORY_SAYS)
    .addHelpText('after', helpText(PLAIN_EXITS))
    .action(async (directory: string) => {
      const { stop } = await import('./kept.js');
      await stop(directory);
    });
}

function reportCommand(done: (code: number) => void): Command {
  const command = new Command('report')
    .description('what a campaign has found; where work is left, as far as it is known')
    .argument('<directory>', DIRECTORY_SAYS)
    .option('--baseline <directory>', 'an earlier campaign: what is lost there does not count');
  return addReportOptions(command)
    .addHelpText('after', helpText(EXITS))
    .action(async (directory: string, options: ReportOptions) => {
      const { report } = await import('./kept.js');
      done(await report(directory, options));
    });
}

/** Adds who works: threads, or workers at a queue. */
function addWorkOptions(command: Command): Command {
  const what = 'have vlbr worker do the work, by a queue';
  return addQueueOptions(command.addOption(jobsOption()), what, false);
}

function addReportOptions(command: Command): Command {
  const says = 'number of a failure: its schedule as a timeline; or all';
  return addWidthOption(command.option('--show <n>', says, collect))
    .addOption(reporterOption())
    .option('--json', JSON_SAYS);
}
