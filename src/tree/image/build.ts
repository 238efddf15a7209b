/**
 * Compiles the perf core and the x86 driver of a kernel tree, whole and as they are, to one
 * WebAssembly module: the image of the tree. What was compiled is kept, file by file, with what it
 * was made from; only what changed is compiled again.
 */
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { renameSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { KernelError } from '../errors.js';
import { place } from '../place.js';
import { run, type RunOptions } from '../run.js';
import { discard, scratchFolder } from '../scratch.js';
import { GCOV_C } from '../gcov/gcov.js';
import { COMPILE, COUNTING, forced, forcedForKvm, includesOf, KVM_SHIM } from './flags.js';
import { nameWithin, SHIM } from './flags.js';
import { withNarrowTable } from './narrow_table.js';
import { alone, CORE, generate, generatedKey, kvmFilesOf } from './sources.js';
import { TREE_FILES, TREE_FILES_32 } from './sources.js';

/** By way of it kernel/events/core.c is compiled. */
const CORE_SHIM = 'events_core.c';

/** Our own C files. */
const SHIM_FILES: readonly string[] = ['kernel.c', 'cgroup.c', 'guest.c', CORE_SHIM];

/** Those for KVM. */
const KVM_SHIM_FILES: readonly string[] = ['rest.c', 'vmm.c'];

/** Bits of a long: 64 as on x86-64, lowered to memory of 32-bit addresses; or 32 as on i386. */
export type LongBits = 64 | 32;

/** Those of the product. */
const LONG_BITS: LongBits = 64;

export interface ImageOptions {
  /** By default 64. */
  readonly bits?: LongBits;
  /** Whether the image has the tree's KVM as well, as a host needs it. */
  readonly kvm?: boolean;
  /** Trees of which this has most files: what is shared is compiled once. */
  readonly bases?: readonly string[];
  /** Files of the tree whose code counts how often it runs. */
  readonly counted?: readonly string[];
  /** Ends the build: it throws then, whatever. */
  readonly signal?: AbortSignal;
}

/** Functions of the kernel that the machine calls, beside those that our C files export. */
const EXPORTS: readonly string[] = [
  'perf_event_init',
  'perf_event_init_cpu',
  'perf_event_task_tick',
  'perf_event_exec',
  '__heap_base',
  '__stack_pointer',
];

/** Functions of the tree that are called by way of ours: c/guest.c says why. */
const WRAPPED: readonly string[] = ['insn_init', 'intel_pmu_lbr_add', 'intel_pmu_lbr_del'];

/** Imports before which a function can be suspended. */
export const SUSPENDING: readonly string[] = [
  'vlbr_read_msr',
  'vlbr_write_msr',
  'vlbr_relax',
  'vlbr_vm_enter',
  'vlbr_schedule',
];

const STACK_BYTES = 65_536;

/** Folder of the headers that are made from the tree, in the folder of a build. */
const GENERATED = '/generated-for-image/';

/** What a file was made from: each path with its size and its time of change. */
type Made = Readonly<Record<string, string>>;

/** A generated header by what is in it, since each tree has its own; else by size and time. */
function stampOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return 'none';
  if (!path.includes(GENERATED)) return `${stat.size} ${stat.mtimeMs}`;
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

function isCurrent(made: Made): boolean {
  return Object.entries(made).every(([path, stamp]) => stampOf(path) === stamp);
}

/** Runs a tool. @throws KernelError when it is not installed; else what it wrote is thrown. */
async function tool(
  name: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  try {
    return await run(name, args, options);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      const install = 'apt-get install clang lld binaryen';
      throw new KernelError(`${name} is not installed; install it: ${install}`);
    }
    throw error;
  }
}

/** A file that is compiled. */
interface Source {
  readonly path: string;
  readonly object: string;
  /** Its path in the tree, or that of the file which it includes whole; null for one of ours. */
  readonly file: string | null;
  /** Whether it is of KVM, and reads our headers for KVM first. */
  readonly kvm?: true;
}

/** A tree being built. */
class Build {
  readonly folder: string;
  private readonly tree: string;
  private readonly flags: readonly string[];
  private readonly bits: LongBits;
  private readonly counted: readonly string[];
  private readonly kvm: boolean;
  /** Where and how long tools run. */
  private readonly where: RunOptions;
  /** Builds with the same objects, as far as what they are made of is the same. */
  private readonly lenders: readonly Build[];
  /** Where files are while they are made: another process may be at the same ones. */
  private scratch = '';

