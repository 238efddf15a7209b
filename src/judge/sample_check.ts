/** What the samples of a guest's events hold: `no-leak/task` and `callstack-true`. */
import type { Kernel } from '../guest/perf/kernel.js';
import { CALLSTACK_USER, PERF_EVENT_STATE_ACTIVE } from '../guest/perf/perf_event.js';
import * as branch from '../hw/branch.js';
import { taskSlots, totalVcpus } from '../machine/config.js';
import { Check, type History } from './check.js';
import { ShadowStacks } from './shadow_stack.js';
import { PROPERTY, REACH } from './properties.js';

export class SampleCheck extends Check {
  private readonly tasks: number = taskSlots(this.config);
  private readonly shadow: ShadowStacks = new ShadowStacks(
    this.config.shape.vms * this.tasks,
    this.config.model.lbr_nr,
  );
  /** Per task over all VMs: hardware can know of its frames since `track`. */
  private readonly tracked: Uint8Array = this.bytes('task');
  /** Per VM: no use of LBR so far that would make exact call stacks unpredictable. */
  private readonly plain: Uint8Array = this.bytes('vm', 1);
  /** Per vCPU: the task that was sampled last, or -1; only a reach counter asks. */
  private readonly lastTask: Int32Array = this.hint(new Int32Array(totalVcpus(this.config)), -1);

  constructor(...parts: ConstructorParameters<typeof Check>) {
    super(...parts);
    this.histories.push(...this.shadow.histories);
  }

  override start(): void {
    super.start();
    this.shadow.clear();
  }

  override get remembered(): History['words'][] {
    return [...super.remembered, ...this.shadow.histories.map(({ words }) => words)];
  }

  /** Calls that a VM's task is deep, as far as hardware can know of them. */
  frames(vm: number, task: number): number {
    return this.shadow.tracked(vm * this.tasks + task);
  }

  /** Forgets what matters no more about the tasks of a VM. */
  settle(vm: number): void {
    for (let task = 0; task < this.tasks; task++) this.shadow.settle(vm * this.tasks + task);
  }

  /** Forgets a VM that will take no sample. */
  retire(vm: number): void {
    for (let task = 0; task < this.tasks; task++) this.shadow.forget(vm * this.tasks + task);
    this.tracked.fill(0, vm * this.tasks, (vm + 1) * this.tasks);
    this.plain[vm] = 0;
  }

  /** Assumes that another task was sampled before. */
  forget(): void {
    this.lastTask.fill(this.tasks);
  }

  private stackOf(vcpu: number, task: number): number {
    return this.reference.vm(vcpu) * this.tasks + task;
  }

  userBranch(vcpu: number, kind: number, seq: number): void {
    const stack = this.stackOf(vcpu, this.machine().cpu(vcpu).cpuctx.current);
    if (kind === branch.BRANCH_REL_CALL || kind === branch.BRANCH_IND_CALL) {
      this.shadow.push(stack, seq);
      const full = this.shadow.tracked(stack) === this.reference.model.lbr_nr;
      if (full) this.verdicts.reach[REACH.wrapped]++;
    } else if (kind === branch.BRANCH_RET) {
      this.shadow.pop(stack);
    } else if (kind === branch.BRANCH_ZERO_CALL && this.reference.model.zeroCallPushed) {
      // Hardware takes it for a frame, so from here on a call stack may be off by one.
      this.plain[this.reference.vm(vcpu)] = 0;
    }
  }

  sample(vcpu: number, event: number): void {
    const cpu = this.machine().cpu(vcpu);
    const { kernel, cpuc, cpuctx } = cpu;
    const { current } = cpuctx;
    if (this.lastTask[vcpu] !== current) {
      if (this.lastTask[vcpu] >= 0) this.verdicts.reach[REACH['sample-after-other-task']]++;
      this.lastTask[vcpu] = current;
    }
    for (let i = 0; i < cpuc.lbr_stack_nr; i++) {
      const at = cpu.lbr_entry(i);
      const hi = kernel.words[at + 1];
      const own = branch.addressVm(hi) === this.reference.vm(vcpu);
      if (kernel.words[at] === 0 || !own || branch.addressTask(hi) === current) continue;
      this.taskLeak(vcpu, kernel.words[at], hi);
      break;
    }
    if (kernel.events[event].branch_sample_type === CALLSTACK_USER) this.callstack(vcpu);
  }

