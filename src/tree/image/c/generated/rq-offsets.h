/* Stands for include/generated/rq-offsets.h: there is no run queue. */
#define RQ_nr_pinned 0
