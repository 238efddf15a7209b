/**
 * Runs the examples of README. Each command of a `sh` block is run. A block below it must equal the
 * output of its last command; `...` stands for left-out lines.
 */
import { spawnSync } from 'node:child_process';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtFolder } from './rig/built.js';
import { wrongWith } from './rig/commands.js';
import { CACHE_HOME, imageVersions } from './rig/images.js';
import { installedSource } from './rig/installed_kernel.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');

const HOOK_MS = 120_000;

/** Commands that are not run, with the reason. */
const NOT_RUN: ReadonlyMap<string, string> = new Map([
  ['npm ci && npm start', 'it fetches packages; its verdicts are those of policies.test.ts'],
  ['npm ci && npm test', 'it fetches packages, and this test is a part of it'],
  [
    'trace-cmd record -e sched:sched_switch -e kvm:kvm_entry -e kvm:kvm_exit sleep 10',
    'it records a host with guests',
  ],
  ['node dist/cli.js look trace.dat', 'it reads what the command before has recorded'],
]);

/** Blocks that are no output of a command, by their first words, with the reason. */
const NOT_SHOWN: ReadonlyMap<string, string> = new Map([
  ['             1  2  3', 'test/readme.test.ts compares the matrix with the declarations'],
  [
    'vlbr campaign bisect',
    'a clone of the kernel; test/questions/campaign has one of a few commits',
  ],
  ['vlbr campaign run', 'it needs a server; test/questions/worker starts one'],
  ['vlbr review --kernel-src', 'a patch of the user; test/questions/review has others'],
  ['vlbr new policy', 'commands that write files; test/questions/new_policy runs them'],
]);

/** Commands that need clang and the source of Linux 6.1. */
const NEEDS_KERNEL = /--driver kernel|--kernel-src|\bconform\b|linux-source/;

interface Example {
  readonly commands: readonly string[];
  /** The shown output of the last command; null if none is shown. */
  readonly shown: string | null;
}

interface Fence {
  readonly language: string;
  readonly text: string;
}

const FENCES: readonly Fence[] = [...README.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(
  ([, language, text]) => ({ language, text }),
);

function isExempt({ text }: Fence): boolean {
  return [...NOT_SHOWN.keys()].some((start) => text.startsWith(start));
}

const EXAMPLES: readonly Example[] = FENCES.flatMap(({ language, text }, i) => {
  if (language !== 'sh') return [];
  const below = FENCES.at(i + 1);
  const has = below !== undefined && below.language === '' && !isExempt(below);
  return [{ commands: text.trimEnd().split('\n'), shown: has ? below.text : null }];
});

/** A pattern for an output of which the first, the last and some other lines are shown. */
function patternOf(shown: string): RegExp {
  const parts = shown
    .trimEnd()
    .split('\n')
    .map((line) => (line === '...' ? '(?:.*\n)*?' : `${line.replace(/[^\w\s]/g, '\\$&')}\n`));
  return new RegExp(`^${parts.join('')}$`);
}

let folder = '';

/** Runs a command in a clone after a build, as README says. */
function run(command: string): { readonly status: number | null; readonly stdout: string } {
  const env = { ...process.env, XDG_CACHE_HOME: CACHE_HOME };
  const options = { cwd: folder, encoding: 'utf8', env } as const;
  const { status, stdout, stderr } = spawnSync('sh', ['-c', command], options);
  expect([command, stderr]).toEqual([command, '']);
  return { status, stdout };
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'vlbr-readme-'));
  symlinkSync(await builtFolder(), join(folder, 'dist'));
  for (const name of ['examples', 'test']) symlinkSync(join(ROOT, name), join(folder, name));
}, HOOK_MS);

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Why a command cannot run on this machine; empty if it can. */
function missingFor(command: string): string {
  if (!NEEDS_KERNEL.test(command)) return '';
  const whole = /--driver kernel .*linux-source-([\d.]+)\.tar/.exec(command)?.[1];
  if (whole !== undefined && imageVersions(whole).length === 0) return `${whole} can't be built`;
  if (installedSource === null) return 'clang or the source of a kernel is missing';
  const shown = README.match(/lbr\.c \(sha256 ([0-9a-f]{12})\)/)?.[1] ?? 'none';
  const { version, sha256 } = installedSource.info;
  return sha256.startsWith(shown) ? '' : `lbr.c of Linux ${version} is not the one of README`;
}

