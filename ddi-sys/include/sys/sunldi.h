/*
 * Layered drivers: a driver that opens other drivers' devices.
 */
#ifndef _SYS_SUNLDI_H
#define _SYS_SUNLDI_H

#include <sys/types.h>
#include <sys/cred.h>
#include <sys/dditypes.h>
#include <sys/aio_req.h>
#include <sys/poll.h>
#include <sys/stream.h>
#include <sys/time.h>
#include <sys/uio.h>

struct buf;

typedef struct __ldi_handle *ldi_handle_t;
typedef struct __ldi_ident *ldi_ident_t;
typedef struct __ldi_callback_id *ldi_callback_id_t;
typedef struct __ldi_ev_cookie *ldi_ev_cookie_t;

#define LDI_DEV_T_ANY 0x2000
#define LDI_EV_SUCCESS 0
#define LDI_EV_FAILURE (-1)
#define LDI_EV_OFFLINE "LDI:EVENT:OFFLINE"
#define LDI_EV_DEGRADE "LDI:EVENT:DEGRADE"
#define LDI_EV_DEVICE_REMOVE "LDI:EVENT:DEVICE_REMOVE"

/** Callbacks for an event. */
typedef struct ldi_ev_callback {
    uint_t cb_vers;
    int (*cb_notify)(ldi_handle_t, ldi_ev_cookie_t, void *, void *);
    void (*cb_finalize)(ldi_handle_t, ldi_ev_cookie_t, int, void *, void *);
} ldi_ev_callback_t;

/** Starts an asynchronous read of the device. */
extern int ldi_aread(ldi_handle_t lh, struct aio_req *aio_reqp, cred_t *cr);
/** Starts an asynchronous write of the device. */
extern int ldi_awrite(ldi_handle_t lh, struct aio_req *aio_reqp, cred_t *cr);
/** Calls dump(9E) of the device. */
extern int ldi_dump(ldi_handle_t lh, caddr_t addr, daddr_t blkno, int nblk);
/** Calls the finalize callbacks of an event. */
extern void ldi_ev_finalize(dev_info_t *dip, minor_t minor, int spec_type, int ldi_result, ldi_ev_cookie_t cookie,
    void *ev_data);
/** Returns the cookie of an event. */
extern int ldi_ev_get_cookie(ldi_handle_t lh, char *evname, ldi_ev_cookie_t *cookiep);
/** Returns the name of an event. */
extern char *ldi_ev_get_type(ldi_ev_cookie_t cookie);
/** Calls the notify callbacks of an event. */
extern int ldi_ev_notify(dev_info_t *dip, minor_t minor, int spec_type, ldi_ev_cookie_t cookie, void *ev_data);
/** Registers callbacks for an event. */
extern int ldi_ev_register_callbacks(ldi_handle_t lh, ldi_ev_cookie_t cookie, ldi_ev_callback_t *callb, void *arg,
    ldi_callback_id_t *id);
/** Removes callbacks. */
extern int ldi_ev_remove_callbacks(ldi_callback_id_t id);
/** Returns the device id of the device. */
extern int ldi_get_devid(ldi_handle_t lh, ddi_devid_t *devid);
/** Receives a message from a STREAMS device. */
extern int ldi_getmsg(ldi_handle_t lh, mblk_t **rmp, timestruc_t *timeo);
/** Allocates an identity for layered opens by the driver of a major number; internal. */
extern int ldi_ident_from_major(major_t major, ldi_ident_t *lip);
/** Allocates an identity for layered opens by the driver of a stream. */
extern int ldi_ident_from_stream(struct queue *sq, ldi_ident_t *lip);
/** Opens a device by its device id. */
extern int ldi_open_by_devid(ddi_devid_t devid, char *minor_name, int flag, cred_t *cr, ldi_handle_t *lhp,
    ldi_ident_t li);
