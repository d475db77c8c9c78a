/*
 * Zones: internal.
 */
#ifndef _SYS_ZONE_H
#define _SYS_ZONE_H

struct zone;
typedef struct zone zone_t;

/** The global zone. */
extern zone_t zone0;
/** The same. */
extern zone_t *global_zone;

#endif /* _SYS_ZONE_H */
