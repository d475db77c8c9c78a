/*
 * Results of a fault.
 */
#ifndef _VM_FAULTCODE_H
#define _VM_FAULTCODE_H

#include <sys/types.h>

#define FC_ALIGN 2
#define FC_HWERR 1
#define FC_NOMAP 5
#define FC_NOSUPPORT 6
#define FC_OBJERR 3
#define FC_PROT 4

#define FC_MAKE_ERR(e) (((e) << 8) | FC_OBJERR)
#define FC_CODE(fc) ((fc) & 0xff)
#define FC_ERRNO(fc) ((unsigned)(fc) >> 8)

#endif /* _VM_FAULTCODE_H */
