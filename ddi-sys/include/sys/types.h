/*
 * Scalar types of the illumos kernel on amd64 (LP64).
 */
#ifndef _SYS_TYPES_H
#define _SYS_TYPES_H

#include <sys/feature.h>
#include <sys/ccompile.h>
#include <sys/int_limits.h>

typedef char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long int64_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long uint64_t;
typedef long intmax_t;
typedef unsigned long uintmax_t;
typedef long intptr_t;
typedef unsigned long uintptr_t;
typedef long long longlong_t;
typedef unsigned long long u_longlong_t;

typedef unsigned char uchar_t;
typedef unsigned short ushort_t;
typedef unsigned int uint_t;
typedef unsigned long ulong_t;
typedef unsigned char u_char;
typedef unsigned short u_short;
typedef unsigned int u_int;
typedef unsigned long u_long;

typedef unsigned long size_t;
typedef long ssize_t;
typedef long ptrdiff_t;
typedef char *caddr_t;

/** Device number: major in the upper 32 bits, minor in the lower. */
typedef ulong_t dev_t;
typedef uint_t dev32_t;
typedef uint_t major_t;
typedef uint_t minor_t;
typedef short o_dev_t;

typedef long off_t;
typedef long off64_t;
typedef longlong_t offset_t;
typedef u_longlong_t u_offset_t;
typedef u_longlong_t diskaddr_t;
typedef long daddr_t;
typedef long blkcnt_t;
typedef int blksize_t;
typedef ulong_t ino_t;
typedef uint_t mode_t;
typedef uint_t nlink_t;

typedef long clock_t;
typedef long time_t;
typedef long suseconds_t;
/** Nanoseconds since an arbitrary time in the past. */
typedef longlong_t hrtime_t;
typedef ulong_t pfn_t;
typedef ulong_t pgcnt_t;
typedef long spgcnt_t;

typedef int pid_t;
typedef int id_t;
typedef uint_t uid_t;
typedef uint_t gid_t;
typedef id_t zoneid_t;
typedef id_t projid_t;
typedef id_t taskid_t;
typedef id_t ctid_t;
typedef int processorid_t;
typedef int psetid_t;
typedef short pri_t;
typedef uint_t model_t;
typedef ulong_t kt_did_t;
/** A bufcall that is pending. */
typedef void *bufcall_id_t;
typedef u_longlong_t rlim64_t;
typedef int faultcode_t;

typedef enum boolean { B_FALSE = 0, B_TRUE = 1 } boolean_t;

/** 64-bit offset, reachable as a whole or as its parts. */
typedef union lloff {
    offset_t _f;
    struct {
        off_t _l;
    } _p;
} lloff_t;

/** 64-bit disk block number, reachable as a whole or as its parts. */
typedef union lldaddr {
    diskaddr_t _f;
    struct {
        daddr_t _l;
    } _p;
} lldaddr_t;

/* Known to drivers by address only. */
struct as;
struct buf;
struct cred;
struct hat;
struct page;
struct proc;
struct seg;
struct uio;
struct vnode;
struct _kthread;
struct dev_info;
struct queue;
typedef struct proc proc_t;
typedef struct _kthread kthread_t;
typedef struct cred cred_t;
typedef struct dev_info dev_info_t;
typedef struct page page_t;
typedef struct vnode vnode_t;
typedef struct queue queue_t;

#define INT_MAX 0x7fffffff

#define LLONG_MAX 0x7fffffffffffffffL

#define LONG_MAX 0x7fffffffffffffffL
#define NODEV32 0xffffffff

#define OFF_MAX 0x7fffffffffffffffL /* 2019 headers only */

#define SHRT_MAX 0x7fff
#define SHRT_MIN (-32768)

#define UINT_MAX 0xffffffff

#define USHRT_MAX 0xffff

#ifndef NULL
#define NULL ((void *)0)
#endif
#define NODEV ((dev_t)-1)
#define ULONG_MAX 18446744073709551615UL
#define ULLONG_MAX 18446744073709551615ULL

#endif /* _SYS_TYPES_H */
