//! Macros of the headers that no generator can carry over: casts and macros with parameters.
//!
//! Names are the headers' own, so that they can be looked up.
#![allow(non_snake_case)]

use core::ffi::{c_int, c_uint};

use crate::{FC_OBJERR, IOC_IN, IOC_INOUT, IOC_OUT, IOC_VOID, IOCPARM_MASK, dev_t, faultcode_t, major_t};

/// No device: every bit of a device number set.
pub const NODEV: dev_t = dev_t::MAX;
/// A property that belongs to no particular device number.
pub const DDI_DEV_T_NONE: dev_t = dev_t::MAX;
/// A property lookup that does not care about the device number.
pub const DDI_DEV_T_ANY: dev_t = dev_t::MAX - 1;
/// No driver has this major number.
pub const DDI_MAJOR_T_NONE: major_t = major_t::MAX;
/// The major number is not known.
pub const DDI_MAJOR_T_UNKNOWN: major_t = 0;

/// The fault code that carries an errno.
pub const fn FC_MAKE_ERR(errno: c_int) -> faultcode_t {
    (errno << 8) | FC_OBJERR
}

/// The kind of a fault code: 0, or one of the `FC_` constants.
pub const fn FC_CODE(code: faultcode_t) -> faultcode_t {
    code & 0xff
}

/// The errno in a fault code of kind `FC_OBJERR`.
pub const fn FC_ERRNO(code: faultcode_t) -> c_int {
    ((code as c_uint) >> 8) as c_int
}

/// The ioctl command number `number` of group `group` that moves no data.
pub const fn _IO(group: u8, number: u8) -> c_int {
    (IOC_VOID | ((group as u32) << 8) | number as u32) as c_int
}

/// The ioctl command that gives the caller a `T`.
pub const fn _IOR<T>(group: u8, number: u8) -> c_int {
    (IOC_OUT | sized::<T>() | ((group as u32) << 8) | number as u32) as c_int
}

/// The ioctl command that takes a `T` from the caller.
pub const fn _IOW<T>(group: u8, number: u8) -> c_int {
    (IOC_IN | sized::<T>() | ((group as u32) << 8) | number as u32) as c_int
}

/// The ioctl command that takes a `T` from the caller and gives one back.
pub const fn _IOWR<T>(group: u8, number: u8) -> c_int {
    (IOC_INOUT | sized::<T>() | ((group as u32) << 8) | number as u32) as c_int
}

const fn sized<T>() -> u32 {
    (size_of::<T>() as u32 & IOCPARM_MASK) << 16
}
