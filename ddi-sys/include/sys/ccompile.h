/*
 * Names for what the compiler is told of functions, variables and structures.
 */
#ifndef _SYS_CCOMPILE_H
#define _SYS_CCOMPILE_H

#define __unused __attribute__((__unused__))
#define __packed __attribute__((__packed__))
#define __aligned(n) __attribute__((__aligned__(n)))
#define __section(name) __attribute__((__section__(name)))
#define __maybe_unused __attribute__((__unused__))
#define __NORETURN __attribute__((__noreturn__))
#define __PURE __attribute__((__pure__))
#define __CONST __attribute__((__const__))
#define __PRINTFLIKE(n) __attribute__((__format__(printf, n, n + 1)))
#define __VPRINTFLIKE(n) __attribute__((__format__(printf, n, 0)))

#endif /* _SYS_CCOMPILE_H */
