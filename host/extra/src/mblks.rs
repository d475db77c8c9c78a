//! STREAMS messages (allocb(9F) and so on), as data that drivers hand to each other: there are no streams here, only their buffers.
//!
//! A message is a chain of blocks, each a descriptor (`mblk_t`) of a data block (`dblk_t`) that several descriptors may share. Memory is not the
//! driver's kmem, as in the kernel, so messages that are left are not in the book. Locking: the count of a data block is atomic.

use std::alloc::{Layout, alloc, dealloc};
use std::ffi::{c_int, c_uint};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU8, Ordering};

/// `mblk_t`.
#[repr(C)]
#[derive(Debug)]
pub struct Mblk {
    b_next: *mut Mblk,
    b_prev: *mut Mblk,
    b_cont: *mut Mblk,
    b_rptr: *mut u8,
    b_wptr: *mut u8,
    b_datap: *mut Dblk,
    b_band: u8,
    b_tag: u8,
    b_flag: u16,
    b_queue: usize,
}

/// `dblk_t`, as far as drivers look, and what the host needs behind it.
#[repr(C)]
#[derive(Debug)]
struct Dblk {
    db_frtnp: *mut FreeRoutine,
    db_base: *mut u8,
    db_lim: *mut u8,
    db_ref: AtomicU8,
    db_type: u8,
    db_flags: u8,
    db_struioflag: u8,
    db_cpid: i32,
    rest: [usize; 12],
    /// Bytes of a buffer of the host's; 0 for esballoc's.
    own: usize,
}

/// `frtn_t`: what esballoc's buffers are given back to.
#[repr(C)]
#[derive(Debug)]
pub struct FreeRoutine {
    free_func: Option<unsafe extern "C-unwind" fn(*mut i8)>,
    free_arg: *mut i8,
}

const _: () = assert!(size_of::<Mblk>() == 64 && std::mem::offset_of!(Dblk, db_type) == 25);

fn layout(len: usize) -> Layout {
    // The kernel's are at least that much aligned.
    Layout::from_size_align(len.max(1), 64).unwrap_or(Layout::new::<u64>())
}

/// A descriptor of a data block, over all of it.
fn describe(data: *mut Dblk, base: *mut u8) -> *mut Mblk {
    Box::into_raw(Box::new(Mblk {
        b_next: null_mut(),
        b_prev: null_mut(),
        b_cont: null_mut(),
        b_rptr: base,
        b_wptr: base,
        b_datap: data,
        b_band: 0,
        b_tag: 0,
        b_flag: 0,
        b_queue: 0,
    }))
}

fn data_block(base: *mut u8, len: usize, own: usize, free: *mut FreeRoutine) -> *mut Dblk {
    Box::into_raw(Box::new(Dblk {
        db_frtnp: free,
        db_base: base,
        db_lim: base.wrapping_add(len),
        db_ref: AtomicU8::new(1),
        db_type: 0,
        db_flags: 0,
        db_struioflag: 0,
        db_cpid: -1,
        rest: [0; 12],
        own,
    }))
}

/// The blocks of a message.
///
/// # Safety
/// `mp` is NULL or a live message, which does not change meanwhile.
unsafe fn blocks(mp: *mut Mblk) -> impl Iterator<Item = *mut Mblk> {
    // SAFETY: the caller's promise.
    std::iter::successors((!mp.is_null()).then_some(mp), |mp| {
        // SAFETY: the caller's promise.
        let next = unsafe { (**mp).b_cont };
        (!next.is_null()).then_some(next)
    })
}

/// Bytes between a block's pointers.
///
/// # Safety
/// `mp` is live.
unsafe fn len_of(mp: *mut Mblk) -> usize {
    // SAFETY: the caller's promise.
    let m = unsafe { &*mp };
    (m.b_wptr as usize).saturating_sub(m.b_rptr as usize)
}

