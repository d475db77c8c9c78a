/*
 * Condition variables.
 */
#ifndef _SYS_CONDVAR_H
#define _SYS_CONDVAR_H

#include <sys/types.h>
#include <sys/time.h>
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

/** Wakes every waiter. */
extern void cv_broadcast(kcondvar_t *cvp);
/** Ends one that nobody waits for. */
extern void cv_destroy(kcondvar_t *cvp);
/** Makes a condition variable. */
extern void cv_init(kcondvar_t *cvp, char *name, kcv_type_t type, void *arg);
/** cv_wait for some ticks: -1 when they are over, else positive. */
extern clock_t cv_reltimedwait(kcondvar_t *cvp, kmutex_t *mutexp, clock_t delta, time_res_t res);
/** cv_wait for some ticks or until a signal: -1, 0 or positive. */
extern clock_t cv_reltimedwait_sig(kcondvar_t *cvp, kmutex_t *mutexp, clock_t delta,
    time_res_t res);
/** Wakes one waiter. */
extern void cv_signal(kcondvar_t *cvp);
/** cv_wait until an absolute lbolt: -1 then, else positive. */
extern clock_t cv_timedwait(kcondvar_t *cvp, kmutex_t *mutexp, clock_t timeout);
/** cv_wait until a gethrtime or for a time, with a resolution. */
extern clock_t cv_timedwait_hires(kcondvar_t *cvp, kmutex_t *mutexp, hrtime_t timeout,
    hrtime_t resolution, int flag);
/** cv_wait until an absolute lbolt or a signal: -1, 0 or positive. */
extern clock_t cv_timedwait_sig(kcondvar_t *cvp, kmutex_t *mutexp, clock_t timeout);
/** Gives up the mutex, waits, takes it again. May wake for no reason. */
extern void cv_wait(kcondvar_t *cvp, kmutex_t *mutexp);
/** cv_wait that a signal ends: 0 then, else positive. */
extern int cv_wait_sig(kcondvar_t *cvp, kmutex_t *mutexp);
/** Waits, signals allowed, until a gethrtime(9F) time. */
extern int cv_timedwait_sig_hrtime(kcondvar_t *cvp, kmutex_t *mutexp, hrtime_t timeout);
/** Waits, signals allowed, until a time of day; for ever when it is NULL. */
extern int cv_waituntil_sig(kcondvar_t *cvp, kmutex_t *mutexp, timestruc_t *when, int timecheck);
/** cv_wait that does not keep a process from being stopped. */
extern void cv_wait_stop(kcondvar_t *cvp, kmutex_t *mutexp, int wakeup_time);
/** cv_wait_sig that says apart whether a signal came. */
extern int cv_wait_sig_swap_core(kcondvar_t *cvp, kmutex_t *mutexp, int *sigret);

#endif /* _SYS_CONDVAR_H */
