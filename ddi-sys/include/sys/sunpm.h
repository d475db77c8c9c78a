/*
 * Power management of a device's components.
 */
#ifndef _SYS_SUNPM_H
#define _SYS_SUNPM_H

#include <sys/types.h>
#include <sys/dditypes.h>

/** Keeps a component from being lowered. */
extern int pm_busy_component(dev_info_t *dip, int component);
/** Ends pm_busy_component. */
extern int pm_idle_component(dev_info_t *dip, int component);
/** Lowers a component; for detach(9E). */
extern int pm_lower_power(dev_info_t *dip, int component, int level);
/** Tells the framework of a level that it did not set. */
extern int pm_power_has_changed(dev_info_t *dip, int component, int level);
/** Raises a component, by way of power(9E). */
extern int pm_raise_power(dev_info_t *dip, int component, int level);

#endif /* _SYS_SUNPM_H */
