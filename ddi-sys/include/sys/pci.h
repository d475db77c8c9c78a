/*
 * PCI configuration space.
 */
#ifndef _SYS_PCI_H
#define _SYS_PCI_H

#include <sys/types.h>

/* The header. */
#define PCI_CONF_VENID 0
#define PCI_CONF_DEVID 2
#define PCI_CONF_COMM 4
#define PCI_CONF_STAT 6
#define PCI_CONF_REVID 8
#define PCI_CONF_PROGCLASS 9
#define PCI_CONF_SUBCLASS 0xa
#define PCI_CONF_BASCLASS 0xb
#define PCI_CONF_CACHE_LINESZ 0xc
#define PCI_CONF_LATENCY_TIMER 0xd
#define PCI_CONF_HEADER 0xe
#define PCI_CONF_BIST 0xf
#define PCI_CONF_BASE0 0x10
#define PCI_CONF_BASE1 0x14
#define PCI_CONF_BASE2 0x18
#define PCI_CONF_BASE3 0x1c
#define PCI_CONF_BASE4 0x20
#define PCI_CONF_BASE5 0x24
#define PCI_CONF_SUBVENID 0x2c
#define PCI_CONF_SUBSYSID 0x2e
#define PCI_CONF_ROM 0x30
#define PCI_CONF_CAP_PTR 0x34
#define PCI_CONF_ILINE 0x3c
#define PCI_CONF_IPIN 0x3d

/* Command register. */
#define PCI_COMM_IO 0x1
#define PCI_COMM_MAE 0x2
#define PCI_COMM_ME 0x4
#define PCI_COMM_PARITY_DETECT 0x40
#define PCI_COMM_SERR_ENABLE 0x100
#define PCI_COMM_INTX_DISABLE 0x400

/* Status register. */
#define PCI_STAT_INTR 0x8
#define PCI_STAT_CAP 0x10

/* Base address registers. */
#define PCI_BASE_SPACE_IO 0x1
#define PCI_BASE_TYPE_M 0x6
#define PCI_BASE_TYPE_MEM 0x0
#define PCI_BASE_TYPE_ALL 0x4
#define PCI_BASE_PREF_M 0x8
#define PCI_BASE_M_ADDR_M 0xfffffff0

/* Capabilities. */
#define PCI_CAP_ID 0x0
#define PCI_CAP_NEXT_PTR 0x1
#define PCI_CAP_ID_PM 0x1
#define PCI_CAP_ID_MSI 0x5
#define PCI_CAP_ID_PCI_E 0x10
#define PCI_CAP_ID_MSI_X 0x11
#define PCI_MSI_CTRL 0x2
#define PCI_MSI_ENABLE_BIT 0x1
#define PCI_MSIX_CTRL 0x2
#define PCI_MSIX_ENABLE_BIT 0x8000
#define PCI_CAP_EINVAL8 0xff
#define PCI_CAP_EINVAL16 0xffff
#define PCI_CAP_EINVAL32 0xffffffff

/* An entry of a node's "reg" and "assigned-addresses" properties. */
struct pci_phys_spec {
    uint_t pci_phys_hi;
    uint_t pci_phys_mid;
    uint_t pci_phys_low;
    uint_t pci_size_hi;
    uint_t pci_size_low;
};
typedef struct pci_phys_spec pci_regspec_t;

#define PCI_REG_ADDR_M 0x03000000
#define PCI_ADDR_CONFIG 0x00000000
#define PCI_ADDR_IO 0x01000000
#define PCI_ADDR_MEM32 0x02000000
#define PCI_ADDR_MEM64 0x03000000
#define PCI_REG_REG_M 0xff
#define PCI_REG_REG_G(x) ((x) & PCI_REG_REG_M)

#endif /* _SYS_PCI_H */
