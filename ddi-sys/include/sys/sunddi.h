/*
 * The SunOS half of the driver interface.
 */
#ifndef _SYS_SUNDDI_H
#define _SYS_SUNDDI_H

#include <sys/types.h>
#include <sys/u8_textprep.h>
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
#include <sys/debug.h>
#include <sys/id_space.h>
#include <sys/model.h>
#include <sys/atomic.h>
#include <sys/thread.h>
#include <sys/ksynch.h>
#include <sys/errno.h>
#include <sys/cred.h>
#include <sys/uio.h>
#include <sys/poll.h>

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

/** Levels of ddi_err. */
typedef enum {
    DER_INVALID = 0,
    DER_CONT = 1,
    DER_CONS = 2,
    DER_LOG = 3,
    DER_VERB = 4,
    DER_NOTE = 5,
    DER_WARN = 6,
    DER_PANIC = 7,
    DER_MODE = 8,
    DER_DEBUG = 9
} ddi_err_t;

/** A message about a node at a DER_ level; internal. */
extern void ddi_err(ddi_err_t de, dev_info_t *rdip, const char *fmt, ...);

/* ---- Driver framework ---- */

/** ENXIO: the poll entry of a driver that cannot be polled. */
extern int nochpoll(dev_t dev, short events, int anyyet, short *reventsp, struct pollhead **phpp);
/** DDI_SUCCESS: the quiesce entry of a device that needs none. */
extern int ddi_quiesce_not_needed(dev_info_t *dip);
/** DDI_FAILURE: the quiesce entry of a driver without one. */
extern int ddi_quiesce_not_supported(dev_info_t *dip);
/** getinfo for drivers whose minor number is the instance number. */
extern int ddi_getinfo_1to1(dev_info_t *dip, ddi_info_cmd_t val, void *arg, void **p);
/** DDI_FAILURE: a getinfo for drivers that have no device numbers. */
extern int ddi_no_info(dev_info_t *dip, ddi_info_cmd_t val, void *arg, void **p);
/** No device node for this device number: the getinfo of old drivers. */
extern dev_info_t *nodevinfo(dev_t dev, int flag);
/** No properties: a prop_op that finds nothing. */
extern int nopropop(dev_t dev, dev_info_t *dip, ddi_prop_op_t val, int flag, char *name,
    caddr_t addr, int *valp);

/* ---- Device nodes, minor nodes, instances ---- */

/** Returns the number of the firmware's node. */
extern int ddi_get_nodeid(dev_info_t *dip);
/** The node's instance number. */
extern int ddi_get_instance(dev_info_t *dip);
/** Makes a minor node, by which processes open the device. DDI_SUCCESS or DDI_FAILURE. */
extern int ddi_create_minor_node(dev_info_t *dip, char *name, int spec_type, minor_t minor_num,
    char *node_type, int flag);
/** Removes one minor node by name, or with NULL all of the instance. */
extern void ddi_remove_minor_node(dev_info_t *dip, char *name);
/** Announces the instance on the console and in the log. */
extern void ddi_report_dev(dev_info_t *dip);
/** Name of the driver bound to the node. */
extern const char *ddi_driver_name(dev_info_t *dip);
/** The parent node. */
extern dev_info_t *ddi_get_parent(dev_info_t *dip);
/** The root of the device tree. */
extern dev_info_t *ddi_root_node(void);
/** Reports a fault of the device and what it means for its service. */
extern void ddi_dev_report_fault(dev_info_t *dip, ddi_fault_impact_t impact,
    ddi_fault_location_t location, const char *message);
/** Number of register sets. */
extern int ddi_dev_nregs(dev_info_t *dip, int *resultp);
/** Length of one register set in bytes. */
extern int ddi_dev_regsize(dev_info_t *dip, uint_t rnumber, off_t *resultp);
/** Nonzero when the system is panicking. */
extern int ddi_in_panic(void);
/** The operations of the bound driver. */
extern struct dev_ops *ddi_get_driver(dev_info_t *dip);
/** Stores one pointer in the node. */
extern void ddi_set_driver_private(dev_info_t *dip, void *data);
/** Major number of the bound driver. */
extern major_t ddi_driver_major(dev_info_t *dip);
/** The node of this name and unit, or NULL; obsolete. */
extern dev_info_t *ddi_find_devinfo(char *name, int unit, int need_attach);
/** Calls a function for every node; its result steers the walk. */
extern void ddi_walk_devs(dev_info_t *dip, int (*f)(dev_info_t *, void *), void *arg);
/** Tells user level of an event. DDI_SUCCESS, DDI_ENOMEM, DDI_EBUSY or DDI_ETRANSPORT. */
extern int ddi_log_sysevent(dev_info_t *dip, char *vendor, char *class, char *subclass,
    nvlist_t *attributes, sysevent_id_t *eidp, int sleep_flag);
/** Asks to be called for a bus event. */
extern int ddi_add_event_handler(dev_info_t *dip, ddi_eventcookie_t val,
    void (*func)(dev_info_t *, ddi_eventcookie_t, void *, void *), void *arg,
    ddi_callback_id_t *p);
/** The cookie of a bus event by name. */
extern int ddi_get_eventcookie(dev_info_t *dip, char *name, ddi_eventcookie_t *p);
/** Ends ddi_add_event_handler. */
extern int ddi_remove_event_handler(ddi_callback_id_t val);
/** Asks to be told of changes in resources, such as interrupts. */
extern int ddi_cb_register(dev_info_t *dip, ddi_cb_flags_t val, ddi_cb_func_t val2, void *arg,
    void *arg2, ddi_cb_handle_t *p);
