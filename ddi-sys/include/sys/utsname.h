/*
 * What uname(2) says.
 */
#ifndef _SYS_UTSNAME_H
#define _SYS_UTSNAME_H

#define _SYS_NMLN 257

/** System, node, release, version and machine. */
struct utsname {
    char sysname[_SYS_NMLN];
    char nodename[_SYS_NMLN];
    char release[_SYS_NMLN];
    char version[_SYS_NMLN];
    char machine[_SYS_NMLN];
};

/** This system's. */
extern struct utsname utsname;

#endif /* _SYS_UTSNAME_H */
