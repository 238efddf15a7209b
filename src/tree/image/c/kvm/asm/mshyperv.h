/* Stands for arch/x86/include/asm/mshyperv.h: the host runs on bare metal. */
#ifndef VLBR_KVM_ASM_MSHYPERV_H
#define VLBR_KVM_ASM_MSHYPERV_H
#if __has_include(<hyperv/hvhdk.h>)
#include <hyperv/hvhdk.h>
#else
#include <asm/hyperv-tlfs.h>
#endif
struct ms_hyperv_info {
	u32 features, misc_features, hints, nested_features;
};
extern struct ms_hyperv_info ms_hyperv;
#define hyperv_stop_tsc_emulation() do { } while (0)
#define set_hv_tscchange_cb(cb) do { } while (0)
#define clear_hv_tscchange_cb() do { } while (0)
#define hv_get_vp_assist_page(cpu) ((struct hv_vp_assist_page *)0)
#endif
