/** The port beside the whole path of Linux 6.1, in C: the same calls, and every MSR access. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as core from '../../../src/guest/perf/events_core.js';
import * as syscall from '../../../src/guest/perf/events_syscall.js';
import type { Kernel } from '../../../src/guest/perf/kernel.js';
import {
  ATTR_INHERIT,
  CALLSTACK_USER,
  PERF_SAMPLE_BRANCH_ANY,
} from '../../../src/guest/perf/perf_event.js';
import {
  PERF_EVENT_STATE_ACTIVE,
  PERF_SAMPLE_BRANCH_USER,
} from '../../../src/guest/perf/perf_event.js';
import { BRANCH_REL_CALL, BRANCH_RET } from '../../../src/hw/branch.js';
import { CALL_BOOT, CALL_PMI, CALL_SWITCH, runGuestCall } from '../../../src/machine/guest_call.js';
import { DEBUGCTLMSR_FREEZE_IN_SMM, MSR_IA32_DEBUGCTLMSR } from '../../../src/hw/msr_index.js';
import { cpuModel } from '../../rig/cpu.js';
import { ImageGuest, imageOf, imageVersions, LoggedCpu } from '../../rig/images.js';
import { bootKernel } from '../../rig/kernel.js';
import { seeded } from '../../rig/seed.js';

const TYPES = [CALLSTACK_USER, PERF_SAMPLE_BRANCH_ANY | PERF_SAMPLE_BRANCH_USER];
const TASKS = 4;
/** Events that are opened; each may be inherited by each child. */
const EVENTS = 4;
const CHILDREN = 2;

/** One thing that happens to both kernels, on one CPU. */
interface Op {
  readonly what:
    'switch' | 'open' | 'enable' | 'disable' | 'close' | 'pmi' | 'fork' | 'call' | 'ret';
  readonly a: number;
  readonly b: number;
}

const ONCE = ['open', 'enable', 'disable', 'close', 'pmi', 'fork', 'call', 'ret'] as const;
const WHAT = ['switch', 'switch', 'switch', ...ONCE] as const;

const op: fc.Arbitrary<Op> = fc.record({
  what: fc.constantFrom(...WHAT),
  a: fc.nat(TASKS + CHILDREN - 1),
  b: fc.nat(TYPES.length - 1),
});

/** The port and the C code, with CPUs and tasks alike: both number tasks alike. */
class Both {
  readonly guest: ImageGuest;
  readonly msrs: LoggedCpu;
  private readonly kernel: Kernel;
  private readonly tasks: number[];
  /** Events that are open, as the port and as the C code know them. */
  private events: { readonly id: number; readonly address: number }[] = [];

  constructor(image: ConstructorParameters<typeof ImageGuest>[0], cpu: string) {
    const model = cpuModel(cpu);
    this.guest = new ImageGuest(image, model, 1);
    this.msrs = new LoggedCpu(model);
    const { pmu_version } = model;
    const config = {
      model,
      pmu_version,
      cpus: 1,
      tasks: TASKS + CHILDREN,
      events: EVENTS * (1 + CHILDREN),
    };
    this.kernel = bootKernel(config, this.msrs);
    this.tasks = Array.from({ length: TASKS }, () => this.guest.task());
    for (const task of this.kernel.tasks.slice(0, TASKS)) task.alive = 1;
    this.kernel.cpus[0].cpuctx.current = 0;
    this.kernel.tasks[0].on_cpu = 1;
    this.guest.switchTo(0, this.tasks[0]);
    this.take();
    // The C code has started its CPU, on registers that are kept.
    for (const registers of [this.msrs, this.guest.msrs[0]]) {
      registers.wrmsr(MSR_IA32_DEBUGCTLMSR, 0, 0);
    }
    this.take();
    runGuestCall(this.kernel.cpus[0], CALL_BOOT, 0, 0, 0);
    this.guest.call(0, 'vlbr_cpu_starting');
    const { port, c } = this.take();
    expect(port).toEqual(c);
    expect(port.at(-1)).toBe(`w 1d9 0:${DEBUGCTLMSR_FREEZE_IN_SMM.toString(16)}`);
  }

  take(): { readonly port: string[]; readonly c: string[] } {
    return { port: this.msrs.take(), c: this.guest.msrs[0].take() };
  }

