/**
 * A kernel that runs as C code, of a guest or of the host: the image of a tree. The words of
 * `guest/perf` are a view of it, brought up to date whenever one of its functions has returned or
 * was left, so that whatever looks at a kernel looks at either kind alike.
 */
import { BareCpu } from '../guest/image/bare_cpu.js';
import { type Image, type ImageHooks, ImageInstance } from '../guest/image/instance.js';
import type { InstanceSnapshot } from '../guest/image/instance.js';
import { sampleOf } from '../guest/image/sample.js';
import * as view from '../guest/image/view.js';
import { driverOf, type Kernel } from '../guest/perf/kernel.js';
import * as perf from '../guest/perf/perf_event.js';
import { perf_event } from '../guest/perf/perf_structs.js';
import { assert } from '../hw/assert.js';
import type { MsrPort } from '../hw/msr_port.js';

/** What a kernel tells the machine. */
export interface ImageOutput {
  sample(cpu: number, event: perf_event): void;
  /** A WARN_ON at a line of a file of the tree. */
  warned(file: string, line: number): void;
}

/** How an instance is brought to the state after its boot. */
export interface Boot {
  readonly image: Image;
  readonly isGuest: boolean;
  /** Threads that can leave functions, beside the CPUs. */
  readonly threads?: number;
  /** What comes after the kernel's own boot: tasks, and what they run on. */
  prepare(instance: ImageInstance): void;
}

/** What an instance asks of the machine before it accesses an MSR. */
export type Interruptions = Pick<ImageHooks, 'runs' | 'nmi' | 'nmiReturns' | 'leave' | 'vmx'>;

/** A kernel with the instance that runs it. */
export class KernelImage {
  readonly kernel: Kernel;
  protected readonly instance: ImageInstance;
  private readonly output: ImageOutput;
  /** The instance as it is after a boot. */
  private readonly booted: InstanceSnapshot;
  /** Addresses of objects, by their numbers in the kernel's words; 0 where there is none. */
  protected readonly eventAt: Int32Array;
  private readonly contextAt: Int32Array;
  private readonly dataAt: Int32Array;
  protected readonly taskAt: Int32Array;

  /** @param objects - as many words of the machine's block as `objectWords` says. */
  constructor(
    boot: Boot,
    kernel: Kernel,
    ports: readonly MsrPort[],
    objects: Int32Array,
    output: ImageOutput,
    interruptions: Interruptions,
  ) {
    this.kernel = kernel;
    this.output = output;
    const { config } = kernel;
    const { events, tasks } = config;
    this.eventAt = objects.subarray(0, events);
    this.contextAt = objects.subarray(events, events + tasks);
    this.dataAt = objects.subarray(events + tasks, events + 2 * tasks);
    this.taskAt = objects.subarray(events + 2 * tasks);
    const model = { ...config.model, pmu_version: config.pmu_version };
    // It boots on CPUs of its own.
    const bare = kernel.cpus.map(() => new BareCpu(model));
    const { accesses } = driverOf(config);
    const hooks = {
      ...interruptions,
      ...(accesses && { accesses: (cpu: number): void => accesses(kernel, cpu) }),
      print: (): void => {},
      warn: (file: string, line: number): void => output.warned(file, line),
      record: (cpu: number, event: number, bytes: Uint8Array): void =>
        this.record(cpu, event, bytes),
    };
    const { image, isGuest, threads } = boot;
    this.instance = new ImageInstance(image, model, bare, hooks, isGuest, threads);
    const { offsets } = this.instance;
    kernel.savesForCpuEvents = offsets.at('SAVES_FOR_CPU_EVENTS') !== 0;
    kernel.hasCgroups = offsets.at('HAS_CGROUPS') !== 0;
    boot.prepare(this.instance);
    this.booted = this.instance.snapshot();
    this.instance.attach(ports);
  }

  /** Words of the machine's block in which addresses of objects are kept. */
  static objectWords(events: number, tasks: number): number {
    return events + 3 * tasks;
  }

  /** Starts the kernel anew, with nothing in its memory. */
  boot(): void {
    this.instance.restore(this.booted);
    this.kernel.clear();
    for (const at of [this.eventAt, this.contextAt, this.dataAt]) at.fill(0);
    this.look();
  }

  /** What is not in the machine's block of it. @param into - is overwritten. */
  snapshot(into?: InstanceSnapshot): InstanceSnapshot {
    return this.instance.snapshot(into);
  }

