/*
 * Lists of name-value pairs.
 */
#ifndef _SYS_NVPAIR_H
#define _SYS_NVPAIR_H

#include <sys/types.h>
#include <sys/time.h>
#include <sys/errno.h>
#include <sys/va_list.h>
#include <sys/dditypes.h>
#include <sys/kmem.h>

/** Type of a pair's value. */
typedef enum {
    DATA_TYPE_UNKNOWN = 0,
    DATA_TYPE_BOOLEAN = 1,
    DATA_TYPE_BYTE = 2,
    DATA_TYPE_INT16 = 3,
    DATA_TYPE_UINT16 = 4,
    DATA_TYPE_INT32 = 5,
    DATA_TYPE_UINT32 = 6,
    DATA_TYPE_INT64 = 7,
    DATA_TYPE_UINT64 = 8,
    DATA_TYPE_STRING = 9,
    DATA_TYPE_BYTE_ARRAY = 10,
    DATA_TYPE_INT16_ARRAY = 11,
    DATA_TYPE_UINT16_ARRAY = 12,
    DATA_TYPE_INT32_ARRAY = 13,
    DATA_TYPE_UINT32_ARRAY = 14,
    DATA_TYPE_INT64_ARRAY = 15,
    DATA_TYPE_UINT64_ARRAY = 16,
    DATA_TYPE_STRING_ARRAY = 17,
    DATA_TYPE_HRTIME = 18,
    DATA_TYPE_NVLIST = 19,
    DATA_TYPE_NVLIST_ARRAY = 20,
    DATA_TYPE_BOOLEAN_VALUE = 21,
    DATA_TYPE_INT8 = 22,
    DATA_TYPE_UINT8 = 23,
    DATA_TYPE_BOOLEAN_ARRAY = 24,
    DATA_TYPE_INT8_ARRAY = 25,
    DATA_TYPE_UINT8_ARRAY = 26
} data_type_t;

/** A pair: this, the name with its NUL, and from the next multiple of 8 the value. */
typedef struct nvpair {
    int32_t nvp_size;
    int16_t nvp_name_sz;
    int16_t nvp_reserve;
    int32_t nvp_value_elem;
    data_type_t nvp_type;
} nvpair_t;

/** The head of a list. */
struct nvlist {
    int32_t nvl_version;
    uint32_t nvl_nvflag;
    uint64_t nvl_priv;
    uint32_t nvl_flag;
    int32_t nvl_pad;
};

#define NV_VERSION 0

#define NV_ENCODE_NATIVE 0
#define NV_ENCODE_XDR 1

#define NV_UNIQUE_NAME 0x1
#define NV_UNIQUE_NAME_TYPE 0x2

#define NV_FLAG_NOENTOK 0x1

#define NV_ALIGN(x) (((ulong_t)(x) + 7) & ~7ul)
#define NV_ALIGN4(x) (((x) + 3) & ~3)

#define NVP_SIZE(nvp) ((nvp)->nvp_size)
#define NVP_NAME(nvp) ((char *)((nvp) + 1))
#define NVP_TYPE(nvp) ((nvp)->nvp_type)
#define NVP_NELEM(nvp) ((nvp)->nvp_value_elem)
#define NVP_VALUE(nvp) ((char *)(nvp) + NV_ALIGN(sizeof (nvpair_t) + (nvp)->nvp_name_sz))

#define NVL_VERSION(nvl) ((nvl)->nvl_version)
#define NVL_FLAG(nvl) ((nvl)->nvl_flag)

struct nv_alloc_ops;
typedef struct nv_alloc_ops nv_alloc_ops_t;

/** An allocator for lists (nv_alloc_init(9F)). */
typedef struct nv_alloc {
    const nv_alloc_ops_t *nva_ops;
    void *nva_arg;
} nv_alloc_t;

/** Operations of an allocator. */
struct nv_alloc_ops {
    int (*nv_ao_init)(nv_alloc_t *nva, __va_list args);
    void (*nv_ao_fini)(nv_alloc_t *nva);
    void *(*nv_ao_alloc)(nv_alloc_t *nva, size_t size);
    void (*nv_ao_free)(nv_alloc_t *nva, void *buf, size_t size);
    void (*nv_ao_reset)(nv_alloc_t *nva);
};

