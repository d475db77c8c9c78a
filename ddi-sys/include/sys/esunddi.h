/*
 * Consolidation-private additions to the interface.
 */
#ifndef _SYS_ESUNDDI_H
#define _SYS_ESUNDDI_H

#include <sys/types.h>
#include <sys/ddidevmap.h>

#define DDI_UMEMLOCK_LONGTERM 4

/** ddi_umem_lock with limits and an early-unlock callback; consolidation-private. */
extern int umem_lockmemory(caddr_t addr, size_t len, int flags, ddi_umem_cookie_t *cookiep,
    struct umem_callback_ops *ops_vector, proc_t *procp);

#endif /* _SYS_ESUNDDI_H */
