/*
 * Device numbers; here for the name.
 */
#ifndef _SYS_MKDEV_H
#define _SYS_MKDEV_H

#include <sys/ddi.h>

#endif /* _SYS_MKDEV_H */
