/*
 * Kernel memory: by size, and by object caches.
 */
#ifndef _SYS_KMEM_H
#define _SYS_KMEM_H

#include <sys/types.h>
#include <sys/vmem.h>

struct kmem_cache;
typedef struct kmem_cache kmem_cache_t;

/** What a cache's move callback answers. */
typedef enum kmem_cbrc {
    KMEM_CBRC_YES,
    KMEM_CBRC_NO,
    KMEM_CBRC_LATER,
    KMEM_CBRC_DONT_NEED,
    KMEM_CBRC_DONT_KNOW
} kmem_cbrc_t;

#define KMC_NODEBUG 0x20000
#define KMC_NOHASH 0x80000
#define KMC_NOMAGAZINE 0x40000
#define KMC_NOTOUCH 0x10000

#define KM_FLAGS 0xffff
#define KM_NORMALPRI 8
#define KM_NOSLEEP 1
#define KM_PANIC 2
#define KM_PUSHPAGE 4
#define KM_SLEEP 0
#define KM_VMFLAGS 0xff

/** Kernel memory; KM_SLEEP blocks and never fails, KM_NOSLEEP may give NULL. */
extern void *kmem_alloc(size_t size, int flag);
/** One constructed object. */
extern void *kmem_cache_alloc(kmem_cache_t *cp, int kmflag);
/** A cache of objects of one size, with constructor and destructor. */
extern kmem_cache_t *kmem_cache_create(char *name, size_t bufsize, size_t align,
    int (*constructor)(void *, void *, int), void (*destructor)(void *, void *),
    void (*reclaim)(void *), void *private, vmem_t *vmp, int cflags);
/** Ends a cache; every object must be back. */
extern void kmem_cache_destroy(kmem_cache_t *cp);
/** Gives an object back, in constructed state. */
extern void kmem_cache_free(kmem_cache_t *cp, void *obj);
/**
 * Frees what the cache holds in reserve. Only in the 2015 headers; a function of the kernel in
 * both.
 */
extern void kmem_cache_reap_now(kmem_cache_t *cache);
/** Lets the allocator move objects. */
extern void kmem_cache_set_move(kmem_cache_t *cp, kmem_cbrc_t (*move)(void *, void *, size_t,
    void *));
/** Bytes that could be allocated. */
extern size_t kmem_avail(void);
/** Bytes that could be allocated at once. */
extern size_t kmem_maxavail(void);
/** Returns whether memory is checked. */
extern int kmem_debugging(void);
/** Memory without sleeping; *asize is what to free. */
extern void *kmem_alloc_tryhard(size_t size, size_t *asize, int kmflag);
/** Gives back what the allocator holds in reserve. */
extern void kmem_reap(void);
/** A number about a cache, by its name. */
extern uint64_t kmem_cache_stat(kmem_cache_t *cp, char *name);
/** The object could be moved now. */
extern void kmem_cache_move_notify(kmem_cache_t *cp, void *buf);
/** Frees memory; the size must be the allocated one. */
extern void kmem_free(void *buf, size_t size);
/** kmem_alloc, zeroed. */
extern void *kmem_zalloc(size_t size, int flag);

/** Gives unused identifiers back. */
extern void kmem_reap_idspace(void);

#endif /* _SYS_KMEM_H */
