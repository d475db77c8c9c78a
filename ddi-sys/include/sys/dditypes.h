/*
 * Types of the device driver interface.
 */
#ifndef _SYS_DDITYPES_H
#define _SYS_DDITYPES_H

#include <sys/types.h>

struct __ddi_acc_handle;
struct __ddi_dma_handle;
struct __ddi_iblock_cookie;
struct __ddi_softintr;
struct __ddi_intr_handle;
struct __ddi_softint_handle;
struct __ddi_periodic;
struct __ddi_devid;
struct __ddi_modhandle;
struct ddi_event_callbacks;
struct ddi_event_cookie;
struct ddi_taskq;
struct __ddi_soft_state_bystr;
struct ddi_cb;
struct nvlist;
typedef struct nvlist nvlist_t;

/** Number and time of an event. */
typedef struct sysevent_id {
    uint64_t eid_seq;
    hrtime_t eid_ts;
} sysevent_id_t;

/** A driver's mapping in the framework's hands (devmap(9E)). */
typedef void *devmap_cookie_t;
/** Kernel memory of ddi_umem_alloc(9F), or pinned user memory. */
typedef void *ddi_umem_cookie_t;
typedef struct __ddi_acc_handle *ddi_acc_handle_t;
typedef struct __ddi_dma_handle *ddi_dma_handle_t;
typedef struct __ddi_iblock_cookie *ddi_iblock_cookie_t;
typedef struct __ddi_softintr *ddi_softintr_t;
typedef struct __ddi_intr_handle *ddi_intr_handle_t;
typedef struct __ddi_softint_handle *ddi_softint_handle_t;
typedef struct __ddi_periodic *ddi_periodic_t;
typedef struct __ddi_devid *ddi_devid_t;
typedef struct __ddi_modhandle *ddi_modhandle_t;
typedef struct ddi_event_callbacks *ddi_callback_id_t;
typedef struct ddi_event_cookie *ddi_eventcookie_t;
typedef struct ddi_taskq ddi_taskq_t;
typedef struct __ddi_soft_state_bystr ddi_soft_state_bystr;
typedef struct ddi_cb *ddi_cb_handle_t;
typedef struct as *ddi_as_handle_t;
typedef void *timeout_id_t;

typedef union ddi_idevice_cookie {
    struct {
        ushort_t idev_vector;
        ushort_t idev_priority;
    } idu;
    uint_t idev_softint;
} ddi_idevice_cookie_t;

/** How a register set is to be accessed. */
typedef struct ddi_device_acc_attr {
    ushort_t devacc_attr_version;
    uchar_t devacc_attr_endian_flags;
    uchar_t devacc_attr_dataorder;
    uchar_t devacc_attr_access;
} ddi_device_acc_attr_t;

/** How far a device node is in its life. */
typedef enum {
    DS_INVAL = -1,
    DS_PROTO = 0,
    DS_LINKED,
    DS_BOUND,
    DS_INITIALIZED,
    DS_PROBED,
    DS_ATTACHED,
    DS_READY
} ddi_node_state_t;

#define DDI_CAUTIOUS_ACC 3
#define DDI_DATA_SZ01_ACC 1
#define DDI_DATA_SZ02_ACC 2
#define DDI_DATA_SZ04_ACC 4
#define DDI_DATA_SZ08_ACC 8
#define DDI_DEFAULT_ACC 1
#define DDI_DEVICE_ATTR_V0 1
#define DDI_DEVICE_ATTR_V1 2
#define DDI_FLAGERR_ACC 2
#define DDI_LOADCACHING_OK_ACC 3
#define DDI_MERGING_OK_ACC 2
#define DDI_NEVERSWAP_ACC 0
#define DDI_STORECACHING_OK_ACC 4
#define DDI_STRICTORDER_ACC 0
#define DDI_STRUCTURE_LE_ACC 1
#define DDI_STRUCTURE_BE_ACC 2
#define DDI_UNORDERED_OK_ACC 1

#endif /* _SYS_DDITYPES_H */
