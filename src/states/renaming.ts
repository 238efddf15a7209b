/**
 * Renames what is interchangeable in a row: VMs, branches and tasks. Names of branches carry the
 * names of VMs and tasks in their high words (hw/branch.ts); a low word of 0 is no name.
 */
import type { Kernel } from '../guest/perf/kernel.js';
import { TARGET_AT, task_struct } from '../guest/perf/perf_structs.js';
import { assert } from '../hw/assert.js';
import { addressTask, addressVm } from '../hw/branch.js';
import { renameTasksOf } from '../machine/call_port.js';
import { currentAt, type Names, type RowShape } from './row_shape.js';

/** Numbers of branches that a state may have, per VM: one bit each. */
const NUMBERS_MAX = 31;
/** While an action is performed there may be some more. */
const NUMBERS_MET = 64;
const VM_SHIFT = 8;
const VM_BITS = 7;
const TASK_BITS = 31;
/** INFO holds the VM and the number of a branch as its cycles (branch.ts:branchCycles()). */
const INFO_VM_SHIFT = 13;
const INFO_NUMBER = 0xfff;

/** Adds `by` to the number of each VM, modulo their number; the host stays. */
export function moveVms(row: Int32Array, names: Names, by: number, vms: number): void {
  const moved = (vm: number): number => (vm < vms ? (vm + by) % vms : vm);
  for (const at of names.branches) {
    if (row[at] === 0) continue;
    const hi = row[at + 1];
    row[at + 1] = (hi & ~(VM_BITS << VM_SHIFT)) | (moved(addressVm(hi)) << VM_SHIFT);
  }
  for (const at of names.infos) {
    if (row[at] === 0) continue;
    const vm = moved(infoVm(row[at]));
    row[at] = (row[at] & ~(VM_BITS << INFO_VM_SHIFT)) | (vm << INFO_VM_SHIFT);
  }
}

function infoVm(eax: number): number {
  return (eax >>> INFO_VM_SHIFT) & VM_BITS;
}

/**
 * Numbers of the branches of a VM that a row holds, one bit each. Bit 0 says that the row names the
 * VM at all: a raw write leaves addresses whose low words are no numbers.
 */
export function numbersIn(row: Int32Array, names: Names, vm: number): number {
  let numbers = 0;
  for (const at of names.branches) {
    if (row[at] === 0 || addressVm(row[at + 1]) !== vm) continue;
    numbers |= row[at] > 0 && row[at] <= NUMBERS_MAX ? 1 | (1 << row[at]) : 1;
  }
  for (const at of names.infos) {
    const number = row[at] & INFO_NUMBER;
    if (row[at] !== 0 && infoVm(row[at]) === vm && number <= NUMBERS_MAX)
      numbers |= 1 | (1 << number);
  }
  return numbers;
}

/** Numbers a VM's branches in the order in which they are met, so that there are few. */
export class Renumbering {
  private readonly renamed: Int32Array = new Int32Array(NUMBERS_MET);
  private next = 1;
  private fixed = 0;

  /** @param fixed - numbers that must stay, since others hold them: one bit each. */
  begin(fixed: number): void {
    this.renamed.fill(0);
    this.next = 1;
    this.fixed = fixed;
  }

  branches(row: Int32Array, names: Names, vm: number): void {
    for (const at of names.branches) {
      if (row[at] !== 0 && addressVm(row[at + 1]) === vm) row[at] = this.number(row[at]);
    }
    for (const at of names.infos) {
      if (row[at] === 0 || infoVm(row[at]) !== vm) continue;
      row[at] = (row[at] & ~INFO_NUMBER) | this.number(row[at] & INFO_NUMBER);
    }
  }

  /** @param positions - row offsets of numbers that stand alone. */
  alone(row: Int32Array, positions: readonly number[]): void {
    for (const at of positions) row[at] = this.number(row[at]);
  }

  private number(number: number): number {
    // Raw writes leave larger ones, which are no branches.
    if (number <= 0 || number >= NUMBERS_MET) return number;
    if (number <= NUMBERS_MAX && (this.fixed & (1 << number)) !== 0) return number;
    if (this.renamed[number] === 0) {
      while ((this.fixed & (1 << this.next)) !== 0) this.next++;
      assert(this.next <= NUMBERS_MAX, 'a state has few branches');
      this.renamed[number] = this.next++;
    }
    return this.renamed[number];
  }
}

/**
 * Renames the tasks of a VM that were there at its boot: task `first` becomes task 0 and the others
 * follow in their order, so that renaming twice is renaming once.
 */
export class TaskRotation {
  private readonly tasks: number;
  private readonly first: number;
  private readonly renamed: (task: number) => number;

  /** @param tasks - tasks of each VM at boot. */
  constructor(tasks: number, first: number) {
    this.tasks = tasks;
    // A task that was forked stays what it is.
    this.first = first < tasks ? first : 0;
    this.renamed = (task) => (task < tasks ? (task - this.first + tasks) % tasks : task);
  }

  /** In the row that is the VM's. */
  own(row: Int32Array, shape: RowShape, names: Names, kernel: Kernel): void {
    if (this.first === 0) return;
    this.branches(row, names, 0);
    const { start } = kernel.layout;
    for (const at of names.kernels) {
      this.rotate(row, at + kernel.tasks[0].o - start, task_struct.WORDS);
      for (const ctx of kernel.contexts) {
        const task = at + ctx.o - start;
        if (row[task] > 0) row[task] = this.renamed(row[task] - 1) + 1;
      }
      for (const event of kernel.events) {
        const target = at + event.o - start + TARGET_AT;
        if (row[target] !== 0) row[target] = this.renamed(row[target] - 1) + 1;
      }
      this.rotate(row, at + kernel.layout.taskData - start, 1);
      for (const { id } of kernel.cpus) {
        const current = currentAt(kernel, at, id);
        row[current] = this.renamed(row[current]);
      }
    }
    for (const { at, size } of shape.perTask) this.rotate(row, at, size);
    for (const port of shape.ports) renameTasksOf(row, port, this.renamed);
  }

  /** In the branches of a VM that any row holds. */
  branches(row: Int32Array, names: Names, vm: number): void {
    if (this.first === 0) return;
    for (const at of names.branches) {
      if (row[at] === 0) continue;
      const hi = row[at + 1];
      if (addressVm(hi) !== vm) continue;
      row[at + 1] = (hi & ~TASK_BITS) | this.renamed(addressTask(hi));
    }
  }

  /** Moves what is kept for each task, `size` words of it. */
  private rotate(row: Int32Array, at: number, size: number): void {
    const words = this.tasks * size;
    const old = row.slice(at, at + words);
    for (let i = 0; i < words; i++) row[at + i] = old[(i + this.first * size) % words];
  }
}
