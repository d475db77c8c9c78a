/*
 * Linked lists with the links in the objects.
 */
#ifndef _SYS_LIST_H
#define _SYS_LIST_H

#include <sys/types.h>

struct list_node {
    struct list_node *list_next;
    struct list_node *list_prev;
};
typedef struct list_node list_node_t;

typedef struct list {
    size_t list_size;
    size_t list_offset;
    struct list_node list_head;
} list_t;

/** An empty list of objects of a size, with the link at an offset. */
extern void list_create(list_t *list, size_t size, size_t offset);
/** Ends an empty list. */
extern void list_destroy(list_t *list);
/** The first object, or NULL. */
extern void *list_head(list_t *list);
/** Inserts behind an object. */
extern void list_insert_after(list_t *list, void *object, void *node);
/** Inserts before an object. */
extern void list_insert_before(list_t *list, void *object, void *node);
/** Inserts first. */
extern void list_insert_head(list_t *list, void *node);
/** Inserts last. */
extern void list_insert_tail(list_t *list, void *node);
/** Nonzero when there is none. */
extern int list_is_empty(list_t *list);
/** Nonzero when the link is in a list. */
extern int list_link_active(list_node_t *node);
/** Makes a link that is in no list. */
extern void list_link_init(list_node_t *node);
/** Puts one link in the place of another. */
extern void list_link_replace(list_node_t *old, list_node_t *new_node);
/** Moves all objects of the second list to the end of the first. */
extern void list_move_tail(list_t *dst, list_t *src);
/** The next object, or NULL. */
extern void *list_next(list_t *list, void *node);
/** The object before, or NULL. */
extern void *list_prev(list_t *list, void *node);
/** Removes an object. */
extern void list_remove(list_t *list, void *node);
/** Removes the first, or NULL. */
extern void *list_remove_head(list_t *list);
/** Removes the last, or NULL. */
extern void *list_remove_tail(list_t *list);
/** The last object, or NULL. */
extern void *list_tail(list_t *list);

#endif /* _SYS_LIST_H */
