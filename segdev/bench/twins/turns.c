/*
 * turns, as a careful C driver: memory that one mapping at a time can use. It does what xtask/fixtures/turns does, as carefully as view.h says.
 */
#include "view.h"

struct turns {
    struct board board;
    struct view *owner; /* has the device */
    kmutex_t lock;      /* protects the owner; before that of the views */
};

static size_t const instance_size = sizeof (struct turns);

static struct turns *
turns_of(struct board *board)
{
    return ((struct turns *)board);
}

static void
mapped(struct board *board)
{
    UNUSED(board);
}

static void
forked(struct board *board)
{
    UNUSED(board);
}

static void
gone(struct view *view)
{
    if (turns_of(view->board)->owner == view)
        turns_of(view->board)->owner = NULL;
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
    np = turns_of(view->board);
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

static struct devmap_callback_ctl callbacks = {
    DEVMAP_OPS_REV, board_map, turns_access, board_dup, board_unmap
};

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
    np->board.dip = dip;
    np->board.size = ptob(16);
    np->board.views.next = np->board.views.prev = &np->board.views;
    np->board.memory = ddi_umem_alloc(np->board.size, DDI_UMEM_SLEEP, &np->board.cookie);
    mutex_init(&np->lock, NULL, MUTEX_DRIVER, NULL);
    if (ddi_create_minor_node(dip, "turns", S_IFCHR, (minor_t)instance, "ddi_pseudo", 0) != DDI_SUCCESS) {
        mutex_destroy(&np->lock);
        ddi_umem_free(np->board.cookie);
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
    ddi_umem_free(np->board.cookie);
    ddi_soft_state_free(state, instance);
    return (DDI_SUCCESS);
}

static struct cb_ops cb_ops = {
    .cb_open = board_open,
    .cb_close = board_close,
    .cb_read = (int (*)(dev_t, uio_t *, cred_t *))nodev,
    .cb_write = (int (*)(dev_t, uio_t *, cred_t *))nodev,
    .cb_ioctl = (int (*)(dev_t, int, intptr_t, int, cred_t *, int *))nodev,
    .cb_devmap = board_devmap,
    .cb_mmap = (int (*)(dev_t, off_t, int))nodev,
    .cb_segmap = board_segmap,
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
