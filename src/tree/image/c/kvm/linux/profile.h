/* Stands for include/linux/profile.h: the kernel's own profiler of 1998 is off. */
#ifndef VLBR_KVM_LINUX_PROFILE_H
#define VLBR_KVM_LINUX_PROFILE_H
#define prof_on 0
#define KVM_PROFILING 1
#define profile_hit(type, ip) do { } while (0)
#endif
