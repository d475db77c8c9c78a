/*
 * Interrupts.
 */
#ifndef _SYS_DDI_INTR_H
#define _SYS_DDI_INTR_H

#include <sys/types.h>
#include <sys/dditypes.h>

typedef uint_t (*ddi_intr_handler_t)(caddr_t, caddr_t);

#define DDI_INTR_ALLOC_NORMAL 0
#define DDI_INTR_UNCLAIMED 0
#define DDI_INTR_ALLOC_STRICT 1
#define DDI_INTR_CLAIMED 1
#define DDI_INTR_FLAG_LEVEL 1
#define DDI_INTR_NOTFOUND 1
#define DDI_INTR_PRI_MIN 1
#define DDI_INTR_SOFTPRI_DEFAULT 1
#define DDI_INTR_SOFTPRI_MIN 1
#define DDI_INTR_TYPE_FIXED 1
#define DDI_INTR_FLAG_EDGE 2
#define DDI_INTR_TYPE_MSI 2
#define DDI_INTR_TYPE_MSIX 4
#define DDI_INTR_SOFTPRI_MAX 9
#define DDI_INTR_PRI_MAX 0xc
#define DDI_INTR_FLAG_MASKABLE 0x10
#define DDI_INTR_FLAG_PENDING 0x20
#define DDI_INTR_FLAG_BLOCK 0x100
#define DDI_INTR_FLAG_MSI64 0x200
#define DDI_SOFTINT_FIXED 0
#define DDI_SOFTINT_LOW 8
#define DDI_SOFTINT_MED 0x80
#define DDI_SOFTINT_HIGH 0x100

/**
 * The old interface, with ddi_get_iblock_cookie, ddi_remove_intr, ddi_add_softintr,
 * ddi_trigger_softintr, ddi_remove_softintr, ddi_intr_hilevel.
 */
extern int ddi_add_intr(dev_info_t *dip, uint_t inumber, ddi_iblock_cookie_t *iblock_cookiep,
    ddi_idevice_cookie_t *idevice_cookiep, uint_t (*handler)(caddr_t), caddr_t arg);
extern int ddi_add_softintr(dev_info_t *dip, int flag, ddi_softintr_t *p,
    ddi_iblock_cookie_t *p2, ddi_idevice_cookie_t *p3, uint_t (*func)(caddr_t), caddr_t addr);
/** Number of interrupts. */
extern int ddi_dev_nintrs(dev_info_t *dip, int *valp);
extern int ddi_get_iblock_cookie(dev_info_t *dip, uint_t inumber,
    ddi_iblock_cookie_t *iblock_cookiep);
extern int ddi_get_soft_iblock_cookie(dev_info_t *dip, int flag, ddi_iblock_cookie_t *p);
/**
 * Handler (arg1, arg2) returns DDI_INTR_CLAIMED or _UNCLAIMED, runs in interrupt context: no
 * blocking but on adaptive mutexes with the right cookie.
 */
extern int ddi_intr_add_handler(ddi_intr_handle_t handle, ddi_intr_handler_t val, void *arg,
    void *arg2);
/** Ddi_intr_trigger_softint, ddi_intr_remove_softint. */
extern int ddi_intr_add_softint(dev_info_t *dip, ddi_softint_handle_t *p, int flag,
    ddi_intr_handler_t val, void *arg);
/** DDI_SUCCESS, DDI_EAGAIN, DDI_INTR_NOTFOUND, DDI_EINVAL ... */
extern int ddi_intr_alloc(dev_info_t *dip, ddi_intr_handle_t *handlep, int flag, int flag2,
    int flag3, int *valp, int flag4);
extern int ddi_intr_block_disable(ddi_intr_handle_t *handlep, int flag);
extern int ddi_intr_block_enable(ddi_intr_handle_t *handlep, int flag);
extern int ddi_intr_clr_mask(ddi_intr_handle_t handle);
/** Also ddi_intr_block_disable. */
extern int ddi_intr_disable(ddi_intr_handle_t handle);
extern int ddi_intr_dup_handler(ddi_intr_handle_t handle, int flag, ddi_intr_handle_t *handlep);
/** Also ddi_intr_block_enable for MSI blocks. */
extern int ddi_intr_enable(ddi_intr_handle_t handle);
extern int ddi_intr_free(ddi_intr_handle_t handle);
extern int ddi_intr_get_cap(ddi_intr_handle_t handle, int *valp);
extern uint_t ddi_intr_get_hilevel_pri(void);
extern int ddi_intr_get_navail(dev_info_t *dip, int flag, int *valp);
extern int ddi_intr_get_nintrs(dev_info_t *dip, int flag, int *valp);
extern int ddi_intr_get_pending(ddi_intr_handle_t handle, int *valp);
/** Priority, to initialise mutexes with DDI_INTR_PRI. */
extern int ddi_intr_get_pri(ddi_intr_handle_t handle, uint_t *countp);
extern int ddi_intr_get_softint_pri(ddi_softint_handle_t val, uint_t *countp);
/** Bit mask of FIXED, MSI, MSIX. */
extern int ddi_intr_get_supported_types(dev_info_t *dip, int *valp);
extern int ddi_intr_hilevel(dev_info_t *dip, uint_t flags);
extern int ddi_intr_remove_handler(ddi_intr_handle_t handle);
extern int ddi_intr_remove_softint(ddi_softint_handle_t val);
extern int ddi_intr_set_cap(ddi_intr_handle_t handle, int flag);
extern int ddi_intr_set_mask(ddi_intr_handle_t handle);
extern int ddi_intr_set_nreq(dev_info_t *dip, int flag);
extern int ddi_intr_set_pri(ddi_intr_handle_t handle, uint_t flags);
extern int ddi_intr_set_softint_pri(ddi_softint_handle_t val, uint_t flags);
extern int ddi_intr_trigger_softint(ddi_softint_handle_t val, void *arg);
extern void ddi_remove_intr(dev_info_t *dip, uint_t flags, ddi_iblock_cookie_t val);
extern void ddi_remove_softintr(ddi_softintr_t val);
extern void ddi_trigger_softintr(ddi_softintr_t val);

#define DDI_INTR_PRI(pri) ((void *)(uintptr_t)(pri))

#endif /* _SYS_DDI_INTR_H */
