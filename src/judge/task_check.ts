/**
 * What a switch of tasks makes of call stacks: `no-loss/task`. Judged on the reference registers,
 * from outside of the kernel: what they hold when a function that switches tasks begins is what
 * they have to hold when a switch has brought the task back.
 */
import type { Cpu } from '../guest/perf/kernel.js';
import { isUserCallstack } from '../guest/perf/perf_event.js';
import { recordWords } from '../hw/lbr_map.js';
import { taskSlots, totalVcpus } from '../machine/config.js';
import * as call from '../machine/guest_call.js';
import { countsOn } from './balance.js';
import { Check } from './check.js';
import { PROPERTY, REACH } from './properties.js';

/** Words of a record that are compared: FROM and TO. */
const COMPARED = 4;

/** Functions that leave the events of tasks as they are. */
const CHANGES_NOTHING: ReadonlySet<number> = new Set([
  call.CALL_PMI,
  call.CALL_RDMSR,
  call.CALL_TICK,
  call.CALL_SNAPSHOT,
]);

export class TaskCheck extends Check {
  private readonly tasks: number = taskSlots(this.config);
  private readonly nr: number = this.reference.model.lbr_nr;
  private readonly stride: number = recordWords(this.reference.model);
  /** Per vCPU: the switch that runs has begun, and what it found is noted. */
  private readonly begun: Uint8Array = this.hint(new Uint8Array(totalVcpus(this.config)));
  /** Per vCPU: the task that ran when the last function returned, or -1. */
  private readonly ran: Int32Array = this.hint(new Int32Array(totalVcpus(this.config)), -1);
  /** Per task over all VMs: records that it left, plus one; 0 where nothing is known. */
  private readonly left: Int32Array = this.hint(new Int32Array(this.config.shape.vms * this.tasks));
  /** Per task: the records, newest first. */
  private readonly records: Int32Array = this.hint(
    new Int32Array(this.config.shape.vms * this.tasks * this.nr * COMPARED),
  );

  /** A guest is about to access an MSR. */
  access(vcpu: number): void {
    const machine = this.machine();
    if (this.begun[vcpu] !== 0 || machine.runningCall(vcpu) !== call.CALL_SWITCH) return;
    if (machine.ports[vcpu].nested) return;
    this.begun[vcpu] = 1;
    const cpu = machine.cpu(vcpu);
    const { current } = cpu.cpuctx;
    // Where nothing of the task that leaves counts, the first access is for the one that comes.
    const leaves = this.ran[vcpu] < 0 ? current : this.ran[vcpu];
    const slot = this.slotOf(vcpu, leaves);
    const noted = leaves === current && this.profiled(vcpu, cpu);
    this.left[slot] = noted ? 1 + this.note(vcpu, slot) : 0;
  }

  /** A function of a guest's kernel has returned. */
  idle(vcpu: number): void {
    const machine = this.machine();
    const fn = machine.runningCall(vcpu);
    const cpu = machine.cpu(vcpu);
    this.begun[vcpu] = 0;
    this.ran[vcpu] = cpu.cpuctx.current;
    if (CHANGES_NOTHING.has(fn)) return;
    const vm = this.reference.vm(vcpu);
    if (fn !== call.CALL_SWITCH) {
      // Events have come or gone, or change: what a task finds then is another question.
      this.left.fill(0, vm * this.tasks, (vm + 1) * this.tasks);
      return;
    }
    const slot = this.slotOf(vcpu, cpu.cpuctx.current);
    const left = this.left[slot];
    this.left[slot] = 0;
    if (left === 0 || !this.profiled(vcpu, cpu)) return;
    this.verdicts.reach[REACH['task-came-back']]++;
    this.compare(vcpu, cpu.cpuctx.current, slot, left - 1);
  }

  private slotOf(vcpu: number, task: number): number {
    return this.reference.vm(vcpu) * this.tasks + task;
  }

  /**
   * Whether all that counts on a CPU are call stacks of the task that runs there, or of the CPU if
   * its kernel saves these as well.
   */
  private profiled(vcpu: number, { id, kernel, cpuctx }: Cpu): boolean {
    if (!this.reference.perfOwns(vcpu)) return false;
    let counting = 0;
    for (const event of kernel.events) {
      if (!countsOn(event, id)) continue;
      const { task } = kernel.ctx(event.ctx);
      const saved = task === cpuctx.current + 1 || (task === 0 && kernel.savesForCpuEvents);
      if (!saved || !isUserCallstack(event.branch_sample_type)) return false;
      counting++;
    }
    return counting > 0;
  }

  /** Word of the i-th record of the reference, newest first. */
  private record(vcpu: number, i: number): number {
    const { tos, records } = this.reference.of(vcpu).stack;
    return records + ((tos - i) & (this.nr - 1)) * this.stride;
  }

  private isEmpty(at: number): boolean {
    const { words } = this.reference;
    return (words[at] | words[at + 1]) === 0;
  }

  /** Keeps the records that there are. Returns how many. */
  private note(vcpu: number, slot: number): number {
    const { words } = this.reference;
    for (let i = 0; i < this.nr; i++) {
      const at = this.record(vcpu, i);
      if (this.isEmpty(at)) return i;
      const to = (slot * this.nr + i) * COMPARED;
      for (let word = 0; word < COMPARED; word++) this.records[to + word] = words[at + word];
    }
    return this.nr;
  }

  private compare(vcpu: number, task: number, slot: number, left: number): void {
    const { words } = this.reference;
    for (let i = 0; i < this.nr; i++) {
      const at = this.record(vcpu, i);
      const to = (slot * this.nr + i) * COMPARED;
      let same = i < left;
      if (same) {
        for (let word = 0; word < COMPARED; word++) {
          if (this.records[to + word] !== words[at + word]) same = false;
        }
      } else {
        same = this.isEmpty(at);
      }
      if (!same) {
        this.lost(vcpu, task, i, left);
        return;
      }
      if (i >= left) return;
    }
  }

  private lost(vcpu: number, task: number, i: number, left: number): void {
    this.reference.wrongAnywhere(
      vcpu,
      PROPERTY['no-loss/task'],
      () =>
        `v${vcpu}: task ${task} left a stack of ${left} records, ` +
        `and record ${i} is another one when it is back`,
    );
  }
}
