/** LBR records in words: who made the branch, its kind, and its number within its VM. */
import * as branch from '../hw/branch.js';
import type { CpuModel } from '../hw/cpu_models.js';
import { KIND_INFO, lbrMap } from '../hw/lbr_map.js';
import type { LbrStack } from '../hw/lbr_stack.js';
import { hex } from '../hw/u64.js';

/** Who looks at a record. Records of others are marked as foreign. */
export interface Viewer {
  /** Number of the VM, or HOST_VM for the host; -1 if nothing is foreign. */
  readonly vm: number;
  /** Number of the task if records of the VM's other tasks are foreign; else -1. */
  readonly task: number;
}

/** Marks no record as foreign; every record is told with its VM. */
export const NEUTRAL: Viewer = { vm: -1, task: -1 };

const MARK = ' <- foreign';

/** A record in words, from its FROM or its TO register alone: `task 0 call#2`, `empty`. */
export function branchText(lo: number, hi: number, viewer: Viewer): string {
  if ((lo | hi) === 0) return 'empty';
  const vm = branch.addressVm(hi);
  const task = branch.addressTask(hi);
  const kind = branch.BRANCH_NAMES[branch.addressKind(hi)] ?? 'address';
  const what = `${kind}#${lo >>> 0}`;
  const text = vm === branch.HOST_VM ? `host ${what}` : `task ${task} ${what}`;
  if (vm === viewer.vm) return viewer.task >= 0 && task !== viewer.task ? text + MARK : text;
  const owned = vm === branch.HOST_VM ? text : `VM ${vm} ${text}`;
  return viewer.vm < 0 ? owned : owned + MARK;
}

/** The value of one FROM, TO or INFO register. */
export function registerText(
  model: CpuModel,
  msr: number,
  eax: number,
  edx: number,
  viewer: Viewer,
): string {
  if ((eax | edx) === 0) return '0';
  if (lbrMap(model).kind(msr) !== KIND_INFO) return branchText(eax, edx, viewer);
  // The model encodes the owner in the cycle count (branch.ts:branchCycles()).
  const vm = (eax >>> 13) & 7;
  const whose = vm === branch.HOST_VM ? "the host's" : `VM ${vm}'s`;
  return vm === viewer.vm ? hex(eax) : `${hex(eax)}, ${whose}`;
}

export interface StackRecord {
  readonly slot: number;
  readonly lo: number;
  readonly hi: number;
}

/** The records of a stack, newest first, once around from TOS. Empty records are included. */
export function stackRecords(stack: LbrStack): StackRecord[] {
  const { lbr_nr, lbr_from } = stack.model;
  return Array.from({ length: lbr_nr }, (_, i) => {
    const slot = (stack.tos - i) & (lbr_nr - 1);
    return { slot, lo: stack.readLow(lbr_from + slot), hi: stack.readHigh(lbr_from + slot) };
  });
}

/** Slot numbers as ranges, in their order: `2..0`, `31 0..3`. */
export function slotRanges(slots: readonly number[]): string {
  const ranges: string[] = [];
  for (let i = 0; i < slots.length;) {
    const step = slots[i + 1] === undefined ? 0 : slots[i + 1] - slots[i];
    let last = i;
    if (Math.abs(step) === 1) while (slots[last + 1] - slots[last] === step) last++;
    ranges.push(last === i ? String(slots[i]) : `${slots[i]}..${slots[last]}`);
    i = last + 1;
  }
  return ranges.join(' ');
}
