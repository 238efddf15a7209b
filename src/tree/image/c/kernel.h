/* What this folder's C files share. */
#ifndef VLBR_KERNEL_H
#define VLBR_KERNEL_H
#include <linux/types.h>
#define EXPORT(name) __attribute__((export_name(#name)))
void *vlbr_alloc(unsigned long size);
void vlbr_free(void *block);
void *vlbr_take_pages(unsigned int order);
/* Ends the run: something that can't fail has failed. */
void vlbr_fail(const char *what, long how);
struct file;
struct task_struct;
struct perf_event;
#define VLBR_KERNEL_EVENTS 64
extern struct perf_event *vlbr_kernel_events[VLBR_KERNEL_EVENTS];
#define VLBR_FILES 256
#define VLBR_TASKS 64
extern struct task_struct *vlbr_tasks[VLBR_TASKS];
/* In place of a task that has exited: its number is not used again. */
#define VLBR_EXITED ((struct task_struct *)1)
/* Number of the CPU of a task: in 5.9 to 5.12 the task itself has it. */
#ifdef VLBR_TASK_HAS_CPU
#define CPU_OF(task) ((task)->cpu)
#else
#define CPU_OF(task) ((task)->thread_info.cpu)
#endif

#define VLBR_CGROUPS 3
/* Number of the file of a cgroup's directory. */
#define VLBR_CGROUP_FD(cgroup) (VLBR_FILES + (cgroup))
void vlbr_join(struct task_struct *task, int cgroup);
void vlbr_join_parent(struct task_struct *child);
void vlbr_forget_task(struct task_struct *task);
void vlbr_starting(unsigned int cpu);
void vlbr_pass_time(u64 ns);
bool vlbr_call_is_idle(void (*func)(void *), void *info, int cpu);
struct file *vlbr_file(int fd);
int vlbr_fd(const void *event);
long vlbr_release_file(int fd);
#endif
