/*
 * The tree's own, but for calls to nothing: WebAssembly checks the type of an indirect call, and
 * __static_call_nop() takes no arguments.
 */
/* In 5.9 and before there are none. */
#if __has_include_next(<linux/static_call.h>)
#include_next <linux/static_call.h>
#endif
#ifndef VLBR_LINUX_STATIC_CALL_H
#define VLBR_LINUX_STATIC_CALL_H
#undef static_call_cond
#define static_call_cond(name) \
	if (!STATIC_CALL_KEY(name).func) { \
	} else \
		((typeof(STATIC_CALL_TRAMP(name)) *)(STATIC_CALL_KEY(name).func))
#endif
