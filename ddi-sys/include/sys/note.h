/*
 * Annotations of the SunPro lint, which mean nothing to a compiler.
 */
#ifndef _SYS_NOTE_H
#define _SYS_NOTE_H

#include <sys/feature.h>

#endif /* _SYS_NOTE_H */
