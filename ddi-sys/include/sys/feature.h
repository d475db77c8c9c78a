/*
 * What every header here assumes: a 64-bit x86 illumos kernel.
 */
#ifndef _SYS_FEATURE_H
#define _SYS_FEATURE_H

#ifndef _KERNEL
#define _KERNEL 1
#endif
#if !defined(__x86_64__)
#error "these headers describe the amd64 kernel; compile with -m64"
#endif
#ifndef _LP64
#define _LP64 1
#endif
#ifndef _LITTLE_ENDIAN
#define _LITTLE_ENDIAN
#endif
#define _NOTE(s)
#define _INIT_NOTE(s)

#endif /* _SYS_FEATURE_H */
