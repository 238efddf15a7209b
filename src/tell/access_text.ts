/** Two lists of MSR accesses side by side, around the first access that differs. */
import type { CpuModel } from '../hw/cpu_models.js';
import { msrName, plainHex } from './msr_name.js';
import { plural } from '../console/text.js';

interface ShownAccess {
  readonly write: boolean;
  readonly msr: number;
  readonly eax: number;
  readonly edx: number;
  /** Made by the host; its values are not recorded. */
  readonly byHost?: boolean;
  /** It raised #GP. */
  readonly fault?: boolean;
}

export interface AccessColumn {
  readonly head: string;
  readonly accesses: readonly ShownAccess[];
}

/** Accesses shown before the first that differs, and from this one on. */
const BEFORE = 4;
const AFTER = 4;
const COLUMN = 46;

const INDENT = '   ';

function accessText(model: CpuModel, access: ShownAccess | undefined): string {
  if (access === undefined) return '(nothing more)';
  const { write, msr, eax, edx, byHost, fault } = access;
  const what = `${write ? 'WRMSR' : 'RDMSR'} ${msrName(model, msr)}`;
  if (fault === true) return `${what} #GP`;
  return byHost === true ? `host ${what}` : `${what} ${plainHex(eax, edx)}`;
}

/**
 * The accesses of both lists in two columns, around the first that differs, else at the end.
 *
 * @param at - index of the first access that differs, or -1.
 */
export function accessColumns(
  model: CpuModel,
  left: AccessColumn,
  right: AccessColumn,
  at: number,
): string[] {
  const length = Math.max(left.accesses.length, right.accesses.length);
  if (length === 0) return [`${INDENT}  neither accesses an MSR`];
  const centre = at < 0 ? length : at;
  const [from, to] = [Math.max(0, centre - BEFORE), Math.min(length, centre + AFTER)];
  const lines = [`${INDENT}    ${left.head.padEnd(COLUMN)}${right.head}`];
  if (from > 0) lines.push(`${INDENT}    (${plural(from, 'access')} before, the same)`);
  for (let i = from; i < to; i++) {
    const cell = accessText(model, left.accesses[i]).padEnd(COLUMN);
    lines.push(
      `${INDENT}${i === at ? '  > ' : '    '}${cell}${accessText(model, right.accesses[i])}`,
    );
  }
  if (to < length) lines.push(`${INDENT}    (${plural(length - to, 'access')} after)`);
  return lines;
}
