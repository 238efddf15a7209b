/** Guests' own recordings in words: how their clocks stand to the host's, and how sure that is. */
import type { JoinedGuest } from '../console/guests.js';
import { grouped, plural, wrap } from '../console/text.js';
import type { Recording } from '../recording/recording.js';
import { printable } from '../recording/trace_error.js';

function seconds(ns: number): string {
  return `${(ns / 1e9).toFixed(6)} s`;
}

/** A few lines for each guest, behind an indent. */
export function guestsLines(
  { vms }: Recording,
  guests: readonly JoinedGuest[],
  indent = '',
): string[] {
  return guests.flatMap(({ vm, guest, clock }) => {
    const { offset, uncertainty, from, compared, inSlice } = clock;
    const sure = from === 'given' ? 'as given' : `+- ${grouped(uncertainty / 1000)} us, estimated`;
    const text =
      `guest of VM ${vms[vm].name}: ${printable(guest.file)}, ` +
      `${plural(guest.length, 'task switch')}; host's clock less its clock: ${seconds(offset)}, ` +
      `${sure}: ${grouped(inSlice)} of ${plural(compared, 'switch')} within the host's recording ` +
      'fall into slices of the right vCPU';
    return wrap(text, indent, `${indent}  `);
  });
}

/** The same for JSON. */
export function guestsJson({ vms }: Recording, guests: readonly JoinedGuest[]): object[] {
  return guests.map(({ vm, guest, clock }) => ({
    vm: vms[vm].name,
    file: guest.file,
    task_switches: guest.length,
    clock_offset_ns: clock.offset,
    clock_uncertainty_ns: clock.uncertainty,
    clock_from: clock.from,
    compared: clock.compared,
    in_slice: clock.inSlice,
  }));
}