/// A copy of one block, with room for `len` bytes.
///
/// # Safety
/// `mp` is live.
unsafe fn copy(mp: *mut Mblk) -> *mut Mblk {
    // SAFETY: the caller's promise.
    let m = unsafe { &*mp };
    // SAFETY: a live block has a live data block.
    let data = unsafe { &*m.b_datap };
    let (size, before) =
        (data.db_lim as usize - data.db_base as usize, m.b_rptr as usize - data.db_base as usize);
    // SAFETY: no pointers.
    let new = unsafe { allocb(size, 0) };
    // SAFETY: just made.
    let n = unsafe { &mut *new };
    // SAFETY: the caller's promise.
    let len = unsafe { len_of(mp) };
    n.b_rptr = n.b_rptr.wrapping_add(before);
    n.b_wptr = n.b_rptr.wrapping_add(len);
    // SAFETY: both buffers have the room.
    unsafe { std::ptr::copy_nonoverlapping(m.b_rptr, n.b_rptr, len) };
    let new_data = n.b_datap;
    // SAFETY: just made.
    unsafe { (*new_data).db_type = data.db_type };
    (n.b_band, n.b_flag) = (m.b_band, m.b_flag);
    new
}

/// Another descriptor of a block's data.
///
/// # Safety
/// `mp` is live.
unsafe fn dup(mp: *mut Mblk) -> *mut Mblk {
    // SAFETY: the caller's promise.
    unsafe { dupb(mp) }
}

/// Applies `f` to each block of a message, and chains what it gives.
///
/// # Safety
/// `mp` is NULL or a live message.
unsafe fn chain(mp: *mut Mblk, f: unsafe fn(*mut Mblk) -> *mut Mblk) -> *mut Mblk {
    let (mut first, mut last) = (null_mut::<Mblk>(), null_mut::<Mblk>());
    // SAFETY: the caller's promise.
    for block in unsafe { blocks(mp) } {
        // SAFETY: a live block of the message.
        let new = unsafe { f(block) };
        if last.is_null() {
            first = new;
        } else {
            // SAFETY: made in the last round.
            unsafe { (*last).b_cont = new };
        }
        last = new;
    }
    first
}

