/**
 * Constants of include/linux/perf_event.h, include/uapi/linux/perf_event.h and
 * arch/x86/events/perf_event.h, Linux 6.1, that the LBR path uses.
 */

/** perf_event_attr::branch_sample_type, include/uapi/linux/perf_event.h. */
export const PERF_SAMPLE_BRANCH_USER: number = 1 << 0;
export const PERF_SAMPLE_BRANCH_KERNEL: number = 1 << 1;
export const PERF_SAMPLE_BRANCH_HV: number = 1 << 2;
export const PERF_SAMPLE_BRANCH_ANY: number = 1 << 3;
export const PERF_SAMPLE_BRANCH_ANY_CALL: number = 1 << 4;
export const PERF_SAMPLE_BRANCH_ANY_RETURN: number = 1 << 5;
export const PERF_SAMPLE_BRANCH_IND_CALL: number = 1 << 6;
export const PERF_SAMPLE_BRANCH_ABORT_TX: number = 1 << 7;
export const PERF_SAMPLE_BRANCH_IN_TX: number = 1 << 8;
export const PERF_SAMPLE_BRANCH_NO_TX: number = 1 << 9;
export const PERF_SAMPLE_BRANCH_COND: number = 1 << 10;
export const PERF_SAMPLE_BRANCH_CALL_STACK: number = 1 << 11;
export const PERF_SAMPLE_BRANCH_IND_JUMP: number = 1 << 12;
export const PERF_SAMPLE_BRANCH_CALL: number = 1 << 13;
export const PERF_SAMPLE_BRANCH_NO_FLAGS: number = 1 << 14;
export const PERF_SAMPLE_BRANCH_NO_CYCLES: number = 1 << 15;
export const PERF_SAMPLE_BRANCH_TYPE_SAVE: number = 1 << 16;
export const PERF_SAMPLE_BRANCH_HW_INDEX: number = 1 << 17;
export const PERF_SAMPLE_BRANCH_PRIV_SAVE: number = 1 << 18;
export const PERF_SAMPLE_BRANCH_MAX_SHIFT = 19;

export const PERF_SAMPLE_BRANCH_PLM_ALL: number =
  PERF_SAMPLE_BRANCH_USER | PERF_SAMPLE_BRANCH_KERNEL | PERF_SAMPLE_BRANCH_HV;

/** branch_sample_type of `perf record --call-graph lbr`. */
export const CALLSTACK_USER: number = PERF_SAMPLE_BRANCH_CALL_STACK | PERF_SAMPLE_BRANCH_USER;

/** Whether a branch_sample_type makes its event a user of call-stack mode. */
export function isUserCallstack(type: number): boolean {
  return (type & CALLSTACK_USER) === CALLSTACK_USER;
}

/** Error numbers, include/uapi/asm-generic/errno-base.h and errno.h. */
export const EAGAIN = 11;
export const EBUSY = 16;
export const EINVAL = 22;
export const EOPNOTSUPP = 95;

/** enum perf_event_state. */
export const PERF_EVENT_STATE_DEAD = -4;
/** Its task has exited. */
export const PERF_EVENT_STATE_EXIT = -3;
export const PERF_EVENT_STATE_ERROR = -2;
export const PERF_EVENT_STATE_OFF = -1;
export const PERF_EVENT_STATE_INACTIVE = 0;
export const PERF_EVENT_STATE_ACTIVE = 1;

/** enum event_type_t. */
export const EVENT_FLEXIBLE = 1;
export const EVENT_PINNED = 2;
export const EVENT_TIME = 4;
export const EVENT_CPU = 8;
/** Events are scheduled out for a guest that has the PMU to itself, or in after it. */
export const EVENT_GUEST = 0x40;
export const EVENT_ALL: number = EVENT_FLEXIBLE | EVENT_PINNED;

export const LBR_NONE = 0;
export const LBR_VALID = 1;

/** hw_perf_event::idx of the guest LBR event, arch/x86/include/asm/perf_event.h. */
export const INTEL_PMC_IDX_FIXED_VLBR = 58;

/** hw_perf_event::idx of the first fixed counter, arch/x86/include/asm/perf_event.h. */
export const INTEL_PMC_IDX_FIXED = 32;

/** hw_perf_event::idx of an event that was never assigned a counter. */
export const IDX_UNASSIGNED = -1;

/** Attributes of an event, one word: the bits of perf_event_attr that matter here. */
export const ATTR_PINNED: number = 1 << 0;
export const ATTR_INHERIT: number = 1 << 1;
export const ATTR_DISABLED: number = 1 << 2;
/** config is INTEL_FIXED_VLBR_EVENT and exclude_host is set: KVM's guest LBR event. */
export const ATTR_VLBR: number = 1 << 3;
/**
 * The guest LBR event of v8: it asks for the register that LBR events share, with LBR_VCPU in its
 * config, so that no other event has the same one.
 */
export const ATTR_VLBR_EXCLUDES: number = 1 << 4;

/** Attributes that only a guest which runs as C code has. */
export const ATTR_ENABLE_ON_EXEC: number = 1 << 5;
export const ATTR_FREQ: number = 1 << 6;
/** A task's event that counts on the CPU only on which it was opened. */
export const ATTR_BOUND: number = 1 << 7;
/** An event of the CPU that counts only while a task of cgroup a, or of b, runs there. */
export const ATTR_CGROUP_A: number = 1 << 8;
export const ATTR_CGROUP_B: number = 1 << 9;
const ATTR_CGROUP_SHIFT = 8;

/** inherit_stat, of `perf record -s`: where two tasks swap contexts, counts and times stay. */
export const ATTR_INHERIT_STAT: number = 1 << 10;

/** A counter of the host's own: it asks for no branches, and any general counter can count it. */
export const ATTR_COUNTER: number = 1 << 11;
const ATTR_FIXED_SHIFT = 12;

/** ATTR_* bits of what a fixed counter counts: instructions, cycles, or reference cycles. */
export function onFixedCounter(fixed: number): number {
  return ATTR_COUNTER | ((fixed + 1) << ATTR_FIXED_SHIFT);
}

/** The fixed counter that counts an event, or -1 if a general one does. */
export function fixedCounterOf(attr: number): number {
  return ((attr >> ATTR_FIXED_SHIFT) & 3) - 1;
}

/** The cgroups of a guest that runs as C code; each lies in the one before it. */
export const CGROUPS: readonly string[] = ['root', 'a', 'b'];

/** The cgroup that an event is for, by its number; 0 where it is for all tasks. */
export function cgroupAsked(attr: number): number {
  return (attr & (ATTR_CGROUP_A | ATTR_CGROUP_B)) >> ATTR_CGROUP_SHIFT;
}

/** struct lbr_entry and the saved registers of one record: from, to, info. */
export const LBR_ENTRY_WORDS = 6;

/** struct perf_branch_entry: from, to, and one word of flags and cycles. */
export const BRANCH_ENTRY_WORDS = 5;
export const BRANCH_MISPRED: number = 1 << 0;
export const BRANCH_PREDICTED: number = 1 << 1;
export const BRANCH_IN_TX: number = 1 << 2;
export const BRANCH_ABORT: number = 1 << 3;
/** cycles (16 bits) and type (4 bits) sit above the flags. */
export const BRANCH_CYCLES_SHIFT = 4;
export const BRANCH_TYPE_SHIFT = 20;
