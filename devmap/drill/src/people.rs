//! Drills on callers: credentials, copying, signals.

use devmap::caller::Privilege;
use devmap::plain::Pointer;
use devmap::prelude::*;
use devmap::sys;

use crate::device::{Client, Drill};
use crate::{Drilled, Failed, check};

devmap::plain! {
    /// Identity that the program claims.
    pub struct Who { pub process: i32, pub user: u32, pub real_user: u32, pub group: u32, pub real_group: u32, pub privileged: u32 }

    /// Nested addresses, sizes, a name: with a twin for programs of 32 bits.
    pub struct Work { pub name: Pointer, pub numbers: Pointer, pub count: usize, pub answer: Pointer }
}

/// Privileges, looked up in attach.
pub struct Named {
    devices: Privilege,
}

impl Named {
    /// Looks them up.
    pub fn new() -> Result<Named, Failed> {
        check!(Privilege::named("no_such_privilege").is_err());
        Ok(Named { devices: Privilege::named("sys_devices")? })
    }

    /// The caller is who the program says.
    pub fn caller(&self, argument: &mut Argument<'_>) -> Drilled {
        let (caller, who): (_, Who) = (argument.caller(), argument.copyin()?);
        check!(caller.process() == who.process && caller.user() == who.user);
        check!(caller.real_user() == who.real_user && caller.group() == who.group);
        check!(caller.real_group() == who.real_group && caller.in_group(who.group));
        check!(caller.privileged() == (who.privileged != 0) && argument.privileged() == caller.privileged());
        check!(caller.must_have(self.devices).is_ok() == caller.has(self.devices));
        check!(caller.in_global_zone() && caller.zone() == 0);
        check!(argument.reads() && argument.writes() && !argument.nonblocking() && !argument.from_kernel());
        Ok(())
    }
}

/// A string with a limit, numbers, and an answer, all where a structure says.
pub fn copying(argument: &mut Argument<'_>) -> Drilled {
    let work: Work = argument.copyin()?;
    let mut room = [0; 16];
    let name = argument.at(work.name).read_str(&mut room)?;
    check!(name == b"a name of 15 by");
    let mut short = [0; 8];
    check!(argument.at(work.name).read_str(&mut short) == Err(Errno::ENAMETOOLONG));
    let mut numbers = [0_u32; 4];
    let numbers = numbers.get_mut(..work.count).ok_or(Errno::EINVAL)?;
    argument.at(work.numbers).read_into(numbers)?;
    for number in &mut *numbers {
        *number *= 3;
    }
    argument.at(work.answer).write_from(numbers)?;
    // Addresses of the caller's own width, one behind the other.
    argument.at(work.answer).offset(16)?.write_from(&[work.name, work.answer])?;
    check!(argument.at(8_usize).read::<u32>() == Err(Errno::EFAULT));
    check!(argument.at(usize::MAX).offset(1).is_err());
    let memory = Umem::new(argument, Kind::Locked, 4096)?;
    argument.at(work.name).read_into_memory(&memory, 100, 6)?;
    check!(memory.read::<u8>(102)? == b'n');
    argument.at(work.answer).offset(32)?.write_from_memory(&memory, 100, 6)?;
    check!(argument.at(work.name).read_into_memory(&memory, 4090, 7).is_err());
    Ok(())
}

/// The open's process is to be sent a signal.
pub fn ask_for_signal(open: &Client, argument: &mut Argument<'_>) -> Drilled {
    *open.waits_for_signals.lock() = Some(argument.caller().process_ref());
    Ok(())
}

/// Sends it; by whatever process.
pub fn signal(open: &Client) -> Drilled {
    match &*open.waits_for_signals.lock() {
        Some(process) => Ok(process.signal(sys::SIGUSR1)?),
        None => Err(Failed::Errno(Errno::EINVAL)),
    }
}

/// read(2) gives the memory from the file offset on.
pub fn read(drill: &Drill, uio: &mut Uio<'_>) -> Result<(), Errno> {
    let offset = uio.offset();
    uio.give_from(&drill.shown.memory, offset).map(|_| ())
}

/// write(2) takes it.
pub fn write(drill: &Drill, uio: &mut Uio<'_>) -> Result<(), Errno> {
    let offset = uio.offset();
    uio.take_into(&drill.shown.memory, offset).map(|_| ())
}
