/* Stands for arch/x86/include/asm/cmpxchg.h: see atomic.h for why plain code will do. */
#ifndef VLBR_ASM_CMPXCHG_H
#define VLBR_ASM_CMPXCHG_H
#define arch_cmpxchg(p, o, n) \
	({ \
		__typeof__(*(p)) __found = *(p); \
		if (__found == (__typeof__(*(p)))(o)) \
			*(p) = (__typeof__(*(p)))(n); \
		__found; \
	})
#define arch_xchg(p, n) \
	({ \
		__typeof__(*(p)) __found = *(p); \
		*(p) = (__typeof__(*(p)))(n); \
		__found; \
	})
#define arch_cmpxchg_local arch_cmpxchg
#define arch_cmpxchg64 arch_cmpxchg
#define arch_cmpxchg64_local arch_cmpxchg
#define arch_cmpxchg_acquire arch_cmpxchg
#define arch_cmpxchg_release arch_cmpxchg
#define arch_cmpxchg_relaxed arch_cmpxchg
/* The generic code of 5.9 to 5.12 calls these without `arch_`. */
#ifdef VLBR_PLAIN_ATOMICS
#define cmpxchg arch_cmpxchg
#define cmpxchg_local arch_cmpxchg
#define cmpxchg64 arch_cmpxchg
#define cmpxchg64_local arch_cmpxchg
#define xchg arch_xchg
#endif
#endif
