/**
 * Policies of users' files: `--policy ./mine.mjs`. A file is loaded once in each thread that runs
 * its policies, since functions do not cross to another thread.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { createJiti } from 'jiti';
import { guarded, saidBy } from '../host/policy/guarded.js';
import { addPolicy, findPolicy } from '../host/policy/index.js';
import type { LbrPolicy } from '../host/policy/policy.js';
import { UsageError } from './errors.js';
import { divertOutput } from './output.js';
import { policyProblem } from './policy_form.js';

/** A file as another thread has to load it. */
export interface PolicyFile {
  /** As the user wrote it. */
  readonly path: string;
  readonly absolute: string;
  /** Of its text. What it imports is not looked at. */
  readonly sha256: string;
}

interface Loaded extends PolicyFile {
  readonly policies: readonly LbrPolicy[];
}

/** What this thread has loaded. */
const loaded: Loaded[] = [];

/** The library that the build puts beside this, for a file that has none of its own. */
const LIBRARY: string = fileURLToPath(new URL('./index.js', import.meta.url));

/** An import that has not ended after so long waits for something that does not come. */
const IMPORT_MS = 20_000;

/** Whether a word of a list of policies is a file: no policy's name has a dot or a slash. */
function isFile(word: string): boolean {
  return /[./\\]/.test(word);
}

/**
 * Loads the files in a list of policies, and puts the names of their policies in their places.
 *
 * @throws UsageError for what is wrong with a file or its policies.
 */
export async function withPolicyFiles(list: string): Promise<string> {
  const names: string[] = [];
  for (const word of list.split(',').map((part) => part.trim())) {
    // One after the other: which of two files has a name that is taken follows their order.
    // oxlint-disable-next-line no-await-in-loop
    names.push(...(isFile(word) ? await namesIn(word) : [word]));
  }
  return names.join(',');
}

async function namesIn(path: string): Promise<string[]> {
  divertOutput();
  return (await load(path)).policies.map(({ name }) => name);
}

/** The file of a policy, for another thread; null for a policy of vlbr. */
export function policyFileOf(policy: string): PolicyFile | null {
  const found = loaded.find(({ policies }) => policies.some(({ name }) => name === policy));
  if (found === undefined) return null;
  const { path, absolute, sha256 } = found;
  return { path, absolute, sha256 };
}

/** The file of a policy as the user wrote it; null for a policy of vlbr. */
export function fileOf(policy: string): string | null {
  return policyFileOf(policy)?.path ?? null;
}

/** What `vlbr replay` needs to find a policy, as words of a command line. */
export function policyWords(policy: string): string[] {
  const file = fileOf(policy);
  return file === null ? [] : ['--policy', file];
}

/** Loads in this thread what another one has. @throws UsageError if the file is another by now. */
export async function loadAgain({ path, absolute, sha256 }: PolicyFile): Promise<void> {
  divertOutput();
  if ((await load(path, absolute)).sha256 === sha256) return;
  throw new UsageError(`${path} has changed since the run began; run it once more`);
}

/**
 * The policies of a file, with their hooks guarded. In this thread they are found by their names
 * from then on.
 *
 * @param path - of a module whose default export, or export `policy`, is a policy or a list.
 * @throws UsageError in one sentence, if there is anything wrong with the file or with a policy.
 */
export async function loadPolicies(path: string | URL): Promise<readonly LbrPolicy[]> {
  return (await load(path instanceof URL ? fileURLToPath(path) : path)).policies;
}

async function load(path: string, absolute: string = resolve(path)): Promise<Loaded> {
  const known = loaded.find((file) => file.absolute === absolute);
  if (known !== undefined) return known;
  const sha256 = createHash('sha256').update(textOf(path, absolute)).digest('hex');
  const policies = policiesIn(path, await imported(path, absolute)).map((one) =>
    guarded(one, path),
  );
  const file = { path, absolute, sha256, policies };
  policies.forEach(addPolicy);
  loaded.push(file);
  return file;
}

function textOf(path: string, absolute: string): Uint8Array {
  try {
    return readFileSync(absolute);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    const why = code === 'ENOENT' ? 'there is no such file' : `it can't be read (${code})`;
    throw new UsageError(`--policy ${path}: ${why}`);
  }
}

type Module = Readonly<Record<string, unknown>>;

async function imported(path: string, absolute: string): Promise<Module> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((end) => {
    timer = setTimeout(() => end(null), IMPORT_MS);
  });
  try {
    const first = await Promise.race([importFile(absolute), late]);
    if (first !== null) return first;
  } catch (error) {
    throw new UsageError(`${path} can't be loaded: ${saidBy(error, basename(path))}`);
  } finally {
    clearTimeout(timer);
  }
  throw new UsageError(`${path} can't be loaded: it waits for something for ever`);
}

/**
 * Node loads JavaScript itself. TypeScript, and a file that finds no package vlbr from where it is,
 * go through jiti, which takes types out and knows where vlbr is.
 */
async function importFile(absolute: string): Promise<Module> {
  const how = { fsCache: false, interopDefault: false, alias: { vlbr: LIBRARY } };
  const jiti = createJiti(import.meta.url, how);
  if (/\.[cm]?ts$/.test(absolute)) return jiti.import<Module>(absolute);
  try {
    return await import(pathToFileURL(absolute).href);
  } catch (error) {
    if (lacksVlbr(error)) return jiti.import<Module>(absolute);
    // Node does not say in which line, and jiti does.
    if (error instanceof SyntaxError) await jiti.import(absolute);
    throw error;
  }
}

function lacksVlbr(error: unknown): boolean {
  return error instanceof Error && /^Cannot find (?:package|module) 'vlbr'/.test(error.message);
}

/** What a file exports, checked. */
function policiesIn(path: string, module: Module): LbrPolicy[] {
  const exported = module['default'] ?? module['policy'];
  if (exported === undefined) {
    throw new UsageError(`${path} exports no policy: give it \`export default\``);
  }
  const policies: readonly unknown[] = Array.isArray(exported) ? exported : [exported];
  if (policies.length === 0) throw new UsageError(`${path} exports an empty list of policies`);
  const names = new Set<string>();
  return policies.map((policy) => {
    const problem = policyProblem(policy);
    if (problem !== null) throw new UsageError(`${path}: ${problem}`);
    const checked = policy as LbrPolicy;
    const { name } = checked;
    if (names.has(name)) throw new UsageError(`${path} has two policies of the name '${name}'`);
    names.add(name);
    const other = findPolicy(name) === undefined ? null : fileOf(name);
    if (other === null) return checked;
    throw new UsageError(`${path}: ${other} has a policy of the name '${name}', too`);
  });
}