/** Ends ddi_cb_register. */
extern int ddi_cb_unregister(ddi_cb_handle_t val);
/** The node's binding name. */
extern char *ddi_get_name(dev_info_t *dip);
/** The node's own name. */
extern char *ddi_node_name(dev_info_t *dip);
/** The name by which the driver was bound. */
extern char *ddi_binding_name(dev_info_t *dip);
/** The pointer that the driver stored in the node. */
extern void *ddi_get_driver_private(dev_info_t *dip);
/** Major number of a driver by name, or DDI_MAJOR_T_NONE. */
extern major_t ddi_name_to_major(char *name);
/** Name of a driver by major number, or NULL. */
extern char *ddi_major_to_name(major_t major);
/** Whether the device identifies itself. */
extern int ddi_dev_is_sid(dev_info_t *dip);
/** Whether the device is up, degraded or down. */
extern ddi_devstate_t ddi_get_devstate(dev_info_t *dip);
/** The same, with privileges that an open needs. */
extern int ddi_create_priv_minor_node(dev_info_t *dip, char *name, int flag, minor_t minor,
    char *name2, int flag2, const char *name3, const char *name4, mode_t val);
/** Asks for a component's power level. */
extern int ddi_dev_is_needed(dev_info_t *dip, int flag, int flag2);
/** Path of a minor node by device number. */
extern int ddi_dev_pathname(dev_t dev, int flag, char *name);
/** Copies between registers. */
extern int ddi_device_copy(ddi_acc_handle_t src_handle, caddr_t src_addr, ssize_t src_advcnt,
    ddi_acc_handle_t dest_handle, caddr_t dest_addr, ssize_t dest_advcnt, size_t bytecount,
    uint_t dev_datasz);
/* Kinds of device ids. */
#define DEVID_NONE 0
#define DEVID_SCSI3_WWN 1
#define DEVID_SCSI_SERIAL 2
#define DEVID_FAB 3
#define DEVID_ENCAP 4
#define DEVID_ATA_SERIAL 5
#define DEVID_SCSI3_VPD_T10 6
#define DEVID_SCSI3_VPD_EUI 7
#define DEVID_SCSI3_VPD_NAA 8
#define DEVID_MAXTYPE 8

/** Order of two identities. */
extern int ddi_devid_compare(ddi_devid_t devid, ddi_devid_t devid2);
/** Frees it. */
extern void ddi_devid_free(ddi_devid_t devid);
/** The identity of a node. */
extern int ddi_devid_get(dev_info_t *dip, ddi_devid_t *p);
/** Makes a device identity. */
extern int ddi_devid_init(dev_info_t *dip, ushort_t val, ushort_t val2, void *arg, ddi_devid_t *p);
/** Gives a node its identity. */
extern int ddi_devid_register(dev_info_t *dip, ddi_devid_t devid);
/** Its size in bytes. */
extern size_t ddi_devid_sizeof(ddi_devid_t devid);
/** An identity from a string. */
extern int ddi_devid_str_decode(char *name, ddi_devid_t *p, char **p2);
/** An identity as a string. */
extern char *ddi_devid_str_encode(ddi_devid_t devid, char *name);
/** Frees such a string. */
extern void ddi_devid_str_free(char *name);
/** Compares two in text form: -1, 0, 1. */
extern int ddi_devid_str_compare(char *id1, char *id2);
/** The number that is unique in the world, in hexadecimal, or NULL. */
extern char *ddi_devid_to_guid(ddi_devid_t devid);
/** Frees ddi_devid_to_guid's string. */
extern void ddi_devid_free_guid(char *guid);
/** Device numbers of the minor nodes of a name, of devices with a device id. */
extern int ddi_lyr_devid_to_devlist(ddi_devid_t devid, char *minor_name, int *retndevs, dev_t **retdevs);
/** Frees them. */
extern void ddi_lyr_free_devlist(dev_t *devlist, int ndevs);
/** Returns the device id of a device number. */
extern int ddi_lyr_get_devid(dev_t dev, ddi_devid_t *ret_devid);
/** Returns the minor name of a device number, which the caller frees. */
extern int ddi_lyr_get_minor_name(dev_t dev, int spec_type, char **minor_name);
/** Takes it back. */
extern void ddi_devid_unregister(dev_info_t *dip);
/** Whether it is one. */
extern int ddi_devid_valid(ddi_devid_t devid);
/** The first child. */
extern dev_info_t *ddi_get_child(dev_info_t *dip);
/** The node's unit address. */
extern char *ddi_get_name_addr(dev_info_t *dip);
/** The next child of the same parent. */
extern dev_info_t *ddi_get_next_sibling(dev_info_t *dip);
/** Finds and holds the node of an instance. */
extern dev_info_t *ddi_hold_devi_by_instance(major_t major, int flag, int flag2);
/** Writes the node's path below /devices into the buffer and returns it. */
extern char *ddi_pathname(dev_info_t *dip, char *name);
/** Gives up that hold. */
extern void ddi_release_devi(dev_info_t *dip);
/** Whether power will be lost in a suspend. */
extern int ddi_removing_power(dev_info_t *dip);
/** Whether the device sits where it cannot be a bus master. */
extern int ddi_slaveonly(dev_info_t *dip);

/* ---- Soft state ---- */

/** Makes an empty table of per-instance state, items of the given size. 0 or EINVAL. */
extern int ddi_soft_state_init(void **statep, size_t size, size_t n_items);
/** Zeroed state for one item. DDI_FAILURE when it exists. */
extern int ddi_soft_state_zalloc(void *state, int item);
/** The state of an item, or NULL. Callable in any context. */
extern void *ddi_get_soft_state(void *state, int item);
/** Frees the state of one item. */
extern void ddi_soft_state_free(void *state, int item);
/** Frees the table and what is in it; the pointer becomes NULL. */
extern void ddi_soft_state_fini(void **statep);
/** Makes an empty table of state keyed by strings. */
extern int ddi_soft_state_bystr_init(ddi_soft_state_bystr **statep, size_t size, int n_items);
/** Zeroed state for one string. */
extern int ddi_soft_state_bystr_zalloc(ddi_soft_state_bystr *state, const char *str);
/** The state of a string, or NULL. */
extern void *ddi_soft_state_bystr_get(ddi_soft_state_bystr *state, const char *str);
/** Frees the state of one string. */
extern void ddi_soft_state_bystr_free(ddi_soft_state_bystr *state, const char *str);
/** Frees the table and what is in it. */
extern void ddi_soft_state_bystr_fini(ddi_soft_state_bystr **statep);

