/*
 * Assertions of a driver built with DEBUG.
 */
#ifndef _SYS_DEBUG_H
#define _SYS_DEBUG_H

#include <sys/types.h>

/** A failed assertion; does not return. */
extern int assfail(const char *expr, const char *file, int line);

#ifdef DEBUG
#define ASSERT(ex) ((void)((ex) || assfail(#ex, __FILE__, __LINE__)))
#else
#define ASSERT(ex) ((void)0)
#endif
#define VERIFY(ex) ((void)((ex) || assfail(#ex, __FILE__, __LINE__)))
#define CTASSERT(x) _Static_assert(x, #x)

#endif /* _SYS_DEBUG_H */
