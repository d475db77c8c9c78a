/*
 * The kernel at large: copying, timeouts, entry points for nothing.
 */
#ifndef _SYS_SYSTM_H
#define _SYS_SYSTM_H

#include <sys/types.h>
#include <sys/time.h>
#include <sys/dditypes.h>

/** Copies from the process. 0 or -1. */
extern int copyin(const void *userbuf, void *driverbuf, size_t cn);
/** Copies a string from the process. 0, ENAMETOOLONG or EFAULT. */
extern int copyinstr(const char *userbuf, char *driverbuf, size_t max_len, size_t *donep);
/** Copies to the process. 0 or -1. */
extern int copyout(const void *driverbuf, void *userbuf, size_t cn);
/** Copies a string to the process. 0, ENAMETOOLONG or EFAULT. */
extern int copyoutstr(const char *driverbuf, char *userbuf, size_t max_len, size_t *donep);
/** Number of the lowest bit set, from 1; 0 for none. */
extern int ffs(uintmax_t val);
/** Fetches one byte of the process. 0 or -1. */
extern int fuword8(const void *addr, uint8_t *valuep);
/** Fetches 16 bits of the process. 0 or -1. */
extern int fuword16(const void *addr, uint16_t *valuep);
/** Fetches 32 bits of the process. 0 or -1. */
extern int fuword32(const void *addr, uint32_t *valuep);
/** Fetches 64 bits of the process. 0 or -1. */
extern int fuword64(const void *addr, uint64_t *valuep);
/** Stores one byte in the process. 0 or -1. */
extern int suword8(void *addr, uint8_t value);
/** Stores 16 bits in the process. 0 or -1. */
extern int suword16(void *addr, uint16_t value);
/** Stores 32 bits in the process. 0 or -1. */
extern int suword32(void *addr, uint32_t value);
/** Stores 64 bits in the process. 0 or -1. */
extern int suword64(void *addr, uint64_t value);
/** A formatted string in kernel memory; freed with strfree. */
extern char *kmem_asprintf(const char *fmt, ...);
/** ENXIO: the entry point for "not supported". Declared old-style, so that it fits every entry. */
extern int nodev();
/** 0: the entry point for "nothing to do". Declared old-style, so that it fits every entry. */
extern int nulldev();
/** Sets the calling thread's errno; internal. */
extern uint_t set_errno(uint_t error);
/** Order without regard to case. */
extern int strcasecmp(const char *s1, const char *s2);
/** Order without regard to case, at most n characters. */
extern int strncasecmp(const char *s1, const char *s2, size_t n);
/** The highest bit set, from 1; 0 for none. */
extern int highbit64(uint64_t value);
/** The last such character, or NULL. */
extern char *strrchr(const char *s, int c);
/** Calls a function after some ticks, in soft interrupt context. */
extern timeout_id_t timeout(void (*func)(void *), void *arg, clock_t ticks);
/** Wall clock that never shows the same time twice. */
extern void uniqtime(struct timeval *p);
/** Cancels a timeout and waits for it to be over. Ticks that were left, or -1. */
extern clock_t untimeout(timeout_id_t id);

/** Pages that can be pinned. */
extern pgcnt_t availrmem;
/** Ticks per second. */
extern int hz;
/** Pages of physical memory that can be had. */
extern pgcnt_t maxmem;
/** The message of the panic in progress, or NULL. */
extern char *volatile panicstr;
/** The highest page frame. */
extern pfn_t physmax;
/** Pages of physical memory. */
extern pgcnt_t physmem;

#endif /* _SYS_SYSTM_H */
