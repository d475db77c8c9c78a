/*
 * Unicode text.
 */
#ifndef _SYS_U8_TEXTPREP_H
#define _SYS_U8_TEXTPREP_H

#include <sys/types.h>
#include <sys/errno.h>

#define UCONV_IN_BIG_ENDIAN 0x0001
#define UCONV_OUT_BIG_ENDIAN 0x0002
#define UCONV_IN_SYSTEM_ENDIAN 0x0004
#define UCONV_OUT_SYSTEM_ENDIAN 0x0008
#define UCONV_IN_LITTLE_ENDIAN 0x0010
#define UCONV_OUT_LITTLE_ENDIAN 0x0020
#define UCONV_IGNORE_NULL 0x0040
#define UCONV_IN_ACCEPT_BOM 0x0080
#define UCONV_OUT_EMIT_BOM 0x0100

#define U8_STRCMP_CS 0x00000001
#define U8_STRCMP_CI_UPPER 0x00000002
#define U8_STRCMP_CI_LOWER 0x00000004
#define U8_STRCMP_NFD 0x00000010
#define U8_STRCMP_NFC 0x00000050
#define U8_STRCMP_NFKD 0x00000020
#define U8_STRCMP_NFKC 0x00000060
#define U8_TEXTPREP_TOUPPER U8_STRCMP_CI_UPPER
#define U8_TEXTPREP_TOLOWER U8_STRCMP_CI_LOWER
#define U8_TEXTPREP_NFD U8_STRCMP_NFD
#define U8_TEXTPREP_NFC U8_STRCMP_NFC
#define U8_TEXTPREP_NFKD U8_STRCMP_NFKD
#define U8_TEXTPREP_NFKC U8_STRCMP_NFKC
#define U8_TEXTPREP_IGNORE_NULL 0x00010000
#define U8_TEXTPREP_IGNORE_INVALID 0x00020000
#define U8_TEXTPREP_NOWAIT 0x00040000
#define U8_UNICODE_320 0
#define U8_UNICODE_500 1
#define U8_UNICODE_LATEST U8_UNICODE_500
#define U8_VALIDATE_ENTIRE 0x00100000
#define U8_VALIDATE_CHECK_ADDITIONAL 0x00200000
#define U8_VALIDATE_UCS2_RANGE 0x00400000

/** Bytes of the text's characters; -1 when it is none, *errnum says why. */
extern int u8_validate(char *u8str, size_t n, char **list, int flag, int *errnum);
/** Compares two texts: below, at or above 0. */
extern int u8_strcmp(const char *s1, const char *s2, size_t n, int flag, size_t version, int *errnum);
/** Prepares a text for comparison; -1 when it cannot, *errnum says why. */
extern size_t u8_textprep_str(char *inarray, size_t *inlen, char *outarray, size_t *outlen,
    int flag, size_t version, int *errnum);
/** Between forms of Unicode. 0 or an errno. */
extern int uconv_u16tou32(const uint16_t *in, size_t *inlen, uint32_t *out, size_t *outlen, int flag);
/** Between forms of Unicode. 0 or an errno. */
extern int uconv_u16tou8(const uint16_t *in, size_t *inlen, uchar_t *out, size_t *outlen, int flag);
/** Between forms of Unicode. 0 or an errno. */
extern int uconv_u32tou16(const uint32_t *in, size_t *inlen, uint16_t *out, size_t *outlen, int flag);
/** Between forms of Unicode. 0 or an errno. */
extern int uconv_u32tou8(const uint32_t *in, size_t *inlen, uchar_t *out, size_t *outlen, int flag);
/** Between forms of Unicode. 0 or an errno. */
extern int uconv_u8tou16(const uchar_t *in, size_t *inlen, uint16_t *out, size_t *outlen, int flag);
/** Between forms of Unicode. 0 or an errno. */
extern int uconv_u8tou32(const uchar_t *in, size_t *inlen, uint32_t *out, size_t *outlen, int flag);

#endif /* _SYS_U8_TEXTPREP_H */
