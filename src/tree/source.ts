/** Finds lbr.c at the user's path: in a kernel tree, in Debian's tar of one, or the file itself. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { KernelInfo } from './binary.js';
import { KernelError } from './errors.js';
import { discard, scratchFolder } from './scratch.js';

/** Path of the driver in a kernel tree. */
export const LBR_PATH = 'arch/x86/events/intel/lbr.c';

/** Where Debian's packages put the tar of a tree. */
const DEBIAN_FOLDER = '/usr/src';

export interface KernelSource {
  /** The text with `\n` line ends, whatever the file has. */
  readonly text: string;
  readonly info: KernelInfo;
}

class NotThere extends KernelError {}

/**
 * A text as a source. `version` is unknown unless the text comes from a tree.
 *
 * Probes of features, patches and coverage work line by line, so `\r\n` and `\r` become `\n`. The
 * hash is that of the given text, as `sha256sum` prints it for the file.
 */
export function kernelSource(text: string, version = 'unknown'): KernelSource {
  const sha256 = createHash('sha256').update(text).digest('hex');
  return { text: text.replace(/\r\n?/g, '\n'), info: { version, sha256 } };
}

/**
 * Reads lbr.c.
 *
 * @param path - a tree, a `.tar.*` of one, or the file itself.
 * @throws KernelError if there is no lbr.c.
 */
export function readKernelSource(path: string): KernelSource {
  if (!existsSync(path)) throw new KernelError(`${path}: there is no such file or folder`);
  if (statSync(path).isDirectory()) return fromTree(path);
  if (/\.tar(\.\w+)?$|\.t[gx]z$/.test(path)) return fromTar(path);
  if (path.endsWith('.c')) return fromFile(path);
  throw new KernelError(`${path}: give a kernel tree, a .tar of one, or an lbr.c`);
}

function fromTree(tree: string): KernelSource {
  const file = join(tree, LBR_PATH);
  if (existsSync(file)) return fromFile(file);
  // tar may leave a folder whose only content is the unpacked tree.
  const inner = readdirSync(tree).filter((name) => existsSync(join(tree, name, LBR_PATH)));
  if (inner.length === 1) return fromFile(join(tree, inner[0], LBR_PATH));
  throw new NotThere(`${tree}: this is no kernel tree; ${LBR_PATH} is missing`);
}

function fromFile(file: string): KernelSource {
  const text = readFileSync(file, 'utf8');
  if (!text.includes('intel_pmu_lbr_')) {
    throw new KernelError(`${file}: this is not ${LBR_PATH}; it defines no intel_pmu_lbr_*()`);
  }
  const inTree = dirname(file).endsWith(dirname(LBR_PATH));
  const makefile = join(file, '../../../../..', 'Makefile');
  const known = inTree && existsSync(makefile);
  return kernelSource(text, known ? versionOf(readFileSync(makefile, 'utf8')) : undefined);
}

/** VERSION, PATCHLEVEL, SUBLEVEL and EXTRAVERSION of a kernel's top Makefile. */
export function versionOf(makefile: string): string {
  const value = (name: string): string =>
    new RegExp(`^${name} *= *(\\S*)$`, 'm').exec(makefile)?.[1] ?? '';
  const numbers = [value('VERSION'), value('PATCHLEVEL'), value('SUBLEVEL')];
  return numbers.filter((part) => part !== '').join('.') + value('EXTRAVERSION') || 'unknown';
}

/** Runs tar. A file that is missing from the archive is no error here; the caller checks. */
function untar(args: readonly string[], tar: string): void {
  try {
    execFileSync('tar', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (error) {
    const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
    const lines = stderr.split('\n');
    const missing = lines.filter((line) => line.endsWith(': Not found in archive'));
    // The last line of tar's output only says that there were errors.
    if (missing.length > 0 && missing.length === lines.length - 1) return;
    throw new KernelError(`${tar}: tar can't read it: ${lines[0]}`);
  }
}

/** Unpacks the two needed files, which lie near the front of a kernel's tar. */
function fromTar(tar: string): KernelSource {
  const folder = scratchFolder();
  const wanted = [`*/${LBR_PATH}`, '*/Makefile'].flatMap((p) => ['--wildcards', p]);
  const args = ['-xf', tar, '-C', folder, '--occurrence=1', '--no-wildcards-match-slash'];
  try {
    untar([...args, ...wanted], tar);
    return fromTree(folder);
  } catch (error) {
    if (!(error instanceof NotThere)) throw error;
    throw new KernelError(`${tar}: ${LBR_PATH} is not in it`);
  } finally {
    discard(folder);
  }
}

function byVersion(a: string, b: string): number {
  return basename(a).localeCompare(basename(b), 'en', { numeric: true });
}

/**
 * The tree of Debian's package: Linux 6.1, the version of the port, or else the newest.
 *
 * @param folder - where the packages put their trees.
 * @throws KernelError if there is no tree.
 */
export function installedKernel(folder: string = DEBIAN_FOLDER): string {
  const found = existsSync(folder) ? readdirSync(folder) : [];
  const trees = found.filter((name) => /^linux-source-\d+\.\d+(\.tar\.\w+)?$/.test(name));
  const reference = trees.filter((name) => /^linux-source-6\.1(\.tar|$)/.test(name));
  const best = (reference.length > 0 ? reference : trees).sort(byVersion).at(-1);
  if (best !== undefined) return join(folder, best);
  throw new KernelError(
    `no kernel source in ${folder}; install one (apt-get install linux-source-6.1), or ` +
      'say where a tree is with --kernel-src',
  );
}
