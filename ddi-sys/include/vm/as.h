/*
 * Address spaces: internal, and drivers that map by hand reach for it.
 */
#ifndef _VM_AS_H
#define _VM_AS_H

#include <sys/types.h>

typedef int (*segcreate_func_t)(struct seg **, void *);

extern struct seg *as_findseg(struct as *as, caddr_t addr, int flag);
/**
 * Internal (address spaces). Also as_unmap, as_rangelock, as_rangeunlock, as_ctl, as_findseg:
 * drivers that build mappings by hand.
 */
extern int as_map(struct as *as, caddr_t addr, size_t len, int ((*func)()), void *arg);
extern void as_rangelock(struct as *as);
extern void as_rangeunlock(struct as *as);
extern int as_unmap(struct as *as, caddr_t addr, size_t len);

/** The kernel's address space; only its a_hat is used. */
extern struct as kas;

#endif /* _VM_AS_H */
