/*
 * Small arithmetic, and the parts of a device number.
 */
#ifndef _SYS_SYSMACROS_H
#define _SYS_SYSMACROS_H

#include <sys/types.h>

#define L_BITSMAJOR32 14
#define L_BITSMAJOR 32
#define L_BITSMINOR32 18
#define L_BITSMINOR 32
#define L_MAXMAJ32 16383
#define L_MAXMAJ 0xffffffff
#define L_MAXMIN32 262143
#define L_MAXMIN 0xffffffff

#define O_BITSMAJOR 7
#define O_BITSMINOR 8
#define O_MAXMAJ 127
#define O_MAXMIN 255

#ifndef MAX
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#endif
#define P2ALIGN(x, align) ((x) & -(align))
#define P2PHASE(x, align) ((x) & ((align) - 1))
#define P2ROUNDUP(x, align) (-(-(x) & -(align)))
#define P2NPHASE(x, align) (-(x) & ((align) - 1))
#define IS_P2ALIGNED(v, a) ((((uintptr_t)(v)) & ((uintptr_t)(a) - 1)) == 0)
#define ISP2(x) (((x) & ((x) - 1)) == 0)
#define ABS(a) ((a) < 0 ? -(a) : (a))
#define ARRAY_SIZE(x) (sizeof (x) / sizeof ((x)[0]))
#define roundup(x, y) ((((x) + ((y) - 1)) / (y)) * (y))
#define howmany(x, y) (((x) + ((y) - 1)) / (y))
#ifndef offsetof
#define offsetof(s, m) __builtin_offsetof(s, m)
#endif
#define BIT(n) (1UL << (n))

#endif /* _SYS_SYSMACROS_H */
