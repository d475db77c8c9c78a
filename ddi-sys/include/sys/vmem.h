/*
 * Resource arenas.
 */
#ifndef _SYS_VMEM_H
#define _SYS_VMEM_H

#include <sys/types.h>

struct vmem;
typedef struct vmem vmem_t;
typedef void *(vmem_alloc_t)(vmem_t *, size_t, int);
typedef void (vmem_free_t)(vmem_t *, void *, size_t);

#define VM_ABORT 0x2000
#define VM_BESTFIT 0x100
#define VM_ENDALLOC 0x4000
#define VM_FIRSTFIT 0x200
#define VM_FLAGS 0xffff
#define VM_KMFLAGS 0xff
#define VM_MEMLOAD 0x800
#define VM_NEXTFIT 0x400
#define VM_NORELOC 0x1000
#define VM_NORMALPRI 8
#define VM_NOSLEEP 1
#define VM_PANIC 2
#define VM_PUSHPAGE 4
#define VM_SLEEP 0

#define VMC_DUMPSAFE 0x200000
#define VMC_FLAGS 0xffff0000
#define VMC_IDENTIFIER 0x40000
#define VMC_NO_QCACHE 0x20000
#define VMC_POPULATOR 0x10000
#define VMC_XALIGN 0x100000
#define VMC_XALLOC 0x80000

/** A piece of the arena. */
extern void *vmem_alloc(vmem_t *vmp, size_t size, int vmflag);
/** An arena of numbers or addresses. */
extern vmem_t *vmem_create(const char *name, void *base, size_t size, size_t quantum,
    vmem_alloc_t *afunc, vmem_free_t *ffunc, vmem_t *source, size_t qcache_max, int vmflag);
/** Ends an arena; everything must be back. */
extern void vmem_destroy(vmem_t *vmp);
/** Gives a piece back. */
extern void vmem_free(vmem_t *vmp, void *vaddr, size_t size);
/** A piece with alignment and bounds. */
extern void *vmem_xalloc(vmem_t *vmp, size_t size, size_t align, size_t phase, size_t nocross,
    void *minaddr, void *maxaddr, int vmflag);
/** Gives vmem_xalloc's piece back. */
extern void vmem_xfree(vmem_t *vmp, void *vaddr, size_t size);

/** The arena of kernel addresses; internal. */
extern vmem_t *heap_arena;

#endif /* _SYS_VMEM_H */
