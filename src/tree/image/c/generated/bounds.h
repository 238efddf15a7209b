/* Stands for include/generated/bounds.h: the width of fields in page flags, which nobody reads. */
#define NR_PAGEFLAGS 24
#define MAX_NR_ZONES 2
#define NR_CPUS_BITS 3
#define SPINLOCK_SIZE 0
#define LRU_GEN_WIDTH 0
#define __LRU_REFS_WIDTH 0
