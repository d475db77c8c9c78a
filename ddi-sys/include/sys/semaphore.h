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

extern void sema_destroy(ksema_t *semap);
extern int sema_held(ksema_t *semap);
/** (sema, count, name, SEMA_DRIVER, arg). */
extern void sema_init(ksema_t *semap, uint32_t value, char *name, ksema_type_t type, void *arg);
/** Blocks. */
extern void sema_p(ksema_t *semap);
/** 0 taken, 1 signal. */
extern int sema_p_sig(ksema_t *semap);
/** Nonzero when taken. */
extern int sema_tryp(ksema_t *semap);
extern void sema_v(ksema_t *semap);

#endif /* _SYS_SEMAPHORE_H */
