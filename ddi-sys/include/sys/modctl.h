/*
 * What a module registers when it is loaded.
 */
#ifndef _SYS_MODCTL_H
#define _SYS_MODCTL_H

#include <sys/types.h>
#include <sys/devops.h>

#define MAXMODCONFNAME 0x100

#define MI_INFO_ONE 1
#define MI_INFO_ALL 2
#define MI_INFO_CNT 4
#define MI_INFO_LINKAGE 8
#define MI_INFO_NOBASE 0x10
#define MI_INSTALLED 2
#define MI_LOADED 1
#define MODMAXLINK 0xa
#define MODMAXLINK32 0xa
#define MODMAXLINKINFOLEN 0x20
#define MODMAXLINKINFOLEN32 0x20
#define MODMAXNAMELEN 0x20
#define MODMAXNAMELEN32 0x20

#define MODREV_1 1

/** Operations on one kind of module; a driver only takes the address of mod_driverops. */
struct mod_ops {
    int (*modm_install)();
    int (*modm_remove)();
    int (*modm_info)();
};

/** A driver in a modlinkage. */
struct modldrv {
    struct mod_ops *drv_modops;
    char *drv_linkinfo;
    struct dev_ops *drv_dev_ops;
};

/** A module that only exports functions. */
struct modlmisc {
    struct mod_ops *misc_modops;
    char *misc_linkinfo;
};

/** Everything that the module consists of. */
struct modlinkage {
    int ml_rev;
    void *ml_linkage[MODMAXLINK32 - 3];
};

struct modspecific_info {
    char msi_linkinfo[MODMAXLINKINFOLEN];
    int msi_p0;
};

/** What modinfo(8) shows. */
struct modinfo {
    int mi_info;
    int mi_state;
    int mi_id;
    int mi_nextid;
    caddr_t mi_base;
    size_t mi_size;
    int mi_rev;
    int mi_loadcnt;
    char mi_name[MODMAXNAMELEN];
    struct modspecific_info mi_msinfo[MODMAXLINK];
};

extern int ddi_modclose(ddi_modhandle_t modhandle);
/** Loads a module at run time; ddi_modsym, ddi_modclose. */
extern ddi_modhandle_t ddi_modopen(const char *modname, int mode, int *errnop);
extern void *ddi_modsym(ddi_modhandle_t modhandle, const char *symname, int *errnop);
/**
 * Nonzero is success, 0 failure. Fills the modinfo from the linkage. Called from `_info`, also
 * before the driver is installed.
 */
extern int mod_info(struct modlinkage *modlinkage, struct modinfo *modinfo);
/**
 * 0 or errno. Called in `_init` with the modlinkage; registers each linkage element (a modldrv:
 * the driver's dev_ops under the module's name). May block. After it the driver can be attached
 * at any time.
 */
extern int mod_install(struct modlinkage *modlinkage);
extern const char *mod_modname(struct modlinkage *modlp);
/**
 * 0, or EBUSY while an instance is attached, open or held. The host detaches all instances first
 * (as the kernel does before `_fini`); on 0 the driver is out of the switch tables.
 */
extern int mod_remove(struct modlinkage *modlinkage);

/**
 * A mod_ops; only its address matters (in modldrv). The linkage's first word tells the host what
 * kind of element follows.
 */
extern struct mod_ops mod_driverops;
/** The same for modules that only export functions (modlmisc). */
extern struct mod_ops mod_miscops;
extern struct mod_ops mod_strmodops;
extern int moddebug;

/* A module's own three; the linker keeps nothing else global. */
extern int _init(void);
extern int _fini(void);
extern int _info(struct modinfo *modinfop);

#endif /* _SYS_MODCTL_H */
