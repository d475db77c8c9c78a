/*
 * Byte order. Functions of the kernel; newer headers define them in line.
 */
#ifndef _SYS_BYTEORDER_H
#define _SYS_BYTEORDER_H

#include <sys/types.h>

/** Network byte order. Only in the 2015 headers; a function of the kernel in both. */
extern uint32_t htonl(uint32_t val);
/** Network byte order. Only in the 2015 headers; a function of the kernel in both. */
extern uint64_t htonll(uint64_t val);
/** Network byte order. Only in the 2015 headers; a function of the kernel in both. */
extern uint16_t htons(uint16_t val);
/** Host byte order. Only in the 2015 headers; a function of the kernel in both. */
extern uint32_t ntohl(uint32_t val);
/** Host byte order. Only in the 2015 headers; a function of the kernel in both. */
extern uint64_t ntohll(uint64_t val);
/** Host byte order. Only in the 2015 headers; a function of the kernel in both. */
extern uint16_t ntohs(uint16_t val);

#endif /* _SYS_BYTEORDER_H */
