/** Writes down, as plain data, what a machine does in an action: accesses, entries, samples. */
import { MSR_IA32_DEBUGCTLMSR } from '../../hw/msr_index.js';
import { HOST } from '../../host/observer.js';
import type { Machine } from '../../machine/machine.js';
import type { Monitor } from '../../judge/monitor.js';
import { isLbrMsr, msrName, msrSlot, plainHex, valueText } from '../msr_name.js';
import { branchText, NEUTRAL, registerText, type Viewer } from '../record_text.js';
import { type Watch, Watcher } from '../watcher.js';
import { stateOf, type StoryState } from './state.js';
import { storyStack, type StoryRecord } from './stacks.js';

/** Whose code makes an access: a guest's, KVM's with its policy, or the host's perf. */
export type Accessor = 'guest' | 'policy' | 'host perf';

/** An access to an MSR, or to all MSRs of the stack at once. */
export interface StoryAccess {
  readonly by: Accessor;
  /** The vCPU that makes it, or for which it is made; null for the host's own. */
  readonly vcpu: number | null;
  /** The pCPU it is made on. */
  readonly pcpu: number;
  readonly write: boolean;
  /** Its name: `FROM_3`, `DEBUGCTL`; `all` for the whole stack. */
  readonly msr: string;
  /** The slot that a FROM, TO or INFO belongs to; -1 for other MSRs. */
  readonly slot: number;
  /** The MSRs that are accessed: more than one for the whole stack alone. */
  readonly count: number;
  /** The 64-bit value; empty for a read that faults, and for the whole stack. */
  readonly value: string;
  /** The value in words: `VM 0 task 0 call#2`, `LBR`. */
  readonly text: string;
  /** Records of the whole stack; none for one MSR. */
  readonly records: readonly StoryRecord[];
  /** Whether it exits to the host; never for the host's own. */
  readonly exits: boolean;
  /** Whether it raises #GP. */
  readonly fault: boolean;
  /** What the guest would read on a pCPU of its own, in words; null where that is the same. */
  readonly reference: string | null;
}

/** The branch stack of a sample. */
export interface StorySample {
  /** The vCPU whose guest has taken it, or null for the host. */
  readonly vcpu: number | null;
  readonly pcpu: number;
  /** Its branches in words, newest first; `empty` where there is none. */
  readonly branches: readonly string[];
}

/** What happens in one action. */
export interface Deeds {
  readonly accesses: readonly StoryAccess[];
  readonly samples: readonly StorySample[];
  /** VM exits of each vCPU. */
  readonly exits: readonly number[];
}

/** A watcher that keeps what it sees, up to the moment at which the property breaks. */
export class Scribe extends Watcher {
  private readonly judge: Monitor;
  private accesses: StoryAccess[] = [];
  private samples: StorySample[] = [];
  private counts: number[] = [];
  /** What there was when the property broke; null until then. */
  atBreak: StoryState | null = null;

  constructor(monitor: Monitor, watch: Watch | null) {
    super(monitor, watch);
    this.judge = monitor;
  }

  /** Returns what was done since the last call. */
  deeds(): Deeds {
    const { accesses, samples } = this;
    const exits = this.machine.vcpus.map(({ id }) => this.counts[id] ?? 0);
    [this.accesses, this.samples, this.counts] = [[], [], []];
    return { accesses, samples, exits };
  }

  protected override broke(): void {
    this.atBreak = stateOf(this.machine, this.judge);
  }

  private get told(): boolean {
    return this.failure === null;
  }

  private access(access: Partial<StoryAccess> & Pick<StoryAccess, 'by' | 'pcpu' | 'write'>): void {
    if (!this.told) return;
    this.accesses.push({
      vcpu: null,
      msr: '',
      slot: -1,
      count: 1,
      value: '',
      text: '',
      records: [],
      exits: false,
      fault: false,
      reference: null,
      ...access,
    });
  }

  /** What an access to one MSR says of itself. */
  private one(
    msr: number,
    eax: number,
    edx: number,
    viewer: Viewer,
  ): Pick<StoryAccess, 'msr' | 'slot' | 'value' | 'text'> {
    const { model } = this.machine.config;
    const slot = msrSlot(model, msr);
    const text = slot < 0 ? valueText(msr, eax, edx) : registerText(model, msr, eax, edx, viewer);
    return { msr: msrName(model, msr), slot, value: plainHex(eax, edx), text };
  }

