/** Two lists of MSR accesses side by side, around the first that differs. */
import type { CpuModel } from '../hw/cpu_models.js';
import { msrName, valueText } from './msr_name.js';

/** An access as this needs it; what the host reads and writes is not told. */
export interface TextAccess {
  readonly msr: number;
  readonly write: boolean;
  readonly eax: number;
  readonly edx: number;
  readonly byHost?: boolean;
}

/** Accesses shown before the first difference, and from it on. */
const BEFORE = 3;
const AFTER = 4;

const COLUMN = 44;

function accessText(model: CpuModel, access: TextAccess | undefined): string {
  if (access === undefined) return '(nothing more)';
  const { msr, write, eax, edx, byHost } = access;
  const what = `${write ? 'WRMSR' : 'RDMSR'} ${msrName(model, msr)}`;
  return byHost === true ? `host ${what}` : `${what} ${valueText(msr, eax, edx)}`;
}

/**
 * @param at - index of the first difference in both lists.
 * @param names - heads of the columns.
 */
export function sideBySide(
  model: CpuModel,
  left: readonly TextAccess[],
  right: readonly TextAccess[],
  at: number,
  names: readonly [string, string],
): string[] {
  const lines = [`    ${names[0].padEnd(COLUMN)}  ${names[1]}`.trimEnd()];
  const end = Math.min(Math.max(left.length, right.length), at + AFTER);
  for (let i = Math.max(0, at - BEFORE); i < Math.max(end, at + 1); i++) {
    const mark = i === at ? '  > ' : '    ';
    const cell = accessText(model, left[i]).padEnd(COLUMN);
    lines.push(`${mark}${cell}  ${accessText(model, right[i])}`);
  }
  return lines;
}
