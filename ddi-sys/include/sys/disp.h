/*
 * Dispatching: priorities of kernel threads, interrupt context.
 */
#ifndef _SYS_DISP_H
#define _SYS_DISP_H

#include <sys/types.h>

/** Running in interrupt context. */
extern int servicing_interrupt(void);

extern pri_t maxclsyspri;
/** Pri_t for kernel threads. Also maxclsyspri. */
extern pri_t minclsyspri;

#endif /* _SYS_DISP_H */
