#!/usr/bin/env node
/**
 * The command line. It parses and explains; the work is in the commands' own files, which are
 * loaded when they are asked for, so that `--help` is there at once.
 */
import { Command, CommanderError } from 'commander';
import { UsageError, WorkerBug, WriteError } from './console/errors.js';
import {
  EXIT_BUG,
  EXIT_EXPECTED,
  EXIT_NOT_WRITTEN,
  EXIT_USAGE,
  exitCodesText,
} from './console/exit_codes.js';
import { helpText } from './console/help.js';
import { hearSignals, limitTime } from './console/interrupt.js';
import { watchOutput } from './console/output.js';
import { packageVersion } from './console/version.js';
import { PolicyError } from './host/policy/guarded.js';
import { NoGuestLbr } from './machine/no_guest_lbr.js';
import { campaignCommand } from './questions/campaign/command.js';
import { conformCommand } from './questions/conform/command.js';
import { corpusCommand } from './questions/corpus/command.js';
import { explainCommand } from './questions/explain/command.js';
import { exploreCommand } from './questions/explore/command.js';
import { kernelCommand } from './questions/kernel_build/command.js';
import { listCommand } from './questions/list/command.js';
import { costCommand } from './questions/cost/command.js';
import { lookCommand } from './questions/look/command.js';
import { newCommand } from './questions/new_policy/command.js';
import { replayCommand } from './questions/replay/command.js';
import { reviewCommand } from './questions/review/command.js';
import { workerCommand } from './questions/worker/command.js';
import { verifyCommand } from './questions/verify/command.js';

/** Columns of an option's text in `--help`, at least; on narrower terminals it is not wrapped. */
const HELP_COLUMN_MIN = 20;

/** The words that call a command. */
function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

function program(done: (code: number) => void): Command {
  const root = new Command('vlbr')
    .description("Does a guest's Last Branch Record stack survive every vCPU switch?")
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpCommand(false)
    .addHelpText('after', helpText(exitCodesText()))
    .hook('preAction', (_, command) => {
      const { timeLimit } = command.opts<{ readonly timeLimit?: number }>();
      if (timeLimit !== undefined) limitTime(timeLimit);
    });
  const commands = [
    verifyCommand(done),
    exploreCommand(done),
    replayCommand(done),
    reviewCommand(done),
    conformCommand(done),
    corpusCommand(done),
    campaignCommand(done),
    workerCommand(done),
    costCommand(done),
    lookCommand(done),
    kernelCommand(),
    explainCommand(),
    newCommand(),
    listCommand(),
  ];
  for (const command of commands) root.addCommand(command);
  for (const command of [root, ...root.commands, ...root.commands.flatMap((c) => c.commands)]) {
    command
      .exitOverride()
      .showHelpAfterError(`Try: ${pathOf(command)} --help`)
      .configureHelp({ minWidthToWrap: HELP_COLUMN_MIN })
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
  const isUsers = error instanceof UsageError || error instanceof PolicyError;
  if (isUsers || error instanceof NoGuestLbr) return say(error, EXIT_USAGE);
  if (error instanceof WriteError) return say(error, EXIT_NOT_WRITTEN);
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const advice = error instanceof WorkerBug ? error.advice : [];
  const inKernel = error instanceof WorkerBug && error.inKernel;
  const whose = inKernel ? "the kernel's code crashed, or vlbr did" : 'this is a bug of vlbr';
  const lines = [`vlbr: ${whose}, not a verdict`, stack, ...advice];
  process.stderr.write(`${lines.join('\n')}\n`);
  return EXIT_BUG;
}

function say({ message }: Error, code: number): number {
  process.stderr.write(`vlbr: ${message}\n`);
  return code;
}

watchOutput();
hearSignals();
// By itself, Node would end with 1, which says that a verdict is not the expected one.
process.on('uncaughtException', (error) => process.exit(explain(error)));
// Not process.exit(): what was printed may still be on its way through a pipe.
const code = await main();
// It is there already if the report could not be written.
process.exitCode ??= code;
