/** `vlbr look`: says what a recording holds, before anything is run with it. */
import { coloursFor } from '../../console/colours.js';
import { EXIT_EXPECTED, EXIT_INTERRUPTED } from '../../console/exit_codes.js';
import { printJson, printLines } from '../../console/output.js';
import type { RecordingOptions } from '../../console/recording_options.js';
import { readOptionsOf, readWithProgress } from '../../console/recordings.js';
import { printable } from '../../recording/trace_error.js';
import { recordingJson, recordingLines } from '../../tell/recording_text.js';

/** The options as commander hands them over. */
export interface LookOptions extends RecordingOptions {
  readonly json?: boolean;
}

/** Names the form of the JSON, and its version. */
const LOOK_SCHEMA = 'vlbr/look/1';

/** Returns the exit code. @throws UsageError for whatever is wrong with the recording. */
export async function look(file: string, options: LookOptions): Promise<number> {
  const recording = await readWithProgress(file, readOptionsOf(options));
  if (options.json === true) {
    printJson({ schema: LOOK_SCHEMA, ...recordingJson(recording) });
  } else {
    const { bold } = coloursFor(process.stdout.isTTY);
    printLines([bold(`vlbr look: ${printable(recording.file)}`), ...recordingLines(recording)]);
  }
  return recording.interrupted ? EXIT_INTERRUPTED : EXIT_EXPECTED;
}
