/* The tree's own, after what it takes for granted. */
struct perf_event;
struct perf_guest_switch_msr;
#include <asm/ptrace.h>
#include_next <asm/perf_event.h>
