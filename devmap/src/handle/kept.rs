//! [`Kept`]: memory that a mapping keeps alive, and what few mappings have besides, in one word.
//!
//! Locking: that of the [state](super::state) which it is a part of.

use alloc::boxed::Box;
use core::marker::PhantomData;
use core::mem;
use core::ptr;

use super::parts::Shared;
use crate::memory::Memory;
use crate::pinned::{Seated, UserMemory};
use crate::registers::Registers;
use crate::umem::Umem;
use crate::used::{self, Part as _};

/// A mapping's place among those of a process's memory.
pub(crate) type Place = Seated;

/// Memory, and the mapping's place among the mappings of it.
pub(crate) type Before = (Option<Memory>, Option<Place>);

/// Memory of a mapping that has more than that.
#[derive(Default)]
pub(super) struct Rare {
    memory: Option<Memory>,
    /// Place among the mappings of `memory`, if that is a process's.
    pub(super) pinned: Option<Place>,
    /// Memory that a stale handle of the framework maps.
    pub(super) before: Option<Before>,
    /// Pages that map memory of their own.
    pub(super) parts: Option<Shared>,
}

/// Kernel memory.
const UMEM: usize = 0;
const REGISTERS: usize = 1;
/// A [`Rare`], in a box.
const RARE: usize = 2;
const NOTHING: usize = 3;

/// Bits that have one of these.
const TAG: usize = 3;

/// Memory that a mapping maps, and what is [rare](Rare).
///
/// # Invariants
/// The word without its tag is what the tag says: from `Umem::into_raw` or `Registers::into_raw`, with the reference; from `Box::into_raw`; or 0.
pub(super) struct Kept(*mut (), PhantomData<(Umem, Registers, Box<Rare>)>);

// SAFETY: it is one of these, which all are `Send`.
unsafe impl Send for Kept where (Umem, Registers, Box<Rare>): Send {}

impl Kept {
    pub(super) const NOTHING: Kept = Kept(ptr::without_provenance_mut(NOTHING), PhantomData);

    #[inline(always)]
    pub(super) fn new(memory: Memory) -> Kept {
        match memory {
            // What these point to is aligned to more than the tag's bits.
            Memory::Umem(umem) => Kept(umem.into_raw().cast_mut(), PhantomData),
            memory => Kept::other(memory),
        }
    }

    #[cold]
    #[inline(never)]
    fn other(memory: Memory) -> Kept {
        match memory {
            Memory::Umem(umem) => Kept(umem.into_raw().cast_mut(), PhantomData),
            Memory::Registers(registers) => {
                Kept(registers.into_raw().cast_mut().map_addr(|at| at | REGISTERS), PhantomData)
            }
            Memory::User(_) if used::Pins::is_used() => {
                Kept::boxed(Rare { memory: Some(memory), ..Rare::default() })
            }
            // There is none unless some is pinned; code to drop it would be in every module.
            Memory::User(_) => {
                mem::forget(memory);
                Kept::NOTHING
            }
        }
    }

    /// The rare state, in a box. User or kernel context: allocates.
    #[cold]
    pub(super) fn boxed(rare: Rare) -> Kept {
        used::Rarities::is_needed();
        let rare = Box::into_raw(Box::new(rare)).cast::<()>();
        Kept(rare.map_addr(|at| at | RARE), PhantomData)
    }

    #[inline(always)]
    fn tag(&self) -> usize {
        self.0.addr() & TAG
    }

    #[inline(always)]
    fn pointer(&self) -> *mut () {
        self.0.map_addr(|at| at & !TAG)
    }

    /// Shares the memory with another mapping, if it is kernel memory, and there is no more than that.
    #[inline(always)]
    pub(super) fn share(&self) -> Option<Kept> {
        if self.tag() != UMEM {
            return None;
        }
        // SAFETY: by the invariant of such, which this keeps.
        unsafe { Umem::retain(self.0) };
        Some(Kept(self.0, PhantomData))
    }

    /// Releases it all, kernel memory in the usual way.
    #[inline(always)]
    pub(super) fn release(self) {
        #[cold]
        #[inline(never)]
        fn other(kept: Kept) {
            drop(kept);
        }
        if self.tag() != UMEM {
            return other(self);
        }
        // SAFETY: by the invariant.
        drop(unsafe { Umem::from_raw(self.0) });
        mem::forget(self);
    }

