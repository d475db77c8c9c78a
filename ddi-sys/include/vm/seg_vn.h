/*
 * Segments of vnodes: internal.
 */
#ifndef _VM_SEG_VN_H
#define _VM_SEG_VN_H

#include <sys/types.h>

/** Makes a segment of a vnode; as_map's argument. */
extern int segvn_create(struct seg **segpp, void *argsp);

#endif /* _VM_SEG_VN_H */
