/*
 * DMA.
 */
#ifndef _SYS_DDIDMAREQ_H
#define _SYS_DDIDMAREQ_H

#include <sys/types.h>
#include <sys/dditypes.h>

typedef struct ddi_dma_cookie {
    union {
        uint64_t _dmac_ll;
        uint32_t _dmac_la[2];
    } _dmu;
    size_t dmac_size;
    uint_t dmac_type;
} ddi_dma_cookie_t;
#define dmac_laddress _dmu._dmac_ll
#define dmac_address _dmu._dmac_la[0]

/** What a device's DMA engine can do. */
typedef struct ddi_dma_attr {
    uint_t dma_attr_version;
    uint64_t dma_attr_addr_lo;
    uint64_t dma_attr_addr_hi;
    uint64_t dma_attr_count_max;
    uint64_t dma_attr_align;
    uint_t dma_attr_burstsizes;
    uint32_t dma_attr_minxfer;
    uint64_t dma_attr_maxxfer;
    uint64_t dma_attr_seg;
    int dma_attr_sgllen;
    uint32_t dma_attr_granular;
    uint_t dma_attr_flags;
} ddi_dma_attr_t;

#define DDI_DMA_USE_PHYSICAL (-10)
#define DDI_DMA_INUSE (-9)
#define DDI_DMA_BADATTR (-8)
#define DDI_DMA_STALE (-7)
#define DDI_DMA_BADLIMITS (-6)
#define DDI_DMA_LOCKED (-5)
#define DDI_DMA_TOOSMALL (-4)
#define DDI_DMA_TOOBIG (-3)
#define DDI_DMA_NOMAPPING (-2)
#define DDI_DMA_NORESOURCES (-1)
#define DDI_DMA_CALLBACK_RUNOUT 0
#define DDI_DMA_MAPOK 0
#define DDI_DMA_MAPPED 0
#define DDI_DMA_SYNC_FORDEV 0
#define DDI_DMA_CALLBACK_DONE 1
#define DDI_DMA_PARTIAL_MAP 1
#define DDI_DMA_SYNC_FORCPU 1
#define DDI_DMA_WRITE 1
#define DDI_DMA_DONE 2
#define DDI_DMA_READ 2
#define DDI_DMA_SYNC_FORKERNEL 2
#define DDI_DMA_RDWR 3
#define DDI_DMA_REDZONE 4
#define DDI_DMA_PARTIAL 8
#define DDI_DMA_CONSISTENT 0x10
#define DDI_DMA_EXCLUSIVE 0x20
#define DDI_DMA_STREAMING 0x40
#define DDI_DMA_FORCE_PHYSICAL 0x100
#define DDI_DMA_FLAGERR 0x200
#define DDI_DMA_RELAXED_ORDERING 0x400
#define DDI_DMA_SBUS_64BIT 0x2000

#define DMALIM_VER0 0x86000000

#define DMA_ATTR_V0 0
#define DMA_ATTR_VERSION 0
#define DMA_UNIT_8 1
#define DMA_UNIT_16 2
#define DMA_UNIT_32 4

#define DDI_DMA_DONTWAIT ((int (*)(caddr_t))0)
#define DDI_DMA_SLEEP ((int (*)(caddr_t))1)

#endif /* _SYS_DDIDMAREQ_H */
