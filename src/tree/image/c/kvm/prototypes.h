/*
 * Included before every file of KVM: prototypes and constants whose home is a header that c/ or
 * c/kvm/ stands for. What no file of the image defines is an import, which answers by its name.
 */
#ifndef VLBR_KVM_PROTOTYPES_H
#define VLBR_KVM_PROTOTYPES_H
#include <linux/types.h>
#include <linux/profile.h>
#include <vlbr_kvm_features.h>
struct cpumask;
struct fpstate;
struct fpu_guest;
struct mm_struct;
struct perf_event;

/* asm/fpu/api.h, asm/pkru.h, asm/fpu/xcr.h */
void fpregs_lock(void);
void fpregs_unlock(void);
void fpregs_assert_state_consistent(void);
void switch_fpu_return(void);
bool fpu_alloc_guest_fpstate(struct fpu_guest *guest);
void fpu_free_guest_fpstate(struct fpu_guest *guest);
int fpu_swap_kvm_fpstate(struct fpu_guest *guest, bool enter_guest);
int fpu_enable_guest_xfd_features(struct fpu_guest *guest, u64 xfeatures);
void fpu_update_guest_xfd(struct fpu_guest *guest, u64 xfd);
void fpu_sync_guest_vmexit_xfd_state(void);
bool fpstate_is_confidential(struct fpu_guest *guest);
void fpstate_clear_xstate_component(struct fpstate *state, unsigned int xfeature);
int fpu_copy_uabi_to_guest_fpstate(struct fpu_guest *guest, const void *buf, u64 xcr0, u32 *vpkru);
void fpu_copy_guest_fpstate_to_uabi(struct fpu_guest *guest, void *buf, unsigned int size,
				    u64 xfeatures, u32 pkru);
u64 xstate_get_guest_group_perm(void);
u32 rdpkru(void);
void wrpkru(u32 pkru);
u32 read_pkru(void);
void write_pkru(u32 pkru);
void __write_pkru(u32 pkru);
u64 xgetbv(u32 index);
void xsetbv(u32 index, u64 value);

/* asm/special_insns.h, asm/tlbflush.h, asm/irqflags.h */
unsigned long read_cr0(void);
unsigned long native_read_cr2(void);
void native_write_cr2(unsigned long value);
#define read_cr2 native_read_cr2
#define write_cr2 native_write_cr2
unsigned long __read_cr3(void);
unsigned long __get_current_cr3_fast(void);
unsigned long __read_cr4(void);
unsigned long cr4_read_shadow(void);
void cr4_set_bits(unsigned long mask);
void cr4_clear_bits(unsigned long mask);
void wbinvd(void);
int wbinvd_on_all_cpus(void);
void wbinvd_on_cpu(int cpu);
void wbinvd_on_cpus_mask(struct cpumask *cpus);
#define INVPCID_TYPE_INDIV_ADDR 0
#define INVPCID_TYPE_SINGLE_CTXT 1
#define INVPCID_TYPE_ALL_INCL_GLOBAL 2
#define INVPCID_TYPE_ALL_NON_GLOBAL 3
unsigned long native_save_fl(void);

/* asm/debugreg.h */
unsigned long vlbr_get_debugreg(int number);
#define get_debugreg(value, number) ((value) = vlbr_get_debugreg(number))
void set_debugreg(unsigned long value, int number);
#define hw_breakpoint_active() 0
#define hw_breakpoint_restore() do { } while (0)

/* asm/segment.h, asm/mmu_context.h, asm/processor.h */
#define savesegment(segment, value) ((value) = 0)
#define loadsegment(segment, value) do { } while (0)
void load_gs_index(unsigned int selector);
unsigned long cpu_kernelmode_gs_base(int cpu);
bool is_64bit_mm(struct mm_struct *mm);
void current_save_fsgs(void);
void save_fsgs_for_kvm(void);
bool __is_canonical_address(u64 address, u8 bits);
u64 __canonical_address(u64 address, u8 bits);
enum l1tf_mitigations {
	L1TF_MITIGATION_OFF,
	L1TF_MITIGATION_AUTO,
	L1TF_MITIGATION_FLUSH_NOWARN,
	L1TF_MITIGATION_FLUSH,
	L1TF_MITIGATION_FLUSH_NOSMT,
	L1TF_MITIGATION_FULL,
	L1TF_MITIGATION_FULL_FORCE
};
extern enum l1tf_mitigations l1tf_mitigation;
bool gds_ucode_mitigated(void);

/* asm/cpufeature.h: a processor without any bug. */
#define boot_cpu_has_bug(bug) 0
#define static_cpu_has_bug(bug) 0
#define cpu_has_bug(c, bug) 0
#define MAX_CPU_FEATURES (NCAPINTS * 32)

/* asm/cpu.h, asm/hardirq.h, asm/irq.h, asm/kvm_para.h */
unsigned int x86_family(unsigned int signature);
unsigned int x86_model(unsigned int signature);
unsigned int x86_stepping(unsigned int signature);
bool handle_guest_split_lock(unsigned long ip);
bool kvm_get_cpu_l1tf_flush_l1d(void);
void kvm_set_cpu_l1tf_flush_l1d(void);
void kvm_clear_cpu_l1tf_flush_l1d(void);
#define cpu_physical_id(cpu) (cpu)
/* asm/processor.h, up to 5.5 */
#define IO_BITMAP_OFFSET 0x68
u32 kvm_read_and_reset_apf_flags(void);
u32 kvm_read_and_reset_pf_reason(void);
void kvm_set_posted_intr_wakeup_handler(void (*handler)(void));
void x86_entry_from_kvm(unsigned int event_type, unsigned int vector);
typedef void (cpu_emergency_virt_cb)(void);
void cpu_emergency_register_virt_callback(cpu_emergency_virt_cb *callback);
void cpu_emergency_unregister_virt_callback(cpu_emergency_virt_cb *callback);
#define for_each_possible_hypervisor_cpuid_base(function) \
	for (function = 0x40000000; function < 0x40010000; function += 0x100)

u32 hypervisor_cpuid_base(const char *sig, u32 leaves);

/* asm/tsc.h */
u64 rdtsc_ordered(void);
extern unsigned int tsc_khz, cpu_khz;
int check_tsc_unstable(void);
void mark_tsc_unstable(char *reason);

/* asm/mem_encrypt.h, asm/pgtable.h, asm/uaccess.h */
#define sme_me_mask 0ULL
#define _PAGE_PRESENT 0x1
#define _PAGE_RW 0x2
#define _PAGE_USER 0x4
#define _PAGE_ACCESSED 0x20
#define _PAGE_DIRTY 0x40
#define _PAGE_PSE 0x80
/* Up to 5.7. */
#if !__has_include(<linux/pgtable.h>)
#define is_zero_pfn(pfn) 0
#endif
#define pte_write(pte) 0
#define pte_pfn(pte) 0
#define pte_unmap(pte) do { } while (0)
#define __try_cmpxchg_user(ptr, oldp, nval, label) ({ __builtin_trap(); 0; })

/* Up to 5.8 KVM makes room for another thread so, and sleeps in no other place. */
#ifdef VLBR_COND_RESCHED
#define _cond_resched vlbr_kvm_cond_resched
#endif

/* Events that KVM makes are to be seen. */
#define perf_event_create_kernel_counter vlbr_kvm_create_event
#define perf_event_release_kernel vlbr_kvm_release_event
#endif
