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
typedef void *mod_hash_hndl_t;

#define MH_ERR_NOMEM (-1)
#define MH_ERR_DUPLICATE (-2)
#define MH_ERR_NOTFOUND (-3)
#define MH_WALK_CONTINUE 0
#define MH_WALK_TERMINATE 1

/** A hash table keyed by numbers. */
extern mod_hash_t *mod_hash_create_idhash(char *name, size_t len, void (*func)(mod_hash_val_t));
/** A hash table keyed by pointers. */
extern mod_hash_t *mod_hash_create_ptrhash(char *name, size_t len, void (*func)(mod_hash_val_t), size_t key_elem_size);
/** A hash table keyed by strings of kmem, which it frees. */
extern mod_hash_t *mod_hash_create_strhash(char *name, size_t len, void (*func)(mod_hash_val_t));
/** A hash table keyed by strings that stay the driver's. */
extern mod_hash_t *mod_hash_create_strhash_nodtr(char *name, size_t len, void (*func)(mod_hash_val_t));
/** A hash table whose keys functions of the driver's destroy, hash and compare. */
extern mod_hash_t *mod_hash_create_extended(char *name, size_t len, void (*kdtor)(mod_hash_key_t),
    void (*vdtor)(mod_hash_val_t), uint_t (*alg)(void *, mod_hash_key_t), void *algdata,
    int (*keycmp)(mod_hash_key_t, mod_hash_key_t), int sleep);
/** Destroys a hash table. */
extern void mod_hash_destroy_hash(mod_hash_t *hash);
/** The same. */
extern void mod_hash_destroy_idhash(mod_hash_t *hash);
/** The same. */
extern void mod_hash_destroy_ptrhash(mod_hash_t *hash);
/** The same. */
extern void mod_hash_destroy_strhash(mod_hash_t *hash);
/** Removes and destroys all entries. */
extern void mod_hash_clear(mod_hash_t *hash);
/** Removes and destroys an entry. Returns 0 or MH_ERR_NOTFOUND. */
extern int mod_hash_destroy(mod_hash_t *hash, mod_hash_key_t key);
/** Enters a value. 0, or nonzero when the key is there. */
extern int mod_hash_insert(mod_hash_t *hash, mod_hash_key_t key, mod_hash_val_t val);
/** Enters a value, and destroys the one that was there. */
extern int mod_hash_replace(mod_hash_t *hash, mod_hash_key_t key, mod_hash_val_t val);
/** Looks a key up. 0, or nonzero when it is not there. */
extern int mod_hash_find(mod_hash_t *hash, mod_hash_key_t key, mod_hash_val_t *valp);
/** mod_hash_find that calls a function with the entry while the table is locked. */
extern int mod_hash_find_cb(mod_hash_t *hash, mod_hash_key_t key, mod_hash_val_t *valp,
    void (*func)(mod_hash_key_t, mod_hash_val_t));
/** mod_hash_find_cb that stores what the function returns. */
extern int mod_hash_find_cb_rval(mod_hash_t *hash, mod_hash_key_t key, mod_hash_val_t *valp,
    int (*func)(mod_hash_key_t, mod_hash_val_t), int *rvalp);
/** Takes a key and its value out. 0, or nonzero when it is not there. */
extern int mod_hash_remove(mod_hash_t *hash, mod_hash_key_t key, mod_hash_val_t *valp);
/** Calls a function for each entry until it returns MH_WALK_TERMINATE. */
extern void mod_hash_walk(mod_hash_t *hash, uint_t (*func)(mod_hash_key_t, mod_hash_val_t *, void *), void *arg);
/** Reserves memory for an entry. */
extern int mod_hash_reserve(mod_hash_t *hash, mod_hash_hndl_t *hndlp);
/** mod_hash_reserve that does not sleep. */
extern int mod_hash_reserve_nosleep(mod_hash_t *hash, mod_hash_hndl_t *hndlp);
/** Releases a reservation. */
extern void mod_hash_cancel(mod_hash_t *hash, mod_hash_hndl_t *hndlp);
/** mod_hash_insert with a reservation. */
extern int mod_hash_insert_reserve(mod_hash_t *hash, mod_hash_key_t key, mod_hash_val_t val, mod_hash_hndl_t hndl);
/** Key destructor that does nothing. */
extern void mod_hash_null_keydtor(mod_hash_key_t key);
/** Value destructor that does nothing. */
extern void mod_hash_null_valdtor(mod_hash_val_t val);
/** Frees a key that is a string of kmem. */
extern void mod_hash_strkey_dtor(mod_hash_key_t key);
/** Frees a value that is a string of kmem. */
extern void mod_hash_strval_dtor(mod_hash_val_t val);
/** Compares strings. */
extern int mod_hash_strkey_cmp(mod_hash_key_t key1, mod_hash_key_t key2);
/** Compares pointers. */
extern int mod_hash_ptrkey_cmp(mod_hash_key_t key1, mod_hash_key_t key2);
/** Compares numbers. */
extern int mod_hash_idkey_cmp(mod_hash_key_t key1, mod_hash_key_t key2);
/** Hashes a string. */
extern uint_t mod_hash_bystr(void *algdata, mod_hash_key_t key);
/** Hashes a pointer. */
extern uint_t mod_hash_byptr(void *algdata, mod_hash_key_t key);
/** Hashes a number. */
extern uint_t mod_hash_byid(void *algdata, mod_hash_key_t key);

#endif /* _SYS_MODHASH_H */
