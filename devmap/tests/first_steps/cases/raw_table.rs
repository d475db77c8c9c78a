#![no_std]

use core::ffi::c_int;

use devmap::prelude::*;
use devmap::{raw, sys};

struct Tape;

impl Device for Tape {
    type Mapping = ();
    type Open = ();

    fn attach(_: &Attach<'_>) -> Result<Tape, Errno> {
        Ok(Tape)
    }
}

unsafe extern "C-unwind" fn print(dev: sys::dev_t, _: *mut core::ffi::c_char) -> c_int {
    // SAFETY: an entry point.
    unsafe { raw::with_device(dev, |_: &Tape, _| 0) }.unwrap_or(sys::ENXIO)
}

const fn more(ops: sys::cb_ops) -> sys::cb_ops {
    sys::cb_ops { cb_print: Some(print), ..ops }
}

devmap::module! { device: Tape, name: "tape", description: "a tape", unsafe cb_ops: more }
