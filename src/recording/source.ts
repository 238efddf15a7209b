/**
 * Where the text of a recording comes from: a file, standard input, or a tool that unpacks or
 * prints it. Tools are started with a list of arguments and never through a shell.
 */
import { spawn } from 'node:child_process';
import { createReadStream, type Stats, statSync } from 'node:fs';
import { PassThrough, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { excerpt, TraceError } from './trace_error.js';

/** Bytes that are read at once. */
const CHUNK = 256 * 1024;

/** The bytes of a recording, and how far the reading of its file is. */
export interface Source {
  /** Chunks of text. */
  readonly chunks: AsyncIterable<Buffer>;
  /** Size of the file in bytes; 0 where it has none, as a pipe. */
  readonly size: number;
  /** Bytes of the file that were read. */
  readonly done: () => number;
  /** Ends the reading. Chunks that wait for input end then, too. */
  readonly stop: () => void;
}

/** A program that unpacks. */
interface Unpacker {
  readonly magic: Buffer;
  readonly name: string;
  readonly tool: string;
  /** Debian's package of it. */
  readonly from: string;
}

const UNPACKERS: readonly Unpacker[] = [
  { magic: Buffer.from('\xfd7zXZ\0', 'latin1'), name: 'xz', tool: 'xz', from: 'xz-utils' },
  { magic: Buffer.from('\x28\xb5\x2f\xfd', 'latin1'), name: 'zstd', tool: 'zstd', from: 'zstd' },
];

/** A program that prints a binary recording. */
interface Printer {
  readonly magic: Buffer;
  readonly name: string;
  readonly tool: string;
  readonly from: string;
  readonly args: (path: string) => string[];
}

const PRINTERS: readonly Printer[] = [
  {
    magic: Buffer.from('\x17\x08\x44tracing', 'latin1'),
    name: 'trace.dat',
    tool: 'trace-cmd',
    from: 'trace-cmd',
    args: (path) => ['report', '-t', '-i', path],
  },
  {
    magic: Buffer.from('PERFILE2', 'latin1'),
    name: 'perf.data',
    tool: 'perf',
    from: 'linux-perf',
    args: (path) => [
      'script',
      '--ns',
      '--show-lost-events',
      '-F',
      'comm,pid,tid,cpu,time,event,trace',
      '-i',
      path,
    ],
  },
];

const GZIP_MAGIC: Buffer = Buffer.from([0x1f, 0x8b]);
const MAGIC_MAX = 16;

/** Standard input as a file of this name. */
export const STDIN = '-';

/**
 * Opens a recording. What it is packed with is recognised by its first bytes, whatever its name.
 *
 * @param path - a file, a pipe, or `-` for standard input.
 * @param signal - ends the reading, and the wait for a first byte.
 * @throws TraceError when it can't be read, or a tool that it needs is missing. What is wrong later
 * is thrown while chunks are read.
 */
export async function openSource(path: string, signal?: AbortSignal): Promise<Source> {
  const raw = rawSource(path);
  signal?.addEventListener('abort', raw.stop);
  try {
    const { first, stream } = await peek(raw.stream);
    if (first.length === 0) throw emptyFile(path);
    return sourceOf(path, { ...raw, stream }, first);
  } catch (error) {
    raw.stop();
    throw asTraceError(error, path);
  }
}

interface Raw {
  readonly stream: Readable;
  readonly size: number;
  /** Whether a tool can open the path by itself. */
  readonly isFile: boolean;
  readonly stop: () => void;
}

function emptyFile(path: string): TraceError {
  return new TraceError(path, 0, 'the file is empty; record the event sched:sched_switch');
}

function rawSource(path: string): Raw {
  if (path === STDIN) {
    const { stdin } = process;
    return { stream: stdin, size: 0, isFile: false, stop: () => stdin.destroy() };
  }
  let stat: Stats;
  try {
    stat = statSync(path);
  } catch (error) {
    throw asTraceError(error, path);
  }
  if (stat.isDirectory()) throw new TraceError(path, 0, 'this is a directory; give a recording');
  if (stat.isFile() && stat.size > 0) {
    const stream = createReadStream(path, { highWaterMark: CHUNK });
    return { stream, size: stat.size, isFile: true, stop: () => stream.destroy() };
  }
  // A read of a pipe that waits for a writer can't be taken back, and Node would wait for it at its
  // end: another process waits instead. Files of tracefs seem to be empty, and end up here, too.
  const child = spawn('cat', ['--', path], { stdio: ['ignore', 'pipe', 'pipe'] });
  const stream = toolOutput(child, 'cat', path, 'read');
  return { stream, size: 0, isFile: false, stop: () => child.kill() };
}

/** The first bytes, and a stream that has them still. */
async function peek(stream: Readable): Promise<{ first: Buffer; stream: Readable }> {
  const chunks: Buffer[] = [];
  let length = 0;
  while (length < MAGIC_MAX) {
    const chunk = stream.read() as Buffer | null;
    if (chunk !== null) {
      chunks.push(chunk);
      length += chunk.length;
    } else if (stream.readableEnded || stream.destroyed || !(await moreOf(stream))) {
      const all = Buffer.concat(chunks);
      return { first: all, stream: Readable.from([all]) };
    }
  }
  const first = Buffer.concat(chunks);
  stream.unshift(first);
  return { first, stream };
}

/** Waits until a stream has more. Returns false at its end. */
function moreOf(stream: Readable): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const done = (more: boolean) => (): void => {
      for (const [event, hear] of hears) stream.off(event, hear);
      resolve(more);
    };
    const fail = (error: Error): void => {
      for (const [event, hear] of hears) stream.off(event, hear);
      reject(error);
    };
    const hears: readonly (readonly [string, (error: Error) => void])[] = [
      ['readable', done(true)],
      ['end', done(false)],
      ['close', done(false)],
      ['error', fail],
    ];
    for (const [event, hear] of hears) stream.on(event, hear);
  });
}

