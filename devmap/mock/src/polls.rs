//! Poll heads: what was waited for, and what was woken.

use ddi_sys as sys;

use super::kernel;
use super::{cb_ops, sys_errno};

/// State of poll heads.
#[derive(Default)]
pub struct Polls {
    /// Heads that somebody waits for.
    pub heads: Vec<usize>,
    /// Wakeups: the head and the events.
    pub woken: Vec<(usize, i16)>,
}

/// poll(2) of one device: what is ready, and whether the process waits for a head now.
pub fn poll(dev: sys::dev_t, events: i32, others_ready: bool) -> Result<(i32, bool), i32> {
    let (mut ready, mut head) = (0, std::ptr::null_mut());
    // SAFETY: as chpoll(9E): where the answers go.
    let error = unsafe {
        cb_ops().cb_chpoll.unwrap()(dev, events as i16, others_ready.into(), &mut ready, &mut head)
    };
    sys_errno(error)?;
    if !head.is_null() {
        kernel().polls.heads.push(head.expose_provenance());
    }
    Ok((ready.into(), !head.is_null()))
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pollwakeup(head: *mut sys::pollhead_t, events: i16) {
    // SAFETY: as pollwakeup(9F): a head, which was zeroed.
    assert!(unsafe { (*head).ph_list }.is_null());
    let mut kernel = kernel();
    kernel.polls.woken.push((head.expose_provenance(), events));
    kernel.polls.heads.retain(|waiting| *waiting != head.expose_provenance());
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pollhead_clean(head: *mut sys::pollhead_t) {
    kernel().polls.heads.retain(|waiting| *waiting != head.expose_provenance());
}
