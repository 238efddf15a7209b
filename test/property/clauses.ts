/**
 * The clauses of the sound policies. Each clause is given as the change that removes it from a
 * policy, so that a schedule can show why it is needed. Most clauses lie in code that the three
 * policies share.
 */
import type { Vcpu } from '../../src/host/vcpu.js';
import { Kvm } from '../../src/host/kvm.js';
import type { LbrPolicy, PolicyHost } from '../../src/host/policy/policy.js';
import { msrValue, nothing, PASS_THROUGH } from '../../src/host/policy/policy.js';
import * as branch from '../../src/hw/branch.js';
import * as msrs from '../../src/hw/msr_index.js';
import { lbrMap } from '../../src/hw/lbr_map.js';
import { HostKernel } from '../../src/machine/host_perf.js';

/** All policies that have clauses. */
const ALL: readonly string[] = ['pv-sound', 'lazy-sound', 'parked'];

/** Returns the policy with a change. */
type Change = (policy: LbrPolicy) => LbrPolicy;

export interface Clause {
  readonly name: string;
  /** The clause in words. */
  readonly says: string;
  readonly of: readonly string[];
  /**
   * A change of the world without which the clause would not matter, since the model's host does
   * not do this. The change applies to the policy with the clause as well.
   */
  readonly world?: Change;
  /** Takes the clause out of the policy. */
  readonly without: Change;
}

/** Words of all three policies, then the words of `parked` alone. */
type Word = 'live' | 'borrowed' | 'wanted' | 'used' | 'eager';

type HostChange = (kvm: PolicyHost) => Partial<PolicyHost>;

/** The same policy on a host with some functions replaced. */
export function onHost(policy: LbrPolicy, change: HostChange): LbrPolicy {
  const other = (kvm: PolicyHost): PolicyHost =>
    Object.assign(Object.create(kvm) as PolicyHost, change(kvm));
  return {
    ...policy,
    vcpu_put: (kvm, vcpu) => policy.vcpu_put(other(kvm), vcpu),
    vcpu_enter: (kvm, vcpu) => policy.vcpu_enter(other(kvm), vcpu),
    vcpu_exit: (kvm, vcpu) => policy.vcpu_exit(other(kvm), vcpu),
    host_perf_event: (kvm, pcpu, loaded, on) =>
      policy.host_perf_event(other(kvm), pcpu, loaded, on),
  };
}

type SwitchHook = 'vcpu_put' | 'vcpu_enter' | 'vcpu_exit';

/** Wraps a hook of the policy. The wrapper calls the original as `own`. */
function around(
  name: SwitchHook,
  change: (own: () => void, vcpu: Vcpu<Word>, kvm: PolicyHost) => void,
): Change {
  return (policy) => ({
    ...policy,
    [name]: (kvm: PolicyHost, vcpu: Vcpu<Word>) => change(() => policy[name](kvm, vcpu), vcpu, kvm),
  });
}

/** Gives a word of the policy another value while a hook runs. */
const during = (name: SwitchHook, word: Word, value: number): Change =>
  around(name, (own, vcpu) => {
    const was = vcpu.words[word];
    vcpu.words[word] = value;
    own();
    vcpu.words[word] = was;
  });

/** Gives a word of the policy another value before a hook runs. */
const before = (name: SwitchHook, word: Word, value: number): Change =>
  around(name, (own, vcpu) => {
    vcpu.words[word] = value;
    own();
  });

/** Leaves `word` set after a put if `word` or `other` was set before. */
const outlasting = (word: Word, other: Word = word): Change =>
  around('vcpu_put', (own, vcpu) => {
    const was = vcpu.words[word] | vcpu.words[other];
    own();
    vcpu.words[word] = was;
  });

/** Zeroes the records that perf's own save leaves out: from the first empty one down. */
function dropBelowHole(vcpu: Vcpu): void {
  const { records } = vcpu;
  const { lbr_from, lbr_to, lbr_info, lbr_nr } = records.model;
  let hole = false;
  for (let i = 0; i < lbr_nr; i++) {
    const at = (records.tos - i) & (lbr_nr - 1);
    hole ||= (records.readLow(lbr_from + at) | records.readHigh(lbr_from + at)) === 0;
    if (!hole) continue;
    records.write(lbr_from + at, 0, 0);
    records.write(lbr_to + at, 0, 0);
    if (lbr_info !== 0) records.write(lbr_info + at, 0, 0);
  }
}

/** Drops a stack at the end of a slice if the policy takes its guest to have stopped. */
const dropping = (stopped: (vcpu: Vcpu<Word>) => boolean): Change =>
  around('vcpu_put', (own, vcpu) => {
    const drop = stopped(vcpu);
    own();
    if (drop) vcpu.records.clear();
  });

/** The host branches between lending and entry. DEBUGCTL.LBR decides if this is recorded. */
const hostBranches: Change = around('vcpu_enter', (own, vcpu, kvm) => {
  own();
  if (vcpu.words.borrowed === 0 || !(kvm instanceof Kvm)) return;
  const hi = branch.addressHigh(true, branch.BRANCH_REL_CALL, branch.HOST_VM, 0, 0);
  kvm['pcpus'][vcpu.pcpu].branch(branch.BRANCH_REL_CALL, 0, 1, hi, 1, hi, false, 1);
});

