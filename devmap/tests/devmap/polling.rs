//! Polling: what is ready, who waits for the poll head, who is woken.

use std::sync::atomic::Ordering::SeqCst;

use ddi_sys as sys;
use devmap::Events;
use devmap::context::Interrupt;

use crate::desk::{desk, ioctl};
use crate::driver::cx;
use crate::mock::polls::{Polls, poll};
use crate::mock::{self, kernel};

fn ready(open: u64, ready: bool) {
    ioctl(open, 0, sys::FREAD, move |client, _| {
        client.ready.store(ready, SeqCst);
        if ready {
            client.head.wake(&cx(), Events::READABLE);
        }
        Ok(0)
    });
}

#[test]
fn who_finds_nothing_waits_for_the_head_and_is_woken() {
    let (_kernel, dev, open) = desk();
    let other = mock::open_new(dev, sys::FREAD).unwrap();
    assert_eq!(poll(open, sys::POLLIN, false), Ok((0, true)));
    assert_eq!(poll(open, sys::POLLIN, true), Ok((0, false)), "another descriptor is ready: nobody waits");
    ready(other, true);
    let count = |polls: &Polls| (polls.heads.len(), polls.woken.len());
    assert_eq!(count(&kernel().polls), (1, 1), "each open has a head");
    ready(open, true);
    assert!(kernel().polls.heads.is_empty());
    assert_eq!(kernel().polls.woken[1].1, (sys::POLLIN | sys::POLLRDNORM) as i16);
    // What was not asked for is not told, but for a hangup.
    assert_eq!(poll(open, sys::POLLIN, false), Ok((sys::POLLIN | sys::POLLHUP, false)));
    assert_eq!(poll(open, sys::POLLOUT, false), Ok((sys::POLLHUP, false)));
    ready(open, false);
    assert_eq!(poll(open, sys::POLLIN, false), Ok((0, true)));
    mock::close(open);
    assert!(kernel().polls.heads.is_empty(), "a head that goes is waited for by nobody");
    mock::close(other);
}

#[test]
fn edges_are_waited_for_in_any_case() {
    let (_kernel, _, open) = desk();
    ready(open, true);
    assert_eq!(poll(open, sys::POLLIN | sys::POLLET, false), Ok((sys::POLLIN | sys::POLLHUP, true)));
    assert_eq!(poll(open, sys::POLLIN | sys::POLLET, true), Ok((sys::POLLIN | sys::POLLHUP, true)));
    mock::close(open);
}

#[test]
fn an_interrupt_may_wake() {
    let (_kernel, _, open) = desk();
    ioctl(open, 0, sys::FREAD, |client, _| {
        // SAFETY: the mock kernel does not tell contexts apart here.
        client.head.wake(&unsafe { Interrupt::assume() }, Events::OUT);
        Ok(0)
    });
    assert_eq!(kernel().polls.woken[0].1, sys::POLLOUT as i16);
    mock::close(open);
}
