/*
 * What nexus drivers use.
 */
#ifndef _SYS_SUNNDI_H
#define _SYS_SUNNDI_H

#include <sys/types.h>
#include <sys/dditypes.h>
#include <sys/devctl.h>

/** Copies the data of a devctl ioctl in. */
extern int ndi_dc_allochdl(void *iocarg, struct devctl_iocdata **rdcp);
/** Frees what ndi_dc_allochdl gave. */
extern void ndi_dc_freehdl(struct devctl_iocdata *dcp);
/** Unit address of the child that the ioctl is about. */
extern char *ndi_dc_getaddr(struct devctl_iocdata *dcp);
/** Name of that child. */
extern char *ndi_dc_getname(struct devctl_iocdata *dcp);
/** Tells the process the state of a device. */
extern int ndi_dc_return_dev_state(dev_info_t *dip, struct devctl_iocdata *dcp);
/** Posts an event, for a nexus to claim. */
extern int ndi_post_event(dev_info_t *dip, dev_info_t *rdip, ddi_eventcookie_t eventhdl, void *impl_data);

#endif /* _SYS_SUNNDI_H */
