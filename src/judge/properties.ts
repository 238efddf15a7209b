import type { CpuModel } from '../hw/cpu_models.js';

/** Every property that a policy is judged by, in the order of the matrix. */
export const PROPERTY_NAMES = [
  'no-loss/callstack',
  'no-loss/any',
  'no-leak/vm',
  'no-leak/task',
  'callstack-true',
  'sample-true',
  'host-intact',
  'owner-only',
  'recorder-owned',
  'active-agrees',
  'no-needless-switch',
  'no-premature-stop',
  'no-fault',
  'balanced',
  'filter-true',
  'no-loss/task',
  'no-warn',
  'events-true',
  'events-count',
  'pass-through',
  'debugctl-true',
  'pmi-true',
] as const;
export type PropertyName = (typeof PROPERTY_NAMES)[number];

/** Situations whose occurrences are counted: a property is only as good as the risk it met. */
export const REACH_NAMES = [
  'read-after-other',
  'callstack-read-after-other',
  'foreign-in-registers',
  'sample-after-other-task',
  'callstack-sample',
  'host-sample-after-guest',
  'policy-access',
  'recorded-after-other',
  'switch-while-active',
  'switch-after-stop',
  'stop-with-records',
  'lbr-access',
  'balance-checked',
  'sample-judged',
  'filter-judged',
  'wrapped',
  'switch-in-function',
  'switch-in-lbr-off-window',
  'guest-shortcut',
  'host-shortcut',
  'contended-entry',
  'legacy-freeze',
  'clone-swap',
  'task-came-back',
  'events-judged',
  'event-scheduled',
  'entered-with-event',
  'entered-again',
  'counter-overflow',
] as const;
export type ReachName = (typeof REACH_NAMES)[number];

/** A named claim; tests, CLI and README use the same object. */
export interface Property {
  readonly name: PropertyName;
  readonly statement: string;
  /** Whose it is: a host's policy can break it, or a guest's kernel alone. */
  readonly of: 'policy' | 'kernel';
  /** The situation without which the claim says nothing. */
  readonly reach: ReachName;
  /** Why it says nothing on this CPU whatever the policy, or null. */
  notApplicable(model: CpuModel): string | null;
}

const always = (): null => null;

function needsCallstack(model: CpuModel): string | null {
  return model.callstack ? null : `${model.name} has no call-stack mode`;
}

const STATEMENTS: Readonly<
  Record<PropertyName, Omit<Property, 'name' | 'of'> & Partial<Pick<Property, 'of'>>>
