/*
 * Counting semaphores.
 */
#ifndef _SYS_SEMAPHORE_H
#define _SYS_SEMAPHORE_H

#include <sys/types.h>

typedef enum { SEMA_DEFAULT = 0, SEMA_DRIVER = 1 } ksema_type_t;

/** A semaphore: size and alignment only. */
typedef struct _ksema {
    void *_opaque[2];
} ksema_t;

/** Ends one. */
extern void sema_destroy(ksema_t *semap);
/** Nonzero when the count is 0; for assertions. */
extern int sema_held(ksema_t *semap);
/** Makes a semaphore with a count. */
extern void sema_init(ksema_t *semap, uint32_t value, char *name, ksema_type_t type, void *arg);
/** Takes one; blocks at 0. */
extern void sema_p(ksema_t *semap);
/** Takes one; a signal ends the wait with nonzero. */
extern int sema_p_sig(ksema_t *semap);
/** Takes one when there is one; nonzero when taken. */
extern int sema_tryp(ksema_t *semap);
/** Gives one. */
extern void sema_v(ksema_t *semap);

#endif /* _SYS_SEMAPHORE_H */
