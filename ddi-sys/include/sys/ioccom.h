/*
 * How an ioctl command is put together: direction, size, group, number.
 */
#ifndef _SYS_IOCCOM_H
#define _SYS_IOCCOM_H

#include <sys/types.h>

#define IOCPARM_MASK 0xff

#define IOC_IN 0x80000000
#define IOC_INOUT 0xc0000000
#define IOC_OUT 0x40000000
#define IOC_VOID 0x20000000

#define _IO(x, y) ((int)(IOC_VOID | ((x) << 8) | (y)))
#define _IOR(x, y, t) ((int)(IOC_OUT | (((uint_t)sizeof (t) & IOCPARM_MASK) << 16) | ((x) << 8) | (y)))
#define _IOW(x, y, t) ((int)(IOC_IN | (((uint_t)sizeof (t) & IOCPARM_MASK) << 16) | ((x) << 8) | (y)))
#define _IOWR(x, y, t) ((int)(IOC_INOUT | (((uint_t)sizeof (t) & IOCPARM_MASK) << 16) | ((x) << 8) | (y)))

#endif /* _SYS_IOCCOM_H */