  /**
   * What this vCPU has recorded itself is its kernel's to keep apart by task; a host that brings
   * back the old records of a vCPU breaks no-loss. What the host answers for here are records
   * of another vCPU of the VM, unless the kernel has moved them with their task.
   */
  private taskLeak(vcpu: number, lo: number, hi: number): void {
    const { current } = this.machine().cpu(vcpu).cpuctx;
    const task = branch.addressTask(hi);
    const text = (): string =>
      `v${vcpu}: a sample of task ${current} holds a branch of task ${task}`;
    const there = (edx: number): boolean => branch.addressTask(edx) === task;
    const brought =
      branch.addressVcpu(hi) !== this.machine().vcpus[vcpu].cpu &&
      !this.reference.of(vcpu).stack.has(lo, there);
    if (brought) this.reference.wrongSample(vcpu, PROPERTY['no-leak/task'], text);
    else this.reference.wrongAnywhere(vcpu, PROPERTY['no-leak/task'], text);
  }

  private callstack(vcpu: number): void {
    const cpu = this.machine().cpu(vcpu);
    const nr = cpu.cpuc.lbr_stack_nr;
    if (nr > 0) this.verdicts.reach[REACH['callstack-sample']]++;
    const stack = this.stackOf(vcpu, cpu.cpuctx.current);
    let good = nr <= this.shadow.depth(stack);
    for (let i = 0; good && i < nr; i++) {
      const at = cpu.lbr_entry(i);
      // Another VM numbers its branches likewise.
      const own = branch.addressVm(cpu.kernel.words[at + 1]) === this.reference.vm(vcpu);
      good = own && cpu.kernel.words[at] === this.shadow.frame(stack, i);
    }
    const plain = this.plain[this.reference.vm(vcpu)] !== 0;
    const exact = plain && this.tracked[stack] !== 0 && !this.machine().ports[vcpu].nested;
    if (good && exact) good = nr === this.shadow.tracked(stack);
    if (good) return;
    this.reference.wrongSample(
      vcpu,
      PROPERTY['callstack-true'],
      () => `v${vcpu}: a sample of ${nr} frames is not the innermost part of the call stack`,
    );
  }

  /** A kernel function has returned: notes from when on hardware can know of a task's frames. */
  idle(vcpu: number, kernel: Kernel): void {
    const vm = this.reference.vm(vcpu);
    const { current } = this.machine().cpu(vcpu).cpuctx;
    const stack = this.stackOf(vcpu, current);
    const counts = this.callstackEvents(kernel, vm, kernel.tasks[current].perf_event_ctxp);
    if (counts && this.tracked[stack] === 0) {
      this.tracked[stack] = 1;
      this.shadow.track(stack);
    } else if (!counts && this.tracked[stack] !== 0) {
      this.plain[vm] = 0;
    }
    if (this.reference.rawAccess(vcpu)) this.plain[vm] = 0;
  }

  /** Whether a call-stack event of this context counts; anything but that ends plain use. */
  private callstackEvents(kernel: Kernel, vm: number, ctxp: number): boolean {
    let counts = false;
    let heads = 0;
    for (const event of kernel.events) {
      if (event.used === 0) continue;
      if (event.parent === 0) heads++;
      if (event.state !== PERF_EVENT_STATE_ACTIVE) continue;
      const plain = event.branch_sample_type === CALLSTACK_USER;
      if (!plain || kernel.ctx(event.ctx).task === 0) this.plain[vm] = 0;
      else if (event.ctx === ctxp) counts = true;
    }
    // Opening a second event wipes what the first one has, on any machine.
    if (heads > 1) this.plain[vm] = 0;
    return counts;
  }
}
