/*
 * Vnodes: internal, as far as a mapping of a device needs them.
 */
#ifndef _SYS_VNODE_H
#define _SYS_VNODE_H

#include <sys/types.h>

typedef enum vtype {
    VNON = 0,
    VREG = 1,
    VDIR = 2,
    VBLK = 3,
    VCHR = 4
} vtype_t;

struct caller_context;
typedef struct caller_context caller_context_t;

/** Tells a vnode of one more mapping: a device is not closed before its last one is gone. */
extern int fop_addmap(vnode_t *vp, offset_t off, struct as *as, caddr_t addr, size_t len, uchar_t prot,
    uchar_t maxprot, uint_t flags, cred_t *cr, caller_context_t *ct);
/** Tells a vnode of one mapping less; may close the device. */
extern int fop_delmap(vnode_t *vp, offset_t off, struct as *as, caddr_t addr, size_t len, uint_t prot,
    uint_t maxprot, uint_t flags, cred_t *cr, caller_context_t *ct);
/** Gives up a reference. */
extern void vn_rele(vnode_t *vp);

struct fs_operation_def;
struct vnodeops;
typedef struct vnodeops vnodeops_t;

/** A vnode with one reference; internal, as are those below. */
extern vnode_t *vn_alloc(int kmflag);
/** Frees a vnode. */
extern void vn_free(vnode_t *vp);
/** Frees operations. */
extern void vn_freevnodeops(vnodeops_t *vnops);
/** A vnode's operations. */
extern vnodeops_t *vn_getops(vnode_t *vp);
/** Operations from a template of names and functions. */
extern int vn_make_ops(const char *name, const struct fs_operation_def *templ, vnodeops_t **actual);
/** Makes a vnode as new. */
extern void vn_reinit(vnode_t *vp);
/** Sets a vnode's operations. */
extern void vn_setops(vnode_t *vp, vnodeops_t *vnodeops);

#endif /* _SYS_VNODE_H */
