/*
 * Mutual exclusion.
 */
#ifndef _SYS_MUTEX_H
#define _SYS_MUTEX_H

#include <sys/types.h>

typedef enum {
    MUTEX_ADAPTIVE = 0,
    MUTEX_SPIN = 1,
    MUTEX_DRIVER = 4,
    MUTEX_DEFAULT = 6
} kmutex_type_t;

/** A mutex: size and alignment only. */
typedef struct mutex {
    void *_opaque[1];
} kmutex_t;

/** Ends a mutex that nobody holds. */
extern void mutex_destroy(kmutex_t *mutexp);
/** Takes the mutex; blocks or spins. Not recursive. */
extern void mutex_enter(kmutex_t *mutexp);
/** Gives up the mutex; by its owner. */
extern void mutex_exit(kmutex_t *mutexp);
/** Makes a mutex: MUTEX_DRIVER, and an interrupt priority when a handler takes it. */
extern void mutex_init(kmutex_t *mutexp, char *name, kmutex_type_t type, void *arg);
/** Nonzero when the caller owns it; for assertions. */
extern int mutex_owned(const kmutex_t *mutexp);
/** The owning thread; for debugging. */
extern struct _kthread *mutex_owner(const kmutex_t *mutexp);
/** Takes the mutex when it is free; nonzero when taken. */
extern int mutex_tryenter(kmutex_t *mutexp);
/** Waits until what other processors do with mutexes is seen. */
extern void mutex_sync(void);

#define MUTEX_HELD(x) (mutex_owned(x))
#define MUTEX_NOT_HELD(x) (!mutex_owned(x))

#endif /* _SYS_MUTEX_H */
