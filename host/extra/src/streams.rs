//! STREAMS queues: the host has none.
//!
//! Drivers that also have devices without streams (as the audio drivers do) are linked against these functions, which only make sense on the queue of
//! an open stream. No stream is ever opened here, so none of them is called by a driver that is right; a call is reported. What needs no queue works.
//! No locking.

use std::ffi::{c_int, c_uint, c_void};
use std::ptr::null_mut;

use ddi_sys::{
    M_DATA, M_DELAY, M_PCPROTO, M_PROTO, bufcall_id_t, clock_t, mblk_t, qfields_t, queue_t, timeout_id_t,
};

use crate::mblks::{self, Block};
use ddi_kernel::board::report;
use ddi_kernel::ddi::time;

/// Types of messages that carry data.
const DATA: [u8; 4] = [M_DATA as u8, M_PROTO as u8, M_DELAY as u8, M_PCPROTO as u8];

/// Result of a function on a queue, of which there are none.
trait Nothing {
    /// The value.
    const NOTHING: Self;
}

impl Nothing for () {
    const NOTHING: () = ();
}

impl Nothing for c_int {
    const NOTHING: c_int = 0;
}

impl Nothing for clock_t {
    const NOTHING: clock_t = 0;
}

impl<T> Nothing for *mut T {
    const NOTHING: *mut T = null_mut();
}

/// Reports a call with a queue, which cannot be one.
fn absent<R: Nothing>(function: &str) -> R {
    let what = "the host has no streams, so there is no queue that it could be called with";
    report::mistake(function, what, &format!("{function}(9F)"));
    R::NOTHING
}

type Queue = *mut queue_t;
type Message = *mut mblk_t;
type Function = Option<unsafe extern "C-unwind" fn(*mut c_void)>;

/// Functions on the queue of a stream.
mod queues {
    use super::*;

    ddi! {
        fn [enableok, freezestr, noenable, qenable, qprocsoff, qprocson, qwait, unfreezestr](_queue: Queue) {
            absent(NAME)
        }
        fn [SAMESTR, canput, canputnext, qsize, qwait_sig](_queue: Queue) -> c_int {
            absent(NAME)
        }
        fn [OTHERQ, RD, WR, backq](_queue: Queue) -> Queue {
            absent(NAME)
        }
        fn [put, putnext, qreply, rmvq](_queue: Queue, _message: Message) {
            absent(NAME)
        }
        fn [putctl, putnextctl, qassociate](_queue: Queue, _b: c_int) -> c_int {
            absent(NAME)
        }
        fn [bcanput, bcanputnext](_queue: Queue, _b: u8) -> c_int {
            absent(NAME)
        }
        fn [miocack, miocnak](_queue: Queue, _message: Message, _c: c_int, _d: c_int) {
            absent(NAME)
        }
        fn [putbq, putq](_queue: Queue, _message: Message) -> c_int {
            absent(NAME)
        }
        fn [putctl1, putnextctl1](_queue: Queue, _b: c_int, _c: c_int) -> c_int {
            absent(NAME)
        }
        fn flushband(_queue: Queue, _b: u8, _c: c_int) {
            absent(NAME)
        }
        fn flushq(_queue: Queue, _b: c_int) {
            absent(NAME)
        }
        fn getq(_queue: Queue) -> Message {
            absent(NAME)
        }
        fn insq(_queue: Queue, _message: Message, _c: Message) -> c_int {
            absent(NAME)
        }
        fn mcopyin(_message: Message, _b: *mut c_void, _c: usize, _d: *mut c_void) {
            absent(NAME)
        }
        fn mcopymsg(_message: Message, _b: *mut c_void) {
            absent(NAME)
        }
        fn mcopyout(_message: Message, _b: *mut c_void, _c: usize, _d: *mut c_void, _e: Message) {
            absent(NAME)
        }
        fn merror(_queue: Queue, _message: Message, _c: c_int) {
            absent(NAME)
        }
        fn mexchange(_queue: Queue, _message: Message, _c: usize, _d: u8, _e: i32) -> Message {
            absent(NAME)
        }
        fn mioc2ack(_message: Message, _data: Message, _c: usize, _d: c_int) {
            absent(NAME)
        }
        fn miocpullup(_message: Message, _b: usize) -> c_int {
            absent(NAME)
        }
        fn mkiocb(_a: c_uint) -> Message {
            absent(NAME)
        }
        fn qbufcall(_queue: Queue, _b: usize, _c: c_uint, _d: Function, _e: *mut c_void) -> bufcall_id_t {
            absent(NAME)
        }
        fn qtimeout(_queue: Queue, _b: Function, _c: *mut c_void, _d: clock_t) -> timeout_id_t {
            absent(NAME)
        }
        fn qunbufcall(_queue: Queue, _b: bufcall_id_t) {
            absent(NAME)
        }
        fn quntimeout(_queue: Queue, _b: timeout_id_t) -> clock_t {
            absent(NAME)
        }
        fn qwriter(_queue: Queue, _message: Message, _c: Option<unsafe extern "C-unwind" fn()>, _d: c_int) {
            absent(NAME)
        }
        fn strqget(_queue: Queue, _b: qfields_t, _c: u8, _d: *mut c_void) -> c_int {
            absent(NAME)
        }
        fn strqset(_queue: Queue, _b: qfields_t, _c: u8, _d: isize) -> c_int {
            absent(NAME)
        }
    }
}
/// The functions on queues.
pub use queues::SYMBOLS as QUEUES;

/// Calls a driver's function in a tick.
fn soon(function: Function, arg: *mut c_void) -> bufcall_id_t {
    // SAFETY: the driver's function and argument.
    unsafe { time::timeout(function, arg, 1) }
}

ddi! {
    /// datamsg(9F): does a message of this type carry data?
    fn datamsg(kind: u8) -> c_int {
        DATA.contains(&kind).into()
    }
    /// testb(9F): could a message of this size be allocated?
    fn testb(_len: usize, _priority: c_uint) -> c_int {
        1
    }
    /// bufcall(9F): calls back when there is memory, which is soon.
    fn bufcall(_len: usize, _priority: c_uint, function: Function, arg: *mut c_void) -> bufcall_id_t {
        soon(function, arg)
    }
    /// esbbcall(9F): the same for esballoc.
    fn esbbcall(_priority: c_uint, function: Function, arg: *mut c_void) -> bufcall_id_t {
        soon(function, arg)
    }
    /// unbufcall(9F).
    fn unbufcall(id: bufcall_id_t) {
        // SAFETY: no pointer is followed.
        unsafe { time::untimeout(id) };
    }
    /// pullupmsg(9F): the first `len` bytes (-1: all) of a message in its first block. 1, or 0 when there are not so many.
    fn pullupmsg(mp: Option<Block>, len: isize) -> c_int {
        let Some((old, new)) = mp.zip(mblks::pulled_up(mp, len)) else { return 0 };
        // What they consist of changes places: the old blocks are behind the new descriptor.
        old.swap(new);
        mblks::free(Some(new));
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddi_kernel::board::report::{Policy, Reported};

    #[test]
    fn a_call_on_a_queue_is_reported() {
        report::set_policy(Policy::Unwind);
        // SAFETY: the host reports this.
        let caught = std::panic::catch_unwind(|| unsafe { queues::qprocson(std::ptr::null_mut()) });
        assert!(caught.unwrap_err().downcast_ref::<Reported>().unwrap().0.contains("no streams"));
        // SAFETY: no pointers.
        assert_eq!(unsafe { datamsg(1) }, 1);
    }
}
