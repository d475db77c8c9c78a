/*
 * The SunOS half of the driver interface.
 */
#ifndef _SYS_SUNDDI_H
#define _SYS_SUNDDI_H

#include <sys/types.h>
#include <sys/dditypes.h>
#include <sys/ddipropdefs.h>
#include <sys/devops.h>
#include <sys/time.h>
#include <sys/cmn_err.h>
#include <sys/ddidevmap.h>
#include <sys/ddi_intr.h>
#include <sys/ddidmareq.h>
#include <sys/ddifm.h>
#include <sys/mman.h>
#include <sys/kmem.h>
#include <sys/taskq.h>
#include <sys/systm.h>
#include <sys/modctl.h>

/** How bad a fault is for the service, and where it is. */
typedef enum {
    DDI_SERVICE_LOST = -32,
    DDI_SERVICE_DEGRADED = -16,
    DDI_SERVICE_UNAFFECTED = 0,
    DDI_SERVICE_RESTORED = 16
} ddi_fault_impact_t;
typedef enum { DDI_DATAPATH_FAULT = -32, DDI_DEVICE_FAULT = -16, DDI_EXTERNAL_FAULT = 0 } ddi_fault_location_t;
typedef enum {
    DDI_DEVSTATE_OFFLINE = -32,
    DDI_DEVSTATE_DOWN = -16,
    DDI_DEVSTATE_QUIESCED = 0,
    DDI_DEVSTATE_DEGRADED = 16,
    DDI_DEVSTATE_UP = 32
} ddi_devstate_t;
typedef int ddi_cb_flags_t;
typedef int ddi_cb_action_t;
typedef int (*ddi_cb_func_t)(dev_info_t *, ddi_cb_action_t, void *, void *, void *);

#define DDI_DEV_NO_AUTOINCR 0
#define DDI_DEV_AUTOINCR 1
#define DDI_EAGAIN (-3)
#define DDI_EALREADY (-7)
#define DDI_EBUSY 2
#define DDI_ECONTEXT 4
#define DDI_EINVAL (-4)
#define DDI_ENOMEM 1
#define DDI_ENOTSUP (-5)
#define DDI_EPENDING (-6)
#define DDI_ETRANSPORT 3
#define DDI_FAILURE (-1)
#define DDI_IPL_0 0
#define DDI_IPL_1 1
#define DDI_IPL_2 2
#define DDI_IPL_3 3
#define DDI_IPL_4 4
#define DDI_IPL_5 5
#define DDI_IPL_6 6
#define DDI_IPL_7 7
#define DDI_IPL_8 8
#define DDI_IPL_9 9
#define DDI_IPL_10 0xa
#define DDI_MODEL_NONE 0
#define DDI_MODEL_ILP32 0x100000
#define DDI_MODEL_LP64 0x200000
#define DDI_MODEL_NATIVE 0x200000
#define DDI_MODEL_MASK 0xff00000
#define DDI_NOSLEEP 1
#define DDI_NOT_WELL_FORMED (-2)
#define DDI_REGS_ACC_CONFLICT (-10)
#define DDI_SLEEP 0
#define DDI_SUCCESS 0
#define DDI_WALK_ERROR (-4)
#define DDI_WALK_TERMINATE (-3)
#define DDI_WALK_PRUNESIB (-2)
#define DDI_WALK_PRUNECHILD (-1)
#define DDI_WALK_CONTINUE 0
#define DDI_CLASS "ddi.class"
#define DDI_DEVID_REGISTRANT "ddi-devid-registrant"
#define DDI_DEVI_BUS_RESET_EVENT "DDI:DEVI_BUS_RESET"
#define DDI_DEVI_DEVICE_RESET_EVENT "DDI:DEVI_DEVICE_RESET"
#define DDI_DEVI_INSERT_EVENT "DDI:DEVI_INSERT"
#define DDI_DEVI_REMOVE_EVENT "DDI:DEVI_REMOVE"
#define DDI_DRIVER_MAJOR "ddi.major"
#define DDI_DRIVER_NAME "ddi.driver"
#define DDI_FORCEATTACH "ddi-forceattach"
#define DDI_INSTANCE "ddi.instance"
#define DDI_KERNEL_IOCTL "ddi-kernel-ioctl"
#define DDI_NO_AUTODETACH "ddi-no-autodetach"
#define DDI_NO_ROOT_SUPPORT "ddi-no-root-support"
#define DDI_NT_AGP_CPUGART "ddi_agp:cpugart"
#define DDI_NT_AGP_MASTER "ddi_agp:master"
#define DDI_NT_AGP_PSEUDO "ddi_agp:pseudo"
#define DDI_NT_AGP_TARGET "ddi_agp:target"
#define DDI_NT_ATTACHMENT_POINT "ddi_ctl:attachment_point"
#define DDI_NT_AUDIO "ddi_audio"
#define DDI_NT_AV_ASYNC "ddi_av:async"
#define DDI_NT_AV_ISOCH "ddi_av:isoch"
#define DDI_NT_BLOCK "ddi_block"
#define DDI_NT_BLOCK_BLKDEV "ddi_block:blkdev" /* 2019 headers only */
#define DDI_NT_BLOCK_CHAN "ddi_block:channel"
#define DDI_NT_BLOCK_FABRIC "ddi_block:fabric"
#define DDI_NT_BLOCK_SAS "ddi_block:sas"
#define DDI_NT_BLOCK_WWN "ddi_block:wwn"
#define DDI_NT_BLOCK_XVMD "ddi_block:xvmd"
#define DDI_NT_CD "ddi_block:cdrom"
#define DDI_NT_CD_CHAN "ddi_block:cdrom:channel"
#define DDI_NT_CD_XVMD "ddi_block:cdrom:xvmd"
#define DDI_NT_DISPLAY "ddi_display"
#define DDI_NT_DISPLAY_DRM "ddi_display:drm"
#define DDI_NT_ENCLOSURE "ddi_enclosure"
#define DDI_NT_FC_ATTACHMENT_POINT "ddi_ctl:attachment_point:fc"
#define DDI_NT_FD "ddi_block:diskette"
#define DDI_NT_IB_ATTACHMENT_POINT "ddi_ctl:attachment_point:ib"
#define DDI_NT_IB_NEXUS "ddi_ctl:devctl:ib"
#define DDI_NT_INTRCTL "ddi_tool_intr"
#define DDI_NT_KEYBOARD "ddi_keyboard"
#define DDI_NT_MOUSE "ddi_mouse"
#define DDI_NT_NET "ddi_network"
#define DDI_NT_NET_WIFI "ddi_network:wifi"
#define DDI_NT_NEXUS "ddi_ctl:devctl"
#define DDI_NT_NVME_ATTACHMENT_POINT "ddi_ctl:attachment_point:nvme" /* 2019 headers only */
#define DDI_NT_NVME_NEXUS "ddi_ctl:devctl:nvme" /* 2019 headers only */
#define DDI_NT_PARALLEL "ddi_parallel"
#define DDI_NT_PCI_ATTACHMENT_POINT "ddi_ctl:attachment_point:pci"
#define DDI_NT_PRINTER "ddi_printer"
#define DDI_NT_REGACC "ddi_tool_reg"
#define DDI_NT_SATA_ATTACHMENT_POINT "ddi_ctl:attachment_point:sata"
#define DDI_NT_SATA_NEXUS "ddi_ctl:devctl:sata"
#define DDI_NT_SBD_ATTACHMENT_POINT "ddi_ctl:attachment_point:sbd"
#define DDI_NT_SCSI_ATTACHMENT_POINT "ddi_ctl:attachment_point:scsi"
#define DDI_NT_SCSI_ENCLOSURE "ddi_enclosure:scsi"
#define DDI_NT_SCSI_NEXUS "ddi_ctl:devctl:scsi"
#define DDI_NT_SDCARD_ATTACHMENT_POINT "ddi_ctl:attachment_point:sdcard"
#define DDI_NT_SENSOR_TEMP_CPU "ddi_sensor:temperature:cpu" /* 2019 headers only */
#define DDI_NT_SENSOR_TEMP_PCH "ddi_sensor:temperature:pch" /* 2019 headers only */
#define DDI_NT_SERIAL "ddi_serial"
#define DDI_NT_SERIAL_DO "ddi_serial:dialout"
#define DDI_NT_SERIAL_LOMCON "ddi_serial:lomcon"
#define DDI_NT_SERIAL_MB "ddi_serial:mb"
#define DDI_NT_SERIAL_MB_DO "ddi_serial:dialout,mb"
#define DDI_NT_SMP "ddi_sas_smp"
#define DDI_NT_TAPE "ddi_byte:tape"
#define DDI_NT_UGEN "ddi_generic:usb"
#define DDI_NT_USB_ATTACHMENT_POINT "ddi_ctl:attachment_point:usb"
#define DDI_OPEN_RETURNS_EINTR "ddi-open-returns-eintr"
#define DDI_PATHNAME "ddi.path"
#define DDI_PSEUDO "ddi_pseudo"
#define DDI_VENDOR_SUNW "SUNW"
#define DDI_VHCI_CLASS "ddi-vhci-class"

