/**
 * A machine taken apart: what is a VM's, and what is the host's. A state is the numbers of its
 * parts, and what an action does is worked out by putting together those parts that it can touch.
 *
 * Within a VM's part its own number is 0 and the others' follow, so that the same part may be any
 * VM's; branches are numbered by the order in which they are met, so that there are finitely many.
 */
import { driverOf, type Kernel, KERNEL_FEATURES } from '../guest/perf/kernel.js';
import { task_struct } from '../guest/perf/perf_structs.js';
import { KIND_FROM, KIND_INFO, KIND_TO, lbrMap } from '../hw/lbr_map.js';
import { LbrStack } from '../hw/lbr_stack.js';
import { addressOf } from '../hw/memory.js';
import type { MachineConfig } from '../machine/config.js';
import { loggedReads, READ_WORDS, suspendedWrite, WRITE_VALUE } from '../machine/call_port.js';
import { tailOf } from '../machine/guest_port.js';
import { Monitor } from '../judge/monitor.js';
import type { Bounds } from '../schedule/explored.js';
import { PartStore } from './part_store.js';
import { moveVms, numbersIn, Renumbering, TaskRotation } from './renaming.js';
import { currentAt, Names, type RowShape, shapeOfHost, shapeOfVm } from './row_shape.js';
import { retireKernel, settleKernel, wipeSamples } from './settle.js';
import { SteppedMachine } from './stepped_machine.js';

/** Groups of actions by which a guest without events may access LBR MSRs, or get some. */
const OTHER_USERS = ['raw', 'kexec', 'fork', 'migrate'] as const;

/** A block that is handed out again meets at most so many saves of who had it before. */
const SAVES_TOLD_APART = 2;

/** Is told where words of a suspended function are: of its log, or of its copy of the memory. */
type TailVisitor = (from: number, size: number, isLog: boolean) => void;

/**
 * A real machine with its monitor, and the stores of the parts that were taken from them. `putVm`
 * and `putHost` put parts in; `take` and `rename` make parts and leave their numbers in `vm` and
 * `host`.
 */
export class Parts {
  readonly machine: SteppedMachine;
  readonly monitor: Monitor;
  /** Events that each VM has opened. */
  readonly opened: Int32Array;
  /** The parts that `take` or `rename` has made. */
  vm = 0;
  host = 0;
  private readonly config: MachineConfig;
  private readonly vms: number;
  private readonly eventsMost: number;
  private readonly forks: boolean;
  private readonly exits: boolean;
  private readonly timerFires: boolean;
  /** Whether a guest without events has no other way to the LBR MSRs. */
  private readonly eventsOnly: boolean;
  /** Whether threads of vCPUs may return to userspace. */
  private readonly hasUserspace: boolean;
  /**
   * Whether tasks may be renamed. Not with kexec, which makes tasks current by number, and not
   * where a system-wide event gives each task a block, which goes by their numbers, too.
   */
  private readonly rotatesTasks: boolean;
  /** Whether parts may move from one VM to another: a C driver keeps addresses of its own. */
  private readonly movable: boolean;
  private readonly vmStore: PartStore;
  private readonly hostStore: PartStore;
  private readonly vmShapes: readonly RowShape[];
  private readonly hostShape: RowShape;
  private readonly lent: readonly LbrStack[];
  private readonly vmRow: Int32Array;
  private readonly hostRow: Int32Array;
  private readonly renumbering: Renumbering = new Renumbering();
  /** Places in the words that are kept beside parts, after those of branches' numbers. */
  private readonly noted: {
    readonly suspended: number;
    readonly stopped: number;
    readonly current: number;
    readonly renamed: number;
    readonly neutral: number;
    readonly hostNumbers: number;
  };

