//! [`State`]: what a mapping is and maps, under the lock of its instance's mappings.

use alloc::boxed::Box;
use core::mem;

use bitflags::bitflags;
use ddi_sys as sys;

use super::parts::{Parts, Shared};
use crate::access::Order;
use crate::memory::Memory;
use crate::pinned::{Seated, UserMemory};
use crate::protection::Protection;
use crate::used::{self, Of, Part as _};

bitflags! {
    /// Conditions of a mapping.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Is: u16 {
        /// The framework has it: from the first callback to the unmap callback.
        const LIVE = 1;
        /// The framework has forgotten it.
        const GONE = 1 << 1;
        /// Accesses are refused.
        const INVALID = 1 << 2;
        /// The framework's handle may map something else than `memory`, until it is made to.
        const STALE = 1 << 3;
        /// It was made to map something else once: the framework may have copied it before that.
        const REMAPPED = 1 << 4;
        /// Without an access callback: the framework loads by itself, unseen.
        const UNSEEN = 1 << 5;
        /// Pages may map memory of their own.
        const PARTED = 1 << 6;
        /// It was itself made to map something else, not what it was copied from.
        const OWN_MEMORY = 1 << 7;
        /// It was itself made invalid or valid.
        const OWN_VALIDITY = 1 << 8;
    }
}

/// Memory, and the mapping's place among the mappings of it.
pub(crate) type Before = (Option<Memory>, Option<Place>);

/// A mapping's place among those of a process's memory.
pub(crate) type Place = Seated;

/// Parts of the state that few mappings have.
#[derive(Default)]
pub(super) struct Rare {
    /// Place among the mappings of `memory`, if that is a process's.
    pub(super) pinned: Option<Place>,
    /// Memory that a stale handle of the framework maps.
    pub(super) before: Option<Before>,
    /// Pages that map memory of their own.
    parts: Option<Shared>,
}

/// [`Rare`], of those who have it.
pub(super) type Rarities = Of<used::Rarities, Box<Rare>>;

/// State of a mapping.
pub(crate) struct State {
    /// Memory that it maps, or is to map, kept alive by this.
    pub(super) memory: Option<Memory>,
    /// Offset in `memory`, in bytes.
    pub(super) start: i64,
    pub(super) rare: Option<Rarities>,
    pub(super) max_protection: u8,
    pub(super) order: Option<Order>,
    pub(crate) is: Is,
}

/// Memory and attributes of a new mapping.
pub(crate) struct Target {
    pub memory: Memory,
    pub start: i64,
    pub order: Option<Order>,
    pub max_protection: u32,
    pub loads_unseen: bool,
}

/// Out of the usual way.
#[cold]
pub(super) fn drop_rare(rare: Rarities) {
    drop(rare);
}

/// Releases memory, kernel memory in the usual way.
#[inline(always)]
pub(super) fn drop_memory(memory: Option<Memory>) {
    #[cold]
    #[inline(never)]
    fn other(memory: Option<Memory>) {
        drop(memory);
    }
    match memory {
        Some(Memory::Umem(umem)) => drop(umem),
        memory => other(memory),
    }
}

impl State {
    /// Of a mapping that is not live, and maps nothing.
    #[inline(always)]
    pub(crate) fn new() -> State {
        State {
            memory: None,
            start: 0,
            rare: None,
            max_protection: sys::PROT_ALL as u8,
            order: None,
            is: Is::empty(),
        }
    }

    /// Of a new mapping of this.
    #[inline(always)]
    pub(crate) fn of(target: Target) -> State {
        State {
            memory: Some(target.memory),
            start: target.start,
            rare: None,
            max_protection: target.max_protection as u8,
            order: target.order,
            is: if target.loads_unseen { Is::UNSEEN } else { Is::empty() },
        }
    }

    pub(super) fn set_target(&mut self, target: Target) {
        self.start = target.start;
        self.order = target.order;
        self.max_protection = target.max_protection as u8;
        self.is.set(Is::UNSEEN, target.loads_unseen);
        // It had none.
        mem::forget(self.memory.replace(target.memory));
    }

    /// Returns whether it is of a process's memory: then a copy is to [adopt](super::Handle::adopt) it.
    #[inline(always)]
    pub(crate) fn is_users(&self) -> bool {
        self.user().is_some()
    }

