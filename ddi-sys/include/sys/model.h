/*
 * Data models of processes, as they appear in an ioctl mode, and structures that come from a process of either model.
 *
 * A driver that says STRUCT_DECL(name, handle) declares both struct name and struct name32, which has the members of the first with the types of types32.h.
 */
#ifndef _SYS_MODEL_H
#define _SYS_MODEL_H

#include <sys/types.h>
#include <sys/types32.h>

#define DATAMODEL_ILP32 0x100000
#define DATAMODEL_LP64 0x200000
#define DATAMODEL_MASK 0xff00000
#define DATAMODEL_NATIVE 0x200000
#define DATAMODEL_NONE 0

#define get_udatamodel() ddi_mmap_get_model()

/** A variable with room for either form, and a handle on it. */
#define STRUCT_DECL(name, handle) \
    union { \
        struct name m64; \
        struct name##32 m32; \
    } handle##_room; \
    STRUCT_HANDLE(name, handle) = { 0, { &handle##_room.m64 } }
/** A handle on a structure that is elsewhere. */
#define STRUCT_HANDLE(name, handle) \
    struct { \
        model_t model; \
        union { \
            struct name *m64; \
            struct name##32 *m32; \
        } ptr; \
    } handle
#define STRUCT_IS32(handle) (((handle).model & DATAMODEL_MASK) == DATAMODEL_ILP32)
/** Sets the model and clears the structure. */
#define STRUCT_INIT(handle, umodel) \
    ((handle).model = (model_t)(umodel), bzero((handle).ptr.m64, sizeof (*(handle).ptr.m64)))
#define STRUCT_SET_HANDLE(handle, umodel, address) \
    ((handle).model = (model_t)(umodel), (handle).ptr.m64 = (void *)(address))
#define STRUCT_BUF(handle) ((handle).ptr.m64)
#define STRUCT_SIZE(handle) (STRUCT_IS32(handle) ? sizeof (*(handle).ptr.m32) : sizeof (*(handle).ptr.m64))
#define SIZEOF_STRUCT(name, umodel) \
    (((umodel) & DATAMODEL_MASK) == DATAMODEL_ILP32 ? sizeof (struct name##32) : sizeof (struct name))
#define SIZEOF_PTR(umodel) (((umodel) & DATAMODEL_MASK) == DATAMODEL_ILP32 ? sizeof (caddr32_t) : sizeof (caddr_t))
#define STRUCT_FGET(handle, field) (STRUCT_IS32(handle) ? (handle).ptr.m32->field : (handle).ptr.m64->field)
#define STRUCT_FSET(handle, field, value) \
    (STRUCT_IS32(handle) ? (void)((handle).ptr.m32->field = (value)) : (void)((handle).ptr.m64->field = (value)))
#define STRUCT_FADDR(handle, field) \
    (STRUCT_IS32(handle) ? (void *)&(handle).ptr.m32->field : (void *)&(handle).ptr.m64->field)
/** The same for members that are pointers. */
#define STRUCT_FGETP(handle, field) \
    (STRUCT_IS32(handle) ? (void *)(uintptr_t)(handle).ptr.m32->field : (void *)(handle).ptr.m64->field)
#define STRUCT_FSETP(handle, field, value) \
    (STRUCT_IS32(handle) ? (void)((handle).ptr.m32->field = (caddr32_t)(uintptr_t)(value)) \
                         : (void)((handle).ptr.m64->field = (void *)(value)))

#endif /* _SYS_MODEL_H */
