/** What a guest has in its LBR registers, beside what it would have on a pCPU of its own. */
import type { LbrStack } from '../hw/lbr_stack.js';
import { MSR_IA32_DEBUGCTLMSR } from '../hw/msr_index.js';
import type { Machine } from '../machine/machine.js';
import type { Reference } from './reference.js';

/** A 64-bit value. */
export interface Value {
  readonly lo: number;
  readonly hi: number;
}

/** A register of a vCPU. */
export interface Register {
  readonly vcpu: number;
  readonly msr: number;
}

/**
 * Where the guest's records may be: in the registers of its pCPU and, as long as it can't reach
 * these itself and perf has no event that brings them, in what the policy has saved.
 */
function placesOf({ vcpus, pcpus, host }: Machine, vcpu: number): readonly LbrStack[] {
  const { pcpu, records, msr_passthrough } = vcpus[vcpu];
  const live = pcpu < 0 ? [] : [pcpus[pcpu].stack];
  const saved = !msr_passthrough && host.guestLbrEvent(vcpus[vcpu]) === 'none';
  return saved ? [...live, records] : live;
}

/** Whether the guest's LBR_SELECT is where it should be. */
export function sameFilter(machine: Machine, reference: Reference, vcpu: number): boolean {
  const wanted = reference.of(vcpu).stack;
  if (wanted.model.select === 'none') return true;
  return placesOf(machine, vcpu).some(({ lbr_select }) => lbr_select === wanted.lbr_select);
}

/** Whether the guest's records are somewhere as they should be. The TOS of no records is none. */
export function sameStack(machine: Machine, reference: Reference, vcpu: number): boolean {
  const wanted = reference.of(vcpu).stack;
  return placesOf(machine, vcpu).some((stack) => sameRecords(stack, wanted, reference));
}

function sameRecords(stack: LbrStack, wanted: LbrStack, reference: Reference): boolean {
  const { model } = wanted;
  if (stack.empty && wanted.empty) return true;
  const { lbr_nr, lbr_from, lbr_to, lbr_info } = model;
  if (stack.tos !== wanted.tos) return false;
  const banks = lbr_info === 0 ? [lbr_from, lbr_to] : [lbr_from, lbr_to, lbr_info];
  return banks.every((first) => {
    for (let i = 0; i < lbr_nr; i++) {
      if (!sameIn(stack, wanted, first + i, reference)) return false;
    }
    return true;
  });
}

function sameIn(stack: LbrStack, wanted: LbrStack, msr: number, reference: Reference): boolean {
  const high = (stack.readHigh(msr) ^ wanted.readHigh(msr)) & ~reference.freeBits(msr);
  return stack.readLow(msr) === wanted.readLow(msr) && high === 0;
}

/** Whether a register is somewhere as it should be: an LBR MSR, or DEBUGCTL. */
export function sameRegister(machine: Machine, reference: Reference, register: Register): boolean {
  const { vcpu, msr } = register;
  const own = reference.of(vcpu);
  if (msr === MSR_IA32_DEBUGCTLMSR) {
    const { inGuest, pcpu, vmcs } = machine.vcpus[vcpu];
    const is = inGuest ? machine.pcpus[pcpu].debugctl : vmcs.guestDebugctl;
    return ((is ^ own.debugctl) & 1) === 0;
  }
  return placesOf(machine, vcpu).some((stack) => sameIn(stack, own.stack, msr, reference));
}
