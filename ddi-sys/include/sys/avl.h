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

extern void avl_add(avl_tree_t *tree, void *node);
/**
 * (tree, compare returning exactly -1, 0, 1, size, offset): avl_find, avl_insert, avl_add,
 * avl_remove, avl_first, avl_last, avl_walk (AVL_NEXT), avl_numnodes, avl_destroy_nodes,
 * avl_destroy.
 */
extern void avl_create(avl_tree_t *tree, int (*compar)(const void *, const void *), size_t size,
    size_t offset);
extern void avl_destroy(avl_tree_t *tree);
extern void *avl_destroy_nodes(avl_tree_t *tree, void **cookie);
extern void *avl_find(avl_tree_t *tree, const void *node, avl_index_t *where);
extern void *avl_first(avl_tree_t *tree);
extern void avl_insert(avl_tree_t *tree, void *node, avl_index_t where);
extern void avl_insert_here(avl_tree_t *tree, void *new_data, void *here, int direction);
extern boolean_t avl_is_empty(avl_tree_t *tree);
extern void *avl_last(avl_tree_t *tree);
extern void *avl_nearest(avl_tree_t *tree, avl_index_t val, int flag);
extern ulong_t avl_numnodes(avl_tree_t *tree);
extern void avl_remove(avl_tree_t *tree, void *node);
extern void avl_swap(avl_tree_t *tree, avl_tree_t *tree2);
extern boolean_t avl_update(avl_tree_t *tree, void *arg);
extern void *avl_walk(struct avl_tree *tree, void *node, int left);

#define AVL_BEFORE 0
#define AVL_AFTER 1
#define AVL_NEXT(tree, node) avl_walk(tree, node, AVL_AFTER)
#define AVL_PREV(tree, node) avl_walk(tree, node, AVL_BEFORE)

#endif /* _SYS_AVL_H */
