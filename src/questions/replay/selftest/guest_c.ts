/** The C code of the guests' side of a selftest that is the same in every one. */

/** What guests do, without a branch of their own. It follows the numbers of the schedule. */
export const GUEST_SIDE: string = String.raw`
struct access {
	u64 value, mask, wanted;
	u32 msr;
	u16 line;
	u8 vector, wanted_vector;
};

/* Each VM has these in its own memory. */
static u8 stops[NR_STOPS][4096] __attribute__((aligned(4096)));
/* Bits of GLOBAL_CTRL that a vCPU has. */
static u64 counters;

/* Only guests run what is in this section: a record of it in a sample of the host is a guest's. */
#define GUEST __attribute__((section("lbr_guest"), __noinline__))

/* As KVM_ASM_SAFE(), which jumps in Linux 6.1. */
#define SAFE(insn)						\
	"mov $" __stringify(KVM_EXCEPTION_MAGIC) ", %%r9\n\t"	\
	"lea 1f(%%rip), %%r10\n\t"				\
	"lea 2f(%%rip), %%r11\n\t"				\
	"1: " insn "\n\t"					\
	"xor %%r9d, %%r9d\n\t"					\
	"2: mov %%r9b, %[vector]\n\t"

static __always_inline __maybe_unused void read_msr(struct access *at, u16 line, u32 msr, u64 mask,
						    u64 wanted)
{
	u32 low, high;
	u8 vector;

	asm volatile(SAFE("rdmsr")
		     : "=a"(low), "=d"(high), [vector] "=qm"(vector)
		     : "c"(msr)
		     : "r9", "r10", "r11", "cc", "memory");
	at->value = low | (u64)high << 32;
	at->mask = mask;
	at->wanted = wanted;
	at->msr = msr;
	at->line = line;
	at->vector = vector;
	at->wanted_vector = 0;
}

static __always_inline __maybe_unused void write_msr(struct access *at, u16 line, u32 msr,
						     u64 value, u8 wanted_vector)
{
	u8 vector;

	asm volatile(SAFE("wrmsr")
		     : [vector] "=qm"(vector)
		     : "a"((u32)value), "d"((u32)(value >> 32)), "c"(msr)
		     : "r9", "r10", "r11", "cc", "memory");
	at->mask = 0;
	at->msr = msr;
	at->line = line;
	at->vector = vector;
	at->wanted_vector = wanted_vector;
}

#define READ_AS(msr, mask, wanted) read_msr(at++, __LINE__, msr, mask, (unsigned long)(wanted))
#define READ(msr, wanted) READ_AS(msr, ~0ull, wanted)
/* The address in a record; the bits above it tell of time and prediction. */
#define READ_ADDRESS(msr, wanted) READ_AS(msr, GENMASK_ULL(47, 0), wanted)
#define READ_ANY(msr) READ_AS(msr, 0, 0)
#define WRITE(msr, value) write_msr(at++, __LINE__, msr, (unsigned long)(value), 0)
#define WRITE_GP(msr, value) write_msr(at++, __LINE__, msr, (unsigned long)(value), GP_VECTOR)

/* A branch from one label to the other. The stack is left as it was. */
#define BRANCH(name, before, after)				\
	asm volatile("lea -128(%%rsp), %%rsp\n\t"		\
		     "lea " #name "_to(%%rip), %%rax\n\t"	\
		     before					\
		     #name "_to: " after			\
		     "lea 128(%%rsp), %%rsp\n\t"		\
		     : : : "rax", "rcx", "cc", "memory")

#define CALLS(name, how) BRANCH(name, #name "_from: call " how "\n\t", "lea 8(%%rsp), %%rsp\n\t")
#define CALL(name) CALLS(name, #name "_to\n\tnop")
#define CALL_INDIRECT(name) CALLS(name, "*%%rax\n\tnop")
#define CALL_NEXT(name) CALLS(name, #name "_to")
#define RET(name) BRANCH(name, "push %%rax\n\t" #name "_from: ret\n\tnop\n\t", "")
#define JMP(name) BRANCH(name, #name "_from: jmp " #name "_to\n\tnop\n\t", "")
#define JMP_INDIRECT(name) BRANCH(name, #name "_from: jmp *%%rax\n\tnop\n\t", "")
#define JCC(name)						\
	BRANCH(name, "cmp %%eax, %%eax\n\t" #name "_from: je " #name "_to\n\tnop\n\t", "")
/* Every far branch is an IRET to the same privilege level. */
#define FAR(name)						\
	BRANCH(name, "mov %%ss, %%ecx\n\tpush %%rcx\n\t"	\
		     "lea 8(%%rsp), %%rcx\n\tpush %%rcx\n\tpushfq\n\t"	\
		     "mov %%cs, %%ecx\n\tpush %%rcx\n\tpush %%rax\n\t"	\
		     #name "_from: iretq\n\tnop\n\t", "")

/*
 * Stops. At SWITCH() the page is not there yet: the thread sleeps in KVM_RUN until the host brings
 * it, so the vCPU is switched out by the preempt notifiers. After the others, KVM_RUN has returned:
 * at HOLD() the thread spins and keeps its CPU, at LEAVE() it sleeps.
 */
#define HOLD_PORT 0x2000
#define LEAVE_PORT 0x2010
#define SWITCH(stop) asm volatile("movb $1, %0" : "=m"(stops[stop][0]) : : "memory")
#define HOLD(stop) asm volatile("out %%eax, %%dx" : : "a"(stop), "d"(HOLD_PORT) : "memory")
#define LEAVE(stop) asm volatile("out %%eax, %%dx" : : "a"(stop), "d"(LEAVE_PORT) : "memory")
/* An exit that KVM handles by itself. */
#define EXIT()							\
	do {							\
		u32 a = 0, c = 0;				\
								\
		asm volatile("cpuid" : "+a"(a), "+c"(c) : : "ebx", "edx", "memory");	\
	} while (0)

static void check(struct access *a, struct access *end)
{
	for (; a < end; a++) {
		GUEST_ASSERT_EQ((u64)a->vector, (u64)a->wanted_vector);
		GUEST_ASSERT_EQ(a->value & a->mask, a->wanted & a->mask);
	}
	GUEST_DONE();
}
`;