/* ---- Device numbers and processes ---- */

/** The calling process, 0 in a kernel thread. */
extern pid_t ddi_get_pid(void);
/** The calling thread's identity, for thread_join. */
extern kt_did_t ddi_get_kt_did(void);

/* ---- devmap and user mappings ---- */

/** In devmap(9E): maps kernel or pinned user memory. 0 or -1. The callback table is copied. */
extern int devmap_umem_setup(devmap_cookie_t dhp, dev_info_t *dip,
    struct devmap_callback_ctl *callbackops, ddi_umem_cookie_t cookie, offset_t off, size_t len,
    uint_t maxprot, uint_t flags, ddi_device_acc_attr_t *accattrp);
/** Zeroed, page-aligned kernel memory that can be mapped; the cookie names it to devmap. */
extern void *ddi_umem_alloc(size_t size, int flags, ddi_umem_cookie_t *cookiep);
/** Frees ddi_umem_alloc's memory; no mapping may be left. */
extern void ddi_umem_free(ddi_umem_cookie_t cookie);
/** In devmap(9E): maps a register set. 0 or -1. The callback table is copied. */
extern int devmap_devmem_setup(devmap_cookie_t dhp, dev_info_t *dip,
    struct devmap_callback_ctl *callbackops, uint_t rnumber, offset_t roff, size_t len,
    uint_t maxprot, uint_t flags, ddi_device_acc_attr_t *accattrp);
/** What segmap(9E) calls: asks devmap(9E), chooses an address, makes the segment. 0 or an errno. */
extern int devmap_setup(dev_t dev, offset_t off, ddi_as_handle_t as, caddr_t *addrp, size_t len,
    uint_t prot, uint_t maxprot, uint_t flags, struct cred *credp);
/** The ready-made segmap entry of devmap drivers. */
extern int ddi_devmap_segmap(dev_t dev, off_t off, ddi_as_handle_t as, caddr_t *addrp,
    off_t len, uint_t prot, uint_t maxprot, uint_t flags, struct cred *credp);
/** Drops the range's translations; on return no processor uses them. 0 or a fault code. */
extern int devmap_unload(devmap_cookie_t dhp, offset_t off, size_t len);
/** Points a mapping at other registers, or with DEVMAP_MAPPING_INVALID at nothing. 0 or -1. */
extern int devmap_devmem_remap(devmap_cookie_t dhp, dev_info_t *dip, uint_t rnumber,
    offset_t roff, size_t len, uint_t maxprot, uint_t flags, ddi_device_acc_attr_t *accattrp);
/** Enters translations for the range, in the access callback. 0 or a fault code. */
extern int devmap_load(devmap_cookie_t dhp, offset_t off, size_t len, uint_t type, uint_t rw);
/** Ends ddi_umem_lock. */
extern void ddi_umem_unlock(ddi_umem_cookie_t cookie);
/** A buf over pinned memory. */
extern struct buf *ddi_umem_iosetup(ddi_umem_cookie_t cookie, off_t off, size_t len,
    int direction, dev_t dev, daddr_t blkno, int (*iodone)(struct buf *), int sleepflag);
/** Points a mapping at other kernel memory; drops its translations first. 0 or -1. */
extern int devmap_umem_remap(devmap_cookie_t dhp, dev_info_t *dip, ddi_umem_cookie_t cookie,
    offset_t off, size_t len, uint_t maxprot, uint_t flags, ddi_device_acc_attr_t *accattrp);
/** Whether the register set can be mapped with these attributes; private. */
extern int ddi_device_mapping_check(dev_t dev, ddi_device_acc_attr_t *accattrp, uint_t rnumber,
    uint_t *hat_flagsp);
/** What the framework does without an access callback: loads the faulting range. */
extern int devmap_default_access(devmap_cookie_t dhp, void *pvtp, offset_t off, size_t len,
    uint_t type, uint_t rw);
/** Runs a driver's context switch, one at a time, and lets the owner keep the device a while. */
extern int devmap_do_ctxmgt(devmap_cookie_t dhp, void *pvtp, offset_t off, size_t len,
    uint_t type, uint_t rw, int (*ctxmgt)(devmap_cookie_t, void *, offset_t, size_t, uint_t,
    uint_t));
/** Ticks for which a context owner keeps the device. */
extern void devmap_set_ctx_timeout(devmap_cookie_t dhp, clock_t ticks);
/** Pins a range of the calling process. 0 or an errno. */
extern int ddi_umem_lock(caddr_t addr, size_t len, int flags, ddi_umem_cookie_t *cookiep);
/** Data model of the mapping process, inside devmap(9E), segmap(9E) and mmap(9E). */
extern model_t ddi_mmap_get_model(void);
/** The ready-made segmap entry of mmap(9E) drivers. */
extern int ddi_segmap(dev_t dev, off_t off, struct as *as, caddr_t *addrp, off_t len,
    uint_t prot, uint_t maxprot, uint_t flags, cred_t *credp);
/** The same with a register set's access attributes. */
extern int ddi_segmap_setup(dev_t dev, off_t off, struct as *as, caddr_t *addrp, off_t len,
    uint_t prot, uint_t maxprot, uint_t flags, cred_t *credp, ddi_device_acc_attr_t *accattrp,
    uint_t rnumber);

/* ---- Moving data between process and driver ---- */

/** Copies from the process, or from the kernel with FKIOCTL. 0 or -1. Blocks. */
extern int ddi_copyin(const void *buf, void *driverbuf, size_t cn, int flags);
/** Copies to the process, or to the kernel with FKIOCTL. 0 or -1. Blocks. */
extern int ddi_copyout(const void *driverbuf, void *buf, size_t cn, int flags);
/** The data model to convert from, of an ioctl's mode; DDI_MODEL_NONE when it is the kernel's. */
extern model_t ddi_model_convert_from(model_t model);

