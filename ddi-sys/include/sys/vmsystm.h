/*
 * User ranges: internal.
 */
#ifndef _SYS_VMSYSTM_H
#define _SYS_VMSYSTM_H

#include <sys/types.h>

#define ADDR_NOVACALIGN 0
#define ADDR_VACALIGN 1

/** Chooses a user address, or unmaps the range of a fixed one; internal. */
extern int choose_addr(struct as *as, caddr_t *addrp, size_t len, offset_t off, int vacalign, uint_t flags);
/** Chooses a user address; internal. */
extern void map_addr(caddr_t *addrp, size_t len, offset_t off, int flag, uint_t flags);
/** Whether a range can belong to a process; internal. */
extern int valid_usr_range(caddr_t addr, size_t len, uint_t flags, struct as *as, caddr_t addr2);

/** Pages that could be locked at first; internal, as are those below. */
extern pgcnt_t availrmem_initial;
/** Pages that are free. */
extern pgcnt_t freemem;
/** Pages that must not be used up. */
extern pgcnt_t swapfs_minfree;

#endif /* _SYS_VMSYSTM_H */
