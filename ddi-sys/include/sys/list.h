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

/**
 * (list, object size, offset of its list_node_t): list_insert_head/tail/before/after,
 * list_remove, list_head, list_tail, list_next, list_prev, list_is_empty, list_destroy.
 */
extern void list_create(list_t *list, size_t size, size_t offset);
extern void list_destroy(list_t *list);
extern void *list_head(list_t *list);
extern void list_insert_after(list_t *list, void *object, void *node);
extern void list_insert_before(list_t *list, void *object, void *node);
extern void list_insert_head(list_t *list, void *node);
extern void list_insert_tail(list_t *list, void *node);
extern int list_is_empty(list_t *list);
extern int list_link_active(list_node_t *node);
extern void list_link_init(list_node_t *node);
extern void list_link_replace(list_node_t *old, list_node_t *new_node);
extern void list_move_tail(list_t *dst, list_t *src);
extern void *list_next(list_t *list, void *node);
extern void *list_prev(list_t *list, void *node);
extern void list_remove(list_t *list, void *node);
extern void *list_remove_head(list_t *list);
extern void *list_remove_tail(list_t *list);
extern void *list_tail(list_t *list);

#endif /* _SYS_LIST_H */
