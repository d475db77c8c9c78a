/*
 * Time: units, ticks, clocks.
 */
#ifndef _SYS_TIME_H
#define _SYS_TIME_H

#include <sys/types.h>

typedef struct timespec {
    time_t tv_sec;
    long tv_nsec;
} timespec_t;
typedef timespec_t timestruc_t;

struct timeval {
    time_t tv_sec;
    suseconds_t tv_usec;
};

#define MICROSEC 1000000
#define MILLISEC 1000
#define NANOSEC 1000000000
#define SEC 1

/** Ticks since boot. */
extern clock_t ddi_get_lbolt(void);
/** Ticks since boot, 64 bits. */
extern int64_t ddi_get_lbolt64(void);
/** Wall clock. */
extern void gethrestime(timespec_t *p);
/** Nanoseconds since boot. */
extern hrtime_t gethrtime(void);
/** Nanoseconds as a timespec. */
extern void hrt2ts(hrtime_t hrt, timestruc_t *p);
/** Nanoseconds as a timeval. */
extern void hrt2tv(hrtime_t hrt, struct timeval *p);
/** Adds a time to another. */
extern void timevaladd(struct timeval *p, struct timeval *add);
/** Takes a time from another. */
extern void timevalsub(struct timeval *p, struct timeval *sub);
/** A timespec as nanoseconds. */
extern hrtime_t ts2hrt(const timestruc_t *p);
/** A timeval as nanoseconds. */
extern hrtime_t tv2hrt(struct timeval *p);

/** 1000 / hz, or 0 when ticks are shorter. */
extern int msec_per_tick;
/** Nanoseconds in a tick. */
extern int nsec_per_tick;
/** hz / 1000, or 0 when ticks are longer. */
extern int tick_per_msec;
/** Microseconds in a tick. */
extern int usec_per_tick;

#define SEC_TO_TICK(sec) ((sec) * hz)
#define MSEC_TO_TICK(msec) (msec_per_tick ? (msec) / msec_per_tick : (msec) * tick_per_msec)
#define MSEC_TO_TICK_ROUNDUP(msec) \
    (msec_per_tick ? ((msec) == 0 ? 0 : ((msec) - 1) / msec_per_tick + 1) : (msec) * tick_per_msec)
#define TICK_TO_MSEC(tick) (msec_per_tick ? (tick) * msec_per_tick : (tick) / tick_per_msec)
#define USEC_TO_TICK(usec) ((usec) / usec_per_tick)
#define USEC_TO_TICK_ROUNDUP(usec) ((usec) == 0 ? 0 : USEC_TO_TICK((usec) - 1) + 1)
#define TICK_TO_USEC(tick) ((tick) * usec_per_tick)
#define NSEC_TO_TICK(nsec) ((nsec) / nsec_per_tick)
#define TICK_TO_NSEC(tick) ((hrtime_t)(tick) * nsec_per_tick)
#define TICK_TO_SEC(tick) ((tick) / hz)
#define MSEC2NSEC(m) ((hrtime_t)(m) * (NANOSEC / MILLISEC))
#define NSEC2MSEC(n) ((n) / (NANOSEC / MILLISEC))
#define SEC2NSEC(m) ((hrtime_t)(m) * (NANOSEC / SEC))

#endif /* _SYS_TIME_H */
