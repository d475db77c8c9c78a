//! STREAMS messages (allocb(9F) and so on), as data that drivers hand to each other: there are no streams here, only their buffers.
//!
//! A message is a chain of blocks, each a descriptor (`mblk_t`) of a data block (`dblk_t`) that several descriptors may share. Memory is not the
//! driver's kmem, as in the kernel, so messages that are left are not in the book. Locking: the count of a data block is atomic.

use std::alloc::{Layout, alloc, dealloc};
use std::ffi::{c_char, c_int, c_uint};
use std::mem::transmute;
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};

use ddi_sys::{datab, free_rtn, mblk_t, msgb};

use ddi_kernel::board::report;
use ddi_kernel::ddi::args::{Argument, Out};
use ddi_kernel::kern::fields::{Structure, Zeroed as _, pointer};

fields! {
    /// A message block.
    ///
    /// # Invariants
    /// An `mblk_t` that [`describe`] made and [`Block::free`] has not freed yet, whose `b_cont` is NULL or another and whose `b_datap` is its data block; `b_rptr` and
    /// `b_wptr` lie in that block's buffer, in this order. Drivers change them, and promise to leave them so. Only whoever has the message uses it.
    pub struct Block at msgb {
        b_cont / set_cont => Block,
        b_rptr / set_rptr: *mut u8,
        b_wptr / set_wptr: *mut u8,
        b_datap => Data,
        b_band / set_band: u8,
        b_flag / set_flag: u16,
    }
}

/// A data block as drivers see it, and what the host needs behind it.
#[repr(C)]
struct Whole {
    public: datab,
    /// Bytes of a buffer of the host's; 0 for esballoc's.
    own: usize,
}

fields! {
    /// A data block.
    ///
    /// # Invariants
    /// The `dblk_t` of a [`Whole`] that [`Data::new`] made, with at least one reference: it is freed with the last of its message blocks. From `db_base` to `db_lim` is a
    /// buffer that lives as long. `db_frtnp` is NULL, or stays until its function has been called.
    struct Data at datab {
        db_base: *mut u8,
        db_lim: *mut u8,
        db_type / set_type: u8,
    }
}

fields! {
    /// The routine that frees a driver's buffer.
    ///
    /// # Invariants
    /// A `frtn_t` that the driver keeps until its function has been called.
    pub struct Free at free_rtn {
        free_func: Option<unsafe extern "C-unwind" fn()>,
        free_arg: *mut c_char,
    }
}

fn layout(len: usize) -> Layout {
    // The kernel's are at least that much aligned.
    Layout::from_size_align(len.max(1), 64).unwrap_or(Layout::new::<u64>())
}

impl Data {
    fn new(base: *mut u8, len: usize, own: usize, free: Option<Free>) -> Self {
        let limit = base.wrapping_add(len);
        let public = datab {
            db_frtnp: pointer(free),
            db_base: base,
            db_lim: limit,
            db_ref: 1,
            db_cpid: -1,
            ..datab::ZEROED
        };
        let data = Box::into_raw(Box::new(Whole { public, own }));
        // SAFETY: just made, with a reference, over a buffer of the caller's.
        unsafe { Data::of(data.cast()) }
    }

    /// Returns the number of message blocks that it has.
    fn references(&self) -> &AtomicU8 {
        let count = self.pointer().wrapping_byte_add(std::mem::offset_of!(datab, db_ref));
        // SAFETY: the data block lives, by the invariants, and its count is used atomically only.
        unsafe { AtomicU8::from_ptr(count.cast()) }
    }

