/**
 * Where the words of a row come from, and which of them are names: numbers of VMs, branches, tasks
 * and vCPUs, and addresses. All VMs' rows have one shape; only where the words lie differs.
 */
import { CURRENT_AT, LAST_TASK_CTX_AT } from '../guest/perf/cpu_structs.js';
import type { Kernel } from '../guest/perf/kernel.js';
import { EVENT_CTX_AT, TASK_CTX_DATA_AT } from '../guest/perf/perf_structs.js';
import type { CpuModel } from '../hw/cpu_models.js';
import { recordWords } from '../hw/lbr_map.js';
import { LbrStack } from '../hw/lbr_stack.js';
import { type MachineConfig, taskSlots } from '../machine/config.js';
import { PORT_WORDS } from '../machine/call_port.js';
import type { Machine } from '../machine/machine.js';
import { SIM_VCPU_WORDS } from '../machine/machine_layout.js';
import type { History } from '../judge/check.js';
import type { Monitor } from '../judge/monitor.js';

interface Piece {
  readonly words: Int32Array | Uint8Array;
  readonly start: number;
  readonly size: number;
}

/** Row offsets of names, by what they name. */
export class Names {
  /** Low words of addresses of branches; the high word follows. */
  readonly branches: number[] = [];
  /** Low words of INFO registers. */
  readonly infos: number[] = [];
  /** Addresses within the kernel's memory. */
  readonly addresses: number[] = [];
  /** Where the kernel's memory, and each copy of it, starts. */
  readonly kernels: number[] = [];

  /** Says that a kernel's memory lies at this row offset. */
  addKernel(kernel: Kernel, at: number): void {
    const { start } = kernel.layout;
    this.kernels.push(at);
    for (const cpu of kernel.cpus) {
      this.addresses.push(at + cpu.cpuc.o - start + LAST_TASK_CTX_AT);
      for (let i = 0; i < kernel.lbrRecords; i++) {
        const entry = at + cpu.lbr_entry(i) - start;
        this.branches.push(entry, entry + 2);
      }
    }
    for (const ctx of kernel.contexts) this.addresses.push(at + ctx.o - start + TASK_CTX_DATA_AT);
    for (const event of kernel.events) this.addresses.push(at + event.o - start + EVENT_CTX_AT);
    for (const saved of kernel.data) {
      for (let i = 0; i < kernel.lbrRecords; i++) {
        const lbr = at + saved.lbr(i) - start;
        this.branches.push(lbr, lbr + 2);
        this.infos.push(lbr + 4);
      }
    }
  }

  /** Says that records of an LBR stack start at this row offset. */
  addRecords(at: number, model: CpuModel): void {
    const stride = recordWords(model);
    for (let i = 0; i < model.lbr_nr; i++) {
      const record = at + i * stride;
      this.branches.push(record, record + 2);
      if (stride > 4) this.infos.push(record + 4);
    }
  }

  /** Adds what another row of the shape has. */
  addAll(other: Names): void {
    this.branches.push(...other.branches);
    this.infos.push(...other.infos);
    this.addresses.push(...other.addresses);
    this.kernels.push(...other.kernels);
  }
}

/** The places of one part in the words of the machine and its monitor, in the order of a row. */
export class RowShape {
  size = 0;
  readonly names: Names = new Names();
  /** Row offsets of numbers of branches that stand alone: the VM's own. */
  readonly numbers: number[] = [];
  /** Of numbers of vCPUs, or threads. */
  readonly vcpus: number[] = [];
  /** Of words per task outside the kernel: where the first task's are, and the size of each. */
  readonly perTask: { readonly at: number; readonly size: number }[] = [];
  /** Of the ports of a VM's vCPUs. */
  readonly ports: number[] = [];
  private readonly pieces: Piece[] = [];

  /** Adds words to the row. Returns the row offset of the first. */
  add(words: Int32Array | Uint8Array, start: number, size: number): number {
    this.pieces.push({ words, start, size });
    const at = this.size;
    this.size += size;
    return at;
  }

