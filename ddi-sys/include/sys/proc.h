/*
 * Kernel threads.
 */
#ifndef _SYS_PROC_H
#define _SYS_PROC_H

#include <sys/types.h>

/** A kernel thread. */
extern kthread_t *thread_create(caddr_t stk, size_t stksize, void (*proc)(), void *arg,
    size_t len, proc_t *pp, int state, pri_t pri);
/** Ends the calling kernel thread. */
extern void thread_exit(void) __attribute__((__noreturn__));
/** Waits for a kernel thread to end. */
extern void thread_join(kt_did_t did);

/** The kernel's process. */
extern proc_t p0;

#endif /* _SYS_PROC_H */
