/*
 * The segment driver of device mappings: internal.
 */
#ifndef _VM_SEG_DEV_H
#define _VM_SEG_DEV_H

#include <sys/types.h>
#include <vm/seg.h>

/** The operations of the kernel's own device segments; internal. */
extern struct seg_ops segdev_ops;
/** Makes a device segment; internal. */
extern int segdev_create(struct seg **p, void *arg);

#endif /* _VM_SEG_DEV_H */
