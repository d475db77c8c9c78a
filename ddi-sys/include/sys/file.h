/*
 * Flags of an open file, as drivers see them in open(9E) and in an ioctl mode.
 */
#ifndef _SYS_FILE_H
#define _SYS_FILE_H

#include <sys/types.h>

#define FAPPEND 8
#define FASYNC 0x1000
#define FCLOEXEC 0x800000
#define FCREAT 0x100
#define FDIRECTORY 0x1000000
#define FDSYNC 0x40
#define FEPOLLED 0x8000 /* 2019 headers only */
#define FEXCL 0x400
#define FEXEC 0x400000
#define FIGNORECASE 0x80000
#define FILP32 0x100000
#define FKIOCTL 0x80000000
#define FKLYR 0x40000000
#define FLP64 0x200000
#define FMASK 0xa0ff
#define FMODELS 0xff00000
#define FNATIVE 0x200000
#define FNDELAY 4
#define FNOCTTY 0x800
#define FNODSYNC 0x10000
#define FNOFOLLOW 0x20000
#define FNOLINKS 0x40000
#define FNONBLOCK 0x80
#define FOFFMAX 0x2000
#define FOPEN 0xffffffff
#define FREAD 1
#define FREVOKED 0x20
#define FRSYNC 0x8000
#define FSEARCH 0x200000
#define FSYNC 0x10
#define FTRUNC 0x200
#define FWRITE 2
#define FXATTR 0x4000
#define FXATTRDIROPEN 0x100000

#endif /* _SYS_FILE_H */