/* ---- Credentials ---- */

/** The caller's credential, not held. */
extern cred_t *ddi_get_cred(void);

/* ---- Memory ---- */

/** A copy in kernel memory; freed with strfree. */
extern char *ddi_strdup(const char *str, int flag);
/** Frees a string by its length. */
extern void strfree(char *s);

/* ---- Locks ---- */

/** Begins a stretch without interrupts; what to give ddi_exit_critical. */
extern unsigned int ddi_enter_critical(void);
/** Ends it. */
extern void ddi_exit_critical(unsigned int state);
/** Whether a signal can reach the calling thread. */
extern boolean_t ddi_can_receive_sig(void);

/* ---- Time, task queues, periodic callbacks ---- */

/** A queue with threads of its own, or NULL. */
extern ddi_taskq_t *ddi_taskq_create(dev_info_t *dip, const char *name, int nthreads, pri_t pri,
    uint_t cflags);
/** Queues a function. DDI_FAILURE only with DDI_NOSLEEP. */
extern int ddi_taskq_dispatch(ddi_taskq_t *tq, void (*func)(void *), void *arg, uint_t dflags);
/** Waits for what is queued, then ends the threads. */
extern void ddi_taskq_destroy(ddi_taskq_t *tq);
/** Calls a function every so many nanoseconds, at an interrupt level or at 0. */
extern ddi_periodic_t ddi_periodic_add(void (*func)(void *), void *arg, hrtime_t interval,
    int level);
/** Ends ddi_periodic_add; on return the function does not run. */
extern void ddi_periodic_delete(ddi_periodic_t request);
/** Waits until everything queued so far is done. */
extern void ddi_taskq_wait(ddi_taskq_t *tq);
/** Seconds since 1970. */
extern time_t ddi_get_time(void);
/** Lets nothing new start, and waits for what runs. */
extern void ddi_taskq_suspend(ddi_taskq_t *tq);
/** Ends ddi_taskq_suspend. */
extern void ddi_taskq_resume(ddi_taskq_t *tq);
/** Whether the queue is suspended. */
extern boolean_t ddi_taskq_suspended(ddi_taskq_t *tq);

/* ---- Messages and strings ---- */

/** Copies bytes; the ranges may overlap. The source comes first. */
extern void bcopy(const void *from, void *to, size_t bcount);
/** Zeroes bytes. */
extern void bzero(void *addr, size_t bytes);
/** Order of two strings. */
extern int strcmp(const char *s1, const char *s2);
/** Copies bytes; the ranges do not overlap. */
extern void *memcpy(void *dst, const void *src, size_t n);
/** Copies at most n characters and pads with NUL. */
extern char *strncpy(char *dst, const char *src, size_t n);
/** Fills bytes. */
extern void *memset(void *s, int c, size_t n);
/** Length. */
extern size_t strlen(const char *s);
/** Order of two byte ranges. */
extern int memcmp(const void *s1, const void *s2, size_t n);
/** Copies a string. */
extern char *strcpy(char *dst, const char *src);
/** 0 when the bytes are equal. */
extern int bcmp(const void *s1, const void *s2, size_t len);
/** Unsigned number in a string. 0, EINVAL or ERANGE. */
extern int ddi_strtoul(const char *str, char **endptr, int base, unsigned long *result);
/** Copies what fits; returns the source's length. */
extern size_t strlcpy(char *dst, const char *src, size_t size);
/** Order of two strings, at most n characters. */
extern int strncmp(const char *s1, const char *s2, size_t n);
/** Number in a string. 0, EINVAL or ERANGE. */
extern int ddi_strtol(const char *str, char **endptr, int base, long *result);
/** Copies bytes; the ranges may overlap. */
extern void *memmove(void *dst, const void *src, size_t n);
/** Number of the lowest bit set, from 1; 0 for none. */
extern int ddi_ffs(long val);
/** Number of the highest bit set, from 1; 0 for none. */
extern int ddi_fls(long val);
/** 64-bit number in a string. 0, EINVAL or ERANGE. */
extern int ddi_strtoll(const char *str, char **endptr, int base, longlong_t *result);
/** 64-bit unsigned number in a string. 0, EINVAL or ERANGE. */
extern int ddi_strtoull(const char *str, char **endptr, int base, u_longlong_t *result);
/** Bytes in reverse order. */
extern uint16_t ddi_swap16(uint16_t val);
/** Bytes in reverse order. */
extern uint32_t ddi_swap32(uint32_t val);
/** Bytes in reverse order. */
extern uint64_t ddi_swap64(uint64_t val);
/** The first such byte, or NULL. */
extern void *memchr(const void *s, int c, size_t n);
/** Decimal digits of a number. */
extern void numtos(ulong_t value, char *name);
/** Number in a string; moves the pointer behind it. */
extern int stoi(char **p);
/** The first such character, or NULL. */
extern char *strchr(const char *s, int c);
/** Length of the start without these characters. */
extern size_t strcspn(const char *s, const char *reject);
/** A copy in kernel memory; freed with strfree. */
extern char *strdup(const char *s);
/** Appends what fits; returns the length of the whole. */
extern size_t strlcat(char *dst, const char *src, size_t size);
/** Appends at most n characters. */
extern char *strncat(char *dst, const char *src, size_t n);
/** Length, at most n. */
extern size_t strnlen(const char *s, size_t n);
/** The first such string in a string, or NULL. */
extern char *strstr(const char *s, const char *wanted);
/** Length of the start that consists of these characters. */
extern size_t strspn(const char *s, const char *accept);
/** Copies with the bytes of each pair exchanged. */
extern void swab(void *arg, void *arg2, size_t len);

/* ---- Properties ---- */

/** The ready-made prop_op entry. */
extern int ddi_prop_op(dev_t dev, dev_info_t *dip, ddi_prop_op_t prop_op, int mod_flags,
    char *name, caddr_t valuep, int *lengthp);
