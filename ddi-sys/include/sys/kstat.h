/*
 * Kernel statistics, readable by kstat(8).
 */
#ifndef _SYS_KSTAT_H
#define _SYS_KSTAT_H

#include <sys/types.h>
#include <sys/time.h>
#include <sys/mutex.h>

#define KSTAT_DATA_CHAR 0
#define KSTAT_DATA_INT32 1
#define KSTAT_DATA_UINT32 2
#define KSTAT_DATA_INT64 3
#define KSTAT_DATA_LONGLONG 3
#define KSTAT_DATA_UINT64 4
#define KSTAT_DATA_ULONGLONG 4
#define KSTAT_DATA_FLOAT 5
#define KSTAT_DATA_DOUBLE 6
#define KSTAT_DATA_LONG 7
#define KSTAT_DATA_ULONG 8
#define KSTAT_DATA_STRING 9
#define KSTAT_FLAG_VIRTUAL 1
#define KSTAT_FLAG_VAR_SIZE 2
#define KSTAT_FLAG_WRITABLE 4
#define KSTAT_FLAG_PERSISTENT 8
#define KSTAT_FLAG_DORMANT 16
#define KSTAT_FLAG_INVALID 32
#define KSTAT_FLAG_LONGSTRINGS 64 /* 2019 headers only */
#define KSTAT_INTR_HARD 0
#define KSTAT_INTR_SOFT 1
#define KSTAT_INTR_WATCHDOG 2
#define KSTAT_INTR_SPURIOUS 3
#define KSTAT_INTR_MULTSVC 4
#define KSTAT_IOC_BASE 19200
#define KSTAT_IOC_CHAIN_ID 19201
#define KSTAT_IOC_READ 19202
#define KSTAT_IOC_WRITE 19203
#define KSTAT_NUM_INTRS 5
#define KSTAT_NUM_TYPES 5
#define KSTAT_READ 0
#define KSTAT_STRLEN 31
#define KSTAT_TYPE_RAW 0
#define KSTAT_TYPE_NAMED 1
#define KSTAT_TYPE_INTR 2
#define KSTAT_TYPE_IO 3
#define KSTAT_TYPE_TIMER 4
#define KSTAT_WRITE 1

typedef int kid_t;

/** One set of statistics. The driver fills ks_data, or gives it (KSTAT_FLAG_VIRTUAL). */
typedef struct kstat {
    hrtime_t ks_crtime;
    struct kstat *ks_next;
    kid_t ks_kid;
    char ks_module[KSTAT_STRLEN];
    uchar_t ks_resv;
    int ks_instance;
    char ks_name[KSTAT_STRLEN];
    uchar_t ks_type;
    char ks_class[KSTAT_STRLEN];
    uchar_t ks_flags;
    void *ks_data;
    uint_t ks_ndata;
    size_t ks_data_size;
    hrtime_t ks_snaptime;
    int (*ks_update)(struct kstat *, int);
    void *ks_private;
    int (*ks_snapshot)(struct kstat *, void *, int);
    void *ks_lock;
} kstat_t;

/** One named value of a KSTAT_TYPE_NAMED set. */
typedef struct kstat_named {
    char name[KSTAT_STRLEN];
    uchar_t data_type;
    union {
        char c[16];
        int32_t i32;
        uint32_t ui32;
        int64_t i64;
        uint64_t ui64;
        long l;
        ulong_t ul;
        struct {
            union {
                char *ptr;
                char __pad[8];
            } addr;
            uint32_t len;
        } str;
        float f;
        double d;
    } value;
} kstat_named_t;

/** Numbers of interrupts by kind. */
typedef struct kstat_intr {
    uint_t intrs[KSTAT_NUM_INTRS];
} kstat_intr_t;

/** What a device's wait and run queues did; kept by kstat_waitq_enter and its kind. */
typedef struct kstat_io {
    u_longlong_t nread;
    u_longlong_t nwritten;
    uint_t reads;
    uint_t writes;
    hrtime_t wtime;
    hrtime_t wlentime;
    hrtime_t wlastupdate;
    hrtime_t rtime;
    hrtime_t rlentime;
    hrtime_t rlastupdate;
    uint_t wcnt;
    uint_t rcnt;
} kstat_io_t;