/** Lists in a buffer of the driver's, given to nv_alloc_init(9F) with its size. */
extern const nv_alloc_ops_t *nv_fixed_ops;
/** kmem_alloc(9F) with KM_NOSLEEP. */
extern nv_alloc_t *nv_alloc_nosleep;
/** kmem_alloc(9F) with KM_SLEEP. */
extern nv_alloc_t *nv_alloc_sleep;

/** nv_alloc_init(9F). What follows goes to nv_ao_init. 0 or an errno. */
extern int nv_alloc_init(nv_alloc_t *nva, const nv_alloc_ops_t *ops, ...);
/** nv_alloc_init(9F): as if nothing had been allocated. */
extern void nv_alloc_reset(nv_alloc_t *nva);
/** nv_alloc_init(9F): the allocator goes. */
extern void nv_alloc_fini(nv_alloc_t *nva);

/** nvlist_alloc(9F). 0, EINVAL or ENOMEM. */
extern int nvlist_alloc(nvlist_t **nvlp, uint_t nvflag, int kmflag);
/** nvlist_alloc(9F), from an allocator. */
extern int nvlist_xalloc(nvlist_t **nvlp, uint_t nvflag, nv_alloc_t *nva);
/** nvlist_alloc(9F): with everything on it. */
extern void nvlist_free(nvlist_t *nvl);
/** nvlist_alloc(9F): the bytes that packing takes. */
extern int nvlist_size(nvlist_t *nvl, size_t *size, int encoding);
/** nvlist_alloc(9F): into *bufp, or into new memory when that is NULL. */
extern int nvlist_pack(nvlist_t *nvl, char **bufp, size_t *buflen, int encoding, int kmflag);
/** nvlist_alloc(9F): new memory from an allocator. */
extern int nvlist_xpack(nvlist_t *nvl, char **bufp, size_t *buflen, int encoding, nv_alloc_t *nva);
/** nvlist_alloc(9F): a new list of what was packed. EFAULT when that is no list. */
extern int nvlist_unpack(char *buf, size_t buflen, nvlist_t **nvlp, int kmflag);
/** nvlist_alloc(9F): from an allocator. */
extern int nvlist_xunpack(char *buf, size_t buflen, nvlist_t **nvlp, nv_alloc_t *nva);
/** nvlist_alloc(9F): a copy. */
extern int nvlist_dup(nvlist_t *nvl, nvlist_t **nvlp, int kmflag);
/** nvlist_alloc(9F): a copy from an allocator. */
extern int nvlist_xdup(nvlist_t *nvl, nvlist_t **nvlp, nv_alloc_t *nva);
/** nvlist_alloc(9F): what is on nvl is added to dst. */
extern int nvlist_merge(nvlist_t *dst, nvlist_t *nvl, int flag);
/** nvlist_alloc(9F): the list's allocator. */
extern nv_alloc_t *nvlist_lookup_nv_alloc(nvlist_t *nvl);
/** The flags it was made with. */
extern uint_t nvlist_nvflag(nvlist_t *nvl);
/** Is nothing on it? */
extern boolean_t nvlist_empty(nvlist_t *nvl);