function sourceOf(path: string, raw: Raw, first: Buffer): Source {
  const printer = PRINTERS.find(({ magic }) => startsWith(first, magic));
  if (printer !== undefined) return printed(path, raw, printer);
  const unpacker = UNPACKERS.find(({ magic }) => startsWith(first, magic));
  const counter = { bytes: 0 };
  if (unpacker === undefined && !startsWith(first, GZIP_MAGIC)) {
    const chunks = counted(raw.stream, counter, path);
    return { chunks, size: raw.size, done: () => counter.bytes, stop: raw.stop };
  }
  const into = new PassThrough({ highWaterMark: CHUNK });
  raw.stream.on('data', (chunk: Buffer) => (counter.bytes += chunk.length));
  raw.stream.on('error', (error) => into.destroy(error));
  raw.stream.pipe(into);
  const unpacked =
    unpacker === undefined ? gunzipped(into, path) : unpackedBy(into, unpacker, path);
  const stop = (): void => {
    raw.stop();
    unpacked.stop();
  };
  const chunks = counted(unpacked.stream, { bytes: 0 }, path, true);
  return { chunks, size: raw.size, done: () => counter.bytes, stop };
}

interface Unpacked {
  readonly stream: Readable;
  readonly stop: () => void;
}

function gunzipped(into: Readable, path: string): Unpacked {
  const gunzip = createGunzip({ chunkSize: CHUNK });
  const out = new PassThrough({ highWaterMark: CHUNK });
  gunzip.on('error', (error: NodeJS.ErrnoException) =>
    out.destroy(damaged('gzip', error.code, path)),
  );
  into.on('error', (error) => out.destroy(error));
  into.pipe(gunzip).pipe(out);
  return { stream: out, stop: () => out.destroy() };
}

function damaged(what: string, why: string | undefined, path: string): TraceError {
  const says = `the ${what} data is damaged or cut off (${why ?? 'no reason given'})`;
  return new TraceError(path, 0, `${says}; copy the file again`);
}

