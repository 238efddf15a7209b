/**
 * Shows that a change of the code changes no verdict: runs the same commands in this clone and in
 * another one, both built, and compares their output.
 *
 *   npm run build && npm run same -- ../vlbr-before
 *
 * JSON must be the same byte for byte, except for times and paths. With `--tokens`, replay tokens
 * are compared by their content: each clone decodes its own.
 */
import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';

const run = promisify(execFile);

/** The commands. Each prints one JSON object. */
const COMMANDS: readonly string[] = [
  ...[1, 2, 3].map((seed) => `verify --policy all --seed ${seed}`),
  ...[1, 2, 3].map((seed) => `verify --policy all --seed ${seed} --cpu haswell`),
  ...[1, 2, 3].map((seed) => `verify --policy all --seed ${seed} --kernel 4.18`),
  'verify --policy merged,parked --schedule examples/two-vms-one-cpu/host.txt.gz',
  'explore --policy pv-sound,lazy-sound,parked --depth 2',
  'explore --policy all --depth 2 --bound 7',
  'explore --policy merged,pv-v2 --depth 2 --actions default,host,idle,kexec --bound 6',
  'explore --policy merged --depth 2 --vcpus 2 --vms 1 --actions all --bound 4',
  'conform --driver lbr.c --runs 2000',
  'conform --runs 400',
  'corpus',
  'list policies',
  'list properties',
  'list cpus',
];

/** Keys whose values hang on the clock, or on the clone. */
const OTHERS: ReadonlySet<string> = new Set(['elapsed_s', 'seconds', 'statesPerSecond', 'commit']);

interface Said {
  readonly code: number;
  readonly json: unknown;
}

/** The case that a counterexample's token stands for, as its own clone decodes it. */
async function caseOf(clone: string, token: string): Promise<unknown> {
  const { stdout } = await run('node', ['dist/cli.js', 'replay', token, '--json'], {
    cwd: clone,
    maxBuffer: 1 << 28,
  }).catch((error: { stdout: string }) => error);
  return JSON.parse(stdout);
}

/** Replaces values that may differ. */
async function plain(clone: string, value: unknown, tokens: boolean): Promise<unknown> {
  if (Array.isArray(value)) {
    return Promise.all(value.map((item: unknown) => plain(clone, item, tokens)));
  }
  if (typeof value === 'string') return value.replaceAll(clone, '');
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([key]) => !OTHERS.has(key));
  const pairs: [string, unknown][] = [];
  for (const [key, item] of entries) {
    const isToken = tokens && key === 'token' && typeof item === 'string';
    pairs.push([key, isToken ? await caseOf(clone, item) : await plain(clone, item, tokens)]);
  }
  return Object.fromEntries(pairs);
}

async function say(clone: string, command: string, tokens: boolean): Promise<Said> {
  const words = ['dist/cli.js', ...command.split(' '), '--json'];
  const options = { cwd: clone, maxBuffer: 1 << 28 };
  const ended = await run('node', words, options).then(
    ({ stdout }) => ({ code: 0, stdout }),
    (error: { code: number; stdout: string }) => error,
  );
  return { code: ended.code, json: await plain(clone, JSON.parse(ended.stdout), tokens) };
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { tokens: { type: 'boolean', default: false }, only: { type: 'string', default: '' } },
});
const here = join(import.meta.dirname, '..');
const there = resolve(positionals[0] ?? '');
if (positionals.length !== 1) throw new Error('usage: npm run same -- [--tokens] OTHER_CLONE');

const commands = COMMANDS.filter((words) => words.includes(values.only));
if (commands.length === 0) throw new Error(`no command has '${values.only}' in it`);
let differing = 0;
for (const command of commands) {
  const before = JSON.stringify(await say(there, command, values.tokens));
  const after = JSON.stringify(await say(here, command, values.tokens));
  const at = [...before].findIndex((letter, i) => letter !== after[i]);
  const same = before === after;
  if (!same) differing++;
  console.log(
    `${same ? 'same     ' : 'DIFFERENT'}  ${String(after.length).padStart(8)}  ${command}`,
  );
  if (!same) {
    for (const text of [before, after])
      console.log(`  ...${text.slice(Math.max(0, at - 80), at + 120)}`);
  }
}
console.log(differing === 0 ? 'all the same' : `${differing} differ`);
process.exitCode = differing === 0 ? 0 : 1;
