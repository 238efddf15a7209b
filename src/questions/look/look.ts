/** `vlbr look`: says what a recording holds, before anything is run with it. */
import type { KernelVersion } from '../../guest/perf/kernel.js';
import { CPU_MODELS } from '../../hw/cpu_models.js';
import { findPolicy } from '../../host/policy/index.js';
import { UsageError } from '../../console/errors.js';
import { coloursFor } from '../../console/colours.js';
import { entryOf, modelledOf } from '../../console/arguments.js';
import { exitCodeOf } from '../../console/exit_codes.js';
import { printJson, printLines } from '../../console/output.js';
import { readGuests } from '../../console/guests.js';
import type { GuestOptions, RecordingOptions } from '../../console/recording_options.js';
import { readOptionsOf, readWithProgress } from '../../console/recordings.js';
import type { Recording } from '../../recording/recording.js';
import { printable } from '../../recording/trace_error.js';
import { guestsJson, guestsLines } from '../../tell/guest_text.js';
import { recordingJson, recordingLines } from '../../tell/recording_text.js';
import { plural, wrap } from '../../console/text.js';
import { type Check, check } from './check.js';

/** The options as commander hands them over. */
export interface LookOptions extends RecordingOptions, GuestOptions {
  /** The policy whose accesses the recorded ones are compared with. */
  readonly check?: string;
  readonly cpu?: string;
  readonly kernel?: KernelVersion;
  readonly json?: boolean;
}

/** Names the form of the JSON, and its version. */
const LOOK_SCHEMA = 'vlbr/look/2';

/** Returns the exit code. @throws UsageError for whatever is wrong with the recording. */
export async function look(file: string, options: LookOptions): Promise<number> {
  const asked = askedOf(options);
  const recording = await readWithProgress(file, readOptionsOf(options));
  const guests = await readGuests(recording, options);
  const checked = asked === null ? null : asked(recording);
  if (options.json === true) {
    const joined = guestsJson(recording, guests);
    printJson({ schema: LOOK_SCHEMA, ...recordingJson(recording), guests: joined, check: checked });
  } else {
    const { bold } = coloursFor(process.stdout.isTTY);
    const head = wrap(`vlbr look: ${printable(recording.file)}`, '', '  ').map(bold);
    printLines([
      ...head,
      ...recordingLines(recording),
      ...guestsLines(recording, guests),
      ...checkLines(checked),
    ]);
  }
  const lost = checked !== null && checked.count > 0;
  return exitCodeOf({ lost, cutShort: recording.interrupted });
}

/** What a recording is to be checked with. */
type Asked = (recording: Recording) => Check;

/** Checks the names before anything is read; null if nothing is to be checked. */
function askedOf({ check: name, cpu = 'skylake', kernel = '6.1' }: LookOptions): Asked | null {
  if (name === undefined) return null;
  const [policyName, ...more] = modelledOf(name, kernel, 'vlbr look');
  if (more.length > 0) {
    const names = [policyName, ...more];
    throw new UsageError(
      `--check takes one policy, and this is ${names.length}: ${names.join(', ')}`,
    );
  }
  const policy = findPolicy(policyName);
  const model = entryOf('CPU', cpu, CPU_MODELS);
  if (policy === undefined) return null;
  return (recording) => check(recording, policy, model, kernel);
}

const DISAGREEMENTS_SHOWN = 20;

function checkLines(checked: Check | null): string[] {
  if (checked === null) return [];
  const { policy, cpu, kernel, guestAccesses, hostAccesses, intervals, count } = checked;
  const what =
    `check with ${policy} on ${cpu}, Linux ${kernel}: ${plural(guestAccesses, 'access')} of ` +
    `guests, ${plural(hostAccesses, 'access')} of the host after ${plural(intervals, 'switch')}: ` +
    `${plural(count, 'disagreement')}`;
  const shown = checked.disagreements.slice(0, DISAGREEMENTS_SHOWN);
  const rest = count - shown.length;
  return [
    '',
    ...wrap(what, '', '  '),
    ...shown.flatMap(({ line, says }) => wrap(`line ${line}: ${says}`, '  ', '    ')),
    ...(rest > 0 ? [`  and ${plural(rest, 'other')}`] : []),
  ];
}
