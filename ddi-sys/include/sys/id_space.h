/*
 * Allocation of small integers.
 */
#ifndef _SYS_ID_SPACE_H
#define _SYS_ID_SPACE_H

#include <sys/types.h>

struct id_space;
typedef struct id_space id_space_t;

/** A free number; blocks. The lowest is not taken first. */
extern id_t id_alloc(id_space_t *space);
/** A free number, or -1. */
extern id_t id_alloc_nosleep(id_space_t *space);
/** The lowest free number; blocks. */
extern id_t id_allocff(id_space_t *space);
/** The lowest free number, or -1. */
extern id_t id_allocff_nosleep(id_space_t *space);
/** This number, or -1 when it is not free. */
extern id_t id_alloc_specific_nosleep(id_space_t *space, id_t id);
/** Gives a number back. */
extern void id_free(id_space_t *space, id_t id);
/** A space of numbers from low to below high. */
extern id_space_t *id_space_create(const char *name, id_t low, id_t high);
/** More numbers. */
extern void id_space_extend(id_space_t *space, id_t low, id_t high);
/** Ends it. */
extern void id_space_destroy(id_space_t *space);

#endif /* _SYS_ID_SPACE_H */
