/** MSR accesses of a step as the rows of a table: what belongs together has one row. */
import { plural } from '../../console/text.js';
import { slotRanges } from '../record_text.js';
import type { StoryAccess } from './scribe.js';
import type { StoryRecord } from './stacks.js';

/** A row: one access, or a run of accesses to record registers. */
export interface AccessRow {
  readonly pcpu: number;
  /** The vCPU that makes it, or for which it is made; null for the host's own. */
  readonly vcpu: number | null;
  /** Whose code: `v0's guest`, `policy for v0`, `host perf`. */
  readonly who: string;
  /** `RDMSR` or `WRMSR`. */
  readonly how: string;
  /** `DEBUGCTL`, `slot 3`, `slots 0..31`, `all LBR MSRs`. */
  readonly what: string;
  /** The value in words. */
  readonly value: string;
  /** What is said besides: the number of accesses, exits, faults, what is wrong; may be empty. */
  readonly notes: readonly string[];
  /** Whether a guest has read what it would not have read on a pCPU of its own. */
  readonly wrong: boolean;
  /** The records of a whole stack. */
  readonly records: readonly StoryRecord[];
}

/** The rows of the accesses, in their order. */
export function accessRows(accesses: readonly StoryAccess[]): AccessRow[] {
  const rows: AccessRow[] = [];
  for (let i = 0; i < accesses.length;) {
    let end = i + 1;
    while (end < accesses.length && belongs(accesses[i], accesses[end])) end++;
    rows.push(rowOf(accesses.slice(i, end)));
    i = end;
  }
  return rows;
}

/** Whether an access goes into the row of a first one. */
function belongs(first: StoryAccess, next: StoryAccess): boolean {
  const [a, b] = [keyOf(first), keyOf(next)];
  return a !== null && a === b;
}

/**
 * Equal keys make a run: registers of one record, or of any records if all of them are zero; null
 * for an access that has a row of its own.
 */
function keyOf(access: StoryAccess): string | null {
  const { by, vcpu, pcpu, write, slot, value, exits, fault, reference } = access;
  if (slot < 0 || fault || reference !== null) return null;
  const empty = value === '0x0';
  return JSON.stringify([by, vcpu, pcpu, write, exits, empty ? 'empty' : slot]);
}

function rowOf(run: readonly StoryAccess[]): AccessRow {
  const [first] = run;
  const { by, pcpu, vcpu, write, msr, exits, fault, reference, records } = first;
  const count = run.reduce((sum, access) => sum + access.count, 0);
  const notes = [
    ...(count > 1 ? [plural(count, 'access')] : []),
    ...(exits ? [run.length > 1 ? 'each exits' : 'exits'] : []),
    ...(fault ? ['#GP'] : []),
    ...(reference === null ? [] : [`≠ reference: ${reference}`]),
  ];
  return {
    pcpu,
    vcpu,
    who: whoOf(by, vcpu),
    how: write ? 'WRMSR' : 'RDMSR',
    what: msr === 'all' ? 'all LBR MSRs' : run.length === 1 ? msr : slotsText(run),
    value: msr === 'all' ? plural(records.length, 'record') : first.text,
    notes,
    wrong: reference !== null,
    records,
  };
}

function slotsText(run: readonly StoryAccess[]): string {
  const slots = [...new Set(run.map(({ slot }) => slot))];
  return `${slots.length === 1 ? 'slot' : 'slots'} ${slotRanges(slots)}`;
}

function whoOf(by: StoryAccess['by'], vcpu: number | null): string {
  if (vcpu === null) return by;
  return by === 'guest' ? `v${vcpu}` : `${by} for v${vcpu}`;
}
