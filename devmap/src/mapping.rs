//! [`Mapping`]: a driver's own data for one mapping, and what happens to it: access, dup, unmap.
//!
//! Callbacks of different mappings run at the same time, and so do several accesses to one. Access and dup never run
//! at the same time as unmap of the same mapping: the framework holds the process's address space. None of this
//! crate's locks is held when they are called. All run in the process's context and may sleep; they must not wait for
//! another process's access to end, nor call mmap or munmap.

use core::cell::Cell;
use core::marker::PhantomData;

use crate::context::{MaySleep, sealed::Sealed};
use crate::device::Device;
use crate::errno::Errno;
use crate::fault::{Fault, Served};
use crate::handle::{Handle, Record};
use crate::protection::Protection;
use crate::used;

/// The private data of a mapping: made in [`Device::devmap`], copied by dup, returned by unmap.
///
/// Once [`Device::devmap`] has returned, any of the three may be called, from any thread of the process: also while the mmap(2) is still under way.
///
/// ```no_run
/// # #![no_std]
/// # extern crate std;
/// use devmap::prelude::*;
/// # struct Board(Umem);
/// # impl Device for Board {
/// #     type Mapping = View;
/// #     type Open = ();
/// #     fn attach(_: &Attach<'_>) -> Result<Board, Errno> { Err(Errno::ENXIO) }
/// # }
/// # devmap::module! { device: Board, name: "board", description: "a board" }
///
/// struct View {
///     color: u32, // chosen at mmap(2), the same in every piece and copy of the mapping
/// }
///
/// impl Mapping<Board> for View {
///     fn access(&self, _: &Board, fault: Fault<'_>) -> Result<Served, Errno> {
///         fault.load_all() // all pages at once
///     }
///
///     fn dup(&self, _: &Board, _: Dup<'_>) -> Result<View, Errno> {
///         Ok(View { color: self.color })
///     }
///
///     fn unmap(self, _: &Board, cut: Cut<'_>) -> Remains<View> {
///         match cut {
///             Cut::Whole(cut) => cut.gone(),
///             Cut::Head(cut) => cut.keep(self),
///             Cut::Tail(cut) => cut.keep(self),
///             Cut::Middle(cut) => {
///                 let behind = View { color: self.color };
///                 cut.split(self, behind)
///             }
///         }
///     }
/// }
/// # fn main() {}
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the private data of a mapping of `{D}`",
    label = "no `Mapping<{D}>`",
    note = "write `impl Mapping<{D}> for {Self}` with `dup` and `unmap`, or `type Mapping = ();` if mappings have no data of their own"
)]
pub trait Mapping<D: Device<Mapping = Self>>: Send + Sync + Sized + 'static {
    /// Serves an access to a page without a translation: `devmap_access(9E)`.
    ///
    /// An error becomes `SIGBUS` in the process, with the error number; `EINTR` retries the access. The default loads
    /// the page.
    fn access(&self, device: &D, fault: Fault<'_>) -> Result<Served, Errno> {
        let _ = device;
        fault.load()
    }

    /// Returns the private data of the child's mapping for a fork(2), which fails with the error if there is one:
    /// `devmap_dup(9E)`.
    ///
    /// The child's mapping has no translations yet. Do what can fail before changing anything: if another mapping
    /// of the process refuses, this one is unmapped again.
    fn dup(&self, device: &D, copy: Dup<'_>) -> Result<Self, Errno>;

    /// Removes a part or all of the mapping: `devmap_unmap(9E)`. Cannot fail.
    ///
    /// Translations have been dropped already. The rest of the mapping keeps private data: each shape of the cut takes
    /// exactly the values that it needs for a [`Remains`].
    fn unmap(self, device: &D, cut: Cut<'_>) -> Remains<Self>;
}

/// A driver without private data: accesses call [`Device::access`].
impl<D: Device<Mapping = ()>> Mapping<D> for () {
    fn access(&self, device: &D, fault: Fault<'_>) -> Result<Served, Errno> {
        device.access(fault)
    }

    fn dup(&self, _: &D, _: Dup<'_>) -> Result<(), Errno> {
        Ok(())
    }

    fn unmap(self, _: &D, cut: Cut<'_>) -> Remains<()> {
        cut.keep_copies(())
    }
}

/// A mapping that fork copies.
pub struct Dup<'a> {
    pub(crate) parent: &'a Handle,
    pub(crate) child: &'a dyn Fn() -> &'a Handle,
    pub(crate) lower: &'a Cell<Option<Protection>>,
}

impl Sealed for Dup<'_> {}
impl MaySleep for Dup<'_> {}
impl Sealed for Cut<'_> {}
impl MaySleep for Cut<'_> {}
impl Sealed for Middle<'_> {}
impl MaySleep for Middle<'_> {}

