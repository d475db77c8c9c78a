/*
 * Assertions of a driver built with DEBUG.
 */
#ifndef _SYS_DEBUG_H
#define _SYS_DEBUG_H

#include <sys/types.h>

/** A failed assertion; does not return. */
extern int assfail(const char *expr, const char *file, int line);
/** A failed comparison, with both values; does not return. */
extern void assfail3(const char *expr, uintmax_t left, const char *op, uintmax_t right,
    const char *file, int line);

#ifdef DEBUG
#define ASSERT(ex) ((void)((ex) || assfail(#ex, __FILE__, __LINE__)))
#else
#define ASSERT(ex) ((void)0)
#endif
#define VERIFY3_IMPL(left, op, right, type) \
    do { \
        const type _left = (type)(left); \
        const type _right = (type)(right); \
        if (!(_left op _right)) \
            assfail3(#left " " #op " " #right, (uintmax_t)_left, #op, (uintmax_t)_right, __FILE__, __LINE__); \
    } while (0)
#define VERIFY3S(x, y, z) VERIFY3_IMPL(x, y, z, int64_t)
#define VERIFY3U(x, y, z) VERIFY3_IMPL(x, y, z, uint64_t)
#define VERIFY3P(x, y, z) VERIFY3_IMPL(x, y, z, uintptr_t)
#ifdef DEBUG
#define ASSERT3S(x, y, z) VERIFY3S(x, y, z)
#define ASSERT3U(x, y, z) VERIFY3U(x, y, z)
#define ASSERT3P(x, y, z) VERIFY3P(x, y, z)
#else
#define ASSERT3S(x, y, z) ((void)0)
#define ASSERT3U(x, y, z) ((void)0)
#define ASSERT3P(x, y, z) ((void)0)
#endif
#define VERIFY0(x) VERIFY3_IMPL(x, ==, 0, uintmax_t)
#ifdef DEBUG
#define ASSERT0(x) VERIFY0(x)
#else
#define ASSERT0(x) ((void)0)
#endif
#define VERIFY(ex) ((void)((ex) || assfail(#ex, __FILE__, __LINE__)))
#define CTASSERT(x) _Static_assert(x, #x)

#endif /* _SYS_DEBUG_H */
