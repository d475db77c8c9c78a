/*
 * Physical memory for processes only; internal.
 */
#ifndef _SYS_PMEM_H
#define _SYS_PMEM_H

#include <sys/types.h>
#include <sys/ddidevmap.h>

#define PMEM_SLEEP 0x1
#define PMEM_NOSLEEP 0x2

typedef void *devmap_pmem_cookie_t;

/** Allocates pages. Returns DDI_SUCCESS or DDI_FAILURE. */
extern int devmap_pmem_alloc(size_t size, uint_t flags, devmap_pmem_cookie_t *cookiep);
/** Frees them. */
extern void devmap_pmem_free(devmap_pmem_cookie_t cookie);
/** Returns the page frames of a range of pages. */
extern int devmap_pmem_getpfns(devmap_pmem_cookie_t cookie, uint_t start, pgcnt_t npages, pfn_t *pfnarray);
/** devmap_umem_remap for them. */
extern int devmap_pmem_remap(devmap_cookie_t dhp, dev_info_t *dip, devmap_pmem_cookie_t cookie, offset_t off,
    size_t len, uint_t maxprot, uint_t flags, ddi_device_acc_attr_t *accattrp);
/** devmap_umem_setup for them. */
extern int devmap_pmem_setup(devmap_cookie_t dhp, dev_info_t *dip, struct devmap_callback_ctl *callbackops,
    devmap_pmem_cookie_t cookie, offset_t off, size_t len, uint_t maxprot, uint_t flags,
    ddi_device_acc_attr_t *accattrp);

#endif /* _SYS_PMEM_H */
