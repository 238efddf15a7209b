/** Reads what guests have recorded, and joins it to their VMs. */
import {
  type ClockShift,
  estimateShift,
  givenShift,
  type GuestRecording,
  readGuest,
} from '../recording/guest.js';
import type { Recording } from '../recording/recording.js';
import { printable, TraceError } from '../recording/trace_error.js';
import { UsageError } from './errors.js';
import type { GuestOptions } from './recording_options.js';

/** A guest's recording, its VM, and how their clocks stand to each other. */
export interface JoinedGuest {
  /** Index into the recording's `vms`. */
  readonly vm: number;
  readonly guest: GuestRecording;
  readonly clock: ClockShift;
}

/** Reads the guests' recordings. @throws UsageError for what is wrong with any of them. */
export async function readGuests(
  recording: Recording,
  { guest = [], clockOffset = [] }: GuestOptions,
): Promise<JoinedGuest[]> {
  const files = guest.map((word) => pairOf('--guest', word, 'FILE', recording));
  const again = files.findIndex(({ vm }, i) => files.findIndex((file) => file.vm === vm) < i);
  if (again >= 0) {
    const { name } = recording.vms[files[again].vm];
    throw new UsageError(
      `--guest ${printable(guest[again])}: VM ${printable(name)} has a --guest already`,
    );
  }
  const offsets = new Map(
    clockOffset.map((word) => {
      const { vm, value } = pairOf('--clock-offset', word, 'NANOSECONDS', recording);
      if (/^-?\d{1,19}$/.test(value)) return [vm, Number(value)] as const;
      throw new UsageError(`--clock-offset ${printable(word)}: give a whole number of nanoseconds`);
    }),
  );
  const lone = [...offsets.keys()].find((vm) => files.every((file) => file.vm !== vm));
  if (lone !== undefined) {
    throw new UsageError(
      `--clock-offset ${recording.vms[lone].name}=...: there is no --guest of this VM`,
    );
  }
  try {
    return await Promise.all(
      files.map(async ({ vm, value }) => {
        const read = await readGuest(value);
        const offset = offsets.get(vm);
        const clock =
          offset === undefined
            ? estimateShift(recording, vm, read)
            : givenShift(recording, vm, read, offset);
        return { vm, guest: read, clock };
      }),
    );
  } catch (error) {
    if (error instanceof TraceError) throw new UsageError(error.message);
    throw error;
  }
}

function pairOf(
  option: string,
  word: string,
  what: string,
  { vms }: Recording,
): { readonly vm: number; readonly value: string } {
  const at = word.indexOf('=');
  const name = word.slice(0, Math.max(0, at));
  const vm = vms.findIndex((one) => one.name === name);
  if (vm >= 0) return { vm, value: word.slice(at + 1) };
  throw new UsageError(
    `${option} ${printable(word)}: give VM=${what}; the VMs are: ` +
      vms.map((one) => one.name).join(', '),
  );
}
