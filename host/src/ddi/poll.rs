//! Poll heads: pollwakeup(9F).
//!
//! A client's poll(2) of a device is answered by Linux for the socket that the device is, so that there is nobody to wake: the
//! functions are there for drivers that call them. Any context.

use std::ffi::c_short;

use ddi_sys::pollhead_t;

ddi! {
    /// pollwakeup(9F).
    fn pollwakeup(_head: *mut pollhead_t, _events: c_short) {}
    /// pollhead_clean(9F).
    fn pollhead_clean(_head: *mut pollhead_t) {}
}
