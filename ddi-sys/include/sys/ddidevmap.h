/*
 * devmap: what a driver that exports memory to processes provides and gets.
 */
#ifndef _SYS_DDIDEVMAP_H
#define _SYS_DDIDEVMAP_H

#include <sys/types.h>
#include <sys/dditypes.h>
#include <sys/mutex.h>
#include <vm/seg_enum.h>

/** The driver's callbacks for one mapping; copied at setup. Any of them may be NULL. */
struct devmap_callback_ctl {
    int devmap_rev;
    int (*devmap_map)(devmap_cookie_t dhp, dev_t dev, uint_t flags, offset_t off, size_t len,
        void **pvtp);
    int (*devmap_access)(devmap_cookie_t dhp, void *pvtp, offset_t off, size_t len, uint_t type,
        uint_t rw);
    int (*devmap_dup)(devmap_cookie_t dhp, void *pvtp, devmap_cookie_t new_dhp, void **new_pvtp);
    void (*devmap_unmap)(devmap_cookie_t dhp, void *pvtp, offset_t off, size_t len,
        devmap_cookie_t new_dhp1, void **new_pvtp1, devmap_cookie_t new_dhp2, void **new_pvtp2);
};

/** What kind of access devmap_access(9E) is told of. */
enum devmap_fault_type { DEVMAP_ACCESS = 0, DEVMAP_PROT, DEVMAP_LOCK, DEVMAP_UNLOCK };

/** What the access wants to do. */
enum devmap_rw { DEVMAP_OTHER = 0, DEVMAP_READ, DEVMAP_WRITE, DEVMAP_EXEC, DEVMAP_CREATE };

/** Early-unlock callback of umem_lockmemory. */
struct umem_callback_ops {
    int cbo_umem_callback_version;
    void (*cbo_umem_lock_cleanup)(ddi_umem_cookie_t *);
};

/** Kernel memory behind a ddi_umem_cookie_t; private. */
struct ddi_umem_cookie {
    size_t size;
    caddr_t cvaddr;
    kmutex_t lock;
    uint_t type;
    page_t **pparray;
    void *procp;
    struct as *asp;
    enum seg_rw s_flags;
    uint_t locked;
    struct umem_callback_ops callbacks;
    ulong_t cook_refcnt;
    struct ddi_umem_cookie *unl_forw;
    ulong_t upd_max_lock_rctl;
};

struct devmap_info {
    size_t length;
    size_t page_size;
    size_t offset;
    ushort_t valid_flag;
    uchar_t byte_order;
    uchar_t data_order;
};

#define DDI_UMEM_SLEEP 0
#define DDI_UMEM_NOSLEEP 1
#define DDI_UMEM_PAGEABLE 2
#define DDI_UMEM_TRASH 4
#define DDI_UMEMLOCK_READ 1
#define DDI_UMEMLOCK_WRITE 2

#define DEVMAP_ALLOW_REMAP 2
#define DEVMAP_DEFAULTS 0
#define DEVMAP_FLAG_LARGE 0x1000
#define DEVMAP_LOCK_INITED 0x200
#define DEVMAP_LOCKED 0x800
#define DEVMAP_MAPPING_INVALID 1
#define DEVMAP_OPS_REV 1
#define DEVMAP_SETUP_FLAGS 7
#define DEVMAP_SETUP_DONE 0x100
#define DEVMAP_USE_PAGESIZE 4

#define KMEM_NON_PAGEABLE 0x200
#define KMEM_PAGEABLE 0x100

#define UMEM_CALLBACK_VERSION 1
#define UMEM_LOCKED 0x400
#define UMEM_TRASH 0x800

/** How the processor caches a mapping: in the flags of devmap_umem_setup(9F) and devmap_devmem_setup(9F), one of them. */
#define IOMEM_DATA_CACHED 0x10000
#define IOMEM_DATA_UC_WR_COMBINE 0x20000
#define IOMEM_DATA_UNCACHED 0x40000
#define IOMEM_DATA_MASK 0xf0000

#endif /* _SYS_DDIDEVMAP_H */
