/*
 * Credentials.
 */
#ifndef _SYS_CRED_H
#define _SYS_CRED_H

#include <sys/types.h>

extern gid_t crgetgid(const cred_t *credp);
extern const gid_t *crgetgroups(const cred_t *credp);
extern int crgetngroups(const cred_t *credp);
extern gid_t crgetrgid(const cred_t *credp);
extern uid_t crgetruid(const cred_t *credp);
extern gid_t crgetsgid(const cred_t *credp);
extern uid_t crgetsuid(const cred_t *credp);
/** Uid_t. Also crgetruid, crgetgid, crgetsuid, crgetsgid, crgetzoneid: fields of a credential. */
extern uid_t crgetuid(const cred_t *credp);
extern zoneid_t crgetzoneid(const cred_t *credp);
/** Does the credential belong to a group. */
extern int groupmember(gid_t gid, const cred_t *credp);

/** The kernel's own credential. */
extern struct cred *kcred;

#define CRED() ddi_get_cred()
extern cred_t *ddi_get_cred(void);

#endif /* _SYS_CRED_H */
