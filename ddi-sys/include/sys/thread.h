/*
 * The current thread.
 */
#ifndef _SYS_THREAD_H
#define _SYS_THREAD_H

#include <sys/types.h>

/**
 * The current thread (only in code compiled without the kernel's inline assembly; otherwise the
 * load from %gs:0x18). One driver follows it to the process and its address space: see illumos-
 * amd64.json, private_reached_by_real_drivers.
 */
extern kthread_t *threadp(void);

#define curthread (threadp())

#endif /* _SYS_THREAD_H */
