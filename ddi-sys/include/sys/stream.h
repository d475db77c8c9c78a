/*
 * STREAMS: messages, which drivers also pass to each other as data, and queues.
 */
#ifndef _SYS_STREAM_H
#define _SYS_STREAM_H

#include <sys/types.h>
#include <sys/cred.h>

/** The fields of a queue that strqget and strqset name. */
typedef enum qfields {
    QHIWAT = 0,
    QLOWAT = 1,
    QMAXPSZ = 2,
    QMINPSZ = 3,
    QCOUNT = 4,
    QFIRST = 5,
    QLAST = 6,
    QFLAG = 7,
    QSTRUIOT = 8,
    QBAD = 9
} qfields_t;

#define M_DATA 0x00
#define M_PROTO 0x01
#define M_DELAY 0x0c
#define M_PCPROTO 0x83

/** The routine that frees a buffer of esballoc's, called with its argument. */
typedef struct free_rtn {
    void (*free_func)();
    caddr_t free_arg;
} frtn_t;

/** A data block; db_base, db_lim, db_ref and db_type are public. */
typedef struct datab {
    frtn_t *db_frtnp;
    unsigned char *db_base;
    unsigned char *db_lim;
    unsigned char db_ref;
    unsigned char db_type;
    unsigned char db_flags;
    unsigned char db_struioflag;
    pid_t db_cpid;
    void *db_cache;
    struct msgb *db_mblk;
    void (*db_free)(struct msgb *, struct datab *);
    void (*db_lastfree)(struct msgb *, struct datab *);
    intptr_t db_cksumstart;
    intptr_t db_cksumend;
    intptr_t db_cksumstuff;
    uint64_t db_struioun;
    void *db_fthdr;
    cred_t *db_credp;
} dblk_t;

/** A message block. */
typedef struct msgb {
    struct msgb *b_next;
    struct msgb *b_prev;
    struct msgb *b_cont;
    unsigned char *b_rptr;
    unsigned char *b_wptr;
    struct datab *b_datap;
    unsigned char b_band;
    unsigned char b_tag;
    unsigned short b_flag;
    queue_t *b_queue;
} mblk_t;

/* ---- Messages ---- */

/** Trims a message: at its start, or for a negative length at its end. Returns 1 or 0. */
extern int adjmsg(mblk_t *mp, ssize_t len);
/** Allocates a message block with a buffer. */
extern mblk_t *allocb(size_t size, uint_t pri);
/** allocb that waits for memory; internal. */
extern mblk_t *allocb_wait(size_t size, uint_t pri, uint_t flags, int *error);
/** Calls a function when a buffer may be available. Returns an id for unbufcall. */
extern bufcall_id_t bufcall(size_t size, uint_t pri, void (*func)(void *), void *arg);
/** Copies a message block with its data. */
extern mblk_t *copyb(mblk_t *bp);
/** Copies a message with its data. */
extern mblk_t *copymsg(mblk_t *mp);
/** esballoc whose buffer may be freed in any context. */
extern mblk_t *desballoc(unsigned char *base, size_t size, uint_t pri, frtn_t *fr_rtnp);
/** Duplicates the descriptor of a message block. */
extern mblk_t *dupb(mblk_t *bp);
/** Duplicates the descriptors of a message. */
extern mblk_t *dupmsg(mblk_t *mp);
/** Allocates a message block for a buffer of the driver's. */
extern mblk_t *esballoc(unsigned char *base, size_t size, uint_t pri, frtn_t *fr_rtnp);
/** bufcall for esballoc. */
extern bufcall_id_t esbbcall(uint_t pri, void (*func)(void *), void *arg);
/** Frees a message block. */
extern void freeb(mblk_t *bp);
/** Frees a message. */
extern void freemsg(mblk_t *mp);
/** Appends a message to another. */
extern void linkb(mblk_t *mp1, mblk_t *mp2);
/** Allocates an M_IOCTL message. */
extern mblk_t *mkiocb(uint_t command);
/** Returns the bytes of a message's M_DATA blocks. */
extern size_t msgdsize(mblk_t *mp);
/** Copies a message so that its first bytes are in one block. */
extern mblk_t *msgpullup(mblk_t *mp, ssize_t len);
/** Moves the first bytes of a message into one block. Returns 1 or 0. */
extern int pullupmsg(mblk_t *mp, ssize_t len);
/** Removes a block from a message. */
extern mblk_t *rmvb(mblk_t *mp, mblk_t *bp);
/** Returns whether a buffer is available. */
extern int testb(size_t size, uint_t pri);
/** Cancels a bufcall. */
extern void unbufcall(bufcall_id_t id);
/** Removes the first block of a message and returns the rest. */
extern mblk_t *unlinkb(mblk_t *mp);

