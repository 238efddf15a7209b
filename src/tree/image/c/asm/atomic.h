/*
 * Stands for arch/x86/include/asm/atomic.h. One instance runs one CPU at a time and is left only
 * before an MSR access or in cpu_relax(), so a plain operation is atomic. The 32-bit half is the
 * tree's own asm-generic/atomic.h; with 64-bit longs, atomic64_t is as simple.
 */
#ifndef VLBR_ASM_ATOMIC_H
#define VLBR_ASM_ATOMIC_H
#include <asm-generic/atomic.h>
#ifdef CONFIG_64BIT
#include <linux/types.h>

/* The generic code of 5.9 to 5.12 calls operations without `arch_`. */
#ifdef VLBR_PLAIN_ATOMICS
#define VLBR_ATOMIC64(name) atomic64_##name
#define atomic64_read(v) READ_ONCE((v)->counter)
#define atomic64_set(v, i) WRITE_ONCE((v)->counter, (i))
#else
#define VLBR_ATOMIC64(name) arch_atomic64_##name
#define arch_atomic64_read(v) READ_ONCE((v)->counter)
#define arch_atomic64_set(v, i) WRITE_ONCE((v)->counter, (i))
#endif

#define ATOMIC64_INIT(i) { (i) }

#define VLBR_ATOMIC64_VOID(op, c_op) \
	static __always_inline void VLBR_ATOMIC64(op)(s64 i, atomic64_t *v) { v->counter c_op i; }
#define VLBR_ATOMIC64_FETCH(op, c_op) \
	static __always_inline s64 VLBR_ATOMIC64(fetch_##op)(s64 i, atomic64_t *v) \
	{ \
		s64 old = v->counter; \
		v->counter c_op i; \
		return old; \
	}
#define VLBR_ATOMIC64_RETURN(op, c_op) \
	static __always_inline s64 VLBR_ATOMIC64(op##_return)(s64 i, atomic64_t *v) \
	{ \
		return v->counter c_op i; \
	}

VLBR_ATOMIC64_VOID(add, +=)
VLBR_ATOMIC64_VOID(sub, -=)
VLBR_ATOMIC64_VOID(and, &=)
VLBR_ATOMIC64_VOID(or, |=)
VLBR_ATOMIC64_VOID(xor, ^=)
VLBR_ATOMIC64_FETCH(add, +=)
VLBR_ATOMIC64_FETCH(sub, -=)
VLBR_ATOMIC64_FETCH(and, &=)
VLBR_ATOMIC64_FETCH(or, |=)
VLBR_ATOMIC64_FETCH(xor, ^=)
VLBR_ATOMIC64_RETURN(add, +=)
VLBR_ATOMIC64_RETURN(sub, -=)

/* The tree's generic code defines what has no macro of its name. */
#define arch_atomic64_add arch_atomic64_add
#define arch_atomic64_sub arch_atomic64_sub
#define arch_atomic64_and arch_atomic64_and
#define arch_atomic64_or arch_atomic64_or
#define arch_atomic64_xor arch_atomic64_xor
#define arch_atomic64_fetch_add arch_atomic64_fetch_add
#define arch_atomic64_fetch_sub arch_atomic64_fetch_sub
#define arch_atomic64_fetch_and arch_atomic64_fetch_and
#define arch_atomic64_fetch_or arch_atomic64_fetch_or
#define arch_atomic64_fetch_xor arch_atomic64_fetch_xor
#define arch_atomic64_add_return arch_atomic64_add_return
#define arch_atomic64_sub_return arch_atomic64_sub_return

static __always_inline s64 VLBR_ATOMIC64(xchg)(atomic64_t *v, s64 new)
{
	s64 old = v->counter;

	v->counter = new;
	return old;
}
#define arch_atomic64_xchg arch_atomic64_xchg

static __always_inline s64 VLBR_ATOMIC64(cmpxchg)(atomic64_t *v, s64 old, s64 new)
{
	s64 found = v->counter;

	if (found == old)
		v->counter = new;
	return found;
}
#define arch_atomic64_cmpxchg arch_atomic64_cmpxchg
#endif
#endif
