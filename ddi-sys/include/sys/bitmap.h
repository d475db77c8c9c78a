/*
 * Bits.
 */
#ifndef _SYS_BITMAP_H
#define _SYS_BITMAP_H

#include <sys/types.h>

/** Number of the highest bit set, from 1; 0 for none. */
extern int highbit(ulong_t value);
/** Number of the lowest bit set, from 1; 0 for none. */
extern int lowbit(ulong_t value);

#endif /* _SYS_BITMAP_H */
