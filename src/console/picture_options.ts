/** Options for pictures of schedules, and how pictures are written. */
import type { Command } from 'commander';
import { checkOnOutput, checkWritable } from './output.js';

/** The pictures that there are, and what each is. */
const SAYS = {
  html: 'a page as well, in one file: all steps, with every stack and MSR access',
  svg: 'a drawing of the timeline as well; of one schedule',
  perfetto: 'a trace for the UI of Perfetto as well; of one schedule',
  itf: 'the states as well, in the Informal Trace Format; of one schedule',
} as const;

export type PictureKind = keyof typeof SAYS;

/** The options as commander hands them over: a path for each picture, `-` for standard output. */
export type PictureOptions = Partial<Readonly<Record<PictureKind, string>>>;

const KINDS = Object.keys(SAYS) as readonly PictureKind[];

/** @param kinds - what the command can draw. */
export function addPictureOptions(
  command: Command,
  kinds: readonly PictureKind[] = KINDS,
): Command {
  for (const kind of kinds) command.option(`--${kind} <file>`, SAYS[kind]);
  return command;
}

/** Pictures that were asked for, each with its path. */
export function askedPictures(options: PictureOptions): [kind: PictureKind, path: string][] {
  return KINDS.flatMap((kind) => {
    const path = options[kind];
    return path === undefined ? [] : [[kind, path] as [PictureKind, string]];
  });
}

/**
 * Looks whether each picture can be written, before there is anything to draw. Returns whether one
 * takes the place of the report on standard output.
 *
 * @param others - options that were given and print something of their own.
 * @throws UsageError where two things are to go to standard output.
 * @throws WriteError for a file that can't be written.
 */
export function checkPictures(options: PictureOptions, others: readonly string[]): boolean {
  const asked = askedPictures(options);
  const onOutput = asked.filter(([, path]) => path === '-').map(([kind]) => `--${kind} -`);
  checkOnOutput(onOutput, others);
  for (const [, path] of asked) if (path !== '-') checkWritable(path);
  return onOutput.length > 0;
}
