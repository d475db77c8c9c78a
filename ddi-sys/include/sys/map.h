/*
 * Resource maps.
 */
#ifndef _SYS_MAP_H
#define _SYS_MAP_H

#include <sys/types.h>

/** A piece of the map, or 0. */
extern ulong_t rmalloc(void *arg, size_t len);
/** A piece of the map; blocks. */
extern ulong_t rmalloc_wait(void *arg, size_t len);
/** A resource map. */
extern void *rmallocmap(size_t len);
/** A resource map; blocks. */
extern void *rmallocmap_wait(size_t len);
/** Gives a piece back. */
extern void rmfree(void *arg, size_t len, ulong_t value);
/** Ends a resource map. */
extern void rmfreemap(void *arg);

#endif /* _SYS_MAP_H */
