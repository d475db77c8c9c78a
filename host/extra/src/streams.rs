//! STREAMS queues: the host has none.
//!
//! Drivers that also have devices without streams (as the audio drivers do) are linked against these functions, which only make sense on the queue of
//! an open stream. No stream is ever opened here, so none of them is called by a driver that is right; a call is reported. What needs no queue works.
//! No locking.

use std::ffi::{c_int, c_uint, c_void};

use crate::mblks::{self, Block};
use ddi_kernel::board::report;
use ddi_kernel::ddi::time;

/// `M_DATA`, `M_PROTO`, `M_DELAY` and `M_PCPROTO`: messages that carry data.
const DATA: [u8; 4] = [0x00, 0x01, 0x0c, 0x83];

/// A call with a queue, which cannot be one.
fn absent(function: &str) -> usize {
    let what = "the host has no streams, so there is no queue that it could be called with";
    report::mistake(function, what, &format!("{function}(9F)"));
    0
}

/// Defines functions on queues.
macro_rules! on_queues {
    ($($name:ident),* $(,)?) => {
        mod queues {
            use super::{absent, c_void};
            ddi! {
                $(
                    #[doc = concat!(stringify!($name), ": on the queue of a stream.")]
                    @private fn $name(_queue: *mut c_void) -> usize {
                        absent(stringify!($name))
                    }
                )*
            }
        }
        /// The functions on queues.
        pub static QUEUES: &[ddi_kernel::ddi::Symbol] = queues::SYMBOLS;
    };
}

on_queues! {
    OTHERQ, RD, SAMESTR, WR, backq, bcanput, bcanputnext, canput, canputnext, enableok, flushband, flushq, freezestr, getq,
    insq, mcopyin, mcopymsg, mcopyout, merror, mexchange, mioc2ack, miocack, miocnak, miocpullup, mkiocb, noenable, put,
    putbq, putctl, putctl1, putnext, putnextctl, putnextctl1, putq, qassociate, qbufcall, qenable, qprocsoff, qprocson,
    qreply, qsize, qtimeout, qunbufcall, quntimeout, qwait, qwait_sig, qwriter, rmvq, strqget, strqset, unfreezestr,
}

ddi! {
    /// datamsg(9F): does a message of this type carry data?
    @private fn datamsg(kind: u8) -> c_int {
        DATA.contains(&kind).into()
    }
    /// testb(9F): could a message of this size be allocated?
    @private fn testb(_len: usize, _priority: c_uint) -> c_int {
        1
    }
    /// bufcall(9F): calls back when there is memory, which is soon.
    @private fn bufcall(
        _len: usize,
        _priority: c_uint,
        function: Option<unsafe extern "C-unwind" fn(*mut c_void)>,
        arg: *mut c_void,
    ) -> usize {
        // SAFETY: the driver's function and argument.
        unsafe { time::timeout(function, arg, 1) as usize }
    }
    /// esbbcall(9F): the same for esballoc.
    @private fn esbbcall(
        _priority: c_uint,
        function: Option<unsafe extern "C-unwind" fn(*mut c_void)>,
        arg: *mut c_void,
    ) -> usize {
        // SAFETY: the driver's function and argument.
        unsafe { time::timeout(function, arg, 1) as usize }
    }
    /// unbufcall(9F).
    @private fn unbufcall(id: usize) {
        // SAFETY: no pointer is followed.
        unsafe { time::untimeout(id as ddi_sys::timeout_id_t) };
    }
    /// pullupmsg(9F): the first `len` bytes (-1: all) of a message in its first block. 1, or 0 when there are not so many.
    @private fn pullupmsg(mp: Option<Block>, len: isize) -> c_int {
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
