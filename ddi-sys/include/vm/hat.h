/*
 * Address translation: internal, and drivers that map by hand reach for it.
 */
#ifndef _VM_HAT_H
#define _VM_HAT_H

#include <sys/types.h>

#define HAT_ENDIAN_MASK 0x3000
#define HAT_LOAD 0
#define HAT_LOAD_LOCK 1
#define HAT_LOAD_ADV 4
#define HAT_LOAD_CONTIG 0x10
#define HAT_LOAD_NOCONSIST 0x20
#define HAT_LOAD_SHARE 0x40
#define HAT_LOAD_REMAP 0x80
#define HAT_LOAD_TEXT 0x400
#define HAT_LOADCACHING_OK 0x300
#define HAT_MERGING_OK 0x200
#define HAT_NEVERSWAP 0
#define HAT_NOSYNC 0x20
#define HAT_ORDER_MASK 0x700
#define HAT_PLAT_ATTR_MASK 0xf00000
#define HAT_PROT_MASK 0xf
#define HAT_STORECACHING_OK 0x400
#define HAT_STRICTORDER 0
#define HAT_STRUCTURE_BE 0x1000
#define HAT_STRUCTURE_LE 0x2000
#define HAT_SYNC_DONTZERO 0
#define HAT_SYNC_ZERORM 1
#define HAT_SYNC_STOPON_REF 2
#define HAT_SYNC_STOPON_MOD 4
#define HAT_SYNC_STOPON_RM 6
#define HAT_SYNC_STOPON_SHARED 8
#define HAT_UNLOAD 0
#define HAT_UNLOAD_NOSYNC 2
#define HAT_UNLOAD_UNLOCK 4
#define HAT_UNLOAD_OTHER 8
#define HAT_UNLOAD_UNMAP 0x10
#define HAT_UNORDERED_OK 0x100
#define HAT_PLAT_NOCACHE 0x100000

/** Enters kernel translations for page frames; internal. */
extern void hat_devload(struct hat *hat, caddr_t addr, size_t len, pfn_t val, uint_t flags,
    int flag);
/** Page frame behind an address; internal. */
extern pfn_t hat_getpfnum(struct hat *hat, caddr_t addr);
/** Enters the translation of a page; internal. */
extern void hat_memload(struct hat *hat, caddr_t addr, struct page *p, uint_t flags, uint_t flags2);
/** Changes the protections of translations; internal. */
extern void hat_chgprot(struct hat *hat, caddr_t addr, size_t len, uint_t vprot);
/** Takes a lock from every translation of a range; internal. */
extern void hat_unlock(struct hat *hat, caddr_t addr, size_t len);
/** Drops translations; internal. */
extern void hat_unload(struct hat *hat, caddr_t addr, size_t len, uint_t flags);

#endif /* _VM_HAT_H */
