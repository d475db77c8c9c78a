//! The way out: the kernel's structures behind the safe types, and entry points that this crate does not have.
//!
//! A driver that needs one more function of the kernel can keep the rest. The types return the kernel's own pointers: [`Node::as_raw`](crate::Node::as_raw),
//! [`Handle::with_raw`](crate::Handle::with_raw), [`Umem::as_raw`](crate::Umem::as_raw), [`Registers::as_raw`](crate::Registers::as_raw),
//! [`Caller::as_raw`](crate::Caller::as_raw), [`Uio::as_raw`](crate::Uio::as_raw), [`PollHead::as_raw`](crate::PollHead::as_raw), the locks of [`sync`](crate::sync). Having such a
//! pointer is safe; passing it to a function of [`sys`] is not. The caller must preserve what the type relies on: above all, it must not free or destroy what the type will.
//!
//! # Entry points
//!
//! [`module!`](crate::module!) takes functions that change its tables, `cb_ops(9S)` and `dev_ops(9S)`, before the kernel sees them. They are `const` and marked `unsafe`,
//! because they are not checked: the kernel calls what they put in, and misses what they take out.
//!
//! ```no_run
//! # #![no_std]
//! # extern crate std;
//! use core::ffi::{c_int, c_short};
//! use devmap::prelude::*;
//! use devmap::{raw, sys};
//!
//! struct Tape;
//!
//! impl Device for Tape {
//!     type Mapping = ();
//!     type Open = ();
//!     fn attach(_: &Attach<'_>) -> Result<Tape, Errno> { Ok(Tape) }
//! }
//!
//! impl Tape {
//!     fn reset(&self) { /* ... */ }
//! }
//!
//! /// reset(9E).
//! unsafe extern "C-unwind" fn reset(dip: *mut sys::dev_info_t, _: sys::ddi_reset_cmd_t) -> c_int {
//!     // SAFETY: an entry point that the kernel calls for an attached node of this driver.
//!     match unsafe { raw::with_node(dip, Tape::reset) } {
//!         Some(()) => sys::DDI_SUCCESS,
//!         None => sys::DDI_FAILURE,
//!     }
//! }
//!
//! const fn more(ops: sys::dev_ops) -> sys::dev_ops {
//!     sys::dev_ops { devo_reset: Some(reset), ..ops }
//! }
//!
//! devmap::module! { device: Tape, name: "tape", description: "a tape", unsafe dev_ops: more }
//! # fn main() {}
//! ```
//!
//! Such an entry point is called with nothing of this crate's held. It makes the tokens of [`context`](crate::context) by
//! [`assume`](crate::context::Kernel::assume).

use ddi_sys as sys;

use crate::device::Device;
use crate::state::soft_state;

/// Calls `f` with the device and the open of a device number. Returns None if there is no such open. No lock is held meanwhile.
///
/// # Safety
/// In an entry point that the kernel calls for this device number of the driver's, between open(9E) and close(9E).
pub unsafe fn with_device<D: Device, R>(dev: sys::dev_t, f: impl FnOnce(&D, &D::Open) -> R) -> Option<R> {
    // SAFETY: the caller's.
    let entered = unsafe { soft_state::<D>().entered(dev) }?;
    Some(f(&entered.instance.device, entered.open))
}

/// Calls `f` with the device of a node. Returns None if it is not attached. No lock is held meanwhile.
///
/// # Safety
/// In an entry point that the kernel calls for this node of the driver's, after attach(9E) and before detach(9E).
pub unsafe fn with_node<D: Device, R>(dip: *mut sys::dev_info_t, f: impl FnOnce(&D) -> R) -> Option<R> {
    // SAFETY: a live node.
    let number = unsafe { sys::ddi_get_instance(dip) };
    // SAFETY: the caller's.
    let instance = unsafe { soft_state::<D>().instance(number) }?;
    Some(f(&instance.device))
}
