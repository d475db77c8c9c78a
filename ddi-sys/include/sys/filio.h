/*
 * Commands of ioctl(2) for any kind of file.
 */
#ifndef _SYS_FILIO_H
#define _SYS_FILIO_H

#include <sys/ioccom.h>

#define FIOCLEX _IO('f', 1)
#define FIONCLEX _IO('f', 2)
#define FIOASYNC _IOW('f', 125, int)
/** When the driver accepts it, the kernel makes the file non-blocking, or blocking again. */
#define FIONBIO _IOW('f', 126, int)
#define FIONREAD _IOR('f', 127, int)

#endif /* _SYS_FILIO_H */