#define DEVFS_BRANCH_EVENT "di.branch_event"
#define DEVFS_DEVI_CLASS "di.devi_class"
#define DEVFS_DRIVER_NAME "di.driver"
#define DEVFS_INSTANCE "di.instance"
#define DEVFS_MINOR_ISCLONE "mi.isclone"
#define DEVFS_MINOR_MAJNUM "mi.majorno"
#define DEVFS_MINOR_MINORNUM "mi.minorno"
#define DEVFS_MINOR_NAME "mi.name"
#define DEVFS_MINOR_NODETYPE "mi.nodetype"
#define DEVFS_PATHNAME "di.path"

/* ---- Driver framework ---- */

/** ENXIO. poll entry of a driver that cannot be polled; poll(2) then reports POLLERR. */
extern int nochpoll(dev_t dev, short events, int anyyet, short *reventsp, struct pollhead **phpp);
/** DDI_SUCCESS. As devo_quiesce: the device needs no quiescing for fast reboot. */
extern int ddi_quiesce_not_needed(dev_info_t *dip);
/** DDI_FAILURE. As devo_quiesce. */
extern int ddi_quiesce_not_supported(dev_info_t *dip);
extern int ddi_getinfo_1to1(dev_info_t *dip, ddi_info_cmd_t val, void *arg, void **p);
extern int ddi_no_info(dev_info_t *dip, ddi_info_cmd_t val, void *arg, void **p);
extern dev_info_t *nodevinfo(dev_t dev, int flag);
extern int nopropop(dev_t dev, dev_info_t *dip, ddi_prop_op_t val, int flag, char *name,
    caddr_t addr, int *valp);

/* ---- Device nodes, minor nodes, instances ---- */

