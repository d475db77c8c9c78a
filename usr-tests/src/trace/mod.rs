//! Replay and recording of programs: what random programs did with a ctxdev, call by call, and what each call was answered.
//!
//! A trace that was recorded on one system is replayed on another: the same calls must have the same outcomes.
//! [`usr_tests::recorded`] has the calls and reads a trace, [`play`] runs a program in processes of its own, [`replay`] and
//! [`record`] are the commands.
//!
//! Locking: none. The processes of a program take turns: at any time one of them runs.

mod execute;
mod play;
pub mod record;
pub mod replay;

/// Programs need a device that answers a ctxdev's ioctls.
pub fn check_device(device: &str) -> Result<(), String> {
    match crate::check_device(device)?.is_ctxdev() {
        true => Ok(()),
        false => Err(format!("{device} is not a ctxdev device")),
    }
}

/// Address of page 0 of the area.
const AREA: usize = 0x2_0000_0000;
/// An address where no process has anything.
pub const NOWHERE: usize = 0x3_0000_0000;
