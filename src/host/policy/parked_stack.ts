/**
 * What the sound policies have in common: a vCPU's stack is either live, in the registers of the
 * pCPU it is loaded on and passed through, or parked, in `vcpu.records` and intercepted. An
 * intercepted access is answered from the parked copy, so nothing is ever read from registers
 * that hold somebody else's records, and the one place where a stack becomes live is before a
 * VM entry, interrupts off.
 *
 * Where an LBR event of the host counts on the pCPU, the registers are borrowed for the time in
 * the guest: the stack is live between entry and exit only.
 */
import { DEBUGCTLMSR_FREEZE_LBRS_ON_PMI, DEBUGCTLMSR_LBR } from '../../hw/msr_index.js';
import { GP_VECTOR } from '../../hw/msr_port.js';
import { lbrMap } from '../../hw/lbr_map.js';
import type { Vcpu } from '../vcpu.js';
import { msrValue, nothing, PASS_THROUGH, type PolicyGround, type PolicyHost } from './policy.js';

/** What every policy built on these hooks assumes. */
export const LENT: string =
  'perf lends its registers to KVM between VM entry and VM exit, tells it before an LBR event of ' +
  'its own goes on, and takes no PMI while it lends';

/**
 * `live`: the stack is in the registers; `borrowed`: these are borrowed from the host's event;
 * `wanted`: the guest has touched an intercepted register in this slice.
 */
export const PARKED_WORDS = ['live', 'borrowed', 'wanted'] as const;
export type ParkedVcpu = Vcpu<(typeof PARKED_WORDS)[number]>;

/** Puts the stack into the registers, if it is not there. */
export function makeLive(kvm: PolicyHost, vcpu: ParkedVcpu): void {
  if (vcpu.words.live !== 0) return;
  if (kvm.perf.hostLbrActive(vcpu.pcpu)) {
    kvm.borrowLbr(vcpu);
    vcpu.words.borrowed = 1;
  }
  kvm.restoreStack(vcpu, true);
  kvm.setPassthrough(vcpu, true);
  vcpu.words.live = 1;
}

/**
 * Takes the stack out of the registers, if it is there. The registers are wiped: the host's perf
 * takes what it finds in them for its own when the context that it saved last comes back.
 */
function park(kvm: PolicyHost, vcpu: ParkedVcpu): void {
  if (vcpu.words.live === 0) return;
  kvm.saveStack(vcpu, true);
  kvm.scrubStack(vcpu);
  kvm.setPassthrough(vcpu, false);
  vcpu.words.live = 0;
}

/** The hooks that `always` has, too. */
export const PARKED: PolicyGround = {
  ...PASS_THROUGH,
  words: PARKED_WORDS,
  recordsStale: (vcpu: ParkedVcpu) => vcpu.words.live !== 0,
  vcpu_put: (kvm, vcpu: ParkedVcpu) => {
    park(kvm, vcpu);
    vcpu.words.wanted = 0;
  },
  vcpu_exit: (kvm, vcpu: ParkedVcpu) => {
    if (vcpu.words.borrowed === 0) return;
    park(kvm, vcpu);
    kvm.giveBackLbr(vcpu);
    vcpu.words.borrowed = 0;
  },
  get_msr: (_kvm, vcpu: ParkedVcpu, msr) => {
    vcpu.words.wanted = 1;
    return msrValue(vcpu.records.readLow(msr), vcpu.records.readHigh(msr));
  },
  set_msr: (_kvm, vcpu: ParkedVcpu, msr, eax, edx) => {
    if (lbrMap(vcpu.records.model).faults(msr, eax, edx)) return GP_VECTOR;
    vcpu.words.wanted = 1;
    vcpu.records.write(msr, eax, edx);
    return 0;
  },
  host_perf_event: (kvm, _pcpu, loaded: ParkedVcpu | null, on) => {
    if (on && loaded !== null) park(kvm, loaded);
  },
  reset: nothing,
  get_state: () => true,
};

/** `recording`: the guest was entered with DEBUGCTL.LBR set; 0 outside of the guest. */
export const SOUND_WORDS = ['live', 'borrowed', 'wanted', 'recording'] as const;
export type SoundVcpu = Vcpu<(typeof SOUND_WORDS)[number]>;

/**
 * Before the entry: the stack is in the registers if hardware is to record, if the guest has
 * touched an intercepted register, or if the policy says so.
 */
export function enterSound(kvm: PolicyHost, vcpu: SoundVcpu, eager: boolean): void {
  vcpu.words.recording = vcpu.lbrEnabled ? 1 : 0;
  if (eager || vcpu.lbrEnabled || vcpu.words.wanted !== 0) makeLive(kvm, vcpu);
}

/**
 * A counter of the host's that overflows in the guest freezes the guest's LBR, if the guest has
 * asked for that. With PMU version 2 or 3 this clears DEBUGCTL.LBR. The guest cannot have written
 * the register without an exit, and it gets no PMI upon which it would set the bit again.
 */
function undoFreeze({ vmcs, words }: SoundVcpu): void {
  const { guestDebugctl } = vmcs;
  const freezes = (guestDebugctl & DEBUGCTLMSR_FREEZE_LBRS_ON_PMI) !== 0;
  if (words.recording !== 0 && freezes) vmcs.guestDebugctl = guestDebugctl | DEBUGCTLMSR_LBR;
  words.recording = 0;
}

/** The hooks that all sound policies share. */
export const SOUND: PolicyGround = {
  ...PARKED,
  words: SOUND_WORDS,
  vcpu_exit: (kvm, vcpu: SoundVcpu) => {
    undoFreeze(vcpu);
    PARKED.vcpu_exit(kvm, vcpu);
  },
};
