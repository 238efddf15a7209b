/* Stands for arch/x86/include/asm/fpu/api.h: what KVM calls is in prototypes.h. */
