/*
 * Layered drivers: a driver that opens other drivers' devices.
 */
#ifndef _SYS_SUNLDI_H
#define _SYS_SUNLDI_H

#include <sys/types.h>
#include <sys/cred.h>
#include <sys/dditypes.h>
#include <sys/poll.h>
#include <sys/uio.h>

struct buf;

typedef struct __ldi_handle *ldi_handle_t;
typedef struct __ldi_ident *ldi_ident_t;

#define LDI_DEV_T_ANY 0x2000

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
/** Who opens devices: the driver of a device number. */
extern int ldi_ident_from_dev(dev_t dev, ldi_ident_t *lip);
/** Who opens devices: the driver of a node. */
extern int ldi_ident_from_dip(dev_info_t *dip, ldi_ident_t *lip);
/** Ends an identity. */
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
