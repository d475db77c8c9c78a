/*
 * Processors.
 */
#ifndef _SYS_CPUVAR_H
#define _SYS_CPUVAR_H

#include <sys/types.h>

extern int max_ncpus;
extern int ncpus;
extern int ncpus_online;

#endif /* _SYS_CPUVAR_H */