/** An int property, or the default. */
extern int ddi_prop_get_int(dev_t match_dev, dev_info_t *dip, uint_t flags, char *name,
    int defvalue);
/** Frees what a ddi_prop_lookup function gave. */
extern void ddi_prop_free(void *data);
/** An array of ints; freed with ddi_prop_free. */
extern int ddi_prop_lookup_int_array(dev_t match_dev, dev_info_t *dip, uint_t flags, char *name,
    int **datap, uint_t *nelementsp);
/** Bytes of a property in new kernel memory; old. The caller frees. */
extern int ddi_getlongprop(dev_t dev, dev_info_t *dip, int flags, char *name, caddr_t valuep,
    int *lengthp);
/** A string; freed with ddi_prop_free. */
extern int ddi_prop_lookup_string(dev_t match_dev, dev_info_t *dip, uint_t flags, char *name,
    char **datap);
/** Sets untyped bytes as a property; old. */
extern int ddi_prop_create(dev_t dev, dev_info_t *dip, int flags, char *name, caddr_t valuep,
    int length);
/** An array of strings; freed with ddi_prop_free. */
extern int ddi_prop_lookup_string_array(dev_t match_dev, dev_info_t *dip, uint_t flags,
    char *name, char ***datap, uint_t *nelementsp);
/** An array of bytes; freed with ddi_prop_free. */
extern int ddi_prop_lookup_byte_array(dev_t match_dev, dev_info_t *dip, uint_t flags,
    char *name, uchar_t **datap, uint_t *nelementsp);
/** Sets an int property of the driver. */
extern int ddi_prop_update_int(dev_t dev, dev_info_t *dip, char *name, int data);
/** Removes a property that the driver set. */
extern int ddi_prop_remove(dev_t dev, dev_info_t *dip, char *name);
/** Removes all properties that the driver set. */
extern void ddi_prop_remove_all(dev_info_t *dip);
/** An int property, or the default; old. */
extern int ddi_getprop(dev_t dev, dev_info_t *dip, int flags, char *name, int defvalue);
/** A 64-bit property, or the default. */
extern int64_t ddi_prop_get_int64(dev_t match_dev, dev_info_t *dip, uint_t flags, char *name,
    int64_t defvalue);
/** 1 when there is such a property, else 0. */
extern int ddi_prop_exists(dev_t match_dev, dev_info_t *dip, uint_t flags, char *name);
/** Sets a string property of the driver. */
extern int ddi_prop_update_string(dev_t dev, dev_info_t *dip, char *name, char *data);
/** Sets a property of the driver. */
extern int ddi_prop_update_int_array(dev_t dev, dev_info_t *dip, char *name, int *data,
    uint_t nelements);
/** Hides a property of a lower source. */
extern int ddi_prop_undefine(dev_t dev, dev_info_t *dip, int flags, char *name);
/** Length of a property; old. */
extern int ddi_getproplen(dev_t dev, dev_info_t *dip, int flags, char *name, int *lengthp);
/** Bytes of a property into a buffer; old. */
extern int ddi_getlongprop_buf(dev_t dev, dev_info_t *dip, int flags, char *name,
    caddr_t valuep, int *lengthp);
/** An array of 64-bit numbers; freed with ddi_prop_free. */
extern int ddi_prop_lookup_int64_array(dev_t match_dev, dev_info_t *dip, uint_t flags,
    char *name, int64_t **datap, uint_t *nelementsp);
/** Changes untyped bytes of a property; old. */
extern int ddi_prop_modify(dev_t dev, dev_info_t *dip, int flags, char *name, caddr_t valuep,
    int length);
/** The same for drivers with a size in blocks. */
extern int ddi_prop_op_nblocks(dev_t dev, dev_info_t *dip, ddi_prop_op_t prop_op, int mod_flags,
    char *name, caddr_t valuep, int *lengthp, uint64_t nblocks64);
/** The same for drivers with a size in bytes. */
extern int ddi_prop_op_size(dev_t dev, dev_info_t *dip, ddi_prop_op_t prop_op, int mod_flags,
    char *name, caddr_t valuep, int *lengthp, uint64_t size64);
/** Sets a property of the driver. */
extern int ddi_prop_update_byte_array(dev_t dev, dev_info_t *dip, char *name, uchar_t *data,
    uint_t nelements);
/** Sets a 64-bit property of the driver. */
extern int ddi_prop_update_int64(dev_t dev, dev_info_t *dip, char *name, int64_t data);
/** Sets a property of the driver. */
extern int ddi_prop_update_int64_array(dev_t dev, dev_info_t *dip, char *name, int64_t *data,
    uint_t nelements);
/** Sets a property of the driver. */
extern int ddi_prop_update_string_array(dev_t dev, dev_info_t *dip, char *name, char **data,
    uint_t nelements);

/* ---- Events and faults ---- */

/** Whether register accesses failed. */
extern int ddi_check_acc_handle(ddi_acc_handle_t handle);
/** Whether DMA failed. */
extern int ddi_check_dma_handle(ddi_dma_handle_t handle);
/** Posts what PCI's error registers say. */
extern void pci_ereport_post(dev_info_t *dip, ddi_fm_error_t *p, uint16_t *p2);
/** Prepares for PCI error reports. */
extern void pci_ereport_setup(dev_info_t *dip);
/** Ends pci_ereport_setup. */
extern void pci_ereport_teardown(dev_info_t *dip);

/* ---- Polling and asynchronous events ---- */

/** A reference to the calling process, for proc_signal. */
extern void *proc_ref(void);
/** Sends a signal. 0, or -1 when the process is gone. */
extern int proc_signal(void *pref, int sig);
/** Ends proc_ref. */
extern void proc_unref(void *pref);

/* ---- Block and character I/O ---- */