impl<'a> Dup<'a> {
    /// Returns the mapping that is copied.
    pub fn parent(&self) -> &'a Handle {
        self.parent
    }

    /// Returns the copy. It exists once the callback has returned; put it into a [`MappingSet`](crate::MappingSet) now.
    ///
    /// It is a copy of what the parent is when the callback returns: what another thread does to the parent meanwhile, by a set that does not have the copy yet, is done to the copy, too.
    pub fn child(&self) -> &'a Handle {
        (self.child)()
    }

    /// Lowers the maximum protection of the child's mapping: see [`Handle::lower`]. If the process has asked for more, fork(2) fails with `EACCES`.
    pub fn lower(&self, max: Protection) {
        used::remaps();
        self.lower.set(Some(self.lower.get().map_or(max, |lower| lower & max)));
    }
}

/// Range that an unmap removes, by shape.
pub enum Cut<'a> {
    /// All of it.
    Whole(Whole<'a>),
    /// The beginning; the rest stays.
    Head(Head<'a>),
    /// The end; the beginning stays.
    Tail(Tail<'a>),
    /// The middle; two mappings stay.
    Middle(Middle<'a>),
}

impl Cut<'_> {
    /// Leaves `data` to each remaining piece: for private data that can be copied.
    pub fn keep_copies<M: Clone>(self, data: M) -> Remains<M> {
        match self {
            Cut::Whole(cut) => cut.gone(),
            Cut::Head(cut) => cut.keep(data),
            Cut::Tail(cut) => cut.keep(data),
            Cut::Middle(cut) => cut.split(data.clone(), data),
        }
    }

    /// Returns the user offset where the cut begins, in bytes.
    pub fn offset(&self) -> u64 {
        self.range().0
    }

    /// Returns the number of bytes that are removed: whole pages.
    pub fn len(&self) -> usize {
        self.range().1
    }

    /// Returns false.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn range(&self) -> (u64, usize) {
        match self {
            Cut::Whole(cut) => cut.record.range(),
            Cut::Head(cut) => cut.range,
            Cut::Tail(cut) => cut.range,
            Cut::Middle(cut) => cut.range,
        }
    }
}

/// Private data that is left of a mapping; made by the shape of the cut.
///
/// ```no_run
/// fn shorter(cut: devmap::Head<'_>, data: u32) -> devmap::Remains<u32> {
///     cut.keep(data)
/// }
/// ```
///
/// ```compile_fail
/// fn forgotten(cut: devmap::Head<'_>, data: u32) -> devmap::Remains<u32> {
///     cut.gone() // the rest of the mapping has to have data
/// }
/// ```
#[must_use]
pub struct Remains<M>(pub(crate) Left<M>);

pub(crate) enum Left<M> {
    None,
    One(M),
    Two(M, M),
}

type Once<'a> = PhantomData<fn(&'a ()) -> &'a ()>;

macro_rules! shapes {
    ($($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty),* })*) => {
        $(
            $(#[$meta])*
            pub struct $name<'a> {
                $($field: $type,)*
                call: Once<'a>,
            }

            impl<'a> $name<'a> {
                pub(crate) fn new($($field: $type),*) -> Self {
                    $name { $($field,)* call: PhantomData }
                }
            }
        )*
    };
}

shapes! {
    /// The whole mapping goes.
    Whole { record: &'a Record }
    /// The beginning of the mapping goes.
    Head { range: (u64, usize) }
    /// The end of the mapping goes.
    Tail { range: (u64, usize) }
    /// The middle of the mapping goes.
    Middle { range: (u64, usize), rest: &'a Handle }
}

impl Whole<'_> {
    /// Leaves no mapping: drops the private data.
    pub fn gone<M>(self) -> Remains<M> {
        Remains(Left::None)
    }
}

impl Head<'_> {
    /// Leaves `data` to the part behind the cut: the same mapping, now shorter.
    pub fn keep<M>(self, data: M) -> Remains<M> {
        Remains(Left::One(data))
    }
}

impl Tail<'_> {
    /// Leaves `data` to the part before the cut: the same mapping, now shorter.
    pub fn keep<M>(self, data: M) -> Remains<M> {
        Remains(Left::One(data))
    }
}

impl<'a> Middle<'a> {
    /// Returns the new mapping behind the cut. Put it into the set in which its translations are unloaded.
    ///
    /// Changes that another thread makes to the old one meanwhile, by a set that does not have this one yet, are made to this one when the callback returns.
    pub fn rest(&self) -> &'a Handle {
        self.rest
    }

    /// Leaves `before` to the part before the cut (the same mapping, now shorter), and `behind` to the new mapping behind it.
    pub fn split<M>(self, before: M, behind: M) -> Remains<M> {
        Remains(Left::Two(before, behind))
    }
}
