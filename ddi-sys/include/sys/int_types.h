/*
 * Integer types; here for the name.
 */
#ifndef _SYS_INT_TYPES_H
#define _SYS_INT_TYPES_H

#include <sys/types.h>

#endif /* _SYS_INT_TYPES_H */
