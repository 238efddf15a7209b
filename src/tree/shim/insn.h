/*
 * What branch_type() needs before 6.1, when it was part of lbr.c: the instruction decoder
 * (arch/x86/include/asm/insn.h) and the memory that it reads. The model has no code to decode. The
 * address of a branch names its kind (src/hw/branch.ts), and the decoder finds an instruction of
 * this kind.
 */
#ifndef VLBR_INSN_H
#define VLBR_INSN_H

#define MAX_INSN_SIZE 15
struct insn_field { int value; u8 bytes[4]; u8 got; };
struct insn { struct insn_field opcode, modrm, immediate1; };

/* Bits 43 to 46 of the address are the kind. */
static inline int vlbr_insn_init(struct insn *insn, u64 address)
{
	/* Opcode, its second byte or ModRM, and whether the immediate is zero. */
	static const u8 kinds[16][3] = {
		{ 0x70, 0, 0 },		/* conditional jump */
		{ 0xe8, 0, 0 },		/* call */
		{ 0xff, 2 << 3, 0 },	/* indirect call */
		{ 0xc3, 0, 0 },		/* return */
		{ 0xff, 4 << 3, 0 },	/* indirect jump */
		{ 0xe9, 0, 0 },		/* jump */
		{ 0xe8, 0, 1 },		/* call of what comes next */
		{ 0x0f, 0x05, 0 },	/* SYSCALL */
		{ 0x0f, 0x07, 0 },	/* SYSRET */
		{ 0x90, 0, 0 },		/* interrupted at a NOP */
		{ 0xcf, 0, 0 },		/* IRET */
		{ 0x90, 0, 0 }, { 0x90, 0, 0 }, { 0x90, 0, 0 }, { 0x90, 0, 0 }, { 0x90, 0, 0 },
	};
	const u8 *kind = kinds[address >> 43 & 15];

	insn->opcode.got = 1;
	insn->opcode.bytes[0] = kind[0];
	insn->opcode.bytes[1] = kind[1];
	insn->modrm.bytes[0] = kind[1];
	insn->immediate1.value = !kind[2];
	return 0;
}

/* The pointer argument holds half of the address, so use `from`, which holds all of it. */
#define insn_init(insn, addr, len, is64) \
	((void)(addr), (void)(len), (void)(is64), (void)vlbr_insn_init(insn, from))
/* Up to 5.10 lbr.c ignores the result; in 5.15 a nonzero result is an error. */
static inline int insn_get_opcode(struct insn *insn) { return 0; }
static inline int insn_get_modrm(struct insn *insn) { return 0; }
static inline int insn_get_immediate(struct insn *insn) { return 0; }

/* Every task has memory, and all of it can be read. */
#define current (&vlbr_no_task)
#define copy_from_user_nmi(to, from, n) ((void)(to), (void)(from), 0)
#define kernel_text_address(address) true
#define in_gate_area_no_mm(address) false

/* These versions pass addresses of branches as unsigned long. */
#define long long long

#endif
