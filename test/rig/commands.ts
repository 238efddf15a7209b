/** Commands that documents name: what is wrong with them, as they are written. None is run. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, CommanderError } from 'commander';
import { namesOf } from '../../src/console/arguments.js';
import { UsageError } from '../../src/console/errors.js';
import { ALL_POLICIES } from '../../src/host/policy/index.js';
import { kvm } from '../../src/host/policy/kvm.js';
import { CPU_MODELS } from '../../src/hw/cpu_models.js';
import { PROPERTY_NAMES } from '../../src/judge/properties.js';
import { campaignCommand } from '../../src/questions/campaign/command.js';
import { conformCommand } from '../../src/questions/conform/command.js';
import { corpusCommand } from '../../src/questions/corpus/command.js';
import { explainCommand } from '../../src/questions/explain/command.js';
import { exploreCommand } from '../../src/questions/explore/command.js';
import { kernelCommand } from '../../src/questions/kernel_build/command.js';
import { costCommand } from '../../src/questions/cost/command.js';
import { listCommand } from '../../src/questions/list/command.js';
import { lookCommand } from '../../src/questions/look/command.js';
import { newCommand } from '../../src/questions/new_policy/command.js';
import { replayCommand } from '../../src/questions/replay/command.js';
import { reviewCommand } from '../../src/questions/review/command.js';
import { workerCommand } from '../../src/questions/worker/command.js';
import { verifyCommand } from '../../src/questions/verify/command.js';
import { GROUP_NAMES } from '../../src/schedule/explored.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** New ones each time, since commander keeps the options that it has parsed. */
function commandsOf(): Command[] {
  const done = (): void => {};
  const judges = [verifyCommand, exploreCommand, replayCommand, reviewCommand, conformCommand];
  const makers = [...judges, campaignCommand, workerCommand, lookCommand, costCommand];
  return [
    ...makers.map((make) => make(done)),
    corpusCommand(done),
    kernelCommand(),
    explainCommand(),
    newCommand(),
    listCommand(),
  ];
}

/** Words of a command line; a word in single or double quotes may hold spaces. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c);
}

/** A file of the repository, or the only one that a name with a star stands for. */
function isFile(path: string): boolean {
  if (!path.includes('*')) return existsSync(join(ROOT, path));
  const [start, end] = basename(path).split('*');
  const names = readdirSync(join(ROOT, dirname(path)));
  return names.filter((name) => name.startsWith(start) && name.endsWith(end)).length === 1;
}

/** Whether some test of a file has these words in its title, which may come from beside it. */
function hasTitle(path: string, words: string): boolean {
  const folder = join(ROOT, dirname(path));
  const golden = readdirSync(join(ROOT, 'test', 'golden'));
  const beside = readdirSync(folder).filter((name) => name.endsWith('.ts'));
  return (
    golden.some((name) => name.startsWith(words)) ||
    beside.some((name) => readFileSync(join(folder, name), 'utf8').includes(words))
  );
}

/** A file or a folder of tests, either with `-t WORDS`; or a program of bench. */
function wrongWithPath([path, option, words, ...more]: readonly string[]): string {
  if (!isFile(path)) return `there is no ${path}`;
  if (option === undefined) return '';
  if (option !== '-t' || words === undefined || more.length > 0) return 'a test takes -t WORDS';
  return hasTitle(path, words) ? '' : `${path} has no title with "${words}"`;
}

/** Names that a command looks up when it runs. @throws UsageError for one that there is not. */
function lookUp(options: Readonly<Record<string, unknown>>): void {
  const text = (value: unknown): string => (typeof value === 'string' ? value : 'all');
  const named = (table: readonly { readonly name: string }[]): string[] =>
    table.map(({ name }) => name);
  const policies = text(options['policy'])
    .split(',')
    .filter((name) => !name.includes('/'));
  namesOf('policy', policies.join(',') || 'all', named([...ALL_POLICIES, kvm]));
  namesOf('property', text(options['property']), PROPERTY_NAMES);
  namesOf('CPU', text(options['cpu']), named(CPU_MODELS));
  namesOf('group of actions', text(options['actions']), ['default', ...GROUP_NAMES]);
}

/** As commander says it: its words, options and their values. Files must be there. */
function wrongWithVlbr(words: readonly string[]): string {
  let args = words;
  let command = commandsOf().find((one) => one.name() === args[0]);
  while (command !== undefined && command.commands.length > 0) {
    args = args.slice(1);
    command = command.commands.find((one) => one.name() === args[0]);
  }
  if (command === undefined) return 'there is no such command';
  command.exitOverride().configureOutput({ writeErr: () => {} });
  try {
    const { operands, unknown } = command.parseOptions(args.slice(1));
    if (unknown.length > 0) return `there is no option ${unknown[0]}`;
    const wanted = command.registeredArguments.filter(({ required }) => required).length;
    if (operands.length < wanted) return 'an argument is missing';
    if (command.registeredArguments.length === 0 && operands.length > 0) return 'a word too many';
    lookUp(command.opts());
    const missing = operands.find((path) => path.startsWith('test/') && !isFile(path));
    return missing === undefined ? '' : `there is no ${missing}`;
  } catch (error) {
    if (error instanceof CommanderError || error instanceof UsageError) return error.message;
    throw error;
  }
}

/**
 * Why a command can't be run as it is written; empty if it can. `vlbr` stands for the built CLI,
 * and the path of a test for vitest with it. Names of trees and of a user's own files may be any.
 */
export function wrongWith(line: string): string {
  const [first, second, ...rest] = wordsOf(line);
  if (first === 'vlbr') return wrongWithVlbr([second, ...rest]);
  if (first === 'npx' && second === 'tsx') return wrongWithPath(rest);
  if (first.startsWith('test/')) return wrongWithPath(wordsOf(line));
  return 'this is no command that is known';
}
