//! userfaultfd's binary interface: the part that host and shim use (userfaultfd(2), ioctl_userfaultfd(2)).

/// `userfaultfd` system call flag: only faults of user code.
pub const USER_MODE_ONLY: i32 = 1;
/// Version for [`Api`].
pub const API: u64 = 0xaa;
/// ioctl: agree on version and features; argument [`Api`].
pub const IOCTL_API: u64 = 0xc018_aa3f;
/// ioctl: watch a range; argument [`Register`].
pub const IOCTL_REGISTER: u64 = 0xc020_aa00;
/// ioctl: wake whoever waits for a page of a range; argument [`Span`].
pub const IOCTL_WAKE: u64 = 0x8010_aa02;
/// ioctl: install translations to what the file holds; argument [`Resolve`].
pub const IOCTL_CONTINUE: u64 = 0xc020_aa07;
/// ioctl: make accesses fail; argument [`Resolve`].
pub const IOCTL_POISON: u64 = 0xc020_aa08;

/// Mode of `IOCTL_CONTINUE`: leave waiting whoever waits for the pages.
pub const DONT_WAKE: u64 = 1;

/// Feature: the faulting thread's id is told.
pub const FEATURE_THREAD_ID: u64 = 1 << 8;
/// Feature: minor faults of shared memory (Linux 5.14).
pub const FEATURE_MINOR_SHMEM: u64 = 1 << 10;
/// Feature: addresses to the byte (Linux 5.18).
pub const FEATURE_EXACT_ADDRESS: u64 = 1 << 11;
/// Feature: `IOCTL_POISON` (Linux 6.6).
pub const FEATURE_POISON: u64 = 1 << 14;

/// Register for faults on pages that the file has not.
pub const MODE_MISSING: u64 = 1;
/// Register for faults on pages that the file has and the page table has not.
pub const MODE_MINOR: u64 = 4;

/// Event: a fault.
pub const EVENT_PAGEFAULT: u8 = 0x12;
/// Fault flag: a write.
pub const FAULT_WRITE: u64 = 1;

/// `struct uffdio_api`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Api {
    /// In: [`API`].
    pub api: u64,
    /// In: wanted; out: available.
    pub features: u64,
    /// Out.
    pub ioctls: u64,
}

/// `struct uffdio_range`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub len: u64,
}

/// `struct uffdio_register`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Register {
    /// The range.
    pub range: Span,
    /// `MODE_*`.
    pub mode: u64,
    /// Out.
    pub ioctls: u64,
}

/// `struct uffdio_continue` and `struct uffdio_poison`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Resolve {
    /// The range.
    pub range: Span,
    /// Flags: 0 or [`DONT_WAKE`].
    pub mode: u64,
    /// Out: bytes done, or a negative error number.
    pub done: i64,
}

/// `struct uffd_msg` of a fault.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Event {
    /// `EVENT_*`.
    pub event: u8,
    /// Reserved.
    pub reserved: [u8; 7],
    /// `FAULT_*`.
    pub flags: u64,
    /// Address of the access.
    pub address: u64,
    /// Thread id.
    pub tid: u32,
    /// Reserved.
    pub pad: u32,
}

const _: () = assert!(size_of::<Event>() == 32);
