/**
 * A guest's kernel that runs as C code: the image of a tree. The words of `guest/perf` are a view
 * of it, brought up to date whenever one of its functions has returned or was left, so that
 * whatever looks at a kernel looks at either kind alike.
 */
import type { Kernel } from '../guest/perf/kernel.js';
import * as perf from '../guest/perf/perf_event.js';
import { perf_event } from '../guest/perf/perf_structs.js';
import { assert } from '../hw/assert.js';
import { BareCpu } from '../guest/image/bare_cpu.js';
import { type Ended, type Image, ImageInstance } from '../guest/image/instance.js';
import { sampleOf } from '../guest/image/sample.js';
import * as view from '../guest/image/view.js';
import * as call from './guest_call.js';
import type { ImagePort } from './image_port.js';

/** The C function for each CALL_*. */
const FUNCTIONS: Readonly<Record<number, string>> = {
  [call.CALL_SWITCH]: 'vlbr_context_switch',
  [call.CALL_INSTALL]: 'vlbr_open',
  [call.CALL_ENABLE]: 'vlbr_enable',
  [call.CALL_DISABLE]: 'vlbr_disable',
  [call.CALL_CLOSE]: 'vlbr_close',
  [call.CALL_BOOT]: 'vlbr_cpu_starting',
  [call.CALL_RDMSR]: 'vlbr_raw_read',
  [call.CALL_WRMSR]: 'vlbr_raw_write',
  [call.CALL_PMI]: 'vlbr_nmi',
  [call.CALL_EXIT]: 'vlbr_exit',
  [call.CALL_EXEC]: 'perf_event_exec',
  [call.CALL_TICK]: 'perf_event_task_tick',
  [call.CALL_ROTATE]: 'vlbr_timers',
  [call.CALL_SNAPSHOT]: 'vlbr_snapshot',
};

/** Where user code is interrupted; nothing depends on it. */
const USER_IP = 0x1000;

/** What a guest's kernel tells the machine. */
export interface GuestOutput {
  sample(cpu: number, event: perf_event): void;
  opened(cpu: number, type: number, errno: number): void;
  /** A WARN_ON at a line of a file of the tree. */
  warned(file: string, line: number): void;
}

/** A guest's kernel, with the instance that runs it. */
export class GuestImage {
  private readonly kernel: Kernel;
  private readonly instance: ImageInstance;
  private readonly output: GuestOutput;
  /** The instance as it is after a boot. */
  private readonly booted: Uint8Array;
  /** Addresses of objects, by their numbers in the kernel's words; 0 where there is none. */
  private readonly eventAt: Int32Array;
  private readonly contextAt: Int32Array;
  private readonly dataAt: Int32Array;
  private readonly taskAt: Int32Array;
  /** Address of lbr_users of each CPU. */
  private readonly usersAt: readonly number[];
  /** The type of the event that is being opened, per CPU, until it is known whether it can be. */
  private readonly opening: (number | null)[];

  /**
   * @param tasks - tasks at boot; task i is current on CPU i.
   * @param objects - as many words as `objectWords` says.
   */
  constructor(
    image: Image,
    kernel: Kernel,
    ports: readonly ImagePort[],
    tasks: number,
    objects: Int32Array,
    output: GuestOutput,
  ) {
    this.kernel = kernel;
    this.output = output;
    const { config } = kernel;
    const { events } = config;
    this.eventAt = objects.subarray(0, events);
    this.contextAt = objects.subarray(events, events + config.tasks);
    this.dataAt = objects.subarray(events + config.tasks, events + 2 * config.tasks);
    this.taskAt = objects.subarray(events + 2 * config.tasks);
    this.opening = kernel.cpus.map(() => null);
    this.instance = this.made(image, ports);
    this.usersAt = kernel.cpus.map(
      ({ id }) =>
        this.instance.ask('vlbr_cpu_hw_events', id) +
        this.instance.offsets.at('cpu_hw_events.lbr_users'),
    );
    this.booted = this.boots(tasks);
    this.instance.attach(ports);
    ports.forEach((port) => port.attach(this));
  }

  /** Words of the machine's block in which addresses of objects are kept. */
  static objectWords(events: number, tasks: number): number {
    return events + 3 * tasks;
  }

