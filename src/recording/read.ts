/** Reads recordings: the way from a path, or from bytes in memory, to a recording. */
import { finish, type FinishOptions } from './finish.js';
import type { Recording } from './recording.js';
import { openSource } from './source.js';
import { TextReader, type TextOptions } from './text_reader.js';

/** How a recording is to be read. */
export type ReadOptions = FinishOptions & Pick<TextOptions, 'machine' | 'last'>;

/** How far the reading is. */
export interface ReadProgress {
  /** Bytes of the file that were read. */
  readonly done: number;
  /** Bytes of the file; 0 where that is not known, as of a pipe. */
  readonly size: number;
  /** Lines that were read. */
  readonly lines: number;
}

/** Hears how far the reading is, and ends it. */
export interface ReadControl {
  readonly progress?: (progress: ReadProgress) => void;
  /** Ends the reading when it fires: what was read until then is the recording. */
  readonly signal?: AbortSignal;
}

/**
 * Reads a recording from a file, from a pipe, or from standard input (`-`).
 *
 * @throws TraceError for whatever is wrong with it.
 */
export async function readRecording(
  path: string,
  options: ReadOptions = {},
  { progress, signal }: ReadControl = {},
): Promise<Recording> {
  const reader = readerOf(path === '-' ? 'standard input' : path, options);
  const source = await openSource(path, signal);
  const stop = (): void => source.stop();
  signal?.addEventListener('abort', stop);
  try {
    if (signal?.aborted === true) source.stop();
    for await (const chunk of source.chunks) {
      reader.feed(chunk);
      progress?.({ done: source.done(), size: source.size, lines: reader.lines });
      if (signal?.aborted === true) break;
    }
  } finally {
    signal?.removeEventListener('abort', stop);
    source.stop();
  }
  const interrupted = signal?.aborted === true;
  reader.end(interrupted);
  return finish(reader, options, interrupted);
}

/** Reads a recording that is in memory. @throws TraceError for whatever is wrong with it. */
export function parseRecording(
  text: string | Buffer,
  file: string,
  options: ReadOptions = {},
): Recording {
  const reader = readerOf(file, options);
  reader.feed(typeof text === 'string' ? Buffer.from(text) : text);
  reader.end(false);
  return finish(reader, options, false);
}

function readerOf(file: string, options: ReadOptions): TextReader {
  const { vcpuThreads, machine, last } = options;
  return new TextReader(file, {
    ...(machine === undefined ? {} : { machine }),
    ...(last === undefined ? {} : { last }),
    ...(vcpuThreads === undefined || vcpuThreads === null
      ? {}
      : { isVcpu: (comm: string) => vcpuThreads.test(comm) }),
  });
}
