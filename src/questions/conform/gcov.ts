/** Runs `llvm-cov gcov` and reads what it prints. */
import { spawnSync } from 'node:child_process';
import { KernelError } from '../../tree/errors.js';

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
 * The annotated source that `llvm-cov gcov -b -t` prints for a file of the folder.
 *
 * @throws KernelError if the tool is missing or fails.
 */
export function gcovText(folder: string, file: string): string {
  for (const tool of TOOLS) {
    const options = { cwd: folder, encoding: 'utf8', maxBuffer: 1 << 26 } as const;
    const { error, status, stdout, stderr } = spawnSync(tool, ['gcov', '-b', '-t', file], options);
    if (error !== undefined && 'code' in error && error.code === 'ENOENT') continue;
    if (error !== undefined || status !== 0 || stdout === '') {
      throw new KernelError(`${tool} says: ${(error?.message ?? stderr).trim().split('\n')[0]}`);
    }
    return stdout;
  }
  throw new KernelError('llvm-cov is not installed; install it: apt-get install llvm');
}

/** The file that a section of the text is about, if the line starts a section. */
function sourceOf(line: string): string | undefined {
  return /^\s*-:\s*0:Source:(.*)$/s.exec(line)?.[1];
}

/**
 * Reads the lines of one source file. Headers have sections of their own in the text.
 *
 * @param name - last part of the source's path.
 */
export function parseGcov(text: string, name: string): LineCount[] {
  const lines: LineCount[] = [];
  let inFile = false;
  let current = '';
  for (const row of text.split('\n')) {
    const source = sourceOf(row);
    if (source !== undefined) inFile = source.split(/[/\\]/).at(-1) === name;
    if (!inFile) continue;
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
  return lines;
}
