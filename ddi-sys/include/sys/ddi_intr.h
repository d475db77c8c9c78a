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

/** Sets a handler; old. */
extern int ddi_add_intr(dev_info_t *dip, uint_t inumber, ddi_iblock_cookie_t *iblock_cookiep,
    ddi_idevice_cookie_t *idevice_cookiep, uint_t (*handler)(caddr_t), caddr_t arg);
/** A soft interrupt; old. */
extern int ddi_add_softintr(dev_info_t *dip, int flag, ddi_softintr_t *p,
    ddi_iblock_cookie_t *p2, ddi_idevice_cookie_t *p3, uint_t (*func)(caddr_t), caddr_t addr);
/** Number of interrupts. */
extern int ddi_dev_nintrs(dev_info_t *dip, int *valp);
/** Priority cookie of an interrupt, for mutex_init; old. */
extern int ddi_get_iblock_cookie(dev_info_t *dip, uint_t inumber,
    ddi_iblock_cookie_t *iblock_cookiep);
/** The same for a soft interrupt; old. */
extern int ddi_get_soft_iblock_cookie(dev_info_t *dip, int flag, ddi_iblock_cookie_t *p);
/** Sets the handler. */
extern int ddi_intr_add_handler(ddi_intr_handle_t handle, ddi_intr_handler_t val, void *arg,
    void *arg2);
/** A soft interrupt. */
extern int ddi_intr_add_softint(dev_info_t *dip, ddi_softint_handle_t *p, int flag,
    ddi_intr_handler_t val, void *arg);
/** Allocates interrupts of a kind. */
extern int ddi_intr_alloc(dev_info_t *dip, ddi_intr_handle_t *handlep, int flag, int flag2,
    int flag3, int *valp, int flag4);
/** Stops the block. */
extern int ddi_intr_block_disable(ddi_intr_handle_t *handlep, int flag);
/** Lets a block of MSI interrupts happen. */
extern int ddi_intr_block_enable(ddi_intr_handle_t *handlep, int flag);
/** Unmasks it. */
extern int ddi_intr_clr_mask(ddi_intr_handle_t handle);
/** Stops it. */
extern int ddi_intr_disable(ddi_intr_handle_t handle);
/** Shares a handler among MSI-X vectors. */
extern int ddi_intr_dup_handler(ddi_intr_handle_t handle, int flag, ddi_intr_handle_t *handlep);
/** Lets the interrupt happen. */
extern int ddi_intr_enable(ddi_intr_handle_t handle);
/** Frees one. */
extern int ddi_intr_free(ddi_intr_handle_t handle);
/** What the interrupt can do. */
extern int ddi_intr_get_cap(ddi_intr_handle_t handle, int *valp);
/** The lowest priority at which nothing may block. */
extern uint_t ddi_intr_get_hilevel_pri(void);
/** Number of interrupts of a kind that can be had. */
extern int ddi_intr_get_navail(dev_info_t *dip, int flag, int *valp);
/** Number of interrupts of a kind. */
extern int ddi_intr_get_nintrs(dev_info_t *dip, int flag, int *valp);
/** Whether it is pending. */
extern int ddi_intr_get_pending(ddi_intr_handle_t handle, int *valp);
/** Priority, for locks that the handler takes. */
extern int ddi_intr_get_pri(ddi_intr_handle_t handle, uint_t *countp);
/** Priority of a soft interrupt. */
extern int ddi_intr_get_softint_pri(ddi_softint_handle_t val, uint_t *countp);
/** Kinds of interrupt that the device has. */
extern int ddi_intr_get_supported_types(dev_info_t *dip, int *valp);
/** Nonzero when the interrupt is above the scheduler; old. */
extern int ddi_intr_hilevel(dev_info_t *dip, uint_t flags);
/** Removes the handler. */
extern int ddi_intr_remove_handler(ddi_intr_handle_t handle);
/** Ends ddi_intr_add_softint. */
extern int ddi_intr_remove_softint(ddi_softint_handle_t val);
/** Chooses level or edge. */
extern int ddi_intr_set_cap(ddi_intr_handle_t handle, int flag);
/** Masks it. */
extern int ddi_intr_set_mask(ddi_intr_handle_t handle);
/** Asks for a number of interrupts. */
extern int ddi_intr_set_nreq(dev_info_t *dip, int flag);
/** Changes the priority. */
extern int ddi_intr_set_pri(ddi_intr_handle_t handle, uint_t flags);
/** Changes it. */
extern int ddi_intr_set_softint_pri(ddi_softint_handle_t val, uint_t flags);
/** Makes the soft interrupt happen. */
extern int ddi_intr_trigger_softint(ddi_softint_handle_t val, void *arg);
/** Removes it; old. */
extern void ddi_remove_intr(dev_info_t *dip, uint_t flags, ddi_iblock_cookie_t val);
/** Ends ddi_add_softintr; old. */
extern void ddi_remove_softintr(ddi_softintr_t val);
/** Makes it happen; old. */
extern void ddi_trigger_softintr(ddi_softintr_t val);

#define DDI_INTR_PRI(pri) ((void *)(uintptr_t)(pri))

#endif /* _SYS_DDI_INTR_H */