const CLAUSES_OF_ALL: readonly Clause[] = [
  {
    name: 'restored-before-recording',
    says: 'the stack is restored before an entry with DEBUGCTL.LBR set, though nobody asked for it',
    of: ALL,
    without: around('vcpu_enter', (own, { vmcs }) => {
      const { guestDebugctl } = vmcs;
      vmcs.guestDebugctl = guestDebugctl & ~msrs.DEBUGCTLMSR_LBR;
      own();
      vmcs.guestDebugctl = guestDebugctl;
    }),
  },
  {
    name: 'restored-after-an-access',
    says: 'the stack is restored before the entry that follows an intercepted access',
    of: ALL,
    without: during('vcpu_enter', 'wanted', 0),
  },
  {
    name: 'access-forgotten',
    says: 'an intercepted access counts in its own slice only',
    of: ALL,
    without: outlasting('wanted'),
  },
  {
    name: 'read-from-the-copy',
    says: 'an intercepted read is answered from the parked copy, not from the registers',
    of: ALL,
    without: (policy) => ({
      ...policy,
      get_msr: (kvm, vcpu, msr) => {
        policy.get_msr(kvm, vcpu, msr);
        const eax = kvm.rdmsr(vcpu, msr);
        return msrValue(eax, kvm.edx);
      },
    }),
  },
  {
    name: 'write-into-the-copy',
    says: 'an intercepted write goes into the parked copy, not to the registers',
    of: ALL,
    without: (policy) => ({
      ...policy,
      set_msr: (kvm, vcpu: Vcpu<Word>, msr, eax, edx) => {
        vcpu.words.wanted = 1;
        return kvm.wrmsr_safe(vcpu, msr, eax, edx);
      },
    }),
  },
  {
    name: 'write-checked',
    says: 'an intercepted write that hardware would refuse is refused with #GP',
    of: ALL,
    without: (policy) => ({
      ...policy,
      set_msr: (kvm, vcpu: Vcpu<Word>, msr, eax, edx) => {
        const faults = lbrMap(vcpu.records.model).faults(msr, eax, edx);
        if (!faults) return policy.set_msr(kvm, vcpu, msr, eax, edx);
        vcpu.words.wanted = 1;
        vcpu.records.write(msr, eax, edx);
        return 0;
      },
    }),
  },
  {
    name: 'saved-when-parked',
    says: 'the stack is saved when it leaves the registers',
    of: ALL,
    without: (policy) => onHost(policy, () => ({ saveStack: nothing })),
  },
  {
    name: 'every-slot',
    says: 'every slot is saved, not only those above the first empty one',
    of: ALL,
    without: (policy) =>
      onHost(policy, (kvm) => ({
        saveStack: (vcpu, select) => {
          kvm.saveStack(vcpu, select);
          dropBelowHole(vcpu);
        },
      })),
  },
  {
    name: 'select-with-the-records',
    says: 'LBR_SELECT is saved and restored with the records',
    of: ALL,
    without: (policy) =>
      onHost(policy, (kvm) => ({
        saveStack: (vcpu) => kvm.saveStack(vcpu, false),
        restoreStack: (vcpu) => kvm.restoreStack(vcpu, false),
      })),
  },
  {
    name: 'wiped-when-parked',
    says: 'the registers are wiped when the stack has left them',
    of: ALL,
    without: (policy) => onHost(policy, () => ({ scrubStack: nothing })),
  },
  {
    name: 'intercepted-when-parked',
    says: 'the MSRs are intercepted again when the stack leaves the registers',
    of: ALL,
    without: (policy) =>
      onHost(policy, (kvm) => ({
        setPassthrough: (vcpu, on) => {
          if (on) kvm.setPassthrough(vcpu, true);
        },
      })),
  },
  {
    name: 'direct-when-live',
    says: 'the MSRs are passed through while the stack is in the registers: the copy is old then',
    of: ALL,
    without: (policy) => onHost(policy, () => ({ setPassthrough: nothing })),
  },
  {
    name: 'intercepted-at-first',
    says: 'the MSRs are intercepted from the first entry on',
    of: ALL,
    without: (policy) => ({ ...policy, reset: PASS_THROUGH.reset }),
  },
  {
    name: 'restored-once',
    says: 'a stack that is in the registers is not restored again',
    of: ALL,
    without: before('vcpu_enter', 'live', 0),
  },
  {
    name: 'saved-once',
    says: 'a stack that is not in the registers is not saved from them',
    of: ALL,
    without: before('vcpu_put', 'live', 1),
  },
  {
    name: 'parked-at-put',
    says: 'the stack is parked when the thread leaves the pCPU',
    of: ALL,
    without: during('vcpu_put', 'live', 0),
  },
  {
    name: 'lent',
    says: 'perf lends the registers where an LBR event of the host counts: its stack is kept',
    of: ALL,
    without: (policy) => onHost(policy, () => ({ borrowLbr: nothing, giveBackLbr: nothing })),
  },
  {
    name: 'lent-where-needed',
    says: 'nothing is borrowed where no LBR event of the host counts',
    of: ALL,
    without: (policy) =>
      onHost(policy, (kvm) => ({
        perf: Object.assign(Object.create(kvm.perf) as PolicyHost['perf'], {
          hostLbrActive: () => true,
        }),
      })),
  },
  {
    name: 'given-back',
    says: 'what was borrowed is given back at the exit',
    of: ALL,
    without: (policy) =>
      onHost(policy, (kvm) => ({
        borrowLbr: (vcpu) => {
          const lent = kvm instanceof Kvm && kvm.lentOut(vcpu.pcpu);
          if (!lent) kvm.borrowLbr(vcpu);
        },
        giveBackLbr: nothing,
      })),
  },
  {
    name: 'parked-before-given-back',
    says: 'the stack is parked before the registers are given back',
    of: ALL,
    without: during('vcpu_exit', 'live', 0),
  },
  {
    name: 'recording-stops-first',
    says: 'the host stops recording before its registers are borrowed',
    of: ALL,
    world: hostBranches,
    without: (policy) =>
      onHost(policy, (kvm) => ({
        borrowLbr: (vcpu) => {
          kvm.borrowLbr(vcpu);
          if (!(kvm instanceof Kvm)) return;
          kvm['pcpus'][vcpu.pcpu].wrmsr(msrs.MSR_IA32_DEBUGCTLMSR, vcpu.host_debugctl, 0);
        },
      })),
  },
  {
    name: 'debugctl-read-first',
    says: "the host's DEBUGCTL is read before borrowing changes it",
    of: ALL,
    without: (policy) =>
      onHost(policy, (kvm) => ({
        borrowLbr: (vcpu) => {
          kvm.borrowLbr(vcpu);
          vcpu.host_debugctl &= ~msrs.DEBUGCTLMSR_LBR;
        },
      })),
  },
  {
    name: 'told-of-host-events',
    says: 'perf tells KVM before an LBR event of the host goes on, and the stack is parked',
    of: ALL,
    without: (policy) => ({ ...policy, host_perf_event: nothing }),
  },
  {
    name: 'no-host-pmi-while-lent',
    says: 'no PMI of the host comes between the borrowing and the entry',
    of: ALL,
    without: around('vcpu_enter', (own, vcpu, { perf }) => {
      own();
      if (vcpu.words.borrowed !== 0 && perf instanceof HostKernel) perf.pmi(vcpu.pcpu);
    }),
  },
  {
    name: 'freeze-undone',
    says: "LBR that a counter of the host's has cleared in the guest is set again at the exit",
    of: ALL,
    without: around('vcpu_exit', (own, { vmcs }) => {
      const { guestDebugctl } = vmcs;
      own();
      vmcs.guestDebugctl = guestDebugctl;
    }),
  },
  {
    name: 'sent-on-migration',
    says: 'live migration sends the parked copy, DEBUGCTL and ACTIVE',
    of: ALL,
    without: (policy) => ({ ...policy, get_state: () => false }),
  },
];

