/*
 * The reference's workloads, through what a C driver and the kernel call of a framework: the devmap functions, and the operations of the
 * segments that it makes.
 *
 *   framework count [WORKLOAD]    for callgrind: collection is to be toggled by measured_ops*, and a dump written after each end_of_workload
 *   framework time [WORKLOAD]     nanoseconds
 *   framework bytes               memory for live mappings
 *
 * Prints one JSON line for each workload, in the order of the dumps.
 */
#include "bench.h"
#include <vm/hat.h>

#define PAGE 0x1000UL
#define FOUR (4 * PAGE)
#define MOST 100001

/* What a driver's access callback does. */
enum access { NOTHING, DEFAULT, CTX_LAST, CTX };

/* A device: one region of kernel memory or registers, mapped `piece` bytes to a handle. */
struct device {
    boolean_t umem;
    size_t piece;
    enum access access;
};

static struct device *devices;
static uint_t n_devices;

static devmap_cookie_t *handles;
static size_t n_handles, last;

/* ---- the driver ---- */

static int
bench_map(devmap_cookie_t dhp, dev_t dev, uint_t flags, offset_t off, size_t len, void **pvtp)
{
    UNUSED(dev);
    UNUSED(flags);
    UNUSED(off);
    UNUSED(len);
    *pvtp = (void *)n_handles;
    if (n_handles < MOST)
        handles[n_handles++] = dhp;
    return (0);
}

static int
bench_dup(devmap_cookie_t dhp, void *pvt, devmap_cookie_t new, void **new_pvt)
{
    UNUSED(dhp);
    UNUSED(new);
    *new_pvt = pvt;
    return (0);
}

static void
bench_unmap(devmap_cookie_t dhp, void *pvt, offset_t off, size_t len, devmap_cookie_t dhp1, void **pvt1,
    devmap_cookie_t dhp2, void **pvt2)
{
    UNUSED(dhp);
    UNUSED(off);
    UNUSED(len);
    if (dhp1 != NULL)
        *pvt1 = pvt;
    if (dhp2 != NULL)
        *pvt2 = pvt;
}

static int
switch_last(devmap_cookie_t dhp, void *pvt, offset_t off, size_t len, uint_t type, uint_t rw)
{
    size_t me = (size_t)pvt;

    if (last != me)
        (void) devmap_unload(handles[last], 0, 0);
    last = me;
    return (devmap_load(dhp, off, len, type, rw));
}

static int
switch_all(devmap_cookie_t dhp, void *pvt, offset_t off, size_t len, uint_t type, uint_t rw)
{
    size_t i;

    for (i = 0; i < n_handles; i++) {
        if (i != (size_t)pvt)
            (void) devmap_unload(handles[i], 0, 0);
    }
    return (devmap_load(dhp, off, len, type, rw));
}

/* While set, a fault is only the occasion for loading or unloading a whole handle. */
static int (*whole)(devmap_cookie_t);

static int
access_default(devmap_cookie_t dhp, void *pvt, offset_t off, size_t len, uint_t type, uint_t rw)
{
    if (whole != NULL)
        return (whole(dhp));
    return (devmap_default_access(dhp, pvt, off, len, type, rw));
}

static int
access_ctx_last(devmap_cookie_t dhp, void *pvt, offset_t off, size_t len, uint_t type, uint_t rw)
{
    return (devmap_do_ctxmgt(dhp, pvt, off, len, type, rw, switch_last));
}

static int
access_ctx(devmap_cookie_t dhp, void *pvt, offset_t off, size_t len, uint_t type, uint_t rw)
{
    return (devmap_do_ctxmgt(dhp, pvt, off, len, type, rw, switch_all));
}

#define CALLBACKS(access) { DEVMAP_OPS_REV, bench_map, access, bench_dup, bench_unmap }

static struct devmap_callback_ctl callbacks[] = {
    [DEFAULT] = CALLBACKS(access_default),
    [CTX_LAST] = CALLBACKS(access_ctx_last),
    [CTX] = CALLBACKS(access_ctx),
};

static struct ddi_umem_cookie memory = {
    .size = 1UL << 40,
    .cvaddr = (caddr_t)0xffff800000000000,
    .type = KMEM_NON_PAGEABLE,
};

