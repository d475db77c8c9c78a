/*
 * notice, as a careful C driver: a board of kernel memory that all processes see. It does what example-driver/notice does, as carefully as view.h says.
 */
#include "view.h"

#include <sys/atomic.h>
#include <sys/kstat.h>
#include <sys/uio.h>

#define NOTICE_REVOKE 0x6e01

enum { MAPS, FAULTS, FORKS, COUNTS };
static char *const names[COUNTS] = { "maps", "faults", "forks" };

struct notice {
    struct board board;
    kstat_t *ksp;
    uint64_t counts[COUNTS];
};

static size_t const instance_size = sizeof (struct notice);

static struct notice *
notice_of(struct board *board)
{
    return ((struct notice *)board);
}

static void
mapped(struct board *board)
{
    atomic_inc_64(&notice_of(board)->counts[MAPS]);
}

static void
forked(struct board *board)
{
    atomic_inc_64(&notice_of(board)->counts[FORKS]);
}

static void
gone(struct view *view)
{
    UNUSED(view);
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
    atomic_inc_64(&notice_of(view->board)->counts[FAULTS]);
    mutex_enter(&lock);
    view->loaded = B_TRUE;
    code = devmap_load(dhp, off, len, type, rw);
    mutex_exit(&lock);
    return (code == 0 ? 0 : errno_of(code));
}

static struct devmap_callback_ctl callbacks = {
    DEVMAP_OPS_REV, board_map, notice_access, board_dup, board_unmap
};

static int
notice_revoke(struct board *board)
{
    struct view *view;
    int error = 0;

    mutex_enter(&lock);
    for (view = board->views.next; view != &board->views; view = view->next) {
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
    struct board *board = board_of(dev);
    char text[128], *at = text, *name;
    offset_t off = uio->uio_loffset;
    int i;

    UNUSED(cred);
    if (board == NULL)
        return (ENXIO);
    for (i = 0; i < COUNTS; i++) {
        for (name = names[i]; *name != '\0'; name++)
            *at++ = *name;
        *at++ = ' ';
        at = number(at, notice_of(board)->counts[i]);
        *at++ = '\n';
    }
    if (off < 0 || off >= at - text)
        return (0);
    return (uiomove(text + off, (size_t)(at - text - off), UIO_READ, uio));
}

static int
notice_write(dev_t dev, uio_t *uio, cred_t *cred)
{
    struct board *board = board_of(dev);

    UNUSED(cred);
    if (board == NULL)
        return (ENXIO);
    return (uiomove(board->memory, board->size, UIO_WRITE, uio));
}

static int
notice_ioctl(dev_t dev, int command, intptr_t arg, int mode, cred_t *cred, int *rvalp)
{
    struct board *board = board_of(dev);
    int error;

    UNUSED(arg);
    UNUSED(mode);
    UNUSED(cred);
    if (board == NULL)
        return (ENXIO);
    switch (command) {
    case NOTICE_REVOKE:
        error = notice_revoke(board);
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
    np->board.dip = dip;
    np->board.size = ptob((size_t)pages);
    np->board.views.next = np->board.views.prev = &np->board.views;
    np->board.memory = ddi_umem_alloc(np->board.size, DDI_UMEM_SLEEP, &np->board.cookie);
    np->ksp = kstat_create("notice", instance, "notice", "misc", KSTAT_TYPE_NAMED, COUNTS, 0);
    if (np->ksp != NULL) {
        for (i = 0; i < COUNTS; i++)
            kstat_named_init((kstat_named_t *)np->ksp->ks_data + i, names[i], KSTAT_DATA_UINT64);
        kstat_install(np->ksp);
    }
    if (ddi_create_minor_node(dip, "notice", S_IFCHR, (minor_t)instance, "ddi_pseudo", 0) != DDI_SUCCESS) {
        if (np->ksp != NULL)
            kstat_delete(np->ksp);
        ddi_umem_free(np->board.cookie);
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
    ddi_umem_free(np->board.cookie);
    ddi_soft_state_free(state, instance);
    return (DDI_SUCCESS);
}

static struct cb_ops cb_ops = {
    .cb_open = board_open,
    .cb_close = board_close,
    .cb_read = notice_read,
    .cb_write = notice_write,
    .cb_ioctl = notice_ioctl,
    .cb_devmap = board_devmap,
    .cb_mmap = (int (*)(dev_t, off_t, int))nodev,
    .cb_segmap = board_segmap,
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
