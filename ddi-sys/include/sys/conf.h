/*
 * Flags of a driver's cb_ops.
 */
#ifndef _SYS_CONF_H
#define _SYS_CONF_H

#include <sys/types.h>

struct dev_ops;

#define D_64BIT 0x200
#define D_DEVMAP 0x100
#define D_HOTPLUG 4
#define D_MP 0x20
#define D_MTINNER_MASK 0x6020
#define D_MTINNER_MOD 0x31080
#define D_MTOCEXCL 0x800
#define D_MTOUTER_MOD 0x800
#define D_MTOUTPERIM 0x8000
#define D_MTPERMOD 0x6000
#define D_MTPERQ 0x2000
#define D_MTPUTSHARED 0x1000
#define D_MTQPAIR 0x4000
#define D_MTSAFE 0x20
#define D_MTSAFETY_MASK 0x3f8a0
#define D_NEW 0
#define D_OPEN_RETURNS_EINTR 0x100000
#define D_SYNCSTR 0x400
#define D_TAPE 8
#define D_U64BIT 0x40000

/** Calls a driver's mmap(9E); internal. */
extern int cdev_mmap(int (*mapfunc)(dev_t, off_t, int), dev_t dev, off_t off, int prot);

/** Drivers' operations by major number; internal. */
extern struct dev_ops **devopsp;

#endif /* _SYS_CONF_H */