static int
bench_devmap(dev_t dev, devmap_cookie_t dhp, offset_t off, size_t len, size_t *maplen, uint_t model)
{
    struct device *device = &devices[(uint_t)dev];
    struct devmap_callback_ctl *ops = device->access == NOTHING ? NULL : &callbacks[device->access];

    UNUSED(model);
    if (len > device->piece)
        len = device->piece;
    *maplen = len;
    if (device->umem)
        return (devmap_umem_setup(dhp, (dev_info_t *)device, ops, (ddi_umem_cookie_t)&memory, off, len, PROT_ALL, 0,
            NULL));
    return (devmap_devmem_setup(dhp, (dev_info_t *)device, ops, 0, off, len, PROT_ALL, 0, NULL));
}

static struct cb_ops cb_ops = {
    .cb_mmap = (int (*)(dev_t, off_t, int))nodev,
    .cb_devmap = bench_devmap,
    .cb_flag = D_MP | D_64BIT | D_DEVMAP,
};
static struct dev_ops dev_ops = { .devo_cb_ops = &cb_ops };

/* ---- what a process does ---- */

static dev_t
device(boolean_t umem, size_t piece, enum access access)
{
    struct device *d = &devices[n_devices];

    if (n_devices == MOST)
        wrong("too many devices");
    d->umem = umem;
    d->piece = piece;
    d->access = access;
    return (((dev_t)MAJOR << 32) | n_devices++);
}

static struct seg *
map(dev_t dev, size_t len)
{
    caddr_t addr = NULL;

    if (devmap_setup(dev, 0, (ddi_as_handle_t)&parent, &addr, len, PROT_READ | PROT_WRITE, PROT_ALL, MAP_SHARED, NULL) != 0)
        wrong("mmap failed");
    return (newest);
}

static void
unmap(struct seg *seg)
{
    if (seg->s_ops->unmap(seg, seg->s_base, seg->s_size) != 0)
        wrong("munmap failed");
}

static void
fault(struct seg *seg, caddr_t addr)
{
    if (seg->s_ops->fault(seg->s_as->a_hat, seg, addr, PAGE, F_INVAL, S_READ) != 0)
        wrong("a fault failed");
}

/* A pseudo-random number below n. */
static ulong_t
pseudo_random(ulong_t i, ulong_t n)
{
    return (((i * 0x9e3779b97f4a7c15) >> 32) * n >> 32);
}

/* ---- workloads ---- */

static struct seg **live;
static size_t n_live;
static dev_t dev;
static size_t length;

static void
keep(struct seg *seg)
{
    if (n_live == 2 * MOST)
        wrong("too many segments");
    live[n_live++] = seg;
}

/* Nothing is mapped any more. */
static void
end(void)
{
    while (n_live > 0)
        unmap(live[--n_live]);
    n_devices = 0;
    n_handles = last = 0;
    whole = NULL;
}

/* W1, W1L, W2: faults of one page in one mapping. */
static ulong_t pages, stride, first;

static void
fault_op(ulong_t i)
{
    fault(live[0], live[0]->s_base + pseudo_random(i, pages) * stride + first);
}

static void
faults_one(const char *name, boolean_t umem, enum access access, size_t of)
{
    keep(map(device(umem, of * PAGE, access), of * PAGE));
    pages = of;
    stride = PAGE;
    first = 0;
    bench(name, 2000, NULL, fault_op);
    end();
}

static void
faults_many(const char *name, boolean_t umem, enum access access, size_t n)
{
    keep(map(device(umem, FOUR, access), n * FOUR));
    pages = n;
    stride = FOUR;
    first = PAGE;
    bench(name, 2000, NULL, fault_op);
    end();
}

/* W3: faults go round n mappings, each takes the context from the one before. */
static size_t next;

static void
ping_pong_op(ulong_t i)
{
    UNUSED(i);
    fault(live[next], live[next]->s_base + PAGE);
    if (++next == n_live)
        next = 0;
}

static void
ping_pong(const char *name, ulong_t ops, enum access access, size_t n)
{
    dev_t one = device(B_FALSE, FOUR, access);

    while (n_live < n)
        keep(map(one, FOUR));
    next = 0;
    bench(name, ops, NULL, ping_pong_op);
    end();
}

/* W4, W10: mmap and munmap while others live. */
static void
map_op(ulong_t i)
{
    UNUSED(i);
    n_handles = 0;
    unmap(map(dev, length));
}

