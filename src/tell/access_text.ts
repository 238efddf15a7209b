/** Two lists of MSR accesses beside each other, around the first access that differs. */
import type { CpuModel } from '../hw/cpu_models.js';
import { msrName, plainHex } from './msr_name.js';
import { plural, textWidth } from '../console/text.js';

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

const INDENT = '   ';
const SAME = `${INDENT}    `;
const DIFFERS = `${INDENT}  > `;

/** Spaces between the columns, at least. */
const GAP = 2;

function accessText(model: CpuModel, access: ShownAccess | undefined): string {
  if (access === undefined) return '(nothing more)';
  const { write, msr, eax, edx, byHost, fault } = access;
  const what = `${write ? 'WRMSR' : 'RDMSR'} ${msrName(model, msr)}`;
  if (fault === true) return `${what} #GP`;
  return byHost === true ? `host ${what}` : `${what} ${plainHex(eax, edx)}`;
}

/**
 * The accesses of both lists, around the first that differs, else at the end. They are in two
 * columns, or one list below the other where the text is too narrow for that.
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
  const shown = Array.from({ length: to - from }, (_, i) => from + i);
  const [lefts, rights] = [left, right].map(({ head, accesses }) => [
    head,
    ...shown.map((i) => accessText(model, accesses[i])),
  ]);
  const column = Math.max(...lefts.map((text) => text.length)) + GAP;
  const beside = Math.max(...rights.map((text) => text.length));
  const lists =
    SAME.length + column + beside <= textWidth()
      ? [lefts.map((text, i) => text.padEnd(column) + rights[i])]
      : [lefts, rights];
  const more = (n: number, where: string): string[] =>
    n === 0 ? [] : [`${SAME}(${plural(n, 'access')} ${where})`];
  return [
    ...lists.flatMap(([head, ...accesses], list) => [
      `${SAME}${head}`,
      ...(list === 0 ? more(from, 'before, the same') : []),
      ...accesses.map((text, i) => (from + i === at ? DIFFERS : SAME) + text),
    ]),
    ...more(length - to, 'after'),
  ];
}