  perform({ what, a, b }: Op): void {
    const [cpu] = this.kernel.cpus;
    const { current } = cpu.cpuctx;
    const event = this.events[a % Math.max(1, this.events.length)];
    switch (what) {
      case 'switch':
        if (a === current || a >= this.tasks.length) return;
        runGuestCall(cpu, CALL_SWITCH, current, a, 0);
        this.guest.switchTo(0, this.tasks[a]);
        return;
      case 'open':
        if (this.events.length < EVENTS && a < this.tasks.length)
          this.open(a, this.msrs.cpu.model.callstack ? TYPES[b] : TYPES[1]);
        return;
      case 'enable':
        if (event === undefined) return;
        syscall.enableFamily(cpu, this.kernel.events[event.id]);
        this.guest.call(0, 'vlbr_enable', event.address);
        return;
      case 'disable':
        if (event === undefined) return;
        syscall.disableFamily(cpu, this.kernel.events[event.id]);
        this.guest.call(0, 'vlbr_disable', event.address);
        return;
      case 'close':
        if (event === undefined) return;
        syscall.perf_event_release_kernel(cpu, this.kernel.events[event.id]);
        this.guest.call(0, 'vlbr_close', event.address);
        this.events = this.events.filter((other) => other !== event);
        return;
      case 'pmi':
        this.pmi(event);
        return;
      case 'fork':
        this.fork();
        return;
      default:
        for (const { cpu: registers } of [this.msrs, this.guest.msrs[0]]) {
          const kind = what === 'call' ? BRANCH_REL_CALL : BRANCH_RET;
          registers.branch(kind, 3, a + 1, 0, b + 1, 0, false, 1);
        }
    }
  }

  /** A counter that both count with overflows. */
  private pmi(event: { readonly id: number; readonly address: number } | undefined): void {
    const [cpu] = this.kernel.cpus;
    const mine = event === undefined ? undefined : this.kernel.events[event.id];
    if (event === undefined || mine?.state !== PERF_EVENT_STATE_ACTIVE) return;
    this.msrs.overflow(mine.idx);
    runGuestCall(cpu, CALL_PMI, 0, 0, 0);
    this.guest.pmi(0, event.address);
  }

  /** The current task forks a child, as long as the port has room for it and for its events. */
  private fork(): void {
    const child = syscall.freeTask(this.kernel);
    if (child < 0) return;
    syscall.perf_event_init_task(this.kernel.cpus[0], child);
    this.tasks[child] = this.guest.task();
    expect(this.guest.call(0, 'vlbr_fork', this.tasks[child])).toBe(0);
  }

  private open(task: number, type: number): void {
    const [cpu] = this.kernel.cpus;
    const id = syscall.freeEvent(this.kernel);
    const opened = syscall.perf_event_open(cpu, id, task, ATTR_INHERIT, type);
    expect(opened).toBe(0);
    core.perf_install_in_context(cpu, this.kernel.events[id]);
    const address = this.guest.open(0, this.guest.pid(this.tasks[task]), type, ATTR_INHERIT);
    this.events.push({ id, address });
  }

  /** What both count. */
  users(): readonly [port: number, c: number] {
    return [this.kernel.cpus[0].cpuc.lbr_users, this.guest.lbrUsers(0)];
  }
}

describe.each(imageVersions('6.1'))('the whole path of Linux %s', (version) => {
  it.each([
    'haswell',
    'skylake',
    'goldmont',
    'sandybridge',
    'silvermont',
    'knl',
    'goldmont-plus',
    'tigerlake',
  ])('the port always makes the MSR accesses of the C code, on %s', async (cpu) => {
    const image = await imageOf(version);
    const reached = new Set<string>();
    fc.assert(
      fc.property(fc.array(op, { minLength: 1, maxLength: 30, size: 'max' }), (ops) => {
        const both = new Both(image, cpu);
        for (const [i, one] of ops.entries()) {
          both.perform(one);
          const { port, c } = both.take();
          expect({ ops: ops.slice(0, i + 1), accesses: port }).toEqual({
            ops: ops.slice(0, i + 1),
            accesses: c,
          });
          const [mine, theirs] = both.users();
          expect(mine).toBe(theirs);
          if (c.length > 0) reached.add(one.what);
        }
        expect(both.guest.warnings).toEqual([]);
      }),
      seeded(150),
    );
    expect([...reached].toSorted()).toEqual([
      'close',
      'disable',
      'enable',
      'open',
      'pmi',
      'switch',
    ]);
  });
});
