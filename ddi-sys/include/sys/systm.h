/*
 * The kernel at large: copying, timeouts, entry points for nothing.
 */
#ifndef _SYS_SYSTM_H
#define _SYS_SYSTM_H

#include <sys/types.h>
#include <sys/time.h>
#include <sys/dditypes.h>

/** 0 or -1, user memory only. */
extern int copyin(const void *userbuf, void *driverbuf, size_t cn);
/** 0, ENAMETOOLONG, EFAULT. */
extern int copyinstr(const char *userbuf, char *driverbuf, size_t max_len, size_t *donep);
/** 0 or -1. */
extern int copyout(const void *driverbuf, void *userbuf, size_t cn);
extern int copyoutstr(const char *driverbuf, char *userbuf, size_t max_len, size_t *donep);
extern int ffs(uintmax_t val);
/** 0 or -1. Fetch a user byte; fuword16/32/64, suword8/16/32/64 alike. */
extern int fuword8(const void *addr, uint8_t *valuep);
/** Formatted string in kmem; freed with strfree (size strlen + 1). */
extern char *kmem_asprintf(const char *fmt, ...);
/** The entry point "not supported": ENXIO. Old-style declaration, so that it fits every entry. */
extern int nodev();
/** The entry point "nothing to do": 0. Old-style declaration, so that it fits every entry. */
extern int nulldev();
/** Internal: sets the calling lwp's errno. */
extern uint_t set_errno(uint_t error);
extern int strcasecmp(const char *s1, const char *s2);
extern int strncasecmp(const char *s1, const char *s2, size_t n);
extern char *strrchr(const char *s, int c);
/**
 * Runs a function once after ticks, in a context like a soft interrupt (no blocking for long,
 * may take adaptive mutexes).
 */
extern timeout_id_t timeout(void (*func)(void *), void *arg, clock_t ticks);
/** Wall clock as timeval, strictly increasing. */
extern void uniqtime(struct timeval *p);
/**
 * Remaining ticks, or -1. On return the function is not running (must not be called with a lock
 * that it takes) and will not run.
 */
extern clock_t untimeout(timeout_id_t id);

extern pgcnt_t availrmem;
/** Int, ticks per second (100). Drivers read it directly. */
extern int hz;
extern pgcnt_t maxmem;
extern char *volatile panicstr;
extern pfn_t physmax;
/** Pages of physical memory. maxmem alike. */
extern pgcnt_t physmem;

#endif /* _SYS_SYSTM_H */
