/*
 * The stub kernel: see kernel.h. Memory comes from free lists, in about 15 instructions; an address space has no list of its segments.
 */
#include "kernel.h"
#include <sys/cmn_err.h>
#include <sys/cred.h>
#include <sys/ksynch.h>
#include <sys/modctl.h>
#include <sys/vmsystm.h>
#include <sys/vnode.h>
#include <vm/hat.h>

struct counts counts;

void
wrong(const char *what)
{
    printf("%s\n", what);
    exit(1);
}

/* ---- memory ---- */

#define STEP 16
#define LARGEST 1024

struct block {
    struct block *next;
};

static struct block *lists[LARGEST / STEP + 1];

void *
kmem_alloc(size_t size, int flags)
{
    struct block **list, *block;

    UNUSED(flags);
    counts.allocs++;
    counts.bytes += size;
    if (size > LARGEST)
        return (malloc(size));
    list = &lists[(size + STEP - 1) / STEP];
    block = *list;
    if (block == NULL)
        return (malloc((size + STEP - 1) / STEP * STEP));
    *list = block->next;
    return (block);
}

void *
kmem_zalloc(size_t size, int flags)
{
    ulong_t *memory = kmem_alloc(size, flags);
    size_t i;

    for (i = 0; i < size / sizeof (*memory); i++)
        memory[i] = 0;
    for (i *= sizeof (*memory); i < size; i++)
        ((char *)memory)[i] = 0;
    return (memory);
}

void
kmem_free(void *memory, size_t size)
{
    struct block *block = memory;
    struct block **list;

    counts.bytes -= size;
    if (size > LARGEST) {
        free(memory);
        return;
    }
    list = &lists[(size + STEP - 1) / STEP];
    block->next = *list;
    *list = block;
}

void *
ddi_umem_alloc(size_t size, int flags, ddi_umem_cookie_t *cookiep)
{
    struct ddi_umem_cookie *cookie = kmem_zalloc(sizeof (*cookie), KM_SLEEP);

    cookie->size = size;
    cookie->cvaddr = malloc(size);
    cookie->type = (flags & DDI_UMEM_TRASH) != 0 ? UMEM_TRASH : (flags & DDI_UMEM_PAGEABLE) != 0 ? KMEM_PAGEABLE : KMEM_NON_PAGEABLE;
    *cookiep = (ddi_umem_cookie_t)cookie;
    return (cookie->cvaddr);
}

void
ddi_umem_free(ddi_umem_cookie_t cookie)
{
    free(((struct ddi_umem_cookie *)cookie)->cvaddr);
    kmem_free(cookie, sizeof (struct ddi_umem_cookie));
}

/* ---- locks ---- */

int ncpus_online = 1;

void
mutex_enter(kmutex_t *mutex)
{
    *(ulong_t *)mutex = 1;
    counts.locks++;
}

int
mutex_tryenter(kmutex_t *mutex)
{
    mutex_enter(mutex);
    return (1);
}

void
mutex_exit(kmutex_t *mutex)
{
    *(ulong_t *)mutex = 0;
}

void
cv_broadcast(kcondvar_t *cv)
{
    UNUSED(cv);
}

clock_t
cv_reltimedwait_sig(kcondvar_t *cv, kmutex_t *mutex, clock_t ticks, time_res_t resolution)
{
    UNUSED(cv);
    UNUSED(mutex);
    UNUSED(ticks);
    UNUSED(resolution);
    wrong("a wait, which nothing would end");
}

timeout_id_t
timeout(void (*f)(void *), void *arg, clock_t ticks)
{
    UNUSED(f);
    UNUSED(arg);
    UNUSED(ticks);
    return (NULL);
}

clock_t
untimeout(timeout_id_t id)
{
    UNUSED(id);
    return (0);
}

kt_did_t
ddi_get_kt_did(void)
{
    return (1);
}

/* ---- address spaces ---- */

struct as kas, parent, child;
struct seg *newest;

static struct seg *segments;

struct seg *
kernel_segment(struct as *as, caddr_t base, size_t size)
{
    struct seg *seg = segments;

    if (seg != NULL)
        segments = seg->s_data;
    else
        seg = malloc(sizeof (*seg));
    seg->s_base = base;
    seg->s_size = size;
    seg->s_as = as;
    seg->s_ops = NULL;
    seg->s_data = NULL;
    newest = seg;
    return (seg);
}

struct seg *
seg_alloc(struct as *as, caddr_t base, size_t size)
{
    return (kernel_segment(as, base, size));
}

void
seg_free(struct seg *seg)
{
    if (seg->s_data != NULL)
        seg->s_ops->free(seg);
    seg->s_data = segments;
    segments = seg;
}

int
as_map(struct as *as, caddr_t addr, size_t size, segcreate_func_t create, void *arg)
{
    struct seg *seg = kernel_segment(as, addr, size);

    return (create(&seg, arg));
}

