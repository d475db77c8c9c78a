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

#endif /* _SYS_VNODE_H */
