/*
 * Limits, and the page size, which a driver reads from data symbols.
 */
#ifndef _SYS_PARAM_H
#define _SYS_PARAM_H

#include <sys/types.h>
#include <sys/sysmacros.h>

#define CANBSIZ 256

#define DEV_BSIZE 512
#define MAXBSIZE 8192
#define MAXEPHUID 0xfffffffc
#define MAXFRAG 8
#define MAXLINK 32767
#define MAXLINKNAMELEN 32
#define MAXNAMELEN 256

#define MAXOFF32_T 2147483647

#define MAXOFFSET_T 0x7fffffffffffffffL

#define MAXOFF_T 0x7fffffffffffffffL
#define MAXPATHLEN 1024
#define MAXPROJID 2147483647
#define MAXSYMLINKS 20
#define MAXUID 2147483647

#define MAX_CANON 256
#define MAX_INPUT 512
#define MAX_MAXPID 999999
#define MAX_TASKID 999999
#define MINEPHUID 0x80000000
#define NBPS 131072
#define NBPSCTR 512
#define NCARGS32 1048576
#define NCARGS 2097152
#define NCARGS64 2097152
#define NOFILE 20

extern const unsigned long _defaultstksz;
extern const uintptr_t _argsbase;
extern uintptr_t _kernelbase;
extern const unsigned long _mmu_pagemask;
extern const unsigned long _mmu_pageoffset;
extern const unsigned int _mmu_pageshift;
extern const unsigned long _mmu_pagesize;
extern const unsigned int _nbpg;
extern const int _ncpu;
/** Complement of PAGEOFFSET: PAGEMASK. */
extern const unsigned long long _pagemask;
/** Page size less one: PAGEOFFSET. */
extern const unsigned long _pageoffset;
/** Logarithm of the page size: PAGESHIFT. */
extern const unsigned int _pageshift;
/** Bytes in a page: PAGESIZE. */
extern const unsigned long _pagesize;
extern uintptr_t _userlimit;
extern uintptr_t _userlimit32;

#define PAGESIZE _pagesize
#define PAGESHIFT _pageshift
#define PAGEOFFSET _pageoffset
#define PAGEMASK _pagemask
#define MMU_PAGESIZE _mmu_pagesize
#define MMU_PAGESHIFT _mmu_pageshift
#define MMU_PAGEOFFSET _mmu_pageoffset
#define MMU_PAGEMASK _mmu_pagemask
#define DEFAULTSTKSZ _defaultstksz
#define KERNELBASE _kernelbase
#define USERLIMIT _userlimit
#define NBBY 8
#define NBPG _nbpg
#define NCPU _ncpu
#ifndef MAX
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#endif

#endif /* _SYS_PARAM_H */