/** nvlist_add_boolean(9F): a copy of a pair. 0, EINVAL or ENOMEM. */
extern int nvlist_add_nvpair(nvlist_t *nvl, nvpair_t *nvp);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_boolean(nvlist_t *nvl, const char *name);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_boolean_value(nvlist_t *nvl, const char *name, boolean_t val);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_byte(nvlist_t *nvl, const char *name, uchar_t val);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_int8(nvlist_t *nvl, const char *name, int8_t val);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_uint8(nvlist_t *nvl, const char *name, uint8_t val);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_int16(nvlist_t *nvl, const char *name, int16_t val);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_uint16(nvlist_t *nvl, const char *name, uint16_t val);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_int32(nvlist_t *nvl, const char *name, int32_t val);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_uint32(nvlist_t *nvl, const char *name, uint32_t val);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_int64(nvlist_t *nvl, const char *name, int64_t val);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_uint64(nvlist_t *nvl, const char *name, uint64_t val);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_hrtime(nvlist_t *nvl, const char *name, hrtime_t val);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_string(nvlist_t *nvl, const char *name, const char *val);
/** nvlist_add_boolean(9F): a copy of the list. */
extern int nvlist_add_nvlist(nvlist_t *nvl, const char *name, nvlist_t *val);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_boolean_array(nvlist_t *nvl, const char *name, boolean_t *val, uint_t nelem);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_byte_array(nvlist_t *nvl, const char *name, uchar_t *val, uint_t nelem);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_int8_array(nvlist_t *nvl, const char *name, int8_t *val, uint_t nelem);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_uint8_array(nvlist_t *nvl, const char *name, uint8_t *val, uint_t nelem);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_int16_array(nvlist_t *nvl, const char *name, int16_t *val, uint_t nelem);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_uint16_array(nvlist_t *nvl, const char *name, uint16_t *val, uint_t nelem);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_int32_array(nvlist_t *nvl, const char *name, int32_t *val, uint_t nelem);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_uint32_array(nvlist_t *nvl, const char *name, uint32_t *val, uint_t nelem);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_int64_array(nvlist_t *nvl, const char *name, int64_t *val, uint_t nelem);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_uint64_array(nvlist_t *nvl, const char *name, uint64_t *val, uint_t nelem);
/** nvlist_add_boolean(9F). */
extern int nvlist_add_string_array(nvlist_t *nvl, const char *name, char *const *val, uint_t nelem);
/** nvlist_add_boolean(9F): copies of the lists. */
extern int nvlist_add_nvlist_array(nvlist_t *nvl, const char *name, nvlist_t **val, uint_t nelem);

/** nvlist_remove(9F): the first of this name and type. 0 or ENOENT. */
extern int nvlist_remove(nvlist_t *nvl, const char *name, data_type_t type);
/** nvlist_remove(9F): all of this name. 0 or ENOENT. */
extern int nvlist_remove_all(nvlist_t *nvl, const char *name);
/** nvlist_remove(9F): this pair. 0 or EINVAL. */
extern int nvlist_remove_nvpair(nvlist_t *nvl, nvpair_t *nvp);

/** nvlist_lookup_boolean(9F). 0, EINVAL, ENOENT, or ENOTSUP on a list without unique names. */
extern int nvlist_lookup_boolean(nvlist_t *nvl, const char *name);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_boolean_value(nvlist_t *nvl, const char *name, boolean_t *val);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_byte(nvlist_t *nvl, const char *name, uchar_t *val);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_int8(nvlist_t *nvl, const char *name, int8_t *val);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_uint8(nvlist_t *nvl, const char *name, uint8_t *val);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_int16(nvlist_t *nvl, const char *name, int16_t *val);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_uint16(nvlist_t *nvl, const char *name, uint16_t *val);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_int32(nvlist_t *nvl, const char *name, int32_t *val);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_uint32(nvlist_t *nvl, const char *name, uint32_t *val);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_int64(nvlist_t *nvl, const char *name, int64_t *val);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_uint64(nvlist_t *nvl, const char *name, uint64_t *val);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_hrtime(nvlist_t *nvl, const char *name, hrtime_t *val);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_string(nvlist_t *nvl, const char *name, char **val);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_nvlist(nvlist_t *nvl, const char *name, nvlist_t **val);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_boolean_array(nvlist_t *nvl, const char *name, boolean_t **val, uint_t *nelem);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_byte_array(nvlist_t *nvl, const char *name, uchar_t **val, uint_t *nelem);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_int8_array(nvlist_t *nvl, const char *name, int8_t **val, uint_t *nelem);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_uint8_array(nvlist_t *nvl, const char *name, uint8_t **val, uint_t *nelem);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_int16_array(nvlist_t *nvl, const char *name, int16_t **val, uint_t *nelem);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_uint16_array(nvlist_t *nvl, const char *name, uint16_t **val, uint_t *nelem);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_int32_array(nvlist_t *nvl, const char *name, int32_t **val, uint_t *nelem);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_uint32_array(nvlist_t *nvl, const char *name, uint32_t **val, uint_t *nelem);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_int64_array(nvlist_t *nvl, const char *name, int64_t **val, uint_t *nelem);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_uint64_array(nvlist_t *nvl, const char *name, uint64_t **val, uint_t *nelem);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_string_array(nvlist_t *nvl, const char *name, char ***val, uint_t *nelem);
/** nvlist_lookup_boolean(9F). */
extern int nvlist_lookup_nvlist_array(nvlist_t *nvl, const char *name, nvlist_t ***val, uint_t *nelem);
/** nvlist_lookup_boolean(9F): several at once, up to a name that is NULL. */
extern int nvlist_lookup_pairs(nvlist_t *nvl, int flag, ...);
/** nvlist_lookup_nvpair(9F). */
extern int nvlist_lookup_nvpair(nvlist_t *nvl, const char *name, nvpair_t **nvpp);
/** nvlist_lookup_nvpair(9F). */
extern boolean_t nvlist_exists(nvlist_t *nvl, const char *name);

