/** What `vlbr_view()` of c/events_core.c shows, as words: the same order as its structures. */

/** VIEW_EVENTS, VLBR_TASKS and VIEW_COUNTERS there. */
const EVENTS_MOST = 64;
const TASKS_MOST = 64;
export const COUNTERS = 4;

/** Number of events; numbers of tasks and CPUs follow. */
export const EVENTS_NR = 0;
export const EVENTS = 3;

export const EVENT_ADDRESS = 0;
/** Rises with each event that is made. */
export const EVENT_ID = 1;
export const EVENT_STATE = 2;
export const EVENT_CTX = 3;
/** The task of its context. */
export const EVENT_TASK = 4;
export const EVENT_CPU = 5;
export const EVENT_ONCPU = 6;
export const EVENT_IDX = 7;
export const EVENT_BRANCH_SAMPLE_TYPE = 8;
export const EVENT_PARENT = 9;
export const EVENT_PINNED = 10;
export const EVENT_INHERIT = 11;
export const EVENT_WORDS = 12;

export const TASKS: number = EVENTS + EVENTS_MOST * EVENT_WORDS;
export const TASK_ADDRESS = 0;
/** The address of a task that has exited. */
export const TASK_EXITED = 1;
export const TASK_CTX = 1;
export const TASK_DATA = 2;
export const TASK_CALLSTACK_USERS = 3;
export const TASK_ON_CPU = 4;
export const TASK_CPU = 5;
export const TASK_WORDS = 6;

export const CPUS: number = TASKS + TASKS_MOST * TASK_WORDS;
export const CPU_CURRENT = 0;
export const CPU_TASK_CTX = 1;
export const CPU_LAST_TASK_CTX = 2;
export const CPU_SCHED_CB_USAGE = 3;
export const CPU_PERF_SCHED_CB_USAGES = 4;
export const CPU_PMU_DISABLE_COUNT = 5;
export const CPU_ENABLED = 6;
export const CPU_N_EVENTS = 7;
export const CPU_LBR_USERS = 8;
export const CPU_COUNTERS = 9;
export const CPU_LBR_SEL_CONFIG: number = CPU_COUNTERS + COUNTERS;
export const CPU_GUEST_MASK_VLBR: number = CPU_LBR_SEL_CONFIG + 1;
/** event_list, as far as it goes. */
export const CPU_LIST: number = CPU_GUEST_MASK_VLBR + 1;
export const LIST = 16;
export const CPU_WORDS: number = CPU_LIST + LIST;
