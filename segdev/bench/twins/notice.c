/*
 * notice, as a careful C driver: a board of kernel memory that all processes see. It does what example-driver/notice does.
 *
 * Careful means that no process that may open the device can crash the kernel, see what it must not, or leave something behind, by what a driver can prevent. The numbers are those of docs/shield.md.
 *
 * - 7, 8: a map callback must not fail: the framework keeps an empty segment, or what was loaded, and calls a null pointer at the next access. So private mappings are refused in segmap(9E).
 * - 20 to 27: softlocks lose count, and hang. DEVMAP_ALLOW_REMAP makes the framework refuse them.
 * - 30, 31: another thread of the process can touch, duplicate and unmap a mapping before its map callback, which may then come for a handle that is freed, or never. A view that the map callback makes would not
 *   be there for the access, which would follow a null pointer, and would stay after the unmap, on the list of what a revoke unloads, with a handle that is freed. So a view is made in devmap(9E), and whichever
 *   callback comes first finds it by its handle; the thread tells it from one that an mmap which has failed leaves at the same address for a moment. No callback tells of such an mmap: segmap(9E) sees to that.
 * - A fault code is no error number: FC_PROT is EINTR's, and the access would be repeated for ever.
 * - A revoke between the framework's cut of a mapping and the unmap callback does not reach what is behind the cut, and the process would keep what was revoked. So what should not be loaded is unloaded once more.
 */
#include <sys/types.h>
#include <sys/atomic.h>
#include <sys/cmn_err.h>
#include <sys/conf.h>
#include <sys/cred.h>
#include <sys/ddi.h>
#include <sys/ddidevmap.h>
#include <sys/errno.h>
#include <sys/file.h>
#include <sys/kmem.h>
#include <sys/ksynch.h>
#include <sys/kstat.h>
#include <sys/mman.h>
#include <sys/modctl.h>
#include <sys/open.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <sys/sunddi.h>
#include <sys/uio.h>
#include <vm/faultcode.h>

#define UNUSED(x) ((void)(x))

#define NOTICE_REVOKE 0x6e01
#define INSTANCES 64

/* One mapping of a process, on its instance's list; before its first callback on the list of the early ones. */
struct view {
    struct view *next, *prev;
    struct notice *np;
    kt_did_t thread;    /* of the mmap(2) under way; 0 if it is over */
    devmap_cookie_t dhp;
    offset_t off;
    size_t len;
    boolean_t loaded;
};

enum { MAPS, FAULTS, FORKS, COUNTS };
static char *const names[COUNTS] = { "maps", "faults", "forks" };

struct notice {
    dev_info_t *dip;
    struct view views;  /* head of the list */
    ddi_umem_cookie_t cookie;
    caddr_t board;
    size_t size;
    kstat_t *ksp;
    uint64_t counts[COUNTS];
};

static void *state;

/* Protects all lists and what views say of themselves. */
static kmutex_t lock;
static struct view *early;

static struct notice *
notice_of(dev_t dev)
{
    return (ddi_get_soft_state(state, (int)getminor(dev)));
}

/* ---- mappings ---- */