  restore(snapshot: InstanceSnapshot): void {
    this.instance.restore(snapshot);
  }

  /** Runs a function that nothing interrupts. Returns its result. */
  protected atOnce(cpu: number, name: string, ...args: readonly number[]): number {
    const ended = this.instance.run(cpu, name, ...args);
    assert(!ended.left, `${name}() waits for no other CPU`);
    return ended.result;
  }

  /** After a function: what waits until no CPU is inside one is done, and the words follow. */
  protected settle(): void {
    if (!this.instance.anyLeft) this.instance.ask('vlbr_grace_period');
    this.look();
  }

  private record(cpu: number, address: number, bytes: Uint8Array): void {
    this.look();
    const { kernel } = this;
    const id = this.eventAt.indexOf(address);
    // A counter of the host's own samples no branches.
    if (id < 0 || kernel.events[id].branch_sample_type === 0) return;
    const sample = sampleOf(bytes);
    if (sample === null) return;
    const { cpuc } = kernel.cpus[cpu];
    assert(sample.nr <= kernel.lbrRecords, 'a sample has no more records than hardware');
    cpuc.lbr_stack_nr = sample.nr;
    const at =
      this.instance.ask('vlbr_cpu_hw_events', cpu) +
      this.instance.offsets.at('cpu_hw_events.lbr_stack');
    cpuc.lbr_stack_hw_idx = this.instance.readInt(at + 8);
    const first = kernel.cpus[cpu].lbr_entry(0);
    kernel.words.set(sample.entries, first);
    this.output.sample(cpu, kernel.events[id]);
  }

  /** Brings the kernel's words up to date. */
  look(): void {
    const ints = this.instance.ints();
    const at = this.instance.ask('vlbr_view') >> 2;
    this.lookAtTasks(ints, at);
    this.lookAtEvents(ints, at);
    this.lookAtCpus(ints, at);
  }

  private lookAtTasks(ints: Int32Array, at: number): void {
    const { kernel, taskAt, contextAt, dataAt } = this;
    const row = (id: number): number => at + view.TASKS + id * view.TASK_WORDS;
    keepOnly(contextAt, (i) => ints[row(i) + view.TASK_CTX]);
    keepOnly(dataAt, (i) => ints[row(i) + view.TASK_DATA]);
    for (const ctx of kernel.contexts) {
      ctx.task = 0;
      ctx.nr_events = 0;
      ctx.task_ctx_data = 0;
    }
    for (const task of kernel.tasks) {
      const t = row(task.id);
      taskAt[task.id] = ints[t + view.TASK_ADDRESS];
      task.alive = aliveOf(taskAt[task.id]);
      task.on_cpu = ints[t + view.TASK_ON_CPU] === 0 ? 0 : ints[t + view.TASK_CPU] + 1;
      task.cpu = ints[t + view.TASK_CPU];
      const ctx = numberOf(contextAt, ints[t + view.TASK_CTX]);
      const data = numberOf(dataAt, ints[t + view.TASK_DATA]);
      task.perf_event_ctxp = ctx + 1;
      kernel.words[kernel.layout.taskData + task.id] = data + 1;
      if (data >= 0) kernel.data[data].lbr_callstack_users = ints[t + view.TASK_CALLSTACK_USERS];
      if (ctx < 0) continue;
      kernel.contexts[ctx].task = task.id + 1;
      kernel.contexts[ctx].task_ctx_data = data + 1;
    }
  }

