/** A sample as user space reads it: include/uapi/linux/perf_event.h, PERF_RECORD_SAMPLE. */
import * as perf from '../perf/perf_event.js';

const PERF_RECORD_SAMPLE = 9;
/** struct perf_event_header, then the address of the sample. */
const NR_AT = 16;
/** struct perf_branch_entry: from, to, flags. */
const ENTRY_BYTES = 24;

export interface Sample {
  readonly nr: number;
  /** The branch stack, BRANCH_ENTRY_WORDS words for each record, newest first. */
  readonly entries: Int32Array;
}

/** Reads a record whose sample_type is IP and BRANCH_STACK; null for another kind of record. */
export function sampleOf(bytes: Uint8Array): Sample | null {
  const at = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (at.getUint32(0, true) !== PERF_RECORD_SAMPLE) return null;
  const nr = at.getUint32(NR_AT, true);
  // With HW_INDEX a word of 64 bits comes between the number and the records.
  const first = bytes.byteLength - nr * ENTRY_BYTES;
  const entries = new Int32Array(nr * perf.BRANCH_ENTRY_WORDS);
  for (let i = 0; i < nr; i++) {
    const entry = first + i * ENTRY_BYTES;
    for (let word = 0; word < 4; word++) {
      entries[i * perf.BRANCH_ENTRY_WORDS + word] = at.getInt32(entry + 4 * word, true);
    }
    // mispred, predicted, in_tx, abort, 16 bits of cycles, 4 of type.
    entries[i * perf.BRANCH_ENTRY_WORDS + 4] = at.getInt32(entry + 16, true) & 0xff_ffff;
  }
  return { nr, entries };
}
