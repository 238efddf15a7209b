/* Stands for arch/x86/include/asm/kvm_para.h, whose C part is inline assembly. */
#include <uapi/asm/kvm_para.h>
