/*
 * Random numbers.
 */
#ifndef _SYS_RANDOM_H
#define _SYS_RANDOM_H

#include <sys/types.h>

/** Random bytes, waiting for entropy: 0 or an errno. */
extern int random_get_blocking_bytes(uint8_t *p, size_t len);
/** Random bytes: 0, or EAGAIN without enough entropy. */
extern int random_get_bytes(uint8_t *p, size_t len);
/** Random bytes for what is no key: 0 or an errno. */
extern int random_get_pseudo_bytes(uint8_t *p, size_t len);

#endif /* _SYS_RANDOM_H */
