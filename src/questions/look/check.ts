/**
 * `vlbr look --check`: the accesses to DEBUGCTL and LBR MSRs that a recording holds, against what
 * a policy of the model does on the same switches.
 *
 * The model is given the recorded switches and the accesses of guests that have exited
 * (kvm_msr), in their order. It says whether each of them would exit, fault, and, for DEBUGCTL,
 * what it would read. The host's own accesses (write_msr, read_msr) are looked at from one switch
 * of a pCPU to the next: how many it writes, and whether it reads any. Accesses that were passed
 * through are in no recording, and no policy sees them either.
 */
import type { KernelVersion } from '../../guest/perf/kernel.js';
import { Observer } from '../../host/observer.js';
import type { LbrPolicy } from '../../host/policy/policy.js';
import type { CpuModel } from '../../hw/cpu_models.js';
import { MSR_IA32_DEBUGCTLMSR } from '../../hw/msr_index.js';
import { UsageError } from '../../console/errors.js';
import { Machine } from '../../machine/machine.js';
import type { MsrAccess, Recording } from '../../recording/recording.js';
import { AFTER_GAP } from '../../recording/walk.js';
import { wholeMachine } from '../../schedule/recorded.js';
import { msrName } from '../../tell/msr_name.js';

/** One place where model and recording differ. */
export interface Disagreement {
  /** Of the recording, from 1. */
  readonly line: number;
  readonly says: string;
}

export interface Check {
  readonly policy: string;
  readonly cpu: string;
  readonly kernel: KernelVersion;
  /** Accesses of guests, and of the host, that were compared. */
  readonly guestAccesses: number;
  readonly hostAccesses: number;
  /** Switches after which the host's accesses were counted. */
  readonly intervals: number;
  /** The first ones, and the number of all of them. */
  readonly disagreements: readonly Disagreement[];
  readonly count: number;
}

/** Disagreements that are kept. */
const KEPT_MAX = 1000;

/** What the model has done since a switch. */
class Heard extends Observer {
  reads = 0;
  writes = 0;
  fault = false;
  value = 0;

  override guestRead(_vcpu: number, _msr: number, eax: number): void {
    this.value = eax;
  }

  override guestFault(): void {
    this.fault = true;
  }

  override hostAccess(_pcpu: number, _onBehalf: number, msr: number, write: boolean): void {
    if (msr !== MSR_IA32_DEBUGCTLMSR) this.add(1, write);
  }

  override hostStack(_pcpu: number, _onBehalf: number, accesses: number, write: boolean): void {
    this.add(accesses, write);
  }

  private add(accesses: number, write: boolean): void {
    if (write) this.writes += accesses;
    else this.reads += accesses;
  }
}

/** What happened on a pCPU since its latest switch. */
interface Interval {
  /** Line of the switch; 0 before the first one, and where events are missing. */
  line: number;
  model: [reads: number, writes: number];
  recorded: [reads: number, writes: number];
}

class Checker {
  readonly disagreements: Disagreement[] = [];
  count = 0;
  guestAccesses = 0;
  hostAccesses = 0;
  intervals = 0;
  private readonly recording: Recording;
  private readonly model: CpuModel;
  private readonly policy: LbrPolicy;
  private readonly machine: Machine;
  private readonly numbers: readonly number[];
  private readonly heard: Heard = new Heard();
  private readonly on: readonly Interval[];
  private readonly pcpuOf: ReadonlyMap<number, number>;

  constructor(
    recording: Recording,
    model: CpuModel,
    kernel: KernelVersion,
    policy: LbrPolicy,
    whole: NonNullable<ReturnType<typeof wholeMachine>>,
  ) {
    this.recording = recording;
    this.model = model;
    this.policy = policy;
    this.numbers = whole.numbers;
    this.machine = new Machine({ model, kernel, policy, shape: whole.shape }, this.heard);
    this.machine.boot();
    recording.pcpus.forEach((_, pcpu) => this.machine.switchTo(pcpu, -1));
    this.on = recording.pcpus.map(() => ({ line: 0, model: [0, 0], recorded: [0, 0] }));
    this.pcpuOf = new Map(recording.pcpus.map((cpu, pcpu) => [cpu, pcpu]));
  }

  run(): void {
    const { steps } = this.recording;
    const hostRecorded = this.hasHostAccess();
    let i = 0;
    for (const access of this.recording.lbrAccesses()) {
      // By their lines: an access often has the time of the switch that it belongs to.
      while (i < steps.length && steps.line[i] < access.line) this.step(i++, hostRecorded);
      this.access(access);
    }
    while (i < steps.length) this.step(i++, hostRecorded);
  }

  private hasHostAccess(): boolean {
    for (const { byGuest } of this.recording.lbrAccesses()) if (!byGuest) return true;
    return false;
  }

