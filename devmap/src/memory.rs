//! [`Memory`]: one type for everything that can be mapped: register sets, kernel memory, a process's memory.
//!
//! Reading and writing do not sleep and take no lock: any context, any lock held. The exception is pageable kernel memory, which
//! may have to be paged in: user and kernel context. The same holds for dropping a last clone, which
//! frees.

use crate::access::Order;
use crate::errno::{Errno, Error, error};
use crate::page;
use crate::pinned::UserMemory;
use crate::registers::Registers;
use crate::umem::Umem;
use crate::used::{self, Part as _};

/// Something that a process can map. A clone shares it, and a mapping holds a clone: the memory stays while it is
/// mapped.
#[derive(Clone)]
#[non_exhaustive]
pub enum Memory {
    /// A register set of the device.
    Registers(Registers),
    /// Kernel memory.
    Umem(Umem),
    /// Memory of a process. The driver accesses it through a [`View`](crate::pinned::View).
    User(UserMemory),
}

impl Memory {
    /// Returns the length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Memory::Registers(registers) => registers.len(),
            Memory::Umem(umem) => umem.len() as u64,
            Memory::User(user) => user.len() as u64,
        }
    }

    /// The memory of a process, if it is that.
    #[inline(always)]
    pub(crate) fn user(&self) -> Option<&UserMemory> {
        match self {
            Memory::User(user) if used::Pins::is_used() => Some(user),
            _ => None,
        }
    }

    /// Returns whether its length is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the length in 64-bit words, for [`save`] and [`restore`].
    pub fn words(&self) -> usize {
        usize::try_from(self.len() / 8).unwrap_or(usize::MAX)
    }

    /// Returns whether both are the same memory.
    #[inline]
    pub fn is(&self, other: &Memory) -> bool {
        match (self, other) {
            (Memory::Registers(one), Memory::Registers(other)) => one.is(other),
            (Memory::Umem(one), Memory::Umem(other)) => one.is(other),
            (Memory::User(one), Memory::User(other)) => one.is(other),
            _ => false,
        }
    }

    /// Returns the default order of a process's accesses.
    pub fn order(&self) -> Order {
        match self {
            Memory::Registers(registers) => registers.order(),
            Memory::Umem(_) | Memory::User(_) => Order::StoreCaching,
        }
    }

    /// Copies values from byte `offset` on; see [`Registers::read_into`] and [`Volatile::read_into`](crate::Volatile::read_into).
    pub fn read_into(&self, offset: u64, to: &mut [u64]) -> Result<(), Error> {
        match self {
            Memory::Registers(registers) => registers.read_into(offset, to),
            Memory::Umem(umem) => umem.read_into(offset, to),
            Memory::User(_) => Err(NO_VIEW),
        }
    }

    /// Copies values to byte `offset` and on; see [`Registers::write_from`] and [`Volatile::write_from`](crate::Volatile::write_from).
    pub fn write_from(&self, offset: u64, from: &[u64]) -> Result<(), Error> {
        match self {
            Memory::Registers(registers) => registers.write_from(offset, from),
            Memory::Umem(umem) => umem.write_from(offset, from),
            Memory::User(_) => Err(NO_VIEW),
        }
    }
}

const NO_VIEW: Error =
    error!(Errno::ENOTSUP, "ddi_umem_lock(9F)", "a process's memory is looked at through a view");

const SHORT: Error = error!(Errno::EINVAL, "ddi_rep_get64(9F)", "the image is not as long as the memory");

/// Copies all of these memories, one behind the other, into an image that is exactly as long.
///
/// Fails with `EINVAL` if the image is not as long as the sum of their [`words`](Memory::words).
///
/// ```no_run
/// # extern crate alloc;
/// # use devmap::prelude::*;
/// # fn f(regs: Registers, ring: &Umem) -> Result<(), devmap::Error> {
/// use devmap::memory::{restore, save};
///
/// let state = [Memory::from(regs), Memory::from(ring)];
/// let mut image = alloc::vec![0_u64; state.iter().map(Memory::words).sum()];
/// save(&state, &mut image)?;
/// restore(&state, &image)?;
/// # Ok(()) }
/// ```
pub fn save<'m>(memories: impl IntoIterator<Item = &'m Memory>, image: &mut [u64]) -> Result<(), Error> {
    let mut rest = image;
    for memory in memories {
        let (part, behind) = rest.split_at_mut_checked(memory.words()).ok_or(SHORT)?;
        memory.read_into(0, part)?;
        rest = behind;
    }
    if rest.is_empty() { Ok(()) } else { Err(SHORT) }
}

/// Copies an image made by [`save`] back into the memories. Fails with `EINVAL` if it is not exactly as long as the memories.
pub fn restore<'m>(memories: impl IntoIterator<Item = &'m Memory>, image: &[u64]) -> Result<(), Error> {
    let mut rest = image;
    for memory in memories {
        let (part, behind) = rest.split_at_checked(memory.words()).ok_or(SHORT)?;
        memory.write_from(0, part)?;
        rest = behind;
    }
    if rest.is_empty() { Ok(()) } else { Err(SHORT) }
}

impl From<Registers> for Memory {
    fn from(registers: Registers) -> Memory {
        Memory::Registers(registers)
    }
}

impl From<Umem> for Memory {
    fn from(umem: Umem) -> Memory {
        Memory::Umem(umem)
    }
}

impl From<&Registers> for Memory {
    fn from(registers: &Registers) -> Memory {
        Memory::Registers(registers.clone())
    }
}

impl From<&Umem> for Memory {
    fn from(umem: &Umem) -> Memory {
        Memory::Umem(umem.clone())
    }
}

impl From<UserMemory> for Memory {
    fn from(user: UserMemory) -> Memory {
        Memory::User(user)
    }
}

impl From<&UserMemory> for Memory {
    fn from(user: &UserMemory) -> Memory {
        Memory::User(user.clone())
    }
}

impl From<&Memory> for Memory {
    fn from(memory: &Memory) -> Memory {
        memory.clone()
    }
}

/// Returns the memory that replaces lost memory in mappings; none while it is not lost.
pub(crate) fn trash_of(memory: &Memory) -> Option<Memory> {
    memory.user().filter(|user| user.is_lost()).map(|user| user.loss().trash().into())
}

/// Returns whether processes may write it.
pub(crate) fn may_be_written(memory: &Memory) -> bool {
    memory.user().is_none_or(UserMemory::is_writable)
}

/// Checks that `len` bytes from `offset` on lie within the memory, and gives the offset in the framework's type.
pub(crate) fn covers(memory: &Memory, offset: u64, len: usize) -> Result<i64, Error> {
    if !page::aligned(offset) {
        return Err(error!(
            Errno::EINVAL.rare(),
            "devmap_umem_remap(9F)", "the offset is not a multiple of the page size",
        ));
    }
    if len == 0 || offset.checked_add(len as u64).is_none_or(|end| end > memory.len()) {
        return Err(error!(
            Errno::EINVAL.rare(),
            "devmap_umem_remap(9F)", "the memory does not cover the mapping",
        ));
    }
    // No memory is as long as 2^63.
    Ok(offset as i64)
}
