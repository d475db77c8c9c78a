/*
 * Signal causes (si_code).
 */
#ifndef _SYS_SIGINFO_H
#define _SYS_SIGINFO_H

#include <sys/types.h>

#define SI_ASYNCIO (-4)
#define SI_DTRACE 2050
#define SI_LWP (-1)
#define SI_MAXSZ 256
#define SI_MESGQ (-5)
#define SI_NOINFO 32767
#define SI_PAD 60
#define SI_QUEUE (-2)
#define SI_RCTL 2049
#define SI_TIMER (-3)
#define SI_USER 0

#endif /* _SYS_SIGINFO_H */