/** Instance number of the dip, fixed for its path. */
extern int ddi_get_instance(dev_info_t *dip);
/**
 * DDI_SUCCESS/FAILURE (also when name is taken). (dip, name, S_IFCHR or S_IFBLK, minor, node
 * type string, flags). Makes the node openable: /devices path and, through devfsadm rules, /dev
 * links. Flag 0 or CLONE_DEV. Callable from attach(9E) and later; blocks.
 */
extern int ddi_create_minor_node(dev_info_t *dip, char *name, int spec_type, minor_t minor_num,
    char *node_type, int flag);
/** (dip, name or NULL for all of the instance). */
extern void ddi_remove_minor_node(dev_info_t *dip, char *name);
/** Prints one boot line naming the instance ("name instance is /devices path"). */
extern void ddi_report_dev(dev_info_t *dip);
/** The bound driver's name. */
extern const char *ddi_driver_name(dev_info_t *dip);
/** The parent node. */
extern dev_info_t *ddi_get_parent(dev_info_t *dip);
/** The tree's root. */
extern dev_info_t *ddi_root_node(void);
/** (dip, impact, location, message) logs a fault and may mark the node degraded. */
extern void ddi_dev_report_fault(dev_info_t *dip, ddi_fault_impact_t impact,
    ddi_fault_location_t location, const char *message);
/** Number of register sets through the pointer. */
extern int ddi_dev_nregs(dev_info_t *dip, int *resultp);
/** Length of a register set; DDI_FAILURE when there is none. */
extern int ddi_dev_regsize(dev_info_t *dip, uint_t rnumber, off_t *resultp);
/** Is the system panicking (then do not block or log). */
extern int ddi_in_panic(void);
/** The bound driver's operations. */
extern struct dev_ops *ddi_get_driver(dev_info_t *dip);
/** Stores one pointer in the node. */
extern void ddi_set_driver_private(dev_info_t *dip, void *data);
/** The bound driver. */
extern major_t ddi_driver_major(dev_info_t *dip);
/**
 * Calls a function for each node of the tree, following its return value (continue, prune child,
 * prune siblings, terminate).
 */
extern void ddi_walk_devs(dev_info_t *dip, int (*f)(dev_info_t *, void *), void *arg);
/** Registers for bus events (removal, insertion). */
extern int ddi_add_event_handler(dev_info_t *dip, ddi_eventcookie_t val,
    void (*func)(dev_info_t *, ddi_eventcookie_t, void *, void *), void *arg,
    ddi_callback_id_t *p);
/** Event cookie by name; DDI_FAILURE when unknown. */
extern int ddi_get_eventcookie(dev_info_t *dip, char *name, ddi_eventcookie_t *p);
extern int ddi_remove_event_handler(ddi_callback_id_t val);
/** For interrupt resource management callbacks; may be DDI_ENOTSUP. */
extern int ddi_cb_register(dev_info_t *dip, ddi_cb_flags_t val, ddi_cb_func_t val2, void *arg,
    void *arg2, ddi_cb_handle_t *p);
extern int ddi_cb_unregister(ddi_cb_handle_t val);
/** The node's name (not instance). */
extern char *ddi_get_name(dev_info_t *dip);
/** The node's name. */
extern char *ddi_node_name(dev_info_t *dip);
/** The compatible name that bound the driver. */
extern char *ddi_binding_name(dev_info_t *dip);
/** That pointer. */
extern void *ddi_get_driver_private(dev_info_t *dip);
/** Or DDI_MAJOR_T_NONE. */
extern major_t ddi_name_to_major(char *name);
extern char *ddi_major_to_name(major_t major);
/** Is the device self-identifying. */
extern int ddi_dev_is_sid(dev_info_t *dip);
/** The node's state (up, degraded, down). */
extern ddi_devstate_t ddi_get_devstate(dev_info_t *dip);
extern int ddi_create_priv_minor_node(dev_info_t *dip, char *name, int flag, minor_t minor,
    char *name2, int flag2, const char *name3, const char *name4, mode_t val);
extern int ddi_dev_is_needed(dev_info_t *dip, int flag, int flag2);
extern int ddi_dev_pathname(dev_t dev, int flag, char *name);
extern int ddi_device_copy(ddi_acc_handle_t src_handle, caddr_t src_addr, ssize_t src_advcnt,
    ddi_acc_handle_t dest_handle, caddr_t dest_addr, ssize_t dest_advcnt, size_t bytecount,
    uint_t dev_datasz);
extern int ddi_devid_compare(ddi_devid_t devid, ddi_devid_t devid2);
extern void ddi_devid_free(ddi_devid_t devid);
extern int ddi_devid_get(dev_info_t *dip, ddi_devid_t *p);
extern int ddi_devid_init(dev_info_t *dip, ushort_t val, ushort_t val2, void *arg, ddi_devid_t *p);
extern int ddi_devid_register(dev_info_t *dip, ddi_devid_t devid);
extern size_t ddi_devid_sizeof(ddi_devid_t devid);
extern int ddi_devid_str_decode(char *name, ddi_devid_t *p, char **p2);
extern char *ddi_devid_str_encode(ddi_devid_t devid, char *name);
extern void ddi_devid_str_free(char *name);
extern void ddi_devid_unregister(dev_info_t *dip);
extern int ddi_devid_valid(ddi_devid_t devid);
extern dev_info_t *ddi_get_child(dev_info_t *dip);
extern char *ddi_get_name_addr(dev_info_t *dip);
extern dev_info_t *ddi_get_next_sibling(dev_info_t *dip);
extern dev_info_t *ddi_hold_devi_by_instance(major_t major, int flag, int flag2);
extern char *ddi_pathname(dev_info_t *dip, char *name);
extern void ddi_release_devi(dev_info_t *dip);
extern int ddi_removing_power(dev_info_t *dip);
extern int ddi_slaveonly(dev_info_t *dip);

