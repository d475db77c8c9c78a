/*
 * The type va_list alone.
 */
#ifndef _SYS_VA_LIST_H
#define _SYS_VA_LIST_H

#include <sys/varargs.h>

#endif /* _SYS_VA_LIST_H */