static void
map_unmap(const char *name, ulong_t ops, enum access access, size_t len, size_t same, size_t apart)
{
    dev = device(B_FALSE, FOUR, access);
    length = len;
    while (n_live < same)
        keep(map(dev, FOUR));
    while (n_live < same + apart)
        keep(map(device(B_FALSE, FOUR, access), FOUR));
    bench(name, ops, NULL, map_op);
    end();
}

/* W5: fork and exit of a space of n segments. */
static void
fork_op(ulong_t i)
{
    size_t n = n_live;

    UNUSED(i);
    for (i = 0; i < n; i++) {
        struct seg *old = live[i], *new = kernel_segment(&child, old->s_base, old->s_size);

        if (old->s_ops->dup(old, new) != 0)
            wrong("fork failed");
        live[n_live++] = new;
    }
    while (n_live > n)
        unmap(live[--n_live]);
}

static void
forks(const char *name, ulong_t ops, enum access access, size_t n)
{
    dev = device(B_FALSE, FOUR, access);
    while (n_live < n)
        keep(map(dev, FOUR));
    bench(name, ops, NULL, fork_op);
    end();
}

/* W6, W8: load or unload of a whole handle. devmap_load works in an access callback only: its call is what is measured there. */
static int __attribute__((noipa))
measured_ops_load(devmap_cookie_t dhp)
{
    return (devmap_load(dhp, 0, 0, DEVMAP_ACCESS, DEVMAP_READ));
}

static void
load_op(ulong_t i)
{
    UNUSED(i);
    fault(live[0], live[0]->s_base);
}

static void
unload_op(ulong_t i)
{
    UNUSED(i);
    if (devmap_unload(handles[0], 0, 0) != 0)
        wrong("devmap_unload failed");
}

static void
whole_handle(const char *name, boolean_t umem, boolean_t load, size_t n)
{
    keep(map(device(umem, n * PAGE, DEFAULT), n * PAGE));
    if (load) {
        whole = measured_ops_load;
        bench_inside(name, 500, load_op);
    } else {
        bench(name, 500, NULL, unload_op);
    }
    end();
}

/* W7: a middle munmap that splits a handle of 16 pages. */
static void
split_clean(void)
{
    while (n_live > 0)
        unmap(live[--n_live]);
}

static void
split_prepare(ulong_t n)
{
    split_clean();
    n_handles = 0;
    /* The new handles come from the allocator's lists, as everything else does. */
    while (n_live < 2 * n)
        keep(map(dev, 16 * PAGE));
    split_clean();
    while (n_live < n)
        keep(map(dev, 16 * PAGE));
}

static void
split_op(ulong_t i)
{
    struct seg *seg = live[i];

    if (seg->s_ops->unmap(seg, seg->s_base + FOUR, FOUR) != 0)
        wrong("munmap failed");
    live[n_live++] = newest;
}

static void
split(const char *name, boolean_t umem, enum access access)
{
    dev = device(umem, 16 * PAGE, access);
    bench(name, 500, split_prepare, split_op);
    end();
}

static char name[128];
#define NAME(...) (snprintf(name, sizeof (name), __VA_ARGS__), name)

