/** The state of a machine as plain data: who runs where, and whose records are in which stack. */
import { LBR_VALID } from '../../guest/perf/perf_event.js';
import type { Kernel } from '../../guest/perf/kernel.js';
import { taskData } from '../../guest/perf/task_data.js';
import { KVM_PV_LBR_CTRL_ACTIVE } from '../../guest/pv/kvm_para.js';
import type { Monitor } from '../../judge/monitor.js';
import type { Machine } from '../../machine/machine.js';
import { debugctlBits } from '../msr_name.js';
import { suspendedText } from '../watcher.js';
import { differingSlots, keptStack, type StoryStack, storyStack } from './stacks.js';

/** A pCPU and its registers. */
export interface PcpuState {
  readonly pcpu: number;
  /** The vCPU whose thread is on it, or null. */
  readonly vcpu: number | null;
  /** Whether that is in its guest. */
  readonly inGuest: boolean;
  readonly debugctl: string;
  readonly stack: StoryStack;
}

/**
 * Where the records of a guest are: in the registers of its pCPU, in KVM's copy, in what the host's
 * perf keeps for the vCPU's thread, or in none of them.
 */
export type Holder = 'registers' | 'KVM' | 'perf' | 'nobody';

/** A vCPU, and what its guest would have on a pCPU of its own. */
export interface VcpuState {
  readonly vcpu: number;
  readonly vm: number;
  /** The pCPU that its thread is on, or null. */
  readonly pcpu: number | null;
  readonly task: number;
  readonly inKernel: boolean;
  /** The function of the guest's kernel that was left, and how far it is; empty for none. */
  readonly inside: string;
  /** Whether the guest says by ACTIVE that it uses LBR. */
  readonly active: boolean;
  /** Whether LBR MSRs do not exit. */
  readonly passthrough: boolean;
  readonly debugctl: string;
  /** KVM's copy of the stack. */
  readonly saved: StoryStack;
  /** What the host's perf keeps for the thread, if it keeps anything. */
  readonly kept: StoryStack | null;
  readonly holder: Holder;
  readonly reference: StoryStack;
  readonly referenceDebugctl: string;
  /** Slots in which the holder's stack is not the reference's; none where nobody holds it. */
  readonly wrong: readonly number[];
}

/** A task of a guest. */
export interface TaskState {
  readonly vm: number;
  readonly task: number;
  /** The vCPU on which it is current, or null. */
  readonly vcpu: number | null;
  /** What the guest's perf keeps for it, if it keeps anything. */
  readonly kept: StoryStack | null;
}

/** What there is after a step. */
export interface StoryState {
  readonly pcpus: readonly PcpuState[];
  readonly vcpus: readonly VcpuState[];
  readonly tasks: readonly TaskState[];
}

/** What there is on a machine now. */
export function stateOf(machine: Machine, monitor: Monitor): StoryState {
  return {
    pcpus: machine.pcpus.map(({ debugctl, stack }, pcpu) => {
      const vcpu = machine.loaded(pcpu);
      return {
        pcpu,
        vcpu: vcpu?.id ?? null,
        inGuest: vcpu?.inGuest ?? false,
        debugctl: debugctlBits(debugctl),
        stack: storyStack(stack),
      };
    }),
    vcpus: machine.vcpus.map(({ id }) => vcpuState(machine, monitor, id)),
    tasks: machine.guests.flatMap((kernel, vm) => tasksOf(machine, kernel, vm)),
  };
}

function vcpuState(machine: Machine, monitor: Monitor, id: number): VcpuState {
  const vcpu = machine.vcpus[id];
  const { vm, pcpu, records, msr_passthrough, vmcs, pvLbrCtrl } = vcpu;
  const own = monitor.reference.of(id);
  const [saved, reference] = [storyStack(records), storyStack(own.stack)];
  const kept = keptOf(machine.host.kernel, id);
  const registers = pcpu >= 0 && msr_passthrough ? storyStack(machine.pcpus[pcpu].stack) : null;
  const [holder, held] = holderOf(registers, saved, kept);
  return {
    vcpu: id,
    vm,
    pcpu: pcpu < 0 ? null : pcpu,
    task: machine.cpu(id).cpuctx.current,
    inKernel: machine.cpl(id) === 0,
    inside: suspendedText(machine, id),
    active: (pvLbrCtrl & KVM_PV_LBR_CTRL_ACTIVE) !== 0,
    passthrough: msr_passthrough,
    debugctl: debugctlBits(vcpu.inGuest ? machine.pcpus[pcpu].debugctl : vmcs.guestDebugctl),
    saved,
    kept,
    holder,
    reference,
    referenceDebugctl: debugctlBits(own.debugctl),
    wrong: held === null ? [] : differingSlots(held, reference),
  };
}

function holderOf(
  registers: StoryStack | null,
  saved: StoryStack,
  kept: StoryStack | null,
): [Holder, StoryStack | null] {
  if (registers !== null) return ['registers', registers];
  if (saved.records.length > 0) return ['KVM', saved];
  return kept === null ? ['nobody', null] : ['perf', kept];
}

/** What a kernel's perf keeps for a task; null for nothing. */
function keptOf(kernel: Kernel, task: number): StoryStack | null {
  const block = taskData(kernel, task);
  const data = block === 0 ? null : kernel.data[block - 1];
  if (data === null || data.lbr_stack_state !== LBR_VALID) return null;
  return keptStack(kernel.words, data, kernel.config.model);
}

function tasksOf({ vcpus }: Machine, kernel: Kernel, vm: number): TaskState[] {
  const there = kernel.tasks.filter(({ alive }) => alive === 1);
  return there.map(({ id, on_cpu }) => {
    const on = vcpus.find((vcpu) => vcpu.vm === vm && vcpu.cpu === on_cpu - 1);
    return { vm, task: id, vcpu: on?.id ?? null, kept: keptOf(kernel, id) };
  });
}
