/* Stands for arch/x86/include/asm/mwait.h: what KVM calls is in prototypes.h. */
