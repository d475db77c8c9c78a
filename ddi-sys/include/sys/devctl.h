/*
 * The ioctls of nexus drivers.
 */
#ifndef _SYS_DEVCTL_H
#define _SYS_DEVCTL_H

#include <sys/types.h>
#include <sys/nvpair.h>

/** Subject of a devctl ioctl. */
struct devctl_iocdata {
    uint_t cmd;
    uint_t flags;
    void *cpyout_buf;
    nvlist_t *nvl_user;
    size_t nvl_usersz;
    char *c_nodename;
    char *c_unitaddr;
};

#endif /* _SYS_DEVCTL_H */
