/*
 * Fault management.
 */
#ifndef _SYS_DDIFM_H
#define _SYS_DDIFM_H

#include <sys/types.h>
#include <sys/dditypes.h>

typedef struct ddi_fm_error {
    int fme_version;
    int fme_status;
    int fme_flag;
    uint64_t fme_ena;
    ddi_acc_handle_t fme_acc_handle;
    ddi_dma_handle_t fme_dma_handle;
    void *fme_bus_specific;
    int fme_bus_type;
} ddi_fm_error_t;
typedef int (*ddi_err_func_t)(dev_info_t *, ddi_fm_error_t *, const void *);

#define DDI_FM_DEVICE "device"

#define DDI_FM_UNKNOWN (-3)
#define DDI_FM_NONFATAL (-2)
#define DDI_FM_FATAL (-1)
#define DDI_FM_ERR_UNEXPECTED 0
#define DDI_FM_NOT_CAPABLE 0
#define DDI_FM_OK 0
#define DDI_FM_EREPORT_CAPABLE 1
#define DDI_FM_ERR_EXPECTED 1
#define DDI_FM_ACCCHK_CAPABLE 2
#define DDI_FM_ERR_POKE 2
#define DDI_FM_ERR_PEEK 3
#define DDI_FM_DMACHK_CAPABLE 4
#define DDI_FM_ERRCB_CAPABLE 8
#define DDI_FME_BUS_TYPE_DFLT 0
#define DDI_FME_VER0 0
#define DDI_FME_BUS_TYPE_PCI 1
#define DDI_FME_VER1 1
#define DDI_FME_VERSION 1

/** Forgets them. */
extern void ddi_fm_acc_err_clear(ddi_acc_handle_t handle, int flag);
/** Errors of register accesses. */
extern void ddi_fm_acc_err_get(ddi_acc_handle_t handle, ddi_fm_error_t *p, int flag);
/** What was agreed in ddi_fm_init. */
extern int ddi_fm_capable(dev_info_t *dip);
/** Forgets them. */
extern void ddi_fm_dma_err_clear(ddi_dma_handle_t handle, int flag);
/** Errors of DMA. */
extern void ddi_fm_dma_err_get(ddi_dma_handle_t handle, ddi_fm_error_t *p, int flag);
/** Posts an error report. */
extern void ddi_fm_ereport_post(dev_info_t *dip, const char *name, uint64_t val, int flag, ...);
/** Ends ddi_fm_init. */
extern void ddi_fm_fini(dev_info_t *dip);
/** Asks to be called about errors. */
extern void ddi_fm_handler_register(dev_info_t *dip, ddi_err_func_t val, void *arg);
/** Ends ddi_fm_handler_register. */
extern void ddi_fm_handler_unregister(dev_info_t *dip);
/** Says what the driver can do about faults, and learns what the system can. */
extern void ddi_fm_init(dev_info_t *dip, int *valp, ddi_iblock_cookie_t *p);
/** Says what a fault means for the service. */
extern void ddi_fm_service_impact(dev_info_t *dip, int flag);

#endif /* _SYS_DDIFM_H */