  private guest(
    vcpu: number,
    msr: number,
    eax: number,
    edx: number,
    more: Pick<StoryAccess, 'write'> & Partial<StoryAccess>,
  ): void {
    const { machine } = this;
    const exits = machine.hypervisor.intercepted;
    const { pcpu } = machine.vcpus[vcpu];
    this.access({ by: 'guest', vcpu, pcpu, exits, ...this.one(msr, eax, edx, NEUTRAL), ...more });
  }

  override guestRead(vcpu: number, msr: number, eax: number, edx: number): void {
    const { model } = this.machine.config;
    const own = this.judge.reference.of(vcpu);
    const wanted = own.rdmsr(msr);
    const judged = msr === MSR_IA32_DEBUGCTLMSR || isLbrMsr(model, msr);
    const agrees = !judged || (wanted === eax && own.edx === edx);
    const reference = agrees ? null : this.one(msr, wanted, own.edx, NEUTRAL).text;
    this.guest(vcpu, msr, eax, edx, { write: false, reference });
    super.guestRead(vcpu, msr, eax, edx);
  }

  override guestWrite(vcpu: number, msr: number, eax: number, edx: number): void {
    this.guest(vcpu, msr, eax, edx, { write: true });
    super.guestWrite(vcpu, msr, eax, edx);
  }

  override guestFault(vcpu: number, msr: number, write: boolean, eax: number, edx: number): void {
    const more = write ? { write } : { write, value: '', text: '' };
    this.guest(vcpu, msr, eax, edx, { ...more, fault: true });
    super.guestFault(vcpu, msr, write, eax, edx);
  }

  override hostAccess(pcpu: number, onBehalf: number, msr: number, write: boolean): void {
    const { stack } = this.machine.pcpus[pcpu];
    const what = this.one(msr, stack.readLow(msr), stack.readHigh(msr), NEUTRAL);
    this.access({ ...hostWords(onBehalf), pcpu, write, ...what });
    super.hostAccess(pcpu, onBehalf, msr, write);
  }

  override hostStack(pcpu: number, onBehalf: number, count: number, write: boolean): void {
    const { records } = storyStack(this.machine.pcpus[pcpu].stack);
    this.access({ ...hostWords(onBehalf), pcpu, write, msr: 'all', count, records });
    super.hostStack(pcpu, onBehalf, count, write);
  }

  override hostDebugctl(pcpu: number, value: number): void {
    const what = this.one(MSR_IA32_DEBUGCTLMSR, value, 0, NEUTRAL);
    this.access({ by: 'host perf', pcpu, write: true, ...what });
    super.hostDebugctl(pcpu, value);
  }

  override hostFault(pcpu: number, msr: number, write: boolean): void {
    const what = { msr: msrName(this.machine.config.model, msr), fault: true };
    this.access({ by: 'policy', pcpu, write, ...what });
    super.hostFault(pcpu, msr, write);
  }

  override exited(vcpu: number): void {
    if (this.told) this.counts[vcpu] = (this.counts[vcpu] ?? 0) + 1;
    super.exited(vcpu);
  }

  override guestSample(vcpu: number, event: number): void {
    const { pcpu } = this.machine.vcpus[vcpu];
    if (this.told) this.samples.push({ vcpu, pcpu, branches: branchesOf(this.machine.cpu(vcpu)) });
    super.guestSample(vcpu, event);
  }

  override hostSample(pcpu: number, event: number): void {
    const cpu = this.machine.host.kernel.cpus[pcpu];
    if (this.told) this.samples.push({ vcpu: null, pcpu, branches: branchesOf(cpu) });
    super.hostSample(pcpu, event);
  }
}

function hostWords(onBehalf: number): Pick<StoryAccess, 'by' | 'vcpu'> {
  return onBehalf === HOST ? { by: 'host perf', vcpu: null } : { by: 'policy', vcpu: onBehalf };
}

/** The branch stack of the sample that a kernel is emitting. */
function branchesOf(cpu: ReturnType<Machine['cpu']>): string[] {
  const { words } = cpu.kernel;
  return Array.from({ length: cpu.cpuc.lbr_stack_nr }, (_, i) => {
    const at = cpu.lbr_entry(i);
    return branchText(words[at], words[at + 1], NEUTRAL);
  });
}
