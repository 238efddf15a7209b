/*
 * KVM's files have a few lines of inline assembly, and so have headers of asm/ that they read. An
 * instruction of the processor's can't run here. Whoever reaches one calls vlbr_assembly() with its
 * text. A barrier is empty text, and does nothing.
 *
 * `asm volatile (...)` is three tokens: the macro of the second one, if a parenthesis follows, ends
 * an empty statement and makes the call. Included last, before the file that is compiled.
 */
#ifndef VLBR_KVM_ASSEMBLY_H
#define VLBR_KVM_ASSEMBLY_H
void vlbr_assembly(const char *text);
void asm_exc_nmi_noist(void);
static inline __attribute__((always_inline)) void vlbr_asm_text(const char *text)
{
	/* "int $2": up to 5.7 so the handler of NMIs is called. */
	if (text[1] == 'i' && text[2] == 'n' && text[3] == 't' && text[4] == ' ' && text[6] == '2')
		asm_exc_nmi_noist();
	else if (text[0] != '"' || text[1] != '"')
		vlbr_assembly(text);
}
#define vlbr_asm(...) vlbr_asm_text(#__VA_ARGS__)
#define asm(...) vlbr_asm(__VA_ARGS__)
#define __asm__(...) vlbr_asm(__VA_ARGS__)
#define volatile(...) (""); vlbr_asm(__VA_ARGS__)
#define __volatile__(...) (""); vlbr_asm(__VA_ARGS__)
#define goto(...) (""); vlbr_asm(__VA_ARGS__)
#endif
