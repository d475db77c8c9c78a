/*
 * Who may do what.
 */
#ifndef _SYS_POLICY_H
#define _SYS_POLICY_H

#include <sys/types.h>

extern int priv_policy(const cred_t *credp, int flag, boolean_t val, int flag2, const char *name);
extern boolean_t priv_policy_choice(const cred_t *credp, int flag, boolean_t val);
extern boolean_t priv_policy_only(const cred_t *credp, int flag, boolean_t val);
/**
 * 0 or errno for an FEXCL open; other secpolicy_* functions (gart_access, rsm_access,
 * xvm_control) likewise.
 */
extern int secpolicy_excl_open(const cred_t *credp);
extern int secpolicy_gart_access(const cred_t *credp);
extern int secpolicy_rsm_access(const cred_t *credp, uid_t val, mode_t val2);
extern int secpolicy_xvm_control(const cred_t *credp);

#endif /* _SYS_POLICY_H */
