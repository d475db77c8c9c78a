/*
 * Credentials.
 */
#ifndef _SYS_CRED_H
#define _SYS_CRED_H

#include <sys/types.h>

/** Effective group. */
extern gid_t crgetgid(const cred_t *credp);
/** Supplementary groups. */
extern const gid_t *crgetgroups(const cred_t *credp);
/** Number of supplementary groups. */
extern int crgetngroups(const cred_t *credp);
/** Real group. */
extern gid_t crgetrgid(const cred_t *credp);
/** Real user. */
extern uid_t crgetruid(const cred_t *credp);
/** Saved group. */
extern gid_t crgetsgid(const cred_t *credp);
/** Saved user. */
extern uid_t crgetsuid(const cred_t *credp);
/** Effective user. */
extern uid_t crgetuid(const cred_t *credp);
/** Zone. */
extern zoneid_t crgetzoneid(const cred_t *credp);
/** Whether the credential is in the group. */
extern int groupmember(gid_t gid, const cred_t *credp);

/** The kernel's own credential. */
extern struct cred *kcred;

#define CRED() ddi_get_cred()
extern cred_t *ddi_get_cred(void);

#endif /* _SYS_CRED_H */
