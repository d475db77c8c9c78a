//! What ctxdev and the programs that use it agree on: where the regions lie, the ioctls and what they copy.
//!
//! The driver, the demo and the conformance suite all take it from here. It builds wherever any of them does: in a kernel, on
//! illumos and on Linux. The numbers are part of the binary interface: they do not change, new ones are added.
#![no_std]
#![deny(unsafe_code)]

/// Offset of REGS, the engine's registers: one page.
pub const REGS: u64 = 0;
/// Offset of RING, the command ring, which follows the registers.
pub const RING: u64 = 0x1000;
/// Offset of SCRATCH, one memory for everybody, which follows the ring.
pub const SCRATCH: u64 = 0x5000;
/// Offset of FB, the frame buffer, which follows the scratch memory and reaches to the device's end.
pub const FB: u64 = 0x1_0000;
/// Bytes of FB when neither a register set nor the property `fb-size` says otherwise.
pub const FB_LEN: u64 = 0x1_0000;
/// The regions' names; a region's place in this list is its index for [`CTXDEV_REGION`].
pub const REGIONS: [&str; 4] = ["REGS", "RING", "SCRATCH", "FB"];

/// ioctl: copies out a [`Stats`].
pub const CTXDEV_STATS: i32 = 0x6301;
/// ioctl: drops every translation of every mapping.
pub const CTXDEV_REVOKE: i32 = 0x6302;
/// ioctl: argument not 0: the device is lost, accesses fail; 0: it is back.
pub const CTXDEV_LOSE: i32 = 0x6303;
/// ioctl: how long a context stays in the engine at least, in milliseconds. `EINVAL` when negative.
pub const CTXDEV_SET_HYSTERESIS: i32 = 0x6304;
/// ioctl: how many private contexts there may be; 0 is any number. `EINVAL` when negative.
pub const CTXDEV_SET_MAX_CONTEXTS: i32 = 0x6305;
/// ioctl: copies a [`Region`] in, and out with the place of the region of that index. `EINVAL` beyond the last.
pub const CTXDEV_REGION: i32 = 0x6306;

devmap_plain::plain! {
    /// Where a region lies.
    #[derive(Default)]
    pub struct Region {
        /// Which one: 0 is REGS, 3 is FB.
        pub index: u32,
        /// 0.
        pub pad: u32,
        /// Its first byte, as an mmap offset.
        pub off: u64,
        /// Its bytes, a multiple of 4096.
        pub len: u64,
    }

    /// What the driver has counted since it was attached.
    #[derive(Default)]
    pub struct Stats {
        /// [`Stats::VERSION`].
        pub version: u64,
        /// Opens.
        pub opens: u64,
        /// Calls of `devmap`: one for each region in each mmap.
        pub maps: u64,
        /// Calls of `access`.
        pub faults: u64,
        /// Times that the engine was given to another context.
        pub switches: u64,
        /// Calls of `dup`: one for each mapping that a fork duplicated.
        pub dups: u64,
        /// Calls of `unmap`: munmap, exec and exit.
        pub unmaps: u64,
        /// Mappings that live now.
        pub mappings: u64,
        /// Contexts that live now.
        pub contexts: u64,
        /// The context in the engine; 0 when there is none.
        pub owner: u64,
        /// Times that somebody asked for [`CTXDEV_REVOKE`].
        pub revokes: u64,
    }
}

impl Stats {
    /// The structure as it is here.
    pub const VERSION: u64 = 1;

    /// The counters in the order of their names: what the driver copies out.
    pub fn new(counters: [u64; 10]) -> Stats {
        let [opens, maps, faults, switches, dups, unmaps, mappings, contexts, owner, revokes] = counters;
        let version = Stats::VERSION;
        Stats { version, opens, maps, faults, switches, dups, unmaps, mappings, contexts, owner, revokes }
    }

    /// The counters with the names that `kstat -m ctxdev` shows, in their order.
    pub fn named(&self) -> [(&'static str, u64); 10] {
        let Stats {
            version: _,
            opens,
            maps,
            faults,
            switches,
            dups,
            unmaps,
            mappings,
            contexts,
            owner,
            revokes,
        } = *self;
        [
            ("opens", opens),
            ("maps", maps),
            ("faults", faults),
            ("switches", switches),
            ("dups", dups),
            ("unmaps", unmaps),
            ("mappings", mappings),
            ("contexts", contexts),
            ("owner", owner),
            ("revokes", revokes),
        ]
    }
}
