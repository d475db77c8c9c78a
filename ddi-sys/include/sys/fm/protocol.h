/*
 * Fault management: event numbers.
 */
#ifndef _SYS_FM_PROTOCOL_H
#define _SYS_FM_PROTOCOL_H

#include <sys/types.h>

/** A number that ties error reports together. */
extern uint64_t fm_ena_generate(uint64_t val, uchar_t val2);

#endif /* _SYS_FM_PROTOCOL_H */
