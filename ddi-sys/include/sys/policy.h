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

/** 0 or an errno for the configuration of core dumps. */
extern int secpolicy_coreadm(const cred_t *credp);
/** 0 or an errno for performance counters. */
extern int secpolicy_cpc_cpu(const cred_t *credp);
/** 0 or an errno for the configuration of data links. */
extern int secpolicy_dl_config(const cred_t *credp);
/** 0 or an errno for the injection of errors. */
extern int secpolicy_error_inject(const cred_t *credp);
/** 0 or an errno for mapping the graphics aperture. */
extern int secpolicy_gart_map(const cred_t *credp);
/** 0 or an errno for the kernel's debugger. */
extern int secpolicy_kmdb(const cred_t *credp);
/** 0 or an errno for locking memory. */
extern int secpolicy_lock_memory(const cred_t *credp);
/** 0 or an errno for physical addresses. */
extern int secpolicy_meminfo(const cred_t *credp);
/** 0 or an errno for loading modules. */
extern int secpolicy_modctl(const cred_t *credp, int cmd);
/** 0 or an errno for the configuration of the network; `checkonly`: without a trace in the audit. */
extern int secpolicy_net_config(const cred_t *credp, boolean_t checkonly);
/** 0 or an errno for raw packets. */
extern int secpolicy_net_rawaccess(const cred_t *credp);
/** 0 or an errno for power management. */
extern int secpolicy_power_mgmt(const cred_t *credp);
/** 0 or an errno for more than the resource limits. */
extern int secpolicy_resource(const cred_t *credp);
/** 0 or an errno for setting the time. */
extern int secpolicy_settime(const cred_t *credp);
/** 0 or an errno for the configuration of swap. */
extern int secpolicy_swapctl(const cred_t *credp);
/** 0 or an errno for the configuration of the system; `checkonly`: without a trace in the audit. */
extern int secpolicy_sys_config(const cred_t *credp, boolean_t checkonly);
/** 0 or an errno for the configuration of devices. */
extern int secpolicy_sys_devices(const cred_t *credp);
/** 0 or an errno for microcode. */
extern int secpolicy_ucode_update(const cred_t *credp);
/** 0 or an errno for a USB controller. */
extern int secpolicy_xhci(const cred_t *credp);
/** 0 or an errno for the injection of errors into file systems. */
extern int secpolicy_zinject(const cred_t *credp);

#endif /* _SYS_POLICY_H */
