/* What this folder's C files share. */
#ifndef VLBR_KERNEL_H
#define VLBR_KERNEL_H
#include <linux/types.h>
#define EXPORT(name) __attribute__((export_name(#name)))
void *vlbr_alloc(unsigned long size);
void vlbr_free(void *block);
struct file;
struct file *vlbr_file(int fd);
int vlbr_fd(const void *event);
void vlbr_release_file(int fd);
#endif
