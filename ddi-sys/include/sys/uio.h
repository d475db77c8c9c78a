/*
 * What a read or write request is about: memory, its length, the file offset.
 */
#ifndef _SYS_UIO_H
#define _SYS_UIO_H

#include <sys/types.h>

/** Where the memory of a request lies. */
typedef enum uio_seg { UIO_USERSPACE, UIO_SYSSPACE, UIO_USERISPACE } uio_seg_t;
typedef enum uio_rw { UIO_READ, UIO_WRITE } uio_rw_t;

typedef struct iovec {
    caddr_t iov_base;
    size_t iov_len;
} iovec_t;

/** A request; uiomove(9F) advances it. */
typedef struct uio {
    iovec_t *uio_iov;
    int uio_iovcnt;
    lloff_t _uio_offset;
    uio_seg_t uio_segflg;
    uint16_t uio_fmode;
    uint16_t uio_extflg;
    lloff_t _uio_limit;
    ssize_t uio_resid;
} uio_t;

struct aio_req {
    struct uio *aio_uio;
    void *aio_private;
};
#define uio_loffset _uio_offset._f
#define uio_offset _uio_offset._p._l
#define uio_llimit _uio_limit._f
#define uio_limit _uio_limit._p._l

#define UIO_ASYNC 2
#define UIO_COPY_DEFAULT 0
#define UIO_COPY_CACHED 1
#define UIO_XUIO 4

/** Moves bytes of a request and advances it. 0 or EFAULT. */
extern int uiomove(void *addr, size_t nbytes, enum uio_rw rwflag, uio_t *uiop);
/** Gives the reader of a request one byte. */
extern int ureadc(int c, uio_t *uiop);
/** Takes one byte of a request, -1 at its end. */
extern int uwritec(struct uio *uiop);

#endif /* _SYS_UIO_H */
