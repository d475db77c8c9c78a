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

/** Makes a key for thread-specific data. */
extern void tsd_create(uint_t *keyp, void (*destructor)(void *));
/** Ends a key. */
extern void tsd_destroy(uint_t *keyp);
/** The calling thread's value. */
extern void *tsd_get(uint_t key);
/** Sets the calling thread's value: 0 or an errno. */
extern int tsd_set(uint_t key, void *value);

#endif /* _SYS_THREAD_H */
