/*
 * Three cgroups, in place of kernel/cgroup/cgroup.c: the root, a in it, and b in a. They are there
 * from the boot on and are never removed, so nobody counts who refers to them. Of the subsystems
 * there is perf's alone, and what it does with a cgroup is the tree's.
 *
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include <linux/cgroup.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include "kernel.h"

/* The root is number 0. */
static struct cgroup *cgroups[VLBR_CGROUPS];

/* What a task of each cgroup has: the state of the cgroup in perf's subsystem. */
static struct css_set csets[VLBR_CGROUPS];

/* The directory of each cgroup in cgroupfs, and the file that a user of perf has opened there. */
static struct dentry dentries[VLBR_CGROUPS];
static struct file directories[VLBR_CGROUPS] = {
	{ .f_path = { .dentry = &dentries[0] } },
	{ .f_path = { .dentry = &dentries[1] } },
	{ .f_path = { .dentry = &dentries[2] } },
};

/* Who moves tasks from one cgroup to another holds it. */
struct mutex cgroup_mutex;

#ifdef VLBR_CGROUP_ANCESTOR_IDS
#ifdef VLBR_KERNFS_ID_UNION
#define cgroup_id(cgrp) ((cgrp)->id)
#endif
#define SET_ANCESTOR(cgrp, level, to) ((cgrp)->ancestor_ids[level] = cgroup_id(to))
#else
#define SET_ANCESTOR(cgrp, level, to) ((cgrp)->ancestors[level] = (to))
#endif

/* kernel/cgroup/cgroup.c:cgroup_create() of cgroup i, whose parent is the one before it. */
static void create(int i)
{
	struct cgroup *cgrp = vlbr_alloc(sizeof(*cgrp) + VLBR_CGROUPS * sizeof(cgrp));
	int level;

	cgroups[i] = cgrp;
	cgrp->level = i;
	cgrp->kn = vlbr_alloc(sizeof(*cgrp->kn));
#ifdef VLBR_KERNFS_ID_UNION
	cgrp->id = i + 1;
#else
	cgrp->kn->id = i + 1;
#endif
	for (level = 0; level <= i; level++)
		SET_ANCESTOR(cgrp, level, cgroups[level]);
}

/* kernel/cgroup/cgroup.c:css_create(), with online_css(), in perf's subsystem. */
static void enable(int i)
{
	struct cgroup_subsys *ss = &perf_event_cgrp_subsys;
	struct cgroup_subsys_state *parent = i ? csets[i - 1].subsys[perf_event_cgrp_id] : NULL;
	struct cgroup_subsys_state *css = ss->css_alloc(parent);

	css->cgroup = cgroups[i];
	css->ss = ss;
	css->parent = parent;
	css->flags = CSS_NO_REF | CSS_ONLINE;
	csets[i].subsys[perf_event_cgrp_id] = css;
	/* Up to 5.7 perf has nothing to do. */
	if (ss->css_online)
		ss->css_online(css);
}

/* kernel/cgroup/cgroup.c:cgroup_init(): it comes after perf's own start. */
EXPORT(vlbr_cgroup_init) void vlbr_cgroup_init(void)
{
	int i;

	for (i = 0; i < VLBR_CGROUPS; i++) {
		create(i);
		enable(i);
	}
}

/* A task is in a cgroup from now on; perf is not told. */
void vlbr_join(struct task_struct *task, int cgroup)
{
	RCU_INIT_POINTER(task->cgroups, &csets[cgroup]);
}

/* kernel/cgroup/cgroup.c:cgroup_post_fork(): a child is in the cgroup of its parent. */
void vlbr_join_parent(struct task_struct *child)
{
	RCU_INIT_POINTER(child->cgroups, current->cgroups);
}

/* The tasks that move, of which there is one. */
struct cgroup_taskset {
	struct task_struct *task;
	struct cgroup_subsys_state *css;
};

struct task_struct *cgroup_taskset_first(struct cgroup_taskset *tset,
					 struct cgroup_subsys_state **dst_cssp)
{
	*dst_cssp = tset->css;
	return tset->task;
}

struct task_struct *cgroup_taskset_next(struct cgroup_taskset *tset,
					struct cgroup_subsys_state **dst_cssp)
{
	return NULL;
}

/*
 * kernel/cgroup/cgroup.c:cgroup_migrate_execute() of the task that runs, which has written its own
 * number to cgroup.threads: it is in the other cgroup first, and perf is told then. Of a task that is
 * there already, perf is not told.
 */
EXPORT(vlbr_attach) void vlbr_attach(int cgroup)
{
	struct cgroup_taskset tset = {
		.task = current,
		.css = csets[cgroup].subsys[perf_event_cgrp_id],
	};

	mutex_lock(&cgroup_mutex);
	if (rcu_access_pointer(current->cgroups) != &csets[cgroup]) {
		vlbr_join(current, cgroup);
		perf_event_cgrp_subsys.attach(&tset);
	}
	mutex_unlock(&cgroup_mutex);
}

/* The files of directories have numbers of their own, behind those of events. */
static unsigned long directory(unsigned int fd)
{
	unsigned int i = fd - VLBR_CGROUP_FD(0);

	return i < VLBR_CGROUPS ? (unsigned long)&directories[i] : 0;
}

/* fs/file.c: the file of a number, which the caller need not put. */
#ifdef VLBR_FDGET
struct fd fdget(unsigned int fd)
{
	return (struct fd){ directory(fd) };
}
#else
unsigned long __fdget(unsigned int fd)
{
	return directory(fd);
}
#endif

/* kernel/cgroup/cgroup.c: the state of the cgroup that a directory stands for. */
struct cgroup_subsys_state *css_tryget_online_from_dir(struct dentry *dentry,
						       struct cgroup_subsys *ss)
{
	return csets[dentry - dentries].subsys[perf_event_cgrp_id];
}
