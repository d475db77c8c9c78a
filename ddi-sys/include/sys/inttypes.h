/*
 * Integer types; here for the name.
 */
#ifndef _SYS_INTTYPES_H
#define _SYS_INTTYPES_H

#include <sys/types.h>

#endif /* _SYS_INTTYPES_H */