/* ---- Soft state ---- */

/** 0 or EINVAL. (anchor, item size, hint). In `_init`. */
extern int ddi_soft_state_init(void **statep, size_t size, size_t n_items);
/**
 * DDI_SUCCESS/FAILURE (item exists, negative). Zeroed item for an instance number; blocks for
 * memory.
 */
extern int ddi_soft_state_zalloc(void *state, int item);
/** No locking needed, callable from interrupt context. */
extern void *ddi_get_soft_state(void *state, int item);
/** One item; freeing an absent one is only a warning. */
extern void ddi_soft_state_free(void *state, int item);
/** All items and the anchor; the anchor becomes NULL. */
extern void ddi_soft_state_fini(void **statep);
/** The same keyed by strings. */
extern int ddi_soft_state_bystr_init(ddi_soft_state_bystr **statep, size_t size, int n_items);
/** The same keyed by strings. */
extern int ddi_soft_state_bystr_zalloc(ddi_soft_state_bystr *state, const char *str);
/** The same keyed by strings. */
extern void *ddi_soft_state_bystr_get(ddi_soft_state_bystr *state, const char *str);
/** The same keyed by strings. */
extern void ddi_soft_state_bystr_free(ddi_soft_state_bystr *state, const char *str);
/** The same keyed by strings. */
extern void ddi_soft_state_bystr_fini(ddi_soft_state_bystr **statep);

/* ---- Device numbers and processes ---- */

/** The calling process (0 in a kernel thread). */
extern pid_t ddi_get_pid(void);
extern kt_did_t ddi_get_kt_did(void);

/* ---- devmap and user mappings ---- */

/**
 * 0 or -1. (handle, dip, callbacks, cookie, offset, len, maxprot, flags, access attributes).
 * Only inside devmap(9E). Copies the callback table.
 */
extern int devmap_umem_setup(devmap_cookie_t dhp, dev_info_t *dip,
    struct devmap_callback_ctl *callbackops, ddi_umem_cookie_t cookie, offset_t off, size_t len,
    uint_t maxprot, uint_t flags, ddi_device_acc_attr_t *accattrp);
/**
 * Zeroed, page-aligned kernel memory, and a cookie; NULL for size 0, with DDI_UMEM_NOSLEEP when
 * there is none, and always with TRASH. Flags: SLEEP/NOSLEEP, PAGEABLE, TRASH (no memory: the
 * address is NULL, the cookie valid, every page mapped from it is the one trash page).
 */
extern void *ddi_umem_alloc(size_t size, int flags, ddi_umem_cookie_t *cookiep);
/** Cookie of ddi_umem_alloc; NULL is ignored. Every mapping must be gone. */
extern void ddi_umem_free(ddi_umem_cookie_t cookie);
/**
 * 0 or -1. (handle, dip, callbacks, register number, offset, len, maxprot, flags, access
 * attributes). Translates the register range to page frames.
 */
extern int devmap_devmem_setup(devmap_cookie_t dhp, dev_info_t *dip,
    struct devmap_callback_ctl *callbackops, uint_t rnumber, offset_t roff, size_t len,
    uint_t maxprot, uint_t flags, ddi_device_acc_attr_t *accattrp);
/**
 * 0 or errno. (dev, off, as, &addr, len, prot, maxprot, flags, cred). What segmap(9E) calls:
 * makes handles by calling devmap(9E), chooses the address, creates the segment, calls
 * devmap_map. User context, blocks. See devmap-semantics.md.
 */
extern int devmap_setup(dev_t dev, offset_t off, ddi_as_handle_t as, caddr_t *addrp, size_t len,
    uint_t prot, uint_t maxprot, uint_t flags, struct cred *credp);
/** The ready-made segmap entry with the segmap(9E) signature; calls devmap_setup. */
extern int ddi_devmap_segmap(dev_t dev, off_t off, ddi_as_handle_t as, caddr_t *addrp,
    off_t len, uint_t prot, uint_t maxprot, uint_t flags, struct cred *credp);
/**
 * 0 or a fault code. (handle, offset, len). Any context of a thread, any process: on return no
 * CPU can use the translation. drivers rely on it while they hold a mutex.
 */
extern int devmap_unload(devmap_cookie_t dhp, offset_t off, size_t len);
/**
 * 0 or -1. The same for device memory; with DEVMAP_MAPPING_INVALID makes accesses fault with
 * FC_NOMAP.
 */
extern int devmap_devmem_remap(devmap_cookie_t dhp, dev_info_t *dip, uint_t rnumber,
    offset_t roff, size_t len, uint_t maxprot, uint_t flags, ddi_device_acc_attr_t *accattrp);
/**
 * 0 or a fault code. (handle, user offset, len, type, rw). Only in the access callback, for the
 * faulting address space. Enters translations; may block for pageable memory.
 */
extern int devmap_load(devmap_cookie_t dhp, offset_t off, size_t len, uint_t type, uint_t rw);
/** Any context that may block. */
extern void ddi_umem_unlock(ddi_umem_cookie_t cookie);
/** A buf for pinned memory, for strategy/DMA; NULL only with DDI_UMEM_NOSLEEP. */
extern struct buf *ddi_umem_iosetup(ddi_umem_cookie_t cookie, off_t off, size_t len,
    int direction, dev_t dev, daddr_t blkno, int (*iodone)(struct buf *), int sleepflag);
