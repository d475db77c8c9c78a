//! [`Parts`]: pages of a mapping that map memory of their own, with a framework that can do that ([`each_page`](crate::each_page)).
//!
//! Locking: lists are never changed; the framework is told under the lock of the instance's mappings.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ptr;

use ddi_sys as sys;

use crate::access::Order;
use crate::errno::{Errno, Error, error};
use crate::memory::Memory;

pub(super) const PAGES: &str = "docs/framework.md";

pub(super) type RemapPages = sys::own::remap_pages_t;

/// A live handle of the framework's, while its mapping is locked.
#[derive(Clone, Copy)]
pub(super) struct Live {
    pub cookie: sys::devmap_cookie_t,
    pub dip: *mut sys::dev_info_t,
    pub order: Option<Order>,
}

/// Some pages of a mapping, and their memory.
#[derive(Clone)]
pub(super) struct Part {
    /// User offsets of the first and behind the last.
    pub start: u64,
    pub end: u64,
    pub memory: Memory,
    /// Offset in `memory`, in bytes.
    pub from: u64,
    pub max_protection: u32,
}

impl Part {
    /// The part of it between two user offsets.
    fn within(&self, start: u64, end: u64) -> Option<Part> {
        let (from, to) = (self.start.max(start), self.end.min(end));
        (from < to).then(|| Part {
            start: from,
            end: to,
            from: self.from + (from - self.start),
            ..self.clone()
        })
    }

    /// Makes the change in the framework. Returns whether it was accepted.
    pub fn apply(&self, function: RemapPages, live: Live) -> bool {
        let (cookie, set, start, order) = match &self.memory {
            Memory::Registers(registers) => {
                let order = live.order.unwrap_or(self.memory.order());
                (ptr::null_mut(), registers.set(), registers.start().saturating_add(self.from), order)
            }
            Memory::Umem(umem) => (umem.cookie(), 0, self.from, Order::StoreCaching),
            Memory::User(_) => return false,
        };
        let mut attributes = order.attributes();
        let len = usize::try_from(self.end.saturating_sub(self.start)).unwrap_or(0);
        // SAFETY: a live handle, set up with DEVMAP_ALLOW_REMAP; a cookie that lives, or a register set of its device.
        let result = unsafe {
            function(
                live.cookie,
                live.dip,
                self.start as i64,
                len,
                self.max_protection,
                cookie,
                set,
                start as i64,
                &raw mut attributes,
            )
        };
        result == sys::DDI_SUCCESS
    }
}

/// The pages of a mapping that have memory of their own, which this keeps: sorted and apart.
///
/// Never changed: pieces and children share it.
pub(super) struct Parts {
    list: Vec<Part>,
    function: RemapPages,
}

/// [`Parts`], shared.
pub(super) type Shared = Arc<Parts>;

impl Parts {
    /// Makes the change in the framework for all parts between two user offsets. Returns whether it was accepted.
    pub(super) fn apply(&self, live: Live, start: u64, end: u64) -> bool {
        let parts = self.list.iter().filter_map(|part| part.within(start, end));
        parts.filter(|part| !part.apply(self.function, live)).count() == 0
    }
}

/// Returns the parts with one more, in place of what it covers. `ENOMEM`.
pub(super) fn with(old: Option<&Parts>, new: &Part, function: RemapPages) -> Result<Shared, Error> {
    let old = old.map_or(&[][..], |parts| &parts.list);
    let mut list = Vec::new();
    let room = list.try_reserve(old.len().saturating_add(2));
    room.map_err(|_| error!(Errno::ENOMEM, PAGES, "no memory"))?;
    list.extend(old.iter().filter_map(|part| part.within(0, new.start)));
    list.push(new.clone());
    list.extend(old.iter().filter_map(|part| part.within(new.end, u64::MAX)));
    Ok(Arc::new(Parts { list, function }))
}
