/* Stands for arch/x86/include/asm/clocksource.h: the names of its clocks. */
#ifndef VLBR_KVM_ASM_CLOCKSOURCE_H
#define VLBR_KVM_ASM_CLOCKSOURCE_H
/* Up to 5.6 the tree's own. */
#if !__has_include(<asm/vdso/clocksource.h>)
#include_next <asm/clocksource.h>
#endif
#define VDSO_ARCH_CLOCKMODES VDSO_CLOCKMODE_TSC, VDSO_CLOCKMODE_PVCLOCK, VDSO_CLOCKMODE_HVCLOCK
#endif
