/*
 * The System V half of the driver interface.
 */
#ifndef _SYS_DDI_H
#define _SYS_DDI_H

#include <sys/types.h>
#include <sys/dditypes.h>
#include <sys/time.h>
#include <sys/sysmacros.h>

#define LBOLT 4
#define NOPAGE (-1)
#define PPGRP 3
#define PPID 11
#define PSID 12
#define SYSCANC 9
#define SYSMINT 7
#define SYSOUTC 10
#define SYSRAWC 8
#define SYSRINT 5
#define SYSXINT 6
#define TIME 1
#define UCRED 13
#define UPROCP 2

/** A dev_t (external minor). */
extern minor_t getminor(dev_t dev);
extern dev_t makedevice(major_t majnum, minor_t minnum);
extern major_t getmajor(dev_t dev);
extern major_t getemajor(dev_t dev);
extern minor_t geteminor(dev_t dev);
/** 0 if the credential may do privileged device operations, else EPERM. */
extern int drv_priv(struct cred *credp);
/** Microseconds to ticks, rounded up. */
extern clock_t drv_usectohz(clock_t microsecs);
/** Sleeps ticks; not in interrupt context. delay_sig returns EINTR on a signal. */
extern void delay(clock_t ticks);
/** Busy wait, any context. */
extern void drv_usecwait(clock_t microsecs);
extern clock_t drv_hztousec(clock_t hertz);
/** Pages of bytes, rounded up. Also btop (down), ptob (back). */
extern unsigned long btopr(unsigned long value);
extern unsigned long ptob(unsigned long value);
extern unsigned long btop(unsigned long value);
extern void freerbuf(struct buf *bp);
/** Freerbuf frees it. */
extern struct buf *getrbuf(int flag);
extern o_dev_t cmpdev(dev_t dev);
extern int drv_getparm(uint_t parm, void *valuep);
extern dev_t expdev(dev_t dev);
extern void time_to_wait(clock_t *p, clock_t ticks);

#endif /* _SYS_DDI_H */
