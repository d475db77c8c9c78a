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

/** Gives up the hold of ddi_modopen. */
extern int ddi_modclose(ddi_modhandle_t modhandle);
/** Loads another module at run time and holds it. */
extern ddi_modhandle_t ddi_modopen(const char *modname, int mode, int *errnop);
/** Address of a symbol in a module opened with ddi_modopen. */
extern void *ddi_modsym(ddi_modhandle_t modhandle, const char *symname, int *errnop);
/** Fills a modinfo from the linkage; called from _info, also before _init. 0 is failure. */
extern int mod_info(struct modlinkage *modlinkage, struct modinfo *modinfo);
/** Registers the module's parts; called from _init. 0 or an errno. */
extern int mod_install(struct modlinkage *modlinkage);
/** The module's name. */
extern const char *mod_modname(struct modlinkage *modlp);
/** Takes the module's parts back; called from _fini. 0, or EBUSY while in use. */
extern int mod_remove(struct modlinkage *modlinkage);

/** Operations of a device driver's linkage, for modldrv.drv_modops. */
extern struct mod_ops mod_driverops;
/** Operations of a miscellaneous module's linkage, for modlmisc.misc_modops. */
extern struct mod_ops mod_miscops;
/** The same for STREAMS modules. */
extern struct mod_ops mod_strmodops;
/** Debugging switches of the module loader. */
extern int moddebug;

/* A module's own three; the linker keeps nothing else global. */
extern int _init(void);
extern int _fini(void);
extern int _info(struct modinfo *modinfop);

#endif /* _SYS_MODCTL_H */
