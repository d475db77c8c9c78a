/*
 * The rest of the stub kernel: what drivers call beside memory and locks.
 */
#include "kernel.h"
#include <sys/kstat.h>
#include <sys/modctl.h>
#include <sys/uio.h>

const unsigned long _pagesize = 0x1000;
struct mod_ops mod_driverops;
struct dev_ops *loaded;
/* The kernel's own segment driver of devices, of which a framework of the module's own looks at the number of operations only. */
#define OPERATION (void *)nulldev
void *segdev_ops[] = {
    OPERATION, OPERATION, OPERATION, OPERATION, OPERATION, OPERATION, OPERATION, OPERATION,
    OPERATION, OPERATION, OPERATION, OPERATION, OPERATION, OPERATION, OPERATION, OPERATION,
    OPERATION, OPERATION, OPERATION, OPERATION, OPERATION, OPERATION, OPERATION,
};

int
mod_install(struct modlinkage *linkage)
{
    loaded = ((struct modldrv *)linkage->ml_linkage[0])->drv_dev_ops;
    return (0);
}

int
mod_remove(struct modlinkage *linkage)
{
    UNUSED(linkage);
    return (0);
}

int
mod_info(struct modlinkage *linkage, struct modinfo *info)
{
    UNUSED(linkage);
    UNUSED(info);
    return (1);
}

/* ---- soft state: one item ---- */

static size_t state_size;
static void *state;

int
ddi_soft_state_init(void **statep, size_t size, size_t n)
{
    UNUSED(n);
    state_size = size;
    *statep = &state;
    return (0);
}

int
ddi_soft_state_zalloc(void *statep, int item)
{
    UNUSED(statep);
    UNUSED(item);
    state = kmem_zalloc(state_size, KM_SLEEP);
    return (DDI_SUCCESS);
}

void *
ddi_get_soft_state(void *statep, int item)
{
    UNUSED(statep);
    UNUSED(item);
    return (state);
}

void
ddi_soft_state_free(void *statep, int item)
{
    UNUSED(statep);
    UNUSED(item);
    kmem_free(state, state_size);
    state = NULL;
}

void
ddi_soft_state_fini(void **statep)
{
    UNUSED(statep);
}

/* ---- nodes ---- */

minor_t
getminor(dev_t dev)
{
    return ((minor_t)dev);
}

dev_t
makedevice(major_t major, minor_t minor)
{
    return (((dev_t)major << 32) | minor);
}

int
ddi_get_instance(dev_info_t *dip)
{
    UNUSED(dip);
    return (0);
}

const char *
ddi_driver_name(dev_info_t *dip)
{
    UNUSED(dip);
    return ("bench");
}

int
ddi_create_minor_node(dev_info_t *dip, char *name, int type, minor_t minor, char *node_type, int flag)
{
    UNUSED(dip);
    UNUSED(name);
    UNUSED(type);
    UNUSED(minor);
    UNUSED(node_type);
    UNUSED(flag);
    return (DDI_SUCCESS);
}

int
ddi_create_priv_minor_node(dev_info_t *dip, char *name, int flag, minor_t minor, char *node_type, int type,
    const char *read_priv, const char *write_priv, mode_t mode)
{
    UNUSED(read_priv);
    UNUSED(write_priv);
    UNUSED(mode);
    return (ddi_create_minor_node(dip, name, type, minor, node_type, flag));
}

void
ddi_remove_minor_node(dev_info_t *dip, char *name)
{
    UNUSED(dip);
    UNUSED(name);
}

void
ddi_report_dev(dev_info_t *dip)
{
    UNUSED(dip);
}

void
ddi_fm_fini(dev_info_t *dip)
{
    UNUSED(dip);
}

/* Every property has its default but "pages". */
int
ddi_prop_get_int(dev_t dev, dev_info_t *dip, uint_t flags, char *name, int value)
{
    UNUSED(dev);
    UNUSED(dip);
    UNUSED(flags);
    return (strcmp(name, "pages") == 0 ? 16 : value);
}

int
ddi_prop_op(dev_t dev, dev_info_t *dip, ddi_prop_op_t op, int flags, char *name, caddr_t value, int *length)
{
    UNUSED(dev);
    UNUSED(dip);
    UNUSED(op);
    UNUSED(flags);
    UNUSED(name);
    UNUSED(value);
    UNUSED(length);
    return (DDI_PROP_NOT_FOUND);
}

int
ddi_quiesce_not_needed(dev_info_t *dip)
{
    UNUSED(dip);
    return (DDI_SUCCESS);
}

int
nulldev(void)
{
    return (0);
}

/* ---- locks, time, threads ---- */

void
mutex_init(kmutex_t *mutex, char *name, kmutex_type_t type, void *arg)
{
    UNUSED(name);
    UNUSED(type);
    UNUSED(arg);
    counts.mutexes++;
    *(ulong_t *)mutex = 0;
}

void
mutex_destroy(kmutex_t *mutex)
{
    UNUSED(mutex);
}

int
servicing_interrupt(void)
{
    return (0);
}

clock_t
drv_usectohz(clock_t microseconds)
{
    return (microseconds / 10000 + 1);
}

void
delay(clock_t ticks)
{
    UNUSED(ticks);
    wrong("a delay");
}

int
ddi_taskq_dispatch(ddi_taskq_t *queue, void (*f)(void *), void *arg, uint_t flags)
{
    UNUSED(queue);
    UNUSED(f);
    UNUSED(arg);
    UNUSED(flags);
    wrong("a task");
}

void
ddi_taskq_destroy(ddi_taskq_t *queue)
{
    UNUSED(queue);
}

void
ddi_umem_unlock(ddi_umem_cookie_t cookie)
{
    UNUSED(cookie);
    wrong("memory of a process");
}

/* The kernel's functions, not instructions. */
void
atomic_inc_64(volatile uint64_t *number)
{
    (*number)++;
}

/* ---- statistics and requests ---- */

kstat_t *
kstat_create(const char *module, int instance, const char *name, const char *class, uchar_t type, uint_t n, uchar_t flags)
{
    kstat_t *stat = kmem_zalloc(sizeof (*stat), KM_SLEEP);

    UNUSED(module);
    UNUSED(instance);
    UNUSED(name);
    UNUSED(class);
    UNUSED(type);
    stat->ks_ndata = n;
    if ((flags & KSTAT_FLAG_VIRTUAL) == 0)
        stat->ks_data = kmem_zalloc(n * sizeof (kstat_named_t), KM_SLEEP);
    return (stat);
}

void
kstat_install(kstat_t *stat)
{
    UNUSED(stat);
}

void
kstat_delete(kstat_t *stat)
{
    UNUSED(stat);
}

void
kstat_named_init(kstat_named_t *named, const char *name, uchar_t type)
{
    snprintf(named->name, sizeof (named->name), "%s", name);
    named->data_type = type;
}

int
uiomove(void *address, size_t bytes, enum uio_rw rw, uio_t *uio)
{
    UNUSED(address);
    UNUSED(rw);
    if (bytes > (size_t)uio->uio_resid)
        bytes = (size_t)uio->uio_resid;
    uio->uio_resid -= (ssize_t)bytes;
    uio->uio_loffset += (offset_t)bytes;
    return (0);
}

/* ---- pages ---- */

ulong_t
ptob(ulong_t pages)
{
    return (pages << 12);
}

ulong_t
btopr(ulong_t bytes)
{
    return ((bytes + 0xfff) >> 12);
}
