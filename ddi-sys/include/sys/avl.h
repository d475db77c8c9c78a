/*
 * Balanced trees with the links in the objects.
 */
#ifndef _SYS_AVL_H
#define _SYS_AVL_H

#include <sys/types.h>

struct avl_node {
    struct avl_node *avl_child[2];
    uintptr_t avl_pcb;
};
typedef struct avl_node avl_node_t;

struct avl_tree {
    struct avl_node *avl_root;
    int (*avl_compar)(const void *, const void *);
    size_t avl_offset;
    ulong_t avl_numnodes;
    size_t avl_size;
};
typedef struct avl_tree avl_tree_t;
typedef uintptr_t avl_index_t;

/** Inserts; an equal node must not be there. */
extern void avl_add(avl_tree_t *tree, void *node);
/** An empty tree; the comparison returns exactly -1, 0 or 1. */
extern void avl_create(avl_tree_t *tree, int (*compar)(const void *, const void *), size_t size,
    size_t offset);
/** Ends an empty tree. */
extern void avl_destroy(avl_tree_t *tree);
/** Takes the nodes out one by one, in no order, without rebalancing. */
extern void *avl_destroy_nodes(avl_tree_t *tree, void **cookie);
/** The node equal to this one, or NULL and where it would be. */
extern void *avl_find(avl_tree_t *tree, const void *node, avl_index_t *where);
/** The lowest node, or NULL. */
extern void *avl_first(avl_tree_t *tree);
/** Inserts where avl_find said. */
extern void avl_insert(avl_tree_t *tree, void *node, avl_index_t where);
/** Inserts beside a node. */
extern void avl_insert_here(avl_tree_t *tree, void *new_data, void *here, int direction);
/** Whether there are none. */
extern boolean_t avl_is_empty(avl_tree_t *tree);
/** The highest node, or NULL. */
extern void *avl_last(avl_tree_t *tree);
/** The node beside where avl_find said. */
extern void *avl_nearest(avl_tree_t *tree, avl_index_t val, int flag);
/** Number of nodes. */
extern ulong_t avl_numnodes(avl_tree_t *tree);
/** Removes a node. */
extern void avl_remove(avl_tree_t *tree, void *node);
/** Exchanges two trees' nodes. */
extern void avl_swap(avl_tree_t *tree, avl_tree_t *tree2);
/** Restores the order after a node's key changed. */
extern boolean_t avl_update(avl_tree_t *tree, void *arg);
/** The same for an object whose value has become greater. */
extern boolean_t avl_update_gt(avl_tree_t *tree, void *arg);
/** The same for an object whose value has become less. */
extern boolean_t avl_update_lt(avl_tree_t *tree, void *arg);
/** The next lower (0) or higher (1) node; AVL_NEXT and AVL_PREV. */
extern void *avl_walk(struct avl_tree *tree, void *node, int left);

#define AVL_BEFORE 0
#define AVL_AFTER 1
#define AVL_NEXT(tree, node) avl_walk(tree, node, AVL_AFTER)
#define AVL_PREV(tree, node) avl_walk(tree, node, AVL_BEFORE)

#endif /* _SYS_AVL_H */