ddi! {
    /// allocb(9F).
    @private fn allocb(len: usize, _priority: c_uint) -> *mut Mblk {
        let len = len.max(1);
        // SAFETY: not of size 0.
        let base = unsafe { alloc(layout(len)) };
        if base.is_null() {
            return null_mut();
        }
        describe(data_block(base, len, len, null_mut()), base)
    }
    /// allocb_wait: never fails.
    @private fn allocb_wait(len: usize, priority: c_uint, _flags: c_uint, error: *mut c_int) -> *mut Mblk {
        // SAFETY: the driver's promise.
        unsafe { ddi_kernel::ddi::store(error, 0) };
        // SAFETY: no pointers.
        unsafe { allocb(len, priority) }
    }
    /// esballoc(9F): a block over the driver's own memory.
    @private fn esballoc(base: *mut u8, len: usize, _priority: c_uint, free: *mut FreeRoutine) -> *mut Mblk {
        if base.is_null() || free.is_null() {
            return null_mut();
        }
        describe(data_block(base, len, 0, free), base)
    }
    /// desballoc(9F): the same, freed at once.
    @private fn desballoc(base: *mut u8, len: usize, priority: c_uint, free: *mut FreeRoutine) -> *mut Mblk {
        // SAFETY: the driver's promise.
        unsafe { esballoc(base, len, priority, free) }
    }
    /// freeb(9F): one block.
    @private fn freeb(mp: *mut Mblk) {
        // SAFETY: made by `describe`, given back now.
        let m = unsafe { Box::from_raw(mp) };
        // SAFETY: a live block has a live data block.
        if unsafe { (*m.b_datap).db_ref.fetch_sub(1, Ordering::AcqRel) } > 1 {
            return;
        }
        // SAFETY: made by `data_block`; that was the last reference.
        let data = unsafe { Box::from_raw(m.b_datap) };
        if data.own > 0 {
            // SAFETY: allocated with this layout.
            unsafe { dealloc(data.db_base, layout(data.own)) };
        // SAFETY: esballoc's routine, which lives as long as the message.
        } else if let Some(free) = unsafe { (*data.db_frtnp).free_func } {
            // SAFETY: as above.
            let arg = unsafe { (*data.db_frtnp).free_arg };
            // SAFETY: the driver's function.
            unsafe { free(arg) };
        }
    }
    /// freemsg(9F): a whole message; NULL is ignored.
    @private fn freemsg(mp: *mut Mblk) {
        // SAFETY: the driver's promise.
        for block in unsafe { blocks(mp) }.collect::<Vec<_>>() {
            // SAFETY: a block of the driver's message.
            unsafe { freeb(block) };
        }
    }
    /// dupb(9F): another descriptor of the same data.
    @private fn dupb(mp: *mut Mblk) -> *mut Mblk {
        // SAFETY: the driver's promise.
        let m = unsafe { &*mp };
        // SAFETY: a live block has a live data block.
        unsafe { (*m.b_datap).db_ref.fetch_add(1, Ordering::AcqRel) };
        let new = describe(m.b_datap, m.b_rptr);
        // SAFETY: just made.
        let n = unsafe { &mut *new };
        (n.b_wptr, n.b_band, n.b_flag) = (m.b_wptr, m.b_band, m.b_flag);
        new
    }
    /// dupmsg(9F).
    @private fn dupmsg(mp: *mut Mblk) -> *mut Mblk {
        // SAFETY: the driver's promise.
        unsafe { chain(mp, dup) }
    }
    /// copyb(9F).
    @private fn copyb(mp: *mut Mblk) -> *mut Mblk {
        // SAFETY: the driver's promise.
        unsafe { copy(mp) }
    }
    /// copymsg(9F).
    @private fn copymsg(mp: *mut Mblk) -> *mut Mblk {
        // SAFETY: the driver's promise.
        unsafe { chain(mp, copy) }
    }
    /// linkb(9F): puts a message behind another.
    @private fn linkb(mp: *mut Mblk, tail: *mut Mblk) {
        // SAFETY: the driver's promise.
        if let Some(last) = unsafe { blocks(mp) }.last() {
            // SAFETY: a block of the driver's message.
            unsafe { (*last).b_cont = tail };
        }
    }
    /// unlinkb(9F): takes the first block off; the rest.
    @private fn unlinkb(mp: *mut Mblk) -> *mut Mblk {
        // SAFETY: the driver's promise.
        unsafe { std::mem::replace(&mut (*mp).b_cont, null_mut()) }
    }
    /// rmvb(9F): takes a block out of a message; what is left of it, NULL for nothing, -1 when the block is not in it.
    @private fn rmvb(mp: *mut Mblk, block: *mut Mblk) -> *mut Mblk {
        let mut before: *mut Mblk = null_mut();
        let mut at = mp;
        while !at.is_null() && at != block {
            before = at;
            // SAFETY: the driver's promise: a message.
            at = unsafe { (*at).b_cont };
        }
        if at.is_null() {
            return std::ptr::without_provenance_mut(usize::MAX);
        }
        // SAFETY: a block of the message.
        let behind = unsafe { std::mem::replace(&mut (*at).b_cont, null_mut()) };
        if before.is_null() {
            return behind;
        }
        // SAFETY: a block of the message.
        unsafe { (*before).b_cont = behind };
        mp
    }
    /// msgdsize(9F): bytes of data blocks.
    @private fn msgdsize(mp: *const Mblk) -> usize {
        // SAFETY: the driver's promise.
        let all = unsafe { blocks(mp.cast_mut()) };
        let of_data = |mp: &*mut Mblk| {
            // SAFETY: a live block.
            let data = unsafe { (**mp).b_datap };
            // SAFETY: it has a live data block.
            (unsafe { (*data).db_type }) == 0
        };
        // SAFETY: as above.
        all.filter(of_data).map(|mp| unsafe { len_of(mp) }).sum()
    }
    /// msgsize(9F): bytes of all blocks.
    @private fn msgsize(mp: *mut Mblk) -> usize {
        // SAFETY: the driver's promise.
        let all = unsafe { blocks(mp) };
        // SAFETY: live blocks.
        all.map(|mp| unsafe { len_of(mp) }).sum()
    }
    /// adjmsg(9F): takes bytes off the front (or, below 0, the end). 1, or 0 when there are not so many.
    @private fn adjmsg(mp: *mut Mblk, len: isize) -> c_int {
        // SAFETY: the driver's promise.
        let mut all: Vec<*mut Mblk> = unsafe { blocks(mp) }.collect();
        let mut left = len.unsigned_abs();
        // SAFETY: blocks of the driver's message.
        if all.iter().map(|&mp| unsafe { len_of(mp) }).sum::<usize>() < left {
            return 0;
        }
        if len < 0 {
            all.reverse();
        }
        for block in all {
            // SAFETY: as above.
            let n = left.min(unsafe { len_of(block) });
            // SAFETY: as above.
            let m = unsafe { &mut *block };
            if len < 0 {
                m.b_wptr = m.b_wptr.wrapping_sub(n);
            } else {
                m.b_rptr = m.b_rptr.wrapping_add(n);
            }
            left -= n;
        }
        1
    }
    /// msgpullup(9F): a copy whose first `len` bytes (-1: all) are in one block; the rest follows as it was.
    @private fn msgpullup(mp: *mut Mblk, len: isize) -> *mut Mblk {
        // SAFETY: the driver's promise.
        let total = unsafe { msgsize(mp) };
        let want = if len < 0 { total } else { len as usize };
        if want > total {
            return null_mut();
        }
        // SAFETY: no pointers.
        let new = unsafe { allocb(want, 0) };
        // SAFETY: the driver's promise.
        let rest = unsafe { copymsg(mp) };
        // SAFETY: just made, here and below.
        let n = unsafe { &mut *new };
        let mut left = want;
        // SAFETY: the copy just made.
        for block in unsafe { blocks(rest) } {
            // SAFETY: as above.
            let part = left.min(unsafe { len_of(block) });
            // SAFETY: as above.
            let m = unsafe { &mut *block };
            // SAFETY: the new block has room for `want` bytes.
            unsafe { std::ptr::copy_nonoverlapping(m.b_rptr, n.b_wptr, part) };
            n.b_wptr = n.b_wptr.wrapping_add(part);
            m.b_rptr = m.b_rptr.wrapping_add(part);
            left -= part;
        }
        if want < total {
            n.b_cont = rest;
        } else {
            // SAFETY: nothing of it is left.
            unsafe { freemsg(rest) };
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_chained_shared_cut_and_freed() {
        let block = |text: &[u8]| {
            // SAFETY: blocks of the test, here and below.
            let mp = unsafe { allocb(32, 0) };
            // SAFETY: as above.
            let m = unsafe { &mut *mp };
            // SAFETY: 32 bytes were asked for.
            unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), m.b_wptr, text.len()) };
            m.b_wptr = m.b_wptr.wrapping_add(text.len());
            mp
        };
        let (a, b) = (block(b"hello "), block(b"world"));
        // SAFETY: as above.
        unsafe { linkb(a, b) };
        // SAFETY: as above.
        let shared = unsafe { dupmsg(a) };
        // SAFETY: as above.
        let copied = unsafe { copymsg(a) };
        // SAFETY: as above.
        assert_eq!(unsafe { msgdsize(a) }, 11);
        // SAFETY: as above.
        let cut = |n| unsafe { adjmsg(a, n) };
        assert_eq!((cut(7), cut(-10)), (1, 0));
        // SAFETY: as above.
        assert_eq!(unsafe { msgsize(a) }, 4);
        // SAFETY: as above.
        unsafe { freemsg(a) };
        // SAFETY: as above.
        let one = unsafe { msgpullup(shared, -1) };
        // SAFETY: as above.
        let start = unsafe { (*one).b_rptr };
        // SAFETY: as above.
        let text = unsafe { std::slice::from_raw_parts(start, 11) };
        assert_eq!(text, b"hello world");
        for mp in [shared, copied, one] {
            // SAFETY: as above.
            unsafe { freemsg(mp) };
        }
    }
}
