/*
 * Block requests.
 */
#ifndef _SYS_BUF_H
#define _SYS_BUF_H

#include <sys/types.h>
#include <sys/semaphore.h>

/** One request to a block device, or of physio(9F). */
typedef struct buf {
    int b_flags;
    struct buf *b_forw;
    struct buf *b_back;
    struct buf *av_forw;
    struct buf *av_back;
    o_dev_t b_dev;
    size_t b_bcount;
    union {
        caddr_t b_addr;
    } b_un;
    lldaddr_t _b_blkno;
    char b_obs1;
    size_t b_resid;
    clock_t b_start;
    struct proc *b_proc;
    struct page *b_pages;
    clock_t b_obs2;
    size_t b_bufsize;
    int (*b_iodone)(struct buf *);
    struct vnode *b_vp;
    struct buf *b_chain;
    int b_obs3;
    int b_error;
    void *b_private;
    dev_t b_edev;
    ksema_t b_sem;
    ksema_t b_io;
    struct buf *b_list;
    struct page **b_shadow;
    void *b_dip;
    struct vnode *b_file;
    offset_t b_offset;
} buf_t;
#define b_blkno _b_blkno._p._l
#define b_lblkno _b_blkno._f

/** Requests in the order of disksort(9F): b_actf is the first, b_actl the last. */
struct diskhd {
    long b_flags;
    struct buf *b_forw;
    struct buf *b_back;
    struct buf *av_forw;
    struct buf *av_back;
    o_dev_t b_dev;
    size_t b_bcount;
};
#define b_actf av_forw
#define b_actl av_back

#define B_ABRWRITE 0x4000000
#define B_AGE 0x200
#define B_ASYNC 0x400
#define B_BUSY 1
#define B_DELWRI 0x800
#define B_DONE 2
#define B_DONTNEED 0x2000
#define B_ERROR 4
#define B_FAILFAST 0x1000000
#define B_FORCE 0x20000
#define B_FREE 0x8000
#define B_INVAL 0x10000
#define B_NOCACHE 0x80000
#define B_PAGE_NOWAIT 0x8000000
#define B_PAGEIO 0x10
#define B_PHYS 0x20
#define B_READ 0x40
#define B_REMAPPED 0x4000
#define B_RETRYWRI 0x400000
#define B_SHADOW 0x200000
#define B_STALE 0x1000
#define B_STARTED 0x2000000
#define B_TRUNC 0x100000
#define B_WANTED 0x80
#define B_WRITE 0x100

/** A second buf over part of a first. */
extern struct buf *bioclone(struct buf *bp, off_t off, size_t len, dev_t dev, daddr_t val,
    int (*func)(struct buf *), struct buf *bp2, int flag);
/** Puts a request where the next sweep over the disk comes to it, by b_resid. */
extern void disksort(struct diskhd *dp, struct buf *bp);
/** A request is done. */
extern void biodone(struct buf *bp);
/** Sets or clears a request's error. */
extern void bioerror(struct buf *bp, int flag);
/** Ends bioinit. */
extern void biofini(struct buf *bp);
/** Makes a buf in memory of the driver's own. */
extern void bioinit(struct buf *bp);
/** Whether somebody wrote to the memory behind a request. */
extern int biomodified(struct buf *bp);
/** Makes a buf fit for another use. */
extern void bioreset(struct buf *bp);
/** Size of a buf. */
extern size_t biosize(void);
/** Waits for a request. Its error. */
extern int biowait(struct buf *bp);
/** Copies from a request's memory. */
extern int bp_copyin(struct buf *bp, void *arg, offset_t off, size_t len);
/** Copies to a request's memory. */
extern int bp_copyout(void *arg, struct buf *bp, offset_t off, size_t len);
/** Gives a request's memory a kernel address. */
extern void bp_mapin(struct buf *bp);
/** Ends bp_mapin. */
extern void bp_mapout(struct buf *bp);
/** Zeroes a request's memory. */
extern void clrbuf(struct buf *bp);
/** A request's error. */
extern int geterror(struct buf *bp);

#endif /* _SYS_BUF_H */
