/*
 * Types of 32-bit processes.
 */
#ifndef _SYS_TYPES32_H
#define _SYS_TYPES32_H

#include <sys/types.h>

typedef uint32_t caddr32_t;
typedef int32_t intptr32_t;
typedef uint32_t uintptr32_t;
typedef uint32_t size32_t;
typedef int32_t ssize32_t;
typedef int32_t long32_t;
typedef uint32_t ulong32_t;
typedef int32_t off32_t;
typedef int32_t daddr32_t;
typedef int32_t time32_t;
typedef int32_t clock32_t;
typedef uint32_t dev32_t;
typedef int32_t pid32_t;
typedef uint32_t uid32_t;
typedef uint32_t gid32_t;
typedef uint32_t mode32_t;

#endif /* _SYS_TYPES32_H */