    #[inline(always)]
    fn is_rare(&self) -> bool {
        used::Rarities::is_used() && self.tag() == RARE
    }

    /// The rare state, if there is any.
    pub(super) fn look(&self) -> Option<&Rare> {
        // SAFETY: by the invariant it is such.
        self.is_rare().then(|| unsafe { &*self.pointer().cast::<Rare>() })
    }

    /// As [`look`](Kept::look), to be changed.
    pub(super) fn look_mut(&mut self) -> Option<&mut Rare> {
        // SAFETY: by the invariant it is such, and this borrowed mutably.
        self.is_rare().then(|| unsafe { &mut *self.pointer().cast::<Rare>() })
    }

    /// A place for what is rare. User or kernel context: may allocate.
    #[cold]
    pub(super) fn rare(&mut self) -> &mut Rare {
        if !self.is_rare() {
            let memory = mem::replace(self, Kept::NOTHING).into_memory();
            *self = Kept::boxed(Rare { memory, ..Rare::default() });
        }
        // SAFETY: by the invariant it is such, and this borrowed mutably.
        unsafe { &mut *self.pointer().cast::<Rare>() }
    }

    /// The memory, without what is rare.
    fn into_memory(mut self) -> Option<Memory> {
        if let Some(rare) = self.look_mut() {
            return rare.memory.take();
        }
        let this = mem::ManuallyDrop::new(self);
        match this.tag() {
            // SAFETY: by the invariant, and this is not used any more.
            UMEM => Some(Memory::Umem(unsafe { Umem::from_raw(this.0) })),
            // SAFETY: likewise.
            REGISTERS => Some(Memory::Registers(unsafe { Registers::from_raw(this.pointer()) })),
            _ => None,
        }
    }

    /// The memory.
    #[cold]
    #[inline(never)]
    pub(super) fn memory(&self) -> Option<Memory> {
        match self.tag() {
            UMEM => {
                // SAFETY: by the invariant; the reference stays with this.
                let umem = mem::ManuallyDrop::new(unsafe { Umem::from_raw(self.0) });
                Some(Memory::Umem(Umem::clone(&umem)))
            }
            REGISTERS => {
                // SAFETY: likewise.
                let registers = mem::ManuallyDrop::new(unsafe { Registers::from_raw(self.pointer()) });
                Some(Memory::Registers(Registers::clone(&registers)))
            }
            _ => self.look()?.memory.clone(),
        }
    }

    /// Returns whether there is no memory.
    pub(super) fn is_nothing(&self) -> bool {
        self.tag() == NOTHING || self.look().is_some_and(|rare| rare.memory.is_none())
    }

    /// Returns whether it is this memory.
    #[inline(always)]
    pub(super) fn is(&self, memory: &Memory) -> bool {
        if let Memory::Umem(umem) = memory
            && self.tag() == UMEM
        {
            return ptr::eq(umem.as_ptr(), self.0);
        }
        self.is_other(memory)
    }

    #[cold]
    #[inline(never)]
    fn is_other(&self, memory: &Memory) -> bool {
        self.memory().is_some_and(|own| own.is(memory))
    }

    /// The process's memory, if it is that.
    #[inline]
    pub(super) fn user(&self) -> Option<&UserMemory> {
        if !used::Pins::is_used() {
            return None;
        }
        self.look()?.memory.as_ref()?.user()
    }

    /// Replaces the memory; what is rare stays.
    pub(super) fn replace(&mut self, memory: Memory) -> Option<Memory> {
        match self.look_mut() {
            Some(rare) => rare.memory.replace(memory),
            None => mem::replace(self, Kept::new(memory)).into_memory(),
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        match self.tag() {
            // SAFETY: by the invariant, and this once.
            UMEM => drop(unsafe { Umem::from_raw(self.0) }),
            // SAFETY: likewise.
            REGISTERS => drop(unsafe { Registers::from_raw(self.pointer()) }),
            RARE if used::Rarities::is_used() => {
                // SAFETY: likewise.
                drop(unsafe { Box::from_raw(self.pointer().cast::<Rare>()) });
            }
            _ => {}
        }
    }
}
