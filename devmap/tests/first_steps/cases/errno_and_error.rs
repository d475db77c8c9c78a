#![no_std]

use devmap::prelude::*;

fn low() -> Result<u64, Errno> {
    Err(Errno::EAGAIN)
}

/// What returns an `Error` takes both by `?`,
pub fn memory(cx: &impl devmap::context::MaySleep, pages: usize) -> Result<Umem, devmap::Error> {
    low()?;
    if pages > 16 {
        return Err(Errno::EINVAL.into());
    }
    Ok(Umem::new(cx, Kind::Locked, pages * 4096)?)
}

/// and so does what returns an `Errno`.
pub fn both(cx: &impl devmap::context::MaySleep) -> Result<Umem, Errno> {
    low()?;
    Ok(memory(cx, 3)?)
}
