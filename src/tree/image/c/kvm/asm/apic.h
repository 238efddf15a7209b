/* The tree's own: KVM uses its layout of registers. perf's shim of it stays for prototypes. */
#ifndef VLBR_KVM_ASM_APIC_H
#define VLBR_KVM_ASM_APIC_H
#include <linux/static_call.h>
#ifndef static_call_mod
#define static_call_mod(name) static_call(name)
#endif
#define alternative_io(...) do { } while (0)
/* Its type differs from that of perf's shim. */
#define default_cpu_present_to_apicid vlbr_cpu_present_to_apicid
#include <asm/irq_vectors.h>
#include <../arch/x86/include/asm/apic.h>
#undef default_cpu_present_to_apicid
#endif
