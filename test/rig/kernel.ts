/** One kernel on registers that return the value written last, with a log of every access. */
import * as core from '../../src/guest/perf/events_core.js';
import * as syscall from '../../src/guest/perf/events_syscall.js';
import { Kernel, KernelLayout } from '../../src/guest/perf/kernel.js';
import type { Cpu, KernelConfig, KernelOutput } from '../../src/guest/perf/kernel.js';
import { PORT } from '../../src/guest/perf/lbr_port.js';
import * as perf from '../../src/guest/perf/perf_event.js';
import type { perf_event } from '../../src/guest/perf/perf_structs.js';
import { KVM_PV_LBR_CTRL_ACTIVE, MSR_KVM_PV_LBR_CTRL } from '../../src/guest/pv/kvm_para.js';
import { Layout } from '../../src/hw/memory.js';
import * as msrs from '../../src/hw/msr_index.js';
import type { MsrPort, Vector } from '../../src/hw/msr_port.js';
import { modelOf, print64 } from '../golden/accesses.js';

/** The smallest depth with room for a newest, a middle and an oldest record. */
export const DEPTH = 4;

export const CALLSTACK: number = perf.PERF_SAMPLE_BRANCH_CALL_STACK | perf.PERF_SAMPLE_BRANCH_USER;
export const ANY: number = perf.PERF_SAMPLE_BRANCH_ANY | perf.PERF_SAMPLE_BRANCH_USER;
/** LBR_SELECT of CALLSTACK as the log prints it. */
export const CALLSTACK_SELECT = '3c5';
export const ANY_SELECT = '1';

const NAMES: ReadonlyMap<number, string> = new Map([
  [msrs.MSR_LBR_SELECT, 'SELECT'],
  [msrs.MSR_LBR_TOS, 'TOS'],
  [msrs.MSR_IA32_DEBUGCTLMSR, 'DEBUGCTL'],
  [msrs.MSR_CORE_PERF_GLOBAL_STATUS, 'STATUS'],
  [msrs.MSR_CORE_PERF_GLOBAL_CTRL, 'CTRL'],
  [msrs.MSR_CORE_PERF_GLOBAL_OVF_CTRL, 'OVF_CTRL'],
  [MSR_KVM_PV_LBR_CTRL, 'ACTIVE'],
  ...Array.from({ length: DEPTH }, (_, i): [number, string][] => [
    [msrs.MSR_LBR_NHM_FROM + i, `FROM${i}`],
    [msrs.MSR_LBR_NHM_TO + i, `TO${i}`],
  ]).flat(),
]);

/** Logs `r NAME` and `w NAME VALUE`, in hexadecimal. A write of OVF_CTRL clears STATUS. */
export class LoggedPort implements MsrPort {
  edx = 0;
  vector: Vector = 0;
  log: string[] = [];
  /** STATUS bits that are set when STATUS is acknowledged, for an overflow during the handler. */
  late = 0;
  private readonly registers = new Map<number, readonly [number, number]>();

  set(msr: number, lo: number, hi = 0): void {
    this.registers.set(msr, [lo, hi]);
  }

  get(msr: number): string {
    return print64(...(this.registers.get(msr) ?? [0, 0]));
  }

  rdmsr(msr: number): number {
    this.log.push(`r ${NAMES.get(msr)}`);
    const [lo, hi] = this.registers.get(msr) ?? [0, 0];
    this.edx = hi;
    return lo;
  }

  wrmsr(msr: number, eax: number, edx: number): Vector {
    this.log.push(`w ${NAMES.get(msr)} ${print64(eax, edx)}`);
    if (msr === msrs.MSR_CORE_PERF_GLOBAL_OVF_CTRL) {
      const [lo, hi] = this.registers.get(msrs.MSR_CORE_PERF_GLOBAL_STATUS) ?? [0, 0];
      this.set(msrs.MSR_CORE_PERF_GLOBAL_STATUS, (lo & ~eax) | this.late, hi & ~edx);
      this.late = 0;
    }
    this.set(msr, eax, edx);
    return 0;
  }
}

/** Joins log lines and lists of log lines. */
export function steps(...parts: readonly (string | readonly string[])[]): string[] {
  return parts.flat();
}

/** The write of ACTIVE as the log prints it. */
export const ACTIVE_ON: string = `w ACTIVE ${KVM_PV_LBR_CTRL_ACTIVE}`;
export const ACTIVE_OFF = 'w ACTIVE 0';

/** Accesses of a PMU of version 4 that stop it and start it, and of a stack reset. */
export const CTRL_OFF = 'w CTRL 0';
export const CTRL_ON = 'w CTRL 70000000f';
export const RESET: readonly string[] = [0, 1, 2, 3].flatMap((i) => [`w FROM${i} 0`, `w TO${i} 0`]);