  /** Adds what belongs to `n` things in a row, from `first` on, of the `count` in an array. */
  addShare(words: Int32Array | Uint8Array, first: number, n: number, count: number): number {
    const size = words.length / count;
    return this.add(words, first * size, n * size);
  }

  addKernel(kernel: Kernel): number {
    const { start, size } = kernel.layout;
    const at = this.add(kernel.words, start, size);
    this.names.addKernel(kernel, at);
    return at;
  }

  gather(row: Int32Array): void {
    let at = 0;
    for (const { words, start, size } of this.pieces) {
      for (let i = 0; i < size; i++) row[at + i] = words[start + i];
      at += size;
    }
  }

  scatter(row: Int32Array): void {
    let at = 0;
    for (const { words, start, size } of this.pieces) {
      for (let i = 0; i < size; i++) words[start + i] = row[at + i];
      at += size;
    }
  }
}

/** Where `current` of a CPU is in a kernel's memory that starts at a row offset. */
export function currentAt(kernel: Kernel, at: number, cpu: number): number {
  return at + kernel.cpus[cpu].cpuctx.o - kernel.layout.start + CURRENT_AT;
}

/** All words of a VM, except the logs and memory copies of suspended functions. */
export function shapeOfVm(
  machine: Machine,
  monitor: Monitor,
  opened: Int32Array,
  vm: number,
): RowShape {
  const { config, layout } = machine;
  const { model } = config;
  const { vcpus } = config.shape;
  const { words } = machine.memory;
  const first = vm * vcpus;
  const shape = new RowShape();
  shape.add(words, layout.simVcpus + first * SIM_VCPU_WORDS, vcpus * SIM_VCPU_WORDS);
  for (let i = first; i < first + vcpus; i++) {
    const vcpu = machine.vcpus[i];
    const at = shape.add(words, vcpu.o, layout.vcpuWords);
    shape.names.addRecords(at + vcpu.records.records - vcpu.o, model);
    shape.ports.push(shape.add(words, machine.ports[i].o, PORT_WORDS));
  }
  shape.addKernel(machine.guests[vm]);
  shape.add(opened, vm, 1);
  for (const history of monitor.histories) addHistory(shape, history, config, monitor, vm);
  return shape;
}

function addHistory(
  shape: RowShape,
  { per, words, holds }: History,
  config: MachineConfig,
  monitor: Monitor,
  vm: number,
): void {
  const { vms, vcpus } = config.shape;
  if (per === 'vm') shape.addShare(words, vm, 1, vms);
  if (per === 'task') {
    const tasks = taskSlots(config);
    const at = shape.addShare(words, vm * tasks, tasks, vms * tasks);
    shape.perTask.push({ at, size: (shape.size - at) / tasks });
    if (holds === 'numbers') for (let i = at; i < shape.size; i++) shape.numbers.push(i);
  }
  if (per !== 'vcpu') return;
  for (let i = vm * vcpus; i < (vm + 1) * vcpus; i++) {
    const at = shape.addShare(words, i, 1, vms * vcpus);
    if (holds !== 'registers') continue;
    const { stack, o } = monitor.reference.of(i);
    shape.names.addRecords(at + stack.records - o, config.model);
  }
}

export function shapeOfHost(machine: Machine, monitor: Monitor): RowShape {
  const { simPcpus, pcpusEnd, lent } = machine.layout;
  const { model } = machine.config;
  const shape = new RowShape();
  const at = shape.add(machine.memory.words, simPcpus, pcpusEnd - simPcpus) - simPcpus;
  for (const { stack } of machine.pcpus) shape.names.addRecords(at + stack.records, model);
  for (const stack of lent) shape.names.addRecords(at + LbrStack.recordsOf(stack), model);
  const { kernel } = machine.host;
  const kernelAt = shape.addKernel(kernel);
  for (const { id } of kernel.cpus) shape.vcpus.push(currentAt(kernel, kernelAt, id));
  for (const { per, words, holds } of monitor.histories) {
    if (per !== 'pcpu') continue;
    const from = shape.add(words, 0, words.length);
    if (holds === 'vcpus') for (let i = from; i < shape.size; i++) shape.vcpus.push(i);
  }
  return shape;
}
