/* Stands for arch/x86/include/asm/reboot.h: what KVM calls is in prototypes.h. */
