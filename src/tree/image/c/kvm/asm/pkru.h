/* Stands for arch/x86/include/asm/pkru.h: what KVM calls is in prototypes.h. */