  constructor(config: MachineConfig, bounds: Bounds) {
    const { vms, pcpus, vcpus } = config.shape;
    this.config = config;
    this.hasUserspace = bounds.groups.includes('userspace');
    const { perfCtxData } = KERNEL_FEATURES[config.kernel];
    const byNumber = perfCtxData && bounds.groups.includes('cpu');
    this.rotatesTasks = !bounds.groups.includes('kexec') && !byNumber;
    this.vms = vms;
    this.eventsMost = bounds.events;
    this.forks = bounds.groups.includes('fork');
    this.timerFires = bounds.groups.includes('image');
    this.exits = this.timerFires || bounds.groups.includes('life');
    this.eventsOnly = !OTHER_USERS.some((group) => bounds.groups.includes(group));
    this.monitor = new Monitor(config);
    this.machine = new SteppedMachine(config, this.monitor);
    this.opened = new Int32Array(vms);
    this.movable = driverOf(config).staticWords === 0;
    const { machine, monitor, opened } = this;
    this.vmShapes = machine.guests.map((_, vm) => shapeOfVm(machine, monitor, opened, vm));
    this.hostShape = shapeOfHost(machine, monitor);
    this.lent = machine.layout.lent.map((at) => LbrStack.at(machine.memory, config.model, at));
    const { log, snapshot } = tailOf(config.model, machine.layout.ports[0]);
    const tail = snapshot - log + machine.layout.guests[0].size;
    const longest = this.vmShapes[0].size + vcpus * tail;
    this.vmRow = new Int32Array(longest);
    this.hostRow = new Int32Array(this.hostShape.size);
    this.noted = {
      suspended: vms,
      stopped: vms + 1,
      current: vms + 2,
      renamed: vms + 3,
      neutral: pcpus,
      hostNumbers: pcpus + 1,
    };
    this.vmStore = new PartStore(longest, vms + 4);
    this.hostStore = new PartStore(this.hostShape.size, pcpus + 1 + vms);
  }

  get bytes(): number {
    return this.vmStore.bytes + this.hostStore.bytes;
  }

  /** Which numbers a VM's part has for branches of the VM that is so far ahead of it. */
  numbers(vm: number, ahead: number): number {
    return this.vmStore.metaOf(vm, ahead);
  }

  /** Which numbers the host's part has for branches of a VM. */
  hostNumbers(host: number, vm: number): number {
    return this.hostStore.metaOf(host, this.noted.hostNumbers + vm);
  }

  /** Suspended kernel functions in a VM's part. */
  suspended(vm: number): number {
    return this.vmStore.metaOf(vm, this.noted.suspended);
  }

  /** vCPUs of a VM's part that have used LBR and stopped, one bit each. */
  stopped(vm: number): number {
    return this.vmStore.metaOf(vm, this.noted.stopped);
  }

  /** The task that is current on the first vCPU of a VM's part, and is to be task 0. */
  current(vm: number): number {
    return this.vmStore.metaOf(vm, this.noted.current);
  }

  /** Whether `rename` is known to leave a VM's part as it is, if the host's has no names of it. */
  renamed(vm: number): boolean {
    return this.vmStore.metaOf(vm, this.noted.renamed) !== 0;
  }

  /** The vCPU that is loaded on a pCPU, or -1. */
  loaded(host: number, pcpu: number): number {
    return this.hostStore.metaOf(host, pcpu);
  }

  /** Whether the host's part is the same whatever numbers VMs have. */
  hostNeutral(host: number): boolean {
    return this.hostStore.metaOf(host, this.noted.neutral) !== 0;
  }

  /** Puts a VM's part into the machine, as the VM of a number. */
  putVm(id: number, vm: number): void {
    const { vmRow: row } = this;
    this.vmStore.load(id, row);
    const names = this.namesOf(vm, row);
    moveVms(row, names, vm, this.vms);
    const start = addressOf(this.machine.layout.guests[vm].start);
    for (const at of names.addresses) if (row[at] !== 0) row[at] += start;
    this.vmShapes[vm].scatter(row);
    let at = this.vmShapes[vm].size;
    this.eachTail(vm, row, (from, size) => {
      this.machine.memory.words.set(row.subarray(at, at + size), from);
      at += size;
    });
  }

  putHost(id: number): void {
    this.hostStore.load(id, this.hostRow);
    this.hostShape.scatter(this.hostRow);
  }

  /** Gives the number after the highest in use to the next branch of a VM. */
  numberNext(vm: number, vmPart: number, hostPart: number, elsewhere: number): void {
    const { machine } = this;
    const used = this.numbers(vmPart, 0) | this.hostNumbers(hostPart, vm) | elsewhere;
    machine.memory.words[machine.layout.seq + vm] = Math.max(0, 31 - Math.clz32(used));
  }