> = {
  'no-loss/callstack': {
    statement:
      'While a guest uses LBR call-stack mode, every value it reads from an LBR MSR equals the ' +
      'reference machine’s, where each vCPU owns a pCPU; the TOS of an empty stack aside.',
    reach: 'callstack-read-after-other',
    notApplicable: needsCallstack,
  },
  'no-loss/any': {
    statement:
      'Every value a guest reads from an LBR MSR or from DEBUGCTL, in any mode, equals the ' +
      'reference machine’s.',
    reach: 'read-after-other',
    notApplicable: always,
  },
  'no-leak/vm': {
    statement: 'No guest ever reads a record of another VM or of the host.',
    reach: 'foreign-in-registers',
    notApplicable: always,
  },
  'no-leak/task': {
    statement: 'No sample of a task holds a record of another task.',
    reach: 'sample-after-other-task',
    notApplicable: always,
  },
  'callstack-true': {
    statement:
      'A call-stack sample is the innermost part of the task’s real call stack, up to depth.',
    reach: 'callstack-sample',
    notApplicable: needsCallstack,
  },
  'sample-true': {
    statement:
      'A sample holds exactly the records that hardware held and the event asked for, newest ' +
      'first, each with its own source, target, flags, cycles and type.',
    reach: 'sample-judged',
    notApplicable: always,
  },
  'host-intact': {
    statement:
      'The host’s own LBR user never sees a record or a filter that a guest left, and DEBUGCTL ' +
      'after an exit is the host’s.',
    reach: 'host-sample-after-guest',
    notApplicable: always,
  },
  'owner-only': {
    statement:
      'The host accesses LBR MSRs only for the vCPU that is loaded, or for its own event where ' +
      'that counts.',
    reach: 'policy-access',
    notApplicable: always,
  },
  'recorder-owned': {
    statement: 'Whenever hardware records for a guest, the records it holds are that vCPU’s.',
    reach: 'recorded-after-other',
    notApplicable: always,
  },
  'active-agrees': {
    statement:
      'At each vCPU switch ACTIVE is set if and only if a call-stack user is on that vCPU; ' +
      'inside a guest function, at least if it records in call-stack mode.',
    reach: 'switch-while-active',
    notApplicable: needsCallstack,
  },
  'no-needless-switch': {
    statement:
      'After a guest stopped using LBR, at most k more switches of the vCPU save or restore, k ' +
      'being the policy’s.',
    reach: 'switch-after-stop',
    notApplicable: always,
  },
  'no-premature-stop': {
    statement:
      'The host never takes a guest to have stopped and drops what a later read must return.',
    reach: 'stop-with-records',
    notApplicable: always,
  },
  'no-fault': {
    statement:
      'No MSR access raises #GP that would not on the guest’s own pCPU, and no write that would ' +
      'raise it there takes effect; no host access raises it, and no VM entry fails.',
    reach: 'lbr-access',
    notApplicable: always,
  },
  balanced: {
    statement:
      'lbr_users, lbr_callstack_users, sched_cb_usage and the events that count agree whenever a ' +
      'kernel function has returned.',
    reach: 'balance-checked',
    notApplicable: always,
  },
  'filter-true': {
    statement:
      'LBR is on exactly while events count, and LBR_SELECT then lets through every branch that ' +
      'they ask for; call-stack mode and FREEZE_LBRS_ON_PMI are on exactly where that mode needs ' +
      'them; what the PMU can’t record is refused when the event is opened.',
    reach: 'filter-judged',
    notApplicable: always,
  },
  'no-loss/task': {
    statement:
      'A task that is profiled in call-stack mode finds after every switch of tasks the stack ' +
      'that it left.',
    of: 'kernel',
    reach: 'task-came-back',
    notApplicable: needsCallstack,
  },
  'no-warn': {
    statement:
      'No WARN_ON of a guest’s kernel that runs as C code is true, nor a VM’s kernel accesses an ' +
      'MSR unchecked that faults.',
    of: 'kernel',
    reach: 'lbr-access',
    notApplicable: always,
  },
  'events-true': {
    statement:
      'The context of each task holds the events that were opened for the task or that it has ' +
      'inherited, one of each, and no others.',
    of: 'kernel',
    reach: 'events-judged',
    notApplicable: always,
  },
  'events-count': {
    statement:
      'Whenever a kernel function has returned, an event counts if it is on and of the CPU or of ' +
      'the task that runs, unless one in its way asks for other branches or all counters are ' +
      'taken; a pinned event gives way to pinned ones alone; no other event counts.',
    of: 'kernel',
    reach: 'event-scheduled',
    notApplicable: always,
  },
  'pass-through': {
    statement:
      'Whenever the KVM of a tree enters a guest, the guest has its LBR MSRs directly if its LBR ' +
      'event counts on the pCPU or perf has lent it the registers, and none of them if not; KVM ' +
      'accesses them for it only in the first case.',
    of: 'kernel',
    reach: 'entered-with-event',
    notApplicable: always,
  },
  'debugctl-true': {
    statement:
      'From a VM exit to the next entry, the KVM of a tree keeps the guest’s DEBUGCTL, unless ' +
      'the guest writes it or a PMI freezes LBR, and FREEZE_IN_SMM is the host’s.',
    of: 'kernel',
    reach: 'entered-again',
    notApplicable: always,
  },
  'pmi-true': {
    statement:
      'A counter of a guest that the KVM of a tree counts does count while the guest runs, and ' +
      'its overflow brings a PMI with the bit of the counter in GLOBAL_STATUS.',
    of: 'kernel',
    reach: 'counter-overflow',
    notApplicable: always,
  },
};

/** Every property, in the order of the matrix. */
export const PROPERTIES: readonly Property[] = PROPERTY_NAMES.map((name) => ({
  name,
  of: 'policy',
  ...STATEMENTS[name],
}));

/** Those that a policy is judged by: the rows of the matrix. */
export const POLICY_PROPERTIES: readonly Property[] = PROPERTIES.filter(
  ({ of }) => of === 'policy',
);

function numbersOf<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name, i) => [name, i])) as Record<Name, number>;
}

/** Numbers of the properties by name, which are their indices in PROPERTY_NAMES. */
export const PROPERTY: Readonly<Record<PropertyName, number>> = numbersOf(PROPERTY_NAMES);

/** Numbers of the reach counters by name, which are their indices in REACH_NAMES. */
export const REACH: Readonly<Record<ReachName, number>> = numbersOf(REACH_NAMES);