    /// Of a copy, or of the part from so many bytes on, that is not live yet; none if that is out of the usual way.
    #[inline(always)]
    pub(crate) fn derive(&self, from: u64) -> Option<State> {
        let Some(Memory::Umem(umem)) = &self.memory else { return None };
        if self.is != Is::LIVE {
            return None;
        }
        Some(State {
            memory: Some(Memory::Umem(umem.clone())),
            start: self.start.wrapping_add_unsigned(from),
            rare: None,
            max_protection: self.max_protection,
            order: self.order,
            is: Is::empty(),
        })
    }

    /// The framework has it. Returns whether its handle is to be told what it maps.
    #[inline(always)]
    pub(crate) fn activate(&mut self) -> bool {
        self.is |= Is::LIVE;
        self.is_stale()
    }

    /// This, of a mapping that the framework has.
    #[inline(always)]
    pub(crate) fn live(mut self) -> State {
        self.is |= Is::LIVE;
        self
    }

    /// As [`derive`](State::derive), in all cases; without a place among the mappings of a process's memory.
    #[cold]
    #[inline(never)]
    pub(crate) fn derived(&self, from: u64) -> State {
        let parted = used::Pages::is_used() && self.is.contains(Is::PARTED);
        let rare = if parted { Some(self.share_parts()) } else { None };
        let mut is = self.is & (Is::INVALID | Is::STALE | Is::REMAPPED | Is::UNSEEN | Is::PARTED);
        // The framework has made its handle before this, maybe before the last remap.
        is.set(Is::STALE, self.is.intersects(Is::STALE | Is::REMAPPED | Is::PARTED));
        State {
            memory: self.memory.clone(),
            start: self.start.wrapping_add_unsigned(from),
            rare,
            max_protection: self.max_protection,
            order: self.order,
            is,
        }
    }

    #[cold]
    fn share_parts(&self) -> Rarities {
        Of::new(Box::new(Rare { parts: self.parts_shared().cloned(), ..Rare::default() }))
    }

    pub(super) fn retire(&mut self) -> (Option<Memory>, Option<Rarities>) {
        self.is = (self.is - Is::LIVE) | Is::GONE;
        (self.memory.take(), self.rare.take())
    }

    #[cold]
    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(|| Of::new(Box::default()))
    }

    pub(super) fn parts_shared(&self) -> Option<&Shared> {
        self.rare.as_ref()?.parts.as_ref()
    }

    pub(super) fn parts(&self) -> Option<&Parts> {
        self.parts_shared().map(|parts| &**parts)
    }

    /// Replaces its parts. What this returns is to be dropped without the lock.
    pub(super) fn set_parts(&mut self, parts: Option<Shared>) -> Option<Shared> {
        self.is.set(Is::PARTED, parts.is_some());
        match (&mut self.rare, parts) {
            (None, None) => None,
            (_, parts) => mem::replace(&mut self.rare().parts, parts),
        }
    }

    pub(super) fn set_pinned(&mut self, pinned: Option<Place>) {
        self.rare().pinned = pinned;
    }

    /// The process's memory that it maps, if it is that.
    #[inline]
    pub(super) fn user(&self) -> Option<&UserMemory> {
        self.memory.as_ref()?.user()
    }

    /// Returns whether it maps this memory from byte `start` of it on.
    pub(super) fn is_of(&self, memory: Option<&Memory>, start: u64) -> bool {
        let is_same = match (&self.memory, memory) {
            (Some(own), Some(other)) => own.is(other),
            (own, other) => own.is_none() && other.is_none(),
        };
        is_same && self.start as u64 == start
    }

    /// Returns whether accesses are refused, of a mapping that is live, as any is in its access callback.
    #[inline(always)]
    pub(crate) fn is_invalid(&self) -> bool {
        self.is.contains(Is::INVALID)
    }

    /// Returns whether accesses are served, of a mapping in its access callback, and the page at byte `from` of it is the one at byte `offset` of this memory.
    #[inline(always)]
    pub(crate) fn serves_from(&self, memory: &Memory, from: u64, offset: u64) -> bool {
        let page = (self.start as u64).wrapping_add(from);
        if page != offset || self.is.intersects(Is::INVALID | Is::PARTED) {
            return false;
        }
        match (&self.memory, memory) {
            (Some(Memory::Umem(own)), Memory::Umem(other)) => own.is(other),
            (Some(own), other) => own.is(other),
            (None, _) => false,
        }
    }

    /// Returns whether the framework's handle has to be made to map what it should.
    #[inline(always)]
    pub(super) fn is_stale(&self) -> bool {
        used::Remaps::is_used() && self.is.contains(Is::STALE)
    }

    pub(super) fn protection(&self) -> Protection {
        Protection::from_bits_truncate(self.max_protection.into())
    }
}