  /** An instance that boots on CPUs of its own. */
  private made(image: Image, ports: readonly ImagePort[]): ImageInstance {
    const { config } = this.kernel;
    const model = { ...config.model, pmu_version: config.pmu_version };
    const bare = this.kernel.cpus.map(() => new BareCpu(model));
    const hooks = {
      runs: (cpu: number): boolean => ports[cpu].runs,
      nmi: (cpu: number, msr: number): boolean => ports[cpu].nmiComes(msr),
      nmiReturns: (cpu: number): void => ports[cpu].nmiReturns(),
      leave: (cpu: number, msr: number): boolean => ports[cpu].leaves(msr),
      print: (): void => {},
      warn: (file: string, line: number): void => this.output.warned(file, line),
      record: (cpu: number, event: number, bytes: Uint8Array): void =>
        this.record(cpu, event, bytes),
    };
    return new ImageInstance(image, model, bare, hooks, true);
  }

  private boots(tasks: number): Uint8Array {
    const { instance, kernel } = this;
    const { pv } = kernel.config;
    instance.ask('vlbr_set_pv', pv === 'none' ? 0 : 1, pv === 'add-del-boot' ? 1 : 0);
    for (let i = 0; i < tasks; i++) {
      const task = instance.ask('vlbr_task');
      if (i < kernel.cpus.length) instance.ask('vlbr_set_current', task, i);
    }
    return instance.snapshot();
  }

  /** Runs a function that nothing interrupts. */
  private atOnce(cpu: number, name: string, ...args: readonly number[]): number {
    const ended = this.instance.run(cpu, name, ...args);
    assert(!ended.left, `${name}() waits for no other CPU`);
    return ended.result;
  }

  /** Starts the kernel anew, with nothing in its memory. */
  boot(): void {
    this.instance.restore(this.booted);
    this.kernel.clear();
    for (const at of [this.eventAt, this.contextAt, this.dataAt]) at.fill(0);
    this.opening.fill(null);
    this.look();
  }

  fork(cpu: number): void {
    this.atOnce(cpu, 'vlbr_fork', this.instance.ask('vlbr_task'));
    this.look();
  }

  /** Runs a function on a CPU. Returns whether it has ended. */
  run(cpu: number, fn: number, a: number, b: number, c: number): boolean {
    return this.ended(
      cpu,
      this.instance.run(cpu, FUNCTIONS[fn], ...this.arguments(cpu, fn, a, b, c)),
    );
  }

  /** Goes on with the function that a CPU has left. Returns whether it has ended. */
  resume(cpu: number): boolean {
    return this.ended(cpu, this.instance.resume(cpu));
  }

  private arguments(cpu: number, fn: number, a: number, b: number, c: number): number[] {
    switch (fn) {
      case call.CALL_SWITCH:
      case call.CALL_EXIT:
        return [this.taskAt[b]];
      case call.CALL_INSTALL: {
        const { task, attr } = call.openedBy(b);
        this.opening[cpu] = c;
        if (task < 0) return [-1, cpu, c, attr];
        return [task + 1, (attr & perf.ATTR_BOUND) === 0 ? -1 : cpu, c, attr];
      }
      case call.CALL_ENABLE:
      case call.CALL_DISABLE:
      case call.CALL_CLOSE:
        return [this.eventAt[a]];
      case call.CALL_BOOT:
      case call.CALL_EXEC:
      case call.CALL_TICK:
      case call.CALL_ROTATE:
      case call.CALL_SNAPSHOT:
        return [];
      case call.CALL_PMI:
        return [USER_IP, 1];
      default:
        return [a, b, c];
    }
  }

  private ended(cpu: number, ended: Ended): boolean {
    const opening = this.opening[cpu];
    if (opening !== null) {
      // What can't be opened is refused before the first access.
      this.opening[cpu] = null;
      this.output.opened(cpu, opening, ended.left ? 0 : Math.min(0, ended.result));
    }
    if (!ended.left && !this.instance.anyLeft) this.instance.ask('vlbr_grace_period');
    this.look();
    return !ended.left;
  }

  /** Whether the kernel looks whether its last access has faulted. */
  get expectsFault(): boolean {
    return this.instance.safe;
  }

  /** What is judged in the middle of a function. */
  lookAtUsers(cpu: number): void {
    this.kernel.cpus[cpu].cpuc.lbr_users = this.instance.readInt(this.usersAt[cpu]);
  }

  private record(cpu: number, address: number, bytes: Uint8Array): void {
    this.look();
    const { kernel } = this;
    const sample = sampleOf(bytes);
    const id = this.eventAt.indexOf(address);
    if (sample === null || id < 0) return;
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
