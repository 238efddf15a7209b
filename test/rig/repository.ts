/** Git repositories that tests make. The same commits have the same hashes each time. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Nothing of the machine's own settings counts. */
const SETTINGS = {
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_AUTHOR_NAME: 'A. Müller',
  GIT_AUTHOR_EMAIL: 'a@example.org',
  GIT_COMMITTER_NAME: 'C',
  GIT_COMMITTER_EMAIL: 'c@example.org',
};

export class Repository {
  readonly folder: string;
  private commits = 0;

  /** Makes an empty one. */
  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
    this.git('init', '-q', '-b', 'main');
  }

  /** Returns what git prints. */
  git(...args: readonly string[]): string {
    const date = `2026-01-${String(this.commits + 1).padStart(2, '0')}T12:00:00Z`;
    const env = { ...process.env, ...SETTINGS, GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date };
    return execFileSync('git', args, { cwd: this.folder, env, encoding: 'utf8' }).trim();
  }

  /**
   * Changes files, and commits that; one a day.
   *
   * @param files - new text by path; null for a file that goes away.
   * Returns the hash.
   */
  commit(subject: string, files: Readonly<Record<string, string | null>>): string {
    for (const [path, text] of Object.entries(files)) {
      const file = join(this.folder, path);
      mkdirSync(dirname(file), { recursive: true });
      if (text === null) rmSync(file);
      else writeFileSync(file, text);
    }
    this.git('add', '--all');
    this.git('commit', '-q', '--allow-empty', '-m', subject);
    this.commits++;
    return this.git('rev-parse', 'HEAD');
  }
}
