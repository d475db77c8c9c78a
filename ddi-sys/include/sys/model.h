/*
 * Data models of processes, as they appear in an ioctl mode.
 */
#ifndef _SYS_MODEL_H
#define _SYS_MODEL_H

#include <sys/types.h>

#define DATAMODEL_ILP32 0x100000
#define DATAMODEL_LP64 0x200000
#define DATAMODEL_MASK 0xff00000
#define DATAMODEL_NATIVE 0x200000
#define DATAMODEL_NONE 0

#define get_udatamodel() ddi_mmap_get_model()

#endif /* _SYS_MODEL_H */
