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

/** A page frame; NOPAGE for an address without one. */
typedef pfn_t ppid_t;

/** Returns the page frame of a kernel address. */
extern ppid_t kvtoppid(caddr_t addr);
/** Returns whether a message of this type carries data. */
extern int datamsg(unsigned char type);
/** Associates a queue with an instance. */
extern int qassociate(queue_t *q, int instance);
/** Minor number of a device number. */
extern minor_t getminor(dev_t dev);
/** The device number of a major and a minor number. */
extern dev_t makedevice(major_t majnum, minor_t minnum);
/** Major number of a device number. */
extern major_t getmajor(dev_t dev);
/** External major number, as processes see it. */
extern major_t getemajor(dev_t dev);
/** External minor number, as processes see it. */
extern minor_t geteminor(dev_t dev);
/** 0 when the credential may do privileged device operations, else EPERM. */
extern int drv_priv(struct cred *credp);
/** Microseconds in ticks, rounded up. */
extern clock_t drv_usectohz(clock_t microsecs);
/** Sleeps for some ticks. */
extern void delay(clock_t ticks);
/** delay that a signal ends: EINTR then, else 0. */
extern int delay_sig(clock_t ticks);
/** Busy wait in microseconds. */
extern void drv_usecwait(clock_t microsecs);
/** Ticks in microseconds. */
extern clock_t drv_hztousec(clock_t hertz);
/** Bytes in whole pages, rounded up. */
extern unsigned long btopr(unsigned long value);
/** Pages in bytes. */
extern unsigned long ptob(unsigned long value);
/** Bytes in whole pages, rounded down. */
extern unsigned long btop(unsigned long value);
/** Frees getrbuf's buf. */
extern void freerbuf(struct buf *bp);
/** A buf, or NULL; freed with freerbuf. */
extern struct buf *getrbuf(int flag);
/** A device number in its old 16-bit form. */
extern o_dev_t cmpdev(dev_t dev);
/** One value of the kernel by number. */
extern int drv_getparm(uint_t parm, void *valuep);
/** drv_getparm's other way; for counters. */
extern int drv_setparm(uint_t parm, ulong_t value);
/** External to internal major number. */
extern int etoimajor(major_t emajnum);
/** Internal to external major number. */
extern int itoemajor(major_t imajnum, int lastemaj);
/** The greater. */
extern int max(int a, int b);
/** The lesser. */
extern int min(int a, int b);
/** A device number from its old 16-bit form. */
extern dev_t expdev(dev_t dev);
/** The lbolt that is some ticks away. */
extern void time_to_wait(clock_t *p, clock_t ticks);

#endif /* _SYS_DDI_H */
