/*
 * Fault management: event numbers.
 */
#ifndef _SYS_FM_PROTOCOL_H
#define _SYS_FM_PROTOCOL_H

#include <sys/types.h>

#define FM_ENA_FMT1 1
#define FM_EREPORT_VERS0 0
#define FM_VERSION "version"

/** A number that ties error reports together. */
extern uint64_t fm_ena_generate(uint64_t val, uchar_t val2);

#endif /* _SYS_FM_PROTOCOL_H */
