/*
 * Stands for arch/x86/include/asm/spinlock.h: the tree's generic locks. Those of 5.9 to
 * 5.12 are the queued ones, which wait in kernel.c.
 */
#ifndef VLBR_ASM_SPINLOCK_H
#define VLBR_ASM_SPINLOCK_H
#ifdef VLBR_QUEUED_SPINLOCK
#include <asm-generic/qspinlock.h>
#include <asm-generic/qrwlock.h>
#else
#include <asm-generic/spinlock.h>
#endif
#endif
