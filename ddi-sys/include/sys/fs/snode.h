/*
 * Vnodes of devices: internal.
 */
#ifndef _SYS_FS_SNODE_H
#define _SYS_FS_SNODE_H

#include <sys/vnode.h>

/** The vnode of an open device, held; NULL when there is none. Of module fs/specfs, which is always loaded. */
extern struct vnode *specfind(dev_t dev, vtype_t type);

#endif /* _SYS_FS_SNODE_H */