  /**
   * Takes a VM's part and the host's out of the machine, into `vm` and `host`.
   *
   * @param vm - number of the VM; no VM's part is taken if it is -1.
   * @param elsewhere - numbers of its branches that other parts hold, one bit each.
   */
  take(vm: number, elsewhere: number): void {
    const { renumbering, hostRow, hostShape } = this;
    this.settleHost();
    renumbering.begin(elsewhere);
    if (vm >= 0) this.takeVm(vm);
    hostShape.gather(hostRow);
    renumbering.branches(hostRow, hostShape.names, vm);
    this.host = this.hostStore.intern(hostRow, hostShape.size);
    this.noteHost(this.host);
  }

  private takeVm(vm: number): void {
    const { vmRow: row, renumbering } = this;
    this.settleVm(vm);
    const shape = this.vmShapes[vm];
    shape.gather(row);
    let length = shape.size;
    this.eachTail(vm, row, (from, size) => {
      row.set(this.machine.memory.words.subarray(from, from + size), length);
      length += size;
    });
    const names = this.namesOf(vm, row);
    renumbering.alone(row, shape.numbers);
    renumbering.branches(row, names, vm);
    moveVms(row, names, this.vms - vm, this.vms);
    const start = addressOf(this.machine.layout.guests[vm].start);
    for (const at of names.addresses) if (row[at] !== 0) row[at] -= start;
    this.vm = this.vmStore.intern(row, length);
    this.noteVm(vm, names);
  }

  /**
   * Renames what is interchangeable in VM `vm`, whose branches no other VM's part holds: the task
   * that is current on the first vCPU becomes task 0, and branches are numbered anew. Leaves what
   * this makes of the VM's part and of the host's in `vm` and `host`.
   */
  rename(vmPart: number, hostPart: number, vm: number): void {
    const { hostRow, hostStore, hostShape, vmRow } = this;
    hostStore.load(hostPart, hostRow);
    this.vmStore.load(vmPart, vmRow);
    const rotation = this.renameRow(vmRow, this.namesOf(0, vmRow), this.current(vmPart));
    this.renameIn(hostRow, hostShape.names, vm, rotation);
    this.vm = this.renamedVm(vmPart, vmRow);
    this.host = this.renamedHost(hostPart);
  }

  /** The same for all VMs at once, whoever holds their branches. Replaces the parts in `state`. */
  renameAll(state: Int32Array): void {
    const { vms, hostRow, hostStore, hostShape } = this;
    hostStore.load(state[vms], hostRow);
    const rows = Array.from({ length: vms }, () => new Int32Array(this.vmRow.length));
    const names = rows.map((row, vm) => {
      this.vmStore.load(state[vm], row);
      return this.namesOf(0, row);
    });
    for (let vm = 0; vm < vms; vm++) {
      const rotation = this.renameRow(rows[vm], names[vm], this.current(state[vm]));
      this.renameIn(hostRow, hostShape.names, vm, rotation);
      for (let other = 0; other < vms; other++) {
        if (other === vm) continue;
        this.renameIn(rows[other], names[other], (vm - other + vms) % vms, rotation);
      }
    }
    for (let vm = 0; vm < vms; vm++) state[vm] = this.renamedVm(state[vm], rows[vm]);
    state[vms] = this.renamedHost(state[vms]);
  }

  private renameRow(row: Int32Array, names: Names, current: number): TaskRotation {
    const [shape] = this.vmShapes;
    const rotation = new TaskRotation(this.config.shape.tasks, current);
    rotation.own(row, shape, names, this.machine.guests[0]);
    this.renumbering.begin(0);
    this.renumbering.alone(row, shape.numbers);
    this.renumbering.branches(row, names, 0);
    return rotation;
  }

  /** Renames in another row what `renameRow` has renamed last. */
  private renameIn(row: Int32Array, names: Names, vm: number, rotation: TaskRotation): void {
    rotation.branches(row, names, vm);
    this.renumbering.branches(row, names, vm);
  }

