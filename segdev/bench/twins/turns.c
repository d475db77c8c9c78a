/*
 * turns, as a careful C driver: memory that one mapping at a time can use. It does what xtask/fixtures/turns does, and is careful as notice.c says there.
 */
#include <sys/types.h>
#include <sys/cmn_err.h>
#include <sys/conf.h>
#include <sys/cred.h>
#include <sys/ddi.h>
#include <sys/ddidevmap.h>
#include <sys/errno.h>
#include <sys/file.h>
#include <sys/kmem.h>
#include <sys/ksynch.h>
#include <sys/mman.h>
#include <sys/modctl.h>
#include <sys/open.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <sys/sunddi.h>
#include <vm/faultcode.h>

#define UNUSED(x) ((void)(x))

#define INSTANCES 64

/* One mapping of a process, on its instance's list; before its first callback on the list of the early ones. */
struct view {
    struct view *next, *prev;
    struct turns *np;
    kt_did_t thread;    /* of the mmap(2) under way; 0 if it is over */
    devmap_cookie_t dhp;
    offset_t off;
    size_t len;
    boolean_t loaded;
};

struct turns {
    dev_info_t *dip;
    struct view views;  /* head of the list */
    ddi_umem_cookie_t cookie;
    caddr_t board;
    size_t size;
    struct view *owner; /* has the device */
    kmutex_t lock;      /* protects the owner */
};

static void *state;

/* Protects all lists and what views say of themselves. */
static kmutex_t lock;
static struct view *early;

static struct turns *
turns_of(dev_t dev)
{
    return (ddi_get_soft_state(state, (int)getminor(dev)));
}

/* ---- mappings ---- */

static struct view *
view_new(struct turns *np, devmap_cookie_t dhp, offset_t off, size_t len)
{
    struct view *view = kmem_alloc(sizeof (*view), KM_SLEEP);

    view->np = np;
    view->dhp = dhp;
    view->off = off;
    view->len = len;
    view->loaded = B_FALSE;
    return (view);
}

/* The lock is held. */
static void
view_link(struct view *view)
{
    struct view *head = &view->np->views;

    view->next = head->next;
    view->prev = head;
    view->next->prev = view;
    head->next = view;
}

/* Takes an early view out; of any thread if that is 0. The lock is held. */
static struct view *
early_take(devmap_cookie_t dhp, kt_did_t thread)
{
    struct view **place, *view;

    for (place = &early; (view = *place) != NULL; place = &view->next) {
        if (view->dhp == dhp && (thread == 0 || view->thread == thread)) {
            *place = view->next;
            break;
        }
    }
    return (view);
}

/* The view that a callback has found before the map callback. The lock is held. */
static struct view * __attribute__((noinline, cold))
view_found(struct turns *np, devmap_cookie_t dhp)
{
    struct view *view;

    for (view = np->views.next; view != &np->views; view = view->next) {
        if (view->dhp == dhp)
            return (view);
    }
    return (NULL);
}

/* The view of a handle whose callback came before its map callback. */
static struct view * __attribute__((noinline, cold))
view_early(devmap_cookie_t dhp)
{
    struct view *view;
    int i;

    mutex_enter(&lock);
    view = early_take(dhp, 0);
    if (view != NULL) {
        view_link(view);
    } else {
        /* The map callback has come since the framework has read the private pointer. */
        for (i = 0; view == NULL && i < INSTANCES; i++) {
            struct turns *np = ddi_get_soft_state(state, i);

            if (np != NULL)
                view = view_found(np, dhp);
        }
    }
    mutex_exit(&lock);
    return (view);
}

/* An mmap(2) of this thread is over. If it has failed, its views go; else they may be mapped. */
static void __attribute__((noinline, cold))
early_end(boolean_t failed)
{
    kt_did_t thread = ddi_get_kt_did();
    struct view **place, *view, *gone = NULL;

    mutex_enter(&lock);
    for (place = &early; (view = *place) != NULL; ) {
        if (view->thread != thread) {
            place = &view->next;
        } else if (failed || view->dhp == NULL) {
            *place = view->next;
            view->next = gone;
            gone = view;
        } else {
            view->thread = 0;
            place = &view->next;
        }
    }
    mutex_exit(&lock);
    while ((view = gone) != NULL) {
        gone = view->next;
        kmem_free(view, sizeof (*view));
    }
}

static int
turns_segmap(dev_t dev, off_t off, struct as *as, caddr_t *addrp, off_t len, uint_t prot, uint_t maxprot, uint_t flags,
    cred_t *cred)
{
    int error;

    if ((flags & MAP_TYPE) == MAP_PRIVATE)
        return (ENOTSUP);
    error = ddi_devmap_segmap(dev, off, (ddi_as_handle_t)as, addrp, len, prot, maxprot, flags, cred);
    if (error != 0 || early != NULL)
        early_end(error != 0);
    return (error);
}

