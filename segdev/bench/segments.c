/*
 * The framework of the module: what the kernel calls of its segments.
 */
#include "process.h"

/* A mapping is the kernel's segment. */
struct mapping {
    struct seg seg;
};

struct mapping *
process_map(struct cb_ops *ops, dev_t dev, offset_t off, size_t len)
{
    caddr_t addr = NULL;

    if (ops->cb_segmap(dev, off, (ddi_as_handle_t)&parent, &addr, (off_t)len, PROT_READ | PROT_WRITE, PROT_ALL, MAP_SHARED,
        NULL) != 0)
        wrong("mmap failed");
    return ((struct mapping *)newest);
}

void
process_fault(struct mapping *m, size_t off)
{
    struct seg *seg = &m->seg;

    if (seg->s_ops->fault(seg->s_as->a_hat, seg, seg->s_base + off, 0x1000, F_INVAL, S_READ) != 0)
        wrong("a fault failed");
}

struct mapping *
process_fork(struct mapping *m)
{
    struct seg *new = kernel_segment(&child, m->seg.s_base, m->seg.s_size);

    if (m->seg.s_ops->dup(&m->seg, new) != 0)
        wrong("fork failed");
    return ((struct mapping *)new);
}

struct mapping *
process_cut(struct mapping *m, size_t off, size_t len)
{
    size_t behind = m->seg.s_size - off - len;

    if (m->seg.s_ops->unmap(&m->seg, m->seg.s_base + off, len) != 0)
        wrong("munmap failed");
    return (off != 0 && behind != 0 ? (struct mapping *)newest : NULL);
}

void
process_unmap(struct mapping *m)
{
    if (m->seg.s_ops->unmap(&m->seg, m->seg.s_base, m->seg.s_size) != 0)
        wrong("munmap failed");
}
