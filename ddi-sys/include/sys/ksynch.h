/*
 * All the locks, by the name that drivers include.
 */
#ifndef _SYS_KSYNCH_H
#define _SYS_KSYNCH_H

#include <sys/t_lock.h>

#endif /* _SYS_KSYNCH_H */
