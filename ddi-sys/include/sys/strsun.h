/*
 * STREAMS: helpers for ioctl messages.
 */
#ifndef _SYS_STRSUN_H
#define _SYS_STRSUN_H

#include <sys/stream.h>

/** Makes an M_COPYIN message. */
extern void mcopyin(mblk_t *mp, void *priv, size_t size, void *useraddr);
/** Makes a message a single block. */
extern void mcopymsg(mblk_t *mp, void *bufp);
/** Makes an M_COPYOUT message. */
extern void mcopyout(mblk_t *mp, void *priv, size_t size, void *useraddr, mblk_t *dp);
/** Sends an M_ERROR message. */
extern void merror(queue_t *q, mblk_t *mp, int error);
/** Reuses a message for another of some size and type. */
extern mblk_t *mexchange(queue_t *q, mblk_t *mp, size_t size, uchar_t type, int32_t primtype);
/** Makes an M_IOCACK message of an ioctl message. */
extern void mioc2ack(mblk_t *mp, mblk_t *dp, size_t count, int rval);
/** Acknowledges an ioctl message. */
extern void miocack(queue_t *q, mblk_t *mp, int count, int rval);
/** Refuses an ioctl message. */
extern void miocnak(queue_t *q, mblk_t *mp, int count, int error);
/** Pulls the data of an ioctl message up. Returns 0 or an errno. */
extern int miocpullup(mblk_t *mp, size_t size);
/** Returns the bytes of all blocks of a message. */
extern size_t msgsize(mblk_t *mp);

#endif /* _SYS_STRSUN_H */
