/*
 * What drivers find behind pointers that no manual page opens: threads, processes, address spaces, mappings. Only the members that are named are known; the
 * rest is room. Where the kernels of 2015 and of 2023 differ there are two.
 */
#ifndef _SYS_BEHIND_H
#define _SYS_BEHIND_H

#include <sys/types.h>
#include <sys/mutex.h>

/** A processor (`cpu_t`). */
struct behind_cpu {
    int32_t cpu_id;
    int32_t cpu_seqid;
    unsigned char room0[8];
    void *cpu_self;
    void *cpu_thread;
    void *cpu_idle_thread;
    unsigned char room1[8];
    void *cpu_lwp;
    unsigned char room2[1992];
};

/** A thread (`kthread_t`), in kernels of 2015. */
struct behind_thread_2015 {
    unsigned char room0[8];
    void *t_stk;
    unsigned char room1[28];
    uint32_t t_state;
    int32_t t_pri;
    unsigned char room2[164];
    void *t_cpu;
    unsigned char room3[48];
    uint64_t t_did;
    unsigned char room4[112];
    void *t_lwp;
    void *t_procp;
    unsigned char room5[48];
    void *t_cred;
    unsigned char room6[472];
};

/** A thread, in kernels of 2023. */
struct behind_thread_2023 {
    unsigned char room0[8];
    void *t_stk;
    unsigned char room1[28];
    uint32_t t_state;
    int32_t t_pri;
    unsigned char room2[204];
    void *t_cpu;
    unsigned char room3[48];
    uint64_t t_did;
    unsigned char room4[112];
    void *t_lwp;
    void *t_procp;
    unsigned char room5[48];
    void *t_cred;
    unsigned char room6[472];
};

/** A process (`proc_t`), in kernels of 2015. */
struct behind_proc_2015 {
    unsigned char room0[8];
    void *p_as;
    unsigned char room1[16];
    void *p_cred;
    unsigned char room2[4];
    uint32_t p_stat;
    unsigned char room3[128];
    void *p_pidp;
    unsigned char room4[1080];
    uint32_t p_model;
    unsigned char room5[2748];
};

/** A process, in kernels of 2023. */
struct behind_proc_2023 {
    unsigned char room0[8];
    void *p_as;
    unsigned char room1[16];
    void *p_cred;
    unsigned char room2[4];
    uint32_t p_stat;
    unsigned char room3[128];
    void *p_pidp;
    unsigned char room4[1096];
    uint32_t p_model;
    unsigned char room5[2748];
};

/** A process id (`struct pid`). */
struct behind_pid {
    unsigned char room0[4];
    uint32_t pid_id;
    unsigned char room1[32];
};

/** An address space (`struct as`), in kernels of 2015. */
struct behind_as_2015 {
    unsigned char room0[16];
    void *a_hat;
    unsigned char room1[8];
    void *a_userlimit;
    unsigned char room2[16];
    size_t a_size;
    unsigned char room3[144];
    void *a_proc;
    unsigned char room4[8];
};

/** An address space, in kernels of 2023. */
struct behind_as_2023 {
    unsigned char room0[16];
    void *a_hat;
    unsigned char room1[8];
    void *a_userlimit;
    unsigned char room2[16];
    size_t a_size;
    unsigned char room3[152];
    void *a_proc;
    unsigned char room4[8];
};

/** The data of a device segment (`struct segdev_data`). */
struct behind_segdev {
    uint64_t offset;
    unsigned char room0[8];
    void *mapfunc;
    void *vp;
    unsigned char pageprot;
    unsigned char prot;
    unsigned char maxprot;
    unsigned char type;
    unsigned char room1[28];
    void *devmap_data;
};

/** A mapping (`devmap_handle_t`). */
struct behind_handle {
    uint64_t dh_roff;
    uint64_t dh_uoff;
    size_t dh_len;
    dev_t dh_dev;
    void *dh_cvaddr;
    void *dh_uvaddr;
    unsigned char room0[8];
    void *dh_seg;
    void *dh_pvtp;
    void *dh_next;
    void *dh_softlock;
    void *dh_ctx;
    void *dh_cookie;
    void *dh_pcookie;
    uint32_t dh_prot;
    uint32_t dh_maxprot;
    unsigned char room1[4];
    uint32_t dh_flags;
    uint64_t dh_pfn;
    unsigned char room2[8];
    int64_t dh_timeout_length;
    uint64_t dh_callbackops[5];
    uint32_t dh_orig_maxprot;
    unsigned char room3[4];
};

/** Context of the mappings of a device with one access callback (`struct devmap_ctx`). */
struct behind_context {
    void *callback;
    void *dip;
    unsigned char room0[20];
    int32_t refcnt;
    int32_t oncpu;
    unsigned char room1[12];
};

/** Count of the softlocks of a device (`struct devmap_softlock`). */
struct behind_softlock {
    void *callback;
    dev_t dev;
    unsigned char room0[20];
    int32_t refcnt;
    unsigned char room1[8];
};

/** A file (`struct vnode`), with room for what later kernels added. */
struct behind_vnode {
    kmutex_t v_lock;
    unsigned char room0[4];
    uint32_t v_count;
    unsigned char room1[24];
    uint32_t v_type;
    unsigned char room2[4];
    dev_t v_rdev;
    unsigned char room3[8];
    void *v_op;
    void *v_pages;
    unsigned char room4[176];
};

/** Kernel memory that can be mapped (`struct ddi_umem_cookie`). */
struct behind_umem {
    size_t size;
    void *cvaddr;
    unsigned char room0[8];
    uint32_t type;
    unsigned char room1[76];
};

/** A mapping of registers for the driver (`ddi_acc_hdl_t`). */
struct behind_access {
    unsigned char room0[40];
    void *ah_addr;
    unsigned char room1[8];
    size_t ah_len;
    unsigned char room2[40];
};

/** Pages that can be mapped (`devmap_pmem_cookie_t`). */
struct behind_pmem {
    size_t npages;
    void *pages;
    unsigned char room0[8];
    void *procp;
};

/** The files that name the kernel's own pages. */
extern struct behind_vnode kvps[2];

#endif /* _SYS_BEHIND_H */
