/*
 * Dispatching: priorities of kernel threads, interrupt context.
 */
#ifndef _SYS_DISP_H
#define _SYS_DISP_H

#include <sys/types.h>

/** Nonzero in interrupt context. */
extern int servicing_interrupt(void);

/** Highest priority of kernel threads. */
extern pri_t maxclsyspri;
/** Lowest priority of kernel threads. */
extern pri_t minclsyspri;

#endif /* _SYS_DISP_H */