    /// Drops a reference; frees the data block and its buffer with the last.
    fn release(self) {
        if self.references().fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        // SAFETY: made by `new` of a box; that was the last reference, so nobody has it any more.
        let data = unsafe { Box::from_raw(self.pointer().cast::<Whole>()) };
        if data.own > 0 {
            // SAFETY: `allocate` has allocated it with this layout.
            return unsafe { dealloc(data.public.db_base, layout(data.own)) };
        }
        // SAFETY: the invariant: NULL, or the driver's routine, which is still there.
        let routine = unsafe { Free::at(data.public.db_frtnp) };
        if let Some((free, arg)) =
            routine.and_then(|routine| routine.free_func().zip(Some(routine.free_arg())))
        {
            // SAFETY: declared without its parameter, which is the argument that is given with it.
            let free: unsafe extern "C-unwind" fn(*mut c_char) = unsafe { transmute(free) };
            // SAFETY: the driver's function, which it has given to esballoc(9F) to be called with this argument now.
            unsafe { free(arg) };
        }
    }
}

/// Returns a new descriptor of a data block, over none of its bytes; the reference is the caller's.
fn describe(data: Data, base: *mut u8) -> Block {
    let block = Box::new(msgb { b_rptr: base, b_wptr: base, b_datap: data.pointer(), ..msgb::ZEROED });
    // SAFETY: just made, with its data block.
    unsafe { Block::of(Box::into_raw(block)) }
}

/// Returns a new block with a buffer of `len` bytes; None when there is no memory.
fn allocate(len: usize) -> Option<Block> {
    let len = len.max(1);
    // SAFETY: not of size 0.
    let base = unsafe { alloc(layout(len)) };
    (!base.is_null()).then(|| describe(Data::new(base, len, len, None), base))
}

/// Returns a new block over a driver's buffer.
fn over(base: *mut u8, len: usize, free: Option<Free>) -> Option<Block> {
    (!base.is_null() && free.is_some()).then(|| describe(Data::new(base, len, 0, free), base))
}

/// Returns the block that an argument must be; reports NULL.
fn given(block: Option<Block>, function: &str) -> Option<Block> {
    if block.is_none() {
        report::mistake(function, "a message block is NULL", &format!("{function}(9F)"));
    }
    block
}

/// Returns the blocks of a message, which does not change meanwhile.
fn blocks(message: Option<Block>) -> impl Iterator<Item = Block> {
    std::iter::successors(message, |block| block.b_cont())
}

/// Returns the bytes of all blocks of a message.
fn size(message: Option<Block>) -> usize {
    blocks(message).map(Block::len).sum()
}

/// Frees a message.
pub(crate) fn free(message: Option<Block>) {
    for block in blocks(message).collect::<Vec<_>>() {
        block.free();
    }
}

/// Returns the first of what `f` makes of each block of a message, chained.
fn chain(message: Option<Block>, f: fn(Block) -> Option<Block>) -> Option<Block> {
    let (mut first, mut last) = (None, None::<Block>);
    for new in blocks(message).map(f) {
        match last {
            Some(last) => last.set_cont(new),
            None => first = new,
        }
        last = new;
    }
    first
}

impl Block {
    /// Returns its data block.
    fn data(self) -> Data {
        self.b_datap().unwrap_or_else(|| report::panic("a message block has no data block"))
    }

    /// Returns the number of bytes between its pointers.
    fn len(self) -> usize {
        (self.b_wptr() as usize).saturating_sub(self.b_rptr() as usize)
    }

    /// Appends the first `len` bytes of another block, which has so many; here is room for them.
    fn append(self, from: Block, len: usize) {
        // SAFETY: the invariants of `from`, which has so many bytes, and of this block; two blocks' buffers may be the same, so `copy`.
        unsafe { ptr::copy(from.b_rptr(), self.b_wptr(), len) };
        self.set_wptr(self.b_wptr().wrapping_add(len));
    }

    /// Returns a copy, in a buffer of the same size.
    fn copy(self) -> Option<Block> {
        let data = self.data();
        let before = self.b_rptr() as usize - data.db_base() as usize;
        let new = allocate(data.db_lim() as usize - data.db_base() as usize)?;
        let start = new.b_rptr().wrapping_add(before);
        new.set_rptr(start);
        new.set_wptr(start);
        new.append(self, self.len());
        new.data().set_type(data.db_type());
        new.set_band(self.b_band());
        new.set_flag(self.b_flag());
        Some(new)
    }

