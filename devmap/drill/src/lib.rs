//! drill: a driver that does what no example driver does, for tests of devmap under the host, linked in and as a module file.
//!
//! Each ioctl is a drill: it returns 0, or the line of the check that does not hold. The mock kernel of devmap's own tests knows each case; this shows that a kernel with processes, threads
//! and a device does the same, and that nothing of it can panic.
#![no_std]
#![deny(unsafe_code, missing_docs)]

extern crate alloc;

mod device;
mod hardware;
mod mappings;
mod people;
mod reports;
mod way_out;
mod work;

pub use device::Drill;

use devmap::{Errno, Error};

/// The check or the call that failed a drill.
#[derive(Debug)]
pub enum Failed {
    /// The check in this line.
    Line(u32),
    /// A call in it.
    Errno(Errno),
}

impl From<Errno> for Failed {
    fn from(errno: Errno) -> Failed {
        Failed::Errno(errno)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        devmap::warn!("drill: {error}");
        Failed::Errno(error.errno())
    }
}

/// The result of a drill.
pub type Drilled = Result<(), Failed>;

/// Fails the drill where something does not hold.
#[macro_export]
macro_rules! check {
    ($condition:expr) => {
        if !$condition {
            return Err($crate::Failed::Line(line!()));
        }
    };
}

devmap::module! { device: Drill, name: "drill", description: "drills 0.1", unsafe cb_ops: way_out::more }