static int
turns_map(devmap_cookie_t dhp, dev_t dev, uint_t flags, offset_t off, size_t len, void **pvtp)
{
    struct turns *np = turns_of(dev);
    kt_did_t thread = ddi_get_kt_did();
    struct view *view;

    UNUSED(flags);
    UNUSED(off);
    UNUSED(len);
    mutex_enter(&lock);
    view = early_take(dhp, thread);
    if (view != NULL) {
        view_link(view);
        *pvtp = view;
    } else if ((view = view_found(np, dhp)) != NULL) {
        *pvtp = view;
    }
    mutex_exit(&lock);
    return (0);
}

static int __attribute__((noinline, cold))
errno_of(faultcode_t code)
{
    switch (FC_CODE(code)) {
    case FC_OBJERR:
        return (FC_ERRNO(code));
    case FC_PROT:
        return (EACCES);
    case FC_NOSUPPORT:
        return (ENOTSUP);
    case FC_HWERR:
        return (EIO);
    default:
        return (EFAULT);
    }
}

/* devmap_contextmgt(9E): what the last owner has loaded is dropped. */
static int
turns_switch(devmap_cookie_t dhp, void *pvt, offset_t off, size_t len, uint_t type, uint_t rw)
{
    struct view *view = pvt, *old;
    struct turns *np;
    int code = 0;

    if (view == NULL && (view = view_early(dhp)) == NULL)
        return (0);
    np = view->np;
    mutex_enter(&np->lock);
    mutex_enter(&lock);
    old = np->owner;
    np->owner = view;
    if (old != NULL && old != view && old->loaded) {
        code = devmap_unload(old->dhp, old->off, old->len);
        if (code == 0)
            old->loaded = B_FALSE;
    }
    if (code == 0) {
        view->loaded = B_TRUE;
        code = devmap_load(dhp, off, len, type, rw);
    }
    mutex_exit(&lock);
    mutex_exit(&np->lock);
    return (code == 0 ? 0 : errno_of(code));
}

static int
turns_access(devmap_cookie_t dhp, void *pvt, offset_t off, size_t len, uint_t type, uint_t rw)
{
    struct view *view = pvt;

    if (type != DEVMAP_ACCESS)
        return (type == DEVMAP_UNLOCK ? devmap_default_access(dhp, pvt, off, len, type, rw) : ENOTSUP);
    if (view == NULL && (view = view_early(dhp)) == NULL)
        return (EFAULT);
    return (devmap_do_ctxmgt(dhp, view, off, len, type, rw, turns_switch));
}

static int
turns_dup(devmap_cookie_t dhp, void *pvt, devmap_cookie_t new, void **new_pvtp)
{
    struct view *view = pvt, *child;

    if (view == NULL && (view = view_early(dhp)) == NULL)
        return (EIO);
    child = view_new(view->np, new, view->off, view->len);
    mutex_enter(&lock);
    view_link(child);
    mutex_exit(&lock);
    *new_pvtp = child;
    return (0);
}

/* A revoke may have missed this part. The lock is held. */
static void
unload_again(struct view *view)
{
    if (!view->loaded)
        (void) devmap_unload(view->dhp, view->off, view->len);
}

static void
turns_unmap(devmap_cookie_t dhp, void *pvt, offset_t off, size_t len, devmap_cookie_t dhp1, void **pvt1p,
    devmap_cookie_t dhp2, void **pvt2p)
{
    struct view *view = pvt, *rest = NULL;
    offset_t end, behind = off + (offset_t)len;

    if (view == NULL && (view = view_early(dhp)) == NULL)
        return;
    end = view->off + (offset_t)view->len;
    if (dhp1 != NULL && dhp2 != NULL) {
        rest = view_new(view->np, dhp2, behind, (size_t)(end - behind));
        *pvt2p = rest;
    } else if (dhp2 != NULL) {
        *pvt2p = view;
    }
    if (dhp1 != NULL)
        *pvt1p = view;
    mutex_enter(&lock);
    if (dhp1 != NULL) {
        view->dhp = dhp1;
        view->len = (size_t)(off - view->off);
        unload_again(view);
        if (rest != NULL) {
            rest->loaded = view->loaded;
            view_link(rest);
            unload_again(rest);
        }
    } else if (dhp2 != NULL) {
        view->dhp = dhp2;
        view->off = behind;
        view->len = (size_t)(end - behind);
        unload_again(view);
    } else {
        view->prev->next = view->next;
        view->next->prev = view->prev;
        if (view->np->owner == view)
            view->np->owner = NULL;
    }
    mutex_exit(&lock);
    if (dhp1 == NULL && dhp2 == NULL)
        kmem_free(view, sizeof (*view));
}

static struct devmap_callback_ctl callbacks = {
    DEVMAP_OPS_REV, turns_map, turns_access, turns_dup, turns_unmap
};

