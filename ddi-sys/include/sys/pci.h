/*
 * PCI configuration space.
 */
#ifndef _SYS_PCI_H
#define _SYS_PCI_H

#include <sys/types.h>

#define PCI_CONF_VENID 0
#define PCI_CONF_DEVID 2
#define PCI_CONF_COMM 4
#define PCI_CONF_STAT 6
#define PCI_CONF_REVID 8
#define PCI_CONF_BASE0 0x10
#define PCI_CONF_BASE1 0x14
#define PCI_CONF_BASE2 0x18
#define PCI_CONF_BASE3 0x1c
#define PCI_CONF_BASE4 0x20
#define PCI_CONF_BASE5 0x24
#define PCI_CONF_SUBVENID 0x2c
#define PCI_CONF_SUBSYSID 0x2e
#define PCI_CONF_CAP_PTR 0x34
#define PCI_CONF_ILINE 0x3c
#define PCI_CONF_IPIN 0x3d

#endif /* _SYS_PCI_H */
