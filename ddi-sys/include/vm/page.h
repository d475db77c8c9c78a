/*
 * Pages: internal.
 */
#ifndef _VM_PAGE_H
#define _VM_PAGE_H

#include <sys/types.h>
#include <sys/mutex.h>

/** Page frame of a page; internal. */
extern pfn_t page_pptonum(page_t *pp);

struct lgrp;

/** Kinds of page locks. */
typedef enum { SE_SHARED, SE_EXCL } se_t;
/** Whether a free page may be taken from its list. */
typedef enum { P_RECLAIM, P_NO_RECLAIM } reclaim_t;

/** Registers the callback for captured pages of one kind. Not part of the DDI, like the functions below. */
extern void page_capture_register_callback(uint_t index, clock_t duration, int (*func)(page_t *, void *, uint_t));
/** Ends page_capture_register_callback. */
extern void page_capture_unregister_callback(uint_t index);
/** Gives pages back that page_create_wait had counted. */
extern void page_create_putback(ssize_t npages);
/** Nonzero when there are pages to allocate. */
extern int page_create_wait(size_t npages, uint_t flags);
/** Takes a page from its vnode and frees it. */
extern void page_destroy(page_t *pp, int dontfree);
/** From exclusive to shared. */
extern void page_downgrade(page_t *pp);
/** A vnode's page, not locked. */
extern page_t *page_exists(vnode_t *vp, u_offset_t off);
/** A vnode's page, not locked. */
extern page_t *page_find(vnode_t *vp, u_offset_t off);
/** Frees a page that the caller has alone. */
extern void page_free(page_t *pp, int dontneed);
/** A cached page that nobody needs, or NULL. */
extern page_t *page_get_cachelist(vnode_t *vp, u_offset_t off, struct seg *seg, caddr_t vaddr, uint_t flags,
    struct lgrp *lgrp);
/** A free page, held exclusively, or NULL. */
extern page_t *page_get_freelist(vnode_t *vp, u_offset_t off, struct seg *seg, caddr_t vaddr, size_t size,
    uint_t flags, struct lgrp *lgrp);
/** Names a page; 0 when the vnode has another one there. */
extern int page_hashin(page_t *pp, vnode_t *vp, u_offset_t off, kmutex_t *hold);
/** Takes a page's name away. */
extern void page_hashout(page_t *pp, kmutex_t *phm);
/** Waits for a page's lock. */
extern int page_lock(page_t *pp, se_t se, kmutex_t *lock, reclaim_t reclaim);
/** A vnode's page, locked, or NULL. */
extern page_t *page_lookup(vnode_t *vp, u_offset_t off, se_t se);
/** The same without waiting for the lock. */
extern page_t *page_lookup_nowait(vnode_t *vp, u_offset_t off, se_t se);
/** A frame's page, locked, or NULL. */
extern page_t *page_numtopp(pfn_t pfn, se_t se);
/** A frame's page, not locked, or NULL. */
extern page_t *page_numtopp_nolock(pfn_t pfn);
/** Takes pages out of what may be locked; 0 when there are not that many. */
extern int page_resv(pgcnt_t npages, uint_t flags);
/** Takes a free page for the function of its kind: 0 or an errno. */
extern int page_trycapture(page_t *pp, uint_t szc, uint_t flags, void *datap);
/** Takes a page's lock if it is free; 0 when it is not. */
extern int page_trylock(page_t *pp, se_t se);
/** From shared to exclusive; 0 when others share it. */
extern int page_tryupgrade(page_t *pp);
/** Gives a page's lock up. */
extern void page_unlock(page_t *pp);
/** Gives pages of page_resv back. */
extern void page_unresv(pgcnt_t npages);
/** Returns the mutex of a vnode's page list. */
extern kmutex_t *page_vnode_mutex(vnode_t *vp);
/** Zeroes part of a page. */
extern void pagezero(page_t *pp, uint_t off, uint_t len);
/** Whether a frame is memory. */
extern int pf_is_memory(pfn_t pfn);

/** Protects the counts of pages. */
extern kmutex_t freemem_lock;

#endif /* _VM_PAGE_H */