/** nvlist_next_nvpair(9F): the first one behind NULL; NULL at the end. */
extern nvpair_t *nvlist_next_nvpair(nvlist_t *nvl, nvpair_t *nvp);
/** nvlist_next_nvpair(9F): the last one before NULL; NULL at the start. */
extern nvpair_t *nvlist_prev_nvpair(nvlist_t *nvl, nvpair_t *nvp);
/** nvlist_next_nvpair(9F). */
extern char *nvpair_name(nvpair_t *nvp);
/** nvlist_next_nvpair(9F). */
extern data_type_t nvpair_type(nvpair_t *nvp);
/** nvlist_next_nvpair(9F): 1 for an array. */
extern int nvpair_type_is_array(nvpair_t *nvp);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_boolean_value(nvpair_t *nvp, boolean_t *val);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_byte(nvpair_t *nvp, uchar_t *val);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_int8(nvpair_t *nvp, int8_t *val);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_uint8(nvpair_t *nvp, uint8_t *val);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_int16(nvpair_t *nvp, int16_t *val);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_uint16(nvpair_t *nvp, uint16_t *val);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_int32(nvpair_t *nvp, int32_t *val);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_uint32(nvpair_t *nvp, uint32_t *val);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_int64(nvpair_t *nvp, int64_t *val);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_uint64(nvpair_t *nvp, uint64_t *val);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_hrtime(nvpair_t *nvp, hrtime_t *val);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_string(nvpair_t *nvp, char **val);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_nvlist(nvpair_t *nvp, nvlist_t **val);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_boolean_array(nvpair_t *nvp, boolean_t **val, uint_t *nelem);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_byte_array(nvpair_t *nvp, uchar_t **val, uint_t *nelem);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_int8_array(nvpair_t *nvp, int8_t **val, uint_t *nelem);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_uint8_array(nvpair_t *nvp, uint8_t **val, uint_t *nelem);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_int16_array(nvpair_t *nvp, int16_t **val, uint_t *nelem);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_uint16_array(nvpair_t *nvp, uint16_t **val, uint_t *nelem);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_int32_array(nvpair_t *nvp, int32_t **val, uint_t *nelem);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_uint32_array(nvpair_t *nvp, uint32_t **val, uint_t *nelem);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_int64_array(nvpair_t *nvp, int64_t **val, uint_t *nelem);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_uint64_array(nvpair_t *nvp, uint64_t **val, uint_t *nelem);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_string_array(nvpair_t *nvp, char ***val, uint_t *nelem);
/** nvpair_value_byte(9F). 0, or EINVAL when the pair has another type. */
extern int nvpair_value_nvlist_array(nvpair_t *nvp, nvlist_t ***val, uint_t *nelem);

#endif /* _SYS_NVPAIR_H */
