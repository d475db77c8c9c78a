/*
 * All the locks.
 */
#ifndef _SYS_T_LOCK_H
#define _SYS_T_LOCK_H

#include <sys/mutex.h>
#include <sys/condvar.h>
#include <sys/rwlock.h>
#include <sys/semaphore.h>

#endif /* _SYS_T_LOCK_H */
