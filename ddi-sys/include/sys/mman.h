/*
 * Protections and mapping flags of mmap(2), as segmap(9E) gets them.
 */
#ifndef _SYS_MMAN_H
#define _SYS_MMAN_H

#include <sys/types.h>

#define MADV_ACCESS_DEFAULT 6
#define MADV_ACCESS_LWP 7
#define MADV_ACCESS_MANY 8
#define MADV_DONTNEED 4
#define MADV_FREE 5
#define MADV_NORMAL 0
#define MADV_PURGE 9 /* 2019 headers only */
#define MADV_RANDOM 1
#define MADV_SEQUENTIAL 2
#define MADV_WILLNEED 3

#define MAP_32BIT 0x80
#define MAP_ALIGN 0x200
#define MAP_ANON 0x100
#define MAP_ANONYMOUS 0x100
#define MAP_FILE 0 /* 2019 headers only */
#define MAP_FIXED 0x10
#define MAP_INITDATA 0x800
#define MAP_NORESERVE 0x40
#define MAP_PRIVATE 2
#define MAP_RENAME 0x20
#define MAP_SHARED 1
#define MAP_TEXT 0x400
#define MAP_TYPE 0xf

#define MC_SYNC 1
#define MC_LOCK 2
#define MC_UNLOCK 3
#define MC_ADVISE 4

#define MS_ASYNC 1
#define MS_INVALIDATE 2
#define MS_OLDSYNC 0
#define MS_SYNC 4

#define POSIX_MADV_NORMAL 0
#define POSIX_MADV_RANDOM 1
#define POSIX_MADV_SEQUENTIAL 2
#define POSIX_MADV_WILLNEED 3
#define POSIX_MADV_DONTNEED 4

#define PROT_ALL 0xf
#define PROT_EXCL 0x20
#define PROT_EXEC 4
#define PROT_NONE 0
#define PROT_READ 1
#define PROT_USER 8
#define PROT_WRITE 2
#define PROT_ZFOD 0xf

#endif /* _SYS_MMAN_H */
