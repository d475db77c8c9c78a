/*
 * Pages: internal.
 */
#ifndef _VM_PAGE_H
#define _VM_PAGE_H

#include <sys/types.h>

/** Page frame of a page; internal. */
extern pfn_t page_pptonum(page_t *pp);

#endif /* _VM_PAGE_H */
