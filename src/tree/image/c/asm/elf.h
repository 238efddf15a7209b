/* Stands for arch/x86/include/asm/elf.h: types that linux/elf.h needs to be read. */
#ifndef VLBR_ASM_ELF_H
#define VLBR_ASM_ELF_H
#include <linux/types.h>
typedef unsigned long elf_greg_t;
typedef elf_greg_t elf_gregset_t[8];
typedef int elf_fpregset_t;
#define ELF_CLASS ELFCLASS32
#define ELF_DATA ELFDATA2LSB
#define ELF_ARCH 3
#endif
