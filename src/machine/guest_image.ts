/** A guest's kernel that runs as C code. */
import type { Ended, Image, ImageInstance } from '../guest/image/instance.js';
import type { Kernel } from '../guest/perf/kernel.js';
import * as perf from '../guest/perf/perf_event.js';
import * as call from './guest_call.js';
import type { ImagePort } from './image_port.js';
import { type ImageOutput, KernelImage } from './kernel_image.js';

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
  [call.CALL_ATTACH]: 'vlbr_attach',
};

/** Where user code is interrupted; nothing depends on it. */
const USER_IP = 0x1000;

/** What a guest's kernel tells the machine. */
export interface GuestOutput extends ImageOutput {
  opened(cpu: number, type: number, errno: number): void;
}

/** A guest's kernel, whose functions the host and NMIs interrupt. */
export class GuestImage extends KernelImage {
  private readonly guestOutput: GuestOutput;
  /** Address of lbr_users of each CPU. */
  private readonly usersAt: readonly number[];
  /** The type of the event that is being opened, per CPU, until it is known whether it can be. */
  private readonly opening: (number | null)[];

  /**
   * @param tasks - tasks at boot; task i is current on CPU i.
   * @param objects - as many words of the machine's block as `objectWords` says.
   */
  constructor(
    image: Image,
    kernel: Kernel,
    ports: readonly ImagePort[],
    tasks: number,
    objects: Int32Array,
    output: GuestOutput,
  ) {
    const { pv } = kernel.config;
    const prepare = (instance: ImageInstance): void => {
      instance.ask('vlbr_set_pv', pv === 'none' ? 0 : 1, pv === 'add-del-boot' ? 1 : 0);
      for (let i = 0; i < tasks; i++) {
        const task = instance.ask('vlbr_task');
        if (i < kernel.cpus.length) instance.ask('vlbr_set_current', task, i);
      }
    };
    super({ image, isGuest: true, prepare }, kernel, ports, objects, output, {
      runs: (cpu) => ports[cpu].runs,
      nmi: (cpu, msr) => ports[cpu].nmiComes(msr),
      nmiReturns: (cpu) => ports[cpu].nmiReturns(),
      leave: (cpu, msr) => ports[cpu].leaves(msr),
    });
    this.guestOutput = output;
    this.opening = kernel.cpus.map(() => null);
    this.usersAt = kernel.cpus.map(
      ({ id }) =>
        this.instance.ask('vlbr_cpu_hw_events', id) +
        this.instance.offsets.at('cpu_hw_events.lbr_users'),
    );
    ports.forEach((port) => port.attach(this));
  }

  override boot(): void {
    this.opening.fill(null);
    super.boot();
  }

  fork(cpu: number): void {
    this.atOnce(cpu, 'vlbr_fork', this.instance.ask('vlbr_task'));
    this.settle();
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
      case call.CALL_ATTACH:
        return [a];
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
      this.guestOutput.opened(cpu, opening, ended.left ? 0 : Math.min(0, ended.result));
    }
    this.settle();
    return !ended.left;
  }

  /** Whether the kernel looks whether its last access has faulted. */
  get expectsFault(): boolean {
    return this.instance.safe;
  }

  /** Events that are being opened and have no file yet. */
  get unseenEvents(): number {
    return this.instance.ask('vlbr_files_reserved');
  }

  /** What is judged in the middle of a function. */
  lookAtUsers(cpu: number): void {
    this.kernel.cpus[cpu].cpuc.lbr_users = this.instance.readInt(this.usersAt[cpu]);
  }
}
