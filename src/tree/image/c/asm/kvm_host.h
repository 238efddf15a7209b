/* The tree's own, after two headers that it takes for granted. */
#include <asm/fpu/types.h>
#include <asm/pgtable.h>
#include_next <asm/kvm_host.h>