/* ---- Queues ---- */

/** Returns the queue behind. */
extern queue_t *backq(queue_t *q);
/** Returns whether a band has room. */
extern int bcanput(queue_t *q, unsigned char pri);
/** Returns whether a band of the next queue has room. */
extern int bcanputnext(queue_t *q, unsigned char pri);
/** Returns whether a queue has room. */
extern int canput(queue_t *q);
/** Returns whether the next queue has room. */
extern int canputnext(queue_t *q);
/** Allows that a queue is scheduled. */
extern void enableok(queue_t *q);
/** Flushes a band. */
extern void flushband(queue_t *q, unsigned char pri, int flag);
/** Flushes a queue. */
extern void flushq(queue_t *q, int flag);
/** Freezes a stream. */
extern void freezestr(queue_t *q);
/** Takes the next message off a queue. */
extern mblk_t *getq(queue_t *q);
/** Inserts a message into a queue. */
extern int insq(queue_t *q, mblk_t *emp, mblk_t *nmp);
/** Forbids that a queue is scheduled. */
extern void noenable(queue_t *q);
/** Calls a queue's put procedure. */
extern void put(queue_t *q, mblk_t *mp);
/** Puts a message back on its queue. */
extern int putbq(queue_t *q, mblk_t *mp);
/** Puts a control message. */
extern int putctl(queue_t *q, int type);
/** Puts a control message with a parameter of one byte. */
extern int putctl1(queue_t *q, int type, int p);
/** Calls the next queue's put procedure. */
extern void putnext(queue_t *q, mblk_t *mp);
/** Puts a control message to the next queue. */
extern int putnextctl(queue_t *q, int type);
/** Puts a control message with a parameter of one byte to the next queue. */
extern int putnextctl1(queue_t *q, int type, int p);
/** Puts a message on a queue. */
extern int putq(queue_t *q, mblk_t *mp);
/** bufcall with the queue's perimeters. */
extern bufcall_id_t qbufcall(queue_t *q, size_t size, uint_t pri, void (*func)(void *), void *arg);
/** Schedules a queue. */
extern void qenable(queue_t *q);
/** Disables put and service procedures. */
extern void qprocsoff(queue_t *q);
/** Enables put and service procedures. */
extern void qprocson(queue_t *q);
/** Sends a message the other way. */
extern void qreply(queue_t *q, mblk_t *mp);
/** Returns the number of messages on a queue. */
extern int qsize(queue_t *q);
/** timeout with the queue's perimeters. */
extern timeout_id_t qtimeout(queue_t *q, void (*func)(void *), void *arg, clock_t ticks);
/** Cancels a qbufcall. */
extern void qunbufcall(queue_t *q, bufcall_id_t id);
/** Cancels a qtimeout. */
extern clock_t quntimeout(queue_t *q, timeout_id_t id);
/** Waits for a message. */
extern void qwait(queue_t *q);
/** Waits for a message or a signal. */
extern int qwait_sig(queue_t *q);
/** Calls a function with exclusive access to a perimeter. */
extern void qwriter(queue_t *q, mblk_t *mp, void (*func)(), int perimeter);
/** Removes a message from a queue. */
extern void rmvq(queue_t *q, mblk_t *mp);
/** Reads a field of a queue. */
extern int strqget(queue_t *q, qfields_t what, unsigned char pri, void *valp);
/** Changes a field of a queue. */
extern int strqset(queue_t *q, qfields_t what, unsigned char pri, intptr_t val);
/** Unfreezes a stream. */
extern void unfreezestr(queue_t *q);

#endif /* _SYS_STREAM_H */
