/*
 * The request of aread(9E) and awrite(9E).
 */
#ifndef _SYS_AIO_REQ_H
#define _SYS_AIO_REQ_H

#include <sys/uio.h>

#endif /* _SYS_AIO_REQ_H */