/**
 * 0 or -1. Points a set-up handle (DEVMAP_ALLOW_REMAP) at other kernel memory; drops all its
 * translations first. Drivers call it with a mutex held, so it must not call back.
 */
extern int devmap_umem_remap(devmap_cookie_t dhp, dev_info_t *dip, ddi_umem_cookie_t cookie,
    offset_t off, size_t len, uint_t maxprot, uint_t flags, ddi_device_acc_attr_t *accattrp);
/** -1 if the attributes cannot be mapped, else 0 with the hat attributes; private. */
extern int ddi_device_mapping_check(dev_t dev, ddi_device_acc_attr_t *accattrp, uint_t rnumber,
    uint_t *hat_flagsp);
/** As or in the access callback: load the faulting range. */
extern int devmap_default_access(devmap_cookie_t dhp, void *pvtp, offset_t off, size_t len,
    uint_t type, uint_t rw);
/**
 * 0 or fault code. Serialises context owners per device and access callback, runs the driver's
 * routine, holds the context for the timeout.
 */
extern int devmap_do_ctxmgt(devmap_cookie_t dhp, void *pvtp, offset_t off, size_t len,
    uint_t type, uint_t rw, int (*ctxmgt)(devmap_cookie_t, void *, offset_t, size_t, uint_t,
    uint_t));
/** Ticks for which an owner keeps the context. */
extern void devmap_set_ctx_timeout(devmap_cookie_t dhp, clock_t ticks);
/**
 * 0, ENOMEM, EPERM, EINVAL, EFAULT, EACCES, EAGAIN. Pins a range of the calling process, gives a
 * cookie. User context.
 */
extern int ddi_umem_lock(caddr_t addr, size_t len, int flags, ddi_umem_cookie_t *cookiep);
/** Data model of the process that calls mmap, inside devmap(9E)/segmap(9E) only. */
extern model_t ddi_mmap_get_model(void);
/** The old segmap for drivers with mmap(9E). */
extern int ddi_segmap(dev_t dev, off_t off, struct as *as, caddr_t *addrp, off_t len,
    uint_t prot, uint_t maxprot, uint_t flags, cred_t *credp);
/** The same with register number and access attributes. */
extern int ddi_segmap_setup(dev_t dev, off_t off, struct as *as, caddr_t *addrp, off_t len,
    uint_t prot, uint_t maxprot, uint_t flags, cred_t *credp, ddi_device_acc_attr_t *accattrp,
    uint_t rnumber);

/* ---- Moving data between process and driver ---- */

/**
 * 0 or -1. (from, to, len, mode): user memory, or kernel memory when mode has FKIOCTL. Blocks,
 * no spin mutex held. A bad user address must yield -1, never a crash.
 */
extern int ddi_copyin(const void *buf, void *driverbuf, size_t cn, int flags);
/** 0 or -1. The reverse. */
extern int ddi_copyout(const void *driverbuf, void *buf, size_t cn, int flags);
/**
 * Data model to convert from (mode's model bits): DDI_MODEL_ILP32 for a 32-bit caller,
 * DDI_MODEL_NONE otherwise.
 */
extern model_t ddi_model_convert_from(model_t model);

/* ---- Credentials ---- */

/** The caller; no reference taken. */
extern cred_t *ddi_get_cred(void);

/* ---- Memory ---- */

/** KM_SLEEP or NULL. */
extern char *ddi_strdup(const char *str, int flag);
extern void strfree(char *s);

/* ---- Locks ---- */

/** Can this thread be woken by signals. */
extern boolean_t ddi_can_receive_sig(void);

/* ---- Time, task queues, periodic callbacks ---- */

/** Ddi_taskq_t * or NULL. (dip, name, threads, priority, flags). */
extern ddi_taskq_t *ddi_taskq_create(dev_info_t *dip, const char *name, int nthreads, pri_t pri,
    uint_t cflags);
/** DDI_SUCCESS/FAILURE. Runs a function in a queue thread, may block; DDI_SLEEP never fails. */
extern int ddi_taskq_dispatch(ddi_taskq_t *tq, void (*func)(void *), void *arg, uint_t dflags);
/** Waits, then ends the threads. */
extern void ddi_taskq_destroy(ddi_taskq_t *tq);
/** Periodic callback every n nanoseconds (multiple of 10 ms) at a given level. */
extern ddi_periodic_t ddi_periodic_add(void (*func)(void *), void *arg, hrtime_t interval,
    int level);
/** Waits until the callback is not running; not from within it. */
extern void ddi_periodic_delete(ddi_periodic_t request);
/** Until everything dispatched so far is done. */
extern void ddi_taskq_wait(ddi_taskq_t *tq);
/** Seconds since 1970. */
extern time_t ddi_get_time(void);
/** Also ddi_taskq_resume. */
extern void ddi_taskq_suspend(ddi_taskq_t *tq);
extern void ddi_taskq_resume(ddi_taskq_t *tq);
extern boolean_t ddi_taskq_suspended(ddi_taskq_t *tq);

/* ---- Messages and strings ---- */

/** From, to, n); overlapping allowed. */
extern void bcopy(const void *from, void *to, size_t bcount);
extern void bzero(void *addr, size_t bytes);
/**
 * Also strncmp, strcpy, strncpy, strlcat, strchr, strrchr, strcasecmp, strncasecmp, strnlen,
 * strstr.
 */
extern int strcmp(const char *s1, const char *s2);
/**
 * Compilers call memcpy, memmove, memset, memcmp, and rustc also bcmp and strlen: all are
 * exported by the kernel.
 */
