#!/usr/bin/env node
/**
 * The command line. It parses and explains; the work is in the commands' own files, which are
 * loaded when they are asked for, so that `--help` is there at once.
 */
import { createRequire } from 'node:module';
import { Argument, Command, CommanderError } from 'commander';
import { collect, driverOption, KERNEL_SRC_SAYS, kernelOption } from './console/arguments.js';
import { runsNumber, SEED_SAYS, seedNumber, TREE_SAYS, wholeNumber } from './console/arguments.js';
import { UsageError, WorkerBug } from './console/errors.js';
import { EXIT_BUG, EXIT_EXPECTED, EXIT_INTERRUPTED, EXIT_TRUNCATED } from './console/exit_codes.js';
import { EXIT_UNEXPECTED, EXIT_USAGE, exitCodesText } from './console/exit_codes.js';
import { watchOutput } from './console/output.js';
import type { KernelBuildOptions } from './questions/kernel_build/kernel_build.js';
import { conformCommand } from './questions/conform/command.js';
import { corpusCommand } from './questions/corpus/command.js';
import { exploreCommand } from './questions/explore/command.js';
import type { ListName, ListOptions } from './questions/list/list.js';
import type { ReplayOptions } from './questions/replay/replay.js';
import type { ReviewOptions } from './questions/review/review.js';
import type { VerifyOptions } from './questions/verify/verify.js';

const VERIFY_EXITS = exitCodesText({
  [EXIT_EXPECTED]:
    'everything came out as expected: what a policy declares as a known failure fails, and ' +
    'everything else holds',
  [EXIT_UNEXPECTED]: 'some verdict is not the expected one',
  [EXIT_TRUNCATED]: null,
});

const REVIEW_EXITS = exitCodesText({
  [EXIT_EXPECTED]: 'no property is lost',
  [EXIT_UNEXPECTED]: 'some property is lost, or the patched lbr.c crashes',
  [EXIT_TRUNCATED]: null,
});

const REPLAY_EXITS = exitCodesText({
  [EXIT_EXPECTED]:
    'it ends as the file says in "whose" or, without that, as the policy declares: a known ' +
    "failure breaks the property, and nothing else does; what the guest's kernel breaks by " +
    'itself counts against no policy',
  [EXIT_UNEXPECTED]: 'it does not',
  [EXIT_TRUNCATED]: null,
  [EXIT_INTERRUPTED]: null,
});

/** For commands that judge nothing. */
const PLAIN_EXITS = exitCodesText({
  [EXIT_EXPECTED]: 'it is done',
  [EXIT_UNEXPECTED]: null,
  [EXIT_TRUNCATED]: null,
  [EXIT_INTERRUPTED]: null,
});

const VERIFY_HELP = `
The machine:
  Without --vms, --vcpus, --tasks and --pcpus, runs take turns with several small machines.
  With any of them there is one: 2 VMs of 1 vCPU and 2 tasks on 1 pCPU, but for what is given.
  A --schedule brings its own. It is cut into windows of 24 recorded switches, one for each run.
  Every window is run at least once, also where that takes more runs than --runs says.

Examples:
  vlbr verify --policy pv-v2,pv-sound --property no-leak
  vlbr verify --schedule host.txt --vcpu-threads 'CPU \\d+/KVM' --json > report.json`;

const REVIEW_HELP = `
The suite runs on the tree's lbr.c and on the patched one with the same seeds, and every schedule
that fails on one of them is tried on the other. A property is lost if there is a schedule on which
it held and now fails, whenever its interruptions come. A loss is left out only where it uncovers
what Linux 6.1 does wrong itself, while something is gained.

Examples:
  vlbr review --kernel-src ~/linux 0001-perf-x86-lbr-my-change.patch
  git -C ~/linux show HEAD | vlbr review --kernel-src ~/linux --reverse -`;

const REPLAY_HELP = `
A file is a report of \`vlbr verify --json\`, text that holds tokens, or one schedule:
  {"schema": "vlbr/schedule/1", "policy": "...", "property": "...", "cpu": "...",
   "kernel": "...", "vms": 2, "vcpus": 1, "tasks": 2, "pcpus": 1,
   "actions": [{"kind": "...", "actor": 0, "args": []}, ...]}

  It may also say "whose": "policy", "kernel" or "nobody": who is to break the property.`;

function packageVersion(): string {
  const { version } = createRequire(import.meta.url)('vlbr/package.json') as { version: string };
  return version;
}

function kernelCommand(): Command {
  const build = new Command('build')
    .description("compile a kernel's lbr.c, as it is, to WebAssembly")
    .option('--src <path>', TREE_SAYS)
    .option('-o, --output <file>', 'write it there; it is kept in the cache anyway')
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', PLAIN_EXITS)
    .action(async (options: KernelBuildOptions) => {
      const { kernelBuild } = await import('./questions/kernel_build/kernel_build.js');
      kernelBuild(options);
    });
  return new Command('kernel').description("a kernel's own lbr.c").addCommand(build);
}