    /// Returns another descriptor of the same data.
    fn duplicate(self) -> Option<Block> {
        let data = self.data();
        data.references().fetch_add(1, Ordering::AcqRel);
        let new = describe(data, self.b_rptr());
        new.set_wptr(self.b_wptr());
        new.set_band(self.b_band());
        new.set_flag(self.b_flag());
        Some(new)
    }

    /// Frees the block and its reference to the data.
    fn free(self) {
        // SAFETY: made by `describe` of a box; whoever has it gives it back, and uses it no more.
        let data = self.data();
        // SAFETY: made by `describe` of a box; whoever has it gives it back, and uses it no more.
        drop(unsafe { Box::from_raw(self.pointer()) });
        data.release();
    }

    /// Takes the block out of what is chained, and returns what was behind it.
    fn take_cont(self) -> Option<Block> {
        let behind = self.b_cont();
        self.set_cont(None);
        behind
    }

    /// Exchanges what two blocks consist of.
    pub(crate) fn swap(self, other: Block) {
        // SAFETY: two structures that live, by the invariants, and are not the same: one of them is new.
        unsafe { ptr::swap(self.pointer(), other.pointer()) };
    }
}

/// Returns a copy whose first `len` bytes (below 0: all) are in one block; None when there are not so many.
pub(crate) fn pulled_up(message: Option<Block>, len: isize) -> Option<Block> {
    let total = size(message);
    let want = if len < 0 { total } else { len as usize };
    if want > total {
        return None;
    }
    let new = allocate(want)?;
    let rest = chain(message, Block::copy);
    let mut left = want;
    for block in blocks(rest) {
        let part = left.min(block.len());
        new.append(block, part);
        block.set_rptr(block.b_rptr().wrapping_add(part));
        left -= part;
    }
    if want < total {
        new.set_cont(rest);
    } else {
        free(rest);
    }
    Some(new)
}