/** Raw I/O: pins the request's memory and calls strategy piece by piece. */
extern int physio(int (*strat)(struct buf *), struct buf *bp, dev_t dev, int rw,
    void (*mincnt)(struct buf *), struct uio *uiop);
/** Cuts a request to what is possible at once. */
extern void minphys(struct buf *bp);
/** Bytes in whole pages of the device's bus, rounded down. */
extern unsigned long ddi_btop(dev_info_t *dip, unsigned long value);
/** Bytes in whole pages of the device's bus, rounded up. */
extern unsigned long ddi_btopr(dev_info_t *dip, unsigned long value);
/** Pages of the device's bus in bytes. */
extern unsigned long ddi_ptob(dev_info_t *dip, unsigned long value);

/* ---- Registers and PCI configuration space ---- */

/** Maps a register set for the kernel; length 0 is all of it. */
extern int ddi_regs_map_setup(dev_info_t *dip, uint_t rnumber, caddr_t *addrp, offset_t offset,
    offset_t len, ddi_device_acc_attr_t *accattrp, ddi_acc_handle_t *handlep);
/** Ends ddi_regs_map_setup. */
extern void ddi_regs_map_free(ddi_acc_handle_t *handlep);
/** Access to the device's PCI configuration space. */
extern int pci_config_setup(dev_info_t *dip, ddi_acc_handle_t *handlep);
/** Ends pci_config_setup. */
extern void pci_config_teardown(ddi_acc_handle_t *handlep);
/** Reads 16 bits of PCI configuration space. */
extern uint16_t pci_config_get16(ddi_acc_handle_t handle, off_t off);
/** Reads a 8-bit register, in the byte order of the handle. */
extern uint8_t ddi_get8(ddi_acc_handle_t handle, uint8_t *dev_addr);
/** Reads a 32-bit register, in the byte order of the handle. */
extern uint32_t ddi_get32(ddi_acc_handle_t handle, uint32_t *dev_addr);
/** Writes a 8-bit register, in the byte order of the handle. */
extern void ddi_put8(ddi_acc_handle_t handle, uint8_t *dev_addr, uint8_t value);
/** Writes a 32-bit register, in the byte order of the handle. */
extern void ddi_put32(ddi_acc_handle_t handle, uint32_t *dev_addr, uint32_t value);
/** Reads 32 bits of PCI configuration space. */
extern uint32_t pci_config_get32(ddi_acc_handle_t handle, off_t off);
/** Writes 32 bits of PCI configuration space. */
extern void pci_config_put32(ddi_acc_handle_t handle, off_t off, uint32_t val);
/** Reads a 64-bit register, in the byte order of the handle. */
extern uint64_t ddi_get64(ddi_acc_handle_t handle, uint64_t *dev_addr);
/** Writes a 64-bit register, in the byte order of the handle. */
extern void ddi_put64(ddi_acc_handle_t handle, uint64_t *dev_addr, uint64_t value);
/** Reads a 16-bit register, in the byte order of the handle. */
extern uint16_t ddi_get16(ddi_acc_handle_t handle, uint16_t *dev_addr);
/** Writes a 16-bit register, in the byte order of the handle. */
extern void ddi_put16(ddi_acc_handle_t handle, uint16_t *dev_addr, uint16_t value);
/** Reads an array of 32-bit registers. */
extern void ddi_rep_get32(ddi_acc_handle_t handle, uint32_t *host_addr, uint32_t *dev_addr,
    size_t repcount, uint_t flags);
/** Writes an array of 32-bit registers. */
extern void ddi_rep_put32(ddi_acc_handle_t handle, uint32_t *host_addr, uint32_t *dev_addr,
    size_t repcount, uint_t flags);
/** Reads 32 bits; DDI_FAILURE instead of a trap. */
extern int ddi_peek32(dev_info_t *dip, int32_t *addr, int32_t *valuep);
/** Zeroes registers. */
extern int ddi_device_zero(ddi_acc_handle_t handle, caddr_t dev_addr, size_t bytecount,
    ssize_t dev_advcnt, uint_t dev_datasz);
/** Maps a register set for the kernel; old. */
extern int ddi_map_regs(dev_info_t *dip, uint_t flags, caddr_t *addrp, off_t off, off_t off2);
/** Reads 16 bits; DDI_FAILURE instead of a trap. */
extern int ddi_peek16(dev_info_t *dip, int16_t *addr, int16_t *valuep);
/** Reads 64 bits; DDI_FAILURE instead of a trap. */
extern int ddi_peek64(dev_info_t *dip, int64_t *addr, int64_t *valuep);
/** Reads 8 bits; DDI_FAILURE instead of a trap. */
extern int ddi_peek8(dev_info_t *dip, int8_t *addr, int8_t *valuep);
/** Writes 16 bits; DDI_FAILURE instead of a trap. */
extern int ddi_poke16(dev_info_t *dip, int16_t *addr, int16_t value);
/** Writes 32 bits; DDI_FAILURE instead of a trap. */
extern int ddi_poke32(dev_info_t *dip, int32_t *addr, int32_t value);
/** Writes 64 bits; DDI_FAILURE instead of a trap. */
extern int ddi_poke64(dev_info_t *dip, int64_t *addr, int64_t value);
/** Writes 8 bits; DDI_FAILURE instead of a trap. */
extern int ddi_poke8(dev_info_t *dip, int8_t *addr, int8_t value);
/** Reads an array of 16-bit registers. */
extern void ddi_rep_get16(ddi_acc_handle_t handle, uint16_t *host_addr, uint16_t *dev_addr,
    size_t repcount, uint_t flags);
/** Reads an array of 64-bit registers. */
extern void ddi_rep_get64(ddi_acc_handle_t handle, uint64_t *host_addr, uint64_t *dev_addr,
    size_t repcount, uint_t flags);
/** Reads an array of 8-bit registers. */
extern void ddi_rep_get8(ddi_acc_handle_t handle, uint8_t *host_addr, uint8_t *dev_addr,
    size_t repcount, uint_t flags);