/* The workloads of the reference's table, under its names. */
static void
table(void)
{
    static const char *const kinds[] = { "devmem", "umem" };
    static const char *const accesses[] = { "null", "default" };
    static const char *const who[] = { "no callbacks", "callbacks" };
    static const size_t many[] = { 64, 1024 }, turns[] = { 2, 8, 64 }, others[] = { 0, 1000, 10000 };
    static const size_t forked[] = { 1, 100, 1000 }, pieces[] = { 1, 64, 1024 };
    int umem, access;
    uint_t i;

    for (umem = 1; umem >= 0; umem--) {
        for (access = NOTHING; access <= DEFAULT; access++)
            faults_one(NAME("W1 single-page fault, 1 handle, %s, access %s", kinds[umem], accesses[access]), umem, access, 16);
    }
    for (access = NOTHING; access <= DEFAULT; access++) {
        faults_one(NAME("W1L single-page fault in a 4 MiB devmem mapping, 2 MiB pages, access %s", accesses[access]),
            B_FALSE, access, 1024);
    }
    for (i = 0; i < 2; i++) {
        for (umem = 1; umem >= 0; umem--) {
            for (access = NOTHING; access <= DEFAULT; access++) {
                faults_many(NAME("W2 single-page fault, %lu handles, %s, access %s", many[i], kinds[umem],
                    accesses[access]), umem, access, many[i]);
            }
        }
    }
    for (i = 0; i < 3; i++)
        ping_pong(NAME("W3 ctx_last ping-pong, %lu mappings", turns[i]), 2048, CTX_LAST, turns[i]);
    ping_pong("W3 ctx (unload all others), 8 mappings", 2048, CTX, 8);
    map_unmap("W4 mmap+munmap, no callbacks", 500, NOTHING, FOUR, 0, 0);
    for (i = 0; i < 3; i++)
        map_unmap(NAME("W4 mmap+munmap, %lu others live on the same device, callbacks", others[i]), 500, DEFAULT, FOUR,
            others[i], 0);
    for (i = 1; i < 3; i++)
        map_unmap(NAME("W4 mmap+munmap, %lu others live, each on its own device, callbacks", others[i]), 500, DEFAULT,
            FOUR, 0, others[i]);
    for (access = DEFAULT; access >= NOTHING; access--) {
        for (i = 0; i < 3; i++)
            forks(NAME("W5 fork+exit, %lu segments, %s", forked[i], who[access]), i == 0 ? 500 : 5, access, forked[i]);
    }
    for (umem = 1; umem >= 0; umem--)
        whole_handle(NAME("W6 devmap_load of 1024 %s pages", kinds[umem]), umem, B_TRUE, 1024);
    for (umem = 1; umem >= 0; umem--) {
        for (access = NOTHING; access <= DEFAULT; access++)
            split(NAME("W7 middle munmap splitting one %s handle, %s", kinds[umem], who[access]), umem, access);
    }
    for (umem = 1; umem >= 0; umem--)
        whole_handle(NAME("W8 devmap_unload of 1024 %s pages", kinds[umem]), umem, B_FALSE, 1024);
    for (i = 0; i < 3; i++)
        map_unmap(NAME("W10 mmap+munmap of one mapping of %lu handles, callbacks", pieces[i]), i == 0 ? 500 : i == 1 ? 50 : 5,
            DEFAULT, pieces[i] * FOUR, 0, 0);
}

/* How the workloads grow: "curve NAME SIZE". */
static void
growth(void)
{
    static const size_t sizes[] = { 0, 10, 100, 1000, 10000, 100000 };
    static const size_t turns[] = { 2, 8, 64, 512, 4096 };
    size_t n;
    uint_t i;

    for (n = 1; n <= 4096; n *= 4)
        faults_many(NAME("curve fault-by-handles %lu", n), B_TRUE, DEFAULT, n);
    for (i = 0; i < 6; i++)
        map_unmap(NAME("curve map-by-mappings %lu", sizes[i]), 500, DEFAULT, FOUR, sizes[i], 0);
    for (i = 0; i < 5; i++)
        map_unmap(NAME("curve map-by-devices %lu", sizes[i]), 500, DEFAULT, FOUR, 0, sizes[i]);
    for (n = 1; n <= 1024; n *= 4)
        whole_handle(NAME("curve load-by-pages %lu", n), B_TRUE, B_TRUE, n);
    for (i = 0; i < 5; i++)
        ping_pong(NAME("curve switch-by-mappings %lu", turns[i]), 4096, CTX_LAST, turns[i]);
}

/* Bytes for the first live mapping of a device, and for each more. */
static void
bytes(void)
{
    ulong_t start, one[2], more[2];
    int access;

    for (access = NOTHING; access <= DEFAULT; access++) {
        dev = device(B_FALSE, FOUR, access);
        start = counts.bytes;
        keep(map(dev, FOUR));
        one[access] = counts.bytes - start;
        while (n_live < 101)
            keep(map(dev, FOUR));
        more[access] = (counts.bytes - start - one[access]) / 100;
        end();
    }
    printf("{\"mapping\": %lu, \"first\": %lu, \"plain\": %lu}\n", more[DEFAULT], one[DEFAULT], more[NOTHING]);
}

int
main(int argc, char **argv)
{
    devices = malloc(MOST * sizeof (*devices));
    handles = malloc(MOST * sizeof (*handles));
    live = malloc(2 * MOST * sizeof (*live));
    kernel_driver(&dev_ops);
    if (bench_start(argc, argv)) {
        bytes();
        return (0);
    }
    table();
    growth();
    return (0);
}
