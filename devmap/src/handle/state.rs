//! [`State`]: what a mapping is and maps, under the lock of its instance's mappings.

use core::mem;

use bitflags::bitflags;
use ddi_sys as sys;

use super::kept::{Kept, Place, Rare};
use super::parts::{Parts, Shared};
use crate::access::Order;
use crate::memory::Memory;
use crate::pinned::UserMemory;
use crate::protection::Protection;
use crate::used::{self, Part as _};

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

/// State of a mapping.
pub(crate) struct State {
    /// Memory that it maps, or is to map.
    pub(super) kept: Kept,
    /// Offset in that memory, in bytes.
    pub(super) start: i64,
    pub(crate) is: Is,
    pub(super) max_protection: u8,
    pub(super) order: Option<Order>,
}

/// Memory and attributes of a new mapping.
pub(crate) struct Target {
    pub memory: Memory,
    pub start: i64,
    pub order: Option<Order>,
    pub max_protection: u32,
    pub loads_unseen: bool,
}

impl State {
    /// Of a mapping that is not live, and maps nothing.
    #[inline(always)]
    pub(crate) fn new() -> State {
        State {
            kept: Kept::NOTHING,
            start: 0,
            max_protection: sys::PROT_ALL as u8,
            order: None,
            is: Is::empty(),
        }
    }

    /// Of a new mapping of this.
    #[inline(always)]
    pub(crate) fn of(target: Target) -> State {
        State {
            kept: Kept::new(target.memory),
            start: target.start,
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
        mem::forget(self.kept.replace(target.memory));
    }

    /// Returns whether it is of a process's memory: then a copy is to [adopt](super::Handle::adopt) it.
    #[inline(always)]
    pub(crate) fn is_users(&self) -> bool {
        self.user().is_some()
    }

    /// Of a copy, or of the part from so many bytes on, that is not live yet; none if that is out of the usual way.
    #[inline(always)]
    pub(crate) fn derive(&self, from: u64) -> Option<State> {
        if self.is != Is::LIVE {
            return None;
        }
        Some(State {
            kept: self.kept.share()?,
            start: self.start.wrapping_add_unsigned(from),
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
        let mut kept = self.kept.memory().map_or(Kept::NOTHING, Kept::new);
        if parted {
            kept.rare().parts = self.parts_shared().cloned();
        }
        let mut is = self.is & (Is::INVALID | Is::STALE | Is::REMAPPED | Is::UNSEEN | Is::PARTED);
        // The framework has made its handle before this, maybe before the last remap.
        is.set(Is::STALE, self.is.intersects(Is::STALE | Is::REMAPPED | Is::PARTED));
        State {
            kept,
            start: self.start.wrapping_add_unsigned(from),
            max_protection: self.max_protection,
            order: self.order,
            is,
        }
    }

    /// It is over. What this returns is to be dropped without the lock.
    pub(super) fn retire(&mut self) -> impl Sized + use<> {
        self.is = (self.is - Is::LIVE) | Is::GONE;
        mem::replace(&mut self.kept, Kept::NOTHING)
    }

    /// The rare state, made if there is none. User or kernel context: may allocate.
    #[cold]
    pub(super) fn rare(&mut self) -> &mut Rare {
        self.kept.rare()
    }

    pub(super) fn parts_shared(&self) -> Option<&Shared> {
        self.kept.look()?.parts.as_ref()
    }

    pub(super) fn parts(&self) -> Option<&Parts> {
        self.parts_shared().map(|parts| &**parts)
    }

    /// Replaces its parts. What this returns is to be dropped without the lock.
    pub(super) fn set_parts(&mut self, parts: Option<Shared>) -> Option<Shared> {
        self.is.set(Is::PARTED, parts.is_some());
        match (self.kept.look(), parts) {
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
        self.kept.user()
    }

    /// Returns whether it maps this memory from byte `start` of it on.
    pub(super) fn is_of(&self, memory: Option<&Memory>, start: u64) -> bool {
        let is_same = memory.map_or_else(|| self.kept.is_nothing(), |memory| self.kept.is(memory));
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
        self.kept.is(memory)
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
