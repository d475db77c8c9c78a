/*
 * Bits.
 */
#ifndef _SYS_BITMAP_H
#define _SYS_BITMAP_H

#include <sys/types.h>

extern int highbit(ulong_t value);
extern int lowbit(ulong_t value);

#endif /* _SYS_BITMAP_H */
