/* Stands for arch/x86/include/asm/ibt.h: no function begins with ENDBR here. */
#define ENDBR_INSN_SIZE 0
