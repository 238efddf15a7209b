/* Stands for arch/x86/include/asm/clocksource.h: the names of its clocks. */
#ifndef VLBR_KVM_ASM_CLOCKSOURCE_H
#define VLBR_KVM_ASM_CLOCKSOURCE_H
#define VDSO_ARCH_CLOCKMODES VDSO_CLOCKMODE_TSC, VDSO_CLOCKMODE_PVCLOCK, VDSO_CLOCKMODE_HVCLOCK
#endif
