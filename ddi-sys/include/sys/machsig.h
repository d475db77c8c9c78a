/*
 * Causes of the signals that faults raise.
 */
#ifndef _SYS_MACHSIG_H
#define _SYS_MACHSIG_H

#define BUS_ADRALN 1
#define BUS_ADRERR 2
#define BUS_OBJERR 3

#define SEGV_ACCERR 2
#define SEGV_MAPERR 1

#endif /* _SYS_MACHSIG_H */
