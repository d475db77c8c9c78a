/*
 * The console; internal.
 */
#ifndef _SYS_PROMIF_H
#define _SYS_PROMIF_H

/** A message to the console only. */
extern void prom_printf(const char *fmt, ...);

#endif /* _SYS_PROMIF_H */
