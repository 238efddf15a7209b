/*
 * Included before every file of the tree: prototypes whose home is a header that this folder
 * stands for. What is not defined in kernel.c is an import, which answers by its name.
 */
#include <linux/types.h>
#include <vlbr_features.h>
struct insn;
struct mm_struct;
struct page;
struct pt_regs;
struct task_struct;

/* A CPU that waits for another one: the machine may run that other one. */
void vlbr_relax(void);
#define cpu_relax() vlbr_relax()

/* asm/uaccess.h */
unsigned long raw_copy_to_user(void *to, const void *from, unsigned long n);
unsigned long raw_copy_from_user(void *to, const void *from, unsigned long n);
unsigned long copy_from_user_nmi(void *to, const void *from, unsigned long n);
/* Up to 5.7. */
#define __copy_from_user_nmi copy_from_user_nmi
bool nmi_uaccess_okay(void);
/* In 5.9 to 5.12, for the walk of a user's stack. */
#define __range_not_ok(addr, size, limit) ((unsigned long)(addr) > (limit) - (size))

/* asm/page.h, asm/pgtable.h, asm/mmu_context.h, asm/tlbflush.h */
void pgtable_cache_init(void);
void copy_user_page(void *to, void *from, unsigned long vaddr, struct page *page);
#ifndef VLBR_INLINE_CLEAR_USER_PAGE
void clear_user_page(void *page, unsigned long vaddr, struct page *pg);
#endif
void switch_mm(struct mm_struct *prev, struct mm_struct *next, struct task_struct *task);
void flush_tlb_kernel_range(unsigned long start, unsigned long end);

/* asm/nmi.h, asm/hardirq.h */
int reserve_perfctr_nmi(unsigned int msr);
int reserve_evntsel_nmi(unsigned int msr);
void release_perfctr_nmi(unsigned int msr);
void release_evntsel_nmi(unsigned int msr);
void inc_perf_irq_stat(void);
#define inc_irq_stat(member) do { } while (0)

/* asm/topology.h, asm/cpu.h, asm/apic.h */
int topology_max_smt_threads(void);
u8 get_this_hybrid_cpu_type(void);
int default_cpu_present_to_apicid(int cpu);

/* asm/msr.h */
int msr_set_bit(u32 msr, u8 bit);
int msr_clear_bit(u32 msr, u8 bit);
int wrmsrq_on_cpu(unsigned int cpu, u32 msr, u64 q);
int wrmsr_on_cpu(unsigned int cpu, u32 msr, u32 low, u32 high);

/* asm/timer.h, asm/ptrace.h, asm/uprobes.h, asm/kvm_para.h */
u64 native_sched_clock_from_tsc(u64 tsc);
unsigned long regs_get_register(struct pt_regs *regs, unsigned int offset);
bool is_uprobe_at_func_entry(struct pt_regs *regs);
unsigned int kvm_arch_para_features(void);
unsigned int kvm_arch_para_hints(void);
#ifndef VLBR_INLINE_SCHED_CLOCK_STABLE
int sched_clock_stable(void);
#endif
