/*
 * Address spaces: internal, and drivers that map by hand reach for it.
 */
#ifndef _VM_AS_H
#define _VM_AS_H

#include <sys/types.h>

typedef int (*segcreate_func_t)(struct seg **, void *);

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