const CLAUSES_OF_ONE: readonly Clause[] = [
  {
    name: 'active-is-a-hint',
    says: 'with ACTIVE clear the stack is parked as ever, not dropped',
    of: ['pv-sound'],
    without: dropping((vcpu) => vcpu.pvLbrCtrl === 0),
  },
  {
    name: 'start-clears-active',
    says: 'a CPU that starts clears ACTIVE, which the kernel before a kexec has left',
    of: ['pv-sound'],
    without: (policy) => ({ ...policy, pv: 'add-del' }),
  },
  {
    name: 'eager-while-active',
    says: 'the stack is restored without waiting for an access while ACTIVE is set',
    of: ['pv-sound'],
    without: around('vcpu_enter', (own, vcpu) => {
      const { pvLbrCtrl } = vcpu;
      vcpu.pvLbrCtrl = 0;
      own();
      vcpu.pvLbrCtrl = pvLbrCtrl;
    }),
  },
  {
    name: 'stop-is-a-guess',
    says: 'after a slice without a sign of use the stack is parked as ever, not dropped',
    of: ['parked'],
    without: dropping((vcpu) => vcpu.words.used === 0),
  },
  {
    name: 'use-forgotten',
    says: 'signs of use count in their own slice only',
    of: ['parked'],
    without: outlasting('used'),
  },
  {
    name: 'eager-for-one-slice',
    says: 'a slice without a sign of use ends the eager restore',
    of: ['parked'],
    without: outlasting('eager', 'used'),
  },
  {
    name: 'eager-after-use',
    says: 'after a slice with a sign of use the stack is restored without waiting for another',
    of: ['parked'],
    without: during('vcpu_enter', 'eager', 0),
  },
];

export const CLAUSES: readonly Clause[] = [...CLAUSES_OF_ALL, ...CLAUSES_OF_ONE];
