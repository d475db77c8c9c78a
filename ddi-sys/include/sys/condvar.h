/*
 * Condition variables.
 */
#ifndef _SYS_CONDVAR_H
#define _SYS_CONDVAR_H

#include <sys/types.h>
#include <sys/mutex.h>

typedef enum { CV_DEFAULT = 0, CV_DRIVER = 1 } kcv_type_t;

/** How exact a relative time out has to be. */
typedef enum {
    TR_NANOSEC,
    TR_MICROSEC,
    TR_MILLISEC,
    TR_SEC,
    TR_CLOCK_TICK,
    TR_COUNT
} time_res_t;

/** A condition variable: size and alignment only. */
typedef struct _kcondvar {
    ushort_t _opaque;
} kcondvar_t;

/** Wakes all. */
extern void cv_broadcast(kcondvar_t *cvp);
/** No waiters. */
extern void cv_destroy(kcondvar_t *cvp);
extern void cv_init(kcondvar_t *cvp, char *name, kcv_type_t type, void *arg);
/** Like cv_timedwait with relative ticks and a resolution (TR_NANOSEC ... TR_CLOCK_TICK). */
extern clock_t cv_reltimedwait(kcondvar_t *cvp, kmutex_t *mutexp, clock_t delta, time_res_t res);
/** -1 time out, 0 signal, >0 woken. Drivers depend on telling all three apart. */
extern clock_t cv_reltimedwait_sig(kcondvar_t *cvp, kmutex_t *mutexp, clock_t delta,
    time_res_t res);
/** Wakes one. */
extern void cv_signal(kcondvar_t *cvp);
/** -1 at absolute lbolt time, >0 otherwise. */
extern clock_t cv_timedwait(kcondvar_t *cvp, kmutex_t *mutexp, clock_t timeout);
extern clock_t cv_timedwait_hires(kcondvar_t *cvp, kmutex_t *mutexp, hrtime_t timeout,
    hrtime_t resolution, int flag);
/** -1 time, 0 signal, >0 otherwise. */
extern clock_t cv_timedwait_sig(kcondvar_t *cvp, kmutex_t *mutexp, clock_t timeout);
/** Releases the mutex, blocks, takes it again. Spurious wakeups possible. */
extern void cv_wait(kcondvar_t *cvp, kmutex_t *mutexp);
/** 0 when a signal is pending, >0 otherwise. Only with user context does a signal exist. */
extern int cv_wait_sig(kcondvar_t *cvp, kmutex_t *mutexp);

#endif /* _SYS_CONDVAR_H */
