/*
 * Address spaces: internal, and drivers that map by hand reach for it.
 */
#ifndef _VM_AS_H
#define _VM_AS_H

#include <sys/types.h>
#include <sys/condvar.h>
#include <sys/mutex.h>
#include <vm/seg_enum.h>

/** The first members of an address space, the same in all kernels; what follows them differs. */
struct as {
    kmutex_t a_contents;
    uchar_t a_flags;
    uchar_t a_vbits;
    kcondvar_t a_cv;
    struct hat *a_hat;
};

#define AS_PAGLCK 0x80
#define AS_CLAIMGAP 0x40
#define AS_UNMAPWAIT 0x20
#define AS_NOUNMAPWAIT 0x02

typedef int (*segcreate_func_t)(struct seg **, void *);

/** Serves a fault; internal. */
extern faultcode_t as_fault(struct hat *hat, struct as *as, caddr_t addr, size_t size, enum fault_type type,
    enum seg_rw rw);
/** The segment at an address; internal. */
extern struct seg *as_findseg(struct as *as, caddr_t addr, int flag);
/** Makes a segment in an address space; internal. */
extern int as_map(struct as *as, caddr_t addr, size_t len, segcreate_func_t val, void *arg);
/** Keeps an address space's layout as it is; internal. */
extern void as_rangelock(struct as *as);
/** Ends as_rangelock; internal. */
extern void as_rangeunlock(struct as *as);
/** Removes a range of an address space; internal. */
extern int as_unmap(struct as *as, caddr_t addr, size_t len);

/** The kernel's address space; internal. */
extern struct as kas;

#endif /* _VM_AS_H */