static int
turns_devmap(dev_t dev, devmap_cookie_t dhp, offset_t off, size_t len, size_t *maplen, uint_t model)
{
    struct turns *np = turns_of(dev);
    struct view *view, *other;
    int error;

    UNUSED(model);
    if (np == NULL)
        return (ENXIO);
    len = ptob(btopr(len));
    if (len == 0 || off < 0 || (size_t)off > np->size || len > np->size - (size_t)off)
        return (ENXIO);
    view = view_new(np, dhp, off, len);
    error = devmap_umem_setup(dhp, np->dip, &callbacks, np->cookie, off, len, PROT_ALL, DEVMAP_ALLOW_REMAP, NULL);
    if (error != 0) {
        kmem_free(view, sizeof (*view));
        return (error);
    }
    view->thread = ddi_get_kt_did();
    mutex_enter(&lock);
    /* What an mmap that has failed leaves for a moment. */
    for (other = early; other != NULL; other = other->next) {
        if (other->dhp == dhp)
            other->dhp = NULL;
    }
    view->next = early;
    early = view;
    mutex_exit(&lock);
    *maplen = len;
    return (0);
}

/* ---- the device ---- */

static int
turns_open(dev_t *devp, int flag, int type, cred_t *cred)
{
    UNUSED(flag);
    UNUSED(cred);
    if (type != OTYP_CHR)
        return (EINVAL);
    return (turns_of(*devp) == NULL ? ENXIO : 0);
}

static int
turns_close(dev_t dev, int flag, int type, cred_t *cred)
{
    UNUSED(flag);
    UNUSED(type);
    UNUSED(cred);
    return (turns_of(dev) == NULL ? ENXIO : 0);
}

static int
turns_attach(dev_info_t *dip, ddi_attach_cmd_t command)
{
    int instance = ddi_get_instance(dip);
    struct turns *np;

    if (command != DDI_ATTACH)
        return (DDI_FAILURE);
    if (instance >= INSTANCES || ddi_soft_state_zalloc(state, instance) != DDI_SUCCESS)
        return (DDI_FAILURE);
    np = ddi_get_soft_state(state, instance);
    np->dip = dip;
    np->size = ptob(16);
    np->views.next = np->views.prev = &np->views;
    np->board = ddi_umem_alloc(np->size, DDI_UMEM_SLEEP, &np->cookie);
    mutex_init(&np->lock, NULL, MUTEX_DRIVER, NULL);
    if (ddi_create_minor_node(dip, "turns", S_IFCHR, (minor_t)instance, "ddi_pseudo", 0) != DDI_SUCCESS) {
        mutex_destroy(&np->lock);
        ddi_umem_free(np->cookie);
        ddi_soft_state_free(state, instance);
        return (DDI_FAILURE);
    }
    ddi_report_dev(dip);
    return (DDI_SUCCESS);
}

static int
turns_detach(dev_info_t *dip, ddi_detach_cmd_t command)
{
    int instance = ddi_get_instance(dip);
    struct turns *np = ddi_get_soft_state(state, instance);

    if (command != DDI_DETACH || np == NULL)
        return (DDI_FAILURE);
    ddi_remove_minor_node(dip, NULL);
    mutex_destroy(&np->lock);
    ddi_umem_free(np->cookie);
    ddi_soft_state_free(state, instance);
    return (DDI_SUCCESS);
}

static struct cb_ops cb_ops = {
    .cb_open = turns_open,
    .cb_close = turns_close,
    .cb_read = (int (*)(dev_t, uio_t *, cred_t *))nodev,
    .cb_write = (int (*)(dev_t, uio_t *, cred_t *))nodev,
    .cb_ioctl = (int (*)(dev_t, int, intptr_t, int, cred_t *, int *))nodev,
    .cb_devmap = turns_devmap,
    .cb_mmap = (int (*)(dev_t, off_t, int))nodev,
    .cb_segmap = turns_segmap,
    .cb_prop_op = ddi_prop_op,
    .cb_flag = D_MP | D_64BIT | D_DEVMAP,
    .cb_rev = CB_REV,
};

static struct dev_ops dev_ops = {
    .devo_rev = DEVO_REV,
    .devo_attach = turns_attach,
    .devo_detach = turns_detach,
    .devo_cb_ops = &cb_ops,
    .devo_quiesce = ddi_quiesce_not_needed,
};

static struct modldrv modldrv = { &mod_driverops, "one mapping at a time", &dev_ops };
static struct modlinkage modlinkage = { MODREV_1, { &modldrv, NULL } };

int
_init(void)
{
    int error = ddi_soft_state_init(&state, sizeof (struct turns), 1);

    if (error != 0)
        return (error);
    mutex_init(&lock, NULL, MUTEX_DRIVER, NULL);
    error = mod_install(&modlinkage);
    if (error != 0) {
        mutex_destroy(&lock);
        ddi_soft_state_fini(&state);
    }
    return (error);
}

int
_fini(void)
{
    int error = mod_remove(&modlinkage);

    if (error == 0) {
        mutex_destroy(&lock);
        ddi_soft_state_fini(&state);
    }
    return (error);
}

int
_info(struct modinfo *info)
{
    return (mod_info(&modlinkage, info));
}