extern void *memcpy(void *dst, const void *src, size_t n);
extern char *strncpy(char *dst, const char *src, size_t n);
extern void *memset(void *s, int c, size_t n);
extern size_t strlen(const char *s);
extern int memcmp(const void *s1, const void *s2, size_t n);
extern char *strcpy(char *dst, const char *src);
/** 0 equal. */
extern int bcmp(const void *s1, const void *s2, size_t len);
extern int ddi_strtoul(const char *str, char **endptr, int base, unsigned long *result);
extern size_t strlcpy(char *dst, const char *src, size_t size);
extern int strncmp(const char *s1, const char *s2, size_t n);
/** 0, EINVAL, ERANGE. Also ddi_strtoul, ddi_strtoll, ddi_strtoull. */
extern int ddi_strtol(const char *str, char **endptr, int base, long *result);
extern void *memmove(void *dst, const void *src, size_t n);
/** Also ddi_fls, highbit, lowbit, ffs. */
extern int ddi_ffs(long val);
extern int ddi_fls(long val);
extern int ddi_strtoll(const char *str, char **endptr, int base, longlong_t *result);
extern int ddi_strtoull(const char *str, char **endptr, int base, u_longlong_t *result);
extern uint16_t ddi_swap16(uint16_t val);
extern uint32_t ddi_swap32(uint32_t val);
extern uint64_t ddi_swap64(uint64_t val);
extern void *memchr(const void *s, int c, size_t n);
extern void numtos(ulong_t value, char *name);
extern int stoi(char **p);
extern char *strchr(const char *s, int c);
extern size_t strcspn(const char *s, const char *reject);
extern char *strdup(const char *s);
extern size_t strlcat(char *dst, const char *src, size_t size);
extern char *strncat(char *dst, const char *src, size_t n);
extern size_t strnlen(const char *s, size_t n);
extern size_t strspn(const char *s, const char *accept);
extern void swab(void *arg, void *arg2, size_t len);

/* ---- Properties ---- */

/**
 * The prop_op entry of cb_ops: answers by-name queries for a dev_t (also Size/Nblocks handling
 * in variants). Recognise its address or implement: PROP_LEN, PROP_LEN_AND_VAL_BUF,
 * PROP_LEN_AND_VAL_ALLOC.
 */
extern int ddi_prop_op(dev_t dev, dev_info_t *dip, ddi_prop_op_t prop_op, int mod_flags,
    char *name, caddr_t valuep, int *lengthp);
/**
 * The value or the default. (DDI_DEV_T_ANY or dev, dip, flags, name, default). Looks at driver-
 * set, then system, then hardware (.conf) properties, then the parent unless DDI_PROP_DONTPASS.
 */
extern int ddi_prop_get_int(dev_t match_dev, dev_info_t *dip, uint_t flags, char *name,
    int defvalue);
extern void ddi_prop_free(void *data);
/**
 * DDI_PROP_SUCCESS or an error code; memory freed with ddi_prop_free. Also _string,
 * _string_array, _byte_array, _int64_array.
 */
extern int ddi_prop_lookup_int_array(dev_t match_dev, dev_info_t *dip, uint_t flags, char *name,
    int **datap, uint_t *nelementsp);
/** Old; allocates with kmem_alloc, the caller frees. */
extern int ddi_getlongprop(dev_t dev, dev_info_t *dip, int flags, char *name, caddr_t valuep,
    int *lengthp);
extern int ddi_prop_lookup_string(dev_t match_dev, dev_info_t *dip, uint_t flags, char *name,
    char **datap);
/** Old interface; untyped bytes. */
extern int ddi_prop_create(dev_t dev, dev_info_t *dip, int flags, char *name, caddr_t valuep,
    int length);
extern int ddi_prop_lookup_string_array(dev_t match_dev, dev_info_t *dip, uint_t flags,
    char *name, char ***datap, uint_t *nelementsp);
extern int ddi_prop_lookup_byte_array(dev_t match_dev, dev_info_t *dip, uint_t flags,
    char *name, uchar_t **datap, uint_t *nelementsp);
/**
 * Sets a driver property: DDI_DEV_T_NONE for all devs. Also _string, _int_array, _int64,
 * _byte_array, _string_array.
 */
extern int ddi_prop_update_int(dev_t dev, dev_info_t *dip, char *name, int data);
extern int ddi_prop_remove(dev_t dev, dev_info_t *dip, char *name);
extern void ddi_prop_remove_all(dev_info_t *dip);
/** Old ddi_prop_get_int. */
extern int ddi_getprop(dev_t dev, dev_info_t *dip, int flags, char *name, int defvalue);
extern int64_t ddi_prop_get_int64(dev_t match_dev, dev_info_t *dip, uint_t flags, char *name,
    int64_t defvalue);
/** 1 or 0. */
extern int ddi_prop_exists(dev_t match_dev, dev_info_t *dip, uint_t flags, char *name);
extern int ddi_prop_update_string(dev_t dev, dev_info_t *dip, char *name, char *data);
extern int ddi_prop_update_int_array(dev_t dev, dev_info_t *dip, char *name, int *data,
    uint_t nelements);
extern int ddi_prop_undefine(dev_t dev, dev_info_t *dip, int flags, char *name);
extern int ddi_getproplen(dev_t dev, dev_info_t *dip, int flags, char *name, int *lengthp);
extern int ddi_getlongprop_buf(dev_t dev, dev_info_t *dip, int flags, char *name,
    caddr_t valuep, int *lengthp);