describe('the examples of README', () => {
  const RUN = EXAMPLES.filter(({ commands }) => !commands.every((one) => NOT_RUN.has(one)));

  it('each command and each block of output in README is either tested or exempt', () => {
    const exempt = EXAMPLES.flatMap(({ commands }) => commands).filter((one) => NOT_RUN.has(one));
    expect(exempt).toEqual([...NOT_RUN.keys()]);
    const shown = EXAMPLES.filter((example) => example.shown !== null).length;
    const outputs = FENCES.filter(({ language }) => language === '');
    expect(outputs.filter(isExempt)).toHaveLength(NOT_SHOWN.size);
    expect(outputs.length).toBe(NOT_SHOWN.size + shown);
    expect(RUN.length).toBeGreaterThan(4);
    expect(shown).toBeGreaterThan(1);
  });

  for (const { commands, shown } of RUN) {
    const missing = commands.map(missingFor).find((why) => why !== '') ?? '';
    const [first] = commands;
    if (missing !== '') {
      console.warn(`\n*** SKIPPED: an example of README is not run, since ${missing}: ${first}\n`);
    }
    it.skipIf(missing !== '')(`the example has the output that README shows: ${first}`, () => {
      const ended = commands.map(run);
      expect(ended.map(({ status }) => status)).toEqual(commands.map(() => 0));
      const printed = `${ended.at(-1)?.stdout.trimEnd() ?? ''}\n`;
      expect(printed).toMatch(patternOf(shown ?? '...'));
    });
  }

  it('the replay file in README can be replayed', () => {
    const files = FENCES.filter(({ language }) => language === 'json');
    expect(files).toHaveLength(1);
    for (const { text } of files) {
      const file = join(folder, 'readme.json');
      writeFileSync(file, text);
      const { status, stdout } = run(`node dist/cli.js replay ${file}`);
      expect([status, stdout]).toEqual([0, expect.stringContaining('breaks no-loss/callstack')]);
    }
  });

  it('examples are compared line by line, from the first to the last', () => {
    const printed = 'a.\nb\n\nc\nd\n';
    const same = [printed, 'a.\n...\nd\n', '...\nb\n\nc\n...\n', 'a.\n...\n', '...\n'];
    for (const shown of same) expect(printed).toMatch(patternOf(shown));
    const others = ['b\n...\n', 'a.\n...\nc\n', 'a.\nc\n...\n', 'ab\n...\n', 'a.\nb\n'];
    for (const shown of others) expect(printed).not.toMatch(patternOf(shown));
    expect(printed).not.toMatch(patternOf('...\nc\n...\nb\n...\n'));
  });

  it('README never names a script that package.json does not have', () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      readonly scripts: Readonly<Record<string, string>>;
    };
    const named = [...README.matchAll(/npm (?:run ([\w:]+)|(start|test))\b/g)];
    expect(named.length).toBeGreaterThan(3);
    for (const [, script, short] of named) expect(scripts).toHaveProperty(script ?? short);
  });
});

describe('what README says of the command line', () => {
  it('README and the help have the same list of exit codes', () => {
    const help = run('node dist/cli.js --help').stdout.replaceAll(/\n {7}(?=\S)/g, ' ');
    const listed = [...help.matchAll(/^ {2}(\d+) +(.*)$/gm)].map(([, code, says]) => [code, says]);
    const table = [...README.matchAll(/^\| (\d+) \| (.*) \|$/gm)].map((row) => row.slice(1));
    expect(table.length).toBeGreaterThan(4);
    expect(table).toEqual(listed);
  });

  it('README lists every schema of the JSON', () => {
    const written = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(join(ROOT, 'src', name), 'utf8'));
    const schemasIn = (text: string): string[] => text.match(/\bvlbr\/\w+\/\d+\b/g) ?? [];
    const all = new Set(schemasIn(written.join('\n')));
    expect(all.size).toBeGreaterThan(6);
    expect(new Set(schemasIn(README))).toEqual(all);
  });

  it('every option in the text of README exists', () => {
    const words = [...README.matchAll(/`vlbr (\w+)((?: [^`]*)?)`/g)];
    expect(words.length).toBeGreaterThan(5);
    for (const [, command, rest] of words) {
      const line = `vlbr ${command}${rest}`;
      const wrong = [line, wrongWith(line)];
      // A command may be spoken of without what it needs.
      if (rest.includes('--')) expect(wrong).toEqual([line, '']);
      else expect(wrong).not.toEqual([line, 'there is no such command']);
    }
  });
});