/** Boots a kernel, by default with two CPUs that share one port. */
export function bootKernel(
  config: Pick<KernelConfig, 'model' | 'pmu_version'> & Partial<KernelConfig>,
  port: MsrPort,
  output: KernelOutput = { sample: () => {} },
): Kernel {
  const common = { cpus: 2, tasks: 4, events: 4, version: '6.1', pv: 'none' } as const;
  const whole = { ...common, ...config };
  const layout = new Layout();
  const kernelLayout = new KernelLayout(layout, whole);
  const memory = (whole.driver ?? PORT).createMemory(layout);
  const ports = Array.from({ length: whole.cpus }, () => port);
  const kernel = new Kernel(memory, kernelLayout, whole, ports, output);
  kernel.clear();
  return kernel;
}

export function startTasks({ cpus, tasks }: Kernel): void {
  for (const { id, cpuctx } of cpus) {
    cpuctx.current = id;
    tasks[id].alive = 1;
    tasks[id].on_cpu = id + 1;
  }
}

export function switchOut(cpu: Cpu, next: number): void {
  core.__perf_event_task_sched_out(cpu, cpu.cpuctx.current, next);
}

export function switchIn(cpu: Cpu, next: number): void {
  const { tasks } = cpu.kernel;
  tasks[cpu.cpuctx.current].on_cpu = 0;
  cpu.cpuctx.current = next;
  tasks[next].on_cpu = cpu.id + 1;
  core.__perf_event_task_sched_in(cpu, next);
}

export class Rig {
  readonly port: LoggedPort = new LoggedPort();
  readonly kernel: Kernel;
  cpu: Cpu;
  /** Sampled events, each with the number of records in its sample. */
  samples: [number, number][] = [];
  /** cpuc.enabled at the last sample. */
  enabledInSample = -1;

  /** Boots a Haswell. Tasks 0 and 1 run on CPUs 0 and 1, task 2 sleeps. */
  constructor(config: Partial<KernelConfig> = {}) {
    const model = { ...modelOf('haswell'), lbr_nr: DEPTH };
    const whole = { model, pmu_version: 4, cpus: 2, tasks: 8, events: 12, ...config };
    const sample = ({ cpuc }: Cpu, event: perf_event): void => {
      this.samples.push([event.id, cpuc.lbr_stack_nr]);
      this.enabledInSample = cpuc.enabled;
    };
    this.kernel = bootKernel(whole, this.port, { sample });
    startTasks(this.kernel);
    for (const id of [0, 1, 2]) this.kernel.tasks[id].alive = 1;
    this.cpu = this.kernel.cpus[0];
  }

  /** Returns the accesses since the last call. */
  take(): string[] {
    const { log } = this.port;
    this.port.log = [];
    return log;
  }

  /** Creates an event without installing it. The event is the CPU's if `task` is -1. */
  create(task: number, type: number, attr = 0): perf_event {
    const id = syscall.freeEvent(this.kernel);
    const ret = syscall.perf_event_open(this.cpu, id, task, attr, type);
    if (ret !== 0) throw new Error(`perf_event_open() returns ${ret}`);
    return this.kernel.events[id];
  }

  open(task: number, type: number, attr = 0): perf_event {
    const event = this.create(task, type, attr);
    core.perf_install_in_context(this.cpu, event);
    return event;
  }

  close(event: perf_event): void {
    syscall.perf_event_release_kernel(this.cpu, event);
  }

  enable(event: perf_event): void {
    syscall.enableFamily(this.cpu, event);
  }

  disable(event: perf_event): void {
    syscall.disableFamily(this.cpu, event);
  }

  /** Forks the current task. Returns the child. */
  fork(): number {
    const child = syscall.freeTask(this.kernel);
    syscall.perf_event_init_task(this.cpu, child);
    return child;
  }

  switchOut(next: number): void {
    switchOut(this.cpu, next);
  }

  switchIn(next: number): void {
    switchIn(this.cpu, next);
  }

  switchTo(next: number): void {
    this.switchOut(next);
    this.switchIn(next);
  }

  /** Number of a task's context, which must exist. */
  ctxOf(task: number): number {
    return this.kernel.tasks[task].perf_event_ctxp - 1;
  }

  /** The number of users of a task's call stack. */
  usersOf(task: number): number {
    const { task_ctx_data } = this.kernel.contexts[this.ctxOf(task)];
    return this.kernel.data[task_ctx_data - 1].lbr_callstack_users;
  }

  /** Events on the CPU's PMU, in the order of arrival. */
  onPmu(): number[] {
    const { cpuc } = this.cpu;
    return Array.from({ length: cpuc.n_events }, (_, i) => cpuc.event_list(i));
  }

  /** Whether every shared resource has been given back. */
  idle(): boolean {
    const { cpuc, cpuctx } = this.cpu;
    const counts = [
      cpuc.n_events,
      cpuc.n_added,
      cpuc.lbr_users,
      cpuc.lbr_sel_ref,
      cpuctx.sched_cb_usage,
      cpuctx.perf_sched_cb_usages,
      cpuctx.pmu_disable_count,
    ];
    return counts.every((n) => n === 0);
  }
}