function verifyCommand(done: (code: number) => void): Command {
  return new Command('verify')
    .description('judge host policies by generated schedules, against every property')
    .option('--policy <names>', 'policies, separated by commas (see: vlbr list policies)', 'all')
    .option('--property <names>', 'properties, likewise (see: vlbr list properties)', 'all')
    .option('--cpu <name>', 'CPU model (see: vlbr list cpus)', 'skylake')
    .addOption(kernelOption())
    .addOption(driverOption())
    .option('--kernel-src <path>', KERNEL_SRC_SAYS)
    .option('--vms <n>', 'VMs, 1 to 6', wholeNumber(1, 6))
    .option('--vcpus <n>', 'vCPUs of each VM, 1 to 8', wholeNumber(1, 8))
    .option('--tasks <n>', 'tasks of each VM, from its vCPUs to 16', wholeNumber(1, 16))
    .option('--pcpus <n>', 'pCPUs, 1 to 8', wholeNumber(1, 8))
    .option('--runs <n>', 'runs for each policy, of 60 actions', runsNumber, 4000)
    .option('--seed <n>', SEED_SAYS, seedNumber, 1)
    .option('--no-shorten', 'no exploration for schedules shorter than those found')
    .option('--schedule <file>', 'recorded host schedule, ftrace text; repeatable', collect)
    .option('--vcpu-threads <regex>', 'its vCPU threads (default: "CPU \\d+/(KVM|TCG)")')
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', `${VERIFY_HELP}\n${VERIFY_EXITS}`)
    .action(async (options: VerifyOptions) => {
      const { verify } = await import('./questions/verify/verify.js');
      done(await verify(options));
    });
}

function replayCommand(done: (code: number) => void): Command {
  return new Command('replay')
    .description('run one schedule again and tell what happens in it')
    .argument('<token|file>', 'what `vlbr verify` printed, or a file')
    .addOption(driverOption())
    .option('--kernel-src <path>', KERNEL_SRC_SAYS)
    .option('--json', 'one JSON object on standard output, which is a replay file again')
    .addHelpText('after', `${REPLAY_HELP}\n${REPLAY_EXITS}`)
    .action(async (what: string, options: ReplayOptions) => {
      const { replay } = await import('./questions/replay/replay.js');
      done(replay(what, options));
    });
}

function reviewCommand(done: (code: number) => void): Command {
  return new Command('review')
    .description('say which properties a patch of lbr.c loses or gains')
    .argument('<patch...>', 'unified diffs in order (git format-patch, git diff), or a second tree')
    .option('--kernel-src <path>', TREE_SAYS)
    .option('--reverse', 'the tree has the patches: what did they fix?')
    .option('--policy <names>', 'policies, separated by commas', 'all')
    .option('--property <names>', 'properties, likewise', 'all')
    .option('--cpu <names>', 'CPU models, likewise', 'skylake,haswell,haswell-notsx,goldmont')
    .option('--runs <n>', 'runs for each policy, CPU and side', runsNumber, 800)
    .option('--seed <n>', SEED_SAYS, seedNumber, 1)
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', `${REVIEW_HELP}\n${REVIEW_EXITS}`)
    .action(async (patches: string[], options: ReviewOptions) => {
      const { review } = await import('./questions/review/review.js');
      done(await review(patches, options));
    });
}

function listCommand(): Command {
  return new Command('list')
    .description('list what there is')
    .addArgument(new Argument('<what>').choices(['policies', 'properties', 'cpus']))
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', PLAIN_EXITS)
    .action(async (what: ListName, options: ListOptions) => {
      const { list } = await import('./questions/list/list.js');
      list(what, options);
    });
}

/** The words that call a command. */
function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

function program(done: (code: number) => void): Command {
  const root = new Command('vlbr')
    .description("Does a guest's Last Branch Record stack survive every vCPU switch?")
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpCommand(false)
    .addHelpText('after', exitCodesText());
  const commands = [
    verifyCommand(done),
    exploreCommand(done),
    replayCommand(done),
    reviewCommand(done),
    conformCommand(done),
    corpusCommand(done),
    kernelCommand(),
    listCommand(),
  ];
  for (const command of commands) {
    root.addCommand(command);
  }
  for (const command of [root, ...root.commands, ...root.commands.flatMap((c) => c.commands)]) {
    command
      .exitOverride()
      .showHelpAfterError(`Try: ${pathOf(command)} --help`)
      .configureOutput({
        outputError: (text, write) => write(text.replace(/^error: /, 'vlbr: ')),
      });
  }
  return root;
}

/** Returns the exit code. */
async function main(): Promise<number> {
  let code: number = EXIT_EXPECTED;
  try {
    await program((result) => {
      code = result;
    }).parseAsync();
  } catch (error) {
    return explain(error);
  }
  return code;
}

/** Says on standard error what went wrong, and returns the exit code for it. */
function explain(error: unknown): number {
  // commander has printed its message; help and version come here, too, with code 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_EXPECTED : EXIT_USAGE;
  if (error instanceof UsageError) {
    process.stderr.write(`vlbr: ${error.message}\n`);
    return EXIT_USAGE;
  }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const advice = error instanceof WorkerBug ? error.advice : [];
  const inKernel = error instanceof WorkerBug && error.inKernel;
  const whose = inKernel ? "the kernel's lbr.c crashed, or vlbr did" : 'this is a bug of vlbr';
  const lines = [`vlbr: ${whose}, not a verdict`, stack, ...advice];
  process.stderr.write(`${lines.join('\n')}\n`);
  return EXIT_BUG;
}

watchOutput();
// By itself, Node would end with 1, which says that a verdict is not the expected one.
process.on('uncaughtException', (error) => process.exit(explain(error)));
// Not process.exit(): what was printed may still be on its way through a pipe.
process.exitCode = await main();
