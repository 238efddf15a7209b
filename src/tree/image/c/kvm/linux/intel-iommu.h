/* Stands for include/linux/intel-iommu.h: KVM includes it, and uses nothing of it. */
