/*
 * What a driver's own part of each operation costs: the same operations of a driver on devmap (the crate) and of its twin in C.
 *
 *   layer count|time|bytes [WORKLOAD]    as in framework.c
 */
#include "bench.h"
#include "process.h"
#include <sys/open.h>
#include <sys/file.h>
#include <sys/uio.h>

#define PAGE 0x1000UL
#define SIZE (16 * PAGE)
#define MOST 2048
#define REVOKE 0x6e01

/* The module's entry points, by names that a program has no other for. */
extern int module_init(void);
extern struct dev_ops *loaded;

static struct cb_ops *cb;
static dev_t dev = (dev_t)MAJOR << 32;
static struct mapping *live[MOST];
static size_t n_live, pieces;

static struct mapping *
map(void)
{
    return (process_map(cb, dev, 0, SIZE));
}

static void
end(void)
{
    while (n_live > 0)
        process_unmap(live[--n_live]);
}

static void
fault_op(ulong_t i)
{
    process_fault(live[0], (i % 16) * PAGE);
}

static void
turn_op(ulong_t i)
{
    process_fault(live[i % 2], 0);
}

static void
map_op(ulong_t i)
{
    UNUSED(i);
    process_unmap(map());
}

static void
touch_op(ulong_t i)
{
    struct mapping *m = map();

    UNUSED(i);
    process_fault(m, 0);
    process_unmap(m);
}

static void
ready(ulong_t n)
{
    end();
    while (n_live < n)
        live[n_live++] = map();
}

static void
head_op(ulong_t i)
{
    (void) process_cut(live[i], 0, 4 * PAGE);
}

static void
tail_op(ulong_t i)
{
    (void) process_cut(live[i], SIZE - 4 * PAGE, 4 * PAGE);
}

static void
middle_op(ulong_t i)
{
    live[n_live++] = process_cut(live[i], 4 * PAGE, 4 * PAGE);
}

static void
fork_op(ulong_t i)
{
    size_t n = pieces;

    for (i = 0; i < n; i++)
        live[n_live++] = process_fork(live[i]);
    while (n_live > n)
        process_unmap(live[--n_live]);
}

static void
ioctl_op(ulong_t i)
{
    int value;

    UNUSED(i);
    (void) cb->cb_ioctl(dev, 1, 0, FREAD, NULL, &value);
}

static void
revoke_op(ulong_t i)
{
    int value;

    process_fault(live[i % n_live], 0);
    if (cb->cb_ioctl(dev, REVOKE, 0, FREAD, NULL, &value) != 0)
        wrong("a revoke failed");
}

static void
open_op(ulong_t i)
{
    dev_t opened = dev;

    UNUSED(i);
    if (cb->cb_open(&opened, FREAD | FWRITE, OTYP_CHR, NULL) != 0 ||
        cb->cb_close(opened, FREAD | FWRITE, OTYP_CHR, NULL) != 0)
        wrong("open failed");
}

static void
request(uio_t *uio, struct iovec *iov)
{
    iov->iov_base = NULL;
    iov->iov_len = 16;
    uio->uio_iov = iov;
    uio->uio_iovcnt = 1;
    uio->uio_loffset = 0;
    uio->uio_resid = 16;
}

static void
read_op(ulong_t i)
{
    uio_t uio;
    struct iovec iov;

    UNUSED(i);
    request(&uio, &iov);
    if (cb->cb_read(dev, &uio, NULL) != 0)
        wrong("read failed");
}

static void
write_op(ulong_t i)
{
    uio_t uio;
    struct iovec iov;

    UNUSED(i);
    request(&uio, &iov);
    if (cb->cb_write(dev, &uio, NULL) != 0)
        wrong("write failed");
}

/* Whether the driver is one that can be read and written, and revokes; else it has mappings only. */
static boolean_t
is_board(void)
{
    uio_t uio;
    struct iovec iov;

    request(&uio, &iov);
    return (cb->cb_read(dev, &uio, NULL) == 0);
}

static char name[64];

static void
forks(size_t n)
{
    pieces = n;
    ready(n);
    (void) snprintf(name, sizeof (name), "fork+exit, %lu mappings", n);
    bench(name, n == 1 ? 500 : 50, NULL, fork_op);
    end();
}

static void
all(void)
{
    ready(1);
    bench("fault", 2000, NULL, fault_op);
    end();
    ready(2);
    bench("fault, two mappings in turn", 2000, NULL, turn_op);
    end();
    /* Before there were more mappings than these. */
    ready(100);
    if (is_board())
        bench("fault and revoke, 1 of 100 loaded", 500, NULL, revoke_op);
    end();
    bench("mmap+munmap", 500, NULL, map_op);
    bench("mmap+touch+munmap", 500, NULL, touch_op);
    bench("munmap of a middle", 500, ready, middle_op);
    bench("munmap of a head", 500, ready, head_op);
    bench("munmap of a tail", 500, ready, tail_op);
    end();
    forks(1);
    forks(10);
    forks(100);
    bench("open+close", 500, NULL, open_op);
    /* The rest is not there if the other is not. */
    if (!is_board())
        return;
    bench("ioctl", 500, NULL, ioctl_op);
    bench("write of 16 bytes", 500, NULL, write_op);
    bench("read of counters as text", 500, NULL, read_op);
}

/* Bytes for the first live mapping, and for each more. */
static void
bytes(void)
{
    ulong_t start, first, more;

    ready(1);
    end();
    start = counts.bytes;
    ready(1);
    first = counts.bytes - start;
    while (n_live < 101)
        live[n_live++] = map();
    more = (counts.bytes - start - first) / 100;
    printf("{\"mapping\": %lu, \"first\": %lu, \"plain\": %lu}\n", more, first, more);
    end();
}

int
main(int argc, char **argv)
{
    static char node;
    boolean_t memory = bench_start(argc, argv);

    if (module_init() != 0 || loaded == NULL)
        wrong("_init failed");
    kernel_driver(loaded);
    if (loaded->devo_attach((dev_info_t *)&node, DDI_ATTACH) != DDI_SUCCESS)
        wrong("attach failed");
    cb = loaded->devo_cb_ops;
    if (memory)
        bytes();
    else
        all();
    return (0);
}
