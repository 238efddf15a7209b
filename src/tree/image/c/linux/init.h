/* The tree's own, but an initcall is an exported function: `initcall_` and its name. */
#include_next <linux/init.h>
#ifndef VLBR_LINUX_INIT_H
#define VLBR_LINUX_INIT_H
#undef ___define_initcall
#define ___define_initcall(fn, id, __sec) \
	int vlbr_initcall_##fn(void); \
	__attribute__((used, export_name("initcall_" #fn))) int vlbr_initcall_##fn(void) \
	{ \
		return fn(); \
	}
#endif