  constructor(tree: string, cache: string, keys: Keys, options: ImageOptions) {
    const { bits = LONG_BITS, bases = [], counted = [], kvm = false } = options;
    this.tree = resolve(tree);
    this.bits = bits;
    this.kvm = kvm;
    this.counted = counted;
    const counting = counted.length > 0 ? [...COUNTING, ...counted].join(' ') : '';
    const made = generatedKey(this.tree);
    const parts = [this.tree, kvm ? keys.kvm : keys.perf, made, counting];
    const name = createHash('sha256').update(parts.join(' '));
    this.folder = resolve(cache, 'images', name.digest('hex').slice(0, 32));
    this.where = { cwd: this.folder, signal: options.signal };
    this.lenders = [
      ...(counted.length > 0 ? [new Build(tree, cache, keys, { bits, kvm })] : []),
      ...bases.map((base) => new Build(base, cache, keys, { bits, kvm })),
      ...(kvm ? [new Build(tree, cache, keys, { bits })] : []),
    ];
    const target = bits === 64 ? ['--target=wasm64', '-DVLBR_64BIT=1'] : ['--target=wasm32'];
    const paths = [...nameWithin(this.tree), ...includesOf(this.tree, this.generated)];
    this.flags = [...target, ...COMPILE, ...paths, ...forced(this.tree)];
  }

  private get generated(): string {
    return join(this.folder, GENERATED);
  }

  sources(): readonly Source[] {
    const files = [...alone(this.tree), ...(this.bits === 64 ? [] : TREE_FILES_32)];
    const own = SHIM_FILES.map((name) => ({
      path: join(SHIM, name),
      object: `shim_${name}.o`,
      file: name === CORE_SHIM ? CORE : null,
    }));
    const trees = files.map((file) => ({
      path: join(this.tree, file),
      object: `${file.replaceAll('/', '_')}.o`,
      file,
    }));
    const kvm = this.kvm ? this.kvmSources() : [];
    const missing = [...trees, ...kvm].find(({ path }) => !existsSync(path));
    if (missing !== undefined) {
      const file = relative(this.tree, missing.path);
      throw new KernelError(`${this.tree}: ${file} is missing; is this a whole tree?`);
    }
    const counting = { path: GCOV_C, object: 'gcov.c.o', file: null };
    return [...trees, ...own, ...kvm, ...(this.counted.length > 0 ? [counting] : [])];
  }

  private kvmSources(): readonly Source[] {
    const own = KVM_SHIM_FILES.map((name) => ({
      path: join(KVM_SHIM, name),
      object: `shim_kvm_${name}.o`,
      file: null,
    }));
    const trees = kvmFilesOf(this.tree).map((file) => ({
      path: join(this.tree, file),
      object: `${file.replaceAll('/', '_')}.o`,
      file,
    }));
    return [...trees, ...own].map((source) => ({ ...source, kvm: true }));
  }

  private counts({ file }: Source): boolean {
    return file !== null && this.counted.includes(file);
  }

  /** What makes an object count, under names that do not depend on who compiles it. */
  private countingFlags({ object }: Source): readonly string[] {
    const notes = [`-coverage-notes-file=${join(this.scratch, notesFor(dataOf(object)))}`];
    const names = [...notes, `-coverage-data-file=${dataOf(object)}`];
    return [...COUNTING, ...names.flatMap((name) => ['-Xclang', name])];
  }

  /** Compiles a file, if what it was made from has changed. */
  private async compile(source: Source): Promise<void> {
    const { path, object } = source;
    const made = join(this.folder, `${object}.json`);
    const known = existsSync(made) && existsSync(join(this.folder, object));
    if (known && isCurrent(this.madeFrom(object))) return;
    const counts = this.counts(source);
    if (!counts && this.lenders.some((build) => build.lends(object, this))) return;
    const mine = join(this.scratch, object);
    const own = [`-I${join(this.tree, 'arch/x86')}`, '-MD', '-MF', `${mine}.d`];
    const counting = counts ? this.countingFlags(source) : [];
    try {
      const before = source.kvm === true ? [`-I${KVM_SHIM}`] : [];
      const after = source.kvm === true ? forcedForKvm(this.tree, path) : [];
      const flags = [...before, ...this.flags, ...after, ...own, ...counting];
      await tool('clang', [...flags, path, '-o', mine], this.where);
    } catch (error) {
      throw error instanceof KernelError ? error : this.explained(path, error);
    }
    const rule = readFileSync(`${mine}.d`, 'utf8');
    const paths = rule.replaceAll('\\\n', ' ').split(/\s+/).slice(1).filter(Boolean);
    const stamps = paths.map((file) => [file, stampOf(resolve(this.folder, file))]);
    const notes = notesFor(dataOf(object));
    if (counts) renameSync(join(this.scratch, notes), join(this.folder, notes));
    renameSync(mine, join(this.folder, object));
    place(made, JSON.stringify(Object.fromEntries(stamps)));
  }

