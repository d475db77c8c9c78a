/*
 * Readers/writer locks.
 */
#ifndef _SYS_RWLOCK_H
#define _SYS_RWLOCK_H

#include <sys/types.h>

typedef enum { RW_DRIVER = 2, RW_DEFAULT = 4 } krw_type_t;
typedef enum { RW_WRITER = 0, RW_READER = 1, RW_READER_STARVEWRITER = 2 } krw_t;

/** A readers/writer lock: size and alignment only. */
typedef struct _krwlock {
    void *_opaque[1];
} krwlock_t;

/** Ends one that nobody holds. */
extern void rw_destroy(krwlock_t *rwlp);
/** From writer to reader. */
extern void rw_downgrade(krwlock_t *rwlp);
/** Takes it as RW_READER or RW_WRITER; waiting writers hold off new readers. */
extern void rw_enter(krwlock_t *rwlp, krw_t enter_type);
/** Gives it up. */
extern void rw_exit(krwlock_t *rwlp);
/** Makes a readers/writer lock. */
extern void rw_init(krwlock_t *rwlp, char *name, krw_type_t type, void *arg);
/** Nonzero when a writer has it. */
extern int rw_iswriter(krwlock_t *rwlp);
/** Nonzero when held at all; for assertions. */
extern int rw_lock_held(krwlock_t *rwlp);
/** Nonzero when held as reader; for assertions. */
extern int rw_read_held(krwlock_t *rwlp);
/** Nonzero when held by readers; the lock must be held. */
extern int rw_read_locked(krwlock_t *rwlp);
/** Takes it when that does not block; nonzero when taken. */
extern int rw_tryenter(krwlock_t *rwlp, krw_t enter_type);
/** From reader to writer when that does not block; nonzero when done. */
extern int rw_tryupgrade(krwlock_t *rwlp);
/** Nonzero when held as writer; for assertions. */
extern int rw_write_held(krwlock_t *rwlp);

#define RW_READ_HELD(x) (rw_read_held(x))
#define RW_WRITE_HELD(x) (rw_write_held(x))
#define RW_LOCK_HELD(x) (rw_lock_held(x))

/** The thread that holds it as writer. */
extern struct _kthread *rw_owner(krwlock_t *lp);

#endif /* _SYS_RWLOCK_H */
