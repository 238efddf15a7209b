/** `vlbr look`: says what a recording holds, before anything is run with it. */
import { coloursFor } from '../../console/colours.js';
import { EXIT_EXPECTED, EXIT_INTERRUPTED } from '../../console/exit_codes.js';
import { printJson, printLines } from '../../console/output.js';
import { readGuests } from '../../console/guests.js';
import type { GuestOptions, RecordingOptions } from '../../console/recording_options.js';
import { readOptionsOf, readWithProgress } from '../../console/recordings.js';
import { printable } from '../../recording/trace_error.js';
import { guestsJson, guestsLines } from '../../tell/guest_text.js';
import { recordingJson, recordingLines } from '../../tell/recording_text.js';

/** The options as commander hands them over. */
export interface LookOptions extends RecordingOptions, GuestOptions {
  readonly json?: boolean;
}

/** Names the form of the JSON, and its version. */
const LOOK_SCHEMA = 'vlbr/look/1';

/** Returns the exit code. @throws UsageError for whatever is wrong with the recording. */
export async function look(file: string, options: LookOptions): Promise<number> {
  const recording = await readWithProgress(file, readOptionsOf(options));
  const guests = await readGuests(recording, options);
  if (options.json === true) {
    const joined = guestsJson(recording, guests);
    printJson({ schema: LOOK_SCHEMA, ...recordingJson(recording), guests: joined });
  } else {
    const { bold } = coloursFor(process.stdout.isTTY);
    const head = bold(`vlbr look: ${printable(recording.file)}`);
    printLines([head, ...recordingLines(recording), ...guestsLines(recording, guests)]);
  }
  return recording.interrupted ? EXIT_INTERRUPTED : EXIT_EXPECTED;
}
