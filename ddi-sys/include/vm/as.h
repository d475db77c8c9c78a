/*
 * Address spaces: internal, and drivers that map by hand reach for it.
 */
#ifndef _VM_AS_H
#define _VM_AS_H

#include <sys/types.h>
#include <sys/condvar.h>
#include <sys/mutex.h>
#include <vm/seg_enum.h>
#include <vm/seg.h>

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
/** Registers a callback for changes of a range. Not part of the DDI, like the functions below. */
extern int as_add_callback(struct as *as, void (*func)(), void *arg, uint_t events, caddr_t vaddr, size_t size,
    int sleepflag);
/** 0 when such an access is allowed in all of a range. */
extern int as_checkprot(struct as *as, caddr_t addr, size_t size, uint_t prot);
/** Advice and memory locks. */
extern int as_ctl(struct as *as, caddr_t addr, size_t size, int func, int attr, uintptr_t arg, ulong_t *lock_map,
    size_t pos);
/** Ends as_add_callback. */
extern uint_t as_delete_callback(struct as *as, void *arg);
/** A part of a range where nothing is mapped; -1 when there is none. */
extern int as_gap(struct as *as, size_t minlen, caddr_t *basep, size_t *lenp, uint_t flags, caddr_t addr);
/** Names the memory at an address. */
extern int as_getmemid(struct as *as, caddr_t addr, memid_t *memidp);
/** Stores the residence of a range's pages, one byte for each page. */
extern int as_incore(struct as *as, caddr_t addr, size_t size, char *vec, size_t *sizep);
/** The segment at an address. */
extern struct seg *as_segat(struct as *as, caddr_t addr);
/** Changes protections. */
extern int as_setprot(struct as *as, caddr_t addr, size_t size, uint_t prot);

/** The kernel's address space; internal. */
extern struct as kas;

#endif /* _VM_AS_H */