function unpackedBy(into: Readable, { tool, name, from }: Unpacker, path: string): Unpacked {
  const child = spawn(tool, ['-dc'], { stdio: ['pipe', 'pipe', 'pipe'] });
  // The tool says itself why it has stopped to read.
  child.stdin.on('error', () => {});
  into.pipe(child.stdin);
  const missing =
    `this is packed with ${name}, and there is no program ${tool}; install it ` +
    `(apt-get install ${from}), or unpack the file elsewhere: ${tool} -d FILE`;
  const stream = toolOutput(child, name, path, 'unpack', missing);
  return { stream, stop: () => child.kill() };
}

function printed(path: string, raw: Raw, { tool, name, from, args }: Printer): Source {
  const words = args(raw.isFile ? path : 'FILE').join(' ');
  const byHand = `${tool} ${words} > text.txt, and give text.txt`;
  if (!raw.isFile) {
    throw new TraceError(
      path,
      0,
      `this is a binary ${name}, which is read from a file only; run ${byHand}`,
    );
  }
  raw.stop();
  const child = spawn(tool, args(path), { stdio: ['ignore', 'pipe', 'pipe'] });
  const missing =
    `this is a binary ${name}, and there is no program ${tool} to print it; install it ` +
    `(apt-get install ${from}), or run where it was recorded: ${byHand}`;
  const stream = toolOutput(child, name, path, `print (by hand: ${byHand})`, missing);
  const chunks = counted(stream, { bytes: 0 }, path);
  return { chunks, size: 0, done: () => 0, stop: () => child.kill() };
}

/** Most bytes of what a tool complains of. */
const COMPLAINT_MAX = 300;

/** The output of a tool. If the tool fails, the stream does, with what the tool has said. */
function toolOutput(
  child: ReturnType<typeof spawn>,
  name: string,
  path: string,
  doing: string,
  missing?: string,
): Readable {
  const out = new PassThrough({ highWaterMark: CHUNK });
  let says = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    if (says.length < COMPLAINT_MAX) says += chunk.toString('utf8');
  });
  child.stdout?.pipe(out, { end: false });
  child.on('error', (error: NodeJS.ErrnoException) => {
    const why = error.code === 'ENOENT' && missing !== undefined ? missing : error.message;
    out.destroy(new TraceError(path, 0, why));
  });
  child.on('close', (code, signal) => {
    if (code === 0 || signal !== null) {
      out.end();
      return;
    }
    const why = excerpt(says.trim().split('\n')[0] ?? '');
    const can = doing === 'unpack' ? 'is damaged or cut off' : `can't be ${doing}`;
    const advice = doing === 'unpack' ? '; copy the file again' : '';
    out.destroy(new TraceError(path, 0, `the ${name} data ${can} (${why})${advice}`));
  });
  return out;
}

/** The chunks of a stream. Errors become sentences. */
async function* counted(
  stream: Readable,
  counter: { bytes: number },
  path: string,
  unpacked = false,
): AsyncGenerator<Buffer> {
  let first = true;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      if (first && unpacked) refuseNested(chunk, path);
      first = false;
      counter.bytes += chunk.length;
      yield chunk;
    }
  } catch (error) {
    // The stream was taken away, since the reading was to end.
    if (isPrematureClose(error)) return;
    throw asTraceError(error, path);
  }
}

function isPrematureClose(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE';
}

/** A binary recording must lie in a file for the tool that prints it. */
function refuseNested(chunk: Buffer, path: string): void {
  const binary = PRINTERS.find(({ magic }) => startsWith(chunk, magic));
  if (binary === undefined) return;
  throw new TraceError(
    path,
    0,
    `this is a binary ${binary.name} that was packed; unpack it, and give the file itself`,
  );
}

function startsWith(bytes: Buffer, magic: Buffer): boolean {
  return bytes.subarray(0, magic.length).equals(magic);
}

/** The operating system's error as a sentence. */
function asTraceError(error: unknown, path: string): TraceError {
  if (error instanceof TraceError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file; check the path',
    EISDIR: 'this is a directory; give a recording',
    EACCES: 'no permission to read this file; change its mode or copy it',
  };
  return new TraceError(path, 0, reasons[code] ?? `the file cannot be read (${String(error)})`);
}
