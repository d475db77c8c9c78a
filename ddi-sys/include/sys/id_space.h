/*
 * Allocation of small integers.
 */
#ifndef _SYS_ID_SPACE_H
#define _SYS_ID_SPACE_H

#include <sys/types.h>

struct id_space;
typedef struct id_space id_space_t;

extern id_t id_alloc(id_space_t *space);
extern id_t id_alloc_nosleep(id_space_t *space);
extern id_t id_allocff(id_space_t *space);
extern id_t id_allocff_nosleep(id_space_t *space);
extern void id_free(id_space_t *space, id_t id);
/** Id_alloc, id_allocff, id_free, id_space_destroy. */
extern id_space_t *id_space_create(const char *name, id_t low, id_t high);
extern void id_space_destroy(id_space_t *space);

#endif /* _SYS_ID_SPACE_H */
