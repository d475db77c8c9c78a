/*
 * PCI capabilities.
 */
#ifndef _SYS_PCI_CAP_H
#define _SYS_PCI_CAP_H

#include <sys/types.h>
#include <sys/dditypes.h>

/** Width of an access to a capability's register. */
typedef enum {
    PCI_CAP_CFGSZ_8 = 0,
    PCI_CAP_CFGSZ_16 = 1,
    PCI_CAP_CFGSZ_32 = 2
} pci_cap_config_size_t;

/** Returns the number and the place of a capability by its index. */
extern int pci_cap_probe(ddi_acc_handle_t handle, uint16_t index, uint32_t *idp, uint16_t *basep);
/** Reads words of a capability. */
extern int pci_cap_read(ddi_acc_handle_t handle, uint32_t id, uint16_t base, uint32_t *bufp, uint32_t nwords);
/** Returns the place of an extended capability. */
extern int pci_xcap_locate(ddi_acc_handle_t handle, uint16_t id, uint16_t *basep);
/** Where a capability is. */
extern int pci_lcap_locate(ddi_acc_handle_t handle, uint8_t id, uint16_t *basep);
/** A register of a capability, which is named by its place, or by its number with place 0; all ones when there is none. */
extern uint32_t pci_cap_get(ddi_acc_handle_t handle, pci_cap_config_size_t size, uint32_t id,
    uint16_t base, uint16_t offset);
/** Writes one. */
extern int pci_cap_put(ddi_acc_handle_t handle, pci_cap_config_size_t size, uint32_t id,
    uint16_t base, uint16_t offset, uint32_t data);
#define PCI_CAP_LOCATE(h, id, basep) pci_lcap_locate(h, (uint8_t)(id), basep)
#define PCI_CAP_GET8(h, i, b, o) ((uint8_t)pci_cap_get(h, PCI_CAP_CFGSZ_8, i, b, o))
#define PCI_CAP_GET16(h, i, b, o) ((uint16_t)pci_cap_get(h, PCI_CAP_CFGSZ_16, i, b, o))
#define PCI_CAP_GET32(h, i, b, o) ((uint32_t)pci_cap_get(h, PCI_CAP_CFGSZ_32, i, b, o))
#define PCI_CAP_PUT8(h, i, b, o, d) pci_cap_put(h, PCI_CAP_CFGSZ_8, i, b, o, d)
#define PCI_CAP_PUT16(h, i, b, o, d) pci_cap_put(h, PCI_CAP_CFGSZ_16, i, b, o, d)
#define PCI_CAP_PUT32(h, i, b, o, d) pci_cap_put(h, PCI_CAP_CFGSZ_32, i, b, o, d)

#endif /* _SYS_PCI_CAP_H */