faultcode_t
as_fault(struct hat *hat, struct as *as, caddr_t addr, size_t size, enum fault_type type, enum seg_rw rw)
{
    UNUSED(hat);
    UNUSED(as);
    UNUSED(addr);
    UNUSED(size);
    UNUSED(type);
    UNUSED(rw);
    return (0);
}

void
as_rangelock(struct as *as)
{
    UNUSED(as);
}

void
as_rangeunlock(struct as *as)
{
    UNUSED(as);
}

int
choose_addr(struct as *as, caddr_t *addrp, size_t len, offset_t off, int vacalign, uint_t flags)
{
    UNUSED(as);
    UNUSED(len);
    UNUSED(off);
    UNUSED(vacalign);
    UNUSED(flags);
    *addrp = (caddr_t)0x10000000;
    return (0);
}

model_t
ddi_mmap_get_model(void)
{
    return (0);
}

/* ---- translations ---- */

void
hat_devload(struct hat *hat, caddr_t addr, size_t len, pfn_t pfn, uint_t attr, int flags)
{
    UNUSED(hat);
    UNUSED(addr);
    UNUSED(len);
    UNUSED(pfn);
    UNUSED(attr);
    UNUSED(flags);
    counts.hat++;
}

void
hat_unload(struct hat *hat, caddr_t addr, size_t len, uint_t flags)
{
    UNUSED(hat);
    UNUSED(addr);
    UNUSED(len);
    UNUSED(flags);
    counts.hat++;
}

void
hat_unlock(struct hat *hat, caddr_t addr, size_t len)
{
    UNUSED(hat);
    UNUSED(addr);
    UNUSED(len);
    counts.hat++;
}

void
hat_chgprot(struct hat *hat, caddr_t addr, size_t len, uint_t prot)
{
    UNUSED(hat);
    UNUSED(addr);
    UNUSED(len);
    UNUSED(prot);
    counts.hat++;
}

pfn_t
hat_getpfnum(struct hat *hat, caddr_t addr)
{
    UNUSED(hat);
    return ((pfn_t)addr >> 12);
}

pfn_t
page_pptonum(page_t *page)
{
    UNUSED(page);
    return (1);
}

/* ---- devices ---- */

cred_t *kcred;
static struct dev_ops *drivers[MAJOR + 1];
struct dev_ops **devopsp = drivers;

void
kernel_driver(struct dev_ops *ops)
{
    drivers[MAJOR] = ops;
}

int
nodev(void)
{
    return (ENXIO);
}

major_t
getmajor(dev_t dev)
{
    return (dev >> 32);
}

vnode_t *
specfind(dev_t dev, vtype_t type)
{
    static char vnode;

    UNUSED(dev);
    UNUSED(type);
    return ((vnode_t *)&vnode);
}

void
vn_rele(vnode_t *vnode)
{
    UNUSED(vnode);
}

int
fop_addmap(vnode_t *vnode, offset_t off, struct as *as, caddr_t addr, size_t len, uchar_t prot, uchar_t maxprot,
    uint_t flags, cred_t *cred, caller_context_t *context)
{
    UNUSED(vnode);
    UNUSED(off);
    UNUSED(as);
    UNUSED(addr);
    UNUSED(len);
    UNUSED(prot);
    UNUSED(maxprot);
    UNUSED(flags);
    UNUSED(cred);
    UNUSED(context);
    return (0);
}

int
fop_delmap(vnode_t *vnode, offset_t off, struct as *as, caddr_t addr, size_t len, uint_t prot, uint_t maxprot,
    uint_t flags, cred_t *cred, caller_context_t *context)
{
    UNUSED(vnode);
    UNUSED(off);
    UNUSED(as);
    UNUSED(addr);
    UNUSED(len);
    UNUSED(prot);
    UNUSED(maxprot);
    UNUSED(flags);
    UNUSED(cred);
    UNUSED(context);
    return (0);
}

int
ddi_dev_regsize(dev_info_t *dip, uint_t rnumber, off_t *sizep)
{
    UNUSED(dip);
    UNUSED(rnumber);
    *sizep = 1L << 40;
    return (DDI_SUCCESS);
}

int
ddi_regs_map_setup(dev_info_t *dip, uint_t rnumber, caddr_t *addrp, offset_t off, offset_t len,
    ddi_device_acc_attr_t *attributes, ddi_acc_handle_t *handle)
{
    UNUSED(dip);
    UNUSED(rnumber);
    UNUSED(len);
    UNUSED(attributes);
    UNUSED(handle);
    *addrp = (caddr_t)(0x80000000 + off);
    return (DDI_SUCCESS);
}

void
ddi_regs_map_free(ddi_acc_handle_t *handle)
{
    UNUSED(handle);
}

/* ---- what only panics call ---- */

void
cmn_err(int level, const char *format, ...)
{
    UNUSED(level);
    UNUSED(format);
    wrong("a message of what is measured");
}
