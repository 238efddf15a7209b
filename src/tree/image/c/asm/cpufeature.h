/*
 * Stands for arch/x86/include/asm/cpufeature.h: one question, which the CPU model answers. A
 * feature is numbered as in the tree's own asm/cpufeatures.h.
 */
#ifndef VLBR_ASM_CPUFEATURE_H
#define VLBR_ASM_CPUFEATURE_H
#include <cpuid_leafs.h>
#include <asm/processor.h>
#include <asm/cpufeatures.h>
int vlbr_cpu_has(int feature);
#define boot_cpu_has vlbr_cpu_has
#define static_cpu_has vlbr_cpu_has
#define cpu_feature_enabled vlbr_cpu_has
#define this_cpu_has vlbr_cpu_has
#define cpu_has(c, feature) vlbr_cpu_has(feature)
#define set_cpu_cap(c, feature) do { } while (0)
#define clear_cpu_cap(c, feature) do { } while (0)
#define setup_clear_cpu_cap(feature) do { } while (0)
#endif
