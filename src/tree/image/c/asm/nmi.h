/* Stands for arch/x86/include/asm/nmi.h: perf's handler is kept, and called for a PMI. */
#ifndef VLBR_ASM_NMI_H
#define VLBR_ASM_NMI_H
struct pt_regs;
typedef int (*nmi_handler_t)(unsigned int type, struct pt_regs *regs);
enum { NMI_LOCAL = 0, NMI_UNKNOWN };
#define NMI_DONE 0
#define NMI_HANDLED 1
int register_nmi_handler(int type, nmi_handler_t handler, int flags, const char *name);
void unregister_nmi_handler(unsigned int type, const char *name);
#endif