/** An event that takes time. */
typedef struct kstat_timer {
    char name[KSTAT_STRLEN];
    uchar_t resv;
    u_longlong_t num_events;
    hrtime_t elapsed_time;
    hrtime_t min_time;
    hrtime_t max_time;
    hrtime_t start_time;
    hrtime_t stop_time;
} kstat_timer_t;

/** A set of statistics, or NULL. With KSTAT_FLAG_VIRTUAL the data are the driver's. */
extern kstat_t *kstat_create(const char *module, int instance, const char *name,
    const char *class, uchar_t type, uint_t ndata, uchar_t flags);
/** Removes a set. */
extern void kstat_delete(kstat_t *ksp);
/** The same, seen in one zone. */
extern kstat_t *kstat_create_zone(const char *module, int instance, const char *name,
    const char *class, uchar_t type, uint_t ndata, uchar_t flags, zoneid_t zoneid);
/** A set by its name, or NULL; held until kstat_rele. */
extern kstat_t *kstat_hold_byname(const char *module, int instance, const char *name, zoneid_t zoneid);
/** A set by its number. */
extern kstat_t *kstat_hold_bykid(kid_t kid, zoneid_t zoneid);
/** Ends a hold. */
extern void kstat_rele(kstat_t *ksp);
/** Removes a set by its name. */
extern void kstat_delete_byname(const char *module, int instance, const char *name);
/** The same in one zone. */
extern void kstat_delete_byname_zone(const char *module, int instance, const char *name, zoneid_t zoneid);
/** Shows a kstat in one more zone. */
extern void kstat_zone_add(kstat_t *ksp, zoneid_t zoneid);
/** Whether a kstat is shown in a zone. */
extern int kstat_zone_find(kstat_t *ksp, zoneid_t zoneid);
/** Shows a kstat in one zone less. */
extern void kstat_zone_remove(kstat_t *ksp, zoneid_t zoneid);
/** Makes a set visible. */
extern void kstat_install(kstat_t *ksp);
/** Name and type of one named value. */
extern void kstat_named_init(kstat_named_t *knp, const char *name, uchar_t data_type);
/** Gives a named string its value. */
extern void kstat_named_setstr(kstat_named_t *knp, const char *str);
/** A request goes back to the wait queue; ks_lock held. */
extern void kstat_runq_back_to_waitq(kstat_io_t *kiop);
/** A request joins the run queue; ks_lock held. */
extern void kstat_runq_enter(kstat_io_t *kiop);
/** A request leaves the run queue; ks_lock held. */
extern void kstat_runq_exit(kstat_io_t *kiop);
/** Copies a name as long as names may be. */
extern void kstat_set_string(char *name, const char *name2);
/** Makes a timer. */
extern void kstat_timer_init(kstat_timer_t *p, const char *name);
/** An event begins. */
extern void kstat_timer_start(kstat_timer_t *p);
/** An event ends. */
extern void kstat_timer_stop(kstat_timer_t *p);
/** A request joins the wait queue; ks_lock held. */
extern void kstat_waitq_enter(kstat_io_t *kiop);
/** A request leaves the wait queue; ks_lock held. */
extern void kstat_waitq_exit(kstat_io_t *kiop);
/** A request goes from wait to run queue; ks_lock held. */
extern void kstat_waitq_to_runq(kstat_io_t *kiop);

#define KSTAT_NAMED_PTR(kptr) ((kstat_named_t *)(kptr)->ks_data)
#define KSTAT_INTR_PTR(kptr) ((kstat_intr_t *)(kptr)->ks_data)
#define KSTAT_IO_PTR(kptr) ((kstat_io_t *)(kptr)->ks_data)
#define KSTAT_NAMED_STR_PTR(knptr) ((knptr)->value.str.addr.ptr)
#define KSTAT_NAMED_STR_BUFLEN(knptr) ((knptr)->value.str.len)

#endif /* _SYS_KSTAT_H */
