/*
 * Segments: internal, and segment drivers provide them.
 */
#ifndef _VM_SEG_H
#define _VM_SEG_H

#include <sys/types.h>
#include <sys/avl.h>
#include <sys/mutex.h>
#include <vm/seg_enum.h>

/** Names a memory object, to tell whether two addresses share it. */
typedef struct memid {
    u_longlong_t val[2];
} memid_t;

struct lgrp_mem_policy_info;
struct pcache_link;

typedef struct pcache_link {
    struct pcache_link *p_lnext;
    struct pcache_link *p_lprev;
} pcache_link_t;

/** One segment of an address space; its address space's lock protects it. */
struct seg {
    caddr_t s_base;
    size_t s_size;
    uint_t s_szc;
    uint_t s_flags;
    struct as *s_as;
    avl_node_t s_tree;
    struct seg_ops *s_ops;
    void *s_data;
    kmutex_t s_pmtx;
    pcache_link_t s_phead;
};

/** The operations of a segment driver. The last one is missing in older kernels. */
struct seg_ops {
    int (*dup)(struct seg *, struct seg *);
    int (*unmap)(struct seg *, caddr_t, size_t);
    void (*free)(struct seg *);
    faultcode_t (*fault)(struct hat *, struct seg *, caddr_t, size_t, enum fault_type, enum seg_rw);
    faultcode_t (*faulta)(struct seg *, caddr_t);
    int (*setprot)(struct seg *, caddr_t, size_t, uint_t);
    int (*checkprot)(struct seg *, caddr_t, size_t, uint_t);
    int (*kluster)(struct seg *, caddr_t, ssize_t);
    size_t (*swapout)(struct seg *);
    int (*sync)(struct seg *, caddr_t, size_t, int, uint_t);
    size_t (*incore)(struct seg *, caddr_t, size_t, char *);
    int (*lockop)(struct seg *, caddr_t, size_t, int, int, ulong_t *, size_t);
    int (*getprot)(struct seg *, caddr_t, size_t, uint_t *);
    u_offset_t (*getoffset)(struct seg *, caddr_t);
    int (*gettype)(struct seg *, caddr_t);
    int (*getvp)(struct seg *, caddr_t, struct vnode **);
    int (*advise)(struct seg *, caddr_t, size_t, uint_t);
    void (*dump)(struct seg *);
    int (*pagelock)(struct seg *, caddr_t, size_t, struct page ***, enum lock_type, enum seg_rw);
    int (*setpagesize)(struct seg *, caddr_t, size_t, uint_t);
    int (*getmemid)(struct seg *, caddr_t, memid_t *);
    struct lgrp_mem_policy_info *(*getpolicy)(struct seg *, caddr_t);
    int (*capable)(struct seg *, segcapability_t);
    int (*inherit)(struct seg *, caddr_t, size_t, uint_t);
};

/** Adds a segment without operations to an address space, which is locked as writer; NULL if the range is taken. */
extern struct seg *seg_alloc(struct as *as, caddr_t base, size_t size);
/** Removes a segment from its address space, which is locked as writer; calls its free operation if it has data. */
extern void seg_free(struct seg *seg);

/** An `inherit` operation that is not supported; internal. */
extern int seg_inherit_notsup(struct seg *seg, caddr_t addr, size_t len, uint_t behav);

#endif /* _VM_SEG_H */
