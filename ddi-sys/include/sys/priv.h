/*
 * Privileges by name.
 */
#ifndef _SYS_PRIV_H
#define _SYS_PRIV_H

#include <sys/types.h>

/** A privilege's number by name. */
extern int priv_getbyname(const char *name, uint_t flags);

#endif /* _SYS_PRIV_H */
