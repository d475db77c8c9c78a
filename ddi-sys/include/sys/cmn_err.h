/*
 * Messages: the log, the console, and formatting into a buffer.
 */
#ifndef _SYS_CMN_ERR_H
#define _SYS_CMN_ERR_H

#include <sys/types.h>
#include <sys/varargs.h>
#include <sys/dditypes.h>

#define CE_CONT 0
#define CE_IGNORE 4
#define CE_NOTE 1
#define CE_PANIC 3
#define CE_WARN 2

/**
 * (CE_CONT, CE_NOTE, CE_WARN, CE_PANIC; printf format). NOTE and WARN get prefix and newline,
 * CONT neither. First character !: log only, ^: console only, ?: verbose boot only. CE_PANIC
 * ends the system. Any context. Formats: the C ones less floating point, and %b (bits), %p.
 */
extern void cmn_err(int level, const char *format, ...);
/** Cmn_err with the instance's name in front. */
extern void dev_err(dev_info_t *dip, int level, char *format, ...);
/** No return. */
extern void panic(const char *format, ...) __attribute__((__noreturn__));
extern void printf(const char *format, ...);
extern size_t snprintf(char *buf, size_t size, const char *format, ...);
/** Also snprintf, vsprintf, vsnprintf: length it would have had. */
extern char *sprintf(char *buf, const char *format, ...);
/** To the calling process's terminal. */
extern void uprintf(const char *format, ...);
/** With va_list. */
extern void vcmn_err(int level, const char *format, va_list ap);
extern void vpanic(const char *format, va_list ap) __attribute__((__noreturn__));
extern void vprintf(const char *format, va_list ap);
extern size_t vsnprintf(char *buf, size_t size, const char *format, va_list ap);
extern char *vsprintf(char *buf, const char *format, va_list ap);
extern void vuprintf(const char *format, va_list ap);
extern void vzcmn_err(zoneid_t zoneid, int level, const char *format, va_list ap);
/** Cmn_err to one zone. */
extern void zcmn_err(zoneid_t zoneid, int level, const char *format, ...);

#endif /* _SYS_CMN_ERR_H */
