/*
 * The current thread.
 */
#ifndef _SYS_THREAD_H
#define _SYS_THREAD_H

#include <sys/types.h>

/** The calling thread. */
extern kthread_t *threadp(void);

#define curthread (threadp())

#endif /* _SYS_THREAD_H */