/** Reads a property of bytes of the device. */
extern int ldi_prop_lookup_byte_array(ldi_handle_t lh, uint_t flags, char *name, uchar_t **data, uint_t *nelements);
/** Reads a property of 64-bit integers of the device. */
extern int ldi_prop_lookup_int64_array(ldi_handle_t lh, uint_t flags, char *name, int64_t **data, uint_t *nelements);
/** Reads a property of integers of the device. */
extern int ldi_prop_lookup_int_array(ldi_handle_t lh, uint_t flags, char *name, int **data, uint_t *nelements);
/** Reads a property of one string of the device. */
extern int ldi_prop_lookup_string(ldi_handle_t lh, uint_t flags, char *name, char **data);
/** Reads a property of strings of the device. */
extern int ldi_prop_lookup_string_array(ldi_handle_t lh, uint_t flags, char *name, char ***data, uint_t *nelements);
/** Sends a message to a STREAMS device. */
extern int ldi_putmsg(ldi_handle_t lh, mblk_t *smp);

/** Ends a layered open. Returns 0 or an errno. */
extern int ldi_close(ldi_handle_t lh, int flag, cred_t *cr);
/** Calls devmap(9E) of the device. */
extern int ldi_devmap(ldi_handle_t lh, devmap_cookie_t dhp, offset_t off, size_t len, size_t *maplen,
    uint_t model);
/** Device number of an open device. Returns DDI_SUCCESS or DDI_FAILURE. */
extern int ldi_get_dev(ldi_handle_t lh, dev_t *devp);
/** Name of the minor node, to be freed by the caller. */
extern int ldi_get_minor_name(ldi_handle_t lh, char **minor_name);
/** OTYP_CHR or OTYP_BLK. */
extern int ldi_get_otyp(ldi_handle_t lh, int *otyp);
/** Bytes of the device. */
extern int ldi_get_size(ldi_handle_t lh, uint64_t *sizep);
/** Allocates an identity for layered opens by the driver of a device number. */
extern int ldi_ident_from_dev(dev_t dev, ldi_ident_t *lip);
/** Allocates an identity for layered opens by the driver of a node. */
extern int ldi_ident_from_dip(dev_info_t *dip, ldi_ident_t *lip);
/** Frees an identity. */
extern void ldi_ident_release(ldi_ident_t li);
/** Calls ioctl(9E) of the device; FKIOCTL in the mode when the argument is the kernel's memory. */
extern int ldi_ioctl(ldi_handle_t lh, int cmd, intptr_t arg, int mode, cred_t *cr, int *rvalp);
/** Opens a device by its number. Returns 0 or an errno, ENODEV when there is none. */
extern int ldi_open_by_dev(dev_t *devp, int otyp, int flag, cred_t *cr, ldi_handle_t *lhp, ldi_ident_t li);
/** Opens a device by its path. Returns 0 or an errno, ENODEV when there is none. */
extern int ldi_open_by_name(char *pathname, int flag, cred_t *cr, ldi_handle_t *lhp, ldi_ident_t li);
/** Calls chpoll(9E) of the device. */
extern int ldi_poll(ldi_handle_t lh, short events, int anyyet, short *reventsp, struct pollhead **phpp);
/** Whether the device has the property. */
extern int ldi_prop_exists(ldi_handle_t lh, uint_t flags, char *name);
/** An integer property of the device. */
extern int ldi_prop_get_int(ldi_handle_t lh, uint_t flags, char *name, int defvalue);
/** A 64-bit integer property of the device. */
extern int64_t ldi_prop_get_int64(ldi_handle_t lh, uint_t flags, char *name, int64_t defvalue);
/** Reads the device. */
extern int ldi_read(ldi_handle_t lh, struct uio *uiop, cred_t *cr);
/** Calls strategy(9E) of the device. */
extern int ldi_strategy(ldi_handle_t lh, struct buf *bp);
/** Writes the device. */
extern int ldi_write(ldi_handle_t lh, struct uio *uiop, cred_t *cr);

#endif /* _SYS_SUNLDI_H */
