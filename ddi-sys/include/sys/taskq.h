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

/** The same at kernel level. */
extern taskq_t *taskq_create(const char *name, int nthreads, pri_t pri, int minalloc,
    int maxalloc, uint_t flags);
/** Waits for what is queued, then ends the threads. */
extern void taskq_destroy(taskq_t *tq);
/** Queues a function; 0 is failure. */
extern taskqid_t taskq_dispatch(taskq_t *tq, task_func_t *func, void *arg, uint_t flags);
/** Whether a thread belongs to the queue. */
extern int taskq_member(taskq_t *tq, kthread_t *p);
/** Ends taskq_suspend. */
extern void taskq_resume(taskq_t *tq);
/** Lets nothing new start. */
extern void taskq_suspend(taskq_t *tq);
/** Whether the queue is suspended. */
extern int taskq_suspended(taskq_t *tq);
/** Waits until everything queued so far is done. */
extern void taskq_wait(taskq_t *tq);
/** Task function that returns at once. */
extern void nulltask(void *p);
/** taskq_create with an instance number. */
extern taskq_t *taskq_create_instance(const char *name, int instance, int nthreads, pri_t pri, int minalloc,
    int maxalloc, uint_t flags);
/** taskq_create with threads of a process of the kernel's. */
extern taskq_t *taskq_create_proc(const char *name, int nthreads, pri_t pri, int minalloc, int maxalloc,
    proc_t *proc, uint_t flags);
/** The same in the system duty cycle class. */
extern taskq_t *taskq_create_sysdc(const char *name, int nthreads, int minalloc, int maxalloc, proc_t *proc,
    uint_t dc, uint_t flags);

/** The kernel's own queue. */
extern taskq_t *system_taskq;

#endif /* _SYS_TASKQ_H */
