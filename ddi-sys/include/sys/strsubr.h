/*
 * STREAMS: functions that were macros.
 */
#ifndef _SYS_STRSUBR_H
#define _SYS_STRSUBR_H

#include <sys/stream.h>

/** Returns the other queue of a pair. */
extern struct queue *OTHERQ(queue_t *q);
/** Returns the read queue of a pair. */
extern struct queue *RD(queue_t *q);
/** Returns whether the next queue is of the same type. */
extern int SAMESTR(queue_t *q);
/** Returns the write queue of a pair. */
extern struct queue *WR(queue_t *q);

#endif /* _SYS_STRSUBR_H */