  /** The part that a renamed row is. */
  private renamedVm(was: number, row: Int32Array): number {
    const { vmStore } = this;
    let length = this.vmShapes[0].size;
    this.eachTail(0, row, (_, size) => {
      length += size;
    });
    const names = this.namesOf(0, row);
    const id = vmStore.intern(row, length);
    vmStore.copyMeta(was, id);
    this.noteNumbers(id, row, names);
    vmStore.setMeta(id, this.noted.renamed, 1);
    return id;
  }

  private renamedHost(was: number): number {
    const id = this.hostStore.intern(this.hostRow, this.hostShape.size);
    this.hostStore.copyMeta(was, id);
    this.noteHostNumbers(id);
    return id;
  }

  /**
   * The host's part when VM number `by` becomes number 0 and the rest follow.
   *
   * @param host - must be neutral.
   */
  moveHost(host: number, by: number): number {
    const { hostRow: row, hostShape } = this;
    const { kernel } = this.machine.host;
    const threads = this.vms * this.config.shape.vcpus;
    const shift = by * this.config.shape.vcpus;
    this.hostStore.load(host, row);
    moveVms(row, hostShape.names, this.vms - by, this.vms);
    for (const at of hostShape.vcpus) {
      if (row[at] >= 0 && row[at] < threads) row[at] = (row[at] + threads - shift) % threads;
    }
    const [kernelAt] = hostShape.names.kernels;
    const at = kernelAt + kernel.tasks[0].o - kernel.layout.start;
    const old = row.slice(at, at + threads * task_struct.WORDS);
    for (let i = 0; i < old.length; i++) {
      row[at + i] = old[(i + shift * task_struct.WORDS) % old.length];
    }
    const moved = this.hostStore.intern(row, hostShape.size);
    hostShape.scatter(row);
    this.noteHost(moved);
    return moved;
  }

  private settleVm(vm: number): void {
    const { machine, monitor, config } = this;
    machine.settle(vm);
    monitor.samples.settle(vm);
    const kernel = machine.guests[vm];
    const vcpus = machine.vcpus.filter((vcpu) => vcpu.vm === vm);
    wipeSamples(kernel);
    // What a suspended function holds is as it left it.
    if (vcpus.every(({ id }) => machine.ports[id].suspended === 0)) {
      if (this.retires(kernel, vm)) {
        retireKernel(kernel);
        monitor.retire(vm);
      }
      settleKernel(kernel, this.savesOf(kernel, this.mayAllocate(vm)), this.timerFires);
    }
    for (const vcpu of vcpus) {
      if (!vcpu.inGuest) vcpu.host_debugctl = 0;
      // Without that group only a vCPU that has never run is there, of which no policy knows.
      if (!this.hasUserspace) vcpu.inUserspace = false;
      if (config.policy.recordsStale?.(vcpu) === true) vcpu.records.clear();
    }
  }

  /** Whether the VM may still ask for a block of task data. */
  private mayAllocate(vm: number): boolean {
    return this.forks || this.opened[vm] < this.eventsMost;
  }

  /** Saves of one task that are told apart: none where a block is never handed out twice. */
  private savesOf({ x86_pmu }: Kernel, mayAllocate: boolean): number {
    const frees = x86_pmu.pmuContexts || this.exits;
    return frees && mayAllocate ? SAVES_TOLD_APART : 0;
  }

  /** Whether no vCPU of the VM will access an LBR MSR again. */
  private retires({ events, cpus }: Kernel, vm: number): boolean {
    if (!this.eventsOnly || this.opened[vm] < this.eventsMost) return false;
    return events.every((e) => e.used === 0) && cpus.every(({ cpuc }) => cpuc.lbr_users === 0);
  }

  private settleHost(): void {
    const { machine } = this;
    const { kernel } = machine.host;
    // With a guest LBR event on, the host's own take the sample before once more.
    const own = kernel.events.some(({ id, used }) => used !== 0 && machine.host.isOwnEvent(id));
    if (!own) wipeSamples(kernel);
    settleKernel(kernel, this.savesOf(kernel, true), false);
    this.lent.forEach((stack, pcpu) => {
      if (!machine.hypervisor.lentOut(pcpu)) stack.clear();
    });
  }

