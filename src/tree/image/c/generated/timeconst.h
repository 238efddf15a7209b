/* Stands for include/generated/timeconst.h: no jiffies are converted. */
