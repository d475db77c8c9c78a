/*
 * Callbacks at suspend and resume.
 */
#ifndef _SYS_CALLB_H
#define _SYS_CALLB_H

#include <sys/types.h>
#include <sys/mutex.h>
#include <sys/condvar.h>

typedef void *callb_id_t;

typedef struct callb_cpr {
    kmutex_t *cc_lockp;
    char cc_events;
    callb_id_t cc_id;
    kcondvar_t cc_callb_cv;
    kcondvar_t cc_stop_cv;
} callb_cpr_t;

#define CB_CL_CPR_DAEMON 0
#define CB_CL_CPR_VM 1
#define CB_CL_CPR_CALLOUT 2
#define CB_CL_CPR_OBP 3
#define CB_CL_CPR_FB 4
#define CB_CL_PANIC 5
#define CB_CL_CPR_RPC 6
#define CB_CL_CPR_PROMPRINTF 7
#define CB_CL_MDBOOT 8
#define CB_CL_UADMIN 8
#define CB_CL_CPR_PM 9
#define CB_CL_HALT 0xa
#define CB_CL_CPR_DMA 0xb
#define CB_CL_CPR_POST_USER 0xc
#define CB_CL_UADMIN_PRE_VFS 0xd
#define CB_CL_ENTER_DEBUGGER 0xe
#define CB_CL_CPR_POST_KERNEL 0xf
#define CB_CL_CPU_DEEP_IDLE 0x10
#define CB_CODE_CPR_CHKPT 0
#define CB_CODE_CPR_RESUME 1

/** Asks to be called at suspend and resume. */
extern callb_id_t callb_add(boolean_t (*func)(void *, int), void *arg, int class, char *name);
/** Ends callb_add. */
extern int callb_delete(callb_id_t val);
/** The callback that kernel threads use to stop at a safe place. */
extern boolean_t callb_generic_cpr(void *arg, int flag);

#endif /* _SYS_CALLB_H */
