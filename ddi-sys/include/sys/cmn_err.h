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

/** A message at a CE_ level. First character: ! log only, ^ console only, ? verbose boot only. */
extern void cmn_err(int level, const char *format, ...);
/** cmn_err with the instance's name in front. */
extern void dev_err(dev_info_t *dip, int level, char *format, ...);
/** Ends the system. */
extern void panic(const char *format, ...) __attribute__((__noreturn__));
/** A message to the console and the log. */
extern void printf(const char *format, ...);
/** Formats into a buffer of some size; returns the length that the whole would have. */
extern size_t snprintf(char *buf, size_t size, const char *format, ...);
/** Formats into a buffer; returns the buffer. */
extern char *sprintf(char *buf, const char *format, ...);
/** A message to the calling process's terminal. */
extern void uprintf(const char *format, ...);
/** cmn_err with a va_list. */
extern void vcmn_err(int level, const char *format, va_list ap);
/** dev_err with a va_list. */
extern void vdev_err(dev_info_t *dip, int level, const char *format, va_list ap);
/** panic with a va_list. */
extern void vpanic(const char *format, va_list ap) __attribute__((__noreturn__));
/** printf with a va_list. */
extern void vprintf(const char *format, va_list ap);
/** snprintf with a va_list. */
extern size_t vsnprintf(char *buf, size_t size, const char *format, va_list ap);
/** sprintf with a va_list. */
extern char *vsprintf(char *buf, const char *format, va_list ap);
/** uprintf with a va_list. */
extern void vuprintf(const char *format, va_list ap);
/** zcmn_err with a va_list. */
extern void vzcmn_err(zoneid_t zoneid, int level, const char *format, va_list ap);
/** cmn_err to one zone. */
extern void zcmn_err(zoneid_t zoneid, int level, const char *format, ...);

/** zprintf with a va_list. */
extern void vzprintf(zoneid_t zoneid, const char *fmt, va_list ap);
/** printf to one zone. */
extern void zprintf(zoneid_t zoneid, const char *fmt, ...);

#endif /* _SYS_CMN_ERR_H */
