/*
 * The tree's own, but in a section whose name is a C identifier: wasm-ld then gives __start_ and
 * __stop_ symbols. All per-CPU variables lie there, whatever section they ask for.
 */
#include_next <linux/percpu-defs.h>
#ifndef VLBR_LINUX_PERCPU_DEFS_H
#define VLBR_LINUX_PERCPU_DEFS_H
#undef __PCPU_ATTRS
#define __PCPU_ATTRS(sec) __percpu __attribute__((section("percpu_data"))) PER_CPU_ATTRIBUTES
#endif
