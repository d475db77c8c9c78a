/*
 * Hash tables.
 */
#ifndef _SYS_MODHASH_H
#define _SYS_MODHASH_H

#include <sys/types.h>

struct mod_hash;
typedef struct mod_hash mod_hash_t;
typedef void *mod_hash_val_t;
typedef void *mod_hash_key_t;

/** A hash table keyed by numbers. */
extern mod_hash_t *mod_hash_create_idhash(char *name, size_t len, void (*func)(mod_hash_val_t));
/** Ends a hash table. */
extern void mod_hash_destroy_hash(mod_hash_t *hash);
/** Enters a value. 0, or nonzero when the key is there. */
extern int mod_hash_insert(mod_hash_t *hash, mod_hash_key_t key, mod_hash_val_t val);
/** Looks a key up. 0, or nonzero when it is not there. */
extern int mod_hash_find(mod_hash_t *hash, mod_hash_key_t key, mod_hash_val_t *valp);
/** Takes a key and its value out. 0, or nonzero when it is not there. */
extern int mod_hash_remove(mod_hash_t *hash, mod_hash_key_t key, mod_hash_val_t *valp);

#endif /* _SYS_MODHASH_H */
