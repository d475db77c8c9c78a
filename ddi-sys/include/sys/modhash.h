/*
 * Hash tables.
 */
#ifndef _SYS_MODHASH_H
#define _SYS_MODHASH_H

#include <sys/types.h>

struct mod_hash;
typedef struct mod_hash mod_hash_t;
typedef void *mod_hash_val_t;

/** A hash table keyed by numbers. */
extern mod_hash_t *mod_hash_create_idhash(char *name, size_t len, void (*func)(mod_hash_val_t));

#endif /* _SYS_MODHASH_H */