static struct view *
view_new(struct notice *np, devmap_cookie_t dhp, offset_t off, size_t len)
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
view_found(struct notice *np, devmap_cookie_t dhp)
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
            struct notice *np = ddi_get_soft_state(state, i);

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
notice_segmap(dev_t dev, off_t off, struct as *as, caddr_t *addrp, off_t len, uint_t prot, uint_t maxprot, uint_t flags,
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
notice_map(devmap_cookie_t dhp, dev_t dev, uint_t flags, offset_t off, size_t len, void **pvtp)
{
    struct notice *np = notice_of(dev);
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

static int
notice_access(devmap_cookie_t dhp, void *pvt, offset_t off, size_t len, uint_t type, uint_t rw)
{
    struct view *view = pvt;
    int code;

    if (type != DEVMAP_ACCESS)
        return (type == DEVMAP_UNLOCK ? devmap_default_access(dhp, pvt, off, len, type, rw) : ENOTSUP);
    if (view == NULL && (view = view_early(dhp)) == NULL)
        return (EFAULT);
    atomic_inc_64(&view->np->counts[FAULTS]);
    mutex_enter(&lock);
    view->loaded = B_TRUE;
    code = devmap_load(dhp, off, len, type, rw);
    mutex_exit(&lock);
    return (code == 0 ? 0 : errno_of(code));
}

static int
notice_dup(devmap_cookie_t dhp, void *pvt, devmap_cookie_t new, void **new_pvtp)
{
    struct view *view = pvt, *child;

    if (view == NULL && (view = view_early(dhp)) == NULL)
        return (EIO);
    child = view_new(view->np, new, view->off, view->len);
    mutex_enter(&lock);
    view_link(child);
    mutex_exit(&lock);
    *new_pvtp = child;
    atomic_inc_64(&view->np->counts[FORKS]);
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
notice_unmap(devmap_cookie_t dhp, void *pvt, offset_t off, size_t len, devmap_cookie_t dhp1, void **pvt1p,
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
    }
    mutex_exit(&lock);
    if (dhp1 == NULL && dhp2 == NULL)
        kmem_free(view, sizeof (*view));
}

static struct devmap_callback_ctl callbacks = {
    DEVMAP_OPS_REV, notice_map, notice_access, notice_dup, notice_unmap
};

static int
notice_devmap(dev_t dev, devmap_cookie_t dhp, offset_t off, size_t len, size_t *maplen, uint_t model)
{
    struct notice *np = notice_of(dev);
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
    atomic_inc_64(&np->counts[MAPS]);
    *maplen = len;
    return (0);
}

static int
notice_revoke(struct notice *np)
{
    struct view *view;
    int error = 0;

    mutex_enter(&lock);
    for (view = np->views.next; view != &np->views; view = view->next) {
        if (view->loaded) {
            if (devmap_unload(view->dhp, view->off, view->len) != 0)
                error = EIO;
            else
                view->loaded = B_FALSE;
        }
    }
    mutex_exit(&lock);
    return (error);
}

/* ---- the device ---- */

static int
notice_open(dev_t *devp, int flag, int type, cred_t *cred)
{
    UNUSED(flag);
    UNUSED(cred);
    if (type != OTYP_CHR)
        return (EINVAL);
    return (notice_of(*devp) == NULL ? ENXIO : 0);
}

static int
notice_close(dev_t dev, int flag, int type, cred_t *cred)
{
    UNUSED(flag);
    UNUSED(type);
    UNUSED(cred);
    return (notice_of(dev) == NULL ? ENXIO : 0);
}

/* Writes a number; returns the place behind it. */
static char *
number(char *to, uint64_t value)
{
    char digits[20];
    int n = 0;

    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    while (n > 0)
        *to++ = digits[--n];
    return (to);
}

static int
notice_read(dev_t dev, uio_t *uio, cred_t *cred)
{
    struct notice *np = notice_of(dev);
    char text[128], *at = text, *name;
    offset_t off = uio->uio_loffset;
    int i;

    UNUSED(cred);
    if (np == NULL)
        return (ENXIO);
    for (i = 0; i < COUNTS; i++) {
        for (name = names[i]; *name != '\0'; name++)
            *at++ = *name;
        *at++ = ' ';
        at = number(at, np->counts[i]);
        *at++ = '\n';
    }
    if (off < 0 || off >= at - text)
        return (0);
    return (uiomove(text + off, (size_t)(at - text - off), UIO_READ, uio));
}

static int
notice_write(dev_t dev, uio_t *uio, cred_t *cred)
{
    struct notice *np = notice_of(dev);

    UNUSED(cred);
    if (np == NULL)
        return (ENXIO);
    return (uiomove(np->board, np->size, UIO_WRITE, uio));
}

static int
notice_ioctl(dev_t dev, int command, intptr_t arg, int mode, cred_t *cred, int *rvalp)
{
    struct notice *np = notice_of(dev);
    int error;

    UNUSED(arg);
    UNUSED(mode);
    UNUSED(cred);
    if (np == NULL)
        return (ENXIO);
    switch (command) {
    case NOTICE_REVOKE:
        error = notice_revoke(np);
        break;
    default:
        return (ENOTTY);
    }
    if (error == 0)
        *rvalp = 0;
    return (error);
}

static int
notice_attach(dev_info_t *dip, ddi_attach_cmd_t command)
{
    int instance = ddi_get_instance(dip);
    struct notice *np;
    int i, pages;

    if (command != DDI_ATTACH)
        return (DDI_FAILURE);
    pages = ddi_prop_get_int(DDI_DEV_T_ANY, dip, DDI_PROP_DONTPASS, "pages", 1);
    if (pages < 1 || instance >= INSTANCES || ddi_soft_state_zalloc(state, instance) != DDI_SUCCESS)
        return (DDI_FAILURE);
    np = ddi_get_soft_state(state, instance);
    np->dip = dip;
    np->size = ptob((size_t)pages);
    np->views.next = np->views.prev = &np->views;
    np->board = ddi_umem_alloc(np->size, DDI_UMEM_SLEEP, &np->cookie);
    np->ksp = kstat_create("notice", instance, "notice", "misc", KSTAT_TYPE_NAMED, COUNTS, 0);
    if (np->ksp != NULL) {
        for (i = 0; i < COUNTS; i++)
            kstat_named_init((kstat_named_t *)np->ksp->ks_data + i, names[i], KSTAT_DATA_UINT64);
        kstat_install(np->ksp);
    }
    if (ddi_create_minor_node(dip, "notice", S_IFCHR, (minor_t)instance, "ddi_pseudo", 0) != DDI_SUCCESS) {
        if (np->ksp != NULL)
            kstat_delete(np->ksp);
        ddi_umem_free(np->cookie);
        ddi_soft_state_free(state, instance);
        return (DDI_FAILURE);
    }
    ddi_report_dev(dip);
    return (DDI_SUCCESS);
}

static int
notice_detach(dev_info_t *dip, ddi_detach_cmd_t command)
{
    int instance = ddi_get_instance(dip);
    struct notice *np = ddi_get_soft_state(state, instance);

    if (command != DDI_DETACH || np == NULL)
        return (DDI_FAILURE);
    ddi_remove_minor_node(dip, NULL);
    if (np->ksp != NULL)
        kstat_delete(np->ksp);
    ddi_umem_free(np->cookie);
    ddi_soft_state_free(state, instance);
    return (DDI_SUCCESS);
}

static struct cb_ops cb_ops = {
    .cb_open = notice_open,
    .cb_close = notice_close,
    .cb_read = notice_read,
    .cb_write = notice_write,
    .cb_ioctl = notice_ioctl,
    .cb_devmap = notice_devmap,
    .cb_mmap = (int (*)(dev_t, off_t, int))nodev,
    .cb_segmap = notice_segmap,
    .cb_prop_op = ddi_prop_op,
    .cb_flag = D_MP | D_64BIT | D_DEVMAP,
    .cb_rev = CB_REV,
};

static struct dev_ops dev_ops = {
    .devo_rev = DEVO_REV,
    .devo_attach = notice_attach,
    .devo_detach = notice_detach,
    .devo_cb_ops = &cb_ops,
    .devo_quiesce = ddi_quiesce_not_needed,
};

static struct modldrv modldrv = { &mod_driverops, "notice board 0.1", &dev_ops };
static struct modlinkage modlinkage = { MODREV_1, { &modldrv, NULL } };

int
_init(void)
{
    int error = ddi_soft_state_init(&state, sizeof (struct notice), 1);

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