ddi! {
    /// allocb(9F).
    fn allocb(len: usize, _priority: c_uint) -> *mut mblk_t {
        pointer(allocate(len))
    }
    /// allocb_wait: never fails.
    fn allocb_wait(len: usize, _priority: c_uint, _flags: c_uint, error: Out<c_int>) -> *mut mblk_t {
        error.set(0);
        pointer(allocate(len))
    }
    /// esballoc(9F): a block over the driver's own memory.
    fn [esballoc, desballoc](base: *mut u8, len: usize, _priority: c_uint, free: Option<Free>) -> *mut mblk_t {
        pointer(over(base, len, free))
    }
    /// freeb(9F): one block.
    fn freeb(mp: Option<Block>) {
        if let Some(mp) = given(mp, NAME) {
            mp.free();
        }
    }
    /// freemsg(9F): a whole message; NULL is ignored.
    fn freemsg(mp: Option<Block>) {
        free(mp);
    }
    /// dupb(9F): another descriptor of the same data.
    fn dupb(mp: Option<Block>) -> *mut mblk_t {
        pointer(given(mp, NAME).and_then(Block::duplicate))
    }
    /// dupmsg(9F).
    fn dupmsg(mp: Option<Block>) -> *mut mblk_t {
        pointer(chain(mp, Block::duplicate))
    }
    /// copyb(9F).
    fn copyb(mp: Option<Block>) -> *mut mblk_t {
        pointer(given(mp, NAME).and_then(Block::copy))
    }
    /// copymsg(9F).
    fn copymsg(mp: Option<Block>) -> *mut mblk_t {
        pointer(chain(mp, Block::copy))
    }
    /// linkb(9F): puts a message behind another.
    fn linkb(mp: Option<Block>, tail: Option<Block>) {
        if let Some(last) = blocks(mp).last() {
            last.set_cont(tail);
        }
    }
    /// unlinkb(9F): takes the first block off; the rest.
    fn unlinkb(mp: Option<Block>) -> *mut mblk_t {
        pointer(given(mp, NAME).and_then(Block::take_cont))
    }
    /// rmvb(9F): takes a block out of a message; what is left of it, NULL for nothing, -1 when the block is not in it.
    fn rmvb(mp: Option<Block>, block: Option<Block>) -> *mut mblk_t {
        let mut before = None::<Block>;
        let found = blocks(mp).find(|&at| Some(at) == block || { before = Some(at); false });
        let Some(found) = found else { return ptr::without_provenance_mut(usize::MAX) };
        let behind = found.take_cont();
        match before {
            None => pointer(behind),
            Some(before) => {
                before.set_cont(behind);
                pointer(mp)
            }
        }
    }
    /// msgdsize(9F): bytes of data blocks.
    fn msgdsize(mp: Option<Block>) -> usize {
        blocks(mp).filter(|block| block.data().db_type() == 0).map(Block::len).sum()
    }
    /// msgsize(9F): bytes of all blocks.
    fn msgsize(mp: Option<Block>) -> usize {
        size(mp)
    }
    /// adjmsg(9F): takes bytes off the front (or, below 0, the end). 1, or 0 when there are not so many.
    fn adjmsg(mp: Option<Block>, len: isize) -> c_int {
        let mut left = len.unsigned_abs();
        if size(mp) < left {
            return 0;
        }
        let mut all: Vec<Block> = blocks(mp).collect();
        if len < 0 {
            all.reverse();
        }
        for block in all {
            let n = left.min(block.len());
            if len < 0 {
                block.set_wptr(block.b_wptr().wrapping_sub(n));
            } else {
                block.set_rptr(block.b_rptr().wrapping_add(n));
            }
            left -= n;
        }
        1
    }
    /// msgpullup(9F): a copy whose first `len` bytes (-1: all) are in one block; the rest follows as it was.
    fn msgpullup(mp: Option<Block>, len: isize) -> *mut mblk_t {
        pointer(pulled_up(mp, len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &[u8]) -> Option<Block> {
        let block = allocate(32)?;
        // SAFETY: there is room for 32 bytes.
        unsafe { ptr::copy_nonoverlapping(text.as_ptr(), block.b_wptr(), text.len()) };
        block.set_wptr(block.b_wptr().wrapping_add(text.len()));
        Some(block)
    }

    fn remove(message: Option<Block>, block: Option<Block>) -> *mut mblk_t {
        // SAFETY: a message of the test and a block of it.
        unsafe { rmvb(pointer(message), pointer(block)) }
    }

    #[test]
    fn messages_are_chained_shared_cut_and_freed() {
        let (a, b) = (block(b"hello "), block(b"world"));
        // SAFETY: messages of the test, here and below.
        unsafe { linkb(pointer(a), pointer(b)) };
        let (shared, copied) = (chain(a, Block::duplicate), chain(a, Block::copy));
        // SAFETY: as above.
        assert_eq!(unsafe { msgdsize(pointer(a)) }, 11);
        // SAFETY: as above.
        let cut = |n| unsafe { adjmsg(pointer(a), n) };
        assert_eq!((cut(7), cut(-10), size(a)), (1, 0, 4));
        free(a);
        for message in [shared, copied] {
            let whole = pulled_up(message, -1).unwrap();
            // SAFETY: so many bytes are in the block.
            let text = unsafe { std::slice::from_raw_parts(whole.b_rptr(), whole.len()) };
            assert_eq!(text, b"hello world");
            free(Some(whole));
            free(message);
        }
    }

    #[test]
    fn a_block_is_taken_out_of_a_message() {
        let (a, b) = (block(b"one"), block(b"two"));
        a.unwrap().set_cont(b);
        assert_eq!(remove(a, b), pointer(a));
        assert_eq!((remove(a, b) as usize, size(a)), (usize::MAX, 3));
        assert!(remove(a, a).is_null());
        free(a);
        free(b);
    }
}
