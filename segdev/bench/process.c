/*
 * A framework that only calls the driver: its costs are left out, so it does what the driver sees and nothing else.
 */
#include "process.h"

struct mapping {
    struct devmap_callback_ctl ops;
    offset_t off;
    size_t len;
    void *pvt;
    struct mapping *free;
};

static struct mapping *unused, *made;

static struct mapping *
handle(void)
{
    struct mapping *dhp = unused;

    if (dhp != NULL)
        unused = dhp->free;
    else
        dhp = malloc(sizeof (*dhp));
    return (dhp);
}

static void
release(struct mapping *dhp)
{
    dhp->free = unused;
    unused = dhp;
}

/* ---- for the driver ---- */

static struct cb_ops *driver;

int
devmap_umem_setup(devmap_cookie_t cookie, dev_info_t *dip, struct devmap_callback_ctl *ops, ddi_umem_cookie_t memory,
    offset_t off, size_t len, uint_t maxprot, uint_t flags, ddi_device_acc_attr_t *attributes)
{
    struct mapping *dhp = (struct mapping *)cookie;

    UNUSED(dip);
    UNUSED(memory);
    UNUSED(off);
    UNUSED(maxprot);
    UNUSED(flags);
    UNUSED(attributes);
    dhp->ops = *ops;
    dhp->len = len;
    return (DDI_SUCCESS);
}

int
devmap_devmem_setup(devmap_cookie_t cookie, dev_info_t *dip, struct devmap_callback_ctl *ops, uint_t rnumber,
    offset_t off, size_t len, uint_t maxprot, uint_t flags, ddi_device_acc_attr_t *attributes)
{
    UNUSED(rnumber);
    return (devmap_umem_setup(cookie, dip, ops, NULL, off, len, maxprot, flags, attributes));
}

int
devmap_umem_remap(devmap_cookie_t dhp, dev_info_t *dip, ddi_umem_cookie_t memory, offset_t off, size_t len,
    uint_t maxprot, uint_t flags, ddi_device_acc_attr_t *attributes)
{
    UNUSED(dhp);
    UNUSED(dip);
    UNUSED(memory);
    UNUSED(off);
    UNUSED(len);
    UNUSED(maxprot);
    UNUSED(flags);
    UNUSED(attributes);
    return (DDI_SUCCESS);
}

int
devmap_devmem_remap(devmap_cookie_t dhp, dev_info_t *dip, uint_t rnumber, offset_t off, size_t len, uint_t maxprot,
    uint_t flags, ddi_device_acc_attr_t *attributes)
{
    UNUSED(rnumber);
    return (devmap_umem_remap(dhp, dip, NULL, off, len, maxprot, flags, attributes));
}

int
devmap_load(devmap_cookie_t dhp, offset_t off, size_t len, uint_t type, uint_t rw)
{
    UNUSED(dhp);
    UNUSED(off);
    UNUSED(len);
    UNUSED(type);
    UNUSED(rw);
    counts.hat++;
    return (0);
}

int
devmap_default_access(devmap_cookie_t dhp, void *pvt, offset_t off, size_t len, uint_t type, uint_t rw)
{
    UNUSED(pvt);
    return (devmap_load(dhp, off, len, type, rw));
}

int
devmap_unload(devmap_cookie_t dhp, offset_t off, size_t len)
{
    UNUSED(dhp);
    UNUSED(off);
    UNUSED(len);
    counts.hat++;
    return (0);
}

int
devmap_do_ctxmgt(devmap_cookie_t dhp, void *pvt, offset_t off, size_t len, uint_t type, uint_t rw,
    int (*routine)(devmap_cookie_t, void *, offset_t, size_t, uint_t, uint_t))
{
    return (routine(dhp, pvt, off, len, type, rw));
}

void
devmap_set_ctx_timeout(devmap_cookie_t dhp, clock_t ticks)
{
    UNUSED(dhp);
    UNUSED(ticks);
}

int
ddi_devmap_segmap(dev_t dev, off_t off, ddi_as_handle_t as, caddr_t *addrp, off_t len, uint_t prot, uint_t maxprot,
    uint_t flags, cred_t *cred)
{
    struct mapping *dhp = handle();
    size_t got = 0;
    int error;

    UNUSED(as);
    UNUSED(addrp);
    UNUSED(prot);
    UNUSED(maxprot);
    UNUSED(cred);
    dhp->off = off;
    dhp->pvt = NULL;
    error = driver->cb_devmap(dev, (devmap_cookie_t)dhp, off, (size_t)len, &got, ddi_mmap_get_model());
    if (error == 0 && dhp->ops.devmap_map != NULL)
        error = dhp->ops.devmap_map((devmap_cookie_t)dhp, dev, flags, off, got, &dhp->pvt);
    made = dhp;
    return (error);
}

/* ---- for the process ---- */

struct mapping *
process_map(struct cb_ops *ops, dev_t dev, offset_t off, size_t len)
{
    caddr_t addr = NULL;

    driver = ops;
    if (ops->cb_segmap(dev, off, (ddi_as_handle_t)&parent, &addr, (off_t)len, PROT_READ | PROT_WRITE, PROT_ALL, MAP_SHARED,
        NULL) != 0)
        wrong("mmap failed");
    return (made);
}

void
process_fault(struct mapping *dhp, size_t off)
{
    if (dhp->ops.devmap_access((devmap_cookie_t)dhp, dhp->pvt, dhp->off + (offset_t)off, 0x1000, DEVMAP_ACCESS,
        DEVMAP_READ) != 0)
        wrong("a fault failed");
}

struct mapping *
process_fork(struct mapping *dhp)
{
    struct mapping *new = handle();

    *new = *dhp;
    new->pvt = NULL;
    if (dhp->ops.devmap_dup((devmap_cookie_t)dhp, dhp->pvt, (devmap_cookie_t)new, &new->pvt) != 0)
        wrong("fork failed");
    return (new);
}

struct mapping *
process_cut(struct mapping *dhp, size_t off, size_t len)
{
    offset_t from = dhp->off + (offset_t)off;
    size_t behind = dhp->len - off - len;
    struct mapping *new = NULL, *rest = behind == 0 ? NULL : dhp;
    void *pvt = dhp->pvt;

    if (off != 0 && behind != 0) {
        rest = new = handle();
        *new = *dhp;
    }
    if (rest != NULL) {
        rest->off = from + (offset_t)len;
        rest->len = behind;
    }
    if (off != 0)
        dhp->len = off;
    dhp->ops.devmap_unmap((devmap_cookie_t)dhp, pvt, from, len, off == 0 ? NULL : (devmap_cookie_t)dhp,
        off == 0 ? NULL : &dhp->pvt, (devmap_cookie_t)rest, rest == NULL ? NULL : &rest->pvt);
    return (new);
}

void
process_unmap(struct mapping *dhp)
{
    dhp->ops.devmap_unmap((devmap_cookie_t)dhp, dhp->pvt, dhp->off, dhp->len, NULL, NULL, NULL, NULL);
    release(dhp);
}