extern int ddi_prop_lookup_int64_array(dev_t match_dev, dev_info_t *dip, uint_t flags,
    char *name, int64_t **datap, uint_t *nelementsp);
extern int ddi_prop_modify(dev_t dev, dev_info_t *dip, int flags, char *name, caddr_t valuep,
    int length);
extern int ddi_prop_op_nblocks(dev_t dev, dev_info_t *dip, ddi_prop_op_t prop_op, int mod_flags,
    char *name, caddr_t valuep, int *lengthp, uint64_t nblocks64);
extern int ddi_prop_op_size(dev_t dev, dev_info_t *dip, ddi_prop_op_t prop_op, int mod_flags,
    char *name, caddr_t valuep, int *lengthp, uint64_t size64);
extern int ddi_prop_update_byte_array(dev_t dev, dev_info_t *dip, char *name, uchar_t *data,
    uint_t nelements);
extern int ddi_prop_update_int64(dev_t dev, dev_info_t *dip, char *name, int64_t data);
extern int ddi_prop_update_int64_array(dev_t dev, dev_info_t *dip, char *name, int64_t *data,
    uint_t nelements);
extern int ddi_prop_update_string_array(dev_t dev, dev_info_t *dip, char *name, char **data,
    uint_t nelements);

/* ---- Events and faults ---- */

extern int ddi_check_acc_handle(ddi_acc_handle_t handle);
extern int ddi_check_dma_handle(ddi_dma_handle_t handle);
extern void pci_ereport_post(dev_info_t *dip, ddi_fm_error_t *p, uint16_t *p2);
extern void pci_ereport_setup(dev_info_t *dip);
extern void pci_ereport_teardown(dev_info_t *dip);

/* ---- Polling and asynchronous events ---- */

/** Handle on the calling process for proc_signal; proc_unref ends it. */
extern void *proc_ref(void);
/** 0 or -1 when the process is gone. */
extern int proc_signal(void *pref, int sig);
extern void proc_unref(void *pref);

/* ---- Block and character I/O ---- */

/** (strategy, bp, dev, rw, mincnt, uio): locks user pages, calls strategy piecewise, waits. */
extern int physio(int (*strat)(struct buf *), struct buf *bp, dev_t dev, int rw,
    void (*mincnt)(struct buf *), struct uio *uiop);
extern void minphys(struct buf *bp);
extern unsigned long ddi_btop(dev_info_t *dip, unsigned long value);
extern unsigned long ddi_btopr(dev_info_t *dip, unsigned long value);
extern unsigned long ddi_ptob(dev_info_t *dip, unsigned long value);

/* ---- Registers and PCI configuration space ---- */

/**
 * DDI_SUCCESS, DDI_FAILURE, DDI_REGS_ACC_CONFLICT, DDI_ME_*. (dip, rnumber, &address, offset,
 * len (0: all), attributes, &handle). Kernel mapping of a register set.
 */
extern int ddi_regs_map_setup(dev_info_t *dip, uint_t rnumber, caddr_t *addrp, offset_t offset,
    offset_t len, ddi_device_acc_attr_t *accattrp, ddi_acc_handle_t *handlep);
extern void ddi_regs_map_free(ddi_acc_handle_t *handlep);
/**
 * Access handle for PCI configuration space; pci_config_get8/16/32/64, pci_config_put*,
 * pci_config_teardown; pci_lcap_locate, pci_cap_get, pci_cap_put find capabilities.
 */
extern int pci_config_setup(dev_info_t *dip, ddi_acc_handle_t *handlep);
extern void pci_config_teardown(ddi_acc_handle_t *handlep);
extern uint16_t pci_config_get16(ddi_acc_handle_t handle, off_t off);
/**
 * Ddi_get16/32/64 and ddi_put8/16/32/64 through an access handle, with its byte order;
 * ddi_rep_get* /ddi_rep_put* for arrays.
 */
extern uint8_t ddi_get8(ddi_acc_handle_t handle, uint8_t *dev_addr);
extern uint32_t ddi_get32(ddi_acc_handle_t handle, uint32_t *dev_addr);
extern void ddi_put8(ddi_acc_handle_t handle, uint8_t *dev_addr, uint8_t value);
extern void ddi_put32(ddi_acc_handle_t handle, uint32_t *dev_addr, uint32_t value);
extern uint32_t pci_config_get32(ddi_acc_handle_t handle, off_t off);
extern void pci_config_put32(ddi_acc_handle_t handle, off_t off, uint32_t val);
extern uint64_t ddi_get64(ddi_acc_handle_t handle, uint64_t *dev_addr);
extern void ddi_put64(ddi_acc_handle_t handle, uint64_t *dev_addr, uint64_t value);
extern uint16_t ddi_get16(ddi_acc_handle_t handle, uint16_t *dev_addr);
extern void ddi_put16(ddi_acc_handle_t handle, uint16_t *dev_addr, uint16_t value);
extern void ddi_rep_get32(ddi_acc_handle_t handle, uint32_t *host_addr, uint32_t *dev_addr,
    size_t repcount, uint_t flags);
extern void ddi_rep_put32(ddi_acc_handle_t handle, uint32_t *host_addr, uint32_t *dev_addr,
    size_t repcount, uint_t flags);
/** Guarded read: DDI_FAILURE instead of a trap. ddi_poke* likewise. */
extern int ddi_peek32(dev_info_t *dip, int32_t *addr, int32_t *valuep);
/** Also ddi_device_copy. */
extern int ddi_device_zero(ddi_acc_handle_t handle, caddr_t dev_addr, size_t bytecount,
    ssize_t dev_advcnt, uint_t dev_datasz);