/** Writes an array of 16-bit registers. */
extern void ddi_rep_put16(ddi_acc_handle_t handle, uint16_t *host_addr, uint16_t *dev_addr,
    size_t repcount, uint_t flags);
/** Writes an array of 64-bit registers. */
extern void ddi_rep_put64(ddi_acc_handle_t handle, uint64_t *host_addr, uint64_t *dev_addr,
    size_t repcount, uint_t flags);
/** Writes an array of 8-bit registers. */
extern void ddi_rep_put8(ddi_acc_handle_t handle, uint8_t *host_addr, uint8_t *dev_addr,
    size_t repcount, uint_t flags);
/** Ends ddi_map_regs. */
extern void ddi_unmap_regs(dev_info_t *dip, uint_t flags, caddr_t *addrp, off_t off, off_t off2);
/** Reads 64 bits of PCI configuration space. */
extern uint64_t pci_config_get64(ddi_acc_handle_t handle, off_t off);
/** Reads 8 bits of PCI configuration space. */
extern uint8_t pci_config_get8(ddi_acc_handle_t handle, off_t off);
/** Writes 16 bits of PCI configuration space. */
extern void pci_config_put16(ddi_acc_handle_t handle, off_t off, uint16_t val);
/** Writes 64 bits of PCI configuration space. */
extern void pci_config_put64(ddi_acc_handle_t handle, off_t off, uint64_t val);
/** Writes 8 bits of PCI configuration space. */
extern void pci_config_put8(ddi_acc_handle_t handle, off_t off, uint8_t val);
/** Tells of a power management capability. */
extern int pci_report_pmcap(dev_info_t *dip, int flag, void *arg);
/** Restores it. */
extern int pci_restore_config_regs(dev_info_t *dip);
/** Saves configuration space before power is lost. */
extern int pci_save_config_regs(dev_info_t *dip);

/* ---- DMA ---- */

/** A handle for DMA by a device with these attributes. */
extern int ddi_dma_alloc_handle(dev_info_t *dip, ddi_dma_attr_t *p, int (*func)(caddr_t),
    caddr_t addr, ddi_dma_handle_t *handlep);
/** Frees the handle. */
extern void ddi_dma_free_handle(ddi_dma_handle_t *handlep);
/** Memory fit for the device, and access to it. */
extern int ddi_dma_mem_alloc(ddi_dma_handle_t handle, size_t len, ddi_device_acc_attr_t *p,
    uint_t flags, int (*func)(caddr_t), caddr_t addr, caddr_t *addrp, size_t *lenp,
    ddi_acc_handle_t *handlep);
/** Makes memory reachable for the device; the first of its pieces. */
extern int ddi_dma_addr_bind_handle(ddi_dma_handle_t handle, struct as *as, caddr_t addr,
    size_t len, uint_t flags, int (*func)(caddr_t), caddr_t addr2, ddi_dma_cookie_t *p,
    uint_t *countp);
/** Ends the binding. */
extern int ddi_dma_unbind_handle(ddi_dma_handle_t handle);
/** The next piece. */
extern void ddi_dma_nextcookie(ddi_dma_handle_t handle, ddi_dma_cookie_t *p);
/** Number of pieces in the window. */
extern uint_t ddi_dma_ncookies(ddi_dma_handle_t handle);
/** The piece behind this one; the first for NULL, NULL behind the last. */
extern const ddi_dma_cookie_t *ddi_dma_cookie_iter(ddi_dma_handle_t handle, const ddi_dma_cookie_t *cookie);
/** A piece by its number. */
extern const ddi_dma_cookie_t *ddi_dma_cookie_get(ddi_dma_handle_t handle, uint_t index);
/** The only piece. */
extern const ddi_dma_cookie_t *ddi_dma_cookie_one(ddi_dma_handle_t handle);
/** Frees ddi_dma_mem_alloc's memory. */
extern void ddi_dma_mem_free(ddi_acc_handle_t *handlep);
/** Makes one side's writes visible to the other. */
extern int ddi_dma_sync(ddi_dma_handle_t handle, off_t off, size_t len, uint_t flags);
/** The same for a buf. */
extern int ddi_dma_buf_bind_handle(ddi_dma_handle_t handle, struct buf *bp, uint_t flags,
    int (*func)(caddr_t), caddr_t addr, ddi_dma_cookie_t *p, uint_t *countp);
/** Number of windows of a partial binding. */
extern int ddi_dma_numwin(ddi_dma_handle_t handle, uint_t *countp);
/** Burst sizes that the binding allows. */
extern int ddi_dma_burstsizes(ddi_dma_handle_t handle);
/** Moves a partial binding to another window. */
extern int ddi_dma_getwin(ddi_dma_handle_t handle, uint_t flags, off_t *p, size_t *lenp,
    ddi_dma_cookie_t *p2, uint_t *countp);
/** Sizes of 64-bit bursts; another machine's. */
extern int ddi_dma_set_sbus64(ddi_dma_handle_t handle, ulong_t value);

/** A byte of an I/O port. */
extern uint8_t inb(int port);
/** 16 bits of an I/O port. */
extern uint16_t inw(int port);
/** 32 bits of an I/O port. */
extern uint32_t inl(int port);
/** A byte to an I/O port. */
extern void outb(int port, uint8_t value);
/** 16 bits to an I/O port. */
extern void outw(int port, uint16_t value);
/** 32 bits to an I/O port. */
extern void outl(int port, uint32_t value);
/** From one I/O port, 8 bits at a time. */
extern void repinsb(int port, uint8_t *addr, int count);
/** From one I/O port, 16 bits at a time. */
extern void repinsw(int port, uint16_t *addr, int count);
/** From one I/O port, 32 bits at a time. */
extern void repinsd(int port, uint32_t *addr, int count);
/** To one I/O port, 8 bits at a time. */
extern void repoutsb(int port, uint8_t *addr, int count);
/** To one I/O port, 16 bits at a time. */
extern void repoutsw(int port, uint16_t *addr, int count);
/** To one I/O port, 32 bits at a time. */
extern void repoutsd(int port, uint32_t *addr, int count);

