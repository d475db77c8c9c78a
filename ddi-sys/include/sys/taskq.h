/*
 * Task queues at kernel level.
 */
#ifndef _SYS_TASKQ_H
#define _SYS_TASKQ_H

#include <sys/types.h>

struct taskq;
typedef struct taskq taskq_t;
typedef uintptr_t taskqid_t;
typedef void (task_func_t)(void *);

#define TASKQID_INVALID 0 /* 2019 headers only */

#define TASKQ_CPR_SAFE 2
#define TASKQ_DC_BATCH 0x10
#define TASKQ_DYNAMIC 4
#define TASKQ_NAMELEN 0x1f
#define TASKQ_PREPOPULATE 1
#define TASKQ_THREADS_CPU_PCT 8

#define TQ_FRONT 8
#define TQ_NOALLOC 4
#define TQ_NOQUEUE 2
#define TQ_NOSLEEP 1
#define TQ_SLEEP 0

/**
 * The same at kernel level, with min/max allocation and TASKQ_* flags; taskq_dispatch returns 0
 * on failure.
 */
extern taskq_t *taskq_create(const char *name, int nthreads, pri_t pri, int minalloc,
    int maxalloc, uint_t flags);
extern void taskq_destroy(taskq_t *tq);
extern taskqid_t taskq_dispatch(taskq_t *tq, task_func_t *func, void *arg, uint_t flags);
extern int taskq_member(taskq_t *tq, kthread_t *p);
extern void taskq_resume(taskq_t *tq);
extern void taskq_suspend(taskq_t *tq);
extern int taskq_suspended(taskq_t *tq);
extern void taskq_wait(taskq_t *tq);

extern taskq_t *system_taskq;

#endif /* _SYS_TASKQ_H */
