/*
 * What a fault and an mmap with its munmap cost a driver: of sixteen pages, touched one after the other. For drivers on devmap, with and without one of the mapping models of devmap/ports.
 *
 *   ports count|time [WORKLOAD]    as in framework.c
 */
#include "bench.h"
#include "process.h"

#define PAGE 0x1000UL
#define SIZE (16 * PAGE)

/* The module's entry points, by names that a program has no other for. */
extern int module_init(void);
extern struct dev_ops *loaded;

/* Functions of the kernel's that only a port's driver calls. */
int
ddi_prop_exists(dev_t match, dev_info_t *dip, uint_t flags, char *name)
{
    UNUSED(match);
    UNUSED(dip);
    UNUSED(flags);
    UNUSED(name);
    return (0);
}

int
ddi_dev_nregs(dev_info_t *dip, int *count)
{
    UNUSED(dip);
    UNUSED(count);
    return (DDI_FAILURE);
}

pid_t
ddi_get_pid(void)
{
    return (1);
}

model_t
ddi_model_convert_from(model_t model)
{
    UNUSED(model);
    return (DDI_MODEL_NONE);
}

int
ddi_copyin(const void *from, void *to, size_t len, int flags)
{
    UNUSED(from);
    UNUSED(to);
    UNUSED(len);
    UNUSED(flags);
    return (-1);
}

int
ddi_copyout(const void *from, void *to, size_t len, int flags)
{
    return (ddi_copyin(from, to, len, flags));
}

static struct cb_ops *cb;
static dev_t dev = (dev_t)MAJOR << 32;
static struct mapping *live;

static void
fault_op(ulong_t i)
{
    process_fault(live, (i % 16) * PAGE);
}

static void
map_op(ulong_t i)
{
    UNUSED(i);
    process_unmap(process_map(cb, dev, 0, SIZE));
}

int
main(int argc, char **argv)
{
    static char node;

    if (bench_start(argc, argv))
        wrong("no bytes are measured here");
    if (module_init() != 0 || loaded == NULL)
        wrong("_init failed");
    kernel_driver(loaded);
    if (loaded->devo_attach((dev_info_t *)&node, DDI_ATTACH) != DDI_SUCCESS)
        wrong("attach failed");
    cb = loaded->devo_cb_ops;
    live = process_map(cb, dev, 0, SIZE);
    bench("fault", 2000, NULL, fault_op);
    bench("mmap+munmap", 500, NULL, map_op);
    process_unmap(live);
    return (0);
}