/** A conversion between code pages. */
typedef void *kiconv_t;

#define KICONV_IGNORE_NULL 0x0001
#define KICONV_REPLACE_INVALID 0x0002

/** A conversion, or -1. */
extern kiconv_t kiconv_open(const char *tocode, const char *fromcode);
/** Converts; the number of characters that were replaced, or -1 and *errnum. */
extern size_t kiconv(kiconv_t cd, char **inbuf, size_t *inbytesleft, char **outbuf,
    size_t *outbytesleft, int *errnum);
/** Ends a conversion. 0 or EBADF. */
extern int kiconv_close(kiconv_t cd);
/** Converts a text in one call. */
extern size_t kiconvstr(const char *tocode, const char *fromcode, char *inarray, size_t *inlen,
    char *outarray, size_t *outlen, int flag, int *errnum);

#define TASKQ_DEFAULTPRI (-1)
#define DDI_MODEL_CONVERT(mode) ddi_model_convert_from((mode) & FMODELS)

typedef struct __ddi_strid ddi_strid;

/** An interrupt handler at high priority; fails. */
extern int ddi_add_fastintr(dev_info_t *dip, uint_t inumber, ddi_iblock_cookie_t *iblock_cookiep,
    ddi_idevice_cookie_t *idevice_cookiep, uint_t (*hi_int_handler)(void));
/** Whether one device is part of another. */
extern int ddi_dev_affinity(dev_info_t *a, dev_info_t *b);
/** The last part of a node's path. */
extern char *ddi_deviname(dev_info_t *dip, char *name);
/** The next node of the same driver. */
extern dev_info_t *ddi_get_next(dev_info_t *dip);
/** Returns the data that the parent nexus stores in a node. */
extern void *ddi_get_parent_data(dev_info_t *dip);
/** Loads and holds a driver: its operations. */
extern struct dev_ops *ddi_hold_installed_driver(major_t major);
/** Loads a driver. */
extern int ddi_install_driver(char *idstring);
/** A driver's name and the number at its end. */
extern int ddi_parse(const char *str, char *alnum, uint_t *nump);
/** The device number behind a path below /devices. */
extern dev_t ddi_pathname_to_dev_t(char *pathname);
/** Forgets what is cached of a property. */
extern void ddi_prop_cache_invalidate(dev_t dev, dev_info_t *dip, char *name, int flags);
/** Ends ddi_hold_installed_driver. */
extern void ddi_rele_driver(major_t major);
/** Rings the console's bell. */
extern void ddi_ring_console_bell(clock_t duration);
/** Calls the functions of a list. */
extern void ddi_run_callback(uintptr_t *listid);
/** Puts a function on a list. */
extern void ddi_set_callback(int (*funcp)(caddr_t), caddr_t arg, uintptr_t *listid);
/** Sets what rings the console's bell. */
extern void ddi_set_console_bell(void (*bellfunc)(clock_t duration));
/** Sets what the nexus keeps for a node. */
extern void ddi_set_parent_data(dev_info_t *dip, void *pd);
/** Whether a node's driver is a STREAMS driver. */
extern int ddi_streams_driver(dev_info_t *dip);
/** A string's number in a table, which it gets if it has none. */
extern id_t ddi_strid_alloc(ddi_strid *strid, char *str);
/** Frees a table. */
extern void ddi_strid_fini(ddi_strid **strid_p);
/** Frees a string. */
extern void ddi_strid_free(ddi_strid *strid, id_t id);
/** The string of a number, or NULL. */
extern char *ddi_strid_id2str(ddi_strid *strid, id_t id);
/** A table of strings by number. */
extern int ddi_strid_init(ddi_strid **strid_p, int n_items);
/** The number of a string, or 0. */
extern id_t ddi_strid_str2id(ddi_strid *strid, char *str);
/** Whether a node is below the pseudo nexus. */
extern int is_pseudo_device(dev_info_t *dip);
/** ddi_prop_op_nblocks with a size of blocks. */
extern int ddi_prop_op_nblocks_blksize(dev_t dev, dev_info_t *dip, ddi_prop_op_t prop_op, int mod_flags,
    char *name, caddr_t valuep, int *lengthp, uint64_t nblocks64, uint_t blksize);
/** ddi_prop_op_size with a size of blocks. */
extern int ddi_prop_op_size_blksize(dev_t dev, dev_info_t *dip, ddi_prop_op_t prop_op, int mod_flags,
    char *name, caddr_t valuep, int *lengthp, uint64_t size64, uint_t blksize);
/** The older name of pci_config_get8. */
extern uint8_t pci_config_getb(ddi_acc_handle_t handle, off_t off);
/** The older name of pci_config_get32. */
extern uint32_t pci_config_getl(ddi_acc_handle_t handle, off_t off);
/** The older name of pci_config_get64. */
extern uint64_t pci_config_getll(ddi_acc_handle_t handle, off_t off);
/** The older name of pci_config_get16. */
extern uint16_t pci_config_getw(ddi_acc_handle_t handle, off_t off);
/** The older name of pci_config_put8. */
extern void pci_config_putb(ddi_acc_handle_t handle, off_t off, uint8_t val);
/** The older name of pci_config_put32. */
extern void pci_config_putl(ddi_acc_handle_t handle, off_t off, uint32_t val);
/** The older name of pci_config_put64. */
extern void pci_config_putll(ddi_acc_handle_t handle, off_t off, uint64_t val);
/** The older name of pci_config_put16. */
extern void pci_config_putw(ddi_acc_handle_t handle, off_t off, uint16_t val);
/** Appends a string. */
extern char *strcat(char *dst, const char *src);
/** The first of some characters, or NULL. */
extern char *strpbrk(const char *s, const char *accept);
/** Cuts the next part off a string. */
extern char *strsep(char **stringp, const char *delim);

#endif /* _SYS_SUNDDI_H */