  private lookAtEvents(ints: Int32Array, at: number): void {
    const { kernel, eventAt, contextAt } = this;
    const n = ints[at + view.EVENTS_NR];
    const row = (i: number): number => at + view.EVENTS + i * view.EVENT_WORDS;
    const addresses: number[] = [];
    for (let i = 0; i < n; i++) addresses.push(ints[row(i) + view.EVENT_ADDRESS]);
    for (const event of kernel.events) {
      if (eventAt[event.id] === 0 || addresses.includes(eventAt[event.id])) continue;
      eventAt[event.id] = 0;
      kernel.words.fill(0, event.o, event.o + perf_event.WORDS);
    }
    // New ones take free numbers in the order in which they were made.
    const made = addresses
      .map((address, i) => ({ address, made: ints[row(i) + view.EVENT_ID] }))
      .filter(({ address }) => !eventAt.includes(address))
      .sort((x, y) => x.made - y.made);
    for (const { address } of made) {
      const free = eventAt.indexOf(0);
      assert(free >= 0, 'there are as many slots as events');
      eventAt[free] = address;
    }
    for (let i = 0; i < n; i++) {
      const r = row(i);
      const event = kernel.events[numberOf(eventAt, ints[r + view.EVENT_ADDRESS])];
      const ofTask = numberOf(contextAt, ints[r + view.EVENT_CTX]);
      const cpu = ints[r + view.EVENT_CPU];
      event.used = 1;
      event.state = ints[r + view.EVENT_STATE];
      event.cpu = cpu;
      event.oncpu = ints[r + view.EVENT_ONCPU];
      event.idx = ints[r + view.EVENT_IDX];
      event.branch_sample_type = ints[r + view.EVENT_BRANCH_SAMPLE_TYPE];
      event.parent = numberOf(eventAt, ints[r + view.EVENT_PARENT]) + 1;
      event.attr =
        (ints[r + view.EVENT_PINNED] !== 0 ? perf.ATTR_PINNED : 0) |
        (ints[r + view.EVENT_INHERIT] !== 0 ? perf.ATTR_INHERIT : 0);
      const ctx = ofTask >= 0 ? ofTask : kernel.config.tasks + Math.max(0, cpu);
      event.ctx = ctx + 1;
      // In the middle of a swap of contexts a task's context may be another's.
      if (ofTask >= 0)
        kernel.contexts[ctx].task = numberOf(this.taskAt, ints[r + view.EVENT_TASK]) + 1;
      kernel.contexts[ctx].setEvent(kernel.contexts[ctx].nr_events++, event.id);
    }
  }

  private lookAtCpus(ints: Int32Array, at: number): void {
    const { eventAt, contextAt, dataAt, taskAt } = this;
    for (const { id, cpuc, cpuctx } of this.kernel.cpus) {
      const r = at + view.CPUS + id * view.CPU_WORDS;
      cpuctx.current = numberOf(taskAt, ints[r + view.CPU_CURRENT]);
      cpuctx.task_ctx = numberOf(contextAt, ints[r + view.CPU_TASK_CTX]) + 1;
      cpuctx.sched_cb_usage = ints[r + view.CPU_SCHED_CB_USAGE];
      cpuctx.perf_sched_cb_usages = ints[r + view.CPU_PERF_SCHED_CB_USAGES];
      cpuctx.pmu_disable_count = ints[r + view.CPU_PMU_DISABLE_COUNT];
      cpuc.last_task_ctx = numberOf(dataAt, ints[r + view.CPU_LAST_TASK_CTX]) + 1;
      cpuc.enabled = ints[r + view.CPU_ENABLED];
      cpuc.n_events = ints[r + view.CPU_N_EVENTS];
      cpuc.lbr_users = ints[r + view.CPU_LBR_USERS];
      cpuc.lbr_sel_config = ints[r + view.CPU_LBR_SEL_CONFIG];
      cpuc.guest_mask_vlbr = ints[r + view.CPU_GUEST_MASK_VLBR];
      const listed = Math.min(cpuc.n_events, view.LIST, this.kernel.config.events);
      for (let i = 0; i < listed; i++) {
        cpuc.setEventList(i, numberOf(eventAt, ints[r + view.CPU_LIST + i]));
      }
      for (let i = 0; i < view.COUNTERS; i++) {
        cpuc.setEvents(i, numberOf(eventAt, ints[r + view.CPU_COUNTERS + i]) + 1);
      }
    }
  }
}

/** task_struct.alive, by the address: of a task that has exited, it is that of no object. */
function aliveOf(address: number): number {
  if (address === view.TASK_EXITED) return 2;
  return address === 0 ? 0 : 1;
}

/** Number of the object at an address, or -1. */
function numberOf(objects: Int32Array, address: number): number {
  return address === 0 ? -1 : objects.indexOf(address);
}

/** Forgets addresses that are no longer among those given, and takes in new ones. */
function keepOnly(objects: Int32Array, given: (i: number) => number): void {
  for (let i = 0; i < objects.length; i++) {
    let there = false;
    for (let j = 0; j < objects.length; j++) there ||= given(j) === objects[i];
    if (!there) objects[i] = 0;
  }
  for (let j = 0; j < objects.length; j++) {
    if (given(j) !== 0 && !objects.includes(given(j))) objects[objects.indexOf(0)] = given(j);
  }
}
