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

/** A copy. */
extern cred_t *crdup(cred_t *credp);
/** Gives a hold up. */
extern void crfree(cred_t *credp);
/** A new credential. */
extern cred_t *crget(void);
/** Number of holds. */
extern uint_t crgetref(const cred_t *credp);
/** Holds a credential. */
extern void crhold(cred_t *credp);

#endif /* _SYS_CRED_H */
