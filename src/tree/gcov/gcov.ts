/** Builds that count which code runs: clang's gcov counters, read by `llvm-cov gcov`. */
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KernelError } from '../errors.js';

/** What such a build links. The build of vlbr puts a copy beside the code. */
export const GCOV_C: string = fileURLToPath(new URL('./gcov.c', import.meta.url));

/** Makes clang count the arcs of a function's control flow. */
export const COUNT_ARCS: readonly string[] = ['-fprofile-arcs', '-ftest-coverage'];

/** Debian's versioned names are tried if there is no plain one. */
const TOOLS: readonly string[] = [
  'llvm-cov',
  ...Array.from({ length: 14 }, (_, i) => `llvm-cov-${24 - i}`),
];

/** A source line for which code was generated. */
export interface LineCount {
  /** Line number, from 1. */
  readonly line: number;
  readonly text: string;
  readonly count: number;
  /** The number of branches from this line, and of those that were ever taken. */
  readonly branches: number;
  readonly branchesTaken: number;
  readonly function: string;
}

/**
 * The annotated source that `llvm-cov gcov -b -t` prints for counts.
 *
 * @param folder - holds `data` and the notes of the build.
 * @param from - the folder that paths of sources are relative to.
 * @throws KernelError if the tool is missing or fails.
 */
export function gcovText(folder: string, data: string, from: string = folder): string {
  for (const tool of TOOLS) {
    const options = { cwd: from, encoding: 'utf8', maxBuffer: 1 << 26 } as const;
    const args = ['gcov', '-b', '-t', '-o', resolve(folder), data];
    const { error, status, stdout, stderr } = spawnSync(tool, args, options);
    if (error !== undefined && 'code' in error && error.code === 'ENOENT') continue;
    if (error !== undefined || status !== 0 || stdout === '') {
      throw new KernelError(`${tool} says: ${(error?.message ?? stderr).trim().split('\n')[0]}`);
    }
    return stdout;
  }
  throw new KernelError(GCOV_MISSING);
}

/** Whether the tool that reads counts is installed. */
export function hasGcov(): boolean {
  return TOOLS.some((tool) => spawnSync(tool, ['--version']).error === undefined);
}

export const GCOV_MISSING: string = 'llvm-cov is not installed; install it: apt-get install llvm';

/** The file that a section of the text is about, if the line starts a section. */
function sourceOf(line: string): string | undefined {
  return /^\s*-:\s*0:Source:(.*)$/s.exec(line)?.[1];
}

/** Reads the lines of each source file, by path. Headers have sections of their own in the text. */
export function parseGcov(text: string): ReadonlyMap<string, readonly LineCount[]> {
  const files = new Map<string, LineCount[]>();
  let lines: LineCount[] = [];
  let current = '';
  for (const row of text.split('\n')) {
    const source = sourceOf(row);
    if (source !== undefined) {
      lines = files.get(source) ?? [];
      files.set(source, lines);
    }
    current = /^function (\S+) called/.exec(row)?.[1] ?? current;
    // Flag `s` lets a dot match U+2028 and its like, which a comment may contain.
    const [, count, line, code] = /^\s*(\d+|#####|=====)\*?:\s*(\d+):(.*)$/s.exec(row) ?? [];
    if (count !== undefined) {
      const times = /^\d/.test(count) ? Number(count) : 0;
      const none = { branches: 0, branchesTaken: 0 };
      lines.push({ line: Number(line), text: code, count: times, ...none, function: current });
      continue;
    }
    const last = lines.at(-1);
    if (last === undefined || !/^branch\s+\d+/.test(row)) continue;
    const taken = /taken [1-9]/.test(row) ? 1 : 0;
    const { branches, branchesTaken } = last;
    lines[lines.length - 1] = {
      ...last,
      branches: branches + 1,
      branchesTaken: branchesTaken + taken,
    };
  }
  return files;
}

/** The lines of the file of a name, which is the last part of its path. */
export function linesOf(
  files: ReadonlyMap<string, readonly LineCount[]>,
  name: string,
): readonly LineCount[] {
  return [...files].flatMap(([path, lines]) => (path.split(/[/\\]/).at(-1) === name ? lines : []));
}
