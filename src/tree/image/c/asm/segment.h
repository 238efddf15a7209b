/* The tree's own, but the constants alone: its C part is inline assembly. */
#ifndef VLBR_ASM_SEGMENT_H
#define VLBR_ASM_SEGMENT_H
#define __ASSEMBLY__ 1
#define __ASSEMBLER__ 1
#include_next <asm/segment.h>
#undef __ASSEMBLY__
#undef __ASSEMBLER__
#endif
