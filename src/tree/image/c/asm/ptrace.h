/* Stands for arch/x86/include/asm/ptrace.h: the registers of what an NMI interrupts. */
#ifndef VLBR_ASM_PTRACE_H
#define VLBR_ASM_PTRACE_H
#include <asm/segment.h>
#include <asm/ibt.h>
#include <asm/processor-flags.h>
struct pt_regs {
	unsigned long bx, cx, dx, si, di, bp, ax, ds, es, fs, gs, orig_ax, ip, cs, flags, sp, ss;
#ifdef CONFIG_X86_64
	unsigned long r8, r9, r10, r11, r12, r13, r14, r15;
#endif
};
#define user_mode(regs) ((regs)->cs & 3)
#define instruction_pointer(regs) ((regs)->ip)
#define profile_pc(regs) ((regs)->ip)
#define user_stack_pointer(regs) ((regs)->sp)
#define current_pt_regs() ((struct pt_regs *)0)
#define arch_has_single_step() 0
#ifdef CONFIG_X86_64
#define user_64bit_mode(regs) ((regs)->cs == __USER_CS)
#else
#define user_64bit_mode(regs) 0
#endif
#define v8086_mode(regs) 0
#define any_64bit_mode(regs) 0
#endif
