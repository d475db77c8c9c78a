/*
 * Resource maps.
 */
#ifndef _SYS_MAP_H
#define _SYS_MAP_H

#include <sys/types.h>

extern ulong_t rmalloc(void *arg, size_t len);
extern ulong_t rmalloc_wait(void *arg, size_t len);
extern void *rmallocmap(size_t len);
extern void *rmallocmap_wait(size_t len);
extern void rmfree(void *arg, size_t len, ulong_t value);
extern void rmfreemap(void *arg);

#endif /* _SYS_MAP_H */
