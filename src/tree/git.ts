/** What is asked of a git repository. git is run with lists of arguments, and changes nothing. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { KernelError } from './errors.js';
import { complaintOf, run } from './run.js';

/** A commit, as a report names it. */
export interface Commit {
  /** In full. */
  readonly hash: string;
  readonly subject: string;
  /** `Name <address>`. */
  readonly author: string;
  /** When its author made it, in ISO 8601. */
  readonly date: string;
}

/** A part of a history, by hashes. */
export interface Between {
  readonly head: string;
  /** What these have in them is not of it. */
  readonly without: readonly string[];
}

/** Whether a folder is the top of a repository, or a bare one. */
export function isRepository(folder: string): boolean {
  const has = (name: string): boolean => existsSync(join(folder, name));
  return has('.git') || (has('HEAD') && has('objects'));
}

/** Runs git. Returns what it prints. @throws KernelError with what git complains of. */
export async function git(repository: string, ...args: readonly string[]): Promise<string> {
  try {
    return await run('git', ['-C', repository, '--literal-pathspecs', ...args]);
  } catch (error) {
    throw new KernelError(`${repository}: git ${args[0]}: ${complaintOf(error)}`);
  }
}

/**
 * The hash of the commit that a name stands for, such as a tag.
 *
 * @throws KernelError when there is none.
 */
export async function commitHash(repository: string, name: string): Promise<string> {
  try {
    const asked = ['--verify', '--quiet', '--end-of-options', `${name}^{commit}`];
    return (await run('git', ['-C', repository, 'rev-parse', ...asked])).trim();
  } catch (error) {
    // Where the name alone is wrong, it says nothing.
    const complaint = complaintOf(error);
    const why = complaint === '' ? '' : `: ${complaint}`;
    throw new KernelError(`${repository}: git knows no commit ${name}${why}`);
  }
}

/** What `git log` is to print of each commit. */
const AS_COMMITS = ['--no-show-signature', '--no-patch', '-z', '--format=%H%n%an <%ae>%n%aI%n%s'];

/**
 * What commits are, in the order of their hashes.
 *
 * @param hashes - of commits that are there, in full; at least one.
 * @throws KernelError
 */
export async function commitsAt(repository: string, hashes: readonly string[]): Promise<Commit[]> {
  return commitsIn(await git(repository, 'log', '--no-walk=unsorted', ...AS_COMMITS, ...hashes));
}

function commitsIn(text: string): Commit[] {
  return text.split('\0').flatMap((one) => {
    const [hash, author, date, subject] = one.split('\n');
    return subject === undefined ? [] : [{ hash, subject, author, date }];
  });
}

/** The best common ancestor of two commits; null if they have none. @throws KernelError */
export async function mergeBase(repository: string, a: string, b: string): Promise<string | null> {
  try {
    return (await run('git', ['-C', repository, 'merge-base', a, b])).trim();
  } catch (error) {
    const none = error instanceof Error && 'code' in error && error.code === 1;
    if (none) return null;
    throw new KernelError(`${repository}: git merge-base: ${complaintOf(error)}`);
  }
}

/** Whether a repository lacks the older part of its history. @throws KernelError */
export async function isShallow(repository: string): Promise<boolean> {
  return (await git(repository, 'rev-parse', '--is-shallow-repository')).trim() === 'true';
}

function wordsOf({ head, without }: Between, paths: readonly string[]): string[] {
  return [head, ...without.map((hash) => `^${hash}`), '--', ...paths];
}

/**
 * The commits of a part of a history, from old to new. It is simplified as `git log -- PATH` does.
 *
 * @param paths - only commits that change one of these; by default all.
 * @throws KernelError
 */
export async function history(
  repository: string,
  part: Between,
  paths: readonly string[] = [],
): Promise<Commit[]> {
  const words = ['--topo-order', '--reverse', ...AS_COMMITS, ...wordsOf(part, paths)];
  return commitsIn(await git(repository, 'log', ...words));
}

/** The number of the same. @throws KernelError */
export async function historyLength(
  repository: string,
  part: Between,
  paths: readonly string[] = [],
): Promise<number> {
  return Number(await git(repository, 'rev-list', '--count', ...wordsOf(part, paths)));
}

/** The hashes of the same, that of the commit first which halves them best. @throws KernelError */
export async function halving(
  repository: string,
  part: Between,
  paths: readonly string[] = [],
): Promise<string[]> {
  const text = await git(repository, 'rev-list', '--bisect-all', ...wordsOf(part, paths));
  // Behind a hash there may be names, and how well it halves.
  return text.split('\n').flatMap((line) => (line === '' ? [] : [line.split(' ')[0]]));
}
