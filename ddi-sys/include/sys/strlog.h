/*
 * The log of STREAMS.
 */
#ifndef _SYS_STRLOG_H
#define _SYS_STRLOG_H

/** Submits a message to the log driver. Returns 1 or 0. */
extern int strlog(short mid, short sid, char level, unsigned short flags, char *fmt, ...);

#endif /* _SYS_STRLOG_H */
