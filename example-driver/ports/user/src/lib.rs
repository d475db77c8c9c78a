//! Interface of the drivers of the ports (vmops, upager, kiomap): an ioctl for kind and counters, which all have, the ioctls of each, and device offsets.
#![no_std]
#![deny(unsafe_code)]

/// ioctl: copies out a [`Status`]. All of the drivers have it.
pub const PORTS_STATUS: i32 = 0x7001;

/// ioctl: takes the pages of a [`Span`] away from everybody. vmops.
pub const VMOPS_UNMAP: i32 = 0x7010;
/// ioctl: the device is lost (argument 1) or there again (0): everybody loses all pages, and faults fail while it is lost. vmops.
pub const VMOPS_LOSE: i32 = 0x7011;

/// ioctl: moves the pages of a [`Span`] to the other memory of their object, board or kernel; of [`Region::Move`], all. vmops.
pub const VMOPS_MOVE: i32 = 0x7012;
/// ioctl: copies pages of the process to others of it, by way of kernel memory: [`CopyPages`]. Returns the number of pages that were the process's own. vmops.
pub const VMOPS_COPY: i32 = 0x7013;
/// ioctl: lends a [`Span`] of the process's memory to who maps [`KIOMAP_LENT`]. kiomap.
pub const KIOMAP_LEND: i32 = 0x7020;
/// ioctl: locks the buffer and fills it with a byte; returns 1 if nobody else could lock it meanwhile. kiomap.
pub const KIOMAP_FILL: i32 = 0x7021;
/// ioctl: takes the pages of a [`Span`] of the open's object back. upager.
pub const UPAGER_PUT: i32 = 0x7030;
/// ioctl: ends the mappings of the open's object that show the first byte of a [`Span`]; returns their number. upager.
pub const UPAGER_REMOVE: i32 = 0x7031;

/// ioctl: pages of the open's object can be written no more. upager.
pub const UPAGER_PROTECT: i32 = 0x7032;
/// ioctl: pages of the open's object can be written. upager.
pub const UPAGER_ALLOW: i32 = 0x7033;

/// Byte of upager's objects whose page the pager always fills read-only, if pages have protections of their own.
pub const UPAGER_READ_ONLY: u64 = 0x2000;
/// The same of one that it fills read-only for a read.
pub const UPAGER_UPGRADED: u64 = 0x3000;

/// Device offset of kiomap's buffer of [`KIOMAP_PAGES`] pages of 0xff.
pub const KIOMAP_FILLED: u64 = 0;
/// Device offset of its buffer of eight pages of which the one of [`REFUSED`] is not there.
pub const KIOMAP_HOLES: u64 = KIOMAP_STEP;
/// Device offset of the memory that was lent last.
pub const KIOMAP_LENT: u64 = 2 * KIOMAP_STEP;
/// Device offset of its buffer of eight pages from two memories in turn, where pages can be had so.
pub const KIOMAP_SCATTERED: u64 = 3 * KIOMAP_STEP;
/// Distance of kiomap's buffers.
pub const KIOMAP_STEP: u64 = 0x1000_0000;
/// Pages of kiomap's filled buffer. Its memory has four more.
pub const KIOMAP_PAGES: u64 = 100;

/// Bytes of an object of upager's.
pub const UPAGER_LEN: u64 = 0x2_0000;

devmap_plain::plain! {
    /// Kind of a driver, and counters since it was attached.
    #[derive(Default)]
    pub struct Status {
        /// One of [`LINUX`] and so on.
        pub kind: u64,
        /// Mappings that there are, pieces and copies included.
        pub mappings: u64,
        /// Objects that there are, and which somebody maps.
        pub objects: u64,
        /// Users of these, as the driver has counted.
        pub users: u64,
        /// Calls that answered an mmap(2).
        pub mmaps: u64,
        /// Calls of `open`; of upager's `reference`.
        pub opens: u64,
        /// Calls of `close`; of upager's `detach`.
        pub closes: u64,
        /// Calls for a page.
        pub faults: u64,
        /// Pages that were said to become writable.
        pub notified: u64,
        /// Faults that were minor, and major.
        pub minor: u64,
        /// See `minor`.
        pub major: u64,
        /// 1 if each page of a mapping can have memory of its own.
        pub each_page: u64,
        /// Operations that have met another one, of [`Region::Meet`] and [`Region::MeetToo`].
        pub met: u64,
        /// 1 if [`Region::Remap`] is registers.
        pub registers: u64,
        /// Objects that were freed; of kiomap, how often the last mapping of a buffer has gone; of upager, how often pages were taken back.
        pub freed: u64,
    }
}

/// [`Status::kind`]: vmops, by Linux's rules.
pub const LINUX: u64 = 1;
/// [`Status::kind`]: vmops, by LinuxKPI's.
pub const LINUXKPI: u64 = 2;
/// [`Status::kind`]: kiomap.
pub const KIOBUF: u64 = 3;
/// [`Status::kind`]: upager.
pub const UVM: u64 = 4;

devmap_plain::plain! {
    /// A range of device offsets, in bytes.
    #[derive(Default)]
    pub struct Span {
        /// Start.
        pub start: u64,
        /// Length; 0: to the end.
        pub len: u64,
    }
}

devmap_plain::plain! {
    /// Pages to be copied.
    #[derive(Default)]
    pub struct CopyPages {
        /// Address of the first one.
        pub from: u64,
        /// Address of the first one that they are copied to.
        pub to: u64,
        /// Number of pages.
        pub pages: u64,
    }
}

/// Bytes of each region of vmops, which is one object. They are far apart.
pub const REGION_LEN: u64 = 0x1_0000;
/// Distance of the regions of vmops.
pub const REGION_STEP: u64 = 0x10_0000;

/// Byte with which the memory of an object is filled when that is freed: nobody must see it.
pub const POISON: u8 = 0xdd;

/// Regions of vmops, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// `fault` answers each page; the first is a major fault.
    Fault,
    /// `remap_pfn_range` of the whole area in mmap. Registers, where the device has some.
    Remap,
    /// `remap_pfn_range` of the first half of the area.
    Half,
    /// `fault` inserts each page; the one of [`REFUSED`] is refused.
    Insert,
    /// `page_mkwrite` is told; the page of [`REFUSED`] may not be written.
    Notify,
    /// The first four pages are populated together.
    Populate,
    /// Children do not have it (`VM_DONTCOPY`).
    DontCopy,
    /// Pages move between the board's memory and the kernel's, all at once.
    Move,
    /// Pages move one by one, and `page_mkwrite` is told (`VM_MIXEDMAP`).
    Mixed,
    /// `fault` waits a while for another of this region or of the next.
    Meet,
    /// The same.
    MeetToo,
    /// `vm_insert_pages` of the first three pages in mmap.
    Pages,
}

/// Page of a region that is refused, where one is.
pub const REFUSED: u64 = 3;

impl Region {
    /// All of them.
    pub const ALL: [Region; 12] = [
        Region::Fault,
        Region::Remap,
        Region::Half,
        Region::Insert,
        Region::Notify,
        Region::Populate,
        Region::DontCopy,
        Region::Move,
        Region::Mixed,
        Region::Meet,
        Region::MeetToo,
        Region::Pages,
    ];

    /// The device offset at which it starts.
    pub const fn start(self) -> u64 {
        self as u64 * REGION_STEP
    }

    /// The region in which this offset lies.
    pub fn of(offset: u64) -> Option<Region> {
        let region = Region::ALL.get(usize::try_from(offset / REGION_STEP).ok()?)?;
        (offset % REGION_STEP < REGION_LEN).then_some(*region)
    }
}
