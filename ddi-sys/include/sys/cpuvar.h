/*
 * Processors.
 */
#ifndef _SYS_CPUVAR_H
#define _SYS_CPUVAR_H

#include <sys/types.h>

/** Processors that there can be. */
extern int max_ncpus;
/** Processors present. */
extern int ncpus;
/** Processors in use. */
extern int ncpus_online;

#endif /* _SYS_CPUVAR_H */
