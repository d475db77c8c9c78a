//! Linux's mapping model: an [`Area`] for each mapping, [`Operations`] on it, an [`AddressSpace`] of all of them.
//!
//! ```no_run
//! # #![no_std]
//! # extern crate std;
//! # extern crate alloc;
//! use alloc::sync::Arc;
//! use devmap::prelude::*;
//! use ports::linux::{self, AddressSpace, Answer, Area, Failure, Mode, Operations, Vma, Vmf};
//! use ports::page::vmalloc_to_page;
//!
//! struct Ring(Umem);
//! struct RingOperations;
//!
//! impl Operations<Ring> for RingOperations {
//!     fn fault(&self, area: &Area<Ring>, vmf: &Vmf<'_>) -> Result<Answer, Failure> {
//!         let ring = area.private().ok_or(Failure::Sigbus)?;
//!         Ok(Answer::Page(vmalloc_to_page(&ring.0, vmf.offset())?))
//!     }
//! }
//!
//! struct Board { space: AddressSpace<Ring>, ring: Arc<Ring> }
//!
//! impl Device for Board {
//!     type Mapping = Vma<Ring>;
//!     type Open = ();
//!
//!     fn attach(attach: &Attach<'_>) -> Result<Board, Errno> {
//!         let ring = Arc::new(Ring(Umem::new(attach, Kind::Locked, 0x4000)?));
//!         Ok(Board { space: AddressSpace::new(attach, Mode::Linux), ring })
//!     }
//!
//!     fn devmap<'a>(&self, request: MapRequest<'a, Board>) -> Result<Setup<'a, Board>, Errno> {
//!         linux::mmap(&self.space, request, |_, area| {
//!             area.set_ops(&RingOperations);
//!             area.set_private(self.ring.clone());
//!             Ok(())
//!         })
//!     }
//! }
//! # devmap::module! { device: Board, name: "board", description: "a board" }
//! # fn main() {}
//! ```
//!
//! Areas, and when their operations are called:
//!
//! - `open` is not called for the mmap(2) itself. It is called for each copy: the child's by fork(2), and what is left by a munmap(2) of a part.
//! - `close` is called once for each area that there was, also when the mmap(2) fails after the driver has made it.
//! - A page that was inserted, by [`Area::remap_pfn_range`] or [`Area::vm_insert_page`], is there until it is unmapped; accesses to it call nobody. Every other first access calls `fault`;
//!   without one the process gets `SIGBUS`.
//! - [`AddressSpace::unmap_mapping_range`] takes pages away from all mappings of all processes and minor nodes of the instance. A fault that is under way at that moment is asked again, so nothing
//!   that the driver answered before it is loaded after it.
//!
//! The pages of one mapping lie in one memory one behind the other, as devmap has it: the first page that is known says which. docs/porting.md says what else differs.
//!
//! Locks: the address space's list of pages, then those of an area, then devmap's. Operations are called with neither held; `open` and `close` with the process's address space held, `fault`
//! too. They may take the driver's locks, and may sleep ([`Vmf::context`]).

mod area;
mod ops;
mod space;
mod user;
mod vma;

pub use area::{Area, Flags};
pub use ops::{Answer, Failure, Operations, Vmf};
pub use space::{AddressSpace, Mode};
pub use user::UserPages;
pub use vma::{Vma, mmap};
