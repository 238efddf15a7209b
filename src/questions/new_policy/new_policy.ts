/** `vlbr new policy`: writes a policy that runs, and its test. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../../console/errors.js';
import { printLines } from '../../console/output.js';
import { policyNameProblem } from '../../console/policy_form.js';

export interface NewPolicyOptions {
  readonly ts?: boolean;
  readonly dir: string;
}

/** The build puts the files beside this. */
const SKELETON: URL = new URL('./skeleton/', import.meta.url);

/** What the policy is called in the files. */
const PLACEHOLDER = /my-policy/g;

/**
 * Writes both files, or none.
 *
 * @throws UsageError for a name that no policy can have, a file that there is, or a folder that
 *   can't be written to.
 */
export function newPolicy(name: string, { ts = false, dir }: NewPolicyOptions): void {
  const problem = policyNameProblem(name);
  if (problem !== null) throw new UsageError(`vlbr new policy: the name ${problem}`);
  const policy = ts ? `${name}.ts` : `${name}.mjs`;
  const files = new Map([
    [join(dir, policy), skeleton(ts ? 'policy.ts.txt' : 'policy.mjs', name)],
    [
      join(dir, `${name}.test.mjs`),
      skeleton('policy.test.mjs', name).replace(`./${name}.mjs`, `./${policy}`),
    ],
  ]);
  const there = [...files.keys()].find((path) => existsSync(path));
  if (there !== undefined) {
    throw new UsageError(`${there} is there already; take another name or --dir`);
  }
  write(dir, files);
  const path = join(dir, policy);
  printLines([
    `wrote ${[...files.keys()].join(' and ')}`,
    `next: vlbr verify --policy ${/[\\/]/.test(path) ? path : `./${path}`}`,
  ]);
}

function skeleton(file: string, name: string): string {
  return readFileSync(new URL(file, SKELETON), 'utf8').replace(PLACEHOLDER, name);
}

function write(dir: string, files: ReadonlyMap<string, string>): void {
  try {
    mkdirSync(dir, { recursive: true });
    for (const [path, text] of files) writeFileSync(path, text, { flag: 'wx' });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
