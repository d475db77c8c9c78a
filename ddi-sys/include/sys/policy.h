/*
 * Who may do what.
 */
#ifndef _SYS_POLICY_H
#define _SYS_POLICY_H

#include <sys/types.h>

/** 0 or an errno: does the credential have the privilege. */
extern int priv_policy(const cred_t *credp, int flag, boolean_t val, int flag2, const char *name);
/** Whether it has, for a choice between two ways. */
extern boolean_t priv_policy_choice(const cred_t *credp, int flag, boolean_t val);
/** Whether it has, without a trace in the audit. */
extern boolean_t priv_policy_only(const cred_t *credp, int flag, boolean_t val);
/** 0 or an errno for an open with FEXCL. */
extern int secpolicy_excl_open(const cred_t *credp);
/** 0 or an errno for access to the graphics aperture. */
extern int secpolicy_gart_access(const cred_t *credp);
/** 0 or an errno for access to remote shared memory. */
extern int secpolicy_rsm_access(const cred_t *credp, uid_t val, mode_t val2);
/** 0 or an errno for control of virtual machines. */
extern int secpolicy_xvm_control(const cred_t *credp);

#endif /* _SYS_POLICY_H */
