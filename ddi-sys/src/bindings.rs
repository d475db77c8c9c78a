// Written by `cargo xtask bindings` from the headers in ddi-sys/include. Do not edit.

pub type intmax_t = core::ffi::c_long;
pub type uintmax_t = core::ffi::c_ulong;
pub type longlong_t = core::ffi::c_longlong;
pub type u_longlong_t = core::ffi::c_ulonglong;
pub type uchar_t = core::ffi::c_uchar;
pub type ushort_t = core::ffi::c_ushort;
pub type uint_t = core::ffi::c_uint;
pub type ulong_t = core::ffi::c_ulong;
pub type u_char = core::ffi::c_uchar;
pub type u_short = core::ffi::c_ushort;
pub type u_int = core::ffi::c_uint;
pub type u_long = core::ffi::c_ulong;
pub type caddr_t = *mut core::ffi::c_char;
/// Device number: major in the upper 32 bits, minor in the lower.
pub type dev_t = ulong_t;
pub type dev32_t = uint_t;
pub type major_t = uint_t;
pub type minor_t = uint_t;
pub type o_dev_t = core::ffi::c_short;
pub type off_t = core::ffi::c_long;
pub type off64_t = core::ffi::c_long;
pub type offset_t = longlong_t;
pub type u_offset_t = u_longlong_t;
pub type diskaddr_t = u_longlong_t;
pub type daddr_t = core::ffi::c_long;
pub type blkcnt_t = core::ffi::c_long;
pub type blksize_t = core::ffi::c_int;
pub type ino_t = ulong_t;
pub type mode_t = uint_t;
pub type nlink_t = uint_t;
pub type clock_t = core::ffi::c_long;
pub type time_t = core::ffi::c_long;
pub type suseconds_t = core::ffi::c_long;
/// Nanoseconds since an arbitrary time in the past.
pub type hrtime_t = longlong_t;
pub type pfn_t = ulong_t;
pub type pgcnt_t = ulong_t;
pub type spgcnt_t = core::ffi::c_long;
pub type pid_t = core::ffi::c_int;
pub type id_t = core::ffi::c_int;
pub type uid_t = uint_t;
pub type gid_t = uint_t;
pub type zoneid_t = id_t;
pub type projid_t = id_t;
pub type taskid_t = id_t;
pub type ctid_t = id_t;
pub type processorid_t = core::ffi::c_int;
pub type psetid_t = core::ffi::c_int;
pub type pri_t = core::ffi::c_short;
pub type model_t = uint_t;
pub type kt_did_t = ulong_t;
/// A bufcall that is pending.
pub type bufcall_id_t = *mut core::ffi::c_void;
pub type rlim64_t = u_longlong_t;
pub type faultcode_t = core::ffi::c_int;
pub type boolean = core::ffi::c_uint;
/// 64-bit offset, reachable as a whole or as its parts.
pub type lloff_t = lloff;
/// 64-bit disk block number, reachable as a whole or as its parts.
pub type lldaddr_t = lldaddr;
pub type proc_t = proc_;
pub type kthread_t = _kthread;
pub type cred_t = cred;
pub type dev_info_t = dev_info;
pub type page_t = page;
pub type vnode_t = vnode;
pub type queue_t = queue;
/// Where the memory of a request lies.
pub type uio_seg = core::ffi::c_uint;
pub type uio_rw = core::ffi::c_uint;
pub type iovec_t = iovec;
/// A request; uiomove(9F) advances it.
pub type uio_t = uio;
pub type avl_node_t = avl_node;
pub type avl_tree_t = avl_tree;
pub type avl_index_t = usize;
pub type kmutex_type_t = core::ffi::c_uint;
/// A mutex: size and alignment only.
pub type kmutex_t = mutex;
pub type ksema_type_t = core::ffi::c_uint;
/// A semaphore: size and alignment only.
pub type ksema_t = _ksema;
/// One request to a block device, or of physio(9F).
pub type buf_t = buf;
pub type timespec_t = timespec;
pub type timestruc_t = timespec_t;
pub type kcv_type_t = core::ffi::c_uint;
/// How exact a relative time out has to be.
pub type time_res_t = core::ffi::c_uint;
/// A condition variable: size and alignment only.
pub type kcondvar_t = _kcondvar;
pub type callb_id_t = *mut core::ffi::c_void;
pub type callb_cpr_t = callb_cpr;
pub type va_list = __builtin_va_list;
pub type __va_list = __builtin_va_list;
/// The head of a list.
pub type nvlist_t = nvlist;
/// Number and time of an event.
pub type sysevent_id_t = sysevent_id;
/// A driver's mapping in the framework's hands (devmap(9E)).
pub type devmap_cookie_t = *mut core::ffi::c_void;
/// Kernel memory of ddi_umem_alloc(9F), or pinned user memory.
pub type ddi_umem_cookie_t = *mut core::ffi::c_void;
pub type ddi_acc_handle_t = *mut __ddi_acc_handle;
pub type ddi_dma_handle_t = *mut __ddi_dma_handle;
pub type ddi_iblock_cookie_t = *mut __ddi_iblock_cookie;
pub type ddi_softintr_t = *mut __ddi_softintr;
pub type ddi_intr_handle_t = *mut __ddi_intr_handle;
pub type ddi_softint_handle_t = *mut __ddi_softint_handle;
pub type ddi_periodic_t = *mut __ddi_periodic;
pub type ddi_devid_t = *mut __ddi_devid;
pub type ddi_modhandle_t = *mut __ddi_modhandle;
pub type ddi_callback_id_t = *mut ddi_event_callbacks;
pub type ddi_eventcookie_t = *mut ddi_event_cookie;
pub type ddi_taskq_t = ddi_taskq;
pub type ddi_soft_state_bystr = __ddi_soft_state_bystr;
pub type ddi_cb_handle_t = *mut ddi_cb;
pub type ddi_as_handle_t = *mut as_;
pub type timeout_id_t = *mut core::ffi::c_void;
pub type ddi_idevice_cookie_t = ddi_idevice_cookie;
/// How a register set is to be accessed.
pub type ddi_device_acc_attr_t = ddi_device_acc_attr;
/// How far a device node is in its life.
pub type ddi_node_state_t = core::ffi::c_int;
/// A page frame; NOPAGE for an address without one.
pub type ppid_t = pfn_t;
pub type ddi_intr_handler_t = ::core::option::Option<
    unsafe extern "C-unwind" fn(arg1: caddr_t, arg2: caddr_t) -> uint_t,
>;
pub type fault_type = core::ffi::c_uint;
pub type lock_type = core::ffi::c_uint;
pub type segcapability_t = core::ffi::c_uint;
pub type seg_rw = core::ffi::c_uint;
/// What kind of access devmap_access(9E) is told of.
pub type devmap_fault_type = core::ffi::c_uint;
/// What the access wants to do.
pub type devmap_rw = core::ffi::c_uint;
pub type ddi_dma_cookie_t = ddi_dma_cookie;
/// What a device's DMA engine can do.
pub type ddi_dma_attr_t = ddi_dma_attr;
pub type ddi_fm_error_t = ddi_fm_error;
pub type ddi_err_func_t = ::core::option::Option<
    unsafe extern "C-unwind" fn(
        arg1: *mut dev_info_t,
        arg2: *mut ddi_fm_error_t,
        arg3: *const core::ffi::c_void,
    ) -> core::ffi::c_int,
>;
/// What prop_op(9E) is asked for.
pub type ddi_prop_op_t = core::ffi::c_uint;
pub type vmem_t = vmem;
pub type vmem_alloc_t = ::core::option::Option<
    unsafe extern "C-unwind" fn(
        arg1: *mut vmem_t,
        arg2: usize,
        arg3: core::ffi::c_int,
    ) -> *mut core::ffi::c_void,
>;
pub type vmem_free_t = ::core::option::Option<
    unsafe extern "C-unwind" fn(
        arg1: *mut vmem_t,
        arg2: *mut core::ffi::c_void,
        arg3: usize,
    ),
>;
pub type kmem_cache_t = kmem_cache;
/// What a cache's move callback answers.
pub type kmem_cbrc = core::ffi::c_uint;
/// Type of a pair's value.
pub type data_type_t = core::ffi::c_uint;
/// A pair: this, the name with its NUL, and from the next multiple of 8 the value.
pub type nvpair_t = nvpair;
/// Operations of an allocator.
pub type nv_alloc_ops_t = nv_alloc_ops;
/// An allocator for lists (nv_alloc_init(9F)).
pub type nv_alloc_t = nv_alloc;
pub type ddi_info_cmd_t = core::ffi::c_uint;
pub type ddi_attach_cmd_t = core::ffi::c_uint;
pub type ddi_detach_cmd_t = core::ffi::c_uint;
pub type ddi_reset_cmd_t = core::ffi::c_uint;
pub type vtype = core::ffi::c_uint;
pub type caller_context_t = caller_context;
pub type vnodeops_t = vnodeops;
pub type id_space_t = id_space;
pub type kid_t = core::ffi::c_int;
/// One set of statistics. The driver fills ks_data, or gives it (KSTAT_FLAG_VIRTUAL).
pub type kstat_t = kstat;
/// One named value of a KSTAT_TYPE_NAMED set.
pub type kstat_named_t = kstat_named;
/// Numbers of interrupts by kind.
pub type kstat_intr_t = kstat_intr;
/// What a device's wait and run queues did; kept by kstat_waitq_enter and its kind.
pub type kstat_io_t = kstat_io;
/// An event that takes time.
pub type kstat_timer_t = kstat_timer;
pub type krw_type_t = core::ffi::c_uint;
pub type krw_t = core::ffi::c_uint;
/// A readers/writer lock: size and alignment only.
pub type krwlock_t = _krwlock;
pub type list_node_t = list_node;
pub type list_t = list;
pub type caddr32_t = u32;
pub type intptr32_t = i32;
pub type uintptr32_t = u32;
pub type size32_t = u32;
pub type ssize32_t = i32;
pub type long32_t = i32;
pub type ulong32_t = u32;
pub type off32_t = i32;
pub type daddr32_t = i32;
pub type time32_t = i32;
pub type clock32_t = i32;
pub type pid32_t = i32;
pub type uid32_t = u32;
pub type gid32_t = u32;
pub type mode32_t = u32;
pub type mod_hash_t = mod_hash;
pub type mod_hash_val_t = *mut core::ffi::c_void;
pub type mod_hash_key_t = *mut core::ffi::c_void;
pub type mod_hash_hndl_t = *mut core::ffi::c_void;
pub type pci_regspec_t = pci_phys_spec;
/// Width of an access to a capability's register.
pub type pci_cap_config_size_t = core::ffi::c_uint;
pub type devmap_pmem_cookie_t = *mut core::ffi::c_void;
/// A driver's list of pollers: zeroed, then only passed on.
pub type pollhead_t = pollhead;
pub type pollfd_t = pollfd;
/// The fields of a queue that strqget and strqset name.
pub type qfields = core::ffi::c_uint;
/// The routine that frees a buffer of esballoc's, called with its argument.
pub type frtn_t = free_rtn;
/// A data block; db_base, db_lim, db_ref and db_type are public.
pub type dblk_t = datab;
/// A message block.
pub type mblk_t = msgb;
pub type taskq_t = taskq;
pub type taskqid_t = usize;
pub type task_func_t = ::core::option::Option<
    unsafe extern "C-unwind" fn(arg1: *mut core::ffi::c_void),
>;
/// How bad a fault is for the service, and where it is.
pub type ddi_fault_impact_t = core::ffi::c_int;
pub type ddi_fault_location_t = core::ffi::c_int;
pub type ddi_devstate_t = core::ffi::c_int;
pub type ddi_cb_flags_t = core::ffi::c_int;
pub type ddi_cb_action_t = core::ffi::c_int;
pub type ddi_cb_func_t = ::core::option::Option<
    unsafe extern "C-unwind" fn(
        arg1: *mut dev_info_t,
        arg2: ddi_cb_action_t,
        arg3: *mut core::ffi::c_void,
        arg4: *mut core::ffi::c_void,
        arg5: *mut core::ffi::c_void,
    ) -> core::ffi::c_int,
>;
/// Levels of ddi_err.
pub type ddi_err_t = core::ffi::c_uint;
/// A conversion between code pages.
pub type kiconv_t = *mut core::ffi::c_void;
pub type ddi_strid = __ddi_strid;
pub type ldi_handle_t = *mut __ldi_handle;
pub type ldi_ident_t = *mut __ldi_ident;
pub type ldi_callback_id_t = *mut __ldi_callback_id;
pub type ldi_ev_cookie_t = *mut __ldi_ev_cookie;
/// Callbacks for an event.
pub type ldi_ev_callback_t = ldi_ev_callback;
pub type zone_t = zone;
/// Names a memory object, to tell whether two addresses share it.
pub type memid_t = memid;
pub type pcache_link_t = pcache_link;
pub type segcreate_func_t = ::core::option::Option<
    unsafe extern "C-unwind" fn(
        arg1: *mut *mut seg,
        arg2: *mut core::ffi::c_void,
    ) -> core::ffi::c_int,
>;
/// Kinds of page locks.
pub type se_t = core::ffi::c_uint;
/// Whether a free page may be taken from its list.
pub type reclaim_t = core::ffi::c_uint;
pub type __builtin_va_list = [__va_list_tag; 1usize];
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct lloff__bindgen_ty_1 {
    pub _l: off_t,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct lldaddr__bindgen_ty_1 {
    pub _l: daddr_t,
}
#[repr(C)]
#[derive(Debug)]
pub struct cred {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct hat {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct page {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct proc_ {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct vnode {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct _kthread {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct dev_info {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct queue {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct iovec {
    pub iov_base: caddr_t,
    pub iov_len: usize,
}
/// A request; uiomove(9F) advances it.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct uio {
    pub uio_iov: *mut iovec_t,
    pub uio_iovcnt: core::ffi::c_int,
    pub _uio_offset: lloff_t,
    pub uio_segflg: uio_seg_t,
    pub uio_fmode: u16,
    pub uio_extflg: u16,
    pub _uio_limit: lloff_t,
    pub uio_resid: isize,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct aio_req {
    pub aio_uio: *mut uio,
    pub aio_private: *mut core::ffi::c_void,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct avl_node {
    pub avl_child: [*mut avl_node; 2usize],
    pub avl_pcb: usize,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct avl_tree {
    pub avl_root: *mut avl_node,
    pub avl_compar: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: *const core::ffi::c_void,
            arg2: *const core::ffi::c_void,
        ) -> core::ffi::c_int,
    >,
    pub avl_offset: usize,
    pub avl_numnodes: ulong_t,
    pub avl_size: usize,
}
/// A mutex: size and alignment only.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct mutex {
    pub _opaque: [*mut core::ffi::c_void; 1usize],
}
/// A processor (`cpu_t`).
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct behind_cpu {
    pub cpu_id: i32,
    pub cpu_seqid: i32,
    pub room0: [core::ffi::c_uchar; 8usize],
    pub cpu_self: *mut core::ffi::c_void,
    pub cpu_thread: *mut core::ffi::c_void,
    pub cpu_idle_thread: *mut core::ffi::c_void,
    pub room1: [core::ffi::c_uchar; 8usize],
    pub cpu_lwp: *mut core::ffi::c_void,
    pub room2: [core::ffi::c_uchar; 1992usize],
}
/// A thread (`kthread_t`), in kernels of 2015.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct behind_thread_2015 {
    pub room0: [core::ffi::c_uchar; 8usize],
    pub t_stk: *mut core::ffi::c_void,
    pub room1: [core::ffi::c_uchar; 28usize],
    pub t_state: u32,
    pub t_pri: i32,
    pub room2: [core::ffi::c_uchar; 164usize],
    pub t_cpu: *mut core::ffi::c_void,
    pub room3: [core::ffi::c_uchar; 48usize],
    pub t_did: u64,
    pub room4: [core::ffi::c_uchar; 112usize],
    pub t_lwp: *mut core::ffi::c_void,
    pub t_procp: *mut core::ffi::c_void,
    pub room5: [core::ffi::c_uchar; 48usize],
    pub t_cred: *mut core::ffi::c_void,
    pub room6: [core::ffi::c_uchar; 472usize],
}
/// A thread, in kernels of 2023.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct behind_thread_2023 {
    pub room0: [core::ffi::c_uchar; 8usize],
    pub t_stk: *mut core::ffi::c_void,
    pub room1: [core::ffi::c_uchar; 28usize],
    pub t_state: u32,
    pub t_pri: i32,
    pub room2: [core::ffi::c_uchar; 204usize],
    pub t_cpu: *mut core::ffi::c_void,
    pub room3: [core::ffi::c_uchar; 48usize],
    pub t_did: u64,
    pub room4: [core::ffi::c_uchar; 112usize],
    pub t_lwp: *mut core::ffi::c_void,
    pub t_procp: *mut core::ffi::c_void,
    pub room5: [core::ffi::c_uchar; 48usize],
    pub t_cred: *mut core::ffi::c_void,
    pub room6: [core::ffi::c_uchar; 472usize],
}
/// A process (`proc_t`), in kernels of 2015.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct behind_proc_2015 {
    pub room0: [core::ffi::c_uchar; 8usize],
    pub p_as: *mut core::ffi::c_void,
    pub room1: [core::ffi::c_uchar; 16usize],
    pub p_cred: *mut core::ffi::c_void,
    pub room2: [core::ffi::c_uchar; 4usize],
    pub p_stat: u32,
    pub room3: [core::ffi::c_uchar; 128usize],
    pub p_pidp: *mut core::ffi::c_void,
    pub room4: [core::ffi::c_uchar; 1080usize],
    pub p_model: u32,
    pub room5: [core::ffi::c_uchar; 2748usize],
}
/// A process, in kernels of 2023.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct behind_proc_2023 {
    pub room0: [core::ffi::c_uchar; 8usize],
    pub p_as: *mut core::ffi::c_void,
    pub room1: [core::ffi::c_uchar; 16usize],
    pub p_cred: *mut core::ffi::c_void,
    pub room2: [core::ffi::c_uchar; 4usize],
    pub p_stat: u32,
    pub room3: [core::ffi::c_uchar; 128usize],
    pub p_pidp: *mut core::ffi::c_void,
    pub room4: [core::ffi::c_uchar; 1096usize],
    pub p_model: u32,
    pub room5: [core::ffi::c_uchar; 2748usize],
}
/// A process id (`struct pid`).
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct behind_pid {
    pub room0: [core::ffi::c_uchar; 4usize],
    pub pid_id: u32,
    pub room1: [core::ffi::c_uchar; 32usize],
}
/// An address space (`struct as`), in kernels of 2015.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct behind_as_2015 {
    pub room0: [core::ffi::c_uchar; 16usize],
    pub a_hat: *mut core::ffi::c_void,
    pub room1: [core::ffi::c_uchar; 8usize],
    pub a_userlimit: *mut core::ffi::c_void,
    pub room2: [core::ffi::c_uchar; 16usize],
    pub a_size: usize,
    pub room3: [core::ffi::c_uchar; 144usize],
    pub a_proc: *mut core::ffi::c_void,
    pub room4: [core::ffi::c_uchar; 8usize],
}
/// An address space, in kernels of 2023.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct behind_as_2023 {
    pub room0: [core::ffi::c_uchar; 16usize],
    pub a_hat: *mut core::ffi::c_void,
    pub room1: [core::ffi::c_uchar; 8usize],
    pub a_userlimit: *mut core::ffi::c_void,
    pub room2: [core::ffi::c_uchar; 16usize],
    pub a_size: usize,
    pub room3: [core::ffi::c_uchar; 152usize],
    pub a_proc: *mut core::ffi::c_void,
    pub room4: [core::ffi::c_uchar; 8usize],
}
/// The data of a device segment (`struct segdev_data`).
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct behind_segdev {
    pub offset: u64,
    pub room0: [core::ffi::c_uchar; 8usize],
    pub mapfunc: *mut core::ffi::c_void,
    pub vp: *mut core::ffi::c_void,
    pub pageprot: core::ffi::c_uchar,
    pub prot: core::ffi::c_uchar,
    pub maxprot: core::ffi::c_uchar,
    pub type_: core::ffi::c_uchar,
    pub room1: [core::ffi::c_uchar; 28usize],
    pub devmap_data: *mut core::ffi::c_void,
}
/// A mapping (`devmap_handle_t`).
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct behind_handle {
    pub dh_roff: u64,
    pub dh_uoff: u64,
    pub dh_len: usize,
    pub dh_dev: dev_t,
    pub dh_cvaddr: *mut core::ffi::c_void,
    pub dh_uvaddr: *mut core::ffi::c_void,
    pub room0: [core::ffi::c_uchar; 8usize],
    pub dh_seg: *mut core::ffi::c_void,
    pub dh_pvtp: *mut core::ffi::c_void,
    pub dh_next: *mut core::ffi::c_void,
    pub dh_softlock: *mut core::ffi::c_void,
    pub dh_ctx: *mut core::ffi::c_void,
    pub dh_cookie: *mut core::ffi::c_void,
    pub dh_pcookie: *mut core::ffi::c_void,
    pub dh_prot: u32,
    pub dh_maxprot: u32,
    pub room1: [core::ffi::c_uchar; 4usize],
    pub dh_flags: u32,
    pub dh_pfn: u64,
    pub room2: [core::ffi::c_uchar; 8usize],
    pub dh_timeout_length: i64,
    pub dh_callbackops: [u64; 5usize],
    pub dh_orig_maxprot: u32,
    pub room3: [core::ffi::c_uchar; 4usize],
}
/// Context of the mappings of a device with one access callback (`struct devmap_ctx`).
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct behind_context {
    pub callback: *mut core::ffi::c_void,
    pub dip: *mut core::ffi::c_void,
    pub room0: [core::ffi::c_uchar; 20usize],
    pub refcnt: i32,
    pub oncpu: i32,
    pub room1: [core::ffi::c_uchar; 12usize],
}
/// Count of the softlocks of a device (`struct devmap_softlock`).
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct behind_softlock {
    pub callback: *mut core::ffi::c_void,
    pub dev: dev_t,
    pub room0: [core::ffi::c_uchar; 20usize],
    pub refcnt: i32,
    pub room1: [core::ffi::c_uchar; 8usize],
}
/// A file (`struct vnode`), with room for what later kernels added.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct behind_vnode {
    pub v_lock: kmutex_t,
    pub room0: [core::ffi::c_uchar; 4usize],
    pub v_count: u32,
    pub room1: [core::ffi::c_uchar; 24usize],
    pub v_type: u32,
    pub room2: [core::ffi::c_uchar; 4usize],
    pub v_rdev: dev_t,
    pub room3: [core::ffi::c_uchar; 8usize],
    pub v_op: *mut core::ffi::c_void,
    pub v_pages: *mut core::ffi::c_void,
    pub room4: [core::ffi::c_uchar; 176usize],
}
/// Kernel memory that can be mapped (`struct ddi_umem_cookie`).
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct behind_umem {
    pub size: usize,
    pub cvaddr: *mut core::ffi::c_void,
    pub room0: [core::ffi::c_uchar; 8usize],
    pub type_: u32,
    pub room1: [core::ffi::c_uchar; 76usize],
}
/// A mapping of registers for the driver (`ddi_acc_hdl_t`).
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct behind_access {
    pub room0: [core::ffi::c_uchar; 40usize],
    pub ah_addr: *mut core::ffi::c_void,
    pub room1: [core::ffi::c_uchar; 8usize],
    pub ah_len: usize,
    pub room2: [core::ffi::c_uchar; 40usize],
}
/// Pages that can be mapped (`devmap_pmem_cookie_t`).
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct behind_pmem {
    pub npages: usize,
    pub pages: *mut core::ffi::c_void,
    pub room0: [core::ffi::c_uchar; 8usize],
    pub procp: *mut core::ffi::c_void,
}
/// A semaphore: size and alignment only.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct _ksema {
    pub _opaque: [*mut core::ffi::c_void; 2usize],
}
/// One request to a block device, or of physio(9F).
#[repr(C)]
#[derive(Copy, Clone)]
pub struct buf {
    pub b_flags: core::ffi::c_int,
    pub b_forw: *mut buf,
    pub b_back: *mut buf,
    pub av_forw: *mut buf,
    pub av_back: *mut buf,
    pub b_dev: o_dev_t,
    pub b_bcount: usize,
    pub b_un: buf__bindgen_ty_1,
    pub _b_blkno: lldaddr_t,
    pub b_obs1: core::ffi::c_char,
    pub b_resid: usize,
    pub b_start: clock_t,
    pub b_proc: *mut proc_,
    pub b_pages: *mut page,
    pub b_obs2: clock_t,
    pub b_bufsize: usize,
    pub b_iodone: ::core::option::Option<
        unsafe extern "C-unwind" fn(arg1: *mut buf) -> core::ffi::c_int,
    >,
    pub b_vp: *mut vnode,
    pub b_chain: *mut buf,
    pub b_obs3: core::ffi::c_int,
    pub b_error: core::ffi::c_int,
    pub b_private: *mut core::ffi::c_void,
    pub b_edev: dev_t,
    pub b_sem: ksema_t,
    pub b_io: ksema_t,
    pub b_list: *mut buf,
    pub b_shadow: *mut *mut page,
    pub b_dip: *mut core::ffi::c_void,
    pub b_file: *mut vnode,
    pub b_offset: offset_t,
}
/// Requests in the order of disksort(9F): b_actf is the first, b_actl the last.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct diskhd {
    pub b_flags: core::ffi::c_long,
    pub b_forw: *mut buf,
    pub b_back: *mut buf,
    pub av_forw: *mut buf,
    pub av_back: *mut buf,
    pub b_dev: o_dev_t,
    pub b_bcount: usize,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct timespec {
    pub tv_sec: time_t,
    pub tv_nsec: core::ffi::c_long,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct timeval {
    pub tv_sec: time_t,
    pub tv_usec: suseconds_t,
}
/// A condition variable: size and alignment only.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct _kcondvar {
    pub _opaque: ushort_t,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct callb_cpr {
    pub cc_lockp: *mut kmutex_t,
    pub cc_events: core::ffi::c_char,
    pub cc_id: callb_id_t,
    pub cc_callb_cv: kcondvar_t,
    pub cc_stop_cv: kcondvar_t,
}
#[repr(C)]
#[derive(Debug)]
pub struct __ddi_acc_handle {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct __ddi_dma_handle {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct __ddi_iblock_cookie {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct __ddi_softintr {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct __ddi_intr_handle {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct __ddi_softint_handle {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct __ddi_periodic {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct __ddi_devid {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct __ddi_modhandle {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct ddi_event_callbacks {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct ddi_event_cookie {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct ddi_taskq {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct __ddi_soft_state_bystr {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct ddi_cb {
    _unused: [u8; 0],
}
/// Number and time of an event.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct sysevent_id {
    pub eid_seq: u64,
    pub eid_ts: hrtime_t,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct ddi_idevice_cookie__bindgen_ty_1 {
    pub idev_vector: ushort_t,
    pub idev_priority: ushort_t,
}
/// How a register set is to be accessed.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct ddi_device_acc_attr {
    pub devacc_attr_version: ushort_t,
    pub devacc_attr_endian_flags: uchar_t,
    pub devacc_attr_dataorder: uchar_t,
    pub devacc_attr_access: uchar_t,
}
/// The driver's callbacks for one mapping; copied at setup. Any of them may be NULL.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct devmap_callback_ctl {
    pub devmap_rev: core::ffi::c_int,
    pub devmap_map: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dhp: devmap_cookie_t,
            dev: dev_t,
            flags: uint_t,
            off: offset_t,
            len: usize,
            pvtp: *mut *mut core::ffi::c_void,
        ) -> core::ffi::c_int,
    >,
    pub devmap_access: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dhp: devmap_cookie_t,
            pvtp: *mut core::ffi::c_void,
            off: offset_t,
            len: usize,
            type_: uint_t,
            rw: uint_t,
        ) -> core::ffi::c_int,
    >,
    pub devmap_dup: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dhp: devmap_cookie_t,
            pvtp: *mut core::ffi::c_void,
            new_dhp: devmap_cookie_t,
            new_pvtp: *mut *mut core::ffi::c_void,
        ) -> core::ffi::c_int,
    >,
    pub devmap_unmap: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dhp: devmap_cookie_t,
            pvtp: *mut core::ffi::c_void,
            off: offset_t,
            len: usize,
            new_dhp1: devmap_cookie_t,
            new_pvtp1: *mut *mut core::ffi::c_void,
            new_dhp2: devmap_cookie_t,
            new_pvtp2: *mut *mut core::ffi::c_void,
        ),
    >,
}
/// Early-unlock callback of umem_lockmemory.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct umem_callback_ops {
    pub cbo_umem_callback_version: core::ffi::c_int,
    pub cbo_umem_lock_cleanup: ::core::option::Option<
        unsafe extern "C-unwind" fn(arg1: *mut ddi_umem_cookie_t),
    >,
}
/// Kernel memory behind a ddi_umem_cookie_t; private.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct ddi_umem_cookie {
    pub size: usize,
    pub cvaddr: caddr_t,
    pub lock: kmutex_t,
    pub type_: uint_t,
    pub pparray: *mut *mut page_t,
    pub procp: *mut core::ffi::c_void,
    pub asp: *mut as_,
    pub s_flags: seg_rw,
    pub locked: uint_t,
    pub callbacks: umem_callback_ops,
    pub cook_refcnt: ulong_t,
    pub unl_forw: *mut ddi_umem_cookie,
    pub upd_max_lock_rctl: ulong_t,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct devmap_info {
    pub length: usize,
    pub page_size: usize,
    pub offset: usize,
    pub valid_flag: ushort_t,
    pub byte_order: uchar_t,
    pub data_order: uchar_t,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub struct ddi_dma_cookie {
    pub _dmu: ddi_dma_cookie__bindgen_ty_1,
    pub dmac_size: usize,
    pub dmac_type: uint_t,
}
/// What a device's DMA engine can do.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct ddi_dma_attr {
    pub dma_attr_version: uint_t,
    pub dma_attr_addr_lo: u64,
    pub dma_attr_addr_hi: u64,
    pub dma_attr_count_max: u64,
    pub dma_attr_align: u64,
    pub dma_attr_burstsizes: uint_t,
    pub dma_attr_minxfer: u32,
    pub dma_attr_maxxfer: u64,
    pub dma_attr_seg: u64,
    pub dma_attr_sgllen: core::ffi::c_int,
    pub dma_attr_granular: u32,
    pub dma_attr_flags: uint_t,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct ddi_fm_error {
    pub fme_version: core::ffi::c_int,
    pub fme_status: core::ffi::c_int,
    pub fme_flag: core::ffi::c_int,
    pub fme_ena: u64,
    pub fme_acc_handle: ddi_acc_handle_t,
    pub fme_dma_handle: ddi_dma_handle_t,
    pub fme_bus_specific: *mut core::ffi::c_void,
    pub fme_bus_type: core::ffi::c_int,
}
#[repr(C)]
#[derive(Debug)]
pub struct vmem {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct kmem_cache {
    _unused: [u8; 0],
}
/// A pair: this, the name with its NUL, and from the next multiple of 8 the value.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct nvpair {
    pub nvp_size: i32,
    pub nvp_name_sz: i16,
    pub nvp_reserve: i16,
    pub nvp_value_elem: i32,
    pub nvp_type: data_type_t,
}
/// The head of a list.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct nvlist {
    pub nvl_version: i32,
    pub nvl_nvflag: u32,
    pub nvl_priv: u64,
    pub nvl_flag: u32,
    pub nvl_pad: i32,
}
/// An allocator for lists (nv_alloc_init(9F)).
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct nv_alloc {
    pub nva_ops: *const nv_alloc_ops_t,
    pub nva_arg: *mut core::ffi::c_void,
}
/// Operations of an allocator.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct nv_alloc_ops {
    pub nv_ao_init: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            nva: *mut nv_alloc_t,
            args: *mut __va_list_tag,
        ) -> core::ffi::c_int,
    >,
    pub nv_ao_fini: ::core::option::Option<
        unsafe extern "C-unwind" fn(nva: *mut nv_alloc_t),
    >,
    pub nv_ao_alloc: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            nva: *mut nv_alloc_t,
            size: usize,
        ) -> *mut core::ffi::c_void,
    >,
    pub nv_ao_free: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            nva: *mut nv_alloc_t,
            buf: *mut core::ffi::c_void,
            size: usize,
        ),
    >,
    pub nv_ao_reset: ::core::option::Option<
        unsafe extern "C-unwind" fn(nva: *mut nv_alloc_t),
    >,
}
/// Subject of a devctl ioctl.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct devctl_iocdata {
    pub cmd: uint_t,
    pub flags: uint_t,
    pub cpyout_buf: *mut core::ffi::c_void,
    pub nvl_user: *mut nvlist_t,
    pub nvl_usersz: usize,
    pub c_nodename: *mut core::ffi::c_char,
    pub c_unitaddr: *mut core::ffi::c_char,
}
#[repr(C)]
#[derive(Debug)]
pub struct streamtab {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct bus_ops {
    _unused: [u8; 0],
}
/// Entry points of a character or block device.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct cb_ops {
    pub cb_open: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            devp: *mut dev_t,
            flag: core::ffi::c_int,
            otyp: core::ffi::c_int,
            credp: *mut cred_t,
        ) -> core::ffi::c_int,
    >,
    pub cb_close: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dev: dev_t,
            flag: core::ffi::c_int,
            otyp: core::ffi::c_int,
            credp: *mut cred_t,
        ) -> core::ffi::c_int,
    >,
    pub cb_strategy: ::core::option::Option<
        unsafe extern "C-unwind" fn(bp: *mut buf) -> core::ffi::c_int,
    >,
    pub cb_print: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dev: dev_t,
            str_: *mut core::ffi::c_char,
        ) -> core::ffi::c_int,
    >,
    pub cb_dump: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dev: dev_t,
            addr: caddr_t,
            blkno: daddr_t,
            nblk: core::ffi::c_int,
        ) -> core::ffi::c_int,
    >,
    pub cb_read: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dev: dev_t,
            uiop: *mut uio,
            credp: *mut cred_t,
        ) -> core::ffi::c_int,
    >,
    pub cb_write: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dev: dev_t,
            uiop: *mut uio,
            credp: *mut cred_t,
        ) -> core::ffi::c_int,
    >,
    pub cb_ioctl: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dev: dev_t,
            cmd: core::ffi::c_int,
            arg: isize,
            mode: core::ffi::c_int,
            credp: *mut cred_t,
            rvalp: *mut core::ffi::c_int,
        ) -> core::ffi::c_int,
    >,
    pub cb_devmap: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dev: dev_t,
            dhp: devmap_cookie_t,
            off: offset_t,
            len: usize,
            maplen: *mut usize,
            model: uint_t,
        ) -> core::ffi::c_int,
    >,
    pub cb_mmap: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dev: dev_t,
            off: off_t,
            prot: core::ffi::c_int,
        ) -> core::ffi::c_int,
    >,
    pub cb_segmap: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dev: dev_t,
            off: off_t,
            as_: *mut as_,
            addrp: *mut caddr_t,
            len: off_t,
            prot: core::ffi::c_uint,
            maxprot: core::ffi::c_uint,
            flags: core::ffi::c_uint,
            credp: *mut cred_t,
        ) -> core::ffi::c_int,
    >,
    pub cb_chpoll: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dev: dev_t,
            events: core::ffi::c_short,
            anyyet: core::ffi::c_int,
            reventsp: *mut core::ffi::c_short,
            phpp: *mut *mut pollhead,
        ) -> core::ffi::c_int,
    >,
    pub cb_prop_op: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dev: dev_t,
            dip: *mut dev_info_t,
            prop_op: ddi_prop_op_t,
            mod_flags: core::ffi::c_int,
            name: *mut core::ffi::c_char,
            valuep: caddr_t,
            lengthp: *mut core::ffi::c_int,
        ) -> core::ffi::c_int,
    >,
    pub cb_str: *mut streamtab,
    pub cb_flag: core::ffi::c_int,
    pub cb_rev: core::ffi::c_int,
    pub cb_aread: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dev: dev_t,
            aio: *mut aio_req,
            credp: *mut cred_t,
        ) -> core::ffi::c_int,
    >,
    pub cb_awrite: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dev: dev_t,
            aio: *mut aio_req,
            credp: *mut cred_t,
        ) -> core::ffi::c_int,
    >,
}
/// Entry points of a driver.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dev_ops {
    pub devo_rev: core::ffi::c_int,
    pub devo_refcnt: core::ffi::c_int,
    pub devo_getinfo: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dip: *mut dev_info_t,
            cmd: ddi_info_cmd_t,
            arg: *mut core::ffi::c_void,
            resultp: *mut *mut core::ffi::c_void,
        ) -> core::ffi::c_int,
    >,
    pub devo_identify: ::core::option::Option<
        unsafe extern "C-unwind" fn(dip: *mut dev_info_t) -> core::ffi::c_int,
    >,
    pub devo_probe: ::core::option::Option<
        unsafe extern "C-unwind" fn(dip: *mut dev_info_t) -> core::ffi::c_int,
    >,
    pub devo_attach: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dip: *mut dev_info_t,
            cmd: ddi_attach_cmd_t,
        ) -> core::ffi::c_int,
    >,
    pub devo_detach: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dip: *mut dev_info_t,
            cmd: ddi_detach_cmd_t,
        ) -> core::ffi::c_int,
    >,
    pub devo_reset: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dip: *mut dev_info_t,
            cmd: ddi_reset_cmd_t,
        ) -> core::ffi::c_int,
    >,
    pub devo_cb_ops: *mut cb_ops,
    pub devo_bus_ops: *mut bus_ops,
    pub devo_power: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            dip: *mut dev_info_t,
            component: core::ffi::c_int,
            level: core::ffi::c_int,
        ) -> core::ffi::c_int,
    >,
    pub devo_quiesce: ::core::option::Option<
        unsafe extern "C-unwind" fn(dip: *mut dev_info_t) -> core::ffi::c_int,
    >,
}
#[repr(C)]
#[derive(Debug)]
pub struct caller_context {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct fs_operation_def {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct vnodeops {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct id_space {
    _unused: [u8; 0],
}
/// One set of statistics. The driver fills ks_data, or gives it (KSTAT_FLAG_VIRTUAL).
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct kstat {
    pub ks_crtime: hrtime_t,
    pub ks_next: *mut kstat,
    pub ks_kid: kid_t,
    pub ks_module: [core::ffi::c_char; 31usize],
    pub ks_resv: uchar_t,
    pub ks_instance: core::ffi::c_int,
    pub ks_name: [core::ffi::c_char; 31usize],
    pub ks_type: uchar_t,
    pub ks_class: [core::ffi::c_char; 31usize],
    pub ks_flags: uchar_t,
    pub ks_data: *mut core::ffi::c_void,
    pub ks_ndata: uint_t,
    pub ks_data_size: usize,
    pub ks_snaptime: hrtime_t,
    pub ks_update: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: *mut kstat,
            arg2: core::ffi::c_int,
        ) -> core::ffi::c_int,
    >,
    pub ks_private: *mut core::ffi::c_void,
    pub ks_snapshot: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: *mut kstat,
            arg2: *mut core::ffi::c_void,
            arg3: core::ffi::c_int,
        ) -> core::ffi::c_int,
    >,
    pub ks_lock: *mut core::ffi::c_void,
}
/// One named value of a KSTAT_TYPE_NAMED set.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kstat_named {
    pub name: [core::ffi::c_char; 31usize],
    pub data_type: uchar_t,
    pub value: kstat_named__bindgen_ty_1,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub struct kstat_named__bindgen_ty_1__bindgen_ty_1 {
    pub addr: kstat_named__bindgen_ty_1__bindgen_ty_1__bindgen_ty_1,
    pub len: u32,
}
/// Numbers of interrupts by kind.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct kstat_intr {
    pub intrs: [uint_t; 5usize],
}
/// What a device's wait and run queues did; kept by kstat_waitq_enter and its kind.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct kstat_io {
    pub nread: u_longlong_t,
    pub nwritten: u_longlong_t,
    pub reads: uint_t,
    pub writes: uint_t,
    pub wtime: hrtime_t,
    pub wlentime: hrtime_t,
    pub wlastupdate: hrtime_t,
    pub rtime: hrtime_t,
    pub rlentime: hrtime_t,
    pub rlastupdate: hrtime_t,
    pub wcnt: uint_t,
    pub rcnt: uint_t,
}
/// An event that takes time.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct kstat_timer {
    pub name: [core::ffi::c_char; 31usize],
    pub resv: uchar_t,
    pub num_events: u_longlong_t,
    pub elapsed_time: hrtime_t,
    pub min_time: hrtime_t,
    pub max_time: hrtime_t,
    pub start_time: hrtime_t,
    pub stop_time: hrtime_t,
}
/// A readers/writer lock: size and alignment only.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct _krwlock {
    pub _opaque: [*mut core::ffi::c_void; 1usize],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct list_node {
    pub list_next: *mut list_node,
    pub list_prev: *mut list_node,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct list {
    pub list_size: usize,
    pub list_offset: usize,
    pub list_head: list_node,
}
/// Operations on one kind of module; a driver only takes the address of mod_driverops.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct mod_ops {
    pub modm_install: ::core::option::Option<
        unsafe extern "C-unwind" fn() -> core::ffi::c_int,
    >,
    pub modm_remove: ::core::option::Option<
        unsafe extern "C-unwind" fn() -> core::ffi::c_int,
    >,
    pub modm_info: ::core::option::Option<
        unsafe extern "C-unwind" fn() -> core::ffi::c_int,
    >,
}
/// A driver in a modlinkage.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct modldrv {
    pub drv_modops: *mut mod_ops,
    pub drv_linkinfo: *mut core::ffi::c_char,
    pub drv_dev_ops: *mut dev_ops,
}
/// A module that only exports functions.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct modlmisc {
    pub misc_modops: *mut mod_ops,
    pub misc_linkinfo: *mut core::ffi::c_char,
}
/// Everything that the module consists of.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct modlinkage {
    pub ml_rev: core::ffi::c_int,
    pub ml_linkage: [*mut core::ffi::c_void; 7usize],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct modspecific_info {
    pub msi_linkinfo: [core::ffi::c_char; 32usize],
    pub msi_p0: core::ffi::c_int,
}
/// What modinfo(8) shows.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct modinfo {
    pub mi_info: core::ffi::c_int,
    pub mi_state: core::ffi::c_int,
    pub mi_id: core::ffi::c_int,
    pub mi_nextid: core::ffi::c_int,
    pub mi_base: caddr_t,
    pub mi_size: usize,
    pub mi_rev: core::ffi::c_int,
    pub mi_loadcnt: core::ffi::c_int,
    pub mi_name: [core::ffi::c_char; 32usize],
    pub mi_msinfo: [modspecific_info; 10usize],
}
#[repr(C)]
#[derive(Debug)]
pub struct mod_hash {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct pci_phys_spec {
    pub pci_phys_hi: uint_t,
    pub pci_phys_mid: uint_t,
    pub pci_phys_low: uint_t,
    pub pci_size_hi: uint_t,
    pub pci_size_low: uint_t,
}
#[repr(C)]
#[derive(Debug)]
pub struct polldat {
    _unused: [u8; 0],
}
/// A driver's list of pollers: zeroed, then only passed on.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct pollhead {
    pub ph_list: *mut polldat,
    pub ph_pad1: *mut core::ffi::c_void,
    pub ph_pad2: core::ffi::c_short,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct pollfd {
    pub fd: core::ffi::c_int,
    pub events: core::ffi::c_short,
    pub revents: core::ffi::c_short,
}
/// The routine that frees a buffer of esballoc's, called with its argument.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct free_rtn {
    pub free_func: ::core::option::Option<unsafe extern "C-unwind" fn()>,
    pub free_arg: caddr_t,
}
/// A data block; db_base, db_lim, db_ref and db_type are public.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct datab {
    pub db_frtnp: *mut frtn_t,
    pub db_base: *mut core::ffi::c_uchar,
    pub db_lim: *mut core::ffi::c_uchar,
    pub db_ref: core::ffi::c_uchar,
    pub db_type: core::ffi::c_uchar,
    pub db_flags: core::ffi::c_uchar,
    pub db_struioflag: core::ffi::c_uchar,
    pub db_cpid: pid_t,
    pub db_cache: *mut core::ffi::c_void,
    pub db_mblk: *mut msgb,
    pub db_free: ::core::option::Option<
        unsafe extern "C-unwind" fn(arg1: *mut msgb, arg2: *mut datab),
    >,
    pub db_lastfree: ::core::option::Option<
        unsafe extern "C-unwind" fn(arg1: *mut msgb, arg2: *mut datab),
    >,
    pub db_cksumstart: isize,
    pub db_cksumend: isize,
    pub db_cksumstuff: isize,
    pub db_struioun: u64,
    pub db_fthdr: *mut core::ffi::c_void,
    pub db_credp: *mut cred_t,
}
/// A message block.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct msgb {
    pub b_next: *mut msgb,
    pub b_prev: *mut msgb,
    pub b_cont: *mut msgb,
    pub b_rptr: *mut core::ffi::c_uchar,
    pub b_wptr: *mut core::ffi::c_uchar,
    pub b_datap: *mut datab,
    pub b_band: core::ffi::c_uchar,
    pub b_tag: core::ffi::c_uchar,
    pub b_flag: core::ffi::c_ushort,
    pub b_queue: *mut queue_t,
}
#[repr(C)]
#[derive(Debug)]
pub struct taskq {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct __ddi_strid {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct __ldi_handle {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct __ldi_ident {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct __ldi_callback_id {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug)]
pub struct __ldi_ev_cookie {
    _unused: [u8; 0],
}
/// Callbacks for an event.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct ldi_ev_callback {
    pub cb_vers: uint_t,
    pub cb_notify: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: ldi_handle_t,
            arg2: ldi_ev_cookie_t,
            arg3: *mut core::ffi::c_void,
            arg4: *mut core::ffi::c_void,
        ) -> core::ffi::c_int,
    >,
    pub cb_finalize: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: ldi_handle_t,
            arg2: ldi_ev_cookie_t,
            arg3: core::ffi::c_int,
            arg4: *mut core::ffi::c_void,
            arg5: *mut core::ffi::c_void,
        ),
    >,
}
/// System, node, release, version and machine.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct utsname {
    pub sysname: [core::ffi::c_char; 257usize],
    pub nodename: [core::ffi::c_char; 257usize],
    pub release: [core::ffi::c_char; 257usize],
    pub version: [core::ffi::c_char; 257usize],
    pub machine: [core::ffi::c_char; 257usize],
}
#[repr(C)]
#[derive(Debug)]
pub struct zone {
    _unused: [u8; 0],
}
/// Names a memory object, to tell whether two addresses share it.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct memid {
    pub val: [u_longlong_t; 2usize],
}
#[repr(C)]
#[derive(Debug)]
pub struct lgrp_mem_policy_info {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct pcache_link {
    pub p_lnext: *mut pcache_link,
    pub p_lprev: *mut pcache_link,
}
/// One segment of an address space; its address space's lock protects it.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct seg {
    pub s_base: caddr_t,
    pub s_size: usize,
    pub s_szc: uint_t,
    pub s_flags: uint_t,
    pub s_as: *mut as_,
    pub s_tree: avl_node_t,
    pub s_ops: *mut seg_ops,
    pub s_data: *mut core::ffi::c_void,
    pub s_pmtx: kmutex_t,
    pub s_phead: pcache_link_t,
}
/// The operations of a segment driver. The last one is missing in older kernels.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct seg_ops {
    pub dup: ::core::option::Option<
        unsafe extern "C-unwind" fn(arg1: *mut seg, arg2: *mut seg) -> core::ffi::c_int,
    >,
    pub unmap: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: *mut seg,
            arg2: caddr_t,
            arg3: usize,
        ) -> core::ffi::c_int,
    >,
    pub free: ::core::option::Option<unsafe extern "C-unwind" fn(arg1: *mut seg)>,
    pub fault: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: *mut hat,
            arg2: *mut seg,
            arg3: caddr_t,
            arg4: usize,
            arg5: fault_type,
            arg6: seg_rw,
        ) -> faultcode_t,
    >,
    pub faulta: ::core::option::Option<
        unsafe extern "C-unwind" fn(arg1: *mut seg, arg2: caddr_t) -> faultcode_t,
    >,
    pub setprot: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: *mut seg,
            arg2: caddr_t,
            arg3: usize,
            arg4: uint_t,
        ) -> core::ffi::c_int,
    >,
    pub checkprot: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: *mut seg,
            arg2: caddr_t,
            arg3: usize,
            arg4: uint_t,
        ) -> core::ffi::c_int,
    >,
    pub kluster: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: *mut seg,
            arg2: caddr_t,
            arg3: isize,
        ) -> core::ffi::c_int,
    >,
    pub swapout: ::core::option::Option<
        unsafe extern "C-unwind" fn(arg1: *mut seg) -> usize,
    >,
    pub sync: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: *mut seg,
            arg2: caddr_t,
            arg3: usize,
            arg4: core::ffi::c_int,
            arg5: uint_t,
        ) -> core::ffi::c_int,
    >,
    pub incore: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: *mut seg,
            arg2: caddr_t,
            arg3: usize,
            arg4: *mut core::ffi::c_char,
        ) -> usize,
    >,
    pub lockop: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: *mut seg,
            arg2: caddr_t,
            arg3: usize,
            arg4: core::ffi::c_int,
            arg5: core::ffi::c_int,
            arg6: *mut ulong_t,
            arg7: usize,
        ) -> core::ffi::c_int,
    >,
    pub getprot: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: *mut seg,
            arg2: caddr_t,
            arg3: usize,
            arg4: *mut uint_t,
        ) -> core::ffi::c_int,
    >,
    pub getoffset: ::core::option::Option<
        unsafe extern "C-unwind" fn(arg1: *mut seg, arg2: caddr_t) -> u_offset_t,
    >,
    pub gettype: ::core::option::Option<
        unsafe extern "C-unwind" fn(arg1: *mut seg, arg2: caddr_t) -> core::ffi::c_int,
    >,
    pub getvp: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: *mut seg,
            arg2: caddr_t,
            arg3: *mut *mut vnode,
        ) -> core::ffi::c_int,
    >,
    pub advise: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: *mut seg,
            arg2: caddr_t,
            arg3: usize,
            arg4: uint_t,
        ) -> core::ffi::c_int,
    >,
    pub dump: ::core::option::Option<unsafe extern "C-unwind" fn(arg1: *mut seg)>,
    pub pagelock: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: *mut seg,
            arg2: caddr_t,
            arg3: usize,
            arg4: *mut *mut *mut page,
            arg5: lock_type,
            arg6: seg_rw,
        ) -> core::ffi::c_int,
    >,
    pub setpagesize: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: *mut seg,
            arg2: caddr_t,
            arg3: usize,
            arg4: uint_t,
        ) -> core::ffi::c_int,
    >,
    pub getmemid: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: *mut seg,
            arg2: caddr_t,
            arg3: *mut memid_t,
        ) -> core::ffi::c_int,
    >,
    pub getpolicy: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: *mut seg,
            arg2: caddr_t,
        ) -> *mut lgrp_mem_policy_info,
    >,
    pub capable: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: *mut seg,
            arg2: segcapability_t,
        ) -> core::ffi::c_int,
    >,
    pub inherit: ::core::option::Option<
        unsafe extern "C-unwind" fn(
            arg1: *mut seg,
            arg2: caddr_t,
            arg3: usize,
            arg4: uint_t,
        ) -> core::ffi::c_int,
    >,
}
/// The first members of an address space, the same in all kernels; what follows them differs.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct as_ {
    pub a_contents: kmutex_t,
    pub a_flags: uchar_t,
    pub a_vbits: uchar_t,
    pub a_cv: kcondvar_t,
    pub a_hat: *mut hat,
}
#[repr(C)]
#[derive(Debug)]
pub struct lgrp {
    _unused: [u8; 0],
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct __va_list_tag {
    pub gp_offset: core::ffi::c_uint,
    pub fp_offset: core::ffi::c_uint,
    pub overflow_arg_area: *mut core::ffi::c_void,
    pub reg_save_area: *mut core::ffi::c_void,
}
pub const INT_MAX: i32 = 2147483647;
pub const LLONG_MAX: i64 = 9223372036854775807;
pub const LONG_MAX: i64 = 9223372036854775807;
pub const NODEV32: u32 = 4294967295;
pub const OFF_MAX: i64 = 9223372036854775807;
pub const SHRT_MAX: i32 = 32767;
pub const SHRT_MIN: i32 = -32768;
pub const UINT_MAX: u32 = 4294967295;
pub const USHRT_MAX: i32 = 65535;
pub const UIO_ASYNC: i32 = 2;
pub const UIO_COPY_DEFAULT: i32 = 0;
pub const UIO_COPY_CACHED: i32 = 1;
pub const UIO_XUIO: i32 = 4;
pub const AVL_BEFORE: i32 = 0;
pub const AVL_AFTER: i32 = 1;
pub const B_ABRWRITE: i32 = 67108864;
pub const B_AGE: i32 = 512;
pub const B_ASYNC: i32 = 1024;
pub const B_BUSY: i32 = 1;
pub const B_DELWRI: i32 = 2048;
pub const B_DONE: i32 = 2;
pub const B_DONTNEED: i32 = 8192;
pub const B_ERROR: i32 = 4;
pub const B_FAILFAST: i32 = 16777216;
pub const B_FORCE: i32 = 131072;
pub const B_FREE: i32 = 32768;
pub const B_INVAL: i32 = 65536;
pub const B_NOCACHE: i32 = 524288;
pub const B_PAGE_NOWAIT: i32 = 134217728;
pub const B_PAGEIO: i32 = 16;
pub const B_PHYS: i32 = 32;
pub const B_READ: i32 = 64;
pub const B_REMAPPED: i32 = 16384;
pub const B_RETRYWRI: i32 = 4194304;
pub const B_SHADOW: i32 = 2097152;
pub const B_STALE: i32 = 4096;
pub const B_STARTED: i32 = 33554432;
pub const B_TRUNC: i32 = 1048576;
pub const B_WANTED: i32 = 128;
pub const B_WRITE: i32 = 256;
pub const MICROSEC: i32 = 1000000;
pub const MILLISEC: i32 = 1000;
pub const NANOSEC: i32 = 1000000000;
pub const SEC: i32 = 1;
pub const CB_CL_CPR_DAEMON: i32 = 0;
pub const CB_CL_CPR_VM: i32 = 1;
pub const CB_CL_CPR_CALLOUT: i32 = 2;
pub const CB_CL_CPR_OBP: i32 = 3;
pub const CB_CL_CPR_FB: i32 = 4;
pub const CB_CL_PANIC: i32 = 5;
pub const CB_CL_CPR_RPC: i32 = 6;
pub const CB_CL_CPR_PROMPRINTF: i32 = 7;
pub const CB_CL_MDBOOT: i32 = 8;
pub const CB_CL_UADMIN: i32 = 8;
pub const CB_CL_CPR_PM: i32 = 9;
pub const CB_CL_HALT: i32 = 10;
pub const CB_CL_CPR_DMA: i32 = 11;
pub const CB_CL_CPR_POST_USER: i32 = 12;
pub const CB_CL_UADMIN_PRE_VFS: i32 = 13;
pub const CB_CL_ENTER_DEBUGGER: i32 = 14;
pub const CB_CL_CPR_POST_KERNEL: i32 = 15;
pub const CB_CL_CPU_DEEP_IDLE: i32 = 16;
pub const CB_CODE_CPR_CHKPT: i32 = 0;
pub const CB_CODE_CPR_RESUME: i32 = 1;
pub const DDI_CAUTIOUS_ACC: u8 = 3;
pub const DDI_DATA_SZ01_ACC: u8 = 1;
pub const DDI_DATA_SZ02_ACC: u8 = 2;
pub const DDI_DATA_SZ04_ACC: u8 = 4;
pub const DDI_DATA_SZ08_ACC: u8 = 8;
pub const DDI_DEFAULT_ACC: u8 = 1;
pub const DDI_DEVICE_ATTR_V0: u16 = 1;
pub const DDI_DEVICE_ATTR_V1: u16 = 2;
pub const DDI_FLAGERR_ACC: u8 = 2;
pub const DDI_LOADCACHING_OK_ACC: u8 = 3;
pub const DDI_MERGING_OK_ACC: u8 = 2;
pub const DDI_NEVERSWAP_ACC: u8 = 0;
pub const DDI_STORECACHING_OK_ACC: u8 = 4;
pub const DDI_STRICTORDER_ACC: u8 = 0;
pub const DDI_STRUCTURE_LE_ACC: u8 = 1;
pub const DDI_STRUCTURE_BE_ACC: u8 = 2;
pub const DDI_UNORDERED_OK_ACC: u8 = 1;
pub const CE_CONT: i32 = 0;
pub const CE_IGNORE: i32 = 4;
pub const CE_NOTE: i32 = 1;
pub const CE_PANIC: i32 = 3;
pub const CE_WARN: i32 = 2;
pub const D_64BIT: i32 = 512;
pub const D_DEVMAP: i32 = 256;
pub const D_HOTPLUG: i32 = 4;
pub const D_MP: i32 = 32;
pub const D_MTINNER_MASK: i32 = 24608;
pub const D_MTINNER_MOD: i32 = 200832;
pub const D_MTOCEXCL: i32 = 2048;
pub const D_MTOUTER_MOD: i32 = 2048;
pub const D_MTOUTPERIM: i32 = 32768;
pub const D_MTPERMOD: i32 = 24576;
pub const D_MTPERQ: i32 = 8192;
pub const D_MTPUTSHARED: i32 = 4096;
pub const D_MTQPAIR: i32 = 16384;
pub const D_MTSAFE: i32 = 32;
pub const D_MTSAFETY_MASK: i32 = 260256;
pub const D_NEW: i32 = 0;
pub const D_OPEN_RETURNS_EINTR: i32 = 1048576;
pub const D_SYNCSTR: i32 = 1024;
pub const D_TAPE: i32 = 8;
pub const D_U64BIT: i32 = 262144;
pub const L_BITSMAJOR32: i32 = 14;
pub const L_BITSMAJOR: i32 = 32;
pub const L_BITSMINOR32: i32 = 18;
pub const L_BITSMINOR: i32 = 32;
pub const L_MAXMAJ32: i32 = 16383;
pub const L_MAXMAJ: u32 = 4294967295;
pub const L_MAXMIN32: i32 = 262143;
pub const L_MAXMIN: u32 = 4294967295;
pub const O_BITSMAJOR: i32 = 7;
pub const O_BITSMINOR: i32 = 8;
pub const O_MAXMAJ: i32 = 127;
pub const O_MAXMIN: i32 = 255;
pub const LBOLT: i32 = 4;
pub const NOPAGE: i32 = -1;
pub const PPGRP: i32 = 3;
pub const PPID: i32 = 11;
pub const PSID: i32 = 12;
pub const SYSCANC: i32 = 9;
pub const SYSMINT: i32 = 7;
pub const SYSOUTC: i32 = 10;
pub const SYSRAWC: i32 = 8;
pub const SYSRINT: i32 = 5;
pub const SYSXINT: i32 = 6;
pub const TIME: i32 = 1;
pub const UCRED: i32 = 13;
pub const UPROCP: i32 = 2;
pub const DDI_INTR_ALLOC_NORMAL: i32 = 0;
pub const DDI_INTR_UNCLAIMED: i32 = 0;
pub const DDI_INTR_ALLOC_STRICT: i32 = 1;
pub const DDI_INTR_CLAIMED: i32 = 1;
pub const DDI_INTR_FLAG_LEVEL: i32 = 1;
pub const DDI_INTR_NOTFOUND: i32 = 1;
pub const DDI_INTR_PRI_MIN: i32 = 1;
pub const DDI_INTR_SOFTPRI_DEFAULT: i32 = 1;
pub const DDI_INTR_SOFTPRI_MIN: i32 = 1;
pub const DDI_INTR_TYPE_FIXED: i32 = 1;
pub const DDI_INTR_FLAG_EDGE: i32 = 2;
pub const DDI_INTR_TYPE_MSI: i32 = 2;
pub const DDI_INTR_TYPE_MSIX: i32 = 4;
pub const DDI_INTR_SOFTPRI_MAX: i32 = 9;
pub const DDI_INTR_PRI_MAX: i32 = 12;
pub const DDI_INTR_FLAG_MASKABLE: i32 = 16;
pub const DDI_INTR_FLAG_PENDING: i32 = 32;
pub const DDI_INTR_FLAG_BLOCK: i32 = 256;
pub const DDI_INTR_FLAG_MSI64: i32 = 512;
pub const DDI_SOFTINT_FIXED: i32 = 0;
pub const DDI_SOFTINT_LOW: i32 = 8;
pub const DDI_SOFTINT_MED: i32 = 128;
pub const DDI_SOFTINT_HIGH: i32 = 256;
pub const DDI_UMEM_SLEEP: i32 = 0;
pub const DDI_UMEM_NOSLEEP: i32 = 1;
pub const DDI_UMEM_PAGEABLE: i32 = 2;
pub const DDI_UMEM_TRASH: i32 = 4;
pub const DDI_UMEMLOCK_READ: i32 = 1;
pub const DDI_UMEMLOCK_WRITE: i32 = 2;
pub const DEVMAP_ALLOW_REMAP: u32 = 2;
pub const DEVMAP_DEFAULTS: u32 = 0;
pub const DEVMAP_FLAG_LARGE: u32 = 4096;
pub const DEVMAP_LOCK_INITED: u32 = 512;
pub const DEVMAP_LOCKED: u32 = 2048;
pub const DEVMAP_MAPPING_INVALID: u32 = 1;
pub const DEVMAP_OPS_REV: i32 = 1;
pub const DEVMAP_SETUP_FLAGS: u32 = 7;
pub const DEVMAP_SETUP_DONE: u32 = 256;
pub const DEVMAP_USE_PAGESIZE: u32 = 4;
pub const KMEM_NON_PAGEABLE: i32 = 512;
pub const KMEM_PAGEABLE: i32 = 256;
pub const UMEM_CALLBACK_VERSION: i32 = 1;
pub const UMEM_LOCKED: i32 = 1024;
pub const UMEM_TRASH: i32 = 2048;
pub const IOMEM_DATA_CACHED: i32 = 65536;
pub const IOMEM_DATA_UC_WR_COMBINE: i32 = 131072;
pub const IOMEM_DATA_UNCACHED: i32 = 262144;
pub const IOMEM_DATA_MASK: i32 = 983040;
pub const DDI_DMA_USE_PHYSICAL: i32 = -10;
pub const DDI_DMA_INUSE: i32 = -9;
pub const DDI_DMA_BADATTR: i32 = -8;
pub const DDI_DMA_STALE: i32 = -7;
pub const DDI_DMA_BADLIMITS: i32 = -6;
pub const DDI_DMA_LOCKED: i32 = -5;
pub const DDI_DMA_TOOSMALL: i32 = -4;
pub const DDI_DMA_TOOBIG: i32 = -3;
pub const DDI_DMA_NOMAPPING: i32 = -2;
pub const DDI_DMA_NORESOURCES: i32 = -1;
pub const DDI_DMA_CALLBACK_RUNOUT: i32 = 0;
pub const DDI_DMA_MAPOK: i32 = 0;
pub const DDI_DMA_MAPPED: i32 = 0;
pub const DDI_DMA_SYNC_FORDEV: i32 = 0;
pub const DDI_DMA_CALLBACK_DONE: i32 = 1;
pub const DDI_DMA_PARTIAL_MAP: i32 = 1;
pub const DDI_DMA_SYNC_FORCPU: i32 = 1;
pub const DDI_DMA_WRITE: u32 = 1;
pub const DDI_DMA_DONE: i32 = 2;
pub const DDI_DMA_READ: i32 = 2;
pub const DDI_DMA_SYNC_FORKERNEL: i32 = 2;
pub const DDI_DMA_RDWR: u32 = 3;
pub const DDI_DMA_REDZONE: i32 = 4;
pub const DDI_DMA_PARTIAL: i32 = 8;
pub const DDI_DMA_CONSISTENT: u32 = 16;
pub const DDI_DMA_EXCLUSIVE: i32 = 32;
pub const DDI_DMA_STREAMING: u32 = 64;
pub const DDI_DMA_FORCE_PHYSICAL: i32 = 256;
pub const DDI_DMA_FLAGERR: i32 = 512;
pub const DDI_DMA_RELAXED_ORDERING: i32 = 1024;
pub const DDI_DMA_SBUS_64BIT: i32 = 8192;
pub const DMALIM_VER0: u32 = 2248146944;
pub const DMA_ATTR_V0: i32 = 0;
pub const DMA_ATTR_VERSION: i32 = 0;
pub const DMA_UNIT_8: i32 = 1;
pub const DMA_UNIT_16: i32 = 2;
pub const DMA_UNIT_32: i32 = 4;
pub const DDI_FM_DEVICE: &::core::ffi::CStr = c"device";
pub const DDI_FM_UNKNOWN: i32 = -3;
pub const DDI_FM_NONFATAL: i32 = -2;
pub const DDI_FM_FATAL: i32 = -1;
pub const DDI_FM_ERR_UNEXPECTED: i32 = 0;
pub const DDI_FM_NOT_CAPABLE: i32 = 0;
pub const DDI_FM_OK: i32 = 0;
pub const DDI_FM_EREPORT_CAPABLE: i32 = 1;
pub const DDI_FM_ERR_EXPECTED: i32 = 1;
pub const DDI_FM_ACCCHK_CAPABLE: i32 = 2;
pub const DDI_FM_ERR_POKE: i32 = 2;
pub const DDI_FM_ERR_PEEK: i32 = 3;
pub const DDI_FM_DMACHK_CAPABLE: i32 = 4;
pub const DDI_FM_ERRCB_CAPABLE: i32 = 8;
pub const DDI_FME_BUS_TYPE_DFLT: i32 = 0;
pub const DDI_FME_VER0: i32 = 0;
pub const DDI_FME_BUS_TYPE_PCI: i32 = 1;
pub const DDI_FME_VER1: i32 = 1;
pub const DDI_FME_VERSION: i32 = 1;
pub const DDI_PROP_SUCCESS: i32 = 0;
pub const DDI_PROP_DONTPASS: u32 = 1;
pub const DDI_PROP_NOT_FOUND: i32 = 1;
pub const DDI_PROP_CANSLEEP: u32 = 2;
pub const DDI_PROP_UNDEFINED: i32 = 2;
pub const DDI_PROP_NO_MEMORY: i32 = 3;
pub const DDI_PROP_INVAL_ARG: i32 = 4;
pub const DDI_PROP_SYSTEM_DEF: u32 = 4;
pub const DDI_PROP_BUF_TOO_SMALL: i32 = 5;
pub const DDI_PROP_CANNOT_DECODE: i32 = 6;
pub const DDI_PROP_CANNOT_ENCODE: i32 = 7;
pub const DDI_PROP_END_OF_DATA: i32 = 8;
pub const DDI_PROP_NOTPROM: u32 = 8;
pub const DDI_PROP_DONTSLEEP: u32 = 16;
pub const DDI_PROP_STACK_CREATE: u32 = 32;
pub const DDI_PROP_UNDEF_IT: u32 = 64;
pub const DDI_PROP_HW_DEF: u32 = 128;
pub const DDI_PROP_FOUND_1275: u32 = 255;
pub const DDI_PROP_TYPE_INT: u32 = 256;
pub const DDI_PROP_TYPE_STRING: u32 = 512;
pub const DDI_PROP_TYPE_BYTE: u32 = 1024;
pub const DDI_PROP_TYPE_COMPOSITE: u32 = 2048;
pub const DDI_PROP_TYPE_ANY: u32 = 3840;
pub const DDI_PROP_TYPE_INT64: u32 = 4096;
pub const DDI_PROP_TYPE_MASK: u32 = 7936;
pub const DDI_PROP_CONSUMER_TYPED: u32 = 32768;
pub const DDI_PROP_DYNAMIC: u32 = 65536;
pub const DDI_PROP_ROOTNEX_GLOBAL: u32 = 131072;
pub const DDI_UNBND_DLPI2: i32 = 16384;
pub const LDI_DEV_T_ANY: i32 = 8192;
pub const PH_FROM_PROM: i32 = 1;
pub const PROP_1275_CELL_SIZE: i32 = 4;
pub const PROP_1275_INT_SIZE: i32 = 4;
pub const DDI_GENERIC_ADDRESSING: &::core::ffi::CStr = c"generic-addressing";
pub const DDI_RELATIVE_ADDRESSING: &::core::ffi::CStr = c"relative-addressing";
pub const EPERM: i32 = 1;
pub const ENOENT: i32 = 2;
pub const ESRCH: i32 = 3;
pub const EINTR: i32 = 4;
pub const EIO: i32 = 5;
pub const ENXIO: i32 = 6;
pub const E2BIG: i32 = 7;
pub const ENOEXEC: i32 = 8;
pub const EBADF: i32 = 9;
pub const ECHILD: i32 = 10;
pub const EAGAIN: i32 = 11;
pub const EWOULDBLOCK: i32 = 11;
pub const ENOMEM: i32 = 12;
pub const EACCES: i32 = 13;
pub const EFAULT: i32 = 14;
pub const ENOTBLK: i32 = 15;
pub const EBUSY: i32 = 16;
pub const EEXIST: i32 = 17;
pub const EXDEV: i32 = 18;
pub const ENODEV: i32 = 19;
pub const ENOTDIR: i32 = 20;
pub const EISDIR: i32 = 21;
pub const EINVAL: i32 = 22;
pub const ENFILE: i32 = 23;
pub const EMFILE: i32 = 24;
pub const ENOTTY: i32 = 25;
pub const ETXTBSY: i32 = 26;
pub const EFBIG: i32 = 27;
pub const ENOSPC: i32 = 28;
pub const ESPIPE: i32 = 29;
pub const EROFS: i32 = 30;
pub const EMLINK: i32 = 31;
pub const EPIPE: i32 = 32;
pub const EDOM: i32 = 33;
pub const ERANGE: i32 = 34;
pub const ENOMSG: i32 = 35;
pub const EIDRM: i32 = 36;
pub const ECHRNG: i32 = 37;
pub const EL2NSYNC: i32 = 38;
pub const EL3HLT: i32 = 39;
pub const EL3RST: i32 = 40;
pub const ELNRNG: i32 = 41;
pub const EUNATCH: i32 = 42;
pub const ENOCSI: i32 = 43;
pub const EL2HLT: i32 = 44;
pub const EDEADLK: i32 = 45;
pub const ENOLCK: i32 = 46;
pub const ECANCELED: i32 = 47;
pub const ENOTSUP: i32 = 48;
pub const EDQUOT: i32 = 49;
pub const EBADE: i32 = 50;
pub const EBADR: i32 = 51;
pub const EXFULL: i32 = 52;
pub const ENOANO: i32 = 53;
pub const EBADRQC: i32 = 54;
pub const EBADSLT: i32 = 55;
pub const EDEADLOCK: i32 = 56;
pub const EBFONT: i32 = 57;
pub const EOWNERDEAD: i32 = 58;
pub const ENOTRECOVERABLE: i32 = 59;
pub const ENOSTR: i32 = 60;
pub const ENODATA: i32 = 61;
pub const ETIME: i32 = 62;
pub const ENOSR: i32 = 63;
pub const ENONET: i32 = 64;
pub const ENOPKG: i32 = 65;
pub const EREMOTE: i32 = 66;
pub const ENOLINK: i32 = 67;
pub const EADV: i32 = 68;
pub const ESRMNT: i32 = 69;
pub const ECOMM: i32 = 70;
pub const EPROTO: i32 = 71;
pub const ELOCKUNMAPPED: i32 = 72;
pub const ENOTACTIVE: i32 = 73;
pub const EMULTIHOP: i32 = 74;
pub const EBADMSG: i32 = 77;
pub const ENAMETOOLONG: i32 = 78;
pub const EOVERFLOW: i32 = 79;
pub const ENOTUNIQ: i32 = 80;
pub const EBADFD: i32 = 81;
pub const EREMCHG: i32 = 82;
pub const ELIBACC: i32 = 83;
pub const ELIBBAD: i32 = 84;
pub const ELIBSCN: i32 = 85;
pub const ELIBMAX: i32 = 86;
pub const ELIBEXEC: i32 = 87;
pub const EILSEQ: i32 = 88;
pub const ENOSYS: i32 = 89;
pub const ELOOP: i32 = 90;
pub const ERESTART: i32 = 91;
pub const ESTRPIPE: i32 = 92;
pub const ENOTEMPTY: i32 = 93;
pub const EUSERS: i32 = 94;
pub const ENOTSOCK: i32 = 95;
pub const EDESTADDRREQ: i32 = 96;
pub const EMSGSIZE: i32 = 97;
pub const EPROTOTYPE: i32 = 98;
pub const ENOPROTOOPT: i32 = 99;
pub const EPROTONOSUPPORT: i32 = 120;
pub const ESOCKTNOSUPPORT: i32 = 121;
pub const EOPNOTSUPP: i32 = 122;
pub const EPFNOSUPPORT: i32 = 123;
pub const EAFNOSUPPORT: i32 = 124;
pub const EADDRINUSE: i32 = 125;
pub const EADDRNOTAVAIL: i32 = 126;
pub const ENETDOWN: i32 = 127;
pub const ENETUNREACH: i32 = 128;
pub const ENETRESET: i32 = 129;
pub const ECONNABORTED: i32 = 130;
pub const ECONNRESET: i32 = 131;
pub const ENOBUFS: i32 = 132;
pub const EISCONN: i32 = 133;
pub const ENOTCONN: i32 = 134;
pub const ESHUTDOWN: i32 = 143;
pub const ETOOMANYREFS: i32 = 144;
pub const ETIMEDOUT: i32 = 145;
pub const ECONNREFUSED: i32 = 146;
pub const EHOSTDOWN: i32 = 147;
pub const EHOSTUNREACH: i32 = 148;
pub const EALREADY: i32 = 149;
pub const EINPROGRESS: i32 = 150;
pub const ESTALE: i32 = 151;
pub const VM_ABORT: i32 = 8192;
pub const VM_BESTFIT: i32 = 256;
pub const VM_ENDALLOC: i32 = 16384;
pub const VM_FIRSTFIT: i32 = 512;
pub const VM_FLAGS: i32 = 65535;
pub const VM_KMFLAGS: i32 = 255;
pub const VM_MEMLOAD: i32 = 2048;
pub const VM_NEXTFIT: i32 = 1024;
pub const VM_NORELOC: i32 = 4096;
pub const VM_NORMALPRI: i32 = 8;
pub const VM_NOSLEEP: i32 = 1;
pub const VM_PANIC: i32 = 2;
pub const VM_PUSHPAGE: i32 = 4;
pub const VM_SLEEP: i32 = 0;
pub const VMC_DUMPSAFE: i32 = 2097152;
pub const VMC_FLAGS: u32 = 4294901760;
pub const VMC_IDENTIFIER: i32 = 262144;
pub const VMC_NO_QCACHE: i32 = 131072;
pub const VMC_POPULATOR: i32 = 65536;
pub const VMC_XALIGN: i32 = 1048576;
pub const VMC_XALLOC: i32 = 524288;
pub const KMC_NODEBUG: i32 = 131072;
pub const KMC_NOHASH: i32 = 524288;
pub const KMC_NOMAGAZINE: i32 = 262144;
pub const KMC_NOTOUCH: i32 = 65536;
pub const KM_FLAGS: i32 = 65535;
pub const KM_NORMALPRI: i32 = 8;
pub const KM_NOSLEEP: i32 = 1;
pub const KM_PANIC: i32 = 2;
pub const KM_PUSHPAGE: i32 = 4;
pub const KM_SLEEP: i32 = 0;
pub const KM_VMFLAGS: i32 = 255;
pub const NV_VERSION: i32 = 0;
pub const NV_ENCODE_NATIVE: i32 = 0;
pub const NV_ENCODE_XDR: i32 = 1;
pub const NV_UNIQUE_NAME: i32 = 1;
pub const NV_UNIQUE_NAME_TYPE: i32 = 2;
pub const NV_FLAG_NOENTOK: i32 = 1;
pub const BUSO_REV_3: i32 = 3;
pub const BUSO_REV_4: i32 = 4;
pub const BUSO_REV_5: i32 = 5;
pub const BUSO_REV_6: i32 = 6;
pub const BUSO_REV_7: i32 = 7;
pub const BUSO_REV_8: i32 = 8;
pub const BUSO_REV_9: i32 = 9;
pub const BUSO_REV: i32 = 10;
pub const BUSO_REV_10: i32 = 10;
pub const CB_REV: i32 = 1;
pub const DDI_PROBE_DONTCARE: i32 = 0;
pub const DDI_PROBE_PARTIAL: i32 = 1;
pub const DDI_PROBE_SUCCESS: i32 = 2;
pub const DDI_PROBE_FAILURE: i32 = 6;
pub const DEVO_REV: i32 = 4;
pub const DDI_UMEMLOCK_LONGTERM: i32 = 4;
pub const FD_CLOEXEC: i32 = 1;
pub const O_ACCMODE: i32 = 6291459;
pub const O_APPEND: i32 = 8;
pub const O_CLOEXEC: i32 = 8388608;
pub const O_CREAT: i32 = 256;
pub const O_DIRECTORY: i32 = 16777216;
pub const O_DSYNC: i32 = 64;
pub const O_EXCL: i32 = 1024;
pub const O_EXEC: i32 = 4194304;
pub const O_LARGEFILE: i32 = 8192;
pub const O_NDELAY: i32 = 4;
pub const O_NOCTTY: i32 = 2048;
pub const O_NOFOLLOW: i32 = 131072;
pub const O_NOLINKS: i32 = 262144;
pub const O_NONBLOCK: i32 = 128;
pub const O_RDONLY: i32 = 0;
pub const O_RDWR: i32 = 2;
pub const O_RSYNC: i32 = 32768;
pub const O_SEARCH: i32 = 2097152;
pub const O_SYNC: i32 = 16;
pub const O_TRUNC: i32 = 512;
pub const O_TTY_INIT: i32 = 0;
pub const O_WRONLY: i32 = 1;
pub const O_XATTR: i32 = 16384;
pub const FAPPEND: i32 = 8;
pub const FASYNC: i32 = 4096;
pub const FCLOEXEC: i32 = 8388608;
pub const FCREAT: i32 = 256;
pub const FDIRECTORY: i32 = 16777216;
pub const FDSYNC: i32 = 64;
pub const FEPOLLED: i32 = 32768;
pub const FEXCL: i32 = 1024;
pub const FEXEC: i32 = 4194304;
pub const FIGNORECASE: i32 = 524288;
pub const FILP32: i32 = 1048576;
pub const FKIOCTL: u32 = 2147483648;
pub const FKLYR: i32 = 1073741824;
pub const FLP64: i32 = 2097152;
pub const FMASK: i32 = 41215;
pub const FMODELS: i32 = 267386880;
pub const FNATIVE: i32 = 2097152;
pub const FNDELAY: i32 = 4;
pub const FNOCTTY: i32 = 2048;
pub const FNODSYNC: i32 = 65536;
pub const FNOFOLLOW: i32 = 131072;
pub const FNOLINKS: i32 = 262144;
pub const FNONBLOCK: i32 = 128;
pub const FOFFMAX: i32 = 8192;
pub const FOPEN: u32 = 4294967295;
pub const FREAD: i32 = 1;
pub const FREVOKED: i32 = 32;
pub const FRSYNC: i32 = 32768;
pub const FSEARCH: i32 = 2097152;
pub const FSYNC: i32 = 16;
pub const FTRUNC: i32 = 512;
pub const FWRITE: i32 = 2;
pub const FXATTR: i32 = 16384;
pub const FXATTRDIROPEN: i32 = 1048576;
pub const IOCPARM_MASK: u32 = 255;
pub const IOC_IN: u32 = 2147483648;
pub const IOC_INOUT: u32 = 3221225472;
pub const IOC_OUT: u32 = 1073741824;
pub const IOC_VOID: u32 = 536870912;
pub const FM_ENA_FMT1: i32 = 1;
pub const FM_EREPORT_VERS0: i32 = 0;
pub const FM_VERSION: &::core::ffi::CStr = c"version";
pub const KSTAT_DATA_CHAR: u8 = 0;
pub const KSTAT_DATA_INT32: u8 = 1;
pub const KSTAT_DATA_UINT32: u8 = 2;
pub const KSTAT_DATA_INT64: u8 = 3;
pub const KSTAT_DATA_LONGLONG: u8 = 3;
pub const KSTAT_DATA_UINT64: u8 = 4;
pub const KSTAT_DATA_ULONGLONG: u8 = 4;
pub const KSTAT_DATA_FLOAT: u8 = 5;
pub const KSTAT_DATA_DOUBLE: u8 = 6;
pub const KSTAT_DATA_LONG: u8 = 7;
pub const KSTAT_DATA_ULONG: u8 = 8;
pub const KSTAT_DATA_STRING: u8 = 9;
pub const KSTAT_FLAG_VIRTUAL: u8 = 1;
pub const KSTAT_FLAG_VAR_SIZE: u8 = 2;
pub const KSTAT_FLAG_WRITABLE: u8 = 4;
pub const KSTAT_FLAG_PERSISTENT: u8 = 8;
pub const KSTAT_FLAG_DORMANT: u8 = 16;
pub const KSTAT_FLAG_INVALID: u8 = 32;
pub const KSTAT_FLAG_LONGSTRINGS: u8 = 64;
pub const KSTAT_INTR_HARD: i32 = 0;
pub const KSTAT_INTR_SOFT: i32 = 1;
pub const KSTAT_INTR_WATCHDOG: i32 = 2;
pub const KSTAT_INTR_SPURIOUS: i32 = 3;
pub const KSTAT_INTR_MULTSVC: i32 = 4;
pub const KSTAT_IOC_BASE: i32 = 19200;
pub const KSTAT_IOC_CHAIN_ID: i32 = 19201;
pub const KSTAT_IOC_READ: i32 = 19202;
pub const KSTAT_IOC_WRITE: i32 = 19203;
pub const KSTAT_NUM_INTRS: i32 = 5;
pub const KSTAT_NUM_TYPES: i32 = 5;
pub const KSTAT_READ: i32 = 0;
pub const KSTAT_STRLEN: i32 = 31;
pub const KSTAT_TYPE_RAW: u8 = 0;
pub const KSTAT_TYPE_NAMED: u8 = 1;
pub const KSTAT_TYPE_INTR: u8 = 2;
pub const KSTAT_TYPE_IO: u8 = 3;
pub const KSTAT_TYPE_TIMER: u8 = 4;
pub const KSTAT_WRITE: i32 = 1;
pub const BUS_ADRALN: i32 = 1;
pub const BUS_ADRERR: i32 = 2;
pub const BUS_OBJERR: i32 = 3;
pub const SEGV_ACCERR: i32 = 2;
pub const SEGV_MAPERR: i32 = 1;
pub const MADV_ACCESS_DEFAULT: i32 = 6;
pub const MADV_ACCESS_LWP: i32 = 7;
pub const MADV_ACCESS_MANY: i32 = 8;
pub const MADV_DONTNEED: i32 = 4;
pub const MADV_FREE: i32 = 5;
pub const MADV_NORMAL: i32 = 0;
pub const MADV_PURGE: i32 = 9;
pub const MADV_RANDOM: i32 = 1;
pub const MADV_SEQUENTIAL: i32 = 2;
pub const MADV_WILLNEED: i32 = 3;
pub const MAP_32BIT: u32 = 128;
pub const MAP_ALIGN: u32 = 512;
pub const MAP_ANON: u32 = 256;
pub const MAP_ANONYMOUS: u32 = 256;
pub const MAP_FILE: u32 = 0;
pub const MAP_FIXED: u32 = 16;
pub const MAP_INITDATA: u32 = 2048;
pub const MAP_NORESERVE: u32 = 64;
pub const MAP_PRIVATE: u32 = 2;
pub const MAP_RENAME: u32 = 32;
pub const MAP_SHARED: u32 = 1;
pub const MAP_TEXT: u32 = 1024;
pub const MAP_TYPE: u32 = 15;
pub const MC_SYNC: i32 = 1;
pub const MC_LOCK: i32 = 2;
pub const MC_UNLOCK: i32 = 3;
pub const MC_ADVISE: i32 = 4;
pub const MS_ASYNC: i32 = 1;
pub const MS_INVALIDATE: i32 = 2;
pub const MS_OLDSYNC: i32 = 0;
pub const MS_SYNC: i32 = 4;
pub const POSIX_MADV_NORMAL: i32 = 0;
pub const POSIX_MADV_RANDOM: i32 = 1;
pub const POSIX_MADV_SEQUENTIAL: i32 = 2;
pub const POSIX_MADV_WILLNEED: i32 = 3;
pub const POSIX_MADV_DONTNEED: i32 = 4;
pub const PROT_ALL: u32 = 15;
pub const PROT_EXCL: u32 = 32;
pub const PROT_EXEC: u32 = 4;
pub const PROT_NONE: u32 = 0;
pub const PROT_READ: u32 = 1;
pub const PROT_USER: u32 = 8;
pub const PROT_WRITE: u32 = 2;
pub const PROT_ZFOD: u32 = 15;
pub const MAXMODCONFNAME: i32 = 256;
pub const MI_INFO_ONE: i32 = 1;
pub const MI_INFO_ALL: i32 = 2;
pub const MI_INFO_CNT: i32 = 4;
pub const MI_INFO_LINKAGE: i32 = 8;
pub const MI_INFO_NOBASE: i32 = 16;
pub const MI_INSTALLED: i32 = 2;
pub const MI_LOADED: i32 = 1;
pub const MODMAXLINK: i32 = 10;
pub const MODMAXLINK32: i32 = 10;
pub const MODMAXLINKINFOLEN: i32 = 32;
pub const MODMAXLINKINFOLEN32: i32 = 32;
pub const MODMAXNAMELEN: i32 = 32;
pub const MODMAXNAMELEN32: i32 = 32;
pub const MODREV_1: i32 = 1;
pub const DATAMODEL_ILP32: u32 = 1048576;
pub const DATAMODEL_LP64: u32 = 2097152;
pub const DATAMODEL_MASK: u32 = 267386880;
pub const DATAMODEL_NATIVE: u32 = 2097152;
pub const DATAMODEL_NONE: u32 = 0;
pub const MH_ERR_NOMEM: i32 = -1;
pub const MH_ERR_DUPLICATE: i32 = -2;
pub const MH_ERR_NOTFOUND: i32 = -3;
pub const MH_WALK_CONTINUE: i32 = 0;
pub const MH_WALK_TERMINATE: i32 = 1;
pub const OTYPCNT: i32 = 5;
pub const OTYP_BLK: i32 = 0;
pub const OTYP_CHR: i32 = 2;
pub const OTYP_LYR: i32 = 4;
pub const OTYP_MNT: i32 = 1;
pub const OTYP_SWP: i32 = 3;
pub const CANBSIZ: i32 = 256;
pub const DEV_BSIZE: i32 = 512;
pub const MAXBSIZE: i32 = 8192;
pub const MAXEPHUID: u32 = 4294967292;
pub const MAXFRAG: i32 = 8;
pub const MAXLINK: i32 = 32767;
pub const MAXLINKNAMELEN: i32 = 32;
pub const MAXNAMELEN: i32 = 256;
pub const MAXOFF32_T: i32 = 2147483647;
pub const MAXOFFSET_T: i64 = 9223372036854775807;
pub const MAXOFF_T: i64 = 9223372036854775807;
pub const MAXPATHLEN: i32 = 1024;
pub const MAXPROJID: i32 = 2147483647;
pub const MAXSYMLINKS: i32 = 20;
pub const MAXUID: i32 = 2147483647;
pub const MAX_CANON: i32 = 256;
pub const MAX_INPUT: i32 = 512;
pub const MAX_MAXPID: i32 = 999999;
pub const MAX_TASKID: i32 = 999999;
pub const MINEPHUID: u32 = 2147483648;
pub const NBPS: i32 = 131072;
pub const NBPSCTR: i32 = 512;
pub const NCARGS32: i32 = 1048576;
pub const NCARGS: i32 = 2097152;
pub const NCARGS64: i32 = 2097152;
pub const NOFILE: i32 = 20;
pub const NBBY: i32 = 8;
pub const PCI_CONF_VENID: i32 = 0;
pub const PCI_CONF_DEVID: i32 = 2;
pub const PCI_CONF_COMM: i32 = 4;
pub const PCI_CONF_STAT: i32 = 6;
pub const PCI_CONF_REVID: i32 = 8;
pub const PCI_CONF_PROGCLASS: i32 = 9;
pub const PCI_CONF_SUBCLASS: i32 = 10;
pub const PCI_CONF_BASCLASS: i32 = 11;
pub const PCI_CONF_CACHE_LINESZ: i32 = 12;
pub const PCI_CONF_LATENCY_TIMER: i32 = 13;
pub const PCI_CONF_HEADER: i32 = 14;
pub const PCI_CONF_BIST: i32 = 15;
pub const PCI_CONF_BASE0: i32 = 16;
pub const PCI_CONF_BASE1: i32 = 20;
pub const PCI_CONF_BASE2: i32 = 24;
pub const PCI_CONF_BASE3: i32 = 28;
pub const PCI_CONF_BASE4: i32 = 32;
pub const PCI_CONF_BASE5: i32 = 36;
pub const PCI_CONF_SUBVENID: i32 = 44;
pub const PCI_CONF_SUBSYSID: i32 = 46;
pub const PCI_CONF_ROM: i32 = 48;
pub const PCI_CONF_CAP_PTR: i32 = 52;
pub const PCI_CONF_ILINE: i32 = 60;
pub const PCI_CONF_IPIN: i32 = 61;
pub const PCI_COMM_IO: i32 = 1;
pub const PCI_COMM_MAE: i32 = 2;
pub const PCI_COMM_ME: i32 = 4;
pub const PCI_COMM_PARITY_DETECT: i32 = 64;
pub const PCI_COMM_SERR_ENABLE: i32 = 256;
pub const PCI_COMM_INTX_DISABLE: i32 = 1024;
pub const PCI_STAT_INTR: i32 = 8;
pub const PCI_STAT_CAP: i32 = 16;
pub const PCI_BASE_SPACE_IO: i32 = 1;
pub const PCI_BASE_TYPE_M: i32 = 6;
pub const PCI_BASE_TYPE_MEM: i32 = 0;
pub const PCI_BASE_TYPE_ALL: i32 = 4;
pub const PCI_BASE_PREF_M: i32 = 8;
pub const PCI_BASE_M_ADDR_M: u32 = 4294967280;
pub const PCI_CAP_ID: i32 = 0;
pub const PCI_CAP_NEXT_PTR: i32 = 1;
pub const PCI_CAP_ID_PM: i32 = 1;
pub const PCI_CAP_ID_MSI: i32 = 5;
pub const PCI_CAP_ID_PCI_E: i32 = 16;
pub const PCI_CAP_ID_MSI_X: i32 = 17;
pub const PCI_MSI_CTRL: i32 = 2;
pub const PCI_MSI_ENABLE_BIT: i32 = 1;
pub const PCI_MSIX_CTRL: i32 = 2;
pub const PCI_MSIX_ENABLE_BIT: i32 = 32768;
pub const PCI_CAP_EINVAL8: i32 = 255;
pub const PCI_CAP_EINVAL16: i32 = 65535;
pub const PCI_CAP_EINVAL32: u32 = 4294967295;
pub const PCI_REG_ADDR_M: i32 = 50331648;
pub const PCI_ADDR_CONFIG: i32 = 0;
pub const PCI_ADDR_IO: i32 = 16777216;
pub const PCI_ADDR_MEM32: i32 = 33554432;
pub const PCI_ADDR_MEM64: i32 = 50331648;
pub const PCI_REG_REG_M: i32 = 255;
pub const PMEM_SLEEP: i32 = 1;
pub const PMEM_NOSLEEP: i32 = 2;
pub const POLLCLOSED: i32 = 32768;
pub const POLLERR: i32 = 8;
pub const POLLET: i32 = 8192;
pub const POLLHUP: i32 = 16;
pub const POLLIN: i32 = 1;
pub const POLLNOERR: i32 = 1024;
pub const POLLNORM: i32 = 64;
pub const POLLNVAL: i32 = 32;
pub const POLLONESHOT: i32 = 4096;
pub const POLLOUT: i32 = 4;
pub const POLLPRI: i32 = 2;
pub const POLLRDBAND: i32 = 128;
pub const POLLRDDATA: i32 = 512;
pub const POLLRDHUP: i32 = 16384;
pub const POLLRDNORM: i32 = 64;
pub const POLLREMOVE: i32 = 2048;
pub const POLLWRBAND: i32 = 256;
pub const POLLWRNORM: i32 = 4;
pub const SI_ASYNCIO: i32 = -4;
pub const SI_DTRACE: i32 = 2050;
pub const SI_LWP: i32 = -1;
pub const SI_MAXSZ: i32 = 256;
pub const SI_MESGQ: i32 = -5;
pub const SI_NOINFO: i32 = 32767;
pub const SI_PAD: i32 = 60;
pub const SI_QUEUE: i32 = -2;
pub const SI_RCTL: i32 = 2049;
pub const SI_TIMER: i32 = -3;
pub const SI_USER: i32 = 0;
pub const SIGHUP: i32 = 1;
pub const SIGINT: i32 = 2;
pub const SIGQUIT: i32 = 3;
pub const SIGILL: i32 = 4;
pub const SIGTRAP: i32 = 5;
pub const SIGABRT: i32 = 6;
pub const SIGIOT: i32 = 6;
pub const SIGEMT: i32 = 7;
pub const SIGFPE: i32 = 8;
pub const SIGKILL: i32 = 9;
pub const SIGBUS: i32 = 10;
pub const SIGSEGV: i32 = 11;
pub const SIGSYS: i32 = 12;
pub const SIGPIPE: i32 = 13;
pub const SIGALRM: i32 = 14;
pub const SIGTERM: i32 = 15;
pub const SIGUSR1: i32 = 16;
pub const SIGUSR2: i32 = 17;
pub const SIGCHLD: i32 = 18;
pub const SIGCLD: i32 = 18;
pub const SIGPWR: i32 = 19;
pub const SIGWINCH: i32 = 20;
pub const SIGURG: i32 = 21;
pub const SIGIO: i32 = 22;
pub const SIGPOLL: i32 = 22;
pub const SIGSTOP: i32 = 23;
pub const SIGTSTP: i32 = 24;
pub const SIGCONT: i32 = 25;
pub const SIGTTIN: i32 = 26;
pub const SIGTTOU: i32 = 27;
pub const SIGVTALRM: i32 = 28;
pub const SIGPROF: i32 = 29;
pub const SIGXCPU: i32 = 30;
pub const SIGXFSZ: i32 = 31;
pub const SIGWAITING: i32 = 32;
pub const SIGLWP: i32 = 33;
pub const SIGFREEZE: i32 = 34;
pub const SIGTHAW: i32 = 35;
pub const SIGCANCEL: i32 = 36;
pub const SIGLOST: i32 = 37;
pub const SIGXRES: i32 = 38;
pub const SIGJVM1: i32 = 39;
pub const SIGJVM2: i32 = 40;
pub const SIGINFO: i32 = 41;
pub const SIGSTKSZ: i32 = 8192;
pub const SIG_BLOCK: i32 = 1;
pub const SIG_UNBLOCK: i32 = 2;
pub const SIG_SETMASK: i32 = 3;
pub const S_IAMB: u32 = 511;
pub const S_IEXEC: u32 = 64;
pub const S_IFBLK: u32 = 24576;
pub const S_IFCHR: u32 = 8192;
pub const S_IFDIR: u32 = 16384;
pub const S_IFDOOR: u32 = 53248;
pub const S_IFIFO: u32 = 4096;
pub const S_IFLNK: u32 = 40960;
pub const S_IFMT: u32 = 61440;
pub const S_IFNAM: u32 = 20480;
pub const S_IFPORT: u32 = 57344;
pub const S_IFREG: u32 = 32768;
pub const S_IFSOCK: u32 = 49152;
pub const S_INSEM: u32 = 1;
pub const S_INSHD: u32 = 2;
pub const S_IREAD: u32 = 256;
pub const S_IRGRP: u32 = 32;
pub const S_IROTH: u32 = 4;
pub const S_IRUSR: u32 = 256;
pub const S_IRWXG: u32 = 56;
pub const S_IRWXO: u32 = 7;
pub const S_IRWXU: u32 = 448;
pub const S_ISGID: u32 = 1024;
pub const S_ISUID: u32 = 2048;
pub const S_ISVTX: u32 = 512;
pub const S_IWGRP: u32 = 16;
pub const S_IWOTH: u32 = 2;
pub const S_IWRITE: u32 = 128;
pub const S_IWUSR: u32 = 128;
pub const S_IXGRP: u32 = 8;
pub const S_IXOTH: u32 = 1;
pub const S_IXUSR: u32 = 64;
pub const M_DATA: i32 = 0;
pub const M_PROTO: i32 = 1;
pub const M_DELAY: i32 = 12;
pub const M_PCPROTO: i32 = 131;
pub const UCONV_IN_BIG_ENDIAN: i32 = 1;
pub const UCONV_OUT_BIG_ENDIAN: i32 = 2;
pub const UCONV_IN_SYSTEM_ENDIAN: i32 = 4;
pub const UCONV_OUT_SYSTEM_ENDIAN: i32 = 8;
pub const UCONV_IN_LITTLE_ENDIAN: i32 = 16;
pub const UCONV_OUT_LITTLE_ENDIAN: i32 = 32;
pub const UCONV_IGNORE_NULL: i32 = 64;
pub const UCONV_IN_ACCEPT_BOM: i32 = 128;
pub const UCONV_OUT_EMIT_BOM: i32 = 256;
pub const U8_STRCMP_CS: i32 = 1;
pub const U8_STRCMP_CI_UPPER: i32 = 2;
pub const U8_STRCMP_CI_LOWER: i32 = 4;
pub const U8_STRCMP_NFD: i32 = 16;
pub const U8_STRCMP_NFC: i32 = 80;
pub const U8_STRCMP_NFKD: i32 = 32;
pub const U8_STRCMP_NFKC: i32 = 96;
pub const U8_TEXTPREP_TOUPPER: i32 = 2;
pub const U8_TEXTPREP_TOLOWER: i32 = 4;
pub const U8_TEXTPREP_NFD: i32 = 16;
pub const U8_TEXTPREP_NFC: i32 = 80;
pub const U8_TEXTPREP_NFKD: i32 = 32;
pub const U8_TEXTPREP_NFKC: i32 = 96;
pub const U8_TEXTPREP_IGNORE_NULL: i32 = 65536;
pub const U8_TEXTPREP_IGNORE_INVALID: i32 = 131072;
pub const U8_TEXTPREP_NOWAIT: i32 = 262144;
pub const U8_UNICODE_320: i32 = 0;
pub const U8_UNICODE_500: i32 = 1;
pub const U8_UNICODE_LATEST: i32 = 1;
pub const U8_VALIDATE_ENTIRE: i32 = 1048576;
pub const U8_VALIDATE_CHECK_ADDITIONAL: i32 = 2097152;
pub const U8_VALIDATE_UCS2_RANGE: i32 = 4194304;
pub const TASKQID_INVALID: i32 = 0;
pub const TASKQ_CPR_SAFE: u32 = 2;
pub const TASKQ_DC_BATCH: u32 = 16;
pub const TASKQ_DYNAMIC: u32 = 4;
pub const TASKQ_NAMELEN: u32 = 31;
pub const TASKQ_PREPOPULATE: u32 = 1;
pub const TASKQ_THREADS_CPU_PCT: u32 = 8;
pub const TQ_FRONT: i32 = 8;
pub const TQ_NOALLOC: i32 = 4;
pub const TQ_NOQUEUE: i32 = 2;
pub const TQ_NOSLEEP: i32 = 1;
pub const TQ_SLEEP: i32 = 0;
pub const TS_SLEEP: i32 = 1;
pub const TS_RUN: i32 = 2;
pub const TS_ONPROC: i32 = 4;
pub const DDI_DEV_NO_AUTOINCR: u32 = 0;
pub const DDI_DEV_AUTOINCR: u32 = 1;
pub const DDI_EAGAIN: i32 = -3;
pub const DDI_EALREADY: i32 = -7;
pub const DDI_EBUSY: i32 = 2;
pub const DDI_ECONTEXT: i32 = 4;
pub const DDI_EINVAL: i32 = -4;
pub const DDI_ENOMEM: i32 = 1;
pub const DDI_ENOTSUP: i32 = -5;
pub const DDI_EPENDING: i32 = -6;
pub const DDI_ETRANSPORT: i32 = 3;
pub const DDI_FAILURE: i32 = -1;
pub const DDI_IPL_0: i32 = 0;
pub const DDI_IPL_1: i32 = 1;
pub const DDI_IPL_2: i32 = 2;
pub const DDI_IPL_3: i32 = 3;
pub const DDI_IPL_4: i32 = 4;
pub const DDI_IPL_5: i32 = 5;
pub const DDI_IPL_6: i32 = 6;
pub const DDI_IPL_7: i32 = 7;
pub const DDI_IPL_8: i32 = 8;
pub const DDI_IPL_9: i32 = 9;
pub const DDI_IPL_10: i32 = 10;
pub const DDI_MODEL_NONE: u32 = 0;
pub const DDI_MODEL_ILP32: u32 = 1048576;
pub const DDI_MODEL_LP64: u32 = 2097152;
pub const DDI_MODEL_NATIVE: u32 = 2097152;
pub const DDI_MODEL_MASK: u32 = 267386880;
pub const DDI_NOSLEEP: i32 = 1;
pub const DDI_NOT_WELL_FORMED: i32 = -2;
pub const DDI_REGS_ACC_CONFLICT: i32 = -10;
pub const DDI_SLEEP: i32 = 0;
pub const DDI_SUCCESS: i32 = 0;
pub const DDI_WALK_ERROR: i32 = -4;
pub const DDI_WALK_TERMINATE: i32 = -3;
pub const DDI_WALK_PRUNESIB: i32 = -2;
pub const DDI_WALK_PRUNECHILD: i32 = -1;
pub const DDI_WALK_CONTINUE: i32 = 0;
pub const DDI_CLASS: &::core::ffi::CStr = c"ddi.class";
pub const DDI_DEVID_REGISTRANT: &::core::ffi::CStr = c"ddi-devid-registrant";
pub const DDI_DEVI_BUS_RESET_EVENT: &::core::ffi::CStr = c"DDI:DEVI_BUS_RESET";
pub const DDI_DEVI_DEVICE_RESET_EVENT: &::core::ffi::CStr = c"DDI:DEVI_DEVICE_RESET";
pub const DDI_DEVI_INSERT_EVENT: &::core::ffi::CStr = c"DDI:DEVI_INSERT";
pub const DDI_DEVI_REMOVE_EVENT: &::core::ffi::CStr = c"DDI:DEVI_REMOVE";
pub const DDI_DRIVER_MAJOR: &::core::ffi::CStr = c"ddi.major";
pub const DDI_DRIVER_NAME: &::core::ffi::CStr = c"ddi.driver";
pub const DDI_FORCEATTACH: &::core::ffi::CStr = c"ddi-forceattach";
pub const DDI_INSTANCE: &::core::ffi::CStr = c"ddi.instance";
pub const DDI_KERNEL_IOCTL: &::core::ffi::CStr = c"ddi-kernel-ioctl";
pub const DDI_NO_AUTODETACH: &::core::ffi::CStr = c"ddi-no-autodetach";
pub const DDI_NO_ROOT_SUPPORT: &::core::ffi::CStr = c"ddi-no-root-support";
pub const DDI_NT_AGP_CPUGART: &::core::ffi::CStr = c"ddi_agp:cpugart";
pub const DDI_NT_AGP_MASTER: &::core::ffi::CStr = c"ddi_agp:master";
pub const DDI_NT_AGP_PSEUDO: &::core::ffi::CStr = c"ddi_agp:pseudo";
pub const DDI_NT_AGP_TARGET: &::core::ffi::CStr = c"ddi_agp:target";
pub const DDI_NT_ATTACHMENT_POINT: &::core::ffi::CStr = c"ddi_ctl:attachment_point";
pub const DDI_NT_AUDIO: &::core::ffi::CStr = c"ddi_audio";
pub const DDI_NT_AV_ASYNC: &::core::ffi::CStr = c"ddi_av:async";
pub const DDI_NT_AV_ISOCH: &::core::ffi::CStr = c"ddi_av:isoch";
pub const DDI_NT_BLOCK: &::core::ffi::CStr = c"ddi_block";
pub const DDI_NT_BLOCK_BLKDEV: &::core::ffi::CStr = c"ddi_block:blkdev";
pub const DDI_NT_BLOCK_CHAN: &::core::ffi::CStr = c"ddi_block:channel";
pub const DDI_NT_BLOCK_FABRIC: &::core::ffi::CStr = c"ddi_block:fabric";
pub const DDI_NT_BLOCK_SAS: &::core::ffi::CStr = c"ddi_block:sas";
pub const DDI_NT_BLOCK_WWN: &::core::ffi::CStr = c"ddi_block:wwn";
pub const DDI_NT_BLOCK_XVMD: &::core::ffi::CStr = c"ddi_block:xvmd";
pub const DDI_NT_CD: &::core::ffi::CStr = c"ddi_block:cdrom";
pub const DDI_NT_CD_CHAN: &::core::ffi::CStr = c"ddi_block:cdrom:channel";
pub const DDI_NT_CD_XVMD: &::core::ffi::CStr = c"ddi_block:cdrom:xvmd";
pub const DDI_NT_DISPLAY: &::core::ffi::CStr = c"ddi_display";
pub const DDI_NT_DISPLAY_DRM: &::core::ffi::CStr = c"ddi_display:drm";
pub const DDI_NT_ENCLOSURE: &::core::ffi::CStr = c"ddi_enclosure";
pub const DDI_NT_FC_ATTACHMENT_POINT: &::core::ffi::CStr = c"ddi_ctl:attachment_point:fc";
pub const DDI_NT_FD: &::core::ffi::CStr = c"ddi_block:diskette";
pub const DDI_NT_IB_ATTACHMENT_POINT: &::core::ffi::CStr = c"ddi_ctl:attachment_point:ib";
pub const DDI_NT_IB_NEXUS: &::core::ffi::CStr = c"ddi_ctl:devctl:ib";
pub const DDI_NT_INTRCTL: &::core::ffi::CStr = c"ddi_tool_intr";
pub const DDI_NT_KEYBOARD: &::core::ffi::CStr = c"ddi_keyboard";
pub const DDI_NT_MOUSE: &::core::ffi::CStr = c"ddi_mouse";
pub const DDI_NT_NET: &::core::ffi::CStr = c"ddi_network";
pub const DDI_NT_NET_WIFI: &::core::ffi::CStr = c"ddi_network:wifi";
pub const DDI_NT_NEXUS: &::core::ffi::CStr = c"ddi_ctl:devctl";
pub const DDI_NT_NVME_ATTACHMENT_POINT: &::core::ffi::CStr = c"ddi_ctl:attachment_point:nvme";
pub const DDI_NT_NVME_NEXUS: &::core::ffi::CStr = c"ddi_ctl:devctl:nvme";
pub const DDI_NT_PARALLEL: &::core::ffi::CStr = c"ddi_parallel";
pub const DDI_NT_PCI_ATTACHMENT_POINT: &::core::ffi::CStr = c"ddi_ctl:attachment_point:pci";
pub const DDI_NT_PRINTER: &::core::ffi::CStr = c"ddi_printer";
pub const DDI_NT_REGACC: &::core::ffi::CStr = c"ddi_tool_reg";
pub const DDI_NT_SATA_ATTACHMENT_POINT: &::core::ffi::CStr = c"ddi_ctl:attachment_point:sata";
pub const DDI_NT_SATA_NEXUS: &::core::ffi::CStr = c"ddi_ctl:devctl:sata";
pub const DDI_NT_SBD_ATTACHMENT_POINT: &::core::ffi::CStr = c"ddi_ctl:attachment_point:sbd";
pub const DDI_NT_SCSI_ATTACHMENT_POINT: &::core::ffi::CStr = c"ddi_ctl:attachment_point:scsi";
pub const DDI_NT_SCSI_ENCLOSURE: &::core::ffi::CStr = c"ddi_enclosure:scsi";
pub const DDI_NT_SCSI_NEXUS: &::core::ffi::CStr = c"ddi_ctl:devctl:scsi";
pub const DDI_NT_SDCARD_ATTACHMENT_POINT: &::core::ffi::CStr = c"ddi_ctl:attachment_point:sdcard";
pub const DDI_NT_SENSOR_TEMP_CPU: &::core::ffi::CStr = c"ddi_sensor:temperature:cpu";
pub const DDI_NT_SENSOR_TEMP_PCH: &::core::ffi::CStr = c"ddi_sensor:temperature:pch";
pub const DDI_NT_SERIAL: &::core::ffi::CStr = c"ddi_serial";
pub const DDI_NT_SERIAL_DO: &::core::ffi::CStr = c"ddi_serial:dialout";
pub const DDI_NT_SERIAL_LOMCON: &::core::ffi::CStr = c"ddi_serial:lomcon";
pub const DDI_NT_SERIAL_MB: &::core::ffi::CStr = c"ddi_serial:mb";
pub const DDI_NT_SERIAL_MB_DO: &::core::ffi::CStr = c"ddi_serial:dialout,mb";
pub const DDI_NT_SMP: &::core::ffi::CStr = c"ddi_sas_smp";
pub const DDI_NT_TAPE: &::core::ffi::CStr = c"ddi_byte:tape";
pub const DDI_NT_UGEN: &::core::ffi::CStr = c"ddi_generic:usb";
pub const DDI_NT_USB_ATTACHMENT_POINT: &::core::ffi::CStr = c"ddi_ctl:attachment_point:usb";
pub const DDI_OPEN_RETURNS_EINTR: &::core::ffi::CStr = c"ddi-open-returns-eintr";
pub const DDI_PATHNAME: &::core::ffi::CStr = c"ddi.path";
pub const DDI_PSEUDO: &::core::ffi::CStr = c"ddi_pseudo";
pub const DDI_VENDOR_SUNW: &::core::ffi::CStr = c"SUNW";
pub const DDI_VHCI_CLASS: &::core::ffi::CStr = c"ddi-vhci-class";
pub const DEVFS_BRANCH_EVENT: &::core::ffi::CStr = c"di.branch_event";
pub const DEVFS_DEVI_CLASS: &::core::ffi::CStr = c"di.devi_class";
pub const DEVFS_DRIVER_NAME: &::core::ffi::CStr = c"di.driver";
pub const DEVFS_INSTANCE: &::core::ffi::CStr = c"di.instance";
pub const DEVFS_MINOR_ISCLONE: &::core::ffi::CStr = c"mi.isclone";
pub const DEVFS_MINOR_MAJNUM: &::core::ffi::CStr = c"mi.majorno";
pub const DEVFS_MINOR_MINORNUM: &::core::ffi::CStr = c"mi.minorno";
pub const DEVFS_MINOR_NAME: &::core::ffi::CStr = c"mi.name";
pub const DEVFS_MINOR_NODETYPE: &::core::ffi::CStr = c"mi.nodetype";
pub const DEVFS_PATHNAME: &::core::ffi::CStr = c"di.path";
pub const DEVID_NONE: i32 = 0;
pub const DEVID_SCSI3_WWN: i32 = 1;
pub const DEVID_SCSI_SERIAL: i32 = 2;
pub const DEVID_FAB: i32 = 3;
pub const DEVID_ENCAP: i32 = 4;
pub const DEVID_ATA_SERIAL: i32 = 5;
pub const DEVID_SCSI3_VPD_T10: i32 = 6;
pub const DEVID_SCSI3_VPD_EUI: i32 = 7;
pub const DEVID_SCSI3_VPD_NAA: i32 = 8;
pub const DEVID_MAXTYPE: i32 = 8;
pub const KICONV_IGNORE_NULL: i32 = 1;
pub const KICONV_REPLACE_INVALID: i32 = 2;
pub const TASKQ_DEFAULTPRI: i32 = -1;
pub const LDI_EV_SUCCESS: i32 = 0;
pub const LDI_EV_FAILURE: i32 = -1;
pub const LDI_EV_OFFLINE: &::core::ffi::CStr = c"LDI:EVENT:OFFLINE";
pub const LDI_EV_DEGRADE: &::core::ffi::CStr = c"LDI:EVENT:DEGRADE";
pub const LDI_EV_DEVICE_REMOVE: &::core::ffi::CStr = c"LDI:EVENT:DEVICE_REMOVE";
pub const _SYS_NMLN: i32 = 257;
pub const ADDR_NOVACALIGN: i32 = 0;
pub const ADDR_VACALIGN: i32 = 1;
pub const AS_PAGLCK: i32 = 128;
pub const AS_CLAIMGAP: i32 = 64;
pub const AS_UNMAPWAIT: i32 = 32;
pub const AS_NOUNMAPWAIT: i32 = 2;
pub const FC_ALIGN: i32 = 2;
pub const FC_HWERR: i32 = 1;
pub const FC_NOMAP: i32 = 5;
pub const FC_NOSUPPORT: i32 = 6;
pub const FC_OBJERR: i32 = 3;
pub const FC_PROT: i32 = 4;
pub const HAT_ENDIAN_MASK: u32 = 12288;
pub const HAT_LOAD: u32 = 0;
pub const HAT_LOAD_LOCK: u32 = 1;
pub const HAT_LOAD_ADV: u32 = 4;
pub const HAT_LOAD_CONTIG: u32 = 16;
pub const HAT_LOAD_NOCONSIST: u32 = 32;
pub const HAT_LOAD_SHARE: u32 = 64;
pub const HAT_LOAD_REMAP: u32 = 128;
pub const HAT_LOAD_TEXT: u32 = 1024;
pub const HAT_LOADCACHING_OK: u32 = 768;
pub const HAT_MERGING_OK: u32 = 512;
pub const HAT_NEVERSWAP: u32 = 0;
pub const HAT_NOSYNC: u32 = 32;
pub const HAT_ORDER_MASK: u32 = 1792;
pub const HAT_PLAT_ATTR_MASK: u32 = 15728640;
pub const HAT_PROT_MASK: u32 = 15;
pub const HAT_STORECACHING_OK: u32 = 1024;
pub const HAT_STRICTORDER: u32 = 0;
pub const HAT_STRUCTURE_BE: u32 = 4096;
pub const HAT_STRUCTURE_LE: u32 = 8192;
pub const HAT_SYNC_DONTZERO: u32 = 0;
pub const HAT_SYNC_ZERORM: u32 = 1;
pub const HAT_SYNC_STOPON_REF: u32 = 2;
pub const HAT_SYNC_STOPON_MOD: u32 = 4;
pub const HAT_SYNC_STOPON_RM: u32 = 6;
pub const HAT_SYNC_STOPON_SHARED: u32 = 8;
pub const HAT_UNLOAD: u32 = 0;
pub const HAT_UNLOAD_NOSYNC: u32 = 2;
pub const HAT_UNLOAD_UNLOCK: u32 = 4;
pub const HAT_UNLOAD_OTHER: u32 = 8;
pub const HAT_UNLOAD_UNMAP: u32 = 16;
pub const HAT_UNORDERED_OK: u32 = 256;
pub const HAT_PLAT_NOCACHE: u32 = 1048576;
pub const B_FALSE: boolean = 0;
pub const B_TRUE: boolean = 1;
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of lloff__bindgen_ty_1",
    ][::core::mem::size_of::<lloff__bindgen_ty_1>() - 8usize];
    [
        "Alignment of lloff__bindgen_ty_1",
    ][::core::mem::align_of::<lloff__bindgen_ty_1>() - 8usize];
    [
        "Offset of field: lloff__bindgen_ty_1::_l",
    ][::core::mem::offset_of!(lloff__bindgen_ty_1, _l) - 0usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of lloff"][::core::mem::size_of::<lloff>() - 8usize];
    ["Alignment of lloff"][::core::mem::align_of::<lloff>() - 8usize];
    ["Offset of field: lloff::_f"][::core::mem::offset_of!(lloff, _f) - 0usize];
    ["Offset of field: lloff::_p"][::core::mem::offset_of!(lloff, _p) - 0usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of lldaddr__bindgen_ty_1",
    ][::core::mem::size_of::<lldaddr__bindgen_ty_1>() - 8usize];
    [
        "Alignment of lldaddr__bindgen_ty_1",
    ][::core::mem::align_of::<lldaddr__bindgen_ty_1>() - 8usize];
    [
        "Offset of field: lldaddr__bindgen_ty_1::_l",
    ][::core::mem::offset_of!(lldaddr__bindgen_ty_1, _l) - 0usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of lldaddr"][::core::mem::size_of::<lldaddr>() - 8usize];
    ["Alignment of lldaddr"][::core::mem::align_of::<lldaddr>() - 8usize];
    ["Offset of field: lldaddr::_f"][::core::mem::offset_of!(lldaddr, _f) - 0usize];
    ["Offset of field: lldaddr::_p"][::core::mem::offset_of!(lldaddr, _p) - 0usize];
};
pub const UIO_USERSPACE: uio_seg = 0;
pub const UIO_SYSSPACE: uio_seg = 1;
pub const UIO_USERISPACE: uio_seg = 2;
pub const UIO_READ: uio_rw = 0;
pub const UIO_WRITE: uio_rw = 1;
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of iovec"][::core::mem::size_of::<iovec>() - 16usize];
    ["Alignment of iovec"][::core::mem::align_of::<iovec>() - 8usize];
    [
        "Offset of field: iovec::iov_base",
    ][::core::mem::offset_of!(iovec, iov_base) - 0usize];
    [
        "Offset of field: iovec::iov_len",
    ][::core::mem::offset_of!(iovec, iov_len) - 8usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of uio"][::core::mem::size_of::<uio>() - 48usize];
    ["Alignment of uio"][::core::mem::align_of::<uio>() - 8usize];
    ["Offset of field: uio::uio_iov"][::core::mem::offset_of!(uio, uio_iov) - 0usize];
    [
        "Offset of field: uio::uio_iovcnt",
    ][::core::mem::offset_of!(uio, uio_iovcnt) - 8usize];
    [
        "Offset of field: uio::_uio_offset",
    ][::core::mem::offset_of!(uio, _uio_offset) - 16usize];
    [
        "Offset of field: uio::uio_segflg",
    ][::core::mem::offset_of!(uio, uio_segflg) - 24usize];
    [
        "Offset of field: uio::uio_fmode",
    ][::core::mem::offset_of!(uio, uio_fmode) - 28usize];
    [
        "Offset of field: uio::uio_extflg",
    ][::core::mem::offset_of!(uio, uio_extflg) - 30usize];
    [
        "Offset of field: uio::_uio_limit",
    ][::core::mem::offset_of!(uio, _uio_limit) - 32usize];
    [
        "Offset of field: uio::uio_resid",
    ][::core::mem::offset_of!(uio, uio_resid) - 40usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of aio_req"][::core::mem::size_of::<aio_req>() - 16usize];
    ["Alignment of aio_req"][::core::mem::align_of::<aio_req>() - 8usize];
    [
        "Offset of field: aio_req::aio_uio",
    ][::core::mem::offset_of!(aio_req, aio_uio) - 0usize];
    [
        "Offset of field: aio_req::aio_private",
    ][::core::mem::offset_of!(aio_req, aio_private) - 8usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of avl_node"][::core::mem::size_of::<avl_node>() - 24usize];
    ["Alignment of avl_node"][::core::mem::align_of::<avl_node>() - 8usize];
    [
        "Offset of field: avl_node::avl_child",
    ][::core::mem::offset_of!(avl_node, avl_child) - 0usize];
    [
        "Offset of field: avl_node::avl_pcb",
    ][::core::mem::offset_of!(avl_node, avl_pcb) - 16usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of avl_tree"][::core::mem::size_of::<avl_tree>() - 40usize];
    ["Alignment of avl_tree"][::core::mem::align_of::<avl_tree>() - 8usize];
    [
        "Offset of field: avl_tree::avl_root",
    ][::core::mem::offset_of!(avl_tree, avl_root) - 0usize];
    [
        "Offset of field: avl_tree::avl_compar",
    ][::core::mem::offset_of!(avl_tree, avl_compar) - 8usize];
    [
        "Offset of field: avl_tree::avl_offset",
    ][::core::mem::offset_of!(avl_tree, avl_offset) - 16usize];
    [
        "Offset of field: avl_tree::avl_numnodes",
    ][::core::mem::offset_of!(avl_tree, avl_numnodes) - 24usize];
    [
        "Offset of field: avl_tree::avl_size",
    ][::core::mem::offset_of!(avl_tree, avl_size) - 32usize];
};
pub const MUTEX_ADAPTIVE: kmutex_type_t = 0;
pub const MUTEX_SPIN: kmutex_type_t = 1;
pub const MUTEX_DRIVER: kmutex_type_t = 4;
pub const MUTEX_DEFAULT: kmutex_type_t = 6;
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mutex"][::core::mem::size_of::<mutex>() - 8usize];
    ["Alignment of mutex"][::core::mem::align_of::<mutex>() - 8usize];
    [
        "Offset of field: mutex::_opaque",
    ][::core::mem::offset_of!(mutex, _opaque) - 0usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of behind_cpu"][::core::mem::size_of::<behind_cpu>() - 2048usize];
    ["Alignment of behind_cpu"][::core::mem::align_of::<behind_cpu>() - 8usize];
    [
        "Offset of field: behind_cpu::cpu_id",
    ][::core::mem::offset_of!(behind_cpu, cpu_id) - 0usize];
    [
        "Offset of field: behind_cpu::cpu_seqid",
    ][::core::mem::offset_of!(behind_cpu, cpu_seqid) - 4usize];
    [
        "Offset of field: behind_cpu::room0",
    ][::core::mem::offset_of!(behind_cpu, room0) - 8usize];
    [
        "Offset of field: behind_cpu::cpu_self",
    ][::core::mem::offset_of!(behind_cpu, cpu_self) - 16usize];
    [
        "Offset of field: behind_cpu::cpu_thread",
    ][::core::mem::offset_of!(behind_cpu, cpu_thread) - 24usize];
    [
        "Offset of field: behind_cpu::cpu_idle_thread",
    ][::core::mem::offset_of!(behind_cpu, cpu_idle_thread) - 32usize];
    [
        "Offset of field: behind_cpu::room1",
    ][::core::mem::offset_of!(behind_cpu, room1) - 40usize];
    [
        "Offset of field: behind_cpu::cpu_lwp",
    ][::core::mem::offset_of!(behind_cpu, cpu_lwp) - 48usize];
    [
        "Offset of field: behind_cpu::room2",
    ][::core::mem::offset_of!(behind_cpu, room2) - 56usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of behind_thread_2015",
    ][::core::mem::size_of::<behind_thread_2015>() - 936usize];
    [
        "Alignment of behind_thread_2015",
    ][::core::mem::align_of::<behind_thread_2015>() - 8usize];
    [
        "Offset of field: behind_thread_2015::room0",
    ][::core::mem::offset_of!(behind_thread_2015, room0) - 0usize];
    [
        "Offset of field: behind_thread_2015::t_stk",
    ][::core::mem::offset_of!(behind_thread_2015, t_stk) - 8usize];
    [
        "Offset of field: behind_thread_2015::room1",
    ][::core::mem::offset_of!(behind_thread_2015, room1) - 16usize];
    [
        "Offset of field: behind_thread_2015::t_state",
    ][::core::mem::offset_of!(behind_thread_2015, t_state) - 44usize];
    [
        "Offset of field: behind_thread_2015::t_pri",
    ][::core::mem::offset_of!(behind_thread_2015, t_pri) - 48usize];
    [
        "Offset of field: behind_thread_2015::room2",
    ][::core::mem::offset_of!(behind_thread_2015, room2) - 52usize];
    [
        "Offset of field: behind_thread_2015::t_cpu",
    ][::core::mem::offset_of!(behind_thread_2015, t_cpu) - 216usize];
    [
        "Offset of field: behind_thread_2015::room3",
    ][::core::mem::offset_of!(behind_thread_2015, room3) - 224usize];
    [
        "Offset of field: behind_thread_2015::t_did",
    ][::core::mem::offset_of!(behind_thread_2015, t_did) - 272usize];
    [
        "Offset of field: behind_thread_2015::room4",
    ][::core::mem::offset_of!(behind_thread_2015, room4) - 280usize];
    [
        "Offset of field: behind_thread_2015::t_lwp",
    ][::core::mem::offset_of!(behind_thread_2015, t_lwp) - 392usize];
    [
        "Offset of field: behind_thread_2015::t_procp",
    ][::core::mem::offset_of!(behind_thread_2015, t_procp) - 400usize];
    [
        "Offset of field: behind_thread_2015::room5",
    ][::core::mem::offset_of!(behind_thread_2015, room5) - 408usize];
    [
        "Offset of field: behind_thread_2015::t_cred",
    ][::core::mem::offset_of!(behind_thread_2015, t_cred) - 456usize];
    [
        "Offset of field: behind_thread_2015::room6",
    ][::core::mem::offset_of!(behind_thread_2015, room6) - 464usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of behind_thread_2023",
    ][::core::mem::size_of::<behind_thread_2023>() - 976usize];
    [
        "Alignment of behind_thread_2023",
    ][::core::mem::align_of::<behind_thread_2023>() - 8usize];
    [
        "Offset of field: behind_thread_2023::room0",
    ][::core::mem::offset_of!(behind_thread_2023, room0) - 0usize];
    [
        "Offset of field: behind_thread_2023::t_stk",
    ][::core::mem::offset_of!(behind_thread_2023, t_stk) - 8usize];
    [
        "Offset of field: behind_thread_2023::room1",
    ][::core::mem::offset_of!(behind_thread_2023, room1) - 16usize];
    [
        "Offset of field: behind_thread_2023::t_state",
    ][::core::mem::offset_of!(behind_thread_2023, t_state) - 44usize];
    [
        "Offset of field: behind_thread_2023::t_pri",
    ][::core::mem::offset_of!(behind_thread_2023, t_pri) - 48usize];
    [
        "Offset of field: behind_thread_2023::room2",
    ][::core::mem::offset_of!(behind_thread_2023, room2) - 52usize];
    [
        "Offset of field: behind_thread_2023::t_cpu",
    ][::core::mem::offset_of!(behind_thread_2023, t_cpu) - 256usize];
    [
        "Offset of field: behind_thread_2023::room3",
    ][::core::mem::offset_of!(behind_thread_2023, room3) - 264usize];
    [
        "Offset of field: behind_thread_2023::t_did",
    ][::core::mem::offset_of!(behind_thread_2023, t_did) - 312usize];
    [
        "Offset of field: behind_thread_2023::room4",
    ][::core::mem::offset_of!(behind_thread_2023, room4) - 320usize];
    [
        "Offset of field: behind_thread_2023::t_lwp",
    ][::core::mem::offset_of!(behind_thread_2023, t_lwp) - 432usize];
    [
        "Offset of field: behind_thread_2023::t_procp",
    ][::core::mem::offset_of!(behind_thread_2023, t_procp) - 440usize];
    [
        "Offset of field: behind_thread_2023::room5",
    ][::core::mem::offset_of!(behind_thread_2023, room5) - 448usize];
    [
        "Offset of field: behind_thread_2023::t_cred",
    ][::core::mem::offset_of!(behind_thread_2023, t_cred) - 496usize];
    [
        "Offset of field: behind_thread_2023::room6",
    ][::core::mem::offset_of!(behind_thread_2023, room6) - 504usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of behind_proc_2015"][::core::mem::size_of::<behind_proc_2015>() - 4016usize];
    [
        "Alignment of behind_proc_2015",
    ][::core::mem::align_of::<behind_proc_2015>() - 8usize];
    [
        "Offset of field: behind_proc_2015::room0",
    ][::core::mem::offset_of!(behind_proc_2015, room0) - 0usize];
    [
        "Offset of field: behind_proc_2015::p_as",
    ][::core::mem::offset_of!(behind_proc_2015, p_as) - 8usize];
    [
        "Offset of field: behind_proc_2015::room1",
    ][::core::mem::offset_of!(behind_proc_2015, room1) - 16usize];
    [
        "Offset of field: behind_proc_2015::p_cred",
    ][::core::mem::offset_of!(behind_proc_2015, p_cred) - 32usize];
    [
        "Offset of field: behind_proc_2015::room2",
    ][::core::mem::offset_of!(behind_proc_2015, room2) - 40usize];
    [
        "Offset of field: behind_proc_2015::p_stat",
    ][::core::mem::offset_of!(behind_proc_2015, p_stat) - 44usize];
    [
        "Offset of field: behind_proc_2015::room3",
    ][::core::mem::offset_of!(behind_proc_2015, room3) - 48usize];
    [
        "Offset of field: behind_proc_2015::p_pidp",
    ][::core::mem::offset_of!(behind_proc_2015, p_pidp) - 176usize];
    [
        "Offset of field: behind_proc_2015::room4",
    ][::core::mem::offset_of!(behind_proc_2015, room4) - 184usize];
    [
        "Offset of field: behind_proc_2015::p_model",
    ][::core::mem::offset_of!(behind_proc_2015, p_model) - 1264usize];
    [
        "Offset of field: behind_proc_2015::room5",
    ][::core::mem::offset_of!(behind_proc_2015, room5) - 1268usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of behind_proc_2023"][::core::mem::size_of::<behind_proc_2023>() - 4032usize];
    [
        "Alignment of behind_proc_2023",
    ][::core::mem::align_of::<behind_proc_2023>() - 8usize];
    [
        "Offset of field: behind_proc_2023::room0",
    ][::core::mem::offset_of!(behind_proc_2023, room0) - 0usize];
    [
        "Offset of field: behind_proc_2023::p_as",
    ][::core::mem::offset_of!(behind_proc_2023, p_as) - 8usize];
    [
        "Offset of field: behind_proc_2023::room1",
    ][::core::mem::offset_of!(behind_proc_2023, room1) - 16usize];
    [
        "Offset of field: behind_proc_2023::p_cred",
    ][::core::mem::offset_of!(behind_proc_2023, p_cred) - 32usize];
    [
        "Offset of field: behind_proc_2023::room2",
    ][::core::mem::offset_of!(behind_proc_2023, room2) - 40usize];
    [
        "Offset of field: behind_proc_2023::p_stat",
    ][::core::mem::offset_of!(behind_proc_2023, p_stat) - 44usize];
    [
        "Offset of field: behind_proc_2023::room3",
    ][::core::mem::offset_of!(behind_proc_2023, room3) - 48usize];
    [
        "Offset of field: behind_proc_2023::p_pidp",
    ][::core::mem::offset_of!(behind_proc_2023, p_pidp) - 176usize];
    [
        "Offset of field: behind_proc_2023::room4",
    ][::core::mem::offset_of!(behind_proc_2023, room4) - 184usize];
    [
        "Offset of field: behind_proc_2023::p_model",
    ][::core::mem::offset_of!(behind_proc_2023, p_model) - 1280usize];
    [
        "Offset of field: behind_proc_2023::room5",
    ][::core::mem::offset_of!(behind_proc_2023, room5) - 1284usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of behind_pid"][::core::mem::size_of::<behind_pid>() - 40usize];
    ["Alignment of behind_pid"][::core::mem::align_of::<behind_pid>() - 4usize];
    [
        "Offset of field: behind_pid::room0",
    ][::core::mem::offset_of!(behind_pid, room0) - 0usize];
    [
        "Offset of field: behind_pid::pid_id",
    ][::core::mem::offset_of!(behind_pid, pid_id) - 4usize];
    [
        "Offset of field: behind_pid::room1",
    ][::core::mem::offset_of!(behind_pid, room1) - 8usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of behind_as_2015"][::core::mem::size_of::<behind_as_2015>() - 224usize];
    ["Alignment of behind_as_2015"][::core::mem::align_of::<behind_as_2015>() - 8usize];
    [
        "Offset of field: behind_as_2015::room0",
    ][::core::mem::offset_of!(behind_as_2015, room0) - 0usize];
    [
        "Offset of field: behind_as_2015::a_hat",
    ][::core::mem::offset_of!(behind_as_2015, a_hat) - 16usize];
    [
        "Offset of field: behind_as_2015::room1",
    ][::core::mem::offset_of!(behind_as_2015, room1) - 24usize];
    [
        "Offset of field: behind_as_2015::a_userlimit",
    ][::core::mem::offset_of!(behind_as_2015, a_userlimit) - 32usize];
    [
        "Offset of field: behind_as_2015::room2",
    ][::core::mem::offset_of!(behind_as_2015, room2) - 40usize];
    [
        "Offset of field: behind_as_2015::a_size",
    ][::core::mem::offset_of!(behind_as_2015, a_size) - 56usize];
    [
        "Offset of field: behind_as_2015::room3",
    ][::core::mem::offset_of!(behind_as_2015, room3) - 64usize];
    [
        "Offset of field: behind_as_2015::a_proc",
    ][::core::mem::offset_of!(behind_as_2015, a_proc) - 208usize];
    [
        "Offset of field: behind_as_2015::room4",
    ][::core::mem::offset_of!(behind_as_2015, room4) - 216usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of behind_as_2023"][::core::mem::size_of::<behind_as_2023>() - 232usize];
    ["Alignment of behind_as_2023"][::core::mem::align_of::<behind_as_2023>() - 8usize];
    [
        "Offset of field: behind_as_2023::room0",
    ][::core::mem::offset_of!(behind_as_2023, room0) - 0usize];
    [
        "Offset of field: behind_as_2023::a_hat",
    ][::core::mem::offset_of!(behind_as_2023, a_hat) - 16usize];
    [
        "Offset of field: behind_as_2023::room1",
    ][::core::mem::offset_of!(behind_as_2023, room1) - 24usize];
    [
        "Offset of field: behind_as_2023::a_userlimit",
    ][::core::mem::offset_of!(behind_as_2023, a_userlimit) - 32usize];
    [
        "Offset of field: behind_as_2023::room2",
    ][::core::mem::offset_of!(behind_as_2023, room2) - 40usize];
    [
        "Offset of field: behind_as_2023::a_size",
    ][::core::mem::offset_of!(behind_as_2023, a_size) - 56usize];
    [
        "Offset of field: behind_as_2023::room3",
    ][::core::mem::offset_of!(behind_as_2023, room3) - 64usize];
    [
        "Offset of field: behind_as_2023::a_proc",
    ][::core::mem::offset_of!(behind_as_2023, a_proc) - 216usize];
    [
        "Offset of field: behind_as_2023::room4",
    ][::core::mem::offset_of!(behind_as_2023, room4) - 224usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of behind_segdev"][::core::mem::size_of::<behind_segdev>() - 72usize];
    ["Alignment of behind_segdev"][::core::mem::align_of::<behind_segdev>() - 8usize];
    [
        "Offset of field: behind_segdev::offset",
    ][::core::mem::offset_of!(behind_segdev, offset) - 0usize];
    [
        "Offset of field: behind_segdev::room0",
    ][::core::mem::offset_of!(behind_segdev, room0) - 8usize];
    [
        "Offset of field: behind_segdev::mapfunc",
    ][::core::mem::offset_of!(behind_segdev, mapfunc) - 16usize];
    [
        "Offset of field: behind_segdev::vp",
    ][::core::mem::offset_of!(behind_segdev, vp) - 24usize];
    [
        "Offset of field: behind_segdev::pageprot",
    ][::core::mem::offset_of!(behind_segdev, pageprot) - 32usize];
    [
        "Offset of field: behind_segdev::prot",
    ][::core::mem::offset_of!(behind_segdev, prot) - 33usize];
    [
        "Offset of field: behind_segdev::maxprot",
    ][::core::mem::offset_of!(behind_segdev, maxprot) - 34usize];
    [
        "Offset of field: behind_segdev::type_",
    ][::core::mem::offset_of!(behind_segdev, type_) - 35usize];
    [
        "Offset of field: behind_segdev::room1",
    ][::core::mem::offset_of!(behind_segdev, room1) - 36usize];
    [
        "Offset of field: behind_segdev::devmap_data",
    ][::core::mem::offset_of!(behind_segdev, devmap_data) - 64usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of behind_handle"][::core::mem::size_of::<behind_handle>() - 200usize];
    ["Alignment of behind_handle"][::core::mem::align_of::<behind_handle>() - 8usize];
    [
        "Offset of field: behind_handle::dh_roff",
    ][::core::mem::offset_of!(behind_handle, dh_roff) - 0usize];
    [
        "Offset of field: behind_handle::dh_uoff",
    ][::core::mem::offset_of!(behind_handle, dh_uoff) - 8usize];
    [
        "Offset of field: behind_handle::dh_len",
    ][::core::mem::offset_of!(behind_handle, dh_len) - 16usize];
    [
        "Offset of field: behind_handle::dh_dev",
    ][::core::mem::offset_of!(behind_handle, dh_dev) - 24usize];
    [
        "Offset of field: behind_handle::dh_cvaddr",
    ][::core::mem::offset_of!(behind_handle, dh_cvaddr) - 32usize];
    [
        "Offset of field: behind_handle::dh_uvaddr",
    ][::core::mem::offset_of!(behind_handle, dh_uvaddr) - 40usize];
    [
        "Offset of field: behind_handle::room0",
    ][::core::mem::offset_of!(behind_handle, room0) - 48usize];
    [
        "Offset of field: behind_handle::dh_seg",
    ][::core::mem::offset_of!(behind_handle, dh_seg) - 56usize];
    [
        "Offset of field: behind_handle::dh_pvtp",
    ][::core::mem::offset_of!(behind_handle, dh_pvtp) - 64usize];
    [
        "Offset of field: behind_handle::dh_next",
    ][::core::mem::offset_of!(behind_handle, dh_next) - 72usize];
    [
        "Offset of field: behind_handle::dh_softlock",
    ][::core::mem::offset_of!(behind_handle, dh_softlock) - 80usize];
    [
        "Offset of field: behind_handle::dh_ctx",
    ][::core::mem::offset_of!(behind_handle, dh_ctx) - 88usize];
    [
        "Offset of field: behind_handle::dh_cookie",
    ][::core::mem::offset_of!(behind_handle, dh_cookie) - 96usize];
    [
        "Offset of field: behind_handle::dh_pcookie",
    ][::core::mem::offset_of!(behind_handle, dh_pcookie) - 104usize];
    [
        "Offset of field: behind_handle::dh_prot",
    ][::core::mem::offset_of!(behind_handle, dh_prot) - 112usize];
    [
        "Offset of field: behind_handle::dh_maxprot",
    ][::core::mem::offset_of!(behind_handle, dh_maxprot) - 116usize];
    [
        "Offset of field: behind_handle::room1",
    ][::core::mem::offset_of!(behind_handle, room1) - 120usize];
    [
        "Offset of field: behind_handle::dh_flags",
    ][::core::mem::offset_of!(behind_handle, dh_flags) - 124usize];
    [
        "Offset of field: behind_handle::dh_pfn",
    ][::core::mem::offset_of!(behind_handle, dh_pfn) - 128usize];
    [
        "Offset of field: behind_handle::room2",
    ][::core::mem::offset_of!(behind_handle, room2) - 136usize];
    [
        "Offset of field: behind_handle::dh_timeout_length",
    ][::core::mem::offset_of!(behind_handle, dh_timeout_length) - 144usize];
    [
        "Offset of field: behind_handle::dh_callbackops",
    ][::core::mem::offset_of!(behind_handle, dh_callbackops) - 152usize];
    [
        "Offset of field: behind_handle::dh_orig_maxprot",
    ][::core::mem::offset_of!(behind_handle, dh_orig_maxprot) - 192usize];
    [
        "Offset of field: behind_handle::room3",
    ][::core::mem::offset_of!(behind_handle, room3) - 196usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of behind_context"][::core::mem::size_of::<behind_context>() - 56usize];
    ["Alignment of behind_context"][::core::mem::align_of::<behind_context>() - 8usize];
    [
        "Offset of field: behind_context::callback",
    ][::core::mem::offset_of!(behind_context, callback) - 0usize];
    [
        "Offset of field: behind_context::dip",
    ][::core::mem::offset_of!(behind_context, dip) - 8usize];
    [
        "Offset of field: behind_context::room0",
    ][::core::mem::offset_of!(behind_context, room0) - 16usize];
    [
        "Offset of field: behind_context::refcnt",
    ][::core::mem::offset_of!(behind_context, refcnt) - 36usize];
    [
        "Offset of field: behind_context::oncpu",
    ][::core::mem::offset_of!(behind_context, oncpu) - 40usize];
    [
        "Offset of field: behind_context::room1",
    ][::core::mem::offset_of!(behind_context, room1) - 44usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of behind_softlock"][::core::mem::size_of::<behind_softlock>() - 48usize];
    [
        "Alignment of behind_softlock",
    ][::core::mem::align_of::<behind_softlock>() - 8usize];
    [
        "Offset of field: behind_softlock::callback",
    ][::core::mem::offset_of!(behind_softlock, callback) - 0usize];
    [
        "Offset of field: behind_softlock::dev",
    ][::core::mem::offset_of!(behind_softlock, dev) - 8usize];
    [
        "Offset of field: behind_softlock::room0",
    ][::core::mem::offset_of!(behind_softlock, room0) - 16usize];
    [
        "Offset of field: behind_softlock::refcnt",
    ][::core::mem::offset_of!(behind_softlock, refcnt) - 36usize];
    [
        "Offset of field: behind_softlock::room1",
    ][::core::mem::offset_of!(behind_softlock, room1) - 40usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of behind_vnode"][::core::mem::size_of::<behind_vnode>() - 256usize];
    ["Alignment of behind_vnode"][::core::mem::align_of::<behind_vnode>() - 8usize];
    [
        "Offset of field: behind_vnode::v_lock",
    ][::core::mem::offset_of!(behind_vnode, v_lock) - 0usize];
    [
        "Offset of field: behind_vnode::room0",
    ][::core::mem::offset_of!(behind_vnode, room0) - 8usize];
    [
        "Offset of field: behind_vnode::v_count",
    ][::core::mem::offset_of!(behind_vnode, v_count) - 12usize];
    [
        "Offset of field: behind_vnode::room1",
    ][::core::mem::offset_of!(behind_vnode, room1) - 16usize];
    [
        "Offset of field: behind_vnode::v_type",
    ][::core::mem::offset_of!(behind_vnode, v_type) - 40usize];
    [
        "Offset of field: behind_vnode::room2",
    ][::core::mem::offset_of!(behind_vnode, room2) - 44usize];
    [
        "Offset of field: behind_vnode::v_rdev",
    ][::core::mem::offset_of!(behind_vnode, v_rdev) - 48usize];
    [
        "Offset of field: behind_vnode::room3",
    ][::core::mem::offset_of!(behind_vnode, room3) - 56usize];
    [
        "Offset of field: behind_vnode::v_op",
    ][::core::mem::offset_of!(behind_vnode, v_op) - 64usize];
    [
        "Offset of field: behind_vnode::v_pages",
    ][::core::mem::offset_of!(behind_vnode, v_pages) - 72usize];
    [
        "Offset of field: behind_vnode::room4",
    ][::core::mem::offset_of!(behind_vnode, room4) - 80usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of behind_umem"][::core::mem::size_of::<behind_umem>() - 104usize];
    ["Alignment of behind_umem"][::core::mem::align_of::<behind_umem>() - 8usize];
    [
        "Offset of field: behind_umem::size",
    ][::core::mem::offset_of!(behind_umem, size) - 0usize];
    [
        "Offset of field: behind_umem::cvaddr",
    ][::core::mem::offset_of!(behind_umem, cvaddr) - 8usize];
    [
        "Offset of field: behind_umem::room0",
    ][::core::mem::offset_of!(behind_umem, room0) - 16usize];
    [
        "Offset of field: behind_umem::type_",
    ][::core::mem::offset_of!(behind_umem, type_) - 24usize];
    [
        "Offset of field: behind_umem::room1",
    ][::core::mem::offset_of!(behind_umem, room1) - 28usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of behind_access"][::core::mem::size_of::<behind_access>() - 104usize];
    ["Alignment of behind_access"][::core::mem::align_of::<behind_access>() - 8usize];
    [
        "Offset of field: behind_access::room0",
    ][::core::mem::offset_of!(behind_access, room0) - 0usize];
    [
        "Offset of field: behind_access::ah_addr",
    ][::core::mem::offset_of!(behind_access, ah_addr) - 40usize];
    [
        "Offset of field: behind_access::room1",
    ][::core::mem::offset_of!(behind_access, room1) - 48usize];
    [
        "Offset of field: behind_access::ah_len",
    ][::core::mem::offset_of!(behind_access, ah_len) - 56usize];
    [
        "Offset of field: behind_access::room2",
    ][::core::mem::offset_of!(behind_access, room2) - 64usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of behind_pmem"][::core::mem::size_of::<behind_pmem>() - 32usize];
    ["Alignment of behind_pmem"][::core::mem::align_of::<behind_pmem>() - 8usize];
    [
        "Offset of field: behind_pmem::npages",
    ][::core::mem::offset_of!(behind_pmem, npages) - 0usize];
    [
        "Offset of field: behind_pmem::pages",
    ][::core::mem::offset_of!(behind_pmem, pages) - 8usize];
    [
        "Offset of field: behind_pmem::room0",
    ][::core::mem::offset_of!(behind_pmem, room0) - 16usize];
    [
        "Offset of field: behind_pmem::procp",
    ][::core::mem::offset_of!(behind_pmem, procp) - 24usize];
};
pub const SEMA_DEFAULT: ksema_type_t = 0;
pub const SEMA_DRIVER: ksema_type_t = 1;
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of _ksema"][::core::mem::size_of::<_ksema>() - 16usize];
    ["Alignment of _ksema"][::core::mem::align_of::<_ksema>() - 8usize];
    [
        "Offset of field: _ksema::_opaque",
    ][::core::mem::offset_of!(_ksema, _opaque) - 0usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of buf__bindgen_ty_1"][::core::mem::size_of::<buf__bindgen_ty_1>() - 8usize];
    [
        "Alignment of buf__bindgen_ty_1",
    ][::core::mem::align_of::<buf__bindgen_ty_1>() - 8usize];
    [
        "Offset of field: buf__bindgen_ty_1::b_addr",
    ][::core::mem::offset_of!(buf__bindgen_ty_1, b_addr) - 0usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of buf"][::core::mem::size_of::<buf>() - 248usize];
    ["Alignment of buf"][::core::mem::align_of::<buf>() - 8usize];
    ["Offset of field: buf::b_flags"][::core::mem::offset_of!(buf, b_flags) - 0usize];
    ["Offset of field: buf::b_forw"][::core::mem::offset_of!(buf, b_forw) - 8usize];
    ["Offset of field: buf::b_back"][::core::mem::offset_of!(buf, b_back) - 16usize];
    ["Offset of field: buf::av_forw"][::core::mem::offset_of!(buf, av_forw) - 24usize];
    ["Offset of field: buf::av_back"][::core::mem::offset_of!(buf, av_back) - 32usize];
    ["Offset of field: buf::b_dev"][::core::mem::offset_of!(buf, b_dev) - 40usize];
    ["Offset of field: buf::b_bcount"][::core::mem::offset_of!(buf, b_bcount) - 48usize];
    ["Offset of field: buf::b_un"][::core::mem::offset_of!(buf, b_un) - 56usize];
    ["Offset of field: buf::_b_blkno"][::core::mem::offset_of!(buf, _b_blkno) - 64usize];
    ["Offset of field: buf::b_obs1"][::core::mem::offset_of!(buf, b_obs1) - 72usize];
    ["Offset of field: buf::b_resid"][::core::mem::offset_of!(buf, b_resid) - 80usize];
    ["Offset of field: buf::b_start"][::core::mem::offset_of!(buf, b_start) - 88usize];
    ["Offset of field: buf::b_proc"][::core::mem::offset_of!(buf, b_proc) - 96usize];
    ["Offset of field: buf::b_pages"][::core::mem::offset_of!(buf, b_pages) - 104usize];
    ["Offset of field: buf::b_obs2"][::core::mem::offset_of!(buf, b_obs2) - 112usize];
    [
        "Offset of field: buf::b_bufsize",
    ][::core::mem::offset_of!(buf, b_bufsize) - 120usize];
    [
        "Offset of field: buf::b_iodone",
    ][::core::mem::offset_of!(buf, b_iodone) - 128usize];
    ["Offset of field: buf::b_vp"][::core::mem::offset_of!(buf, b_vp) - 136usize];
    ["Offset of field: buf::b_chain"][::core::mem::offset_of!(buf, b_chain) - 144usize];
    ["Offset of field: buf::b_obs3"][::core::mem::offset_of!(buf, b_obs3) - 152usize];
    ["Offset of field: buf::b_error"][::core::mem::offset_of!(buf, b_error) - 156usize];
    [
        "Offset of field: buf::b_private",
    ][::core::mem::offset_of!(buf, b_private) - 160usize];
    ["Offset of field: buf::b_edev"][::core::mem::offset_of!(buf, b_edev) - 168usize];
    ["Offset of field: buf::b_sem"][::core::mem::offset_of!(buf, b_sem) - 176usize];
    ["Offset of field: buf::b_io"][::core::mem::offset_of!(buf, b_io) - 192usize];
    ["Offset of field: buf::b_list"][::core::mem::offset_of!(buf, b_list) - 208usize];
    [
        "Offset of field: buf::b_shadow",
    ][::core::mem::offset_of!(buf, b_shadow) - 216usize];
    ["Offset of field: buf::b_dip"][::core::mem::offset_of!(buf, b_dip) - 224usize];
    ["Offset of field: buf::b_file"][::core::mem::offset_of!(buf, b_file) - 232usize];
    [
        "Offset of field: buf::b_offset",
    ][::core::mem::offset_of!(buf, b_offset) - 240usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of diskhd"][::core::mem::size_of::<diskhd>() - 56usize];
    ["Alignment of diskhd"][::core::mem::align_of::<diskhd>() - 8usize];
    [
        "Offset of field: diskhd::b_flags",
    ][::core::mem::offset_of!(diskhd, b_flags) - 0usize];
    [
        "Offset of field: diskhd::b_forw",
    ][::core::mem::offset_of!(diskhd, b_forw) - 8usize];
    [
        "Offset of field: diskhd::b_back",
    ][::core::mem::offset_of!(diskhd, b_back) - 16usize];
    [
        "Offset of field: diskhd::av_forw",
    ][::core::mem::offset_of!(diskhd, av_forw) - 24usize];
    [
        "Offset of field: diskhd::av_back",
    ][::core::mem::offset_of!(diskhd, av_back) - 32usize];
    ["Offset of field: diskhd::b_dev"][::core::mem::offset_of!(diskhd, b_dev) - 40usize];
    [
        "Offset of field: diskhd::b_bcount",
    ][::core::mem::offset_of!(diskhd, b_bcount) - 48usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of timespec"][::core::mem::size_of::<timespec>() - 16usize];
    ["Alignment of timespec"][::core::mem::align_of::<timespec>() - 8usize];
    [
        "Offset of field: timespec::tv_sec",
    ][::core::mem::offset_of!(timespec, tv_sec) - 0usize];
    [
        "Offset of field: timespec::tv_nsec",
    ][::core::mem::offset_of!(timespec, tv_nsec) - 8usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of timeval"][::core::mem::size_of::<timeval>() - 16usize];
    ["Alignment of timeval"][::core::mem::align_of::<timeval>() - 8usize];
    [
        "Offset of field: timeval::tv_sec",
    ][::core::mem::offset_of!(timeval, tv_sec) - 0usize];
    [
        "Offset of field: timeval::tv_usec",
    ][::core::mem::offset_of!(timeval, tv_usec) - 8usize];
};
pub const CV_DEFAULT: kcv_type_t = 0;
pub const CV_DRIVER: kcv_type_t = 1;
pub const TR_NANOSEC: time_res_t = 0;
pub const TR_MICROSEC: time_res_t = 1;
pub const TR_MILLISEC: time_res_t = 2;
pub const TR_SEC: time_res_t = 3;
pub const TR_CLOCK_TICK: time_res_t = 4;
pub const TR_COUNT: time_res_t = 5;
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of _kcondvar"][::core::mem::size_of::<_kcondvar>() - 2usize];
    ["Alignment of _kcondvar"][::core::mem::align_of::<_kcondvar>() - 2usize];
    [
        "Offset of field: _kcondvar::_opaque",
    ][::core::mem::offset_of!(_kcondvar, _opaque) - 0usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of callb_cpr"][::core::mem::size_of::<callb_cpr>() - 32usize];
    ["Alignment of callb_cpr"][::core::mem::align_of::<callb_cpr>() - 8usize];
    [
        "Offset of field: callb_cpr::cc_lockp",
    ][::core::mem::offset_of!(callb_cpr, cc_lockp) - 0usize];
    [
        "Offset of field: callb_cpr::cc_events",
    ][::core::mem::offset_of!(callb_cpr, cc_events) - 8usize];
    [
        "Offset of field: callb_cpr::cc_id",
    ][::core::mem::offset_of!(callb_cpr, cc_id) - 16usize];
    [
        "Offset of field: callb_cpr::cc_callb_cv",
    ][::core::mem::offset_of!(callb_cpr, cc_callb_cv) - 24usize];
    [
        "Offset of field: callb_cpr::cc_stop_cv",
    ][::core::mem::offset_of!(callb_cpr, cc_stop_cv) - 26usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of sysevent_id"][::core::mem::size_of::<sysevent_id>() - 16usize];
    ["Alignment of sysevent_id"][::core::mem::align_of::<sysevent_id>() - 8usize];
    [
        "Offset of field: sysevent_id::eid_seq",
    ][::core::mem::offset_of!(sysevent_id, eid_seq) - 0usize];
    [
        "Offset of field: sysevent_id::eid_ts",
    ][::core::mem::offset_of!(sysevent_id, eid_ts) - 8usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of ddi_idevice_cookie__bindgen_ty_1",
    ][::core::mem::size_of::<ddi_idevice_cookie__bindgen_ty_1>() - 4usize];
    [
        "Alignment of ddi_idevice_cookie__bindgen_ty_1",
    ][::core::mem::align_of::<ddi_idevice_cookie__bindgen_ty_1>() - 2usize];
    [
        "Offset of field: ddi_idevice_cookie__bindgen_ty_1::idev_vector",
    ][::core::mem::offset_of!(ddi_idevice_cookie__bindgen_ty_1, idev_vector) - 0usize];
    [
        "Offset of field: ddi_idevice_cookie__bindgen_ty_1::idev_priority",
    ][::core::mem::offset_of!(ddi_idevice_cookie__bindgen_ty_1, idev_priority) - 2usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of ddi_idevice_cookie",
    ][::core::mem::size_of::<ddi_idevice_cookie>() - 4usize];
    [
        "Alignment of ddi_idevice_cookie",
    ][::core::mem::align_of::<ddi_idevice_cookie>() - 4usize];
    [
        "Offset of field: ddi_idevice_cookie::idu",
    ][::core::mem::offset_of!(ddi_idevice_cookie, idu) - 0usize];
    [
        "Offset of field: ddi_idevice_cookie::idev_softint",
    ][::core::mem::offset_of!(ddi_idevice_cookie, idev_softint) - 0usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of ddi_device_acc_attr",
    ][::core::mem::size_of::<ddi_device_acc_attr>() - 6usize];
    [
        "Alignment of ddi_device_acc_attr",
    ][::core::mem::align_of::<ddi_device_acc_attr>() - 2usize];
    [
        "Offset of field: ddi_device_acc_attr::devacc_attr_version",
    ][::core::mem::offset_of!(ddi_device_acc_attr, devacc_attr_version) - 0usize];
    [
        "Offset of field: ddi_device_acc_attr::devacc_attr_endian_flags",
    ][::core::mem::offset_of!(ddi_device_acc_attr, devacc_attr_endian_flags) - 2usize];
    [
        "Offset of field: ddi_device_acc_attr::devacc_attr_dataorder",
    ][::core::mem::offset_of!(ddi_device_acc_attr, devacc_attr_dataorder) - 3usize];
    [
        "Offset of field: ddi_device_acc_attr::devacc_attr_access",
    ][::core::mem::offset_of!(ddi_device_acc_attr, devacc_attr_access) - 4usize];
};
pub const DS_INVAL: ddi_node_state_t = -1;
pub const DS_PROTO: ddi_node_state_t = 0;
pub const DS_LINKED: ddi_node_state_t = 1;
pub const DS_BOUND: ddi_node_state_t = 2;
pub const DS_INITIALIZED: ddi_node_state_t = 3;
pub const DS_PROBED: ddi_node_state_t = 4;
pub const DS_ATTACHED: ddi_node_state_t = 5;
pub const DS_READY: ddi_node_state_t = 6;
pub const F_INVAL: fault_type = 0;
pub const F_PROT: fault_type = 1;
pub const F_SOFTLOCK: fault_type = 2;
pub const F_SOFTUNLOCK: fault_type = 3;
pub const L_PAGELOCK: lock_type = 0;
pub const L_PAGEUNLOCK: lock_type = 1;
pub const S_CAPABILITY_NOMINFLT: segcapability_t = 0;
pub const S_OTHER: seg_rw = 0;
pub const S_READ: seg_rw = 1;
pub const S_WRITE: seg_rw = 2;
pub const S_EXEC: seg_rw = 3;
pub const S_CREATE: seg_rw = 4;
pub const S_READ_NOCOW: seg_rw = 5;
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of devmap_callback_ctl",
    ][::core::mem::size_of::<devmap_callback_ctl>() - 40usize];
    [
        "Alignment of devmap_callback_ctl",
    ][::core::mem::align_of::<devmap_callback_ctl>() - 8usize];
    [
        "Offset of field: devmap_callback_ctl::devmap_rev",
    ][::core::mem::offset_of!(devmap_callback_ctl, devmap_rev) - 0usize];
    [
        "Offset of field: devmap_callback_ctl::devmap_map",
    ][::core::mem::offset_of!(devmap_callback_ctl, devmap_map) - 8usize];
    [
        "Offset of field: devmap_callback_ctl::devmap_access",
    ][::core::mem::offset_of!(devmap_callback_ctl, devmap_access) - 16usize];
    [
        "Offset of field: devmap_callback_ctl::devmap_dup",
    ][::core::mem::offset_of!(devmap_callback_ctl, devmap_dup) - 24usize];
    [
        "Offset of field: devmap_callback_ctl::devmap_unmap",
    ][::core::mem::offset_of!(devmap_callback_ctl, devmap_unmap) - 32usize];
};
pub const DEVMAP_ACCESS: devmap_fault_type = 0;
pub const DEVMAP_PROT: devmap_fault_type = 1;
pub const DEVMAP_LOCK: devmap_fault_type = 2;
pub const DEVMAP_UNLOCK: devmap_fault_type = 3;
pub const DEVMAP_OTHER: devmap_rw = 0;
pub const DEVMAP_READ: devmap_rw = 1;
pub const DEVMAP_WRITE: devmap_rw = 2;
pub const DEVMAP_EXEC: devmap_rw = 3;
pub const DEVMAP_CREATE: devmap_rw = 4;
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of umem_callback_ops"][::core::mem::size_of::<umem_callback_ops>() - 16usize];
    [
        "Alignment of umem_callback_ops",
    ][::core::mem::align_of::<umem_callback_ops>() - 8usize];
    [
        "Offset of field: umem_callback_ops::cbo_umem_callback_version",
    ][::core::mem::offset_of!(umem_callback_ops, cbo_umem_callback_version) - 0usize];
    [
        "Offset of field: umem_callback_ops::cbo_umem_lock_cleanup",
    ][::core::mem::offset_of!(umem_callback_ops, cbo_umem_lock_cleanup) - 8usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ddi_umem_cookie"][::core::mem::size_of::<ddi_umem_cookie>() - 104usize];
    [
        "Alignment of ddi_umem_cookie",
    ][::core::mem::align_of::<ddi_umem_cookie>() - 8usize];
    [
        "Offset of field: ddi_umem_cookie::size",
    ][::core::mem::offset_of!(ddi_umem_cookie, size) - 0usize];
    [
        "Offset of field: ddi_umem_cookie::cvaddr",
    ][::core::mem::offset_of!(ddi_umem_cookie, cvaddr) - 8usize];
    [
        "Offset of field: ddi_umem_cookie::lock",
    ][::core::mem::offset_of!(ddi_umem_cookie, lock) - 16usize];
    [
        "Offset of field: ddi_umem_cookie::type_",
    ][::core::mem::offset_of!(ddi_umem_cookie, type_) - 24usize];
    [
        "Offset of field: ddi_umem_cookie::pparray",
    ][::core::mem::offset_of!(ddi_umem_cookie, pparray) - 32usize];
    [
        "Offset of field: ddi_umem_cookie::procp",
    ][::core::mem::offset_of!(ddi_umem_cookie, procp) - 40usize];
    [
        "Offset of field: ddi_umem_cookie::asp",
    ][::core::mem::offset_of!(ddi_umem_cookie, asp) - 48usize];
    [
        "Offset of field: ddi_umem_cookie::s_flags",
    ][::core::mem::offset_of!(ddi_umem_cookie, s_flags) - 56usize];
    [
        "Offset of field: ddi_umem_cookie::locked",
    ][::core::mem::offset_of!(ddi_umem_cookie, locked) - 60usize];
    [
        "Offset of field: ddi_umem_cookie::callbacks",
    ][::core::mem::offset_of!(ddi_umem_cookie, callbacks) - 64usize];
    [
        "Offset of field: ddi_umem_cookie::cook_refcnt",
    ][::core::mem::offset_of!(ddi_umem_cookie, cook_refcnt) - 80usize];
    [
        "Offset of field: ddi_umem_cookie::unl_forw",
    ][::core::mem::offset_of!(ddi_umem_cookie, unl_forw) - 88usize];
    [
        "Offset of field: ddi_umem_cookie::upd_max_lock_rctl",
    ][::core::mem::offset_of!(ddi_umem_cookie, upd_max_lock_rctl) - 96usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of devmap_info"][::core::mem::size_of::<devmap_info>() - 32usize];
    ["Alignment of devmap_info"][::core::mem::align_of::<devmap_info>() - 8usize];
    [
        "Offset of field: devmap_info::length",
    ][::core::mem::offset_of!(devmap_info, length) - 0usize];
    [
        "Offset of field: devmap_info::page_size",
    ][::core::mem::offset_of!(devmap_info, page_size) - 8usize];
    [
        "Offset of field: devmap_info::offset",
    ][::core::mem::offset_of!(devmap_info, offset) - 16usize];
    [
        "Offset of field: devmap_info::valid_flag",
    ][::core::mem::offset_of!(devmap_info, valid_flag) - 24usize];
    [
        "Offset of field: devmap_info::byte_order",
    ][::core::mem::offset_of!(devmap_info, byte_order) - 26usize];
    [
        "Offset of field: devmap_info::data_order",
    ][::core::mem::offset_of!(devmap_info, data_order) - 27usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of ddi_dma_cookie__bindgen_ty_1",
    ][::core::mem::size_of::<ddi_dma_cookie__bindgen_ty_1>() - 8usize];
    [
        "Alignment of ddi_dma_cookie__bindgen_ty_1",
    ][::core::mem::align_of::<ddi_dma_cookie__bindgen_ty_1>() - 8usize];
    [
        "Offset of field: ddi_dma_cookie__bindgen_ty_1::_dmac_ll",
    ][::core::mem::offset_of!(ddi_dma_cookie__bindgen_ty_1, _dmac_ll) - 0usize];
    [
        "Offset of field: ddi_dma_cookie__bindgen_ty_1::_dmac_la",
    ][::core::mem::offset_of!(ddi_dma_cookie__bindgen_ty_1, _dmac_la) - 0usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ddi_dma_cookie"][::core::mem::size_of::<ddi_dma_cookie>() - 24usize];
    ["Alignment of ddi_dma_cookie"][::core::mem::align_of::<ddi_dma_cookie>() - 8usize];
    [
        "Offset of field: ddi_dma_cookie::_dmu",
    ][::core::mem::offset_of!(ddi_dma_cookie, _dmu) - 0usize];
    [
        "Offset of field: ddi_dma_cookie::dmac_size",
    ][::core::mem::offset_of!(ddi_dma_cookie, dmac_size) - 8usize];
    [
        "Offset of field: ddi_dma_cookie::dmac_type",
    ][::core::mem::offset_of!(ddi_dma_cookie, dmac_type) - 16usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ddi_dma_attr"][::core::mem::size_of::<ddi_dma_attr>() - 80usize];
    ["Alignment of ddi_dma_attr"][::core::mem::align_of::<ddi_dma_attr>() - 8usize];
    [
        "Offset of field: ddi_dma_attr::dma_attr_version",
    ][::core::mem::offset_of!(ddi_dma_attr, dma_attr_version) - 0usize];
    [
        "Offset of field: ddi_dma_attr::dma_attr_addr_lo",
    ][::core::mem::offset_of!(ddi_dma_attr, dma_attr_addr_lo) - 8usize];
    [
        "Offset of field: ddi_dma_attr::dma_attr_addr_hi",
    ][::core::mem::offset_of!(ddi_dma_attr, dma_attr_addr_hi) - 16usize];
    [
        "Offset of field: ddi_dma_attr::dma_attr_count_max",
    ][::core::mem::offset_of!(ddi_dma_attr, dma_attr_count_max) - 24usize];
    [
        "Offset of field: ddi_dma_attr::dma_attr_align",
    ][::core::mem::offset_of!(ddi_dma_attr, dma_attr_align) - 32usize];
    [
        "Offset of field: ddi_dma_attr::dma_attr_burstsizes",
    ][::core::mem::offset_of!(ddi_dma_attr, dma_attr_burstsizes) - 40usize];
    [
        "Offset of field: ddi_dma_attr::dma_attr_minxfer",
    ][::core::mem::offset_of!(ddi_dma_attr, dma_attr_minxfer) - 44usize];
    [
        "Offset of field: ddi_dma_attr::dma_attr_maxxfer",
    ][::core::mem::offset_of!(ddi_dma_attr, dma_attr_maxxfer) - 48usize];
    [
        "Offset of field: ddi_dma_attr::dma_attr_seg",
    ][::core::mem::offset_of!(ddi_dma_attr, dma_attr_seg) - 56usize];
    [
        "Offset of field: ddi_dma_attr::dma_attr_sgllen",
    ][::core::mem::offset_of!(ddi_dma_attr, dma_attr_sgllen) - 64usize];
    [
        "Offset of field: ddi_dma_attr::dma_attr_granular",
    ][::core::mem::offset_of!(ddi_dma_attr, dma_attr_granular) - 68usize];
    [
        "Offset of field: ddi_dma_attr::dma_attr_flags",
    ][::core::mem::offset_of!(ddi_dma_attr, dma_attr_flags) - 72usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ddi_fm_error"][::core::mem::size_of::<ddi_fm_error>() - 56usize];
    ["Alignment of ddi_fm_error"][::core::mem::align_of::<ddi_fm_error>() - 8usize];
    [
        "Offset of field: ddi_fm_error::fme_version",
    ][::core::mem::offset_of!(ddi_fm_error, fme_version) - 0usize];
    [
        "Offset of field: ddi_fm_error::fme_status",
    ][::core::mem::offset_of!(ddi_fm_error, fme_status) - 4usize];
    [
        "Offset of field: ddi_fm_error::fme_flag",
    ][::core::mem::offset_of!(ddi_fm_error, fme_flag) - 8usize];
    [
        "Offset of field: ddi_fm_error::fme_ena",
    ][::core::mem::offset_of!(ddi_fm_error, fme_ena) - 16usize];
    [
        "Offset of field: ddi_fm_error::fme_acc_handle",
    ][::core::mem::offset_of!(ddi_fm_error, fme_acc_handle) - 24usize];
    [
        "Offset of field: ddi_fm_error::fme_dma_handle",
    ][::core::mem::offset_of!(ddi_fm_error, fme_dma_handle) - 32usize];
    [
        "Offset of field: ddi_fm_error::fme_bus_specific",
    ][::core::mem::offset_of!(ddi_fm_error, fme_bus_specific) - 40usize];
    [
        "Offset of field: ddi_fm_error::fme_bus_type",
    ][::core::mem::offset_of!(ddi_fm_error, fme_bus_type) - 48usize];
};
pub const PROP_LEN: ddi_prop_op_t = 0;
pub const PROP_LEN_AND_VAL_BUF: ddi_prop_op_t = 1;
pub const PROP_LEN_AND_VAL_ALLOC: ddi_prop_op_t = 2;
pub const PROP_EXISTS: ddi_prop_op_t = 3;
pub const KMEM_CBRC_YES: kmem_cbrc = 0;
pub const KMEM_CBRC_NO: kmem_cbrc = 1;
pub const KMEM_CBRC_LATER: kmem_cbrc = 2;
pub const KMEM_CBRC_DONT_NEED: kmem_cbrc = 3;
pub const KMEM_CBRC_DONT_KNOW: kmem_cbrc = 4;
pub const DATA_TYPE_UNKNOWN: data_type_t = 0;
pub const DATA_TYPE_BOOLEAN: data_type_t = 1;
pub const DATA_TYPE_BYTE: data_type_t = 2;
pub const DATA_TYPE_INT16: data_type_t = 3;
pub const DATA_TYPE_UINT16: data_type_t = 4;
pub const DATA_TYPE_INT32: data_type_t = 5;
pub const DATA_TYPE_UINT32: data_type_t = 6;
pub const DATA_TYPE_INT64: data_type_t = 7;
pub const DATA_TYPE_UINT64: data_type_t = 8;
pub const DATA_TYPE_STRING: data_type_t = 9;
pub const DATA_TYPE_BYTE_ARRAY: data_type_t = 10;
pub const DATA_TYPE_INT16_ARRAY: data_type_t = 11;
pub const DATA_TYPE_UINT16_ARRAY: data_type_t = 12;
pub const DATA_TYPE_INT32_ARRAY: data_type_t = 13;
pub const DATA_TYPE_UINT32_ARRAY: data_type_t = 14;
pub const DATA_TYPE_INT64_ARRAY: data_type_t = 15;
pub const DATA_TYPE_UINT64_ARRAY: data_type_t = 16;
pub const DATA_TYPE_STRING_ARRAY: data_type_t = 17;
pub const DATA_TYPE_HRTIME: data_type_t = 18;
pub const DATA_TYPE_NVLIST: data_type_t = 19;
pub const DATA_TYPE_NVLIST_ARRAY: data_type_t = 20;
pub const DATA_TYPE_BOOLEAN_VALUE: data_type_t = 21;
pub const DATA_TYPE_INT8: data_type_t = 22;
pub const DATA_TYPE_UINT8: data_type_t = 23;
pub const DATA_TYPE_BOOLEAN_ARRAY: data_type_t = 24;
pub const DATA_TYPE_INT8_ARRAY: data_type_t = 25;
pub const DATA_TYPE_UINT8_ARRAY: data_type_t = 26;
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of nvpair"][::core::mem::size_of::<nvpair>() - 16usize];
    ["Alignment of nvpair"][::core::mem::align_of::<nvpair>() - 4usize];
    [
        "Offset of field: nvpair::nvp_size",
    ][::core::mem::offset_of!(nvpair, nvp_size) - 0usize];
    [
        "Offset of field: nvpair::nvp_name_sz",
    ][::core::mem::offset_of!(nvpair, nvp_name_sz) - 4usize];
    [
        "Offset of field: nvpair::nvp_reserve",
    ][::core::mem::offset_of!(nvpair, nvp_reserve) - 6usize];
    [
        "Offset of field: nvpair::nvp_value_elem",
    ][::core::mem::offset_of!(nvpair, nvp_value_elem) - 8usize];
    [
        "Offset of field: nvpair::nvp_type",
    ][::core::mem::offset_of!(nvpair, nvp_type) - 12usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of nvlist"][::core::mem::size_of::<nvlist>() - 24usize];
    ["Alignment of nvlist"][::core::mem::align_of::<nvlist>() - 8usize];
    [
        "Offset of field: nvlist::nvl_version",
    ][::core::mem::offset_of!(nvlist, nvl_version) - 0usize];
    [
        "Offset of field: nvlist::nvl_nvflag",
    ][::core::mem::offset_of!(nvlist, nvl_nvflag) - 4usize];
    [
        "Offset of field: nvlist::nvl_priv",
    ][::core::mem::offset_of!(nvlist, nvl_priv) - 8usize];
    [
        "Offset of field: nvlist::nvl_flag",
    ][::core::mem::offset_of!(nvlist, nvl_flag) - 16usize];
    [
        "Offset of field: nvlist::nvl_pad",
    ][::core::mem::offset_of!(nvlist, nvl_pad) - 20usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of nv_alloc"][::core::mem::size_of::<nv_alloc>() - 16usize];
    ["Alignment of nv_alloc"][::core::mem::align_of::<nv_alloc>() - 8usize];
    [
        "Offset of field: nv_alloc::nva_ops",
    ][::core::mem::offset_of!(nv_alloc, nva_ops) - 0usize];
    [
        "Offset of field: nv_alloc::nva_arg",
    ][::core::mem::offset_of!(nv_alloc, nva_arg) - 8usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of nv_alloc_ops"][::core::mem::size_of::<nv_alloc_ops>() - 40usize];
    ["Alignment of nv_alloc_ops"][::core::mem::align_of::<nv_alloc_ops>() - 8usize];
    [
        "Offset of field: nv_alloc_ops::nv_ao_init",
    ][::core::mem::offset_of!(nv_alloc_ops, nv_ao_init) - 0usize];
    [
        "Offset of field: nv_alloc_ops::nv_ao_fini",
    ][::core::mem::offset_of!(nv_alloc_ops, nv_ao_fini) - 8usize];
    [
        "Offset of field: nv_alloc_ops::nv_ao_alloc",
    ][::core::mem::offset_of!(nv_alloc_ops, nv_ao_alloc) - 16usize];
    [
        "Offset of field: nv_alloc_ops::nv_ao_free",
    ][::core::mem::offset_of!(nv_alloc_ops, nv_ao_free) - 24usize];
    [
        "Offset of field: nv_alloc_ops::nv_ao_reset",
    ][::core::mem::offset_of!(nv_alloc_ops, nv_ao_reset) - 32usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of devctl_iocdata"][::core::mem::size_of::<devctl_iocdata>() - 48usize];
    ["Alignment of devctl_iocdata"][::core::mem::align_of::<devctl_iocdata>() - 8usize];
    [
        "Offset of field: devctl_iocdata::cmd",
    ][::core::mem::offset_of!(devctl_iocdata, cmd) - 0usize];
    [
        "Offset of field: devctl_iocdata::flags",
    ][::core::mem::offset_of!(devctl_iocdata, flags) - 4usize];
    [
        "Offset of field: devctl_iocdata::cpyout_buf",
    ][::core::mem::offset_of!(devctl_iocdata, cpyout_buf) - 8usize];
    [
        "Offset of field: devctl_iocdata::nvl_user",
    ][::core::mem::offset_of!(devctl_iocdata, nvl_user) - 16usize];
    [
        "Offset of field: devctl_iocdata::nvl_usersz",
    ][::core::mem::offset_of!(devctl_iocdata, nvl_usersz) - 24usize];
    [
        "Offset of field: devctl_iocdata::c_nodename",
    ][::core::mem::offset_of!(devctl_iocdata, c_nodename) - 32usize];
    [
        "Offset of field: devctl_iocdata::c_unitaddr",
    ][::core::mem::offset_of!(devctl_iocdata, c_unitaddr) - 40usize];
};
pub const DDI_INFO_DEVT2DEVINFO: ddi_info_cmd_t = 0;
pub const DDI_INFO_DEVT2INSTANCE: ddi_info_cmd_t = 1;
pub const DDI_ATTACH: ddi_attach_cmd_t = 0;
pub const DDI_RESUME: ddi_attach_cmd_t = 1;
pub const DDI_PM_RESUME: ddi_attach_cmd_t = 2;
pub const DDI_DETACH: ddi_detach_cmd_t = 0;
pub const DDI_SUSPEND: ddi_detach_cmd_t = 1;
pub const DDI_PM_SUSPEND: ddi_detach_cmd_t = 2;
pub const DDI_HOTPLUG_DETACH: ddi_detach_cmd_t = 3;
pub const DDI_RESET_FORCE: ddi_reset_cmd_t = 0;
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of cb_ops"][::core::mem::size_of::<cb_ops>() - 136usize];
    ["Alignment of cb_ops"][::core::mem::align_of::<cb_ops>() - 8usize];
    [
        "Offset of field: cb_ops::cb_open",
    ][::core::mem::offset_of!(cb_ops, cb_open) - 0usize];
    [
        "Offset of field: cb_ops::cb_close",
    ][::core::mem::offset_of!(cb_ops, cb_close) - 8usize];
    [
        "Offset of field: cb_ops::cb_strategy",
    ][::core::mem::offset_of!(cb_ops, cb_strategy) - 16usize];
    [
        "Offset of field: cb_ops::cb_print",
    ][::core::mem::offset_of!(cb_ops, cb_print) - 24usize];
    [
        "Offset of field: cb_ops::cb_dump",
    ][::core::mem::offset_of!(cb_ops, cb_dump) - 32usize];
    [
        "Offset of field: cb_ops::cb_read",
    ][::core::mem::offset_of!(cb_ops, cb_read) - 40usize];
    [
        "Offset of field: cb_ops::cb_write",
    ][::core::mem::offset_of!(cb_ops, cb_write) - 48usize];
    [
        "Offset of field: cb_ops::cb_ioctl",
    ][::core::mem::offset_of!(cb_ops, cb_ioctl) - 56usize];
    [
        "Offset of field: cb_ops::cb_devmap",
    ][::core::mem::offset_of!(cb_ops, cb_devmap) - 64usize];
    [
        "Offset of field: cb_ops::cb_mmap",
    ][::core::mem::offset_of!(cb_ops, cb_mmap) - 72usize];
    [
        "Offset of field: cb_ops::cb_segmap",
    ][::core::mem::offset_of!(cb_ops, cb_segmap) - 80usize];
    [
        "Offset of field: cb_ops::cb_chpoll",
    ][::core::mem::offset_of!(cb_ops, cb_chpoll) - 88usize];
    [
        "Offset of field: cb_ops::cb_prop_op",
    ][::core::mem::offset_of!(cb_ops, cb_prop_op) - 96usize];
    [
        "Offset of field: cb_ops::cb_str",
    ][::core::mem::offset_of!(cb_ops, cb_str) - 104usize];
    [
        "Offset of field: cb_ops::cb_flag",
    ][::core::mem::offset_of!(cb_ops, cb_flag) - 112usize];
    [
        "Offset of field: cb_ops::cb_rev",
    ][::core::mem::offset_of!(cb_ops, cb_rev) - 116usize];
    [
        "Offset of field: cb_ops::cb_aread",
    ][::core::mem::offset_of!(cb_ops, cb_aread) - 120usize];
    [
        "Offset of field: cb_ops::cb_awrite",
    ][::core::mem::offset_of!(cb_ops, cb_awrite) - 128usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dev_ops"][::core::mem::size_of::<dev_ops>() - 88usize];
    ["Alignment of dev_ops"][::core::mem::align_of::<dev_ops>() - 8usize];
    [
        "Offset of field: dev_ops::devo_rev",
    ][::core::mem::offset_of!(dev_ops, devo_rev) - 0usize];
    [
        "Offset of field: dev_ops::devo_refcnt",
    ][::core::mem::offset_of!(dev_ops, devo_refcnt) - 4usize];
    [
        "Offset of field: dev_ops::devo_getinfo",
    ][::core::mem::offset_of!(dev_ops, devo_getinfo) - 8usize];
    [
        "Offset of field: dev_ops::devo_identify",
    ][::core::mem::offset_of!(dev_ops, devo_identify) - 16usize];
    [
        "Offset of field: dev_ops::devo_probe",
    ][::core::mem::offset_of!(dev_ops, devo_probe) - 24usize];
    [
        "Offset of field: dev_ops::devo_attach",
    ][::core::mem::offset_of!(dev_ops, devo_attach) - 32usize];
    [
        "Offset of field: dev_ops::devo_detach",
    ][::core::mem::offset_of!(dev_ops, devo_detach) - 40usize];
    [
        "Offset of field: dev_ops::devo_reset",
    ][::core::mem::offset_of!(dev_ops, devo_reset) - 48usize];
    [
        "Offset of field: dev_ops::devo_cb_ops",
    ][::core::mem::offset_of!(dev_ops, devo_cb_ops) - 56usize];
    [
        "Offset of field: dev_ops::devo_bus_ops",
    ][::core::mem::offset_of!(dev_ops, devo_bus_ops) - 64usize];
    [
        "Offset of field: dev_ops::devo_power",
    ][::core::mem::offset_of!(dev_ops, devo_power) - 72usize];
    [
        "Offset of field: dev_ops::devo_quiesce",
    ][::core::mem::offset_of!(dev_ops, devo_quiesce) - 80usize];
};
pub const VNON: vtype = 0;
pub const VREG: vtype = 1;
pub const VDIR: vtype = 2;
pub const VBLK: vtype = 3;
pub const VCHR: vtype = 4;
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kstat"][::core::mem::size_of::<kstat>() - 184usize];
    ["Alignment of kstat"][::core::mem::align_of::<kstat>() - 8usize];
    [
        "Offset of field: kstat::ks_crtime",
    ][::core::mem::offset_of!(kstat, ks_crtime) - 0usize];
    [
        "Offset of field: kstat::ks_next",
    ][::core::mem::offset_of!(kstat, ks_next) - 8usize];
    ["Offset of field: kstat::ks_kid"][::core::mem::offset_of!(kstat, ks_kid) - 16usize];
    [
        "Offset of field: kstat::ks_module",
    ][::core::mem::offset_of!(kstat, ks_module) - 20usize];
    [
        "Offset of field: kstat::ks_resv",
    ][::core::mem::offset_of!(kstat, ks_resv) - 51usize];
    [
        "Offset of field: kstat::ks_instance",
    ][::core::mem::offset_of!(kstat, ks_instance) - 52usize];
    [
        "Offset of field: kstat::ks_name",
    ][::core::mem::offset_of!(kstat, ks_name) - 56usize];
    [
        "Offset of field: kstat::ks_type",
    ][::core::mem::offset_of!(kstat, ks_type) - 87usize];
    [
        "Offset of field: kstat::ks_class",
    ][::core::mem::offset_of!(kstat, ks_class) - 88usize];
    [
        "Offset of field: kstat::ks_flags",
    ][::core::mem::offset_of!(kstat, ks_flags) - 119usize];
    [
        "Offset of field: kstat::ks_data",
    ][::core::mem::offset_of!(kstat, ks_data) - 120usize];
    [
        "Offset of field: kstat::ks_ndata",
    ][::core::mem::offset_of!(kstat, ks_ndata) - 128usize];
    [
        "Offset of field: kstat::ks_data_size",
    ][::core::mem::offset_of!(kstat, ks_data_size) - 136usize];
    [
        "Offset of field: kstat::ks_snaptime",
    ][::core::mem::offset_of!(kstat, ks_snaptime) - 144usize];
    [
        "Offset of field: kstat::ks_update",
    ][::core::mem::offset_of!(kstat, ks_update) - 152usize];
    [
        "Offset of field: kstat::ks_private",
    ][::core::mem::offset_of!(kstat, ks_private) - 160usize];
    [
        "Offset of field: kstat::ks_snapshot",
    ][::core::mem::offset_of!(kstat, ks_snapshot) - 168usize];
    [
        "Offset of field: kstat::ks_lock",
    ][::core::mem::offset_of!(kstat, ks_lock) - 176usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of kstat_named__bindgen_ty_1__bindgen_ty_1__bindgen_ty_1",
    ][::core::mem::size_of::<kstat_named__bindgen_ty_1__bindgen_ty_1__bindgen_ty_1>()
        - 8usize];
    [
        "Alignment of kstat_named__bindgen_ty_1__bindgen_ty_1__bindgen_ty_1",
    ][::core::mem::align_of::<kstat_named__bindgen_ty_1__bindgen_ty_1__bindgen_ty_1>()
        - 8usize];
    [
        "Offset of field: kstat_named__bindgen_ty_1__bindgen_ty_1__bindgen_ty_1::ptr",
    ][::core::mem::offset_of!(kstat_named__bindgen_ty_1__bindgen_ty_1__bindgen_ty_1, ptr)
        - 0usize];
    [
        "Offset of field: kstat_named__bindgen_ty_1__bindgen_ty_1__bindgen_ty_1::__pad",
    ][::core::mem::offset_of!(
        kstat_named__bindgen_ty_1__bindgen_ty_1__bindgen_ty_1, __pad
    ) - 0usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of kstat_named__bindgen_ty_1__bindgen_ty_1",
    ][::core::mem::size_of::<kstat_named__bindgen_ty_1__bindgen_ty_1>() - 16usize];
    [
        "Alignment of kstat_named__bindgen_ty_1__bindgen_ty_1",
    ][::core::mem::align_of::<kstat_named__bindgen_ty_1__bindgen_ty_1>() - 8usize];
    [
        "Offset of field: kstat_named__bindgen_ty_1__bindgen_ty_1::addr",
    ][::core::mem::offset_of!(kstat_named__bindgen_ty_1__bindgen_ty_1, addr) - 0usize];
    [
        "Offset of field: kstat_named__bindgen_ty_1__bindgen_ty_1::len",
    ][::core::mem::offset_of!(kstat_named__bindgen_ty_1__bindgen_ty_1, len) - 8usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of kstat_named__bindgen_ty_1",
    ][::core::mem::size_of::<kstat_named__bindgen_ty_1>() - 16usize];
    [
        "Alignment of kstat_named__bindgen_ty_1",
    ][::core::mem::align_of::<kstat_named__bindgen_ty_1>() - 8usize];
    [
        "Offset of field: kstat_named__bindgen_ty_1::c",
    ][::core::mem::offset_of!(kstat_named__bindgen_ty_1, c) - 0usize];
    [
        "Offset of field: kstat_named__bindgen_ty_1::i32_",
    ][::core::mem::offset_of!(kstat_named__bindgen_ty_1, i32_) - 0usize];
    [
        "Offset of field: kstat_named__bindgen_ty_1::ui32",
    ][::core::mem::offset_of!(kstat_named__bindgen_ty_1, ui32) - 0usize];
    [
        "Offset of field: kstat_named__bindgen_ty_1::i64_",
    ][::core::mem::offset_of!(kstat_named__bindgen_ty_1, i64_) - 0usize];
    [
        "Offset of field: kstat_named__bindgen_ty_1::ui64",
    ][::core::mem::offset_of!(kstat_named__bindgen_ty_1, ui64) - 0usize];
    [
        "Offset of field: kstat_named__bindgen_ty_1::l",
    ][::core::mem::offset_of!(kstat_named__bindgen_ty_1, l) - 0usize];
    [
        "Offset of field: kstat_named__bindgen_ty_1::ul",
    ][::core::mem::offset_of!(kstat_named__bindgen_ty_1, ul) - 0usize];
    [
        "Offset of field: kstat_named__bindgen_ty_1::str_",
    ][::core::mem::offset_of!(kstat_named__bindgen_ty_1, str_) - 0usize];
    [
        "Offset of field: kstat_named__bindgen_ty_1::f",
    ][::core::mem::offset_of!(kstat_named__bindgen_ty_1, f) - 0usize];
    [
        "Offset of field: kstat_named__bindgen_ty_1::d",
    ][::core::mem::offset_of!(kstat_named__bindgen_ty_1, d) - 0usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kstat_named"][::core::mem::size_of::<kstat_named>() - 48usize];
    ["Alignment of kstat_named"][::core::mem::align_of::<kstat_named>() - 8usize];
    [
        "Offset of field: kstat_named::name",
    ][::core::mem::offset_of!(kstat_named, name) - 0usize];
    [
        "Offset of field: kstat_named::data_type",
    ][::core::mem::offset_of!(kstat_named, data_type) - 31usize];
    [
        "Offset of field: kstat_named::value",
    ][::core::mem::offset_of!(kstat_named, value) - 32usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kstat_intr"][::core::mem::size_of::<kstat_intr>() - 20usize];
    ["Alignment of kstat_intr"][::core::mem::align_of::<kstat_intr>() - 4usize];
    [
        "Offset of field: kstat_intr::intrs",
    ][::core::mem::offset_of!(kstat_intr, intrs) - 0usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kstat_io"][::core::mem::size_of::<kstat_io>() - 80usize];
    ["Alignment of kstat_io"][::core::mem::align_of::<kstat_io>() - 8usize];
    [
        "Offset of field: kstat_io::nread",
    ][::core::mem::offset_of!(kstat_io, nread) - 0usize];
    [
        "Offset of field: kstat_io::nwritten",
    ][::core::mem::offset_of!(kstat_io, nwritten) - 8usize];
    [
        "Offset of field: kstat_io::reads",
    ][::core::mem::offset_of!(kstat_io, reads) - 16usize];
    [
        "Offset of field: kstat_io::writes",
    ][::core::mem::offset_of!(kstat_io, writes) - 20usize];
    [
        "Offset of field: kstat_io::wtime",
    ][::core::mem::offset_of!(kstat_io, wtime) - 24usize];
    [
        "Offset of field: kstat_io::wlentime",
    ][::core::mem::offset_of!(kstat_io, wlentime) - 32usize];
    [
        "Offset of field: kstat_io::wlastupdate",
    ][::core::mem::offset_of!(kstat_io, wlastupdate) - 40usize];
    [
        "Offset of field: kstat_io::rtime",
    ][::core::mem::offset_of!(kstat_io, rtime) - 48usize];
    [
        "Offset of field: kstat_io::rlentime",
    ][::core::mem::offset_of!(kstat_io, rlentime) - 56usize];
    [
        "Offset of field: kstat_io::rlastupdate",
    ][::core::mem::offset_of!(kstat_io, rlastupdate) - 64usize];
    [
        "Offset of field: kstat_io::wcnt",
    ][::core::mem::offset_of!(kstat_io, wcnt) - 72usize];
    [
        "Offset of field: kstat_io::rcnt",
    ][::core::mem::offset_of!(kstat_io, rcnt) - 76usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of kstat_timer"][::core::mem::size_of::<kstat_timer>() - 80usize];
    ["Alignment of kstat_timer"][::core::mem::align_of::<kstat_timer>() - 8usize];
    [
        "Offset of field: kstat_timer::name",
    ][::core::mem::offset_of!(kstat_timer, name) - 0usize];
    [
        "Offset of field: kstat_timer::resv",
    ][::core::mem::offset_of!(kstat_timer, resv) - 31usize];
    [
        "Offset of field: kstat_timer::num_events",
    ][::core::mem::offset_of!(kstat_timer, num_events) - 32usize];
    [
        "Offset of field: kstat_timer::elapsed_time",
    ][::core::mem::offset_of!(kstat_timer, elapsed_time) - 40usize];
    [
        "Offset of field: kstat_timer::min_time",
    ][::core::mem::offset_of!(kstat_timer, min_time) - 48usize];
    [
        "Offset of field: kstat_timer::max_time",
    ][::core::mem::offset_of!(kstat_timer, max_time) - 56usize];
    [
        "Offset of field: kstat_timer::start_time",
    ][::core::mem::offset_of!(kstat_timer, start_time) - 64usize];
    [
        "Offset of field: kstat_timer::stop_time",
    ][::core::mem::offset_of!(kstat_timer, stop_time) - 72usize];
};
pub const RW_DRIVER: krw_type_t = 2;
pub const RW_DEFAULT: krw_type_t = 4;
pub const RW_WRITER: krw_t = 0;
pub const RW_READER: krw_t = 1;
pub const RW_READER_STARVEWRITER: krw_t = 2;
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of _krwlock"][::core::mem::size_of::<_krwlock>() - 8usize];
    ["Alignment of _krwlock"][::core::mem::align_of::<_krwlock>() - 8usize];
    [
        "Offset of field: _krwlock::_opaque",
    ][::core::mem::offset_of!(_krwlock, _opaque) - 0usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of list_node"][::core::mem::size_of::<list_node>() - 16usize];
    ["Alignment of list_node"][::core::mem::align_of::<list_node>() - 8usize];
    [
        "Offset of field: list_node::list_next",
    ][::core::mem::offset_of!(list_node, list_next) - 0usize];
    [
        "Offset of field: list_node::list_prev",
    ][::core::mem::offset_of!(list_node, list_prev) - 8usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of list"][::core::mem::size_of::<list>() - 32usize];
    ["Alignment of list"][::core::mem::align_of::<list>() - 8usize];
    [
        "Offset of field: list::list_size",
    ][::core::mem::offset_of!(list, list_size) - 0usize];
    [
        "Offset of field: list::list_offset",
    ][::core::mem::offset_of!(list, list_offset) - 8usize];
    [
        "Offset of field: list::list_head",
    ][::core::mem::offset_of!(list, list_head) - 16usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mod_ops"][::core::mem::size_of::<mod_ops>() - 24usize];
    ["Alignment of mod_ops"][::core::mem::align_of::<mod_ops>() - 8usize];
    [
        "Offset of field: mod_ops::modm_install",
    ][::core::mem::offset_of!(mod_ops, modm_install) - 0usize];
    [
        "Offset of field: mod_ops::modm_remove",
    ][::core::mem::offset_of!(mod_ops, modm_remove) - 8usize];
    [
        "Offset of field: mod_ops::modm_info",
    ][::core::mem::offset_of!(mod_ops, modm_info) - 16usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of modldrv"][::core::mem::size_of::<modldrv>() - 24usize];
    ["Alignment of modldrv"][::core::mem::align_of::<modldrv>() - 8usize];
    [
        "Offset of field: modldrv::drv_modops",
    ][::core::mem::offset_of!(modldrv, drv_modops) - 0usize];
    [
        "Offset of field: modldrv::drv_linkinfo",
    ][::core::mem::offset_of!(modldrv, drv_linkinfo) - 8usize];
    [
        "Offset of field: modldrv::drv_dev_ops",
    ][::core::mem::offset_of!(modldrv, drv_dev_ops) - 16usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of modlmisc"][::core::mem::size_of::<modlmisc>() - 16usize];
    ["Alignment of modlmisc"][::core::mem::align_of::<modlmisc>() - 8usize];
    [
        "Offset of field: modlmisc::misc_modops",
    ][::core::mem::offset_of!(modlmisc, misc_modops) - 0usize];
    [
        "Offset of field: modlmisc::misc_linkinfo",
    ][::core::mem::offset_of!(modlmisc, misc_linkinfo) - 8usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of modlinkage"][::core::mem::size_of::<modlinkage>() - 64usize];
    ["Alignment of modlinkage"][::core::mem::align_of::<modlinkage>() - 8usize];
    [
        "Offset of field: modlinkage::ml_rev",
    ][::core::mem::offset_of!(modlinkage, ml_rev) - 0usize];
    [
        "Offset of field: modlinkage::ml_linkage",
    ][::core::mem::offset_of!(modlinkage, ml_linkage) - 8usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of modspecific_info"][::core::mem::size_of::<modspecific_info>() - 36usize];
    [
        "Alignment of modspecific_info",
    ][::core::mem::align_of::<modspecific_info>() - 4usize];
    [
        "Offset of field: modspecific_info::msi_linkinfo",
    ][::core::mem::offset_of!(modspecific_info, msi_linkinfo) - 0usize];
    [
        "Offset of field: modspecific_info::msi_p0",
    ][::core::mem::offset_of!(modspecific_info, msi_p0) - 32usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of modinfo"][::core::mem::size_of::<modinfo>() - 432usize];
    ["Alignment of modinfo"][::core::mem::align_of::<modinfo>() - 8usize];
    [
        "Offset of field: modinfo::mi_info",
    ][::core::mem::offset_of!(modinfo, mi_info) - 0usize];
    [
        "Offset of field: modinfo::mi_state",
    ][::core::mem::offset_of!(modinfo, mi_state) - 4usize];
    [
        "Offset of field: modinfo::mi_id",
    ][::core::mem::offset_of!(modinfo, mi_id) - 8usize];
    [
        "Offset of field: modinfo::mi_nextid",
    ][::core::mem::offset_of!(modinfo, mi_nextid) - 12usize];
    [
        "Offset of field: modinfo::mi_base",
    ][::core::mem::offset_of!(modinfo, mi_base) - 16usize];
    [
        "Offset of field: modinfo::mi_size",
    ][::core::mem::offset_of!(modinfo, mi_size) - 24usize];
    [
        "Offset of field: modinfo::mi_rev",
    ][::core::mem::offset_of!(modinfo, mi_rev) - 32usize];
    [
        "Offset of field: modinfo::mi_loadcnt",
    ][::core::mem::offset_of!(modinfo, mi_loadcnt) - 36usize];
    [
        "Offset of field: modinfo::mi_name",
    ][::core::mem::offset_of!(modinfo, mi_name) - 40usize];
    [
        "Offset of field: modinfo::mi_msinfo",
    ][::core::mem::offset_of!(modinfo, mi_msinfo) - 72usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of pci_phys_spec"][::core::mem::size_of::<pci_phys_spec>() - 20usize];
    ["Alignment of pci_phys_spec"][::core::mem::align_of::<pci_phys_spec>() - 4usize];
    [
        "Offset of field: pci_phys_spec::pci_phys_hi",
    ][::core::mem::offset_of!(pci_phys_spec, pci_phys_hi) - 0usize];
    [
        "Offset of field: pci_phys_spec::pci_phys_mid",
    ][::core::mem::offset_of!(pci_phys_spec, pci_phys_mid) - 4usize];
    [
        "Offset of field: pci_phys_spec::pci_phys_low",
    ][::core::mem::offset_of!(pci_phys_spec, pci_phys_low) - 8usize];
    [
        "Offset of field: pci_phys_spec::pci_size_hi",
    ][::core::mem::offset_of!(pci_phys_spec, pci_size_hi) - 12usize];
    [
        "Offset of field: pci_phys_spec::pci_size_low",
    ][::core::mem::offset_of!(pci_phys_spec, pci_size_low) - 16usize];
};
pub const PCI_CAP_CFGSZ_8: pci_cap_config_size_t = 0;
pub const PCI_CAP_CFGSZ_16: pci_cap_config_size_t = 1;
pub const PCI_CAP_CFGSZ_32: pci_cap_config_size_t = 2;
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of pollhead"][::core::mem::size_of::<pollhead>() - 24usize];
    ["Alignment of pollhead"][::core::mem::align_of::<pollhead>() - 8usize];
    [
        "Offset of field: pollhead::ph_list",
    ][::core::mem::offset_of!(pollhead, ph_list) - 0usize];
    [
        "Offset of field: pollhead::ph_pad1",
    ][::core::mem::offset_of!(pollhead, ph_pad1) - 8usize];
    [
        "Offset of field: pollhead::ph_pad2",
    ][::core::mem::offset_of!(pollhead, ph_pad2) - 16usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of pollfd"][::core::mem::size_of::<pollfd>() - 8usize];
    ["Alignment of pollfd"][::core::mem::align_of::<pollfd>() - 4usize];
    ["Offset of field: pollfd::fd"][::core::mem::offset_of!(pollfd, fd) - 0usize];
    [
        "Offset of field: pollfd::events",
    ][::core::mem::offset_of!(pollfd, events) - 4usize];
    [
        "Offset of field: pollfd::revents",
    ][::core::mem::offset_of!(pollfd, revents) - 6usize];
};
pub const QHIWAT: qfields = 0;
pub const QLOWAT: qfields = 1;
pub const QMAXPSZ: qfields = 2;
pub const QMINPSZ: qfields = 3;
pub const QCOUNT: qfields = 4;
pub const QFIRST: qfields = 5;
pub const QLAST: qfields = 6;
pub const QFLAG: qfields = 7;
pub const QSTRUIOT: qfields = 8;
pub const QBAD: qfields = 9;
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of free_rtn"][::core::mem::size_of::<free_rtn>() - 16usize];
    ["Alignment of free_rtn"][::core::mem::align_of::<free_rtn>() - 8usize];
    [
        "Offset of field: free_rtn::free_func",
    ][::core::mem::offset_of!(free_rtn, free_func) - 0usize];
    [
        "Offset of field: free_rtn::free_arg",
    ][::core::mem::offset_of!(free_rtn, free_arg) - 8usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of datab"][::core::mem::size_of::<datab>() - 112usize];
    ["Alignment of datab"][::core::mem::align_of::<datab>() - 8usize];
    [
        "Offset of field: datab::db_frtnp",
    ][::core::mem::offset_of!(datab, db_frtnp) - 0usize];
    [
        "Offset of field: datab::db_base",
    ][::core::mem::offset_of!(datab, db_base) - 8usize];
    ["Offset of field: datab::db_lim"][::core::mem::offset_of!(datab, db_lim) - 16usize];
    ["Offset of field: datab::db_ref"][::core::mem::offset_of!(datab, db_ref) - 24usize];
    [
        "Offset of field: datab::db_type",
    ][::core::mem::offset_of!(datab, db_type) - 25usize];
    [
        "Offset of field: datab::db_flags",
    ][::core::mem::offset_of!(datab, db_flags) - 26usize];
    [
        "Offset of field: datab::db_struioflag",
    ][::core::mem::offset_of!(datab, db_struioflag) - 27usize];
    [
        "Offset of field: datab::db_cpid",
    ][::core::mem::offset_of!(datab, db_cpid) - 28usize];
    [
        "Offset of field: datab::db_cache",
    ][::core::mem::offset_of!(datab, db_cache) - 32usize];
    [
        "Offset of field: datab::db_mblk",
    ][::core::mem::offset_of!(datab, db_mblk) - 40usize];
    [
        "Offset of field: datab::db_free",
    ][::core::mem::offset_of!(datab, db_free) - 48usize];
    [
        "Offset of field: datab::db_lastfree",
    ][::core::mem::offset_of!(datab, db_lastfree) - 56usize];
    [
        "Offset of field: datab::db_cksumstart",
    ][::core::mem::offset_of!(datab, db_cksumstart) - 64usize];
    [
        "Offset of field: datab::db_cksumend",
    ][::core::mem::offset_of!(datab, db_cksumend) - 72usize];
    [
        "Offset of field: datab::db_cksumstuff",
    ][::core::mem::offset_of!(datab, db_cksumstuff) - 80usize];
    [
        "Offset of field: datab::db_struioun",
    ][::core::mem::offset_of!(datab, db_struioun) - 88usize];
    [
        "Offset of field: datab::db_fthdr",
    ][::core::mem::offset_of!(datab, db_fthdr) - 96usize];
    [
        "Offset of field: datab::db_credp",
    ][::core::mem::offset_of!(datab, db_credp) - 104usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of msgb"][::core::mem::size_of::<msgb>() - 64usize];
    ["Alignment of msgb"][::core::mem::align_of::<msgb>() - 8usize];
    ["Offset of field: msgb::b_next"][::core::mem::offset_of!(msgb, b_next) - 0usize];
    ["Offset of field: msgb::b_prev"][::core::mem::offset_of!(msgb, b_prev) - 8usize];
    ["Offset of field: msgb::b_cont"][::core::mem::offset_of!(msgb, b_cont) - 16usize];
    ["Offset of field: msgb::b_rptr"][::core::mem::offset_of!(msgb, b_rptr) - 24usize];
    ["Offset of field: msgb::b_wptr"][::core::mem::offset_of!(msgb, b_wptr) - 32usize];
    ["Offset of field: msgb::b_datap"][::core::mem::offset_of!(msgb, b_datap) - 40usize];
    ["Offset of field: msgb::b_band"][::core::mem::offset_of!(msgb, b_band) - 48usize];
    ["Offset of field: msgb::b_tag"][::core::mem::offset_of!(msgb, b_tag) - 49usize];
    ["Offset of field: msgb::b_flag"][::core::mem::offset_of!(msgb, b_flag) - 50usize];
    ["Offset of field: msgb::b_queue"][::core::mem::offset_of!(msgb, b_queue) - 56usize];
};
pub const DDI_SERVICE_LOST: ddi_fault_impact_t = -32;
pub const DDI_SERVICE_DEGRADED: ddi_fault_impact_t = -16;
pub const DDI_SERVICE_UNAFFECTED: ddi_fault_impact_t = 0;
pub const DDI_SERVICE_RESTORED: ddi_fault_impact_t = 16;
pub const DDI_DATAPATH_FAULT: ddi_fault_location_t = -32;
pub const DDI_DEVICE_FAULT: ddi_fault_location_t = -16;
pub const DDI_EXTERNAL_FAULT: ddi_fault_location_t = 0;
pub const DDI_DEVSTATE_OFFLINE: ddi_devstate_t = -32;
pub const DDI_DEVSTATE_DOWN: ddi_devstate_t = -16;
pub const DDI_DEVSTATE_QUIESCED: ddi_devstate_t = 0;
pub const DDI_DEVSTATE_DEGRADED: ddi_devstate_t = 16;
pub const DDI_DEVSTATE_UP: ddi_devstate_t = 32;
pub const DER_INVALID: ddi_err_t = 0;
pub const DER_CONT: ddi_err_t = 1;
pub const DER_CONS: ddi_err_t = 2;
pub const DER_LOG: ddi_err_t = 3;
pub const DER_VERB: ddi_err_t = 4;
pub const DER_NOTE: ddi_err_t = 5;
pub const DER_WARN: ddi_err_t = 6;
pub const DER_PANIC: ddi_err_t = 7;
pub const DER_MODE: ddi_err_t = 8;
pub const DER_DEBUG: ddi_err_t = 9;
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ldi_ev_callback"][::core::mem::size_of::<ldi_ev_callback>() - 24usize];
    [
        "Alignment of ldi_ev_callback",
    ][::core::mem::align_of::<ldi_ev_callback>() - 8usize];
    [
        "Offset of field: ldi_ev_callback::cb_vers",
    ][::core::mem::offset_of!(ldi_ev_callback, cb_vers) - 0usize];
    [
        "Offset of field: ldi_ev_callback::cb_notify",
    ][::core::mem::offset_of!(ldi_ev_callback, cb_notify) - 8usize];
    [
        "Offset of field: ldi_ev_callback::cb_finalize",
    ][::core::mem::offset_of!(ldi_ev_callback, cb_finalize) - 16usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of utsname"][::core::mem::size_of::<utsname>() - 1285usize];
    ["Alignment of utsname"][::core::mem::align_of::<utsname>() - 1usize];
    [
        "Offset of field: utsname::sysname",
    ][::core::mem::offset_of!(utsname, sysname) - 0usize];
    [
        "Offset of field: utsname::nodename",
    ][::core::mem::offset_of!(utsname, nodename) - 257usize];
    [
        "Offset of field: utsname::release",
    ][::core::mem::offset_of!(utsname, release) - 514usize];
    [
        "Offset of field: utsname::version",
    ][::core::mem::offset_of!(utsname, version) - 771usize];
    [
        "Offset of field: utsname::machine",
    ][::core::mem::offset_of!(utsname, machine) - 1028usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of memid"][::core::mem::size_of::<memid>() - 16usize];
    ["Alignment of memid"][::core::mem::align_of::<memid>() - 8usize];
    ["Offset of field: memid::val"][::core::mem::offset_of!(memid, val) - 0usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of pcache_link"][::core::mem::size_of::<pcache_link>() - 16usize];
    ["Alignment of pcache_link"][::core::mem::align_of::<pcache_link>() - 8usize];
    [
        "Offset of field: pcache_link::p_lnext",
    ][::core::mem::offset_of!(pcache_link, p_lnext) - 0usize];
    [
        "Offset of field: pcache_link::p_lprev",
    ][::core::mem::offset_of!(pcache_link, p_lprev) - 8usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of seg"][::core::mem::size_of::<seg>() - 96usize];
    ["Alignment of seg"][::core::mem::align_of::<seg>() - 8usize];
    ["Offset of field: seg::s_base"][::core::mem::offset_of!(seg, s_base) - 0usize];
    ["Offset of field: seg::s_size"][::core::mem::offset_of!(seg, s_size) - 8usize];
    ["Offset of field: seg::s_szc"][::core::mem::offset_of!(seg, s_szc) - 16usize];
    ["Offset of field: seg::s_flags"][::core::mem::offset_of!(seg, s_flags) - 20usize];
    ["Offset of field: seg::s_as"][::core::mem::offset_of!(seg, s_as) - 24usize];
    ["Offset of field: seg::s_tree"][::core::mem::offset_of!(seg, s_tree) - 32usize];
    ["Offset of field: seg::s_ops"][::core::mem::offset_of!(seg, s_ops) - 56usize];
    ["Offset of field: seg::s_data"][::core::mem::offset_of!(seg, s_data) - 64usize];
    ["Offset of field: seg::s_pmtx"][::core::mem::offset_of!(seg, s_pmtx) - 72usize];
    ["Offset of field: seg::s_phead"][::core::mem::offset_of!(seg, s_phead) - 80usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of seg_ops"][::core::mem::size_of::<seg_ops>() - 192usize];
    ["Alignment of seg_ops"][::core::mem::align_of::<seg_ops>() - 8usize];
    ["Offset of field: seg_ops::dup"][::core::mem::offset_of!(seg_ops, dup) - 0usize];
    [
        "Offset of field: seg_ops::unmap",
    ][::core::mem::offset_of!(seg_ops, unmap) - 8usize];
    ["Offset of field: seg_ops::free"][::core::mem::offset_of!(seg_ops, free) - 16usize];
    [
        "Offset of field: seg_ops::fault",
    ][::core::mem::offset_of!(seg_ops, fault) - 24usize];
    [
        "Offset of field: seg_ops::faulta",
    ][::core::mem::offset_of!(seg_ops, faulta) - 32usize];
    [
        "Offset of field: seg_ops::setprot",
    ][::core::mem::offset_of!(seg_ops, setprot) - 40usize];
    [
        "Offset of field: seg_ops::checkprot",
    ][::core::mem::offset_of!(seg_ops, checkprot) - 48usize];
    [
        "Offset of field: seg_ops::kluster",
    ][::core::mem::offset_of!(seg_ops, kluster) - 56usize];
    [
        "Offset of field: seg_ops::swapout",
    ][::core::mem::offset_of!(seg_ops, swapout) - 64usize];
    ["Offset of field: seg_ops::sync"][::core::mem::offset_of!(seg_ops, sync) - 72usize];
    [
        "Offset of field: seg_ops::incore",
    ][::core::mem::offset_of!(seg_ops, incore) - 80usize];
    [
        "Offset of field: seg_ops::lockop",
    ][::core::mem::offset_of!(seg_ops, lockop) - 88usize];
    [
        "Offset of field: seg_ops::getprot",
    ][::core::mem::offset_of!(seg_ops, getprot) - 96usize];
    [
        "Offset of field: seg_ops::getoffset",
    ][::core::mem::offset_of!(seg_ops, getoffset) - 104usize];
    [
        "Offset of field: seg_ops::gettype",
    ][::core::mem::offset_of!(seg_ops, gettype) - 112usize];
    [
        "Offset of field: seg_ops::getvp",
    ][::core::mem::offset_of!(seg_ops, getvp) - 120usize];
    [
        "Offset of field: seg_ops::advise",
    ][::core::mem::offset_of!(seg_ops, advise) - 128usize];
    [
        "Offset of field: seg_ops::dump",
    ][::core::mem::offset_of!(seg_ops, dump) - 136usize];
    [
        "Offset of field: seg_ops::pagelock",
    ][::core::mem::offset_of!(seg_ops, pagelock) - 144usize];
    [
        "Offset of field: seg_ops::setpagesize",
    ][::core::mem::offset_of!(seg_ops, setpagesize) - 152usize];
    [
        "Offset of field: seg_ops::getmemid",
    ][::core::mem::offset_of!(seg_ops, getmemid) - 160usize];
    [
        "Offset of field: seg_ops::getpolicy",
    ][::core::mem::offset_of!(seg_ops, getpolicy) - 168usize];
    [
        "Offset of field: seg_ops::capable",
    ][::core::mem::offset_of!(seg_ops, capable) - 176usize];
    [
        "Offset of field: seg_ops::inherit",
    ][::core::mem::offset_of!(seg_ops, inherit) - 184usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of as_"][::core::mem::size_of::<as_>() - 24usize];
    ["Alignment of as_"][::core::mem::align_of::<as_>() - 8usize];
    [
        "Offset of field: as_::a_contents",
    ][::core::mem::offset_of!(as_, a_contents) - 0usize];
    ["Offset of field: as_::a_flags"][::core::mem::offset_of!(as_, a_flags) - 8usize];
    ["Offset of field: as_::a_vbits"][::core::mem::offset_of!(as_, a_vbits) - 9usize];
    ["Offset of field: as_::a_cv"][::core::mem::offset_of!(as_, a_cv) - 10usize];
    ["Offset of field: as_::a_hat"][::core::mem::offset_of!(as_, a_hat) - 16usize];
};
pub const SE_SHARED: se_t = 0;
pub const SE_EXCL: se_t = 1;
pub const P_RECLAIM: reclaim_t = 0;
pub const P_NO_RECLAIM: reclaim_t = 1;
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of __va_list_tag"][::core::mem::size_of::<__va_list_tag>() - 24usize];
    ["Alignment of __va_list_tag"][::core::mem::align_of::<__va_list_tag>() - 8usize];
    [
        "Offset of field: __va_list_tag::gp_offset",
    ][::core::mem::offset_of!(__va_list_tag, gp_offset) - 0usize];
    [
        "Offset of field: __va_list_tag::fp_offset",
    ][::core::mem::offset_of!(__va_list_tag, fp_offset) - 4usize];
    [
        "Offset of field: __va_list_tag::overflow_arg_area",
    ][::core::mem::offset_of!(__va_list_tag, overflow_arg_area) - 8usize];
    [
        "Offset of field: __va_list_tag::reg_save_area",
    ][::core::mem::offset_of!(__va_list_tag, reg_save_area) - 16usize];
};
/// 64-bit offset, reachable as a whole or as its parts.
#[repr(C)]
#[derive(Copy, Clone)]
pub union lloff {
    pub _f: offset_t,
    pub _p: lloff__bindgen_ty_1,
}
/// 64-bit disk block number, reachable as a whole or as its parts.
#[repr(C)]
#[derive(Copy, Clone)]
pub union lldaddr {
    pub _f: diskaddr_t,
    pub _p: lldaddr__bindgen_ty_1,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub union buf__bindgen_ty_1 {
    pub b_addr: caddr_t,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub union ddi_idevice_cookie {
    pub idu: ddi_idevice_cookie__bindgen_ty_1,
    pub idev_softint: uint_t,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub union ddi_dma_cookie__bindgen_ty_1 {
    pub _dmac_ll: u64,
    pub _dmac_la: [u32; 2usize],
}
#[repr(C)]
#[derive(Copy, Clone)]
pub union kstat_named__bindgen_ty_1 {
    pub c: [core::ffi::c_char; 16usize],
    pub i32_: i32,
    pub ui32: u32,
    pub i64_: i64,
    pub ui64: u64,
    pub l: core::ffi::c_long,
    pub ul: ulong_t,
    pub str_: kstat_named__bindgen_ty_1__bindgen_ty_1,
    pub f: f32,
    pub d: f64,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub union kstat_named__bindgen_ty_1__bindgen_ty_1__bindgen_ty_1 {
    pub ptr: *mut core::ffi::c_char,
    pub __pad: [core::ffi::c_char; 8usize],
}
pub use self::boolean as boolean_t;
/// Where the memory of a request lies.
pub use self::uio_seg as uio_seg_t;
pub use self::uio_rw as uio_rw_t;
/// What a cache's move callback answers.
pub use self::kmem_cbrc as kmem_cbrc_t;
pub use self::vtype as vtype_t;
/// The fields of a queue that strqget and strqset name.
pub use self::qfields as qfields_t;
unsafe extern "C-unwind" {
    /// Moves bytes of a request and advances it. 0 or EFAULT.
    pub fn uiomove(
        addr: *mut core::ffi::c_void,
        nbytes: usize,
        rwflag: uio_rw,
        uiop: *mut uio_t,
    ) -> core::ffi::c_int;
    /// Gives the reader of a request one byte.
    pub fn ureadc(c: core::ffi::c_int, uiop: *mut uio_t) -> core::ffi::c_int;
    /// Takes one byte of a request, -1 at its end.
    pub fn uwritec(uiop: *mut uio) -> core::ffi::c_int;
    /// Atomic: adds.
    pub fn atomic_add_16(p: *mut u16, val: i16);
    /// Atomic: adds; the new value.
    pub fn atomic_add_16_nv(p: *mut u16, val: i16) -> u16;
    /// Atomic: adds.
    pub fn atomic_add_32(p: *mut u32, val: i32);
    /// Atomic: adds; the new value.
    pub fn atomic_add_32_nv(p: *mut u32, val: i32) -> u32;
    /// Atomic: adds.
    pub fn atomic_add_64(p: *mut u64, val: i64);
    /// Atomic: adds; the new value.
    pub fn atomic_add_64_nv(p: *mut u64, val: i64) -> u64;
    /// Atomic: adds.
    pub fn atomic_add_8(p: *mut u8, val: i8);
    /// Atomic: adds; the new value.
    pub fn atomic_add_8_nv(p: *mut u8, val: i8) -> u8;
    /// Atomic: adds.
    pub fn atomic_add_char(p: *mut uchar_t, val: core::ffi::c_schar);
    /// Atomic: adds; the new value.
    pub fn atomic_add_char_nv(p: *mut uchar_t, val: core::ffi::c_schar) -> uchar_t;
    /// Atomic: adds.
    pub fn atomic_add_int(p: *mut uint_t, flag: core::ffi::c_int);
    /// Atomic: adds; the new value.
    pub fn atomic_add_int_nv(p: *mut uint_t, flag: core::ffi::c_int) -> uint_t;
    /// Atomic: adds.
    pub fn atomic_add_long(p: *mut ulong_t, val: core::ffi::c_long);
    /// Atomic: adds; the new value.
    pub fn atomic_add_long_nv(p: *mut ulong_t, val: core::ffi::c_long) -> ulong_t;
    /// Atomic: adds.
    pub fn atomic_add_ptr(p: *mut core::ffi::c_void, val: isize);
    /// Atomic: adds; the new value.
    pub fn atomic_add_ptr_nv(
        p: *mut core::ffi::c_void,
        val: isize,
    ) -> *mut core::ffi::c_void;
    /// Atomic: adds.
    pub fn atomic_add_short(p: *mut ushort_t, val: core::ffi::c_short);
    /// Atomic: adds; the new value.
    pub fn atomic_add_short_nv(p: *mut ushort_t, val: core::ffi::c_short) -> ushort_t;
    /// Atomic: ands.
    pub fn atomic_and_16(p: *mut u16, val: u16);
    /// Atomic: ands; the new value.
    pub fn atomic_and_16_nv(p: *mut u16, val: u16) -> u16;
    /// Atomic: ands.
    pub fn atomic_and_32(p: *mut u32, val: u32);
    /// Atomic: ands; the new value.
    pub fn atomic_and_32_nv(p: *mut u32, val: u32) -> u32;
    /// Atomic: ands.
    pub fn atomic_and_64(p: *mut u64, val: u64);
    /// Atomic: ands; the new value.
    pub fn atomic_and_64_nv(p: *mut u64, val: u64) -> u64;
    /// Atomic: ands.
    pub fn atomic_and_8(p: *mut u8, val: u8);
    /// Atomic: ands; the new value.
    pub fn atomic_and_8_nv(p: *mut u8, val: u8) -> u8;
    /// Atomic: ands.
    pub fn atomic_and_uchar(p: *mut uchar_t, val: uchar_t);
    /// Atomic: ands; the new value.
    pub fn atomic_and_uchar_nv(p: *mut uchar_t, val: uchar_t) -> uchar_t;
    /// Atomic: ands.
    pub fn atomic_and_uint(p: *mut uint_t, flags: uint_t);
    /// Atomic: ands; the new value.
    pub fn atomic_and_uint_nv(p: *mut uint_t, flags: uint_t) -> uint_t;
    /// Atomic: ands.
    pub fn atomic_and_ulong(p: *mut ulong_t, value: ulong_t);
    /// Atomic: ands; the new value.
    pub fn atomic_and_ulong_nv(p: *mut ulong_t, value: ulong_t) -> ulong_t;
    /// Atomic: ands.
    pub fn atomic_and_ushort(p: *mut ushort_t, val: ushort_t);
    /// Atomic: ands; the new value.
    pub fn atomic_and_ushort_nv(p: *mut ushort_t, val: ushort_t) -> ushort_t;
    /// Atomic: stores the third if the second is there; the old value.
    pub fn atomic_cas_16(p: *mut u16, val: u16, val2: u16) -> u16;
    /// Atomic: stores the third if the second is there; the old value.
    pub fn atomic_cas_32(p: *mut u32, val: u32, val2: u32) -> u32;
    /// Atomic: stores the third if the second is there; the old value.
    pub fn atomic_cas_64(p: *mut u64, val: u64, val2: u64) -> u64;
    /// Atomic: stores the third if the second is there; the old value.
    pub fn atomic_cas_8(p: *mut u8, val: u8, val2: u8) -> u8;
    /// Atomic: stores the third if the second is there; the old value.
    pub fn atomic_cas_ptr(
        p: *mut core::ffi::c_void,
        arg: *mut core::ffi::c_void,
        arg2: *mut core::ffi::c_void,
    ) -> *mut core::ffi::c_void;
    /// Atomic: stores the third if the second is there; the old value.
    pub fn atomic_cas_uchar(p: *mut uchar_t, val: uchar_t, val2: uchar_t) -> uchar_t;
    /// Atomic: stores the third if the second is there; the old value.
    pub fn atomic_cas_uint(p: *mut uint_t, flags: uint_t, flags2: uint_t) -> uint_t;
    /// Atomic: stores the third if the second is there; the old value.
    pub fn atomic_cas_ulong(p: *mut ulong_t, value: ulong_t, value2: ulong_t) -> ulong_t;
    /// Atomic: stores the third if the second is there; the old value.
    pub fn atomic_cas_ushort(
        p: *mut ushort_t,
        val: ushort_t,
        val2: ushort_t,
    ) -> ushort_t;
    /// Atomic: clears bit number value; -1 when it was so already.
    pub fn atomic_clear_long_excl(p: *mut ulong_t, flags: uint_t) -> core::ffi::c_int;
    /// Atomic: subtracts 1.
    pub fn atomic_dec_16(p: *mut u16);
    /// Atomic: subtracts 1; the new value.
    pub fn atomic_dec_16_nv(p: *mut u16) -> u16;
    /// Atomic: subtracts 1.
    pub fn atomic_dec_32(p: *mut u32);
    /// Atomic: subtracts 1; the new value.
    pub fn atomic_dec_32_nv(p: *mut u32) -> u32;
    /// Atomic: subtracts 1.
    pub fn atomic_dec_64(p: *mut u64);
    /// Atomic: subtracts 1; the new value.
    pub fn atomic_dec_64_nv(p: *mut u64) -> u64;
    /// Atomic: subtracts 1.
    pub fn atomic_dec_8(p: *mut u8);
    /// Atomic: subtracts 1; the new value.
    pub fn atomic_dec_8_nv(p: *mut u8) -> u8;
    /// Atomic: subtracts 1.
    pub fn atomic_dec_uchar(p: *mut uchar_t);
    /// Atomic: subtracts 1; the new value.
    pub fn atomic_dec_uchar_nv(p: *mut uchar_t) -> uchar_t;
    /// Atomic: subtracts 1.
    pub fn atomic_dec_uint(p: *mut uint_t);
    /// Atomic: subtracts 1; the new value.
    pub fn atomic_dec_uint_nv(p: *mut uint_t) -> uint_t;
    /// Atomic: subtracts 1.
    pub fn atomic_dec_ulong(p: *mut ulong_t);
    /// Atomic: subtracts 1; the new value.
    pub fn atomic_dec_ulong_nv(p: *mut ulong_t) -> ulong_t;
    /// Atomic: subtracts 1.
    pub fn atomic_dec_ushort(p: *mut ushort_t);
    /// Atomic: subtracts 1; the new value.
    pub fn atomic_dec_ushort_nv(p: *mut ushort_t) -> ushort_t;
    /// Atomic: adds 1.
    pub fn atomic_inc_16(p: *mut u16);
    /// Atomic: adds 1; the new value.
    pub fn atomic_inc_16_nv(p: *mut u16) -> u16;
    /// Atomic: adds 1.
    pub fn atomic_inc_32(p: *mut u32);
    /// Atomic: adds 1; the new value.
    pub fn atomic_inc_32_nv(p: *mut u32) -> u32;
    /// Atomic: adds 1.
    pub fn atomic_inc_64(p: *mut u64);
    /// Atomic: adds 1; the new value.
    pub fn atomic_inc_64_nv(p: *mut u64) -> u64;
    /// Atomic: adds 1.
    pub fn atomic_inc_8(p: *mut u8);
    /// Atomic: adds 1; the new value.
    pub fn atomic_inc_8_nv(p: *mut u8) -> u8;
    /// Atomic: adds 1.
    pub fn atomic_inc_uchar(p: *mut uchar_t);
    /// Atomic: adds 1; the new value.
    pub fn atomic_inc_uchar_nv(p: *mut uchar_t) -> uchar_t;
    /// Atomic: adds 1.
    pub fn atomic_inc_uint(p: *mut uint_t);
    /// Atomic: adds 1; the new value.
    pub fn atomic_inc_uint_nv(p: *mut uint_t) -> uint_t;
    /// Atomic: adds 1.
    pub fn atomic_inc_ulong(p: *mut ulong_t);
    /// Atomic: adds 1; the new value.
    pub fn atomic_inc_ulong_nv(p: *mut ulong_t) -> ulong_t;
    /// Atomic: adds 1.
    pub fn atomic_inc_ushort(p: *mut ushort_t);
    /// Atomic: adds 1; the new value.
    pub fn atomic_inc_ushort_nv(p: *mut ushort_t) -> ushort_t;
    /// Atomic: ors.
    pub fn atomic_or_16(p: *mut u16, val: u16);
    /// Atomic: ors; the new value.
    pub fn atomic_or_16_nv(p: *mut u16, val: u16) -> u16;
    /// Atomic: ors.
    pub fn atomic_or_32(p: *mut u32, val: u32);
    /// Atomic: ors; the new value.
    pub fn atomic_or_32_nv(p: *mut u32, val: u32) -> u32;
    /// Atomic: ors.
    pub fn atomic_or_64(p: *mut u64, val: u64);
    /// Atomic: ors; the new value.
    pub fn atomic_or_64_nv(p: *mut u64, val: u64) -> u64;
    /// Atomic: ors.
    pub fn atomic_or_8(p: *mut u8, val: u8);
    /// Atomic: ors; the new value.
    pub fn atomic_or_8_nv(p: *mut u8, val: u8) -> u8;
    /// Atomic: ors.
    pub fn atomic_or_uchar(p: *mut uchar_t, val: uchar_t);
    /// Atomic: ors; the new value.
    pub fn atomic_or_uchar_nv(p: *mut uchar_t, val: uchar_t) -> uchar_t;
    /// Atomic: ors.
    pub fn atomic_or_uint(p: *mut uint_t, flags: uint_t);
    /// Atomic: ors; the new value.
    pub fn atomic_or_uint_nv(p: *mut uint_t, flags: uint_t) -> uint_t;
    /// Atomic: ors.
    pub fn atomic_or_ulong(p: *mut ulong_t, value: ulong_t);
    /// Atomic: ors; the new value.
    pub fn atomic_or_ulong_nv(p: *mut ulong_t, value: ulong_t) -> ulong_t;
    /// Atomic: ors.
    pub fn atomic_or_ushort(p: *mut ushort_t, val: ushort_t);
    /// Atomic: ors; the new value.
    pub fn atomic_or_ushort_nv(p: *mut ushort_t, val: ushort_t) -> ushort_t;
    /// Atomic: sets bit number value; -1 when it was so already.
    pub fn atomic_set_long_excl(p: *mut ulong_t, flags: uint_t) -> core::ffi::c_int;
    /// Atomic: exchanges; the old value.
    pub fn atomic_swap_16(p: *mut u16, val: u16) -> u16;
    /// Atomic: exchanges; the old value.
    pub fn atomic_swap_32(p: *mut u32, val: u32) -> u32;
    /// Atomic: exchanges; the old value.
    pub fn atomic_swap_64(p: *mut u64, val: u64) -> u64;
    /// Atomic: exchanges; the old value.
    pub fn atomic_swap_8(p: *mut u8, val: u8) -> u8;
    /// Atomic: exchanges; the old value.
    pub fn atomic_swap_ptr(
        p: *mut core::ffi::c_void,
        arg: *mut core::ffi::c_void,
    ) -> *mut core::ffi::c_void;
    /// Atomic: exchanges; the old value.
    pub fn atomic_swap_uchar(p: *mut uchar_t, val: uchar_t) -> uchar_t;
    /// Atomic: exchanges; the old value.
    pub fn atomic_swap_uint(p: *mut uint_t, flags: uint_t) -> uint_t;
    /// Atomic: exchanges; the old value.
    pub fn atomic_swap_ulong(p: *mut ulong_t, value: ulong_t) -> ulong_t;
    /// Atomic: exchanges; the old value.
    pub fn atomic_swap_ushort(p: *mut ushort_t, val: ushort_t) -> ushort_t;
    /// Loads before it are done before loads after it.
    pub fn membar_consumer();
    /// For taking a lock: nothing after it is done before.
    pub fn membar_enter();
    /// For giving up a lock: nothing before it is done after.
    pub fn membar_exit();
    /// Stores before it are seen before stores after it.
    pub fn membar_producer();
    /// Inserts; an equal node must not be there.
    pub fn avl_add(tree: *mut avl_tree_t, node: *mut core::ffi::c_void);
    /// An empty tree; the comparison returns exactly -1, 0 or 1.
    pub fn avl_create(
        tree: *mut avl_tree_t,
        compar: ::core::option::Option<
            unsafe extern "C-unwind" fn(
                arg1: *const core::ffi::c_void,
                arg2: *const core::ffi::c_void,
            ) -> core::ffi::c_int,
        >,
        size: usize,
        offset: usize,
    );
    /// Ends an empty tree.
    pub fn avl_destroy(tree: *mut avl_tree_t);
    /// Takes the nodes out one by one, in no order, without rebalancing.
    pub fn avl_destroy_nodes(
        tree: *mut avl_tree_t,
        cookie: *mut *mut core::ffi::c_void,
    ) -> *mut core::ffi::c_void;
    /// The node equal to this one, or NULL and where it would be.
    pub fn avl_find(
        tree: *mut avl_tree_t,
        node: *const core::ffi::c_void,
        where_: *mut avl_index_t,
    ) -> *mut core::ffi::c_void;
    /// The lowest node, or NULL.
    pub fn avl_first(tree: *mut avl_tree_t) -> *mut core::ffi::c_void;
    /// Inserts where avl_find said.
    pub fn avl_insert(
        tree: *mut avl_tree_t,
        node: *mut core::ffi::c_void,
        where_: avl_index_t,
    );
    /// Inserts beside a node.
    pub fn avl_insert_here(
        tree: *mut avl_tree_t,
        new_data: *mut core::ffi::c_void,
        here: *mut core::ffi::c_void,
        direction: core::ffi::c_int,
    );
    /// Whether there are none.
    pub fn avl_is_empty(tree: *mut avl_tree_t) -> boolean_t;
    /// The highest node, or NULL.
    pub fn avl_last(tree: *mut avl_tree_t) -> *mut core::ffi::c_void;
    /// The node beside where avl_find said.
    pub fn avl_nearest(
        tree: *mut avl_tree_t,
        val: avl_index_t,
        flag: core::ffi::c_int,
    ) -> *mut core::ffi::c_void;
    /// Number of nodes.
    pub fn avl_numnodes(tree: *mut avl_tree_t) -> ulong_t;
    /// Removes a node.
    pub fn avl_remove(tree: *mut avl_tree_t, node: *mut core::ffi::c_void);
    /// Exchanges two trees' nodes.
    pub fn avl_swap(tree: *mut avl_tree_t, tree2: *mut avl_tree_t);
    /// Restores the order after a node's key changed.
    pub fn avl_update(tree: *mut avl_tree_t, arg: *mut core::ffi::c_void) -> boolean_t;
    /// The same for an object whose value has become greater.
    pub fn avl_update_gt(
        tree: *mut avl_tree_t,
        arg: *mut core::ffi::c_void,
    ) -> boolean_t;
    /// The same for an object whose value has become less.
    pub fn avl_update_lt(
        tree: *mut avl_tree_t,
        arg: *mut core::ffi::c_void,
    ) -> boolean_t;
    /// The next lower (0) or higher (1) node; AVL_NEXT and AVL_PREV.
    pub fn avl_walk(
        tree: *mut avl_tree,
        node: *mut core::ffi::c_void,
        left: core::ffi::c_int,
    ) -> *mut core::ffi::c_void;
    /// Ends a mutex that nobody holds.
    pub fn mutex_destroy(mutexp: *mut kmutex_t);
    /// Takes the mutex; blocks or spins. Not recursive.
    pub fn mutex_enter(mutexp: *mut kmutex_t);
    /// Gives up the mutex; by its owner.
    pub fn mutex_exit(mutexp: *mut kmutex_t);
    /// Makes a mutex: MUTEX_DRIVER, and an interrupt priority when a handler takes it.
    pub fn mutex_init(
        mutexp: *mut kmutex_t,
        name: *mut core::ffi::c_char,
        type_: kmutex_type_t,
        arg: *mut core::ffi::c_void,
    );
    /// Nonzero when the caller owns it; for assertions.
    pub fn mutex_owned(mutexp: *const kmutex_t) -> core::ffi::c_int;
    /// The owning thread; for debugging.
    pub fn mutex_owner(mutexp: *const kmutex_t) -> *mut _kthread;
    /// Takes the mutex when it is free; nonzero when taken.
    pub fn mutex_tryenter(mutexp: *mut kmutex_t) -> core::ffi::c_int;
    /// Waits until what other processors do with mutexes is seen.
    pub fn mutex_sync();
    /// The files that name the kernel's own pages.
    pub static mut kvps: [behind_vnode; 2usize];
    /// Number of the highest bit set, from 1; 0 for none.
    pub fn highbit(value: ulong_t) -> core::ffi::c_int;
    /// Number of the lowest bit set, from 1; 0 for none.
    pub fn lowbit(value: ulong_t) -> core::ffi::c_int;
    /// Ends one.
    pub fn sema_destroy(semap: *mut ksema_t);
    /// Nonzero when the count is 0; for assertions.
    pub fn sema_held(semap: *mut ksema_t) -> core::ffi::c_int;
    /// Makes a semaphore with a count.
    pub fn sema_init(
        semap: *mut ksema_t,
        value: u32,
        name: *mut core::ffi::c_char,
        type_: ksema_type_t,
        arg: *mut core::ffi::c_void,
    );
    /// Takes one; blocks at 0.
    pub fn sema_p(semap: *mut ksema_t);
    /// Takes one; a signal ends the wait with nonzero.
    pub fn sema_p_sig(semap: *mut ksema_t) -> core::ffi::c_int;
    /// Takes one when there is one; nonzero when taken.
    pub fn sema_tryp(semap: *mut ksema_t) -> core::ffi::c_int;
    /// Gives one.
    pub fn sema_v(semap: *mut ksema_t);
    /// A second buf over part of a first.
    pub fn bioclone(
        bp: *mut buf,
        off: off_t,
        len: usize,
        dev: dev_t,
        val: daddr_t,
        func: ::core::option::Option<
            unsafe extern "C-unwind" fn(arg1: *mut buf) -> core::ffi::c_int,
        >,
        bp2: *mut buf,
        flag: core::ffi::c_int,
    ) -> *mut buf;
    /// Puts a request where the next sweep over the disk comes to it, by b_resid.
    pub fn disksort(dp: *mut diskhd, bp: *mut buf);
    /// A request is done.
    pub fn biodone(bp: *mut buf);
    /// Sets or clears a request's error.
    pub fn bioerror(bp: *mut buf, flag: core::ffi::c_int);
    /// Ends bioinit.
    pub fn biofini(bp: *mut buf);
    /// Makes a buf in memory of the driver's own.
    pub fn bioinit(bp: *mut buf);
    /// Whether somebody wrote to the memory behind a request.
    pub fn biomodified(bp: *mut buf) -> core::ffi::c_int;
    /// Makes a buf fit for another use.
    pub fn bioreset(bp: *mut buf);
    /// Size of a buf.
    pub fn biosize() -> usize;
    /// Waits for a request. Its error.
    pub fn biowait(bp: *mut buf) -> core::ffi::c_int;
    /// Copies from a request's memory.
    pub fn bp_copyin(
        bp: *mut buf,
        arg: *mut core::ffi::c_void,
        off: offset_t,
        len: usize,
    ) -> core::ffi::c_int;
    /// Copies to a request's memory.
    pub fn bp_copyout(
        arg: *mut core::ffi::c_void,
        bp: *mut buf,
        off: offset_t,
        len: usize,
    ) -> core::ffi::c_int;
    /// Gives a request's memory a kernel address.
    pub fn bp_mapin(bp: *mut buf);
    /// Ends bp_mapin.
    pub fn bp_mapout(bp: *mut buf);
    /// Zeroes a request's memory.
    pub fn clrbuf(bp: *mut buf);
    /// A request's error.
    pub fn geterror(bp: *mut buf) -> core::ffi::c_int;
    /// Network byte order. Only in the 2015 headers; a function of the kernel in both.
    pub fn htonl(val: u32) -> u32;
    /// Network byte order. Only in the 2015 headers; a function of the kernel in both.
    pub fn htonll(val: u64) -> u64;
    /// Network byte order. Only in the 2015 headers; a function of the kernel in both.
    pub fn htons(val: u16) -> u16;
    /// Host byte order. Only in the 2015 headers; a function of the kernel in both.
    pub fn ntohl(val: u32) -> u32;
    /// Host byte order. Only in the 2015 headers; a function of the kernel in both.
    pub fn ntohll(val: u64) -> u64;
    /// Host byte order. Only in the 2015 headers; a function of the kernel in both.
    pub fn ntohs(val: u16) -> u16;
    /// Ticks since boot.
    pub fn ddi_get_lbolt() -> clock_t;
    /// Ticks since boot, 64 bits.
    pub fn ddi_get_lbolt64() -> i64;
    /// Wall clock.
    pub fn gethrestime(p: *mut timespec_t);
    /// Nanoseconds since boot.
    pub fn gethrtime() -> hrtime_t;
    /// Nanoseconds as a timespec.
    pub fn hrt2ts(hrt: hrtime_t, p: *mut timestruc_t);
    /// Nanoseconds as a timeval.
    pub fn hrt2tv(hrt: hrtime_t, p: *mut timeval);
    /// Adds a time to another.
    pub fn timevaladd(p: *mut timeval, add: *mut timeval);
    /// Takes a time from another.
    pub fn timevalsub(p: *mut timeval, sub: *mut timeval);
    /// A timespec as nanoseconds.
    pub fn ts2hrt(p: *const timestruc_t) -> hrtime_t;
    /// A timeval as nanoseconds.
    pub fn tv2hrt(p: *mut timeval) -> hrtime_t;
    /// 1000 / hz, or 0 when ticks are shorter.
    pub static mut msec_per_tick: core::ffi::c_int;
    /// Nanoseconds in a tick.
    pub static mut nsec_per_tick: core::ffi::c_int;
    /// hz / 1000, or 0 when ticks are longer.
    pub static mut tick_per_msec: core::ffi::c_int;
    /// Microseconds in a tick.
    pub static mut usec_per_tick: core::ffi::c_int;
    /// Wakes every waiter.
    pub fn cv_broadcast(cvp: *mut kcondvar_t);
    /// Ends one that nobody waits for.
    pub fn cv_destroy(cvp: *mut kcondvar_t);
    /// Makes a condition variable.
    pub fn cv_init(
        cvp: *mut kcondvar_t,
        name: *mut core::ffi::c_char,
        type_: kcv_type_t,
        arg: *mut core::ffi::c_void,
    );
    /// cv_wait for some ticks: -1 when they are over, else positive.
    pub fn cv_reltimedwait(
        cvp: *mut kcondvar_t,
        mutexp: *mut kmutex_t,
        delta: clock_t,
        res: time_res_t,
    ) -> clock_t;
    /// cv_wait for some ticks or until a signal: -1, 0 or positive.
    pub fn cv_reltimedwait_sig(
        cvp: *mut kcondvar_t,
        mutexp: *mut kmutex_t,
        delta: clock_t,
        res: time_res_t,
    ) -> clock_t;
    /// Wakes one waiter.
    pub fn cv_signal(cvp: *mut kcondvar_t);
    /// cv_wait until an absolute lbolt: -1 then, else positive.
    pub fn cv_timedwait(
        cvp: *mut kcondvar_t,
        mutexp: *mut kmutex_t,
        timeout: clock_t,
    ) -> clock_t;
    /// cv_wait until a gethrtime or for a time, with a resolution.
    pub fn cv_timedwait_hires(
        cvp: *mut kcondvar_t,
        mutexp: *mut kmutex_t,
        timeout: hrtime_t,
        resolution: hrtime_t,
        flag: core::ffi::c_int,
    ) -> clock_t;
    /// cv_wait until an absolute lbolt or a signal: -1, 0 or positive.
    pub fn cv_timedwait_sig(
        cvp: *mut kcondvar_t,
        mutexp: *mut kmutex_t,
        timeout: clock_t,
    ) -> clock_t;
    /// Gives up the mutex, waits, takes it again. May wake for no reason.
    pub fn cv_wait(cvp: *mut kcondvar_t, mutexp: *mut kmutex_t);
    /// cv_wait that a signal ends: 0 then, else positive.
    pub fn cv_wait_sig(cvp: *mut kcondvar_t, mutexp: *mut kmutex_t) -> core::ffi::c_int;
    /// Waits, signals allowed, until a gethrtime(9F) time.
    pub fn cv_timedwait_sig_hrtime(
        cvp: *mut kcondvar_t,
        mutexp: *mut kmutex_t,
        timeout: hrtime_t,
    ) -> core::ffi::c_int;
    /// Waits, signals allowed, until a time of day; for ever when it is NULL.
    pub fn cv_waituntil_sig(
        cvp: *mut kcondvar_t,
        mutexp: *mut kmutex_t,
        when: *mut timestruc_t,
        timecheck: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// cv_wait that does not keep a process from being stopped.
    pub fn cv_wait_stop(
        cvp: *mut kcondvar_t,
        mutexp: *mut kmutex_t,
        wakeup_time: core::ffi::c_int,
    );
    /// cv_wait_sig that says apart whether a signal came.
    pub fn cv_wait_sig_swap_core(
        cvp: *mut kcondvar_t,
        mutexp: *mut kmutex_t,
        sigret: *mut core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Asks to be called at suspend and resume.
    pub fn callb_add(
        func: ::core::option::Option<
            unsafe extern "C-unwind" fn(
                arg1: *mut core::ffi::c_void,
                arg2: core::ffi::c_int,
            ) -> boolean_t,
        >,
        arg: *mut core::ffi::c_void,
        class: core::ffi::c_int,
        name: *mut core::ffi::c_char,
    ) -> callb_id_t;
    /// Ends callb_add.
    pub fn callb_delete(val: callb_id_t) -> core::ffi::c_int;
    /// The callback that kernel threads use to stop at a safe place.
    pub fn callb_generic_cpr(
        arg: *mut core::ffi::c_void,
        flag: core::ffi::c_int,
    ) -> boolean_t;
    /// A message at a CE_ level. First character: ! log only, ^ console only, ? verbose boot only.
    pub fn cmn_err(level: core::ffi::c_int, format: *const core::ffi::c_char, ...);
    /// cmn_err with the instance's name in front.
    pub fn dev_err(
        dip: *mut dev_info_t,
        level: core::ffi::c_int,
        format: *mut core::ffi::c_char,
        ...
    );
    /// Ends the system.
    pub fn panic(format: *const core::ffi::c_char, ...) -> !;
    /// A message to the console and the log.
    pub fn printf(format: *const core::ffi::c_char, ...);
    /// Formats into a buffer of some size; returns the length that the whole would have.
    pub fn snprintf(
        buf: *mut core::ffi::c_char,
        size: usize,
        format: *const core::ffi::c_char,
        ...
    ) -> usize;
    /// Formats into a buffer; returns the buffer.
    pub fn sprintf(
        buf: *mut core::ffi::c_char,
        format: *const core::ffi::c_char,
        ...
    ) -> *mut core::ffi::c_char;
    /// A message to the calling process's terminal.
    pub fn uprintf(format: *const core::ffi::c_char, ...);
    /// cmn_err with a va_list.
    pub fn vcmn_err(
        level: core::ffi::c_int,
        format: *const core::ffi::c_char,
        ap: *mut __va_list_tag,
    );
    /// dev_err with a va_list.
    pub fn vdev_err(
        dip: *mut dev_info_t,
        level: core::ffi::c_int,
        format: *const core::ffi::c_char,
        ap: *mut __va_list_tag,
    );
    /// panic with a va_list.
    pub fn vpanic(format: *const core::ffi::c_char, ap: *mut __va_list_tag) -> !;
    /// printf with a va_list.
    pub fn vprintf(format: *const core::ffi::c_char, ap: *mut __va_list_tag);
    /// snprintf with a va_list.
    pub fn vsnprintf(
        buf: *mut core::ffi::c_char,
        size: usize,
        format: *const core::ffi::c_char,
        ap: *mut __va_list_tag,
    ) -> usize;
    /// sprintf with a va_list.
    pub fn vsprintf(
        buf: *mut core::ffi::c_char,
        format: *const core::ffi::c_char,
        ap: *mut __va_list_tag,
    ) -> *mut core::ffi::c_char;
    /// uprintf with a va_list.
    pub fn vuprintf(format: *const core::ffi::c_char, ap: *mut __va_list_tag);
    /// zcmn_err with a va_list.
    pub fn vzcmn_err(
        zoneid: zoneid_t,
        level: core::ffi::c_int,
        format: *const core::ffi::c_char,
        ap: *mut __va_list_tag,
    );
    /// cmn_err to one zone.
    pub fn zcmn_err(
        zoneid: zoneid_t,
        level: core::ffi::c_int,
        format: *const core::ffi::c_char,
        ...
    );
    /// zprintf with a va_list.
    pub fn vzprintf(
        zoneid: zoneid_t,
        fmt: *const core::ffi::c_char,
        ap: *mut __va_list_tag,
    );
    /// printf to one zone.
    pub fn zprintf(zoneid: zoneid_t, fmt: *const core::ffi::c_char, ...);
    /// Calls a driver's mmap(9E); internal.
    pub fn cdev_mmap(
        mapfunc: ::core::option::Option<
            unsafe extern "C-unwind" fn(
                arg1: dev_t,
                arg2: off_t,
                arg3: core::ffi::c_int,
            ) -> core::ffi::c_int,
        >,
        dev: dev_t,
        off: off_t,
        prot: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Drivers' operations by major number; internal.
    pub static mut devopsp: *mut *mut dev_ops;
    /// Processors that there can be.
    pub static mut max_ncpus: core::ffi::c_int;
    /// Processors present.
    pub static mut ncpus: core::ffi::c_int;
    /// Processors in use.
    pub static mut ncpus_online: core::ffi::c_int;
    /// Effective group.
    pub fn crgetgid(credp: *const cred_t) -> gid_t;
    /// Supplementary groups.
    pub fn crgetgroups(credp: *const cred_t) -> *const gid_t;
    /// Number of supplementary groups.
    pub fn crgetngroups(credp: *const cred_t) -> core::ffi::c_int;
    /// Real group.
    pub fn crgetrgid(credp: *const cred_t) -> gid_t;
    /// Real user.
    pub fn crgetruid(credp: *const cred_t) -> uid_t;
    /// Saved group.
    pub fn crgetsgid(credp: *const cred_t) -> gid_t;
    /// Saved user.
    pub fn crgetsuid(credp: *const cred_t) -> uid_t;
    /// Effective user.
    pub fn crgetuid(credp: *const cred_t) -> uid_t;
    /// Zone.
    pub fn crgetzoneid(credp: *const cred_t) -> zoneid_t;
    /// Whether the credential is in the group.
    pub fn groupmember(gid: gid_t, credp: *const cred_t) -> core::ffi::c_int;
    /// The kernel's own credential.
    pub static mut kcred: *mut cred;
    /// The caller's credential, not held.
    pub fn ddi_get_cred() -> *mut cred_t;
    /// A copy.
    pub fn crdup(credp: *mut cred_t) -> *mut cred_t;
    /// Gives a hold up.
    pub fn crfree(credp: *mut cred_t);
    /// A new credential.
    pub fn crget() -> *mut cred_t;
    /// Number of holds.
    pub fn crgetref(credp: *const cred_t) -> uint_t;
    /// Holds a credential.
    pub fn crhold(credp: *mut cred_t);
    /// Returns the page frame of a kernel address.
    pub fn kvtoppid(addr: caddr_t) -> ppid_t;
    /// Returns whether a message of this type carries data.
    pub fn datamsg(type_: core::ffi::c_uchar) -> core::ffi::c_int;
    /// Associates a queue with an instance.
    pub fn qassociate(q: *mut queue_t, instance: core::ffi::c_int) -> core::ffi::c_int;
    /// Minor number of a device number.
    pub fn getminor(dev: dev_t) -> minor_t;
    /// The device number of a major and a minor number.
    pub fn makedevice(majnum: major_t, minnum: minor_t) -> dev_t;
    /// Major number of a device number.
    pub fn getmajor(dev: dev_t) -> major_t;
    /// External major number, as processes see it.
    pub fn getemajor(dev: dev_t) -> major_t;
    /// External minor number, as processes see it.
    pub fn geteminor(dev: dev_t) -> minor_t;
    /// 0 when the credential may do privileged device operations, else EPERM.
    pub fn drv_priv(credp: *mut cred) -> core::ffi::c_int;
    /// Microseconds in ticks, rounded up.
    pub fn drv_usectohz(microsecs: clock_t) -> clock_t;
    /// Sleeps for some ticks.
    pub fn delay(ticks: clock_t);
    /// delay that a signal ends: EINTR then, else 0.
    pub fn delay_sig(ticks: clock_t) -> core::ffi::c_int;
    /// Busy wait in microseconds.
    pub fn drv_usecwait(microsecs: clock_t);
    /// Ticks in microseconds.
    pub fn drv_hztousec(hertz: clock_t) -> clock_t;
    /// Bytes in whole pages, rounded up.
    pub fn btopr(value: core::ffi::c_ulong) -> core::ffi::c_ulong;
    /// Pages in bytes.
    pub fn ptob(value: core::ffi::c_ulong) -> core::ffi::c_ulong;
    /// Bytes in whole pages, rounded down.
    pub fn btop(value: core::ffi::c_ulong) -> core::ffi::c_ulong;
    /// Frees getrbuf's buf.
    pub fn freerbuf(bp: *mut buf);
    /// A buf, or NULL; freed with freerbuf.
    pub fn getrbuf(flag: core::ffi::c_int) -> *mut buf;
    /// A device number in its old 16-bit form.
    pub fn cmpdev(dev: dev_t) -> o_dev_t;
    /// One value of the kernel by number.
    pub fn drv_getparm(parm: uint_t, valuep: *mut core::ffi::c_void) -> core::ffi::c_int;
    /// drv_getparm's other way; for counters.
    pub fn drv_setparm(parm: uint_t, value: ulong_t) -> core::ffi::c_int;
    /// External to internal major number.
    pub fn etoimajor(emajnum: major_t) -> core::ffi::c_int;
    /// Internal to external major number.
    pub fn itoemajor(imajnum: major_t, lastemaj: core::ffi::c_int) -> core::ffi::c_int;
    /// The greater.
    pub fn max(a: core::ffi::c_int, b: core::ffi::c_int) -> core::ffi::c_int;
    /// The lesser.
    pub fn min(a: core::ffi::c_int, b: core::ffi::c_int) -> core::ffi::c_int;
    /// A device number from its old 16-bit form.
    pub fn expdev(dev: dev_t) -> dev_t;
    /// The lbolt that is some ticks away.
    pub fn time_to_wait(p: *mut clock_t, ticks: clock_t);
    /// Sets a handler; old.
    pub fn ddi_add_intr(
        dip: *mut dev_info_t,
        inumber: uint_t,
        iblock_cookiep: *mut ddi_iblock_cookie_t,
        idevice_cookiep: *mut ddi_idevice_cookie_t,
        handler: ::core::option::Option<
            unsafe extern "C-unwind" fn(arg1: caddr_t) -> uint_t,
        >,
        arg: caddr_t,
    ) -> core::ffi::c_int;
    /// A soft interrupt; old.
    pub fn ddi_add_softintr(
        dip: *mut dev_info_t,
        flag: core::ffi::c_int,
        p: *mut ddi_softintr_t,
        p2: *mut ddi_iblock_cookie_t,
        p3: *mut ddi_idevice_cookie_t,
        func: ::core::option::Option<
            unsafe extern "C-unwind" fn(arg1: caddr_t) -> uint_t,
        >,
        addr: caddr_t,
    ) -> core::ffi::c_int;
    /// Number of interrupts.
    pub fn ddi_dev_nintrs(
        dip: *mut dev_info_t,
        valp: *mut core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Priority cookie of an interrupt, for mutex_init; old.
    pub fn ddi_get_iblock_cookie(
        dip: *mut dev_info_t,
        inumber: uint_t,
        iblock_cookiep: *mut ddi_iblock_cookie_t,
    ) -> core::ffi::c_int;
    /// The same for a soft interrupt; old.
    pub fn ddi_get_soft_iblock_cookie(
        dip: *mut dev_info_t,
        flag: core::ffi::c_int,
        p: *mut ddi_iblock_cookie_t,
    ) -> core::ffi::c_int;
    /// Sets the handler.
    pub fn ddi_intr_add_handler(
        handle: ddi_intr_handle_t,
        val: ddi_intr_handler_t,
        arg: *mut core::ffi::c_void,
        arg2: *mut core::ffi::c_void,
    ) -> core::ffi::c_int;
    /// A soft interrupt.
    pub fn ddi_intr_add_softint(
        dip: *mut dev_info_t,
        p: *mut ddi_softint_handle_t,
        flag: core::ffi::c_int,
        val: ddi_intr_handler_t,
        arg: *mut core::ffi::c_void,
    ) -> core::ffi::c_int;
    /// Allocates interrupts of a kind.
    pub fn ddi_intr_alloc(
        dip: *mut dev_info_t,
        handlep: *mut ddi_intr_handle_t,
        flag: core::ffi::c_int,
        flag2: core::ffi::c_int,
        flag3: core::ffi::c_int,
        valp: *mut core::ffi::c_int,
        flag4: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Stops the block.
    pub fn ddi_intr_block_disable(
        handlep: *mut ddi_intr_handle_t,
        flag: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Lets a block of MSI interrupts happen.
    pub fn ddi_intr_block_enable(
        handlep: *mut ddi_intr_handle_t,
        flag: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Unmasks it.
    pub fn ddi_intr_clr_mask(handle: ddi_intr_handle_t) -> core::ffi::c_int;
    /// Stops it.
    pub fn ddi_intr_disable(handle: ddi_intr_handle_t) -> core::ffi::c_int;
    /// Shares a handler among MSI-X vectors.
    pub fn ddi_intr_dup_handler(
        handle: ddi_intr_handle_t,
        flag: core::ffi::c_int,
        handlep: *mut ddi_intr_handle_t,
    ) -> core::ffi::c_int;
    /// Lets the interrupt happen.
    pub fn ddi_intr_enable(handle: ddi_intr_handle_t) -> core::ffi::c_int;
    /// Frees one.
    pub fn ddi_intr_free(handle: ddi_intr_handle_t) -> core::ffi::c_int;
    /// What the interrupt can do.
    pub fn ddi_intr_get_cap(
        handle: ddi_intr_handle_t,
        valp: *mut core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// The lowest priority at which nothing may block.
    pub fn ddi_intr_get_hilevel_pri() -> uint_t;
    /// Number of interrupts of a kind that can be had.
    pub fn ddi_intr_get_navail(
        dip: *mut dev_info_t,
        flag: core::ffi::c_int,
        valp: *mut core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Number of interrupts of a kind.
    pub fn ddi_intr_get_nintrs(
        dip: *mut dev_info_t,
        flag: core::ffi::c_int,
        valp: *mut core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Whether it is pending.
    pub fn ddi_intr_get_pending(
        handle: ddi_intr_handle_t,
        valp: *mut core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Priority, for locks that the handler takes.
    pub fn ddi_intr_get_pri(
        handle: ddi_intr_handle_t,
        countp: *mut uint_t,
    ) -> core::ffi::c_int;
    /// Priority of a soft interrupt.
    pub fn ddi_intr_get_softint_pri(
        val: ddi_softint_handle_t,
        countp: *mut uint_t,
    ) -> core::ffi::c_int;
    /// Kinds of interrupt that the device has.
    pub fn ddi_intr_get_supported_types(
        dip: *mut dev_info_t,
        valp: *mut core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Nonzero when the interrupt is above the scheduler; old.
    pub fn ddi_intr_hilevel(dip: *mut dev_info_t, flags: uint_t) -> core::ffi::c_int;
    /// Removes the handler.
    pub fn ddi_intr_remove_handler(handle: ddi_intr_handle_t) -> core::ffi::c_int;
    /// Ends ddi_intr_add_softint.
    pub fn ddi_intr_remove_softint(val: ddi_softint_handle_t) -> core::ffi::c_int;
    /// Chooses level or edge.
    pub fn ddi_intr_set_cap(
        handle: ddi_intr_handle_t,
        flag: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Masks it.
    pub fn ddi_intr_set_mask(handle: ddi_intr_handle_t) -> core::ffi::c_int;
    /// Asks for a number of interrupts.
    pub fn ddi_intr_set_nreq(
        dip: *mut dev_info_t,
        flag: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Changes the priority.
    pub fn ddi_intr_set_pri(
        handle: ddi_intr_handle_t,
        flags: uint_t,
    ) -> core::ffi::c_int;
    /// Changes it.
    pub fn ddi_intr_set_softint_pri(
        val: ddi_softint_handle_t,
        flags: uint_t,
    ) -> core::ffi::c_int;
    /// Makes the soft interrupt happen.
    pub fn ddi_intr_trigger_softint(
        val: ddi_softint_handle_t,
        arg: *mut core::ffi::c_void,
    ) -> core::ffi::c_int;
    /// Removes it; old.
    pub fn ddi_remove_intr(
        dip: *mut dev_info_t,
        flags: uint_t,
        val: ddi_iblock_cookie_t,
    );
    /// Ends ddi_add_softintr; old.
    pub fn ddi_remove_softintr(val: ddi_softintr_t);
    /// Makes it happen; old.
    pub fn ddi_trigger_softintr(val: ddi_softintr_t);
    /// Forgets them.
    pub fn ddi_fm_acc_err_clear(handle: ddi_acc_handle_t, flag: core::ffi::c_int);
    /// Errors of register accesses.
    pub fn ddi_fm_acc_err_get(
        handle: ddi_acc_handle_t,
        p: *mut ddi_fm_error_t,
        flag: core::ffi::c_int,
    );
    /// What was agreed in ddi_fm_init.
    pub fn ddi_fm_capable(dip: *mut dev_info_t) -> core::ffi::c_int;
    /// Forgets them.
    pub fn ddi_fm_dma_err_clear(handle: ddi_dma_handle_t, flag: core::ffi::c_int);
    /// Errors of DMA.
    pub fn ddi_fm_dma_err_get(
        handle: ddi_dma_handle_t,
        p: *mut ddi_fm_error_t,
        flag: core::ffi::c_int,
    );
    /// Posts an error report.
    pub fn ddi_fm_ereport_post(
        dip: *mut dev_info_t,
        name: *const core::ffi::c_char,
        val: u64,
        flag: core::ffi::c_int,
        ...
    );
    /// Ends ddi_fm_init.
    pub fn ddi_fm_fini(dip: *mut dev_info_t);
    /// Asks to be called about errors.
    pub fn ddi_fm_handler_register(
        dip: *mut dev_info_t,
        val: ddi_err_func_t,
        arg: *mut core::ffi::c_void,
    );
    /// Ends ddi_fm_handler_register.
    pub fn ddi_fm_handler_unregister(dip: *mut dev_info_t);
    /// Says what the driver can do about faults, and learns what the system can.
    pub fn ddi_fm_init(
        dip: *mut dev_info_t,
        valp: *mut core::ffi::c_int,
        p: *mut ddi_iblock_cookie_t,
    );
    /// Says what a fault means for the service.
    pub fn ddi_fm_service_impact(dip: *mut dev_info_t, flag: core::ffi::c_int);
    /// A failed assertion; does not return.
    pub fn assfail(
        expr: *const core::ffi::c_char,
        file: *const core::ffi::c_char,
        line: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// A failed comparison, with both values; does not return.
    pub fn assfail3(
        expr: *const core::ffi::c_char,
        left: uintmax_t,
        op: *const core::ffi::c_char,
        right: uintmax_t,
        file: *const core::ffi::c_char,
        line: core::ffi::c_int,
    );
    /// A piece of the arena.
    pub fn vmem_alloc(
        vmp: *mut vmem_t,
        size: usize,
        vmflag: core::ffi::c_int,
    ) -> *mut core::ffi::c_void;
    /// An arena of numbers or addresses.
    pub fn vmem_create(
        name: *const core::ffi::c_char,
        base: *mut core::ffi::c_void,
        size: usize,
        quantum: usize,
        afunc: vmem_alloc_t,
        ffunc: vmem_free_t,
        source: *mut vmem_t,
        qcache_max: usize,
        vmflag: core::ffi::c_int,
    ) -> *mut vmem_t;
    /// Ends an arena; everything must be back.
    pub fn vmem_destroy(vmp: *mut vmem_t);
    /// Gives a piece back.
    pub fn vmem_free(vmp: *mut vmem_t, vaddr: *mut core::ffi::c_void, size: usize);
    /// A piece with alignment and bounds.
    pub fn vmem_xalloc(
        vmp: *mut vmem_t,
        size: usize,
        align: usize,
        phase: usize,
        nocross: usize,
        minaddr: *mut core::ffi::c_void,
        maxaddr: *mut core::ffi::c_void,
        vmflag: core::ffi::c_int,
    ) -> *mut core::ffi::c_void;
    /// Gives vmem_xalloc's piece back.
    pub fn vmem_xfree(vmp: *mut vmem_t, vaddr: *mut core::ffi::c_void, size: usize);
    /// The arena of kernel addresses; internal.
    pub static mut heap_arena: *mut vmem_t;
    /// Kernel memory; KM_SLEEP blocks and never fails, KM_NOSLEEP may give NULL.
    pub fn kmem_alloc(size: usize, flag: core::ffi::c_int) -> *mut core::ffi::c_void;
    /// One constructed object.
    pub fn kmem_cache_alloc(
        cp: *mut kmem_cache_t,
        kmflag: core::ffi::c_int,
    ) -> *mut core::ffi::c_void;
    /// A cache of objects of one size, with constructor and destructor.
    pub fn kmem_cache_create(
        name: *mut core::ffi::c_char,
        bufsize: usize,
        align: usize,
        constructor: ::core::option::Option<
            unsafe extern "C-unwind" fn(
                arg1: *mut core::ffi::c_void,
                arg2: *mut core::ffi::c_void,
                arg3: core::ffi::c_int,
            ) -> core::ffi::c_int,
        >,
        destructor: ::core::option::Option<
            unsafe extern "C-unwind" fn(
                arg1: *mut core::ffi::c_void,
                arg2: *mut core::ffi::c_void,
            ),
        >,
        reclaim: ::core::option::Option<
            unsafe extern "C-unwind" fn(arg1: *mut core::ffi::c_void),
        >,
        private: *mut core::ffi::c_void,
        vmp: *mut vmem_t,
        cflags: core::ffi::c_int,
    ) -> *mut kmem_cache_t;
    /// Ends a cache; every object must be back.
    pub fn kmem_cache_destroy(cp: *mut kmem_cache_t);
    /// Gives an object back, in constructed state.
    pub fn kmem_cache_free(cp: *mut kmem_cache_t, obj: *mut core::ffi::c_void);
    /// Frees what the cache holds in reserve. Only in the 2015 headers; a function of the kernel in
    /// both.
    pub fn kmem_cache_reap_now(cache: *mut kmem_cache_t);
    /// Lets the allocator move objects.
    pub fn kmem_cache_set_move(
        cp: *mut kmem_cache_t,
        move_: ::core::option::Option<
            unsafe extern "C-unwind" fn(
                arg1: *mut core::ffi::c_void,
                arg2: *mut core::ffi::c_void,
                arg3: usize,
                arg4: *mut core::ffi::c_void,
            ) -> kmem_cbrc_t,
        >,
    );
    /// Bytes that could be allocated.
    pub fn kmem_avail() -> usize;
    /// Bytes that could be allocated at once.
    pub fn kmem_maxavail() -> usize;
    /// Returns whether memory is checked.
    pub fn kmem_debugging() -> core::ffi::c_int;
    /// Memory without sleeping; *asize is what to free.
    pub fn kmem_alloc_tryhard(
        size: usize,
        asize: *mut usize,
        kmflag: core::ffi::c_int,
    ) -> *mut core::ffi::c_void;
    /// Gives back what the allocator holds in reserve.
    pub fn kmem_reap();
    /// A number about a cache, by its name.
    pub fn kmem_cache_stat(cp: *mut kmem_cache_t, name: *mut core::ffi::c_char) -> u64;
    /// The object could be moved now.
    pub fn kmem_cache_move_notify(cp: *mut kmem_cache_t, buf: *mut core::ffi::c_void);
    /// Frees memory; the size must be the allocated one.
    pub fn kmem_free(buf: *mut core::ffi::c_void, size: usize);
    /// kmem_alloc, zeroed.
    pub fn kmem_zalloc(size: usize, flag: core::ffi::c_int) -> *mut core::ffi::c_void;
    /// Gives unused identifiers back.
    pub fn kmem_reap_idspace();
    /// Lists in a buffer of the driver's, given to nv_alloc_init(9F) with its size.
    pub static mut nv_fixed_ops: *const nv_alloc_ops_t;
    /// kmem_alloc(9F) with KM_NOSLEEP.
    pub static mut nv_alloc_nosleep: *mut nv_alloc_t;
    /// kmem_alloc(9F) with KM_SLEEP.
    pub static mut nv_alloc_sleep: *mut nv_alloc_t;
    /// nv_alloc_init(9F). What follows goes to nv_ao_init. 0 or an errno.
    pub fn nv_alloc_init(
        nva: *mut nv_alloc_t,
        ops: *const nv_alloc_ops_t,
        ...
    ) -> core::ffi::c_int;
    /// nv_alloc_init(9F): as if nothing had been allocated.
    pub fn nv_alloc_reset(nva: *mut nv_alloc_t);
    /// nv_alloc_init(9F): the allocator goes.
    pub fn nv_alloc_fini(nva: *mut nv_alloc_t);
    /// nvlist_alloc(9F). 0, EINVAL or ENOMEM.
    pub fn nvlist_alloc(
        nvlp: *mut *mut nvlist_t,
        nvflag: uint_t,
        kmflag: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// nvlist_alloc(9F), from an allocator.
    pub fn nvlist_xalloc(
        nvlp: *mut *mut nvlist_t,
        nvflag: uint_t,
        nva: *mut nv_alloc_t,
    ) -> core::ffi::c_int;
    /// nvlist_alloc(9F): with everything on it.
    pub fn nvlist_free(nvl: *mut nvlist_t);
    /// nvlist_alloc(9F): the bytes that packing takes.
    pub fn nvlist_size(
        nvl: *mut nvlist_t,
        size: *mut usize,
        encoding: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// nvlist_alloc(9F): into *bufp, or into new memory when that is NULL.
    pub fn nvlist_pack(
        nvl: *mut nvlist_t,
        bufp: *mut *mut core::ffi::c_char,
        buflen: *mut usize,
        encoding: core::ffi::c_int,
        kmflag: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// nvlist_alloc(9F): new memory from an allocator.
    pub fn nvlist_xpack(
        nvl: *mut nvlist_t,
        bufp: *mut *mut core::ffi::c_char,
        buflen: *mut usize,
        encoding: core::ffi::c_int,
        nva: *mut nv_alloc_t,
    ) -> core::ffi::c_int;
    /// nvlist_alloc(9F): a new list of what was packed. EFAULT when that is no list.
    pub fn nvlist_unpack(
        buf: *mut core::ffi::c_char,
        buflen: usize,
        nvlp: *mut *mut nvlist_t,
        kmflag: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// nvlist_alloc(9F): from an allocator.
    pub fn nvlist_xunpack(
        buf: *mut core::ffi::c_char,
        buflen: usize,
        nvlp: *mut *mut nvlist_t,
        nva: *mut nv_alloc_t,
    ) -> core::ffi::c_int;
    /// nvlist_alloc(9F): a copy.
    pub fn nvlist_dup(
        nvl: *mut nvlist_t,
        nvlp: *mut *mut nvlist_t,
        kmflag: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// nvlist_alloc(9F): a copy from an allocator.
    pub fn nvlist_xdup(
        nvl: *mut nvlist_t,
        nvlp: *mut *mut nvlist_t,
        nva: *mut nv_alloc_t,
    ) -> core::ffi::c_int;
    /// nvlist_alloc(9F): what is on nvl is added to dst.
    pub fn nvlist_merge(
        dst: *mut nvlist_t,
        nvl: *mut nvlist_t,
        flag: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// nvlist_alloc(9F): the list's allocator.
    pub fn nvlist_lookup_nv_alloc(nvl: *mut nvlist_t) -> *mut nv_alloc_t;
    /// The flags it was made with.
    pub fn nvlist_nvflag(nvl: *mut nvlist_t) -> uint_t;
    /// Is nothing on it?
    pub fn nvlist_empty(nvl: *mut nvlist_t) -> boolean_t;
    /// nvlist_add_boolean(9F): a copy of a pair. 0, EINVAL or ENOMEM.
    pub fn nvlist_add_nvpair(nvl: *mut nvlist_t, nvp: *mut nvpair_t) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_boolean(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_boolean_value(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: boolean_t,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_byte(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: uchar_t,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_int8(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: i8,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_uint8(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: u8,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_int16(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: i16,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_uint16(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: u16,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_int32(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: i32,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_uint32(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: u32,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_int64(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: i64,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_uint64(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: u64,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_hrtime(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: hrtime_t,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_string(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *const core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F): a copy of the list.
    pub fn nvlist_add_nvlist(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut nvlist_t,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_boolean_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut boolean_t,
        nelem: uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_byte_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut uchar_t,
        nelem: uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_int8_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut i8,
        nelem: uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_uint8_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut u8,
        nelem: uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_int16_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut i16,
        nelem: uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_uint16_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut u16,
        nelem: uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_int32_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut i32,
        nelem: uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_uint32_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut u32,
        nelem: uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_int64_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut i64,
        nelem: uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_uint64_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut u64,
        nelem: uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F).
    pub fn nvlist_add_string_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *const *mut core::ffi::c_char,
        nelem: uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_add_boolean(9F): copies of the lists.
    pub fn nvlist_add_nvlist_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut *mut nvlist_t,
        nelem: uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_remove(9F): the first of this name and type. 0 or ENOENT.
    pub fn nvlist_remove(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        type_: data_type_t,
    ) -> core::ffi::c_int;
    /// nvlist_remove(9F): all of this name. 0 or ENOENT.
    pub fn nvlist_remove_all(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// nvlist_remove(9F): this pair. 0 or EINVAL.
    pub fn nvlist_remove_nvpair(
        nvl: *mut nvlist_t,
        nvp: *mut nvpair_t,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F). 0, EINVAL, ENOENT, or ENOTSUP on a list without unique names.
    pub fn nvlist_lookup_boolean(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_boolean_value(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut boolean_t,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_byte(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut uchar_t,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_int8(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut i8,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_uint8(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut u8,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_int16(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut i16,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_uint16(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut u16,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_int32(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut i32,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_uint32(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut u32,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_int64(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut i64,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_uint64(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut u64,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_hrtime(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut hrtime_t,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_string(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut *mut core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_nvlist(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut *mut nvlist_t,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_boolean_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut *mut boolean_t,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_byte_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut *mut uchar_t,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_int8_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut *mut i8,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_uint8_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut *mut u8,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_int16_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut *mut i16,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_uint16_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut *mut u16,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_int32_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut *mut i32,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_uint32_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut *mut u32,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_int64_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut *mut i64,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_uint64_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut *mut u64,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_string_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut *mut *mut core::ffi::c_char,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F).
    pub fn nvlist_lookup_nvlist_array(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        val: *mut *mut *mut nvlist_t,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_boolean(9F): several at once, up to a name that is NULL.
    pub fn nvlist_lookup_pairs(
        nvl: *mut nvlist_t,
        flag: core::ffi::c_int,
        ...
    ) -> core::ffi::c_int;
    /// nvlist_lookup_nvpair(9F).
    pub fn nvlist_lookup_nvpair(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
        nvpp: *mut *mut nvpair_t,
    ) -> core::ffi::c_int;
    /// nvlist_lookup_nvpair(9F).
    pub fn nvlist_exists(
        nvl: *mut nvlist_t,
        name: *const core::ffi::c_char,
    ) -> boolean_t;
    /// nvlist_next_nvpair(9F): the first one behind NULL; NULL at the end.
    pub fn nvlist_next_nvpair(nvl: *mut nvlist_t, nvp: *mut nvpair_t) -> *mut nvpair_t;
    /// nvlist_next_nvpair(9F): the last one before NULL; NULL at the start.
    pub fn nvlist_prev_nvpair(nvl: *mut nvlist_t, nvp: *mut nvpair_t) -> *mut nvpair_t;
    /// nvlist_next_nvpair(9F).
    pub fn nvpair_name(nvp: *mut nvpair_t) -> *mut core::ffi::c_char;
    /// nvlist_next_nvpair(9F).
    pub fn nvpair_type(nvp: *mut nvpair_t) -> data_type_t;
    /// nvlist_next_nvpair(9F): 1 for an array.
    pub fn nvpair_type_is_array(nvp: *mut nvpair_t) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_boolean_value(
        nvp: *mut nvpair_t,
        val: *mut boolean_t,
    ) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_byte(nvp: *mut nvpair_t, val: *mut uchar_t) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_int8(nvp: *mut nvpair_t, val: *mut i8) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_uint8(nvp: *mut nvpair_t, val: *mut u8) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_int16(nvp: *mut nvpair_t, val: *mut i16) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_uint16(nvp: *mut nvpair_t, val: *mut u16) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_int32(nvp: *mut nvpair_t, val: *mut i32) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_uint32(nvp: *mut nvpair_t, val: *mut u32) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_int64(nvp: *mut nvpair_t, val: *mut i64) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_uint64(nvp: *mut nvpair_t, val: *mut u64) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_hrtime(
        nvp: *mut nvpair_t,
        val: *mut hrtime_t,
    ) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_string(
        nvp: *mut nvpair_t,
        val: *mut *mut core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_nvlist(
        nvp: *mut nvpair_t,
        val: *mut *mut nvlist_t,
    ) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_boolean_array(
        nvp: *mut nvpair_t,
        val: *mut *mut boolean_t,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_byte_array(
        nvp: *mut nvpair_t,
        val: *mut *mut uchar_t,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_int8_array(
        nvp: *mut nvpair_t,
        val: *mut *mut i8,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_uint8_array(
        nvp: *mut nvpair_t,
        val: *mut *mut u8,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_int16_array(
        nvp: *mut nvpair_t,
        val: *mut *mut i16,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_uint16_array(
        nvp: *mut nvpair_t,
        val: *mut *mut u16,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_int32_array(
        nvp: *mut nvpair_t,
        val: *mut *mut i32,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_uint32_array(
        nvp: *mut nvpair_t,
        val: *mut *mut u32,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_int64_array(
        nvp: *mut nvpair_t,
        val: *mut *mut i64,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_uint64_array(
        nvp: *mut nvpair_t,
        val: *mut *mut u64,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_string_array(
        nvp: *mut nvpair_t,
        val: *mut *mut *mut core::ffi::c_char,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// nvpair_value_byte(9F). 0, or EINVAL when the pair has another type.
    pub fn nvpair_value_nvlist_array(
        nvp: *mut nvpair_t,
        val: *mut *mut *mut nvlist_t,
        nelem: *mut uint_t,
    ) -> core::ffi::c_int;
    /// Nonzero in interrupt context.
    pub fn servicing_interrupt() -> core::ffi::c_int;
    /// Highest priority of kernel threads.
    pub static mut maxclsyspri: pri_t;
    /// Lowest priority of kernel threads.
    pub static mut minclsyspri: pri_t;
    /// ddi_umem_lock with limits and an early-unlock callback; consolidation-private.
    pub fn umem_lockmemory(
        addr: caddr_t,
        len: usize,
        flags: core::ffi::c_int,
        cookiep: *mut ddi_umem_cookie_t,
        ops_vector: *mut umem_callback_ops,
        procp: *mut proc_t,
    ) -> core::ffi::c_int;
    /// A number that ties error reports together.
    pub fn fm_ena_generate(val: u64, val2: uchar_t) -> u64;
    /// Tells a vnode of one more mapping: a device is not closed before its last one is gone.
    pub fn fop_addmap(
        vp: *mut vnode_t,
        off: offset_t,
        as_: *mut as_,
        addr: caddr_t,
        len: usize,
        prot: uchar_t,
        maxprot: uchar_t,
        flags: uint_t,
        cr: *mut cred_t,
        ct: *mut caller_context_t,
    ) -> core::ffi::c_int;
    /// Tells a vnode of one mapping less; may close the device.
    pub fn fop_delmap(
        vp: *mut vnode_t,
        off: offset_t,
        as_: *mut as_,
        addr: caddr_t,
        len: usize,
        prot: uint_t,
        maxprot: uint_t,
        flags: uint_t,
        cr: *mut cred_t,
        ct: *mut caller_context_t,
    ) -> core::ffi::c_int;
    /// Gives up a reference.
    pub fn vn_rele(vp: *mut vnode_t);
    /// A vnode with one reference; internal, as are those below.
    pub fn vn_alloc(kmflag: core::ffi::c_int) -> *mut vnode_t;
    /// Frees a vnode.
    pub fn vn_free(vp: *mut vnode_t);
    /// Frees operations.
    pub fn vn_freevnodeops(vnops: *mut vnodeops_t);
    /// A vnode's operations.
    pub fn vn_getops(vp: *mut vnode_t) -> *mut vnodeops_t;
    /// Operations from a template of names and functions.
    pub fn vn_make_ops(
        name: *const core::ffi::c_char,
        templ: *const fs_operation_def,
        actual: *mut *mut vnodeops_t,
    ) -> core::ffi::c_int;
    /// Makes a vnode as new.
    pub fn vn_reinit(vp: *mut vnode_t);
    /// Sets a vnode's operations.
    pub fn vn_setops(vp: *mut vnode_t, vnodeops: *mut vnodeops_t);
    /// The vnode of an open device, held; NULL when there is none. Of module fs/specfs, which is always loaded.
    pub fn specfind(dev: dev_t, type_: vtype_t) -> *mut vnode;
    /// A free number; blocks. The lowest is not taken first.
    pub fn id_alloc(space: *mut id_space_t) -> id_t;
    /// A free number, or -1.
    pub fn id_alloc_nosleep(space: *mut id_space_t) -> id_t;
    /// The lowest free number; blocks.
    pub fn id_allocff(space: *mut id_space_t) -> id_t;
    /// The lowest free number, or -1.
    pub fn id_allocff_nosleep(space: *mut id_space_t) -> id_t;
    /// This number, or -1 when it is not free.
    pub fn id_alloc_specific_nosleep(space: *mut id_space_t, id: id_t) -> id_t;
    /// Gives a number back.
    pub fn id_free(space: *mut id_space_t, id: id_t);
    /// A space of numbers from low to below high.
    pub fn id_space_create(
        name: *const core::ffi::c_char,
        low: id_t,
        high: id_t,
    ) -> *mut id_space_t;
    /// More numbers.
    pub fn id_space_extend(space: *mut id_space_t, low: id_t, high: id_t);
    /// Ends it.
    pub fn id_space_destroy(space: *mut id_space_t);
    /// A set of statistics, or NULL. With KSTAT_FLAG_VIRTUAL the data are the driver's.
    pub fn kstat_create(
        module: *const core::ffi::c_char,
        instance: core::ffi::c_int,
        name: *const core::ffi::c_char,
        class: *const core::ffi::c_char,
        type_: uchar_t,
        ndata: uint_t,
        flags: uchar_t,
    ) -> *mut kstat_t;
    /// Removes a set.
    pub fn kstat_delete(ksp: *mut kstat_t);
    /// The same, seen in one zone.
    pub fn kstat_create_zone(
        module: *const core::ffi::c_char,
        instance: core::ffi::c_int,
        name: *const core::ffi::c_char,
        class: *const core::ffi::c_char,
        type_: uchar_t,
        ndata: uint_t,
        flags: uchar_t,
        zoneid: zoneid_t,
    ) -> *mut kstat_t;
    /// A set by its name, or NULL; held until kstat_rele.
    pub fn kstat_hold_byname(
        module: *const core::ffi::c_char,
        instance: core::ffi::c_int,
        name: *const core::ffi::c_char,
        zoneid: zoneid_t,
    ) -> *mut kstat_t;
    /// A set by its number.
    pub fn kstat_hold_bykid(kid: kid_t, zoneid: zoneid_t) -> *mut kstat_t;
    /// Ends a hold.
    pub fn kstat_rele(ksp: *mut kstat_t);
    /// Removes a set by its name.
    pub fn kstat_delete_byname(
        module: *const core::ffi::c_char,
        instance: core::ffi::c_int,
        name: *const core::ffi::c_char,
    );
    /// The same in one zone.
    pub fn kstat_delete_byname_zone(
        module: *const core::ffi::c_char,
        instance: core::ffi::c_int,
        name: *const core::ffi::c_char,
        zoneid: zoneid_t,
    );
    /// Shows a kstat in one more zone.
    pub fn kstat_zone_add(ksp: *mut kstat_t, zoneid: zoneid_t);
    /// Whether a kstat is shown in a zone.
    pub fn kstat_zone_find(ksp: *mut kstat_t, zoneid: zoneid_t) -> core::ffi::c_int;
    /// Shows a kstat in one zone less.
    pub fn kstat_zone_remove(ksp: *mut kstat_t, zoneid: zoneid_t);
    /// Makes a set visible.
    pub fn kstat_install(ksp: *mut kstat_t);
    /// Name and type of one named value.
    pub fn kstat_named_init(
        knp: *mut kstat_named_t,
        name: *const core::ffi::c_char,
        data_type: uchar_t,
    );
    /// Gives a named string its value.
    pub fn kstat_named_setstr(knp: *mut kstat_named_t, str_: *const core::ffi::c_char);
    /// A request goes back to the wait queue; ks_lock held.
    pub fn kstat_runq_back_to_waitq(kiop: *mut kstat_io_t);
    /// A request joins the run queue; ks_lock held.
    pub fn kstat_runq_enter(kiop: *mut kstat_io_t);
    /// A request leaves the run queue; ks_lock held.
    pub fn kstat_runq_exit(kiop: *mut kstat_io_t);
    /// Copies a name as long as names may be.
    pub fn kstat_set_string(
        name: *mut core::ffi::c_char,
        name2: *const core::ffi::c_char,
    );
    /// Makes a timer.
    pub fn kstat_timer_init(p: *mut kstat_timer_t, name: *const core::ffi::c_char);
    /// An event begins.
    pub fn kstat_timer_start(p: *mut kstat_timer_t);
    /// An event ends.
    pub fn kstat_timer_stop(p: *mut kstat_timer_t);
    /// A request joins the wait queue; ks_lock held.
    pub fn kstat_waitq_enter(kiop: *mut kstat_io_t);
    /// A request leaves the wait queue; ks_lock held.
    pub fn kstat_waitq_exit(kiop: *mut kstat_io_t);
    /// A request goes from wait to run queue; ks_lock held.
    pub fn kstat_waitq_to_runq(kiop: *mut kstat_io_t);
    /// Ends one that nobody holds.
    pub fn rw_destroy(rwlp: *mut krwlock_t);
    /// From writer to reader.
    pub fn rw_downgrade(rwlp: *mut krwlock_t);
    /// Takes it as RW_READER or RW_WRITER; waiting writers hold off new readers.
    pub fn rw_enter(rwlp: *mut krwlock_t, enter_type: krw_t);
    /// Gives it up.
    pub fn rw_exit(rwlp: *mut krwlock_t);
    /// Makes a readers/writer lock.
    pub fn rw_init(
        rwlp: *mut krwlock_t,
        name: *mut core::ffi::c_char,
        type_: krw_type_t,
        arg: *mut core::ffi::c_void,
    );
    /// Nonzero when a writer has it.
    pub fn rw_iswriter(rwlp: *mut krwlock_t) -> core::ffi::c_int;
    /// Nonzero when held at all; for assertions.
    pub fn rw_lock_held(rwlp: *mut krwlock_t) -> core::ffi::c_int;
    /// Nonzero when held as reader; for assertions.
    pub fn rw_read_held(rwlp: *mut krwlock_t) -> core::ffi::c_int;
    /// Nonzero when held by readers; the lock must be held.
    pub fn rw_read_locked(rwlp: *mut krwlock_t) -> core::ffi::c_int;
    /// Takes it when that does not block; nonzero when taken.
    pub fn rw_tryenter(rwlp: *mut krwlock_t, enter_type: krw_t) -> core::ffi::c_int;
    /// From reader to writer when that does not block; nonzero when done.
    pub fn rw_tryupgrade(rwlp: *mut krwlock_t) -> core::ffi::c_int;
    /// Nonzero when held as writer; for assertions.
    pub fn rw_write_held(rwlp: *mut krwlock_t) -> core::ffi::c_int;
    /// The thread that holds it as writer.
    pub fn rw_owner(lp: *mut krwlock_t) -> *mut _kthread;
    /// An empty list of objects of a size, with the link at an offset.
    pub fn list_create(list: *mut list_t, size: usize, offset: usize);
    /// Ends an empty list.
    pub fn list_destroy(list: *mut list_t);
    /// The first object, or NULL.
    pub fn list_head(list: *mut list_t) -> *mut core::ffi::c_void;
    /// Inserts behind an object.
    pub fn list_insert_after(
        list: *mut list_t,
        object: *mut core::ffi::c_void,
        node: *mut core::ffi::c_void,
    );
    /// Inserts before an object.
    pub fn list_insert_before(
        list: *mut list_t,
        object: *mut core::ffi::c_void,
        node: *mut core::ffi::c_void,
    );
    /// Inserts first.
    pub fn list_insert_head(list: *mut list_t, node: *mut core::ffi::c_void);
    /// Inserts last.
    pub fn list_insert_tail(list: *mut list_t, node: *mut core::ffi::c_void);
    /// Nonzero when there is none.
    pub fn list_is_empty(list: *mut list_t) -> core::ffi::c_int;
    /// Nonzero when the link is in a list.
    pub fn list_link_active(node: *mut list_node_t) -> core::ffi::c_int;
    /// Makes a link that is in no list.
    pub fn list_link_init(node: *mut list_node_t);
    /// Puts one link in the place of another.
    pub fn list_link_replace(old: *mut list_node_t, new_node: *mut list_node_t);
    /// Moves all objects of the second list to the end of the first.
    pub fn list_move_tail(dst: *mut list_t, src: *mut list_t);
    /// The next object, or NULL.
    pub fn list_next(
        list: *mut list_t,
        node: *mut core::ffi::c_void,
    ) -> *mut core::ffi::c_void;
    /// The object before, or NULL.
    pub fn list_prev(
        list: *mut list_t,
        node: *mut core::ffi::c_void,
    ) -> *mut core::ffi::c_void;
    /// Removes an object.
    pub fn list_remove(list: *mut list_t, node: *mut core::ffi::c_void);
    /// Removes the first, or NULL.
    pub fn list_remove_head(list: *mut list_t) -> *mut core::ffi::c_void;
    /// Removes the last, or NULL.
    pub fn list_remove_tail(list: *mut list_t) -> *mut core::ffi::c_void;
    /// The last object, or NULL.
    pub fn list_tail(list: *mut list_t) -> *mut core::ffi::c_void;
    /// A piece of the map, or 0.
    pub fn rmalloc(arg: *mut core::ffi::c_void, len: usize) -> ulong_t;
    /// A piece of the map; blocks.
    pub fn rmalloc_wait(arg: *mut core::ffi::c_void, len: usize) -> ulong_t;
    /// A resource map.
    pub fn rmallocmap(len: usize) -> *mut core::ffi::c_void;
    /// A resource map; blocks.
    pub fn rmallocmap_wait(len: usize) -> *mut core::ffi::c_void;
    /// Gives a piece back.
    pub fn rmfree(arg: *mut core::ffi::c_void, len: usize, value: ulong_t);
    /// Ends a resource map.
    pub fn rmfreemap(arg: *mut core::ffi::c_void);
    /// Gives up the hold of ddi_modopen.
    pub fn ddi_modclose(modhandle: ddi_modhandle_t) -> core::ffi::c_int;
    /// Loads another module at run time and holds it.
    pub fn ddi_modopen(
        modname: *const core::ffi::c_char,
        mode: core::ffi::c_int,
        errnop: *mut core::ffi::c_int,
    ) -> ddi_modhandle_t;
    /// Address of a symbol in a module opened with ddi_modopen.
    pub fn ddi_modsym(
        modhandle: ddi_modhandle_t,
        symname: *const core::ffi::c_char,
        errnop: *mut core::ffi::c_int,
    ) -> *mut core::ffi::c_void;
    /// Fills a modinfo from the linkage; called from _info, also before _init. 0 is failure.
    pub fn mod_info(
        modlinkage: *mut modlinkage,
        modinfo: *mut modinfo,
    ) -> core::ffi::c_int;
    /// Registers the module's parts; called from _init. 0 or an errno.
    pub fn mod_install(modlinkage: *mut modlinkage) -> core::ffi::c_int;
    /// The module's name.
    pub fn mod_modname(modlp: *mut modlinkage) -> *const core::ffi::c_char;
    /// Takes the module's parts back; called from _fini. 0, or EBUSY while in use.
    pub fn mod_remove(modlinkage: *mut modlinkage) -> core::ffi::c_int;
    /// Operations of a device driver's linkage, for modldrv.drv_modops.
    pub static mut mod_driverops: mod_ops;
    /// Operations of a miscellaneous module's linkage, for modlmisc.misc_modops.
    pub static mut mod_miscops: mod_ops;
    /// The same for STREAMS modules.
    pub static mut mod_strmodops: mod_ops;
    /// Debugging switches of the module loader.
    pub static mut moddebug: core::ffi::c_int;
    /// A hash table keyed by numbers.
    pub fn mod_hash_create_idhash(
        name: *mut core::ffi::c_char,
        len: usize,
        func: ::core::option::Option<unsafe extern "C-unwind" fn(arg1: mod_hash_val_t)>,
    ) -> *mut mod_hash_t;
    /// A hash table keyed by pointers.
    pub fn mod_hash_create_ptrhash(
        name: *mut core::ffi::c_char,
        len: usize,
        func: ::core::option::Option<unsafe extern "C-unwind" fn(arg1: mod_hash_val_t)>,
        key_elem_size: usize,
    ) -> *mut mod_hash_t;
    /// A hash table keyed by strings of kmem, which it frees.
    pub fn mod_hash_create_strhash(
        name: *mut core::ffi::c_char,
        len: usize,
        func: ::core::option::Option<unsafe extern "C-unwind" fn(arg1: mod_hash_val_t)>,
    ) -> *mut mod_hash_t;
    /// A hash table keyed by strings that stay the driver's.
    pub fn mod_hash_create_strhash_nodtr(
        name: *mut core::ffi::c_char,
        len: usize,
        func: ::core::option::Option<unsafe extern "C-unwind" fn(arg1: mod_hash_val_t)>,
    ) -> *mut mod_hash_t;
    /// A hash table whose keys functions of the driver's destroy, hash and compare.
    pub fn mod_hash_create_extended(
        name: *mut core::ffi::c_char,
        len: usize,
        kdtor: ::core::option::Option<unsafe extern "C-unwind" fn(arg1: mod_hash_key_t)>,
        vdtor: ::core::option::Option<unsafe extern "C-unwind" fn(arg1: mod_hash_val_t)>,
        alg: ::core::option::Option<
            unsafe extern "C-unwind" fn(
                arg1: *mut core::ffi::c_void,
                arg2: mod_hash_key_t,
            ) -> uint_t,
        >,
        algdata: *mut core::ffi::c_void,
        keycmp: ::core::option::Option<
            unsafe extern "C-unwind" fn(
                arg1: mod_hash_key_t,
                arg2: mod_hash_key_t,
            ) -> core::ffi::c_int,
        >,
        sleep: core::ffi::c_int,
    ) -> *mut mod_hash_t;
    /// Destroys a hash table.
    pub fn mod_hash_destroy_hash(hash: *mut mod_hash_t);
    /// The same.
    pub fn mod_hash_destroy_idhash(hash: *mut mod_hash_t);
    /// The same.
    pub fn mod_hash_destroy_ptrhash(hash: *mut mod_hash_t);
    /// The same.
    pub fn mod_hash_destroy_strhash(hash: *mut mod_hash_t);
    /// Removes and destroys all entries.
    pub fn mod_hash_clear(hash: *mut mod_hash_t);
    /// Removes and destroys an entry. Returns 0 or MH_ERR_NOTFOUND.
    pub fn mod_hash_destroy(
        hash: *mut mod_hash_t,
        key: mod_hash_key_t,
    ) -> core::ffi::c_int;
    /// Enters a value. 0, or nonzero when the key is there.
    pub fn mod_hash_insert(
        hash: *mut mod_hash_t,
        key: mod_hash_key_t,
        val: mod_hash_val_t,
    ) -> core::ffi::c_int;
    /// Enters a value, and destroys the one that was there.
    pub fn mod_hash_replace(
        hash: *mut mod_hash_t,
        key: mod_hash_key_t,
        val: mod_hash_val_t,
    ) -> core::ffi::c_int;
    /// Looks a key up. 0, or nonzero when it is not there.
    pub fn mod_hash_find(
        hash: *mut mod_hash_t,
        key: mod_hash_key_t,
        valp: *mut mod_hash_val_t,
    ) -> core::ffi::c_int;
    /// mod_hash_find that calls a function with the entry while the table is locked.
    pub fn mod_hash_find_cb(
        hash: *mut mod_hash_t,
        key: mod_hash_key_t,
        valp: *mut mod_hash_val_t,
        func: ::core::option::Option<
            unsafe extern "C-unwind" fn(arg1: mod_hash_key_t, arg2: mod_hash_val_t),
        >,
    ) -> core::ffi::c_int;
    /// mod_hash_find_cb that stores what the function returns.
    pub fn mod_hash_find_cb_rval(
        hash: *mut mod_hash_t,
        key: mod_hash_key_t,
        valp: *mut mod_hash_val_t,
        func: ::core::option::Option<
            unsafe extern "C-unwind" fn(
                arg1: mod_hash_key_t,
                arg2: mod_hash_val_t,
            ) -> core::ffi::c_int,
        >,
        rvalp: *mut core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Takes a key and its value out. 0, or nonzero when it is not there.
    pub fn mod_hash_remove(
        hash: *mut mod_hash_t,
        key: mod_hash_key_t,
        valp: *mut mod_hash_val_t,
    ) -> core::ffi::c_int;
    /// Calls a function for each entry until it returns MH_WALK_TERMINATE.
    pub fn mod_hash_walk(
        hash: *mut mod_hash_t,
        func: ::core::option::Option<
            unsafe extern "C-unwind" fn(
                arg1: mod_hash_key_t,
                arg2: *mut mod_hash_val_t,
                arg3: *mut core::ffi::c_void,
            ) -> uint_t,
        >,
        arg: *mut core::ffi::c_void,
    );
    /// Reserves memory for an entry.
    pub fn mod_hash_reserve(
        hash: *mut mod_hash_t,
        hndlp: *mut mod_hash_hndl_t,
    ) -> core::ffi::c_int;
    /// mod_hash_reserve that does not sleep.
    pub fn mod_hash_reserve_nosleep(
        hash: *mut mod_hash_t,
        hndlp: *mut mod_hash_hndl_t,
    ) -> core::ffi::c_int;
    /// Releases a reservation.
    pub fn mod_hash_cancel(hash: *mut mod_hash_t, hndlp: *mut mod_hash_hndl_t);
    /// mod_hash_insert with a reservation.
    pub fn mod_hash_insert_reserve(
        hash: *mut mod_hash_t,
        key: mod_hash_key_t,
        val: mod_hash_val_t,
        hndl: mod_hash_hndl_t,
    ) -> core::ffi::c_int;
    /// Key destructor that does nothing.
    pub fn mod_hash_null_keydtor(key: mod_hash_key_t);
    /// Value destructor that does nothing.
    pub fn mod_hash_null_valdtor(val: mod_hash_val_t);
    /// Frees a key that is a string of kmem.
    pub fn mod_hash_strkey_dtor(key: mod_hash_key_t);
    /// Frees a value that is a string of kmem.
    pub fn mod_hash_strval_dtor(val: mod_hash_val_t);
    /// Compares strings.
    pub fn mod_hash_strkey_cmp(
        key1: mod_hash_key_t,
        key2: mod_hash_key_t,
    ) -> core::ffi::c_int;
    /// Compares pointers.
    pub fn mod_hash_ptrkey_cmp(
        key1: mod_hash_key_t,
        key2: mod_hash_key_t,
    ) -> core::ffi::c_int;
    /// Compares numbers.
    pub fn mod_hash_idkey_cmp(
        key1: mod_hash_key_t,
        key2: mod_hash_key_t,
    ) -> core::ffi::c_int;
    /// Hashes a string.
    pub fn mod_hash_bystr(
        algdata: *mut core::ffi::c_void,
        key: mod_hash_key_t,
    ) -> uint_t;
    /// Hashes a pointer.
    pub fn mod_hash_byptr(
        algdata: *mut core::ffi::c_void,
        key: mod_hash_key_t,
    ) -> uint_t;
    /// Hashes a number.
    pub fn mod_hash_byid(algdata: *mut core::ffi::c_void, key: mod_hash_key_t) -> uint_t;
    pub static _defaultstksz: core::ffi::c_ulong;
    pub static _argsbase: usize;
    pub static mut _kernelbase: usize;
    pub static _mmu_pagemask: core::ffi::c_ulong;
    pub static _mmu_pageoffset: core::ffi::c_ulong;
    pub static _mmu_pageshift: core::ffi::c_uint;
    pub static _mmu_pagesize: core::ffi::c_ulong;
    pub static _nbpg: core::ffi::c_uint;
    pub static _ncpu: core::ffi::c_int;
    /// Complement of PAGEOFFSET: PAGEMASK.
    pub static _pagemask: core::ffi::c_ulonglong;
    /// Page size less one: PAGEOFFSET.
    pub static _pageoffset: core::ffi::c_ulong;
    /// Logarithm of the page size: PAGESHIFT.
    pub static _pageshift: core::ffi::c_uint;
    /// Bytes in a page: PAGESIZE.
    pub static _pagesize: core::ffi::c_ulong;
    pub static mut _userlimit: usize;
    pub static mut _userlimit32: usize;
    /// Returns the number and the place of a capability by its index.
    pub fn pci_cap_probe(
        handle: ddi_acc_handle_t,
        index: u16,
        idp: *mut u32,
        basep: *mut u16,
    ) -> core::ffi::c_int;
    /// Reads words of a capability.
    pub fn pci_cap_read(
        handle: ddi_acc_handle_t,
        id: u32,
        base: u16,
        bufp: *mut u32,
        nwords: u32,
    ) -> core::ffi::c_int;
    /// Returns the place of an extended capability.
    pub fn pci_xcap_locate(
        handle: ddi_acc_handle_t,
        id: u16,
        basep: *mut u16,
    ) -> core::ffi::c_int;
    /// Where a capability is.
    pub fn pci_lcap_locate(
        handle: ddi_acc_handle_t,
        id: u8,
        basep: *mut u16,
    ) -> core::ffi::c_int;
    /// A register of a capability, which is named by its place, or by its number with place 0; all ones when there is none.
    pub fn pci_cap_get(
        handle: ddi_acc_handle_t,
        size: pci_cap_config_size_t,
        id: u32,
        base: u16,
        offset: u16,
    ) -> u32;
    /// Writes one.
    pub fn pci_cap_put(
        handle: ddi_acc_handle_t,
        size: pci_cap_config_size_t,
        id: u32,
        base: u16,
        offset: u16,
        data: u32,
    ) -> core::ffi::c_int;
    /// Allocates pages. Returns DDI_SUCCESS or DDI_FAILURE.
    pub fn devmap_pmem_alloc(
        size: usize,
        flags: uint_t,
        cookiep: *mut devmap_pmem_cookie_t,
    ) -> core::ffi::c_int;
    /// Frees them.
    pub fn devmap_pmem_free(cookie: devmap_pmem_cookie_t);
    /// Returns the page frames of a range of pages.
    pub fn devmap_pmem_getpfns(
        cookie: devmap_pmem_cookie_t,
        start: uint_t,
        npages: pgcnt_t,
        pfnarray: *mut pfn_t,
    ) -> core::ffi::c_int;
    /// devmap_umem_remap for them.
    pub fn devmap_pmem_remap(
        dhp: devmap_cookie_t,
        dip: *mut dev_info_t,
        cookie: devmap_pmem_cookie_t,
        off: offset_t,
        len: usize,
        maxprot: uint_t,
        flags: uint_t,
        accattrp: *mut ddi_device_acc_attr_t,
    ) -> core::ffi::c_int;
    /// devmap_umem_setup for them.
    pub fn devmap_pmem_setup(
        dhp: devmap_cookie_t,
        dip: *mut dev_info_t,
        callbackops: *mut devmap_callback_ctl,
        cookie: devmap_pmem_cookie_t,
        off: offset_t,
        len: usize,
        maxprot: uint_t,
        flags: uint_t,
        accattrp: *mut ddi_device_acc_attr_t,
    ) -> core::ffi::c_int;
    /// 0 or an errno: does the credential have the privilege.
    pub fn priv_policy(
        credp: *const cred_t,
        flag: core::ffi::c_int,
        val: boolean_t,
        flag2: core::ffi::c_int,
        name: *const core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// Whether it has, for a choice between two ways.
    pub fn priv_policy_choice(
        credp: *const cred_t,
        flag: core::ffi::c_int,
        val: boolean_t,
    ) -> boolean_t;
    /// Whether it has, without a trace in the audit.
    pub fn priv_policy_only(
        credp: *const cred_t,
        flag: core::ffi::c_int,
        val: boolean_t,
    ) -> boolean_t;
    /// 0 or an errno for an open with FEXCL.
    pub fn secpolicy_excl_open(credp: *const cred_t) -> core::ffi::c_int;
    /// 0 or an errno for access to the graphics aperture.
    pub fn secpolicy_gart_access(credp: *const cred_t) -> core::ffi::c_int;
    /// 0 or an errno for access to remote shared memory.
    pub fn secpolicy_rsm_access(
        credp: *const cred_t,
        val: uid_t,
        val2: mode_t,
    ) -> core::ffi::c_int;
    /// 0 or an errno for control of virtual machines.
    pub fn secpolicy_xvm_control(credp: *const cred_t) -> core::ffi::c_int;
    /// 0 or an errno for the configuration of core dumps.
    pub fn secpolicy_coreadm(credp: *const cred_t) -> core::ffi::c_int;
    /// 0 or an errno for performance counters.
    pub fn secpolicy_cpc_cpu(credp: *const cred_t) -> core::ffi::c_int;
    /// 0 or an errno for the configuration of data links.
    pub fn secpolicy_dl_config(credp: *const cred_t) -> core::ffi::c_int;
    /// 0 or an errno for the injection of errors.
    pub fn secpolicy_error_inject(credp: *const cred_t) -> core::ffi::c_int;
    /// 0 or an errno for mapping the graphics aperture.
    pub fn secpolicy_gart_map(credp: *const cred_t) -> core::ffi::c_int;
    /// 0 or an errno for the kernel's debugger.
    pub fn secpolicy_kmdb(credp: *const cred_t) -> core::ffi::c_int;
    /// 0 or an errno for locking memory.
    pub fn secpolicy_lock_memory(credp: *const cred_t) -> core::ffi::c_int;
    /// 0 or an errno for physical addresses.
    pub fn secpolicy_meminfo(credp: *const cred_t) -> core::ffi::c_int;
    /// 0 or an errno for loading modules.
    pub fn secpolicy_modctl(
        credp: *const cred_t,
        cmd: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// 0 or an errno for the configuration of the network; `checkonly`: without a trace in the audit.
    pub fn secpolicy_net_config(
        credp: *const cred_t,
        checkonly: boolean_t,
    ) -> core::ffi::c_int;
    /// 0 or an errno for raw packets.
    pub fn secpolicy_net_rawaccess(credp: *const cred_t) -> core::ffi::c_int;
    /// 0 or an errno for power management.
    pub fn secpolicy_power_mgmt(credp: *const cred_t) -> core::ffi::c_int;
    /// 0 or an errno for more than the resource limits.
    pub fn secpolicy_resource(credp: *const cred_t) -> core::ffi::c_int;
    /// 0 or an errno for setting the time.
    pub fn secpolicy_settime(credp: *const cred_t) -> core::ffi::c_int;
    /// 0 or an errno for the configuration of swap.
    pub fn secpolicy_swapctl(credp: *const cred_t) -> core::ffi::c_int;
    /// 0 or an errno for the configuration of the system; `checkonly`: without a trace in the audit.
    pub fn secpolicy_sys_config(
        credp: *const cred_t,
        checkonly: boolean_t,
    ) -> core::ffi::c_int;
    /// 0 or an errno for the configuration of devices.
    pub fn secpolicy_sys_devices(credp: *const cred_t) -> core::ffi::c_int;
    /// 0 or an errno for microcode.
    pub fn secpolicy_ucode_update(credp: *const cred_t) -> core::ffi::c_int;
    /// 0 or an errno for a USB controller.
    pub fn secpolicy_xhci(credp: *const cred_t) -> core::ffi::c_int;
    /// 0 or an errno for the injection of errors into file systems.
    pub fn secpolicy_zinject(credp: *const cred_t) -> core::ffi::c_int;
    /// Before the pollhead's memory goes away.
    pub fn pollhead_clean(php: *mut pollhead_t);
    /// Wakes pollers; without a lock that chpoll(9E) takes.
    pub fn pollwakeup(php: *mut pollhead_t, event: core::ffi::c_short);
    /// A privilege's number by name.
    pub fn priv_getbyname(
        name: *const core::ffi::c_char,
        flags: uint_t,
    ) -> core::ffi::c_int;
    /// A kernel thread.
    pub fn thread_create(
        stk: caddr_t,
        stksize: usize,
        proc_: ::core::option::Option<unsafe extern "C-unwind" fn()>,
        arg: *mut core::ffi::c_void,
        len: usize,
        pp: *mut proc_t,
        state: core::ffi::c_int,
        pri: pri_t,
    ) -> *mut kthread_t;
    /// Ends the calling kernel thread.
    pub fn thread_exit() -> !;
    /// Waits for a kernel thread to end.
    pub fn thread_join(did: kt_did_t);
    /// The kernel's process.
    pub static mut p0: proc_t;
    /// A message to the console only.
    pub fn prom_printf(fmt: *const core::ffi::c_char, ...);
    /// Random bytes, waiting for entropy: 0 or an errno.
    pub fn random_get_blocking_bytes(p: *mut u8, len: usize) -> core::ffi::c_int;
    /// Random bytes: 0, or EAGAIN without enough entropy.
    pub fn random_get_bytes(p: *mut u8, len: usize) -> core::ffi::c_int;
    /// Random bytes for what is no key: 0 or an errno.
    pub fn random_get_pseudo_bytes(p: *mut u8, len: usize) -> core::ffi::c_int;
    /// Trims a message: at its start, or for a negative length at its end. Returns 1 or 0.
    pub fn adjmsg(mp: *mut mblk_t, len: isize) -> core::ffi::c_int;
    /// Allocates a message block with a buffer.
    pub fn allocb(size: usize, pri: uint_t) -> *mut mblk_t;
    /// allocb that waits for memory; internal.
    pub fn allocb_wait(
        size: usize,
        pri: uint_t,
        flags: uint_t,
        error: *mut core::ffi::c_int,
    ) -> *mut mblk_t;
    /// Calls a function when a buffer may be available. Returns an id for unbufcall.
    pub fn bufcall(
        size: usize,
        pri: uint_t,
        func: ::core::option::Option<
            unsafe extern "C-unwind" fn(arg1: *mut core::ffi::c_void),
        >,
        arg: *mut core::ffi::c_void,
    ) -> bufcall_id_t;
    /// Copies a message block with its data.
    pub fn copyb(bp: *mut mblk_t) -> *mut mblk_t;
    /// Copies a message with its data.
    pub fn copymsg(mp: *mut mblk_t) -> *mut mblk_t;
    /// esballoc whose buffer may be freed in any context.
    pub fn desballoc(
        base: *mut core::ffi::c_uchar,
        size: usize,
        pri: uint_t,
        fr_rtnp: *mut frtn_t,
    ) -> *mut mblk_t;
    /// Duplicates the descriptor of a message block.
    pub fn dupb(bp: *mut mblk_t) -> *mut mblk_t;
    /// Duplicates the descriptors of a message.
    pub fn dupmsg(mp: *mut mblk_t) -> *mut mblk_t;
    /// Allocates a message block for a buffer of the driver's.
    pub fn esballoc(
        base: *mut core::ffi::c_uchar,
        size: usize,
        pri: uint_t,
        fr_rtnp: *mut frtn_t,
    ) -> *mut mblk_t;
    /// bufcall for esballoc.
    pub fn esbbcall(
        pri: uint_t,
        func: ::core::option::Option<
            unsafe extern "C-unwind" fn(arg1: *mut core::ffi::c_void),
        >,
        arg: *mut core::ffi::c_void,
    ) -> bufcall_id_t;
    /// Frees a message block.
    pub fn freeb(bp: *mut mblk_t);
    /// Frees a message.
    pub fn freemsg(mp: *mut mblk_t);
    /// Appends a message to another.
    pub fn linkb(mp1: *mut mblk_t, mp2: *mut mblk_t);
    /// Allocates an M_IOCTL message.
    pub fn mkiocb(command: uint_t) -> *mut mblk_t;
    /// Returns the bytes of a message's M_DATA blocks.
    pub fn msgdsize(mp: *mut mblk_t) -> usize;
    /// Copies a message so that its first bytes are in one block.
    pub fn msgpullup(mp: *mut mblk_t, len: isize) -> *mut mblk_t;
    /// Moves the first bytes of a message into one block. Returns 1 or 0.
    pub fn pullupmsg(mp: *mut mblk_t, len: isize) -> core::ffi::c_int;
    /// Removes a block from a message.
    pub fn rmvb(mp: *mut mblk_t, bp: *mut mblk_t) -> *mut mblk_t;
    /// Returns whether a buffer is available.
    pub fn testb(size: usize, pri: uint_t) -> core::ffi::c_int;
    /// Cancels a bufcall.
    pub fn unbufcall(id: bufcall_id_t);
    /// Removes the first block of a message and returns the rest.
    pub fn unlinkb(mp: *mut mblk_t) -> *mut mblk_t;
    /// Returns the queue behind.
    pub fn backq(q: *mut queue_t) -> *mut queue_t;
    /// Returns whether a band has room.
    pub fn bcanput(q: *mut queue_t, pri: core::ffi::c_uchar) -> core::ffi::c_int;
    /// Returns whether a band of the next queue has room.
    pub fn bcanputnext(q: *mut queue_t, pri: core::ffi::c_uchar) -> core::ffi::c_int;
    /// Returns whether a queue has room.
    pub fn canput(q: *mut queue_t) -> core::ffi::c_int;
    /// Returns whether the next queue has room.
    pub fn canputnext(q: *mut queue_t) -> core::ffi::c_int;
    /// Allows that a queue is scheduled.
    pub fn enableok(q: *mut queue_t);
    /// Flushes a band.
    pub fn flushband(q: *mut queue_t, pri: core::ffi::c_uchar, flag: core::ffi::c_int);
    /// Flushes a queue.
    pub fn flushq(q: *mut queue_t, flag: core::ffi::c_int);
    /// Freezes a stream.
    pub fn freezestr(q: *mut queue_t);
    /// Takes the next message off a queue.
    pub fn getq(q: *mut queue_t) -> *mut mblk_t;
    /// Inserts a message into a queue.
    pub fn insq(q: *mut queue_t, emp: *mut mblk_t, nmp: *mut mblk_t) -> core::ffi::c_int;
    /// Forbids that a queue is scheduled.
    pub fn noenable(q: *mut queue_t);
    /// Calls a queue's put procedure.
    pub fn put(q: *mut queue_t, mp: *mut mblk_t);
    /// Puts a message back on its queue.
    pub fn putbq(q: *mut queue_t, mp: *mut mblk_t) -> core::ffi::c_int;
    /// Puts a control message.
    pub fn putctl(q: *mut queue_t, type_: core::ffi::c_int) -> core::ffi::c_int;
    /// Puts a control message with a parameter of one byte.
    pub fn putctl1(
        q: *mut queue_t,
        type_: core::ffi::c_int,
        p: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Calls the next queue's put procedure.
    pub fn putnext(q: *mut queue_t, mp: *mut mblk_t);
    /// Puts a control message to the next queue.
    pub fn putnextctl(q: *mut queue_t, type_: core::ffi::c_int) -> core::ffi::c_int;
    /// Puts a control message with a parameter of one byte to the next queue.
    pub fn putnextctl1(
        q: *mut queue_t,
        type_: core::ffi::c_int,
        p: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Puts a message on a queue.
    pub fn putq(q: *mut queue_t, mp: *mut mblk_t) -> core::ffi::c_int;
    /// bufcall with the queue's perimeters.
    pub fn qbufcall(
        q: *mut queue_t,
        size: usize,
        pri: uint_t,
        func: ::core::option::Option<
            unsafe extern "C-unwind" fn(arg1: *mut core::ffi::c_void),
        >,
        arg: *mut core::ffi::c_void,
    ) -> bufcall_id_t;
    /// Schedules a queue.
    pub fn qenable(q: *mut queue_t);
    /// Disables put and service procedures.
    pub fn qprocsoff(q: *mut queue_t);
    /// Enables put and service procedures.
    pub fn qprocson(q: *mut queue_t);
    /// Sends a message the other way.
    pub fn qreply(q: *mut queue_t, mp: *mut mblk_t);
    /// Returns the number of messages on a queue.
    pub fn qsize(q: *mut queue_t) -> core::ffi::c_int;
    /// timeout with the queue's perimeters.
    pub fn qtimeout(
        q: *mut queue_t,
        func: ::core::option::Option<
            unsafe extern "C-unwind" fn(arg1: *mut core::ffi::c_void),
        >,
        arg: *mut core::ffi::c_void,
        ticks: clock_t,
    ) -> timeout_id_t;
    /// Cancels a qbufcall.
    pub fn qunbufcall(q: *mut queue_t, id: bufcall_id_t);
    /// Cancels a qtimeout.
    pub fn quntimeout(q: *mut queue_t, id: timeout_id_t) -> clock_t;
    /// Waits for a message.
    pub fn qwait(q: *mut queue_t);
    /// Waits for a message or a signal.
    pub fn qwait_sig(q: *mut queue_t) -> core::ffi::c_int;
    /// Calls a function with exclusive access to a perimeter.
    pub fn qwriter(
        q: *mut queue_t,
        mp: *mut mblk_t,
        func: ::core::option::Option<unsafe extern "C-unwind" fn()>,
        perimeter: core::ffi::c_int,
    );
    /// Removes a message from a queue.
    pub fn rmvq(q: *mut queue_t, mp: *mut mblk_t);
    /// Reads a field of a queue.
    pub fn strqget(
        q: *mut queue_t,
        what: qfields_t,
        pri: core::ffi::c_uchar,
        valp: *mut core::ffi::c_void,
    ) -> core::ffi::c_int;
    /// Changes a field of a queue.
    pub fn strqset(
        q: *mut queue_t,
        what: qfields_t,
        pri: core::ffi::c_uchar,
        val: isize,
    ) -> core::ffi::c_int;
    /// Unfreezes a stream.
    pub fn unfreezestr(q: *mut queue_t);
    /// Submits a message to the log driver. Returns 1 or 0.
    pub fn strlog(
        mid: core::ffi::c_short,
        sid: core::ffi::c_short,
        level: core::ffi::c_char,
        flags: core::ffi::c_ushort,
        fmt: *mut core::ffi::c_char,
        ...
    ) -> core::ffi::c_int;
    /// Returns the other queue of a pair.
    pub fn OTHERQ(q: *mut queue_t) -> *mut queue;
    /// Returns the read queue of a pair.
    pub fn RD(q: *mut queue_t) -> *mut queue;
    /// Returns whether the next queue is of the same type.
    pub fn SAMESTR(q: *mut queue_t) -> core::ffi::c_int;
    /// Returns the write queue of a pair.
    pub fn WR(q: *mut queue_t) -> *mut queue;
    /// Makes an M_COPYIN message.
    pub fn mcopyin(
        mp: *mut mblk_t,
        priv_: *mut core::ffi::c_void,
        size: usize,
        useraddr: *mut core::ffi::c_void,
    );
    /// Makes a message a single block.
    pub fn mcopymsg(mp: *mut mblk_t, bufp: *mut core::ffi::c_void);
    /// Makes an M_COPYOUT message.
    pub fn mcopyout(
        mp: *mut mblk_t,
        priv_: *mut core::ffi::c_void,
        size: usize,
        useraddr: *mut core::ffi::c_void,
        dp: *mut mblk_t,
    );
    /// Sends an M_ERROR message.
    pub fn merror(q: *mut queue_t, mp: *mut mblk_t, error: core::ffi::c_int);
    /// Reuses a message for another of some size and type.
    pub fn mexchange(
        q: *mut queue_t,
        mp: *mut mblk_t,
        size: usize,
        type_: uchar_t,
        primtype: i32,
    ) -> *mut mblk_t;
    /// Makes an M_IOCACK message of an ioctl message.
    pub fn mioc2ack(
        mp: *mut mblk_t,
        dp: *mut mblk_t,
        count: usize,
        rval: core::ffi::c_int,
    );
    /// Acknowledges an ioctl message.
    pub fn miocack(
        q: *mut queue_t,
        mp: *mut mblk_t,
        count: core::ffi::c_int,
        rval: core::ffi::c_int,
    );
    /// Refuses an ioctl message.
    pub fn miocnak(
        q: *mut queue_t,
        mp: *mut mblk_t,
        count: core::ffi::c_int,
        error: core::ffi::c_int,
    );
    /// Pulls the data of an ioctl message up. Returns 0 or an errno.
    pub fn miocpullup(mp: *mut mblk_t, size: usize) -> core::ffi::c_int;
    /// Returns the bytes of all blocks of a message.
    pub fn msgsize(mp: *mut mblk_t) -> usize;
    /// Bytes of the text's characters; -1 when it is none, *errnum says why.
    pub fn u8_validate(
        u8str: *mut core::ffi::c_char,
        n: usize,
        list: *mut *mut core::ffi::c_char,
        flag: core::ffi::c_int,
        errnum: *mut core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Compares two texts: below, at or above 0.
    pub fn u8_strcmp(
        s1: *const core::ffi::c_char,
        s2: *const core::ffi::c_char,
        n: usize,
        flag: core::ffi::c_int,
        version: usize,
        errnum: *mut core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Prepares a text for comparison; -1 when it cannot, *errnum says why.
    pub fn u8_textprep_str(
        inarray: *mut core::ffi::c_char,
        inlen: *mut usize,
        outarray: *mut core::ffi::c_char,
        outlen: *mut usize,
        flag: core::ffi::c_int,
        version: usize,
        errnum: *mut core::ffi::c_int,
    ) -> usize;
    /// Between forms of Unicode. 0 or an errno.
    pub fn uconv_u16tou32(
        in_: *const u16,
        inlen: *mut usize,
        out: *mut u32,
        outlen: *mut usize,
        flag: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Between forms of Unicode. 0 or an errno.
    pub fn uconv_u16tou8(
        in_: *const u16,
        inlen: *mut usize,
        out: *mut uchar_t,
        outlen: *mut usize,
        flag: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Between forms of Unicode. 0 or an errno.
    pub fn uconv_u32tou16(
        in_: *const u32,
        inlen: *mut usize,
        out: *mut u16,
        outlen: *mut usize,
        flag: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Between forms of Unicode. 0 or an errno.
    pub fn uconv_u32tou8(
        in_: *const u32,
        inlen: *mut usize,
        out: *mut uchar_t,
        outlen: *mut usize,
        flag: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Between forms of Unicode. 0 or an errno.
    pub fn uconv_u8tou16(
        in_: *const uchar_t,
        inlen: *mut usize,
        out: *mut u16,
        outlen: *mut usize,
        flag: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Between forms of Unicode. 0 or an errno.
    pub fn uconv_u8tou32(
        in_: *const uchar_t,
        inlen: *mut usize,
        out: *mut u32,
        outlen: *mut usize,
        flag: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// The same at kernel level.
    pub fn taskq_create(
        name: *const core::ffi::c_char,
        nthreads: core::ffi::c_int,
        pri: pri_t,
        minalloc: core::ffi::c_int,
        maxalloc: core::ffi::c_int,
        flags: uint_t,
    ) -> *mut taskq_t;
    /// Waits for what is queued, then ends the threads.
    pub fn taskq_destroy(tq: *mut taskq_t);
    /// Queues a function; 0 is failure.
    pub fn taskq_dispatch(
        tq: *mut taskq_t,
        func: task_func_t,
        arg: *mut core::ffi::c_void,
        flags: uint_t,
    ) -> taskqid_t;
    /// Whether a thread belongs to the queue.
    pub fn taskq_member(tq: *mut taskq_t, p: *mut kthread_t) -> core::ffi::c_int;
    /// Ends taskq_suspend.
    pub fn taskq_resume(tq: *mut taskq_t);
    /// Lets nothing new start.
    pub fn taskq_suspend(tq: *mut taskq_t);
    /// Whether the queue is suspended.
    pub fn taskq_suspended(tq: *mut taskq_t) -> core::ffi::c_int;
    /// Waits until everything queued so far is done.
    pub fn taskq_wait(tq: *mut taskq_t);
    /// Task function that returns at once.
    pub fn nulltask(p: *mut core::ffi::c_void);
    /// taskq_create with an instance number.
    pub fn taskq_create_instance(
        name: *const core::ffi::c_char,
        instance: core::ffi::c_int,
        nthreads: core::ffi::c_int,
        pri: pri_t,
        minalloc: core::ffi::c_int,
        maxalloc: core::ffi::c_int,
        flags: uint_t,
    ) -> *mut taskq_t;
    /// taskq_create with threads of a process of the kernel's.
    pub fn taskq_create_proc(
        name: *const core::ffi::c_char,
        nthreads: core::ffi::c_int,
        pri: pri_t,
        minalloc: core::ffi::c_int,
        maxalloc: core::ffi::c_int,
        proc_: *mut proc_t,
        flags: uint_t,
    ) -> *mut taskq_t;
    /// The same in the system duty cycle class.
    pub fn taskq_create_sysdc(
        name: *const core::ffi::c_char,
        nthreads: core::ffi::c_int,
        minalloc: core::ffi::c_int,
        maxalloc: core::ffi::c_int,
        proc_: *mut proc_t,
        dc: uint_t,
        flags: uint_t,
    ) -> *mut taskq_t;
    /// The kernel's own queue.
    pub static mut system_taskq: *mut taskq_t;
    /// Copies from the process. 0 or -1.
    pub fn copyin(
        userbuf: *const core::ffi::c_void,
        driverbuf: *mut core::ffi::c_void,
        cn: usize,
    ) -> core::ffi::c_int;
    /// Copies a string from the process. 0, ENAMETOOLONG or EFAULT.
    pub fn copyinstr(
        userbuf: *const core::ffi::c_char,
        driverbuf: *mut core::ffi::c_char,
        max_len: usize,
        donep: *mut usize,
    ) -> core::ffi::c_int;
    /// Copies to the process. 0 or -1.
    pub fn copyout(
        driverbuf: *const core::ffi::c_void,
        userbuf: *mut core::ffi::c_void,
        cn: usize,
    ) -> core::ffi::c_int;
    /// Copies a string to the process. 0, ENAMETOOLONG or EFAULT.
    pub fn copyoutstr(
        driverbuf: *const core::ffi::c_char,
        userbuf: *mut core::ffi::c_char,
        max_len: usize,
        donep: *mut usize,
    ) -> core::ffi::c_int;
    /// Number of the lowest bit set, from 1; 0 for none.
    pub fn ffs(val: uintmax_t) -> core::ffi::c_int;
    /// Fetches one byte of the process. 0 or -1.
    pub fn fuword8(addr: *const core::ffi::c_void, valuep: *mut u8) -> core::ffi::c_int;
    /// Fetches 16 bits of the process. 0 or -1.
    pub fn fuword16(
        addr: *const core::ffi::c_void,
        valuep: *mut u16,
    ) -> core::ffi::c_int;
    /// Fetches 32 bits of the process. 0 or -1.
    pub fn fuword32(
        addr: *const core::ffi::c_void,
        valuep: *mut u32,
    ) -> core::ffi::c_int;
    /// Fetches 64 bits of the process. 0 or -1.
    pub fn fuword64(
        addr: *const core::ffi::c_void,
        valuep: *mut u64,
    ) -> core::ffi::c_int;
    /// Stores one byte in the process. 0 or -1.
    pub fn suword8(addr: *mut core::ffi::c_void, value: u8) -> core::ffi::c_int;
    /// Stores 16 bits in the process. 0 or -1.
    pub fn suword16(addr: *mut core::ffi::c_void, value: u16) -> core::ffi::c_int;
    /// Stores 32 bits in the process. 0 or -1.
    pub fn suword32(addr: *mut core::ffi::c_void, value: u32) -> core::ffi::c_int;
    /// Stores 64 bits in the process. 0 or -1.
    pub fn suword64(addr: *mut core::ffi::c_void, value: u64) -> core::ffi::c_int;
    /// A formatted string in kernel memory; freed with strfree.
    pub fn kmem_asprintf(fmt: *const core::ffi::c_char, ...) -> *mut core::ffi::c_char;
    /// ENXIO: the entry point for "not supported". Declared old-style, so that it fits every entry.
    pub fn nodev() -> core::ffi::c_int;
    /// 0: the entry point for "nothing to do". Declared old-style, so that it fits every entry.
    pub fn nulldev() -> core::ffi::c_int;
    /// Sets the calling thread's errno; internal.
    pub fn set_errno(error: uint_t) -> uint_t;
    /// Order without regard to case.
    pub fn strcasecmp(
        s1: *const core::ffi::c_char,
        s2: *const core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// Order without regard to case, at most n characters.
    pub fn strncasecmp(
        s1: *const core::ffi::c_char,
        s2: *const core::ffi::c_char,
        n: usize,
    ) -> core::ffi::c_int;
    /// The highest bit set, from 1; 0 for none.
    pub fn highbit64(value: u64) -> core::ffi::c_int;
    /// The last such character, or NULL.
    pub fn strrchr(
        s: *const core::ffi::c_char,
        c: core::ffi::c_int,
    ) -> *mut core::ffi::c_char;
    /// Calls a function after some ticks, in soft interrupt context.
    pub fn timeout(
        func: ::core::option::Option<
            unsafe extern "C-unwind" fn(arg1: *mut core::ffi::c_void),
        >,
        arg: *mut core::ffi::c_void,
        ticks: clock_t,
    ) -> timeout_id_t;
    /// Wall clock that never shows the same time twice.
    pub fn uniqtime(p: *mut timeval);
    /// Cancels a timeout and waits for it to be over. Ticks that were left, or -1.
    pub fn untimeout(id: timeout_id_t) -> clock_t;
    /// Pages that can be pinned.
    pub static mut availrmem: pgcnt_t;
    /// Ticks per second.
    pub static mut hz: core::ffi::c_int;
    /// Pages of physical memory that can be had.
    pub static mut maxmem: pgcnt_t;
    /// The message of the panic in progress, or NULL.
    pub static mut panicstr: *mut core::ffi::c_char;
    /// The highest page frame.
    pub static mut physmax: pfn_t;
    /// Pages of physical memory.
    pub static mut physmem: pgcnt_t;
    /// The calling thread.
    pub fn threadp() -> *mut kthread_t;
    /// Makes a key for thread-specific data.
    pub fn tsd_create(
        keyp: *mut uint_t,
        destructor: ::core::option::Option<
            unsafe extern "C-unwind" fn(arg1: *mut core::ffi::c_void),
        >,
    );
    /// Ends a key.
    pub fn tsd_destroy(keyp: *mut uint_t);
    /// The calling thread's value.
    pub fn tsd_get(key: uint_t) -> *mut core::ffi::c_void;
    /// Sets the calling thread's value: 0 or an errno.
    pub fn tsd_set(key: uint_t, value: *mut core::ffi::c_void) -> core::ffi::c_int;
    /// A message about a node at a DER_ level; internal.
    pub fn ddi_err(
        de: ddi_err_t,
        rdip: *mut dev_info_t,
        fmt: *const core::ffi::c_char,
        ...
    );
    /// ENXIO: the poll entry of a driver that cannot be polled.
    pub fn nochpoll(
        dev: dev_t,
        events: core::ffi::c_short,
        anyyet: core::ffi::c_int,
        reventsp: *mut core::ffi::c_short,
        phpp: *mut *mut pollhead,
    ) -> core::ffi::c_int;
    /// DDI_SUCCESS: the quiesce entry of a device that needs none.
    pub fn ddi_quiesce_not_needed(dip: *mut dev_info_t) -> core::ffi::c_int;
    /// DDI_FAILURE: the quiesce entry of a driver without one.
    pub fn ddi_quiesce_not_supported(dip: *mut dev_info_t) -> core::ffi::c_int;
    /// getinfo for drivers whose minor number is the instance number.
    pub fn ddi_getinfo_1to1(
        dip: *mut dev_info_t,
        val: ddi_info_cmd_t,
        arg: *mut core::ffi::c_void,
        p: *mut *mut core::ffi::c_void,
    ) -> core::ffi::c_int;
    /// DDI_FAILURE: a getinfo for drivers that have no device numbers.
    pub fn ddi_no_info(
        dip: *mut dev_info_t,
        val: ddi_info_cmd_t,
        arg: *mut core::ffi::c_void,
        p: *mut *mut core::ffi::c_void,
    ) -> core::ffi::c_int;
    /// No device node for this device number: the getinfo of old drivers.
    pub fn nodevinfo(dev: dev_t, flag: core::ffi::c_int) -> *mut dev_info_t;
    /// No properties: a prop_op that finds nothing.
    pub fn nopropop(
        dev: dev_t,
        dip: *mut dev_info_t,
        val: ddi_prop_op_t,
        flag: core::ffi::c_int,
        name: *mut core::ffi::c_char,
        addr: caddr_t,
        valp: *mut core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Returns the number of the firmware's node.
    pub fn ddi_get_nodeid(dip: *mut dev_info_t) -> core::ffi::c_int;
    /// The node's instance number.
    pub fn ddi_get_instance(dip: *mut dev_info_t) -> core::ffi::c_int;
    /// Makes a minor node, by which processes open the device. DDI_SUCCESS or DDI_FAILURE.
    pub fn ddi_create_minor_node(
        dip: *mut dev_info_t,
        name: *mut core::ffi::c_char,
        spec_type: core::ffi::c_int,
        minor_num: minor_t,
        node_type: *mut core::ffi::c_char,
        flag: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Removes one minor node by name, or with NULL all of the instance.
    pub fn ddi_remove_minor_node(dip: *mut dev_info_t, name: *mut core::ffi::c_char);
    /// Announces the instance on the console and in the log.
    pub fn ddi_report_dev(dip: *mut dev_info_t);
    /// Name of the driver bound to the node.
    pub fn ddi_driver_name(dip: *mut dev_info_t) -> *const core::ffi::c_char;
    /// The parent node.
    pub fn ddi_get_parent(dip: *mut dev_info_t) -> *mut dev_info_t;
    /// The root of the device tree.
    pub fn ddi_root_node() -> *mut dev_info_t;
    /// Reports a fault of the device and what it means for its service.
    pub fn ddi_dev_report_fault(
        dip: *mut dev_info_t,
        impact: ddi_fault_impact_t,
        location: ddi_fault_location_t,
        message: *const core::ffi::c_char,
    );
    /// Number of register sets.
    pub fn ddi_dev_nregs(
        dip: *mut dev_info_t,
        resultp: *mut core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Length of one register set in bytes.
    pub fn ddi_dev_regsize(
        dip: *mut dev_info_t,
        rnumber: uint_t,
        resultp: *mut off_t,
    ) -> core::ffi::c_int;
    /// Nonzero when the system is panicking.
    pub fn ddi_in_panic() -> core::ffi::c_int;
    /// The operations of the bound driver.
    pub fn ddi_get_driver(dip: *mut dev_info_t) -> *mut dev_ops;
    /// Stores one pointer in the node.
    pub fn ddi_set_driver_private(dip: *mut dev_info_t, data: *mut core::ffi::c_void);
    /// Major number of the bound driver.
    pub fn ddi_driver_major(dip: *mut dev_info_t) -> major_t;
    /// The node of this name and unit, or NULL; obsolete.
    pub fn ddi_find_devinfo(
        name: *mut core::ffi::c_char,
        unit: core::ffi::c_int,
        need_attach: core::ffi::c_int,
    ) -> *mut dev_info_t;
    /// Calls a function for every node; its result steers the walk.
    pub fn ddi_walk_devs(
        dip: *mut dev_info_t,
        f: ::core::option::Option<
            unsafe extern "C-unwind" fn(
                arg1: *mut dev_info_t,
                arg2: *mut core::ffi::c_void,
            ) -> core::ffi::c_int,
        >,
        arg: *mut core::ffi::c_void,
    );
    /// Tells user level of an event. DDI_SUCCESS, DDI_ENOMEM, DDI_EBUSY or DDI_ETRANSPORT.
    pub fn ddi_log_sysevent(
        dip: *mut dev_info_t,
        vendor: *mut core::ffi::c_char,
        class: *mut core::ffi::c_char,
        subclass: *mut core::ffi::c_char,
        attributes: *mut nvlist_t,
        eidp: *mut sysevent_id_t,
        sleep_flag: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Asks to be called for a bus event.
    pub fn ddi_add_event_handler(
        dip: *mut dev_info_t,
        val: ddi_eventcookie_t,
        func: ::core::option::Option<
            unsafe extern "C-unwind" fn(
                arg1: *mut dev_info_t,
                arg2: ddi_eventcookie_t,
                arg3: *mut core::ffi::c_void,
                arg4: *mut core::ffi::c_void,
            ),
        >,
        arg: *mut core::ffi::c_void,
        p: *mut ddi_callback_id_t,
    ) -> core::ffi::c_int;
    /// The cookie of a bus event by name.
    pub fn ddi_get_eventcookie(
        dip: *mut dev_info_t,
        name: *mut core::ffi::c_char,
        p: *mut ddi_eventcookie_t,
    ) -> core::ffi::c_int;
    /// Ends ddi_add_event_handler.
    pub fn ddi_remove_event_handler(val: ddi_callback_id_t) -> core::ffi::c_int;
    /// Asks to be told of changes in resources, such as interrupts.
    pub fn ddi_cb_register(
        dip: *mut dev_info_t,
        val: ddi_cb_flags_t,
        val2: ddi_cb_func_t,
        arg: *mut core::ffi::c_void,
        arg2: *mut core::ffi::c_void,
        p: *mut ddi_cb_handle_t,
    ) -> core::ffi::c_int;
    /// Ends ddi_cb_register.
    pub fn ddi_cb_unregister(val: ddi_cb_handle_t) -> core::ffi::c_int;
    /// The node's binding name.
    pub fn ddi_get_name(dip: *mut dev_info_t) -> *mut core::ffi::c_char;
    /// The node's own name.
    pub fn ddi_node_name(dip: *mut dev_info_t) -> *mut core::ffi::c_char;
    /// The name by which the driver was bound.
    pub fn ddi_binding_name(dip: *mut dev_info_t) -> *mut core::ffi::c_char;
    /// The pointer that the driver stored in the node.
    pub fn ddi_get_driver_private(dip: *mut dev_info_t) -> *mut core::ffi::c_void;
    /// Major number of a driver by name, or DDI_MAJOR_T_NONE.
    pub fn ddi_name_to_major(name: *mut core::ffi::c_char) -> major_t;
    /// Name of a driver by major number, or NULL.
    pub fn ddi_major_to_name(major: major_t) -> *mut core::ffi::c_char;
    /// Whether the device identifies itself.
    pub fn ddi_dev_is_sid(dip: *mut dev_info_t) -> core::ffi::c_int;
    /// Whether the device is up, degraded or down.
    pub fn ddi_get_devstate(dip: *mut dev_info_t) -> ddi_devstate_t;
    /// The same, with privileges that an open needs.
    pub fn ddi_create_priv_minor_node(
        dip: *mut dev_info_t,
        name: *mut core::ffi::c_char,
        flag: core::ffi::c_int,
        minor: minor_t,
        name2: *mut core::ffi::c_char,
        flag2: core::ffi::c_int,
        name3: *const core::ffi::c_char,
        name4: *const core::ffi::c_char,
        val: mode_t,
    ) -> core::ffi::c_int;
    /// Asks for a component's power level.
    pub fn ddi_dev_is_needed(
        dip: *mut dev_info_t,
        flag: core::ffi::c_int,
        flag2: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Path of a minor node by device number.
    pub fn ddi_dev_pathname(
        dev: dev_t,
        flag: core::ffi::c_int,
        name: *mut core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// Copies between registers.
    pub fn ddi_device_copy(
        src_handle: ddi_acc_handle_t,
        src_addr: caddr_t,
        src_advcnt: isize,
        dest_handle: ddi_acc_handle_t,
        dest_addr: caddr_t,
        dest_advcnt: isize,
        bytecount: usize,
        dev_datasz: uint_t,
    ) -> core::ffi::c_int;
    /// Order of two identities.
    pub fn ddi_devid_compare(
        devid: ddi_devid_t,
        devid2: ddi_devid_t,
    ) -> core::ffi::c_int;
    /// Frees it.
    pub fn ddi_devid_free(devid: ddi_devid_t);
    /// The identity of a node.
    pub fn ddi_devid_get(dip: *mut dev_info_t, p: *mut ddi_devid_t) -> core::ffi::c_int;
    /// Makes a device identity.
    pub fn ddi_devid_init(
        dip: *mut dev_info_t,
        val: ushort_t,
        val2: ushort_t,
        arg: *mut core::ffi::c_void,
        p: *mut ddi_devid_t,
    ) -> core::ffi::c_int;
    /// Gives a node its identity.
    pub fn ddi_devid_register(
        dip: *mut dev_info_t,
        devid: ddi_devid_t,
    ) -> core::ffi::c_int;
    /// Its size in bytes.
    pub fn ddi_devid_sizeof(devid: ddi_devid_t) -> usize;
    /// An identity from a string.
    pub fn ddi_devid_str_decode(
        name: *mut core::ffi::c_char,
        p: *mut ddi_devid_t,
        p2: *mut *mut core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// An identity as a string.
    pub fn ddi_devid_str_encode(
        devid: ddi_devid_t,
        name: *mut core::ffi::c_char,
    ) -> *mut core::ffi::c_char;
    /// Frees such a string.
    pub fn ddi_devid_str_free(name: *mut core::ffi::c_char);
    /// Compares two in text form: -1, 0, 1.
    pub fn ddi_devid_str_compare(
        id1: *mut core::ffi::c_char,
        id2: *mut core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// The number that is unique in the world, in hexadecimal, or NULL.
    pub fn ddi_devid_to_guid(devid: ddi_devid_t) -> *mut core::ffi::c_char;
    /// Frees ddi_devid_to_guid's string.
    pub fn ddi_devid_free_guid(guid: *mut core::ffi::c_char);
    /// Device numbers of the minor nodes of a name, of devices with a device id.
    pub fn ddi_lyr_devid_to_devlist(
        devid: ddi_devid_t,
        minor_name: *mut core::ffi::c_char,
        retndevs: *mut core::ffi::c_int,
        retdevs: *mut *mut dev_t,
    ) -> core::ffi::c_int;
    /// Frees them.
    pub fn ddi_lyr_free_devlist(devlist: *mut dev_t, ndevs: core::ffi::c_int);
    /// Returns the device id of a device number.
    pub fn ddi_lyr_get_devid(
        dev: dev_t,
        ret_devid: *mut ddi_devid_t,
    ) -> core::ffi::c_int;
    /// Returns the minor name of a device number, which the caller frees.
    pub fn ddi_lyr_get_minor_name(
        dev: dev_t,
        spec_type: core::ffi::c_int,
        minor_name: *mut *mut core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// Takes it back.
    pub fn ddi_devid_unregister(dip: *mut dev_info_t);
    /// Whether it is one.
    pub fn ddi_devid_valid(devid: ddi_devid_t) -> core::ffi::c_int;
    /// The first child.
    pub fn ddi_get_child(dip: *mut dev_info_t) -> *mut dev_info_t;
    /// The node's unit address.
    pub fn ddi_get_name_addr(dip: *mut dev_info_t) -> *mut core::ffi::c_char;
    /// The next child of the same parent.
    pub fn ddi_get_next_sibling(dip: *mut dev_info_t) -> *mut dev_info_t;
    /// Finds and holds the node of an instance.
    pub fn ddi_hold_devi_by_instance(
        major: major_t,
        flag: core::ffi::c_int,
        flag2: core::ffi::c_int,
    ) -> *mut dev_info_t;
    /// Writes the node's path below /devices into the buffer and returns it.
    pub fn ddi_pathname(
        dip: *mut dev_info_t,
        name: *mut core::ffi::c_char,
    ) -> *mut core::ffi::c_char;
    /// Gives up that hold.
    pub fn ddi_release_devi(dip: *mut dev_info_t);
    /// Whether power will be lost in a suspend.
    pub fn ddi_removing_power(dip: *mut dev_info_t) -> core::ffi::c_int;
    /// Whether the device sits where it cannot be a bus master.
    pub fn ddi_slaveonly(dip: *mut dev_info_t) -> core::ffi::c_int;
    /// Makes an empty table of per-instance state, items of the given size. 0 or EINVAL.
    pub fn ddi_soft_state_init(
        statep: *mut *mut core::ffi::c_void,
        size: usize,
        n_items: usize,
    ) -> core::ffi::c_int;
    /// Zeroed state for one item. DDI_FAILURE when it exists.
    pub fn ddi_soft_state_zalloc(
        state: *mut core::ffi::c_void,
        item: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// The state of an item, or NULL. Callable in any context.
    pub fn ddi_get_soft_state(
        state: *mut core::ffi::c_void,
        item: core::ffi::c_int,
    ) -> *mut core::ffi::c_void;
    /// Frees the state of one item.
    pub fn ddi_soft_state_free(state: *mut core::ffi::c_void, item: core::ffi::c_int);
    /// Frees the table and what is in it; the pointer becomes NULL.
    pub fn ddi_soft_state_fini(statep: *mut *mut core::ffi::c_void);
    /// Makes an empty table of state keyed by strings.
    pub fn ddi_soft_state_bystr_init(
        statep: *mut *mut ddi_soft_state_bystr,
        size: usize,
        n_items: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Zeroed state for one string.
    pub fn ddi_soft_state_bystr_zalloc(
        state: *mut ddi_soft_state_bystr,
        str_: *const core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// The state of a string, or NULL.
    pub fn ddi_soft_state_bystr_get(
        state: *mut ddi_soft_state_bystr,
        str_: *const core::ffi::c_char,
    ) -> *mut core::ffi::c_void;
    /// Frees the state of one string.
    pub fn ddi_soft_state_bystr_free(
        state: *mut ddi_soft_state_bystr,
        str_: *const core::ffi::c_char,
    );
    /// Frees the table and what is in it.
    pub fn ddi_soft_state_bystr_fini(statep: *mut *mut ddi_soft_state_bystr);
    /// The calling process, 0 in a kernel thread.
    pub fn ddi_get_pid() -> pid_t;
    /// The calling thread's identity, for thread_join.
    pub fn ddi_get_kt_did() -> kt_did_t;
    /// In devmap(9E): maps kernel or pinned user memory. 0 or -1. The callback table is copied.
    pub fn devmap_umem_setup(
        dhp: devmap_cookie_t,
        dip: *mut dev_info_t,
        callbackops: *mut devmap_callback_ctl,
        cookie: ddi_umem_cookie_t,
        off: offset_t,
        len: usize,
        maxprot: uint_t,
        flags: uint_t,
        accattrp: *mut ddi_device_acc_attr_t,
    ) -> core::ffi::c_int;
    /// Zeroed, page-aligned kernel memory that can be mapped; the cookie names it to devmap.
    pub fn ddi_umem_alloc(
        size: usize,
        flags: core::ffi::c_int,
        cookiep: *mut ddi_umem_cookie_t,
    ) -> *mut core::ffi::c_void;
    /// Frees ddi_umem_alloc's memory; no mapping may be left.
    pub fn ddi_umem_free(cookie: ddi_umem_cookie_t);
    /// In devmap(9E): maps a register set. 0 or -1. The callback table is copied.
    pub fn devmap_devmem_setup(
        dhp: devmap_cookie_t,
        dip: *mut dev_info_t,
        callbackops: *mut devmap_callback_ctl,
        rnumber: uint_t,
        roff: offset_t,
        len: usize,
        maxprot: uint_t,
        flags: uint_t,
        accattrp: *mut ddi_device_acc_attr_t,
    ) -> core::ffi::c_int;
    /// What segmap(9E) calls: asks devmap(9E), chooses an address, makes the segment. 0 or an errno.
    pub fn devmap_setup(
        dev: dev_t,
        off: offset_t,
        as_: ddi_as_handle_t,
        addrp: *mut caddr_t,
        len: usize,
        prot: uint_t,
        maxprot: uint_t,
        flags: uint_t,
        credp: *mut cred,
    ) -> core::ffi::c_int;
    /// The ready-made segmap entry of devmap drivers.
    pub fn ddi_devmap_segmap(
        dev: dev_t,
        off: off_t,
        as_: ddi_as_handle_t,
        addrp: *mut caddr_t,
        len: off_t,
        prot: uint_t,
        maxprot: uint_t,
        flags: uint_t,
        credp: *mut cred,
    ) -> core::ffi::c_int;
    /// Drops the range's translations; on return no processor uses them. 0 or a fault code.
    pub fn devmap_unload(
        dhp: devmap_cookie_t,
        off: offset_t,
        len: usize,
    ) -> core::ffi::c_int;
    /// Points a mapping at other registers, or with DEVMAP_MAPPING_INVALID at nothing. 0 or -1.
    pub fn devmap_devmem_remap(
        dhp: devmap_cookie_t,
        dip: *mut dev_info_t,
        rnumber: uint_t,
        roff: offset_t,
        len: usize,
        maxprot: uint_t,
        flags: uint_t,
        accattrp: *mut ddi_device_acc_attr_t,
    ) -> core::ffi::c_int;
    /// Enters translations for the range, in the access callback. 0 or a fault code.
    pub fn devmap_load(
        dhp: devmap_cookie_t,
        off: offset_t,
        len: usize,
        type_: uint_t,
        rw: uint_t,
    ) -> core::ffi::c_int;
    /// Ends ddi_umem_lock.
    pub fn ddi_umem_unlock(cookie: ddi_umem_cookie_t);
    /// A buf over pinned memory.
    pub fn ddi_umem_iosetup(
        cookie: ddi_umem_cookie_t,
        off: off_t,
        len: usize,
        direction: core::ffi::c_int,
        dev: dev_t,
        blkno: daddr_t,
        iodone: ::core::option::Option<
            unsafe extern "C-unwind" fn(arg1: *mut buf) -> core::ffi::c_int,
        >,
        sleepflag: core::ffi::c_int,
    ) -> *mut buf;
    /// Points a mapping at other kernel memory; drops its translations first. 0 or -1.
    pub fn devmap_umem_remap(
        dhp: devmap_cookie_t,
        dip: *mut dev_info_t,
        cookie: ddi_umem_cookie_t,
        off: offset_t,
        len: usize,
        maxprot: uint_t,
        flags: uint_t,
        accattrp: *mut ddi_device_acc_attr_t,
    ) -> core::ffi::c_int;
    /// Whether the register set can be mapped with these attributes; private.
    pub fn ddi_device_mapping_check(
        dev: dev_t,
        accattrp: *mut ddi_device_acc_attr_t,
        rnumber: uint_t,
        hat_flagsp: *mut uint_t,
    ) -> core::ffi::c_int;
    /// What the framework does without an access callback: loads the faulting range.
    pub fn devmap_default_access(
        dhp: devmap_cookie_t,
        pvtp: *mut core::ffi::c_void,
        off: offset_t,
        len: usize,
        type_: uint_t,
        rw: uint_t,
    ) -> core::ffi::c_int;
    /// Runs a driver's context switch, one at a time, and lets the owner keep the device a while.
    pub fn devmap_do_ctxmgt(
        dhp: devmap_cookie_t,
        pvtp: *mut core::ffi::c_void,
        off: offset_t,
        len: usize,
        type_: uint_t,
        rw: uint_t,
        ctxmgt: ::core::option::Option<
            unsafe extern "C-unwind" fn(
                arg1: devmap_cookie_t,
                arg2: *mut core::ffi::c_void,
                arg3: offset_t,
                arg4: usize,
                arg5: uint_t,
                arg6: uint_t,
            ) -> core::ffi::c_int,
        >,
    ) -> core::ffi::c_int;
    /// Ticks for which a context owner keeps the device.
    pub fn devmap_set_ctx_timeout(dhp: devmap_cookie_t, ticks: clock_t);
    /// Pins a range of the calling process. 0 or an errno.
    pub fn ddi_umem_lock(
        addr: caddr_t,
        len: usize,
        flags: core::ffi::c_int,
        cookiep: *mut ddi_umem_cookie_t,
    ) -> core::ffi::c_int;
    /// Data model of the mapping process, inside devmap(9E), segmap(9E) and mmap(9E).
    pub fn ddi_mmap_get_model() -> model_t;
    /// The ready-made segmap entry of mmap(9E) drivers.
    pub fn ddi_segmap(
        dev: dev_t,
        off: off_t,
        as_: *mut as_,
        addrp: *mut caddr_t,
        len: off_t,
        prot: uint_t,
        maxprot: uint_t,
        flags: uint_t,
        credp: *mut cred_t,
    ) -> core::ffi::c_int;
    /// The same with a register set's access attributes.
    pub fn ddi_segmap_setup(
        dev: dev_t,
        off: off_t,
        as_: *mut as_,
        addrp: *mut caddr_t,
        len: off_t,
        prot: uint_t,
        maxprot: uint_t,
        flags: uint_t,
        credp: *mut cred_t,
        accattrp: *mut ddi_device_acc_attr_t,
        rnumber: uint_t,
    ) -> core::ffi::c_int;
    /// Copies from the process, or from the kernel with FKIOCTL. 0 or -1. Blocks.
    pub fn ddi_copyin(
        buf: *const core::ffi::c_void,
        driverbuf: *mut core::ffi::c_void,
        cn: usize,
        flags: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Copies to the process, or to the kernel with FKIOCTL. 0 or -1. Blocks.
    pub fn ddi_copyout(
        driverbuf: *const core::ffi::c_void,
        buf: *mut core::ffi::c_void,
        cn: usize,
        flags: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// The data model to convert from, of an ioctl's mode; DDI_MODEL_NONE when it is the kernel's.
    pub fn ddi_model_convert_from(model: model_t) -> model_t;
    /// A copy in kernel memory; freed with strfree.
    pub fn ddi_strdup(
        str_: *const core::ffi::c_char,
        flag: core::ffi::c_int,
    ) -> *mut core::ffi::c_char;
    /// Frees a string by its length.
    pub fn strfree(s: *mut core::ffi::c_char);
    /// Begins a stretch without interrupts; what to give ddi_exit_critical.
    pub fn ddi_enter_critical() -> core::ffi::c_uint;
    /// Ends it.
    pub fn ddi_exit_critical(state: core::ffi::c_uint);
    /// Whether a signal can reach the calling thread.
    pub fn ddi_can_receive_sig() -> boolean_t;
    /// A queue with threads of its own, or NULL.
    pub fn ddi_taskq_create(
        dip: *mut dev_info_t,
        name: *const core::ffi::c_char,
        nthreads: core::ffi::c_int,
        pri: pri_t,
        cflags: uint_t,
    ) -> *mut ddi_taskq_t;
    /// Queues a function. DDI_FAILURE only with DDI_NOSLEEP.
    pub fn ddi_taskq_dispatch(
        tq: *mut ddi_taskq_t,
        func: ::core::option::Option<
            unsafe extern "C-unwind" fn(arg1: *mut core::ffi::c_void),
        >,
        arg: *mut core::ffi::c_void,
        dflags: uint_t,
    ) -> core::ffi::c_int;
    /// Waits for what is queued, then ends the threads.
    pub fn ddi_taskq_destroy(tq: *mut ddi_taskq_t);
    /// Calls a function every so many nanoseconds, at an interrupt level or at 0.
    pub fn ddi_periodic_add(
        func: ::core::option::Option<
            unsafe extern "C-unwind" fn(arg1: *mut core::ffi::c_void),
        >,
        arg: *mut core::ffi::c_void,
        interval: hrtime_t,
        level: core::ffi::c_int,
    ) -> ddi_periodic_t;
    /// Ends ddi_periodic_add; on return the function does not run.
    pub fn ddi_periodic_delete(request: ddi_periodic_t);
    /// Waits until everything queued so far is done.
    pub fn ddi_taskq_wait(tq: *mut ddi_taskq_t);
    /// Seconds since 1970.
    pub fn ddi_get_time() -> time_t;
    /// Lets nothing new start, and waits for what runs.
    pub fn ddi_taskq_suspend(tq: *mut ddi_taskq_t);
    /// Ends ddi_taskq_suspend.
    pub fn ddi_taskq_resume(tq: *mut ddi_taskq_t);
    /// Whether the queue is suspended.
    pub fn ddi_taskq_suspended(tq: *mut ddi_taskq_t) -> boolean_t;
    /// Copies bytes; the ranges may overlap. The source comes first.
    pub fn bcopy(
        from: *const core::ffi::c_void,
        to: *mut core::ffi::c_void,
        bcount: usize,
    );
    /// Zeroes bytes.
    pub fn bzero(addr: *mut core::ffi::c_void, bytes: usize);
    /// Order of two strings.
    pub fn strcmp(
        s1: *const core::ffi::c_char,
        s2: *const core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// Copies bytes; the ranges do not overlap.
    pub fn memcpy(
        dst: *mut core::ffi::c_void,
        src: *const core::ffi::c_void,
        n: usize,
    ) -> *mut core::ffi::c_void;
    /// Copies at most n characters and pads with NUL.
    pub fn strncpy(
        dst: *mut core::ffi::c_char,
        src: *const core::ffi::c_char,
        n: usize,
    ) -> *mut core::ffi::c_char;
    /// Fills bytes.
    pub fn memset(
        s: *mut core::ffi::c_void,
        c: core::ffi::c_int,
        n: usize,
    ) -> *mut core::ffi::c_void;
    /// Length.
    pub fn strlen(s: *const core::ffi::c_char) -> usize;
    /// Order of two byte ranges.
    pub fn memcmp(
        s1: *const core::ffi::c_void,
        s2: *const core::ffi::c_void,
        n: usize,
    ) -> core::ffi::c_int;
    /// Copies a string.
    pub fn strcpy(
        dst: *mut core::ffi::c_char,
        src: *const core::ffi::c_char,
    ) -> *mut core::ffi::c_char;
    /// 0 when the bytes are equal.
    pub fn bcmp(
        s1: *const core::ffi::c_void,
        s2: *const core::ffi::c_void,
        len: usize,
    ) -> core::ffi::c_int;
    /// Unsigned number in a string. 0, EINVAL or ERANGE.
    pub fn ddi_strtoul(
        str_: *const core::ffi::c_char,
        endptr: *mut *mut core::ffi::c_char,
        base: core::ffi::c_int,
        result: *mut core::ffi::c_ulong,
    ) -> core::ffi::c_int;
    /// Copies what fits; returns the source's length.
    pub fn strlcpy(
        dst: *mut core::ffi::c_char,
        src: *const core::ffi::c_char,
        size: usize,
    ) -> usize;
    /// Order of two strings, at most n characters.
    pub fn strncmp(
        s1: *const core::ffi::c_char,
        s2: *const core::ffi::c_char,
        n: usize,
    ) -> core::ffi::c_int;
    /// Number in a string. 0, EINVAL or ERANGE.
    pub fn ddi_strtol(
        str_: *const core::ffi::c_char,
        endptr: *mut *mut core::ffi::c_char,
        base: core::ffi::c_int,
        result: *mut core::ffi::c_long,
    ) -> core::ffi::c_int;
    /// Copies bytes; the ranges may overlap.
    pub fn memmove(
        dst: *mut core::ffi::c_void,
        src: *const core::ffi::c_void,
        n: usize,
    ) -> *mut core::ffi::c_void;
    /// Number of the lowest bit set, from 1; 0 for none.
    pub fn ddi_ffs(val: core::ffi::c_long) -> core::ffi::c_int;
    /// Number of the highest bit set, from 1; 0 for none.
    pub fn ddi_fls(val: core::ffi::c_long) -> core::ffi::c_int;
    /// 64-bit number in a string. 0, EINVAL or ERANGE.
    pub fn ddi_strtoll(
        str_: *const core::ffi::c_char,
        endptr: *mut *mut core::ffi::c_char,
        base: core::ffi::c_int,
        result: *mut longlong_t,
    ) -> core::ffi::c_int;
    /// 64-bit unsigned number in a string. 0, EINVAL or ERANGE.
    pub fn ddi_strtoull(
        str_: *const core::ffi::c_char,
        endptr: *mut *mut core::ffi::c_char,
        base: core::ffi::c_int,
        result: *mut u_longlong_t,
    ) -> core::ffi::c_int;
    /// Bytes in reverse order.
    pub fn ddi_swap16(val: u16) -> u16;
    /// Bytes in reverse order.
    pub fn ddi_swap32(val: u32) -> u32;
    /// Bytes in reverse order.
    pub fn ddi_swap64(val: u64) -> u64;
    /// The first such byte, or NULL.
    pub fn memchr(
        s: *const core::ffi::c_void,
        c: core::ffi::c_int,
        n: usize,
    ) -> *mut core::ffi::c_void;
    /// Decimal digits of a number.
    pub fn numtos(value: ulong_t, name: *mut core::ffi::c_char);
    /// Number in a string; moves the pointer behind it.
    pub fn stoi(p: *mut *mut core::ffi::c_char) -> core::ffi::c_int;
    /// The first such character, or NULL.
    pub fn strchr(
        s: *const core::ffi::c_char,
        c: core::ffi::c_int,
    ) -> *mut core::ffi::c_char;
    /// Length of the start without these characters.
    pub fn strcspn(
        s: *const core::ffi::c_char,
        reject: *const core::ffi::c_char,
    ) -> usize;
    /// A copy in kernel memory; freed with strfree.
    pub fn strdup(s: *const core::ffi::c_char) -> *mut core::ffi::c_char;
    /// Appends what fits; returns the length of the whole.
    pub fn strlcat(
        dst: *mut core::ffi::c_char,
        src: *const core::ffi::c_char,
        size: usize,
    ) -> usize;
    /// Appends at most n characters.
    pub fn strncat(
        dst: *mut core::ffi::c_char,
        src: *const core::ffi::c_char,
        n: usize,
    ) -> *mut core::ffi::c_char;
    /// Length, at most n.
    pub fn strnlen(s: *const core::ffi::c_char, n: usize) -> usize;
    /// The first such string in a string, or NULL.
    pub fn strstr(
        s: *const core::ffi::c_char,
        wanted: *const core::ffi::c_char,
    ) -> *mut core::ffi::c_char;
    /// Length of the start that consists of these characters.
    pub fn strspn(
        s: *const core::ffi::c_char,
        accept: *const core::ffi::c_char,
    ) -> usize;
    /// Copies with the bytes of each pair exchanged.
    pub fn swab(arg: *mut core::ffi::c_void, arg2: *mut core::ffi::c_void, len: usize);
    /// The ready-made prop_op entry.
    pub fn ddi_prop_op(
        dev: dev_t,
        dip: *mut dev_info_t,
        prop_op: ddi_prop_op_t,
        mod_flags: core::ffi::c_int,
        name: *mut core::ffi::c_char,
        valuep: caddr_t,
        lengthp: *mut core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// An int property, or the default.
    pub fn ddi_prop_get_int(
        match_dev: dev_t,
        dip: *mut dev_info_t,
        flags: uint_t,
        name: *mut core::ffi::c_char,
        defvalue: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Frees what a ddi_prop_lookup function gave.
    pub fn ddi_prop_free(data: *mut core::ffi::c_void);
    /// An array of ints; freed with ddi_prop_free.
    pub fn ddi_prop_lookup_int_array(
        match_dev: dev_t,
        dip: *mut dev_info_t,
        flags: uint_t,
        name: *mut core::ffi::c_char,
        datap: *mut *mut core::ffi::c_int,
        nelementsp: *mut uint_t,
    ) -> core::ffi::c_int;
    /// Bytes of a property in new kernel memory; old. The caller frees.
    pub fn ddi_getlongprop(
        dev: dev_t,
        dip: *mut dev_info_t,
        flags: core::ffi::c_int,
        name: *mut core::ffi::c_char,
        valuep: caddr_t,
        lengthp: *mut core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// A string; freed with ddi_prop_free.
    pub fn ddi_prop_lookup_string(
        match_dev: dev_t,
        dip: *mut dev_info_t,
        flags: uint_t,
        name: *mut core::ffi::c_char,
        datap: *mut *mut core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// Sets untyped bytes as a property; old.
    pub fn ddi_prop_create(
        dev: dev_t,
        dip: *mut dev_info_t,
        flags: core::ffi::c_int,
        name: *mut core::ffi::c_char,
        valuep: caddr_t,
        length: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// An array of strings; freed with ddi_prop_free.
    pub fn ddi_prop_lookup_string_array(
        match_dev: dev_t,
        dip: *mut dev_info_t,
        flags: uint_t,
        name: *mut core::ffi::c_char,
        datap: *mut *mut *mut core::ffi::c_char,
        nelementsp: *mut uint_t,
    ) -> core::ffi::c_int;
    /// An array of bytes; freed with ddi_prop_free.
    pub fn ddi_prop_lookup_byte_array(
        match_dev: dev_t,
        dip: *mut dev_info_t,
        flags: uint_t,
        name: *mut core::ffi::c_char,
        datap: *mut *mut uchar_t,
        nelementsp: *mut uint_t,
    ) -> core::ffi::c_int;
    /// Sets an int property of the driver.
    pub fn ddi_prop_update_int(
        dev: dev_t,
        dip: *mut dev_info_t,
        name: *mut core::ffi::c_char,
        data: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Removes a property that the driver set.
    pub fn ddi_prop_remove(
        dev: dev_t,
        dip: *mut dev_info_t,
        name: *mut core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// Removes all properties that the driver set.
    pub fn ddi_prop_remove_all(dip: *mut dev_info_t);
    /// An int property, or the default; old.
    pub fn ddi_getprop(
        dev: dev_t,
        dip: *mut dev_info_t,
        flags: core::ffi::c_int,
        name: *mut core::ffi::c_char,
        defvalue: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// A 64-bit property, or the default.
    pub fn ddi_prop_get_int64(
        match_dev: dev_t,
        dip: *mut dev_info_t,
        flags: uint_t,
        name: *mut core::ffi::c_char,
        defvalue: i64,
    ) -> i64;
    /// 1 when there is such a property, else 0.
    pub fn ddi_prop_exists(
        match_dev: dev_t,
        dip: *mut dev_info_t,
        flags: uint_t,
        name: *mut core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// Sets a string property of the driver.
    pub fn ddi_prop_update_string(
        dev: dev_t,
        dip: *mut dev_info_t,
        name: *mut core::ffi::c_char,
        data: *mut core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// Sets a property of the driver.
    pub fn ddi_prop_update_int_array(
        dev: dev_t,
        dip: *mut dev_info_t,
        name: *mut core::ffi::c_char,
        data: *mut core::ffi::c_int,
        nelements: uint_t,
    ) -> core::ffi::c_int;
    /// Hides a property of a lower source.
    pub fn ddi_prop_undefine(
        dev: dev_t,
        dip: *mut dev_info_t,
        flags: core::ffi::c_int,
        name: *mut core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// Length of a property; old.
    pub fn ddi_getproplen(
        dev: dev_t,
        dip: *mut dev_info_t,
        flags: core::ffi::c_int,
        name: *mut core::ffi::c_char,
        lengthp: *mut core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Bytes of a property into a buffer; old.
    pub fn ddi_getlongprop_buf(
        dev: dev_t,
        dip: *mut dev_info_t,
        flags: core::ffi::c_int,
        name: *mut core::ffi::c_char,
        valuep: caddr_t,
        lengthp: *mut core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// An array of 64-bit numbers; freed with ddi_prop_free.
    pub fn ddi_prop_lookup_int64_array(
        match_dev: dev_t,
        dip: *mut dev_info_t,
        flags: uint_t,
        name: *mut core::ffi::c_char,
        datap: *mut *mut i64,
        nelementsp: *mut uint_t,
    ) -> core::ffi::c_int;
    /// Changes untyped bytes of a property; old.
    pub fn ddi_prop_modify(
        dev: dev_t,
        dip: *mut dev_info_t,
        flags: core::ffi::c_int,
        name: *mut core::ffi::c_char,
        valuep: caddr_t,
        length: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// The same for drivers with a size in blocks.
    pub fn ddi_prop_op_nblocks(
        dev: dev_t,
        dip: *mut dev_info_t,
        prop_op: ddi_prop_op_t,
        mod_flags: core::ffi::c_int,
        name: *mut core::ffi::c_char,
        valuep: caddr_t,
        lengthp: *mut core::ffi::c_int,
        nblocks64: u64,
    ) -> core::ffi::c_int;
    /// The same for drivers with a size in bytes.
    pub fn ddi_prop_op_size(
        dev: dev_t,
        dip: *mut dev_info_t,
        prop_op: ddi_prop_op_t,
        mod_flags: core::ffi::c_int,
        name: *mut core::ffi::c_char,
        valuep: caddr_t,
        lengthp: *mut core::ffi::c_int,
        size64: u64,
    ) -> core::ffi::c_int;
    /// Sets a property of the driver.
    pub fn ddi_prop_update_byte_array(
        dev: dev_t,
        dip: *mut dev_info_t,
        name: *mut core::ffi::c_char,
        data: *mut uchar_t,
        nelements: uint_t,
    ) -> core::ffi::c_int;
    /// Sets a 64-bit property of the driver.
    pub fn ddi_prop_update_int64(
        dev: dev_t,
        dip: *mut dev_info_t,
        name: *mut core::ffi::c_char,
        data: i64,
    ) -> core::ffi::c_int;
    /// Sets a property of the driver.
    pub fn ddi_prop_update_int64_array(
        dev: dev_t,
        dip: *mut dev_info_t,
        name: *mut core::ffi::c_char,
        data: *mut i64,
        nelements: uint_t,
    ) -> core::ffi::c_int;
    /// Sets a property of the driver.
    pub fn ddi_prop_update_string_array(
        dev: dev_t,
        dip: *mut dev_info_t,
        name: *mut core::ffi::c_char,
        data: *mut *mut core::ffi::c_char,
        nelements: uint_t,
    ) -> core::ffi::c_int;
    /// Whether register accesses failed.
    pub fn ddi_check_acc_handle(handle: ddi_acc_handle_t) -> core::ffi::c_int;
    /// Whether DMA failed.
    pub fn ddi_check_dma_handle(handle: ddi_dma_handle_t) -> core::ffi::c_int;
    /// Posts what PCI's error registers say.
    pub fn pci_ereport_post(dip: *mut dev_info_t, p: *mut ddi_fm_error_t, p2: *mut u16);
    /// Prepares for PCI error reports.
    pub fn pci_ereport_setup(dip: *mut dev_info_t);
    /// Ends pci_ereport_setup.
    pub fn pci_ereport_teardown(dip: *mut dev_info_t);
    /// A reference to the calling process, for proc_signal.
    pub fn proc_ref() -> *mut core::ffi::c_void;
    /// Sends a signal. 0, or -1 when the process is gone.
    pub fn proc_signal(
        pref: *mut core::ffi::c_void,
        sig: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Ends proc_ref.
    pub fn proc_unref(pref: *mut core::ffi::c_void);
    /// Raw I/O: pins the request's memory and calls strategy piece by piece.
    pub fn physio(
        strat: ::core::option::Option<
            unsafe extern "C-unwind" fn(arg1: *mut buf) -> core::ffi::c_int,
        >,
        bp: *mut buf,
        dev: dev_t,
        rw: core::ffi::c_int,
        mincnt: ::core::option::Option<unsafe extern "C-unwind" fn(arg1: *mut buf)>,
        uiop: *mut uio,
    ) -> core::ffi::c_int;
    /// Cuts a request to what is possible at once.
    pub fn minphys(bp: *mut buf);
    /// Bytes in whole pages of the device's bus, rounded down.
    pub fn ddi_btop(
        dip: *mut dev_info_t,
        value: core::ffi::c_ulong,
    ) -> core::ffi::c_ulong;
    /// Bytes in whole pages of the device's bus, rounded up.
    pub fn ddi_btopr(
        dip: *mut dev_info_t,
        value: core::ffi::c_ulong,
    ) -> core::ffi::c_ulong;
    /// Pages of the device's bus in bytes.
    pub fn ddi_ptob(
        dip: *mut dev_info_t,
        value: core::ffi::c_ulong,
    ) -> core::ffi::c_ulong;
    /// Maps a register set for the kernel; length 0 is all of it.
    pub fn ddi_regs_map_setup(
        dip: *mut dev_info_t,
        rnumber: uint_t,
        addrp: *mut caddr_t,
        offset: offset_t,
        len: offset_t,
        accattrp: *mut ddi_device_acc_attr_t,
        handlep: *mut ddi_acc_handle_t,
    ) -> core::ffi::c_int;
    /// Ends ddi_regs_map_setup.
    pub fn ddi_regs_map_free(handlep: *mut ddi_acc_handle_t);
    /// Access to the device's PCI configuration space.
    pub fn pci_config_setup(
        dip: *mut dev_info_t,
        handlep: *mut ddi_acc_handle_t,
    ) -> core::ffi::c_int;
    /// Ends pci_config_setup.
    pub fn pci_config_teardown(handlep: *mut ddi_acc_handle_t);
    /// Reads 16 bits of PCI configuration space.
    pub fn pci_config_get16(handle: ddi_acc_handle_t, off: off_t) -> u16;
    /// Reads a 8-bit register, in the byte order of the handle.
    pub fn ddi_get8(handle: ddi_acc_handle_t, dev_addr: *mut u8) -> u8;
    /// Reads a 32-bit register, in the byte order of the handle.
    pub fn ddi_get32(handle: ddi_acc_handle_t, dev_addr: *mut u32) -> u32;
    /// Writes a 8-bit register, in the byte order of the handle.
    pub fn ddi_put8(handle: ddi_acc_handle_t, dev_addr: *mut u8, value: u8);
    /// Writes a 32-bit register, in the byte order of the handle.
    pub fn ddi_put32(handle: ddi_acc_handle_t, dev_addr: *mut u32, value: u32);
    /// Reads 32 bits of PCI configuration space.
    pub fn pci_config_get32(handle: ddi_acc_handle_t, off: off_t) -> u32;
    /// Writes 32 bits of PCI configuration space.
    pub fn pci_config_put32(handle: ddi_acc_handle_t, off: off_t, val: u32);
    /// Reads a 64-bit register, in the byte order of the handle.
    pub fn ddi_get64(handle: ddi_acc_handle_t, dev_addr: *mut u64) -> u64;
    /// Writes a 64-bit register, in the byte order of the handle.
    pub fn ddi_put64(handle: ddi_acc_handle_t, dev_addr: *mut u64, value: u64);
    /// Reads a 16-bit register, in the byte order of the handle.
    pub fn ddi_get16(handle: ddi_acc_handle_t, dev_addr: *mut u16) -> u16;
    /// Writes a 16-bit register, in the byte order of the handle.
    pub fn ddi_put16(handle: ddi_acc_handle_t, dev_addr: *mut u16, value: u16);
    /// Reads an array of 32-bit registers.
    pub fn ddi_rep_get32(
        handle: ddi_acc_handle_t,
        host_addr: *mut u32,
        dev_addr: *mut u32,
        repcount: usize,
        flags: uint_t,
    );
    /// Writes an array of 32-bit registers.
    pub fn ddi_rep_put32(
        handle: ddi_acc_handle_t,
        host_addr: *mut u32,
        dev_addr: *mut u32,
        repcount: usize,
        flags: uint_t,
    );
    /// Reads 32 bits; DDI_FAILURE instead of a trap.
    pub fn ddi_peek32(
        dip: *mut dev_info_t,
        addr: *mut i32,
        valuep: *mut i32,
    ) -> core::ffi::c_int;
    /// Zeroes registers.
    pub fn ddi_device_zero(
        handle: ddi_acc_handle_t,
        dev_addr: caddr_t,
        bytecount: usize,
        dev_advcnt: isize,
        dev_datasz: uint_t,
    ) -> core::ffi::c_int;
    /// Maps a register set for the kernel; old.
    pub fn ddi_map_regs(
        dip: *mut dev_info_t,
        flags: uint_t,
        addrp: *mut caddr_t,
        off: off_t,
        off2: off_t,
    ) -> core::ffi::c_int;
    /// Reads 16 bits; DDI_FAILURE instead of a trap.
    pub fn ddi_peek16(
        dip: *mut dev_info_t,
        addr: *mut i16,
        valuep: *mut i16,
    ) -> core::ffi::c_int;
    /// Reads 64 bits; DDI_FAILURE instead of a trap.
    pub fn ddi_peek64(
        dip: *mut dev_info_t,
        addr: *mut i64,
        valuep: *mut i64,
    ) -> core::ffi::c_int;
    /// Reads 8 bits; DDI_FAILURE instead of a trap.
    pub fn ddi_peek8(
        dip: *mut dev_info_t,
        addr: *mut i8,
        valuep: *mut i8,
    ) -> core::ffi::c_int;
    /// Writes 16 bits; DDI_FAILURE instead of a trap.
    pub fn ddi_poke16(
        dip: *mut dev_info_t,
        addr: *mut i16,
        value: i16,
    ) -> core::ffi::c_int;
    /// Writes 32 bits; DDI_FAILURE instead of a trap.
    pub fn ddi_poke32(
        dip: *mut dev_info_t,
        addr: *mut i32,
        value: i32,
    ) -> core::ffi::c_int;
    /// Writes 64 bits; DDI_FAILURE instead of a trap.
    pub fn ddi_poke64(
        dip: *mut dev_info_t,
        addr: *mut i64,
        value: i64,
    ) -> core::ffi::c_int;
    /// Writes 8 bits; DDI_FAILURE instead of a trap.
    pub fn ddi_poke8(dip: *mut dev_info_t, addr: *mut i8, value: i8) -> core::ffi::c_int;
    /// Reads an array of 16-bit registers.
    pub fn ddi_rep_get16(
        handle: ddi_acc_handle_t,
        host_addr: *mut u16,
        dev_addr: *mut u16,
        repcount: usize,
        flags: uint_t,
    );
    /// Reads an array of 64-bit registers.
    pub fn ddi_rep_get64(
        handle: ddi_acc_handle_t,
        host_addr: *mut u64,
        dev_addr: *mut u64,
        repcount: usize,
        flags: uint_t,
    );
    /// Reads an array of 8-bit registers.
    pub fn ddi_rep_get8(
        handle: ddi_acc_handle_t,
        host_addr: *mut u8,
        dev_addr: *mut u8,
        repcount: usize,
        flags: uint_t,
    );
    /// Writes an array of 16-bit registers.
    pub fn ddi_rep_put16(
        handle: ddi_acc_handle_t,
        host_addr: *mut u16,
        dev_addr: *mut u16,
        repcount: usize,
        flags: uint_t,
    );
    /// Writes an array of 64-bit registers.
    pub fn ddi_rep_put64(
        handle: ddi_acc_handle_t,
        host_addr: *mut u64,
        dev_addr: *mut u64,
        repcount: usize,
        flags: uint_t,
    );
    /// Writes an array of 8-bit registers.
    pub fn ddi_rep_put8(
        handle: ddi_acc_handle_t,
        host_addr: *mut u8,
        dev_addr: *mut u8,
        repcount: usize,
        flags: uint_t,
    );
    /// Ends ddi_map_regs.
    pub fn ddi_unmap_regs(
        dip: *mut dev_info_t,
        flags: uint_t,
        addrp: *mut caddr_t,
        off: off_t,
        off2: off_t,
    );
    /// Reads 64 bits of PCI configuration space.
    pub fn pci_config_get64(handle: ddi_acc_handle_t, off: off_t) -> u64;
    /// Reads 8 bits of PCI configuration space.
    pub fn pci_config_get8(handle: ddi_acc_handle_t, off: off_t) -> u8;
    /// Writes 16 bits of PCI configuration space.
    pub fn pci_config_put16(handle: ddi_acc_handle_t, off: off_t, val: u16);
    /// Writes 64 bits of PCI configuration space.
    pub fn pci_config_put64(handle: ddi_acc_handle_t, off: off_t, val: u64);
    /// Writes 8 bits of PCI configuration space.
    pub fn pci_config_put8(handle: ddi_acc_handle_t, off: off_t, val: u8);
    /// Tells of a power management capability.
    pub fn pci_report_pmcap(
        dip: *mut dev_info_t,
        flag: core::ffi::c_int,
        arg: *mut core::ffi::c_void,
    ) -> core::ffi::c_int;
    /// Restores it.
    pub fn pci_restore_config_regs(dip: *mut dev_info_t) -> core::ffi::c_int;
    /// Saves configuration space before power is lost.
    pub fn pci_save_config_regs(dip: *mut dev_info_t) -> core::ffi::c_int;
    /// A handle for DMA by a device with these attributes.
    pub fn ddi_dma_alloc_handle(
        dip: *mut dev_info_t,
        p: *mut ddi_dma_attr_t,
        func: ::core::option::Option<
            unsafe extern "C-unwind" fn(arg1: caddr_t) -> core::ffi::c_int,
        >,
        addr: caddr_t,
        handlep: *mut ddi_dma_handle_t,
    ) -> core::ffi::c_int;
    /// Frees the handle.
    pub fn ddi_dma_free_handle(handlep: *mut ddi_dma_handle_t);
    /// Memory fit for the device, and access to it.
    pub fn ddi_dma_mem_alloc(
        handle: ddi_dma_handle_t,
        len: usize,
        p: *mut ddi_device_acc_attr_t,
        flags: uint_t,
        func: ::core::option::Option<
            unsafe extern "C-unwind" fn(arg1: caddr_t) -> core::ffi::c_int,
        >,
        addr: caddr_t,
        addrp: *mut caddr_t,
        lenp: *mut usize,
        handlep: *mut ddi_acc_handle_t,
    ) -> core::ffi::c_int;
    /// Makes memory reachable for the device; the first of its pieces.
    pub fn ddi_dma_addr_bind_handle(
        handle: ddi_dma_handle_t,
        as_: *mut as_,
        addr: caddr_t,
        len: usize,
        flags: uint_t,
        func: ::core::option::Option<
            unsafe extern "C-unwind" fn(arg1: caddr_t) -> core::ffi::c_int,
        >,
        addr2: caddr_t,
        p: *mut ddi_dma_cookie_t,
        countp: *mut uint_t,
    ) -> core::ffi::c_int;
    /// Ends the binding.
    pub fn ddi_dma_unbind_handle(handle: ddi_dma_handle_t) -> core::ffi::c_int;
    /// The next piece.
    pub fn ddi_dma_nextcookie(handle: ddi_dma_handle_t, p: *mut ddi_dma_cookie_t);
    /// Number of pieces in the window.
    pub fn ddi_dma_ncookies(handle: ddi_dma_handle_t) -> uint_t;
    /// The piece behind this one; the first for NULL, NULL behind the last.
    pub fn ddi_dma_cookie_iter(
        handle: ddi_dma_handle_t,
        cookie: *const ddi_dma_cookie_t,
    ) -> *const ddi_dma_cookie_t;
    /// A piece by its number.
    pub fn ddi_dma_cookie_get(
        handle: ddi_dma_handle_t,
        index: uint_t,
    ) -> *const ddi_dma_cookie_t;
    /// The only piece.
    pub fn ddi_dma_cookie_one(handle: ddi_dma_handle_t) -> *const ddi_dma_cookie_t;
    /// Frees ddi_dma_mem_alloc's memory.
    pub fn ddi_dma_mem_free(handlep: *mut ddi_acc_handle_t);
    /// Makes one side's writes visible to the other.
    pub fn ddi_dma_sync(
        handle: ddi_dma_handle_t,
        off: off_t,
        len: usize,
        flags: uint_t,
    ) -> core::ffi::c_int;
    /// The same for a buf.
    pub fn ddi_dma_buf_bind_handle(
        handle: ddi_dma_handle_t,
        bp: *mut buf,
        flags: uint_t,
        func: ::core::option::Option<
            unsafe extern "C-unwind" fn(arg1: caddr_t) -> core::ffi::c_int,
        >,
        addr: caddr_t,
        p: *mut ddi_dma_cookie_t,
        countp: *mut uint_t,
    ) -> core::ffi::c_int;
    /// Number of windows of a partial binding.
    pub fn ddi_dma_numwin(
        handle: ddi_dma_handle_t,
        countp: *mut uint_t,
    ) -> core::ffi::c_int;
    /// Burst sizes that the binding allows.
    pub fn ddi_dma_burstsizes(handle: ddi_dma_handle_t) -> core::ffi::c_int;
    /// Moves a partial binding to another window.
    pub fn ddi_dma_getwin(
        handle: ddi_dma_handle_t,
        flags: uint_t,
        p: *mut off_t,
        lenp: *mut usize,
        p2: *mut ddi_dma_cookie_t,
        countp: *mut uint_t,
    ) -> core::ffi::c_int;
    /// Sizes of 64-bit bursts; another machine's.
    pub fn ddi_dma_set_sbus64(
        handle: ddi_dma_handle_t,
        value: ulong_t,
    ) -> core::ffi::c_int;
    /// A byte of an I/O port.
    pub fn inb(port: core::ffi::c_int) -> u8;
    /// 16 bits of an I/O port.
    pub fn inw(port: core::ffi::c_int) -> u16;
    /// 32 bits of an I/O port.
    pub fn inl(port: core::ffi::c_int) -> u32;
    /// A byte to an I/O port.
    pub fn outb(port: core::ffi::c_int, value: u8);
    /// 16 bits to an I/O port.
    pub fn outw(port: core::ffi::c_int, value: u16);
    /// 32 bits to an I/O port.
    pub fn outl(port: core::ffi::c_int, value: u32);
    /// From one I/O port, 8 bits at a time.
    pub fn repinsb(port: core::ffi::c_int, addr: *mut u8, count: core::ffi::c_int);
    /// From one I/O port, 16 bits at a time.
    pub fn repinsw(port: core::ffi::c_int, addr: *mut u16, count: core::ffi::c_int);
    /// From one I/O port, 32 bits at a time.
    pub fn repinsd(port: core::ffi::c_int, addr: *mut u32, count: core::ffi::c_int);
    /// To one I/O port, 8 bits at a time.
    pub fn repoutsb(port: core::ffi::c_int, addr: *mut u8, count: core::ffi::c_int);
    /// To one I/O port, 16 bits at a time.
    pub fn repoutsw(port: core::ffi::c_int, addr: *mut u16, count: core::ffi::c_int);
    /// To one I/O port, 32 bits at a time.
    pub fn repoutsd(port: core::ffi::c_int, addr: *mut u32, count: core::ffi::c_int);
    /// A conversion, or -1.
    pub fn kiconv_open(
        tocode: *const core::ffi::c_char,
        fromcode: *const core::ffi::c_char,
    ) -> kiconv_t;
    /// Converts; the number of characters that were replaced, or -1 and *errnum.
    pub fn kiconv(
        cd: kiconv_t,
        inbuf: *mut *mut core::ffi::c_char,
        inbytesleft: *mut usize,
        outbuf: *mut *mut core::ffi::c_char,
        outbytesleft: *mut usize,
        errnum: *mut core::ffi::c_int,
    ) -> usize;
    /// Ends a conversion. 0 or EBADF.
    pub fn kiconv_close(cd: kiconv_t) -> core::ffi::c_int;
    /// Converts a text in one call.
    pub fn kiconvstr(
        tocode: *const core::ffi::c_char,
        fromcode: *const core::ffi::c_char,
        inarray: *mut core::ffi::c_char,
        inlen: *mut usize,
        outarray: *mut core::ffi::c_char,
        outlen: *mut usize,
        flag: core::ffi::c_int,
        errnum: *mut core::ffi::c_int,
    ) -> usize;
    /// An interrupt handler at high priority; fails.
    pub fn ddi_add_fastintr(
        dip: *mut dev_info_t,
        inumber: uint_t,
        iblock_cookiep: *mut ddi_iblock_cookie_t,
        idevice_cookiep: *mut ddi_idevice_cookie_t,
        hi_int_handler: ::core::option::Option<unsafe extern "C-unwind" fn() -> uint_t>,
    ) -> core::ffi::c_int;
    /// Whether one device is part of another.
    pub fn ddi_dev_affinity(a: *mut dev_info_t, b: *mut dev_info_t) -> core::ffi::c_int;
    /// The last part of a node's path.
    pub fn ddi_deviname(
        dip: *mut dev_info_t,
        name: *mut core::ffi::c_char,
    ) -> *mut core::ffi::c_char;
    /// The next node of the same driver.
    pub fn ddi_get_next(dip: *mut dev_info_t) -> *mut dev_info_t;
    /// Returns the data that the parent nexus stores in a node.
    pub fn ddi_get_parent_data(dip: *mut dev_info_t) -> *mut core::ffi::c_void;
    /// Loads and holds a driver: its operations.
    pub fn ddi_hold_installed_driver(major: major_t) -> *mut dev_ops;
    /// Loads a driver.
    pub fn ddi_install_driver(idstring: *mut core::ffi::c_char) -> core::ffi::c_int;
    /// A driver's name and the number at its end.
    pub fn ddi_parse(
        str_: *const core::ffi::c_char,
        alnum: *mut core::ffi::c_char,
        nump: *mut uint_t,
    ) -> core::ffi::c_int;
    /// The device number behind a path below /devices.
    pub fn ddi_pathname_to_dev_t(pathname: *mut core::ffi::c_char) -> dev_t;
    /// Forgets what is cached of a property.
    pub fn ddi_prop_cache_invalidate(
        dev: dev_t,
        dip: *mut dev_info_t,
        name: *mut core::ffi::c_char,
        flags: core::ffi::c_int,
    );
    /// Ends ddi_hold_installed_driver.
    pub fn ddi_rele_driver(major: major_t);
    /// Rings the console's bell.
    pub fn ddi_ring_console_bell(duration: clock_t);
    /// Calls the functions of a list.
    pub fn ddi_run_callback(listid: *mut usize);
    /// Puts a function on a list.
    pub fn ddi_set_callback(
        funcp: ::core::option::Option<
            unsafe extern "C-unwind" fn(arg1: caddr_t) -> core::ffi::c_int,
        >,
        arg: caddr_t,
        listid: *mut usize,
    );
    /// Sets what rings the console's bell.
    pub fn ddi_set_console_bell(
        bellfunc: ::core::option::Option<unsafe extern "C-unwind" fn(duration: clock_t)>,
    );
    /// Sets what the nexus keeps for a node.
    pub fn ddi_set_parent_data(dip: *mut dev_info_t, pd: *mut core::ffi::c_void);
    /// Whether a node's driver is a STREAMS driver.
    pub fn ddi_streams_driver(dip: *mut dev_info_t) -> core::ffi::c_int;
    /// A string's number in a table, which it gets if it has none.
    pub fn ddi_strid_alloc(strid: *mut ddi_strid, str_: *mut core::ffi::c_char) -> id_t;
    /// Frees a table.
    pub fn ddi_strid_fini(strid_p: *mut *mut ddi_strid);
    /// Frees a string.
    pub fn ddi_strid_free(strid: *mut ddi_strid, id: id_t);
    /// The string of a number, or NULL.
    pub fn ddi_strid_id2str(strid: *mut ddi_strid, id: id_t) -> *mut core::ffi::c_char;
    /// A table of strings by number.
    pub fn ddi_strid_init(
        strid_p: *mut *mut ddi_strid,
        n_items: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// The number of a string, or 0.
    pub fn ddi_strid_str2id(strid: *mut ddi_strid, str_: *mut core::ffi::c_char) -> id_t;
    /// Whether a node is below the pseudo nexus.
    pub fn is_pseudo_device(dip: *mut dev_info_t) -> core::ffi::c_int;
    /// ddi_prop_op_nblocks with a size of blocks.
    pub fn ddi_prop_op_nblocks_blksize(
        dev: dev_t,
        dip: *mut dev_info_t,
        prop_op: ddi_prop_op_t,
        mod_flags: core::ffi::c_int,
        name: *mut core::ffi::c_char,
        valuep: caddr_t,
        lengthp: *mut core::ffi::c_int,
        nblocks64: u64,
        blksize: uint_t,
    ) -> core::ffi::c_int;
    /// ddi_prop_op_size with a size of blocks.
    pub fn ddi_prop_op_size_blksize(
        dev: dev_t,
        dip: *mut dev_info_t,
        prop_op: ddi_prop_op_t,
        mod_flags: core::ffi::c_int,
        name: *mut core::ffi::c_char,
        valuep: caddr_t,
        lengthp: *mut core::ffi::c_int,
        size64: u64,
        blksize: uint_t,
    ) -> core::ffi::c_int;
    /// The older name of pci_config_get8.
    pub fn pci_config_getb(handle: ddi_acc_handle_t, off: off_t) -> u8;
    /// The older name of pci_config_get32.
    pub fn pci_config_getl(handle: ddi_acc_handle_t, off: off_t) -> u32;
    /// The older name of pci_config_get64.
    pub fn pci_config_getll(handle: ddi_acc_handle_t, off: off_t) -> u64;
    /// The older name of pci_config_get16.
    pub fn pci_config_getw(handle: ddi_acc_handle_t, off: off_t) -> u16;
    /// The older name of pci_config_put8.
    pub fn pci_config_putb(handle: ddi_acc_handle_t, off: off_t, val: u8);
    /// The older name of pci_config_put32.
    pub fn pci_config_putl(handle: ddi_acc_handle_t, off: off_t, val: u32);
    /// The older name of pci_config_put64.
    pub fn pci_config_putll(handle: ddi_acc_handle_t, off: off_t, val: u64);
    /// The older name of pci_config_put16.
    pub fn pci_config_putw(handle: ddi_acc_handle_t, off: off_t, val: u16);
    /// Appends a string.
    pub fn strcat(
        dst: *mut core::ffi::c_char,
        src: *const core::ffi::c_char,
    ) -> *mut core::ffi::c_char;
    /// The first of some characters, or NULL.
    pub fn strpbrk(
        s: *const core::ffi::c_char,
        accept: *const core::ffi::c_char,
    ) -> *mut core::ffi::c_char;
    /// Cuts the next part off a string.
    pub fn strsep(
        stringp: *mut *mut core::ffi::c_char,
        delim: *const core::ffi::c_char,
    ) -> *mut core::ffi::c_char;
    /// Starts an asynchronous read of the device.
    pub fn ldi_aread(
        lh: ldi_handle_t,
        aio_reqp: *mut aio_req,
        cr: *mut cred_t,
    ) -> core::ffi::c_int;
    /// Starts an asynchronous write of the device.
    pub fn ldi_awrite(
        lh: ldi_handle_t,
        aio_reqp: *mut aio_req,
        cr: *mut cred_t,
    ) -> core::ffi::c_int;
    /// Calls dump(9E) of the device.
    pub fn ldi_dump(
        lh: ldi_handle_t,
        addr: caddr_t,
        blkno: daddr_t,
        nblk: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Calls the finalize callbacks of an event.
    pub fn ldi_ev_finalize(
        dip: *mut dev_info_t,
        minor: minor_t,
        spec_type: core::ffi::c_int,
        ldi_result: core::ffi::c_int,
        cookie: ldi_ev_cookie_t,
        ev_data: *mut core::ffi::c_void,
    );
    /// Returns the cookie of an event.
    pub fn ldi_ev_get_cookie(
        lh: ldi_handle_t,
        evname: *mut core::ffi::c_char,
        cookiep: *mut ldi_ev_cookie_t,
    ) -> core::ffi::c_int;
    /// Returns the name of an event.
    pub fn ldi_ev_get_type(cookie: ldi_ev_cookie_t) -> *mut core::ffi::c_char;
    /// Calls the notify callbacks of an event.
    pub fn ldi_ev_notify(
        dip: *mut dev_info_t,
        minor: minor_t,
        spec_type: core::ffi::c_int,
        cookie: ldi_ev_cookie_t,
        ev_data: *mut core::ffi::c_void,
    ) -> core::ffi::c_int;
    /// Registers callbacks for an event.
    pub fn ldi_ev_register_callbacks(
        lh: ldi_handle_t,
        cookie: ldi_ev_cookie_t,
        callb: *mut ldi_ev_callback_t,
        arg: *mut core::ffi::c_void,
        id: *mut ldi_callback_id_t,
    ) -> core::ffi::c_int;
    /// Removes callbacks.
    pub fn ldi_ev_remove_callbacks(id: ldi_callback_id_t) -> core::ffi::c_int;
    /// Returns the device id of the device.
    pub fn ldi_get_devid(lh: ldi_handle_t, devid: *mut ddi_devid_t) -> core::ffi::c_int;
    /// Receives a message from a STREAMS device.
    pub fn ldi_getmsg(
        lh: ldi_handle_t,
        rmp: *mut *mut mblk_t,
        timeo: *mut timestruc_t,
    ) -> core::ffi::c_int;
    /// Allocates an identity for layered opens by the driver of a major number; internal.
    pub fn ldi_ident_from_major(
        major: major_t,
        lip: *mut ldi_ident_t,
    ) -> core::ffi::c_int;
    /// Allocates an identity for layered opens by the driver of a stream.
    pub fn ldi_ident_from_stream(
        sq: *mut queue,
        lip: *mut ldi_ident_t,
    ) -> core::ffi::c_int;
    /// Opens a device by its device id.
    pub fn ldi_open_by_devid(
        devid: ddi_devid_t,
        minor_name: *mut core::ffi::c_char,
        flag: core::ffi::c_int,
        cr: *mut cred_t,
        lhp: *mut ldi_handle_t,
        li: ldi_ident_t,
    ) -> core::ffi::c_int;
    /// Reads a property of bytes of the device.
    pub fn ldi_prop_lookup_byte_array(
        lh: ldi_handle_t,
        flags: uint_t,
        name: *mut core::ffi::c_char,
        data: *mut *mut uchar_t,
        nelements: *mut uint_t,
    ) -> core::ffi::c_int;
    /// Reads a property of 64-bit integers of the device.
    pub fn ldi_prop_lookup_int64_array(
        lh: ldi_handle_t,
        flags: uint_t,
        name: *mut core::ffi::c_char,
        data: *mut *mut i64,
        nelements: *mut uint_t,
    ) -> core::ffi::c_int;
    /// Reads a property of integers of the device.
    pub fn ldi_prop_lookup_int_array(
        lh: ldi_handle_t,
        flags: uint_t,
        name: *mut core::ffi::c_char,
        data: *mut *mut core::ffi::c_int,
        nelements: *mut uint_t,
    ) -> core::ffi::c_int;
    /// Reads a property of one string of the device.
    pub fn ldi_prop_lookup_string(
        lh: ldi_handle_t,
        flags: uint_t,
        name: *mut core::ffi::c_char,
        data: *mut *mut core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// Reads a property of strings of the device.
    pub fn ldi_prop_lookup_string_array(
        lh: ldi_handle_t,
        flags: uint_t,
        name: *mut core::ffi::c_char,
        data: *mut *mut *mut core::ffi::c_char,
        nelements: *mut uint_t,
    ) -> core::ffi::c_int;
    /// Sends a message to a STREAMS device.
    pub fn ldi_putmsg(lh: ldi_handle_t, smp: *mut mblk_t) -> core::ffi::c_int;
    /// Ends a layered open. Returns 0 or an errno.
    pub fn ldi_close(
        lh: ldi_handle_t,
        flag: core::ffi::c_int,
        cr: *mut cred_t,
    ) -> core::ffi::c_int;
    /// Calls devmap(9E) of the device.
    pub fn ldi_devmap(
        lh: ldi_handle_t,
        dhp: devmap_cookie_t,
        off: offset_t,
        len: usize,
        maplen: *mut usize,
        model: uint_t,
    ) -> core::ffi::c_int;
    /// Device number of an open device. Returns DDI_SUCCESS or DDI_FAILURE.
    pub fn ldi_get_dev(lh: ldi_handle_t, devp: *mut dev_t) -> core::ffi::c_int;
    /// Name of the minor node, to be freed by the caller.
    pub fn ldi_get_minor_name(
        lh: ldi_handle_t,
        minor_name: *mut *mut core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// OTYP_CHR or OTYP_BLK.
    pub fn ldi_get_otyp(
        lh: ldi_handle_t,
        otyp: *mut core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Bytes of the device.
    pub fn ldi_get_size(lh: ldi_handle_t, sizep: *mut u64) -> core::ffi::c_int;
    /// Allocates an identity for layered opens by the driver of a device number.
    pub fn ldi_ident_from_dev(dev: dev_t, lip: *mut ldi_ident_t) -> core::ffi::c_int;
    /// Allocates an identity for layered opens by the driver of a node.
    pub fn ldi_ident_from_dip(
        dip: *mut dev_info_t,
        lip: *mut ldi_ident_t,
    ) -> core::ffi::c_int;
    /// Frees an identity.
    pub fn ldi_ident_release(li: ldi_ident_t);
    /// Calls ioctl(9E) of the device; FKIOCTL in the mode when the argument is the kernel's memory.
    pub fn ldi_ioctl(
        lh: ldi_handle_t,
        cmd: core::ffi::c_int,
        arg: isize,
        mode: core::ffi::c_int,
        cr: *mut cred_t,
        rvalp: *mut core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Opens a device by its number. Returns 0 or an errno, ENODEV when there is none.
    pub fn ldi_open_by_dev(
        devp: *mut dev_t,
        otyp: core::ffi::c_int,
        flag: core::ffi::c_int,
        cr: *mut cred_t,
        lhp: *mut ldi_handle_t,
        li: ldi_ident_t,
    ) -> core::ffi::c_int;
    /// Opens a device by its path. Returns 0 or an errno, ENODEV when there is none.
    pub fn ldi_open_by_name(
        pathname: *mut core::ffi::c_char,
        flag: core::ffi::c_int,
        cr: *mut cred_t,
        lhp: *mut ldi_handle_t,
        li: ldi_ident_t,
    ) -> core::ffi::c_int;
    /// Calls chpoll(9E) of the device.
    pub fn ldi_poll(
        lh: ldi_handle_t,
        events: core::ffi::c_short,
        anyyet: core::ffi::c_int,
        reventsp: *mut core::ffi::c_short,
        phpp: *mut *mut pollhead,
    ) -> core::ffi::c_int;
    /// Whether the device has the property.
    pub fn ldi_prop_exists(
        lh: ldi_handle_t,
        flags: uint_t,
        name: *mut core::ffi::c_char,
    ) -> core::ffi::c_int;
    /// An integer property of the device.
    pub fn ldi_prop_get_int(
        lh: ldi_handle_t,
        flags: uint_t,
        name: *mut core::ffi::c_char,
        defvalue: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// A 64-bit integer property of the device.
    pub fn ldi_prop_get_int64(
        lh: ldi_handle_t,
        flags: uint_t,
        name: *mut core::ffi::c_char,
        defvalue: i64,
    ) -> i64;
    /// Reads the device.
    pub fn ldi_read(
        lh: ldi_handle_t,
        uiop: *mut uio,
        cr: *mut cred_t,
    ) -> core::ffi::c_int;
    /// Calls strategy(9E) of the device.
    pub fn ldi_strategy(lh: ldi_handle_t, bp: *mut buf) -> core::ffi::c_int;
    /// Writes the device.
    pub fn ldi_write(
        lh: ldi_handle_t,
        uiop: *mut uio,
        cr: *mut cred_t,
    ) -> core::ffi::c_int;
    /// Copies the data of a devctl ioctl in.
    pub fn ndi_dc_allochdl(
        iocarg: *mut core::ffi::c_void,
        rdcp: *mut *mut devctl_iocdata,
    ) -> core::ffi::c_int;
    /// Frees what ndi_dc_allochdl gave.
    pub fn ndi_dc_freehdl(dcp: *mut devctl_iocdata);
    /// Unit address of the child that the ioctl is about.
    pub fn ndi_dc_getaddr(dcp: *mut devctl_iocdata) -> *mut core::ffi::c_char;
    /// Name of that child.
    pub fn ndi_dc_getname(dcp: *mut devctl_iocdata) -> *mut core::ffi::c_char;
    /// Tells the process the state of a device.
    pub fn ndi_dc_return_dev_state(
        dip: *mut dev_info_t,
        dcp: *mut devctl_iocdata,
    ) -> core::ffi::c_int;
    /// Posts an event, for a nexus to claim.
    pub fn ndi_post_event(
        dip: *mut dev_info_t,
        rdip: *mut dev_info_t,
        eventhdl: ddi_eventcookie_t,
        impl_data: *mut core::ffi::c_void,
    ) -> core::ffi::c_int;
    /// Keeps a component from being lowered.
    pub fn pm_busy_component(
        dip: *mut dev_info_t,
        component: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Ends pm_busy_component.
    pub fn pm_idle_component(
        dip: *mut dev_info_t,
        component: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Lowers a component; for detach(9E).
    pub fn pm_lower_power(
        dip: *mut dev_info_t,
        component: core::ffi::c_int,
        level: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Tells the framework of a level that it did not set.
    pub fn pm_power_has_changed(
        dip: *mut dev_info_t,
        component: core::ffi::c_int,
        level: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// Raises a component, by way of power(9E).
    pub fn pm_raise_power(
        dip: *mut dev_info_t,
        component: core::ffi::c_int,
        level: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// This system's.
    pub static mut utsname: utsname;
    /// Chooses a user address, or unmaps the range of a fixed one; internal.
    pub fn choose_addr(
        as_: *mut as_,
        addrp: *mut caddr_t,
        len: usize,
        off: offset_t,
        vacalign: core::ffi::c_int,
        flags: uint_t,
    ) -> core::ffi::c_int;
    /// Chooses a user address; internal.
    pub fn map_addr(
        addrp: *mut caddr_t,
        len: usize,
        off: offset_t,
        flag: core::ffi::c_int,
        flags: uint_t,
    );
    /// Whether a range can belong to a process; internal.
    pub fn valid_usr_range(
        addr: caddr_t,
        len: usize,
        flags: uint_t,
        as_: *mut as_,
        addr2: caddr_t,
    ) -> core::ffi::c_int;
    /// Pages that could be locked at first; internal, as are those below.
    pub static mut availrmem_initial: pgcnt_t;
    /// Pages that are free.
    pub static mut freemem: pgcnt_t;
    /// Pages that must not be used up.
    pub static mut swapfs_minfree: pgcnt_t;
    /// The global zone.
    pub static mut zone0: zone_t;
    /// The same.
    pub static mut global_zone: *mut zone_t;
    /// Adds a segment without operations to an address space, which is locked as writer; NULL if the range is taken.
    pub fn seg_alloc(as_: *mut as_, base: caddr_t, size: usize) -> *mut seg;
    /// Removes a segment from its address space, which is locked as writer; calls its free operation if it has data.
    pub fn seg_free(seg: *mut seg);
    /// An `inherit` operation that is not supported; internal.
    pub fn seg_inherit_notsup(
        seg: *mut seg,
        addr: caddr_t,
        len: usize,
        behav: uint_t,
    ) -> core::ffi::c_int;
    /// Serves a fault; internal.
    pub fn as_fault(
        hat: *mut hat,
        as_: *mut as_,
        addr: caddr_t,
        size: usize,
        type_: fault_type,
        rw: seg_rw,
    ) -> faultcode_t;
    /// The segment at an address; internal.
    pub fn as_findseg(as_: *mut as_, addr: caddr_t, flag: core::ffi::c_int) -> *mut seg;
    /// Makes a segment in an address space; internal.
    pub fn as_map(
        as_: *mut as_,
        addr: caddr_t,
        len: usize,
        val: segcreate_func_t,
        arg: *mut core::ffi::c_void,
    ) -> core::ffi::c_int;
    /// Keeps an address space's layout as it is; internal.
    pub fn as_rangelock(as_: *mut as_);
    /// Ends as_rangelock; internal.
    pub fn as_rangeunlock(as_: *mut as_);
    /// Removes a range of an address space; internal.
    pub fn as_unmap(as_: *mut as_, addr: caddr_t, len: usize) -> core::ffi::c_int;
    /// Registers a callback for changes of a range. Not part of the DDI, like the functions below.
    pub fn as_add_callback(
        as_: *mut as_,
        func: ::core::option::Option<unsafe extern "C-unwind" fn()>,
        arg: *mut core::ffi::c_void,
        events: uint_t,
        vaddr: caddr_t,
        size: usize,
        sleepflag: core::ffi::c_int,
    ) -> core::ffi::c_int;
    /// 0 when such an access is allowed in all of a range.
    pub fn as_checkprot(
        as_: *mut as_,
        addr: caddr_t,
        size: usize,
        prot: uint_t,
    ) -> core::ffi::c_int;
    /// Advice and memory locks.
    pub fn as_ctl(
        as_: *mut as_,
        addr: caddr_t,
        size: usize,
        func: core::ffi::c_int,
        attr: core::ffi::c_int,
        arg: usize,
        lock_map: *mut ulong_t,
        pos: usize,
    ) -> core::ffi::c_int;
    /// Ends as_add_callback.
    pub fn as_delete_callback(as_: *mut as_, arg: *mut core::ffi::c_void) -> uint_t;
    /// A part of a range where nothing is mapped; -1 when there is none.
    pub fn as_gap(
        as_: *mut as_,
        minlen: usize,
        basep: *mut caddr_t,
        lenp: *mut usize,
        flags: uint_t,
        addr: caddr_t,
    ) -> core::ffi::c_int;
    /// Names the memory at an address.
    pub fn as_getmemid(
        as_: *mut as_,
        addr: caddr_t,
        memidp: *mut memid_t,
    ) -> core::ffi::c_int;
    /// Stores the residence of a range's pages, one byte for each page.
    pub fn as_incore(
        as_: *mut as_,
        addr: caddr_t,
        size: usize,
        vec: *mut core::ffi::c_char,
        sizep: *mut usize,
    ) -> core::ffi::c_int;
    /// The segment at an address.
    pub fn as_segat(as_: *mut as_, addr: caddr_t) -> *mut seg;
    /// Changes protections.
    pub fn as_setprot(
        as_: *mut as_,
        addr: caddr_t,
        size: usize,
        prot: uint_t,
    ) -> core::ffi::c_int;
    /// The kernel's address space; internal.
    pub static mut kas: as_;
    /// Enters kernel translations for page frames; internal.
    pub fn hat_devload(
        hat: *mut hat,
        addr: caddr_t,
        len: usize,
        val: pfn_t,
        flags: uint_t,
        flag: core::ffi::c_int,
    );
    /// Page frame behind an address; internal.
    pub fn hat_getpfnum(hat: *mut hat, addr: caddr_t) -> pfn_t;
    /// Enters the translation of a page; internal.
    pub fn hat_memload(
        hat: *mut hat,
        addr: caddr_t,
        p: *mut page,
        flags: uint_t,
        flags2: uint_t,
    );
    /// Changes the protections of translations; internal.
    pub fn hat_chgprot(hat: *mut hat, addr: caddr_t, len: usize, vprot: uint_t);
    /// Takes a lock from every translation of a range; internal.
    pub fn hat_unlock(hat: *mut hat, addr: caddr_t, len: usize);
    /// Drops translations; internal.
    pub fn hat_unload(hat: *mut hat, addr: caddr_t, len: usize, flags: uint_t);
    /// Page frame of a page; internal.
    pub fn page_pptonum(pp: *mut page_t) -> pfn_t;
    /// Registers the callback for captured pages of one kind. Not part of the DDI, like the functions below.
    pub fn page_capture_register_callback(
        index: uint_t,
        duration: clock_t,
        func: ::core::option::Option<
            unsafe extern "C-unwind" fn(
                arg1: *mut page_t,
                arg2: *mut core::ffi::c_void,
                arg3: uint_t,
            ) -> core::ffi::c_int,
        >,
    );
    /// Ends page_capture_register_callback.
    pub fn page_capture_unregister_callback(index: uint_t);
    /// Gives pages back that page_create_wait had counted.
    pub fn page_create_putback(npages: isize);
    /// Nonzero when there are pages to allocate.
    pub fn page_create_wait(npages: usize, flags: uint_t) -> core::ffi::c_int;
    /// Takes a page from its vnode and frees it.
    pub fn page_destroy(pp: *mut page_t, dontfree: core::ffi::c_int);
    /// From exclusive to shared.
    pub fn page_downgrade(pp: *mut page_t);
    /// A vnode's page, not locked.
    pub fn page_exists(vp: *mut vnode_t, off: u_offset_t) -> *mut page_t;
    /// A vnode's page, not locked.
    pub fn page_find(vp: *mut vnode_t, off: u_offset_t) -> *mut page_t;
    /// Frees a page that the caller has alone.
    pub fn page_free(pp: *mut page_t, dontneed: core::ffi::c_int);
    /// A cached page that nobody needs, or NULL.
    pub fn page_get_cachelist(
        vp: *mut vnode_t,
        off: u_offset_t,
        seg: *mut seg,
        vaddr: caddr_t,
        flags: uint_t,
        lgrp: *mut lgrp,
    ) -> *mut page_t;
    /// A free page, held exclusively, or NULL.
    pub fn page_get_freelist(
        vp: *mut vnode_t,
        off: u_offset_t,
        seg: *mut seg,
        vaddr: caddr_t,
        size: usize,
        flags: uint_t,
        lgrp: *mut lgrp,
    ) -> *mut page_t;
    /// Names a page; 0 when the vnode has another one there.
    pub fn page_hashin(
        pp: *mut page_t,
        vp: *mut vnode_t,
        off: u_offset_t,
        hold: *mut kmutex_t,
    ) -> core::ffi::c_int;
    /// Takes a page's name away.
    pub fn page_hashout(pp: *mut page_t, phm: *mut kmutex_t);
    /// Waits for a page's lock.
    pub fn page_lock(
        pp: *mut page_t,
        se: se_t,
        lock: *mut kmutex_t,
        reclaim: reclaim_t,
    ) -> core::ffi::c_int;
    /// A vnode's page, locked, or NULL.
    pub fn page_lookup(vp: *mut vnode_t, off: u_offset_t, se: se_t) -> *mut page_t;
    /// The same without waiting for the lock.
    pub fn page_lookup_nowait(
        vp: *mut vnode_t,
        off: u_offset_t,
        se: se_t,
    ) -> *mut page_t;
    /// A frame's page, locked, or NULL.
    pub fn page_numtopp(pfn: pfn_t, se: se_t) -> *mut page_t;
    /// A frame's page, not locked, or NULL.
    pub fn page_numtopp_nolock(pfn: pfn_t) -> *mut page_t;
    /// Takes pages out of what may be locked; 0 when there are not that many.
    pub fn page_resv(npages: pgcnt_t, flags: uint_t) -> core::ffi::c_int;
    /// Takes a free page for the function of its kind: 0 or an errno.
    pub fn page_trycapture(
        pp: *mut page_t,
        szc: uint_t,
        flags: uint_t,
        datap: *mut core::ffi::c_void,
    ) -> core::ffi::c_int;
    /// Takes a page's lock if it is free; 0 when it is not.
    pub fn page_trylock(pp: *mut page_t, se: se_t) -> core::ffi::c_int;
    /// From shared to exclusive; 0 when others share it.
    pub fn page_tryupgrade(pp: *mut page_t) -> core::ffi::c_int;
    /// Gives a page's lock up.
    pub fn page_unlock(pp: *mut page_t);
    /// Gives pages of page_resv back.
    pub fn page_unresv(npages: pgcnt_t);
    /// Returns the mutex of a vnode's page list.
    pub fn page_vnode_mutex(vp: *mut vnode_t) -> *mut kmutex_t;
    /// Zeroes part of a page.
    pub fn pagezero(pp: *mut page_t, off: uint_t, len: uint_t);
    /// Whether a frame is memory.
    pub fn pf_is_memory(pfn: pfn_t) -> core::ffi::c_int;
    /// Protects the counts of pages.
    pub static mut freemem_lock: kmutex_t;
    /// The operations of the kernel's own device segments; internal.
    pub static mut segdev_ops: seg_ops;
    /// Makes a device segment; internal.
    pub fn segdev_create(
        p: *mut *mut seg,
        arg: *mut core::ffi::c_void,
    ) -> core::ffi::c_int;
    /// Makes a segment of a vnode; as_map's argument.
    pub fn segvn_create(
        segpp: *mut *mut seg,
        argsp: *mut core::ffi::c_void,
    ) -> core::ffi::c_int;
}
