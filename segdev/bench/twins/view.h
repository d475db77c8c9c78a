/*
 * What a careful driver in C is made of that has views: a board of kernel memory, and for each mapping of it something of its own. The driver includes this, defines what is declared
 * below, and makes its tables.
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

#define INSTANCES 64

struct board;

/* One mapping of a process, on its instance's list; before its first callback on the list of the early ones. */
struct view {
    struct view *next, *prev;
    struct board *board;
    kt_did_t thread;    /* of the mmap(2) under way; 0 if it is over */
    devmap_cookie_t dhp;
    offset_t off;
    size_t len;
    boolean_t loaded;
};

/* The beginning of an instance. */
struct board {
    dev_info_t *dip;
    struct view views;  /* head of the list */
    ddi_umem_cookie_t cookie;
    caddr_t memory;
    size_t size;
};

/* The driver's. */
static size_t const instance_size;
static struct modlinkage modlinkage;
static struct devmap_callback_ctl callbacks;
static void mapped(struct board *board);
static void forked(struct board *board);
static void gone(struct view *view); /* the lock is held */

static void *state;

/* Protects all lists and what views say of themselves. */
static kmutex_t lock;
static struct view *early;

static struct board *
board_of(dev_t dev)
{
    return (ddi_get_soft_state(state, (int)getminor(dev)));
}

/* ---- mappings ---- */

static struct view *
view_new(struct board *board, devmap_cookie_t dhp, offset_t off, size_t len)
{
    struct view *view = kmem_alloc(sizeof (*view), KM_SLEEP);

    view->board = board;
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
    struct view *head = &view->board->views;

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
view_found(struct board *board, devmap_cookie_t dhp)
{
    struct view *view;

    for (view = board->views.next; view != &board->views; view = view->next) {
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
            struct board *board = ddi_get_soft_state(state, i);

            if (board != NULL)
                view = view_found(board, dhp);
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
board_segmap(dev_t dev, off_t off, struct as *as, caddr_t *addrp, off_t len, uint_t prot, uint_t maxprot, uint_t flags,
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
board_map(devmap_cookie_t dhp, dev_t dev, uint_t flags, offset_t off, size_t len, void **pvtp)
{
    struct board *board = board_of(dev);
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
    } else if ((view = view_found(board, dhp)) != NULL) {
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
board_dup(devmap_cookie_t dhp, void *pvt, devmap_cookie_t new, void **new_pvtp)
{
    struct view *view = pvt, *child;

    if (view == NULL && (view = view_early(dhp)) == NULL)
        return (EIO);
    child = view_new(view->board, new, view->off, view->len);
    mutex_enter(&lock);
    view_link(child);
    mutex_exit(&lock);
    *new_pvtp = child;
    forked(view->board);
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
board_unmap(devmap_cookie_t dhp, void *pvt, offset_t off, size_t len, devmap_cookie_t dhp1, void **pvt1p,
    devmap_cookie_t dhp2, void **pvt2p)
{
    struct view *view = pvt, *rest = NULL;
    offset_t end, behind = off + (offset_t)len;

    if (view == NULL && (view = view_early(dhp)) == NULL)
        return;
    end = view->off + (offset_t)view->len;
    if (dhp1 != NULL && dhp2 != NULL) {
        rest = view_new(view->board, dhp2, behind, (size_t)(end - behind));
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
        gone(view);
        view->prev->next = view->next;
        view->next->prev = view->prev;
    }
    mutex_exit(&lock);
    if (dhp1 == NULL && dhp2 == NULL)
        kmem_free(view, sizeof (*view));
}

static int
board_devmap(dev_t dev, devmap_cookie_t dhp, offset_t off, size_t len, size_t *maplen, uint_t model)
{
    struct board *board = board_of(dev);
    struct view *view, *other;
    int error;

    UNUSED(model);
    if (board == NULL)
        return (ENXIO);
    len = ptob(btopr(len));
    if (len == 0 || off < 0 || (size_t)off > board->size || len > board->size - (size_t)off)
        return (ENXIO);
    view = view_new(board, dhp, off, len);
    error = devmap_umem_setup(dhp, board->dip, &callbacks, board->cookie, off, len, PROT_ALL, DEVMAP_ALLOW_REMAP, NULL);
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
    mapped(board);
    *maplen = len;
    return (0);
}

/* ---- the device ---- */

static int
board_open(dev_t *devp, int flag, int type, cred_t *cred)
{
    UNUSED(flag);
    UNUSED(cred);
    if (type != OTYP_CHR)
        return (EINVAL);
    return (board_of(*devp) == NULL ? ENXIO : 0);
}

static int
board_close(dev_t dev, int flag, int type, cred_t *cred)
{
    UNUSED(flag);
    UNUSED(type);
    UNUSED(cred);
    return (board_of(dev) == NULL ? ENXIO : 0);
}

int
_init(void)
{
    int error = ddi_soft_state_init(&state, instance_size, 1);

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