  /** Visits the log and the copy of each suspended function: where it is in the machine. */
  private eachTail(vm: number, row: Int32Array, visit: TailVisitor): void {
    const { machine, config } = this;
    const { ports } = this.vmShapes[vm];
    for (let i = 0; i < ports.length; i++) {
      const reads = loggedReads(row, ports[i]);
      if (reads < 0) continue;
      const at = machine.layout.ports[vm * config.shape.vcpus + i];
      const { log, snapshot } = tailOf(config.model, at);
      visit(log, READ_WORDS * reads, true);
      visit(snapshot, machine.layout.guests[vm].size, false);
    }
  }

  /** A logged value has names if its register has. */
  private nameLog(row: Int32Array, at: number, size: number, names: Names): void {
    const map = lbrMap(this.config.model);
    for (let i = at; i < at + size; i += READ_WORDS) {
      const kind = map.kind(row[i]);
      if (kind === KIND_FROM || kind === KIND_TO) names.branches.push(i + 1);
      if (kind === KIND_INFO) names.infos.push(i + 1);
    }
  }

  /** Where the row of a VM has names. */
  private namesOf(vm: number, row: Int32Array): Names {
    const shape = this.vmShapes[vm];
    const names = new Names();
    names.addAll(shape.names);
    const map = lbrMap(this.config.model);
    for (const port of shape.ports) {
      const kind = map.kind(suspendedWrite(row, port));
      if (kind === KIND_FROM || kind === KIND_TO) names.branches.push(port + WRITE_VALUE);
    }
    let at = shape.size;
    this.eachTail(vm, row, (_, size, isLog) => {
      if (isLog) this.nameLog(row, at, size, names);
      else names.addKernel(this.machine.guests[vm], at);
      at += size;
    });
    return names;
  }

  /** Notes what is asked of the part of a VM that has just been taken. */
  private noteVm(vm: number, names: Names): void {
    const { vmRow: row, vmStore, noted, vm: id } = this;
    this.noteNumbers(id, row, names);
    const suspended = this.vmShapes[0].ports.filter((at) => loggedReads(row, at) >= 0).length;
    vmStore.setMeta(id, noted.suspended, suspended);
    vmStore.setMeta(id, noted.stopped, this.stoppedOf(vm));
  }

  private noteNumbers(id: number, row: Int32Array, names: Names): void {
    const { vmStore, vms, noted } = this;
    const [shape] = this.vmShapes;
    let own = numbersIn(row, names, 0);
    for (const at of shape.numbers) if (row[at] !== 0) own |= 1 << row[at];
    vmStore.setMeta(id, 0, own);
    for (let i = 1; i < vms; i++) vmStore.setMeta(id, i, numbersIn(row, names, i));
    const current = currentAt(this.machine.guests[0], names.kernels[0], 0);
    vmStore.setMeta(id, noted.current, this.rotatesTasks ? row[current] : 0);
  }

  /** vCPUs of a VM in the machine whose guest has used LBR and stopped, one bit each. */
  private stoppedOf(vm: number): number {
    const { vcpus } = this.config.shape;
    let bits = 0;
    for (let i = 0; i < vcpus; i++)
      if (this.monitor.switches.stopped(vm * vcpus + i)) bits |= 1 << i;
    return bits;
  }

  /** Notes what is asked of a host's part that is in the machine. */
  private noteHost(id: number): void {
    const { hostStore, machine, noted } = this;
    machine.pcpus.forEach((_, p) => hostStore.setMeta(id, p, machine.loaded(p)?.id ?? -1));
    const { tasks, events } = machine.host.kernel;
    const idle = tasks.every((t) => t.perf_event_ctxp === 0) && events.every((e) => e.used === 0);
    hostStore.setMeta(id, noted.neutral, idle && this.movable ? 1 : 0);
    this.noteHostNumbers(id);
  }

  private noteHostNumbers(id: number): void {
    for (let vm = 0; vm < this.vms; vm++) {
      const numbers = numbersIn(this.hostRow, this.hostShape.names, vm);
      this.hostStore.setMeta(id, this.noted.hostNumbers + vm, numbers);
    }
  }
}