extern int ddi_map_regs(dev_info_t *dip, uint_t flags, caddr_t *addrp, off_t off, off_t off2);
extern int ddi_peek16(dev_info_t *dip, int16_t *addr, int16_t *valuep);
extern int ddi_peek64(dev_info_t *dip, int64_t *addr, int64_t *valuep);
extern int ddi_peek8(dev_info_t *dip, int8_t *addr, int8_t *valuep);
extern int ddi_poke16(dev_info_t *dip, int16_t *addr, int16_t value);
extern int ddi_poke32(dev_info_t *dip, int32_t *addr, int32_t value);
extern int ddi_poke64(dev_info_t *dip, int64_t *addr, int64_t value);
extern int ddi_poke8(dev_info_t *dip, int8_t *addr, int8_t value);
extern void ddi_rep_get16(ddi_acc_handle_t handle, uint16_t *host_addr, uint16_t *dev_addr,
    size_t repcount, uint_t flags);
extern void ddi_rep_get64(ddi_acc_handle_t handle, uint64_t *host_addr, uint64_t *dev_addr,
    size_t repcount, uint_t flags);
extern void ddi_rep_get8(ddi_acc_handle_t handle, uint8_t *host_addr, uint8_t *dev_addr,
    size_t repcount, uint_t flags);
extern void ddi_rep_put16(ddi_acc_handle_t handle, uint16_t *host_addr, uint16_t *dev_addr,
    size_t repcount, uint_t flags);
extern void ddi_rep_put64(ddi_acc_handle_t handle, uint64_t *host_addr, uint64_t *dev_addr,
    size_t repcount, uint_t flags);
extern void ddi_rep_put8(ddi_acc_handle_t handle, uint8_t *host_addr, uint8_t *dev_addr,
    size_t repcount, uint_t flags);
extern void ddi_unmap_regs(dev_info_t *dip, uint_t flags, caddr_t *addrp, off_t off, off_t off2);
extern uint64_t pci_config_get64(ddi_acc_handle_t handle, off_t off);
extern uint8_t pci_config_get8(ddi_acc_handle_t handle, off_t off);
extern void pci_config_put16(ddi_acc_handle_t handle, off_t off, uint16_t val);
extern void pci_config_put64(ddi_acc_handle_t handle, off_t off, uint64_t val);
extern void pci_config_put8(ddi_acc_handle_t handle, off_t off, uint8_t val);
extern int pci_report_pmcap(dev_info_t *dip, int flag, void *arg);
extern int pci_restore_config_regs(dev_info_t *dip);
extern int pci_save_config_regs(dev_info_t *dip);

/* ---- DMA ---- */

/**
 * (dip, attributes, wait function, arg, &handle): DDI_SUCCESS, DDI_DMA_BADATTR,
 * DDI_DMA_NORESOURCES.
 */
extern int ddi_dma_alloc_handle(dev_info_t *dip, ddi_dma_attr_t *p, int (*func)(caddr_t),
    caddr_t addr, ddi_dma_handle_t *handlep);
extern void ddi_dma_free_handle(ddi_dma_handle_t *handlep);
/** Memory fit for the device, its kernel address, real length and access handle. */
extern int ddi_dma_mem_alloc(ddi_dma_handle_t handle, size_t len, ddi_device_acc_attr_t *p,
    uint_t flags, int (*func)(caddr_t), caddr_t addr, caddr_t *addrp, size_t *lenp,
    ddi_acc_handle_t *handlep);
/**
 * DDI_DMA_MAPPED, _PARTIAL_MAP, _INUSE, _NORESOURCES, _TOOBIG, _NOMAPPING. First cookie and
 * number of cookies.
 */
extern int ddi_dma_addr_bind_handle(ddi_dma_handle_t handle, struct as *as, caddr_t addr,
    size_t len, uint_t flags, int (*func)(caddr_t), caddr_t addr2, ddi_dma_cookie_t *p,
    uint_t *countp);
extern int ddi_dma_unbind_handle(ddi_dma_handle_t handle);
/** (The newer headers add ddi_dma_cookie_iter, _one, _get, ddi_dma_ncookies.) */
extern void ddi_dma_nextcookie(ddi_dma_handle_t handle, ddi_dma_cookie_t *p);
extern void ddi_dma_mem_free(ddi_acc_handle_t *handlep);
extern int ddi_dma_sync(ddi_dma_handle_t handle, off_t off, size_t len, uint_t flags);
/** The same for a buf. */
extern int ddi_dma_buf_bind_handle(ddi_dma_handle_t handle, struct buf *bp, uint_t flags,
    int (*func)(caddr_t), caddr_t addr, ddi_dma_cookie_t *p, uint_t *countp);
/** Ddi_dma_getwin moves a partial binding. */
extern int ddi_dma_numwin(ddi_dma_handle_t handle, uint_t *countp);
extern int ddi_dma_burstsizes(ddi_dma_handle_t handle);
extern int ddi_dma_getwin(ddi_dma_handle_t handle, uint_t flags, off_t *p, size_t *lenp,
    ddi_dma_cookie_t *p2, uint_t *countp);
extern int ddi_dma_set_sbus64(ddi_dma_handle_t handle, ulong_t value);

#define TASKQ_DEFAULTPRI (-1)
#define DDI_MODEL_CONVERT(mode) ddi_model_convert_from((mode) & FMODELS)

#endif /* _SYS_SUNDDI_H */