  /** Copies an object to the build of a patched copy, if that would make it of the same files. */
  private lends(object: string, to: Build): boolean {
    const made = Object.entries(this.madeFrom(object));
    if (made.length === 0 || !existsSync(join(this.folder, object))) return false;
    const mapped = made.map(([path, stamp]) => [this.pathFor(to, path), stamp] as const);
    const theirs: Made = Object.fromEntries(mapped);
    if (!isCurrent(theirs)) return false;
    copyFileSync(join(this.folder, object), join(to.folder, object));
    place(join(to.folder, `${object}.json`), JSON.stringify(theirs));
    return true;
  }

  /** The path in another build of a file that this one reads. */
  private pathFor(to: Build, path: string): string {
    if (path.startsWith(this.generated)) return to.generated + path.slice(this.generated.length);
    if (path.startsWith(`${this.tree}/`)) return to.tree + path.slice(this.tree.length);
    return path;
  }

  /** An error of the compiler, in words. */
  private explained(path: string, error: unknown): KernelError {
    const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
    const first =
      stderr.split('\n').find((line) => /(?:fatal )?error: /.test(line)) ?? String(error);
    const file = relative(path.startsWith(SHIM) ? SHIM : this.tree, path);
    const what = first.replaceAll(`${this.tree}/`, '').replaceAll(SHIM, 'shim/');
    return new KernelError(
      `${file} does not compile with the shim of vlbr: ${what}\n` +
        'If the tree compiles by itself, this tree needs something of asm/ that vlbr has not: ' +
        'please report the line above and the version of the tree',
    );
  }

  /** @throws the first error, once what was begun has ended: its files are others' to take. */
  private async compileAll(): Promise<string[]> {
    const sources = this.sources();
    const waiting = [...sources];
    const work = async (): Promise<void> => {
      try {
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
          await this.compile(next);
        }
      } finally {
        waiting.length = 0;
      }
    };
    const ended = await Promise.allSettled(Array.from({ length: availableParallelism() }, work));
    const failed = ended.find((one) => one.status === 'rejected');
    if (failed !== undefined) throw failed.reason as unknown;
    return sources.map(({ object }) => object);
  }

  private async link(objects: readonly string[]): Promise<void> {
    const wide = this.bits === 64 ? ['-mwasm64'] : [];
    const exported = EXPORTS.map((name) => `--export=${name}`);
    const wrapped = WRAPPED.map((name) => `--wrap=${name}`);
    const how = [
      '--no-entry',
      '--no-check-features',
      '--gc-sections',
      '--export-table',
      '--import-undefined',
    ];
    // An overflow of the stack, which lies below all data, traps.
    const stack = ['--stack-first', '-z', `stack-size=${STACK_BYTES}`];
    const args = [
      ...wide,
      ...how,
      ...stack,
      ...exported,
      ...wrapped,
      ...objects,
      '-o',
      this.linked,
    ];
    try {
      await tool('wasm-ld', args, this.where);
    } catch (error) {
      throw error instanceof KernelError ? error : this.unlinked(error);
    }
  }

  /** An error of the linker, in words. It is about data: an unknown function is an import. */
  private unlinked(error: unknown): KernelError {
    const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
    const [, object, symbol] = /(\S+)\.o: undefined symbol: (\w+)/.exec(stderr) ?? [];
    if (symbol === undefined) {
      const first = stderr.split('\n').find((line) => line.includes('error: ')) ?? String(error);
      return new KernelError(`the image can't be linked: ${first}`);
    }
    const source = this.sources().find((one) => one.object === `${object}.o`);
    return new KernelError(
      `${source?.file ?? object} uses ${symbol}, which no file of the image defines\n` +
        'If the tree links by itself, vlbr lacks this datum: please report the line above and ' +
        'the version of the tree',
    );
  }

  /** Lowers 64-bit addresses, and makes functions that access MSRs suspendable. */
  private async lower(): Promise<void> {
    const features = ['--enable-mutable-globals', '--enable-sign-ext'];
    const lowering = this.bits === 64 ? ['--enable-memory64', '--memory64-lowering'] : [];
    const imports = SUSPENDING.map((name) => `env.${name}`).join(',');
    const suspending = ['--asyncify', `--pass-arg=asyncify-imports@${imports}`];
    // Names stay: a trap tells the function of the kernel in which it happened.
    const args = ['-g', ...features, ...lowering, '-O2', ...suspending];
    await tool('wasm-opt', [...args, this.linked, '-o', this.lowered], this.where);
  }

  /** Paths that an object was made from; none before it is. */
  madeFrom(object: string): Made {
    const record = join(this.folder, `${object}.json`);
    return existsSync(record) ? (JSON.parse(readFileSync(record, 'utf8')) as Made) : {};
  }

  async image(): Promise<Uint8Array> {
    this.scratch = scratchFolder(resolve(this.folder, 'image'));
    try {
      generate(this.tree, SHIM, this.generated);
      const objects = await this.compileAll();
      await this.link(objects);
      writeFileSync(this.linked, withNarrowTable(readFileSync(this.linked)));
      await this.lower();
      return readFileSync(this.lowered);
    } finally {
      discard(this.scratch);
    }
  }

  private get linked(): string {
    return join(this.scratch, 'linked.wasm');
  }

  private get lowered(): string {
    return join(this.scratch, 'lowered.wasm');
  }
}

function shimFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? shimFiles(path) : [path];
  });
}

/** What all objects depend on besides their sources: the tools and files of ours that are used. */
interface Keys {
  /** Of an image without KVM. */
  readonly perf: string;
  readonly kvm: string;
}

async function keysFor(bits: LongBits): Promise<Keys> {
  const all = shimFiles(SHIM).sort();
  const perf = await keyOf(
    all.filter((file) => !file.startsWith(KVM_SHIM)),
    bits,
  );
  return { perf, kvm: await keyOf(all, bits) };
}

async function keyOf(files: readonly string[], bits: LongBits): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(file));
  const version = await tool('clang', ['--version']);
  const flags = [COMPILE, EXPORTS, WRAPPED, SUSPENDING, TREE_FILES, bits, version];
  return hash.update(JSON.stringify(flags)).digest('hex');
}

/** The name of the counts of an object, which `llvm-cov` is to be given. */
function dataOf(object: string): string {
  return `${object}.gcda`;
}

/** The name of what clang has noted of the code that is counted there. */
export function notesFor(data: string): string {
  return data.replace(/gcda$/, 'gcno');
}

async function buildOf(tree: string, cache: string, options: ImageOptions): Promise<Build> {
  return new Build(tree, cache, await keysFor(options.bits ?? LONG_BITS), options);
}

/**
 * Builds the image of a tree, or what of it has changed.
 *
 * @param tree - the folder of a tree, with TREE_FOLDERS in it.
 * @param cache - a folder in which objects and images are kept.
 * @throws KernelError when a tool is missing, or the tree does not compile.
 */
export async function buildImage(
  tree: string,
  cache: string,
  options: ImageOptions,
): Promise<Uint8Array> {
  const build = await buildOf(tree, cache, options);
  const { folder } = build;
  const image = join(folder, 'image.wasm');
  const record = join(folder, 'image.json');
  if (existsSync(image) && existsSync(record)) {
    if (isCurrent(JSON.parse(readFileSync(record, 'utf8')) as Made)) return readFileSync(image);
  }
  mkdirSync(folder, { recursive: true });
  const bytes = await build.image();
  place(image, bytes);
  const made = build.sources().map(({ object }) => build.madeFrom(object));
  place(record, JSON.stringify(Object.assign({}, ...made)));
  return bytes;
}

/**
 * What of a tree its image is made from: for each file that is compiled, the files of the tree that
 * the compiler reads, by their paths in the tree. The image must have been built before.
 */
export async function readBy(
  tree: string,
  cache: string,
  options: ImageOptions = {},
): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const build = await buildOf(tree, cache, options);
  const root = `${resolve(tree)}/`;
  const rows = build.sources().flatMap(({ object, file }) => {
    if (file === null) return [];
    const made = Object.keys(build.madeFrom(object)).map((path) => resolve(path));
    const paths = made.filter((path) => path.startsWith(root));
    return [[file, new Set(paths.map((path) => path.slice(root.length)))] as const];
  });
  return new Map(rows);
}

/** The folder in which a build keeps its objects, and what clang has noted of those that count. */
export async function folderOf(
  tree: string,
  cache: string,
  options: ImageOptions,
): Promise<string> {
  return (await buildOf(tree, cache, options)).folder;
}
