/*
 * Kernel threads.
 */
#ifndef _SYS_PROC_H
#define _SYS_PROC_H

#include <sys/types.h>

/** Kernel thread. thread_join waits for one by its did. */
extern kthread_t *thread_create(caddr_t stk, size_t stksize, void (*proc)(), void *arg,
    size_t len, proc_t *pp, int state, pri_t pri);
/** No return. */
extern void thread_exit(void) __attribute__((__noreturn__));
extern void thread_join(kt_did_t did);

/** The kernel's process, for thread_create. */
extern proc_t p0;

#define TS_RUN 0x02

#endif /* _SYS_PROC_H */
