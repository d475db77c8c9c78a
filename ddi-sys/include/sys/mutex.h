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

/** Must not be held. */
extern void mutex_destroy(kmutex_t *mutexp);
/**
 * Blocks (adaptive) or spins (initialised with a high-level cookie). Not recursive: entering an
 * owned mutex panics.
 */
extern void mutex_enter(kmutex_t *mutexp);
/** By the owner only. */
extern void mutex_exit(kmutex_t *mutexp);
/**
 * (lock, name, type, arg): MUTEX_DRIVER with arg = interrupt priority cookie (NULL: adaptive),
 * MUTEX_DEFAULT.
 */
extern void mutex_init(kmutex_t *mutexp, char *name, kmutex_type_t type, void *arg);
/** Nonzero when the calling thread owns it (for assertions). */
extern int mutex_owned(const kmutex_t *mutexp);
extern struct _kthread *mutex_owner(const kmutex_t *mutexp);
/** Nonzero when taken. */
extern int mutex_tryenter(kmutex_t *mutexp);

#define MUTEX_HELD(x) (mutex_owned(x))
#define MUTEX_NOT_HELD(x) (!mutex_owned(x))

#endif /* _SYS_MUTEX_H */
