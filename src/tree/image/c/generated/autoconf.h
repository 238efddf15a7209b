/*
 * Stands for include/generated/autoconf.h: the smallest configuration with perf, on an Intel CPU,
 * with several CPUs, without preemption. Names of several versions stand beside each other: a
 * tree does not read the others'.
 */
#define CONFIG_X86 1
#ifdef VLBR_64BIT
#define CONFIG_X86_64 1
#define CONFIG_64BIT 1
/* asm/bitsperlong.h: the generic one of 5.9 to 5.12 takes a long for 32 bits otherwise. */
#define __BITS_PER_LONG 64
#else
#define CONFIG_X86_32 1
#define CONFIG_GENERIC_ATOMIC64 1
#endif
#define CONFIG_CPU_SUP_INTEL 1
#define CONFIG_X86_LOCAL_APIC 1
#define CONFIG_SMP 1
#define CONFIG_NR_CPUS 8
#define CONFIG_PERF_EVENTS 1
#define CONFIG_CGROUPS 1
#define CONFIG_CGROUP_PERF 1
#define CONFIG_KERNFS 1
#define CONFIG_HAVE_PERF_REGS 1
#define CONFIG_BUG 1
#define CONFIG_PRINTK 1
#define CONFIG_LOG_BUF_SHIFT 14
#define CONFIG_HZ 1000
#define CONFIG_NO_HZ_COMMON 1
#define CONFIG_PREEMPT_NONE 1
#define CONFIG_PREEMPT_COUNT 1
#define CONFIG_THREAD_INFO_IN_TASK 1
#define CONFIG_TINY_RCU 1
#define CONFIG_RCU_FANOUT 64
#define CONFIG_SRCU 1
#define CONFIG_TINY_SRCU 1
#define CONFIG_HAVE_ARCH_JUMP_LABEL 0
#define CONFIG_SLUB 1
#define CONFIG_FLATMEM 1
#define CONFIG_NODES_SHIFT 0
#define CONFIG_PAGE_SHIFT 12
#define CONFIG_BASE_SMALL 0
#define CONFIG_PHYSICAL_START 0
#define CONFIG_SPLIT_PTLOCK_CPUS 999999
#define CONFIG_MAX_SKB_FRAGS 17
#define CONFIG_INIT_ENV_ARG_LIMIT 32
#define CONFIG_CC_IS_CLANG 1
#define CONFIG_CLANG_VERSION 140006
