/*
 * The current thread.
 */
#ifndef _SYS_THREAD_H
#define _SYS_THREAD_H

#include <sys/types.h>

/** The calling thread. */
extern kthread_t *threadp(void);

/** States of a thread; thread_create starts one as TS_RUN. */
#define TS_SLEEP 1
#define TS_RUN 2
#define TS_ONPROC 4

#define curthread (threadp())

#endif /* _SYS_THREAD_H */