  private step(i: number, hostRecorded: boolean): void {
    const { steps } = this.recording;
    const pcpu = steps.pcpu[i];
    const gap = (steps.bits[i] & AFTER_GAP) !== 0;
    const interval = this.on[pcpu];
    if (hostRecorded && interval.line > 0 && !gap) this.compare(interval, pcpu);
    interval.line = gap ? 0 : steps.line[i];
    interval.model = [0, 0];
    interval.recorded = [0, 0];
    const vcpu = steps.vcpu[i];
    this.perform(pcpu, () => this.machine.switchTo(pcpu, vcpu < 0 ? -1 : this.numbers[vcpu]));
  }

  /** Has the model do something on a pCPU, and counts the host's accesses. */
  private perform(pcpu: number, act: () => void): void {
    const { heard } = this;
    heard.reads = 0;
    heard.writes = 0;
    heard.fault = false;
    act();
    const { model } = this.on[pcpu];
    model[0] += heard.reads;
    model[1] += heard.writes;
  }

  private compare({ line, model, recorded }: Interval, pcpu: number): void {
    this.intervals++;
    // perf reads records up to the first empty one, and what guests record is in no recording.
    if (model[0] > 0 === recorded[0] > 0 && model[1] === recorded[1]) return;
    const cpu = this.recording.pcpus[pcpu];
    this.differ(
      line,
      `after this switch of CPU ${cpu} the host reads ${recorded[0]} LBR MSRs and writes ` +
        `${recorded[1]}; under ${this.policy.name} it reads ${model[0]} and writes ${model[1]}`,
    );
  }

  private differ(line: number, says: string): void {
    this.count++;
    if (this.disagreements.length < KEPT_MAX) this.disagreements.push({ line, says });
  }

  private access(access: MsrAccess): void {
    if (access.byGuest) {
      this.guestAccess(access);
      return;
    }
    this.hostAccesses++;
    const pcpu = this.pcpuOf.get(access.cpu);
    if (pcpu === undefined || access.msr === MSR_IA32_DEBUGCTLMSR) return;
    this.on[pcpu].recorded[access.write ? 1 : 0]++;
  }

  private guestAccess({ line, vcpu, msr, write, low, high, fault }: MsrAccess): void {
    if (vcpu < 0) return;
    const { machine, heard, policy } = this;
    const number = this.numbers[vcpu];
    const { pcpu } = machine.vcpus[number];
    // Its thread has come in before the recording tells of a switch.
    if (pcpu < 0) return;
    this.guestAccesses++;
    this.perform(pcpu, () => {
      if (write) machine.wrmsr(number, msr, low, high);
      else machine.rdmsr(number, msr);
    });
    const { comm, pid } = this.recording.vcpus[vcpu];
    const what = `${comm}-${pid} ${write ? 'writes' : 'reads'} ${msrName(this.model, msr)}`;
    if (!machine.kvm.intercepted) {
      this.differ(line, `${what} and exits; under ${policy.name} it does not exit`);
    } else if (heard.fault !== fault) {
      const [is, model] = fault ? ['#GP', 'no #GP'] : ['no #GP', '#GP'];
      this.differ(line, `${what} with ${is}; under ${policy.name} with ${model}`);
    } else if (!write && !fault && msr === MSR_IA32_DEBUGCTLMSR && heard.value !== low) {
      const [is, model] = [low, heard.value].map((value) => `0x${value.toString(16)}`);
      this.differ(line, `${what} as ${is}; under ${policy.name} as ${model}`);
    }
  }
}

/**
 * Compares a recording with a policy.
 *
 * @throws UsageError when no machine can hold all of the recording, and when it has no such access.
 */
export function check(
  recording: Recording,
  policy: LbrPolicy,
  model: CpuModel,
  kernel: KernelVersion,
): Check {
  const whole = wholeMachine(recording);
  if (whole === null) {
    throw new UsageError(
      `${recording.file}: --check needs one machine for all of the recording, which has at most ` +
        '8 pCPUs and 6 VMs of 8 vCPUs; name some of the vCPUs with --vcpu-threads',
    );
  }
  const checker = new Checker(recording, model, kernel, policy, whole);
  checker.run();
  const { guestAccesses, hostAccesses, intervals, disagreements, count } = checker;
  if (guestAccesses === 0 && hostAccesses === 0) {
    throw new UsageError(
      `${recording.file}: --check finds no access to DEBUGCTL or LBR MSRs; record the events ` +
        'kvm:kvm_msr, msr:write_msr and msr:read_msr, too',
    );
  }
  const counts = { guestAccesses, hostAccesses, intervals, disagreements, count };
  return { policy: policy.name, cpu: model.name, kernel, ...counts };
}
