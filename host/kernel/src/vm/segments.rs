//! Segments of a segment driver that a module brings along: what of an address space is not segdev's, as illumos's kernel keeps it.
//!
//! A segment is a `struct seg` in memory of the host that its driver writes to (`s_ops`, `s_data`, and the bounds when part of it is unmapped). The host keeps
//! the list, and calls the operations as the kernel does: `unmap` and `dup` with the address space locked as writer, the others as reader. Its translations are
//! the process's, which the driver changes with the `hat_` functions ([`crate::ddi::hats`]).
//!
//! Locking: `lock` is the address space's (`a_lock`), held across the driver's operations; `list` is a leaf round the list alone: seg_alloc and
//! seg_free are called by operations. `range` is the range lock (as_rangelock), taken before the address space's.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use std::time::Instant;

use ddi_process::physmem::PAGE_SIZE;
use ddi_process::{Call, Control, Piece, Prot, Wake, interruptibly};
use ddi_sys::{EAGAIN, EDEADLK, EINTR, EIO, ENOMEM, MC_LOCK, MC_UNLOCK, caddr_t, faultcode_t, seg, seg_ops};
use parking_lot::{Condvar, Mutex, RwLock, RwLockWriteGuard};

use super::client::{Client, Entry};
use crate::board::report;
use crate::kern::fields::{Structure, Zeroed as _};
use crate::kern::{clock, entry, lock};

/// A tick of the clock, for which the kernel waits before it tries a fault again.
const TICK: Duration = Duration::from_millis(10);

/// A `struct seg` of the list.
///
/// # Invariants
/// The fields are read and written, one by one, by the holder of the address space's lock, host or segment driver; the list's mutex is held when it is added or removed.
/// With that mutex alone, which keeps the segment, its bounds may be read: two words, of which a driver may be changing one.
struct Seg(Box<UnsafeCell<seg>>);

// SAFETY: the invariant: no thread touches it without a lock.
unsafe impl Send for Seg {}

crate::fields! {
    /// A segment, as its driver and the host see it.
    ///
    /// # Invariants
    /// A `struct seg` in a [`Seg`] of the list, or of one that is being taken out.
    struct Place at seg {
        s_base: caddr_t,
        s_size: usize,
        s_ops: *mut seg_ops,
        s_data: *mut c_void,
    }
}

impl Place {
    /// Returns the place of a segment of the list.
    fn of(segment: *mut seg) -> Self {
        // SAFETY: `Segments` hands out the addresses of segments of the list only, and they are used with the address space locked.
        unsafe { Place::at(segment) }.expect("a segment has an address")
    }
}

impl Seg {
    fn address(&self) -> *mut seg {
        self.0.get()
    }

    fn bounds(&self) -> (u64, u64) {
        bounds(self.address())
    }
}

/// Returns a segment's first byte and its length, as its driver has set them.
fn bounds(at: *mut seg) -> (u64, u64) {
    let place = Place::of(at);
    (place.s_base() as u64, place.s_size() as u64)
}

/// The segments of one address space.
#[derive(Default)]
pub struct Segments {
    lock: RwLock<()>,
    /// Ascending, and none over another.
    list: Mutex<Vec<Seg>>,
    range: Mutex<bool>,
    range_free: Condvar,
}

/// The operations of a segment; `None`, after a report, when its driver has not set them.
fn operations(at: *mut seg, op: &str) -> Option<seg_ops> {
    let ops = Place::of(at).s_ops();
    if ops.is_null() {
        report::mistake("as_map", &format!("{op} of a segment without operations (s_ops is NULL)"), "as_map");
        return None;
    }
    // SAFETY: its driver's table.
    Some(unsafe { ops.read() })
}

/// Calls an operation of a segment; `failed` when the table has no such operation, or the code unwound.
macro_rules! operate {
    ($segment:expr, $op:ident($($arg:expr),*), $failed:expr) => {{
        let segment = $segment;
        match operations(segment, stringify!($op)).map(|ops| ops.$op) {
            Some(Some(f)) => {
                let name = || {
                    let module = ddi_krtld::module_at(f as usize).map_or_else(String::new, |m| format!("{}: ", m.name()));
                    format!("{module}{} of a segment", stringify!($op))
                };
                // SAFETY: the segment driver's operation, with the address space locked as the kernel does.
                entry::call(name, || unsafe { f($($arg),*) }).unwrap_or($failed)
            }
            _ => $failed,
        }
    }};
}

impl Segments {
    /// as_rangelock.
    pub fn lock_range(&self) {
        let mut taken = self.range.lock();
        while *taken {
            self.range_free.wait(&mut taken);
        }
        *taken = true;
    }

    /// as_rangeunlock.
    pub fn unlock_range(&self) {
        *self.range.lock() = false;
        self.range_free.notify_one();
    }

    /// The parts of a range that segments have, ascending.
    pub fn parts(&self, addr: u64, len: u64) -> Vec<(u64, u64)> {
        let end = addr.saturating_add(len);
        let list = self.list.lock();
        let parts = list.iter().map(Seg::bounds).filter(|(base, size)| *base < end && addr < base + size);
        parts.map(|(base, size)| (base.max(addr), (base + size).min(end) - base.max(addr))).collect()
    }

    /// Whether a segment holds this address.
    pub fn holds(&self, addr: u64) -> bool {
        self.at(addr, false).is_some()
    }

    /// The segment that holds an address, or (`tail`) the next one. The address space is locked, so it stays.
    pub fn at(&self, addr: u64, tail: bool) -> Option<*mut seg> {
        let list = self.list.lock();
        let next = list.partition_point(|seg| {
            let (base, size) = seg.bounds();
            base + size <= addr
        });
        let found = list.get(next)?;
        (tail || found.bounds().0 <= addr).then(|| found.address())
    }

    /// The segments that have something of `[addr, end)`. The address space is locked, so they stay.
    fn within(&self, addr: u64, end: u64) -> Vec<*mut seg> {
        let list = self.list.lock();
        let some = list.iter().filter(|seg| {
            let (base, size) = seg.bounds();
            base < end && addr < base + size
        });
        some.map(Seg::address).collect()
    }

    /// seg_alloc: a segment without operations; `None` if the range is taken. The address space is locked as writer.
    pub fn alloc(&self, space: usize, base: u64, size: u64) -> Option<*mut seg> {
        if size == 0 || !self.within(base, base.checked_add(size)?).is_empty() {
            return None;
        }
        let mut new = seg::ZEROED;
        (new.s_base, new.s_size, new.s_as) = (base as caddr_t, size as usize, space as *mut ddi_sys::as_);
        let new = Seg(Box::new(UnsafeCell::new(new)));
        let address = new.address();
        let mut list = self.list.lock();
        let at = list.partition_point(|seg| seg.bounds().0 < base);
        list.insert(at, new);
        Some(address)
    }

    /// seg_free: takes a segment out of the address space, which is locked as writer; calls its `free` if it has data. False if it is none of these.
    pub(crate) fn free(&self, segment: *mut seg) -> bool {
        let gone = {
            let mut list = self.list.lock();
            let Some(at) = list.iter().position(|seg| seg.address() == segment) else { return false };
            list.remove(at)
        };
        if !Place::of(segment).s_data().is_null() {
            operate!(segment, free(segment), ());
        }
        drop(gone);
        true
    }
}

/// A segment's protections, as runs of pages: address, bytes, protection. The address space is locked.
fn protections(segment: *mut seg) -> Vec<(u64, u64, Prot)> {
    let (base, size) = bounds(segment);
    let pages = size / PAGE_SIZE;
    let mut list = vec![0u32; pages as usize + 1];
    let error =
        operate!(segment, getprot(segment, base as caddr_t, (size - 1) as usize, list.as_mut_ptr()), EIO);
    let mut runs: Vec<(u64, u64, Prot)> = Vec::new();
    for (page, bits) in (0..pages).zip(list) {
        let prot = if error == 0 { Prot::from_bits_truncate(bits) } else { Prot::all() };
        match runs.last_mut() {
            Some((_, len, last)) if *last == prot => *len += PAGE_SIZE,
            _ => runs.push((base + page * PAGE_SIZE, PAGE_SIZE, prot)),
        }
    }
    runs
}

/// Maps a new segment's range in the process; the frames are known when they are loaded.
fn map_pieces(segment: *mut seg, reserved: bool) -> Result<(), c_int> {
    let (base, size) = bounds(segment);
    let pieces: Vec<Piece> =
        protections(segment).into_iter().map(|(va, len, prot)| Piece { va, len, pfn: None, prot }).collect();
    Call::with_current(|call| {
        let call = call.ok_or(ENOMEM)?;
        let linux = |e: ddi_process::Errno| crate::kern::errno::illumos_errno(e.0);
        if !reserved {
            call.reserve(size, PAGE_SIZE, 0, base, Some(base)).map_err(linux)?;
        }
        call.map_pieces(&pieces).map_err(linux)
    })
}

impl Entry {
    fn as_address(&self) -> usize {
        self.client.image().space()
    }

    /// as_map: makes a segment by `create`, in the calling process. `reserved`: its addresses are the process's already.
    ///
    /// # Errors
    /// The error of `create`; `ENOMEM` if the range is in use, or for Linux's reasons.
    pub fn make_segment(
        &self,
        base: u64,
        size: u64,
        reserved: bool,
        create: impl FnOnce(*mut *mut seg) -> c_int,
    ) -> Result<(), c_int> {
        let segments = &self.segments;
        let _writer = segments.lock.write();
        if !self.space.parts(super::host::framework(), base, size).is_empty() {
            return Err(ENOMEM);
        }
        let made = segments.alloc(self.as_address(), base, size).ok_or(ENOMEM)?;
        let mut place = made;
        let error =
            entry::call(|| "a segment's create function".into(), || create(&mut place)).unwrap_or(EIO);
        let error = if error == 0 { map_pieces(made, reserved).err().unwrap_or(0) } else { error };
        if error == 0 {
            return Ok(());
        }
        let complete = !Place::of(made).s_ops().is_null();
        // One that is complete goes as by munmap.
        if !complete || operate!(made, unmap(made, base as caddr_t, size as usize), EIO) != 0 {
            segments.free(made);
        }
        Err(error)
    }

    /// as_unmap: takes whole pages away, segment by segment; waits while a segment has pages locked (`EAGAIN`).
    ///
    /// # Errors
    /// The error of a segment's driver; `EINTR` if the process has gone meanwhile.
    pub fn unmap_segments(&self, addr: u64, len: u64) -> Result<(), c_int> {
        let end = addr.saturating_add(len);
        loop {
            let writer = self.segments.lock.write();
            match self.unmap_locked(&writer, addr, end) {
                Err(EAGAIN) => {}
                other => return other,
            }
            drop(writer);
            self.wait_unlocked()?;
        }
    }

    fn unmap_locked(&self, _writer: &RwLockWriteGuard<'_, ()>, addr: u64, end: u64) -> Result<(), c_int> {
        for segment in self.segments.within(addr, end) {
            let (base, size) = bounds(segment);
            let (from, to) = (base.max(addr), (base + size).min(end));
            match operate!(segment, unmap(segment, from as caddr_t, (to - from) as usize), EIO) {
                0 => {}
                error => return Err(error),
            }
            if let Some((from, len)) = self.segments.parts(from, to - from).first() {
                let what = format!(
                    "unmap left {len} bytes at {from:#x} that it was to take away in the address space"
                );
                report::mistake("as_unmap", &what, "seg_free");
            }
        }
        Ok(())
    }

    /// Waits until pages of the address space are unlocked, as a segment driver tells it: it clears `AS_UNMAPWAIT` and wakes `a_cv`.
    fn wait_unlocked(&self) -> Result<(), c_int> {
        let space = self.as_address() as *mut ddi_sys::as_;
        let wait = AS_UNMAPWAIT;
        let member = |offset| space.wrapping_byte_add(offset);
        // SAFETY: its mutex, eight aligned bytes that live as long as this entry and are used as a lock only; zeroes are one.
        let mutex =
            unsafe { AtomicU64::from_ptr(member(std::mem::offset_of!(ddi_sys::as_, a_contents)).cast()) };
        let cv = member(std::mem::offset_of!(ddi_sys::as_, a_cv)) as usize;
        // SAFETY: its flags, a byte that lives as long and that others change under its mutex only.
        let flags = unsafe { AtomicU8::from_ptr(member(std::mem::offset_of!(ddi_sys::as_, a_flags)).cast()) };
        // A driver that holds it already was reported by its own mutex_enter.
        let _ = lock::mutex_enter(mutex);
        flags.store(flags.load(Ordering::Relaxed) | wait, Ordering::Relaxed);
        while flags.load(Ordering::Relaxed) & wait != 0 && !self.client.process().is_gone() {
            let _ = lock::cv_wait(cv, mutex, Some(Instant::now() + clock::ticks(1)), false);
        }
        let _ = lock::mutex_exit(mutex);
        if self.client.process().is_gone() { Err(EINTR) } else { Ok(()) }
    }

    /// as_setprot of whole pages that segments have.
    ///
    /// # Errors
    /// The error of a segment's driver; segments before it stay changed.
    pub fn protect_segments(&self, addr: u64, len: u64, prot: u32) -> Result<(), c_int> {
        let end = addr.saturating_add(len);
        loop {
            let reader = self.segments.lock.read();
            let mut result = 0;
            for segment in self.segments.within(addr, end) {
                let (base, size) = bounds(segment);
                let (from, to) = (base.max(addr), (base + size).min(end));
                result =
                    operate!(segment, setprot(segment, from as caddr_t, (to - from) as usize, prot), EIO);
                if result != 0 {
                    break;
                }
            }
            drop(reader);
            match result {
                0 => return Ok(()),
                EAGAIN => self.wait_unlocked()?,
                error => return Err(error),
            }
        }
    }

    /// as_fault within one segment: a fault code. One that answers `EDEADLK` is tried again after a tick, with everything looked up anew.
    pub fn fault_segment(&self, addr: u64, len: u64, ty: u32, rw: u32) -> faultcode_t {
        let again = ddi_sys::FC_MAKE_ERR(EDEADLK);
        loop {
            let code = {
                let _reader = self.segments.lock.read();
                let Some(segment) = self.segments.at(addr, false) else { return ddi_sys::FC_NOMAP };
                let (hat, addr) = (self.as_address() as *mut ddi_sys::hat, addr as caddr_t);
                let failed = ddi_sys::FC_MAKE_ERR(EIO);
                operate!(segment, fault(hat, segment, addr, len as usize, ty, rw), failed)
            };
            if code != again {
                return code;
            }
            if self.client.process().is_gone() {
                return ddi_sys::FC_MAKE_ERR(EINTR);
            }
            let nobody: Wake = Arc::new(|| ());
            let interrupted = interruptibly(&nobody, |interrupted| {
                if !interrupted() {
                    std::thread::sleep(TICK);
                }
                interrupted()
            });
            if interrupted {
                return ddi_sys::FC_MAKE_ERR(EINTR);
            }
        }
    }

    /// Asks the segment that holds an address something, with the address space locked as reader.
    pub fn ask_segment<R>(&self, addr: u64, f: impl FnOnce(*mut seg) -> R) -> Option<R> {
        let _reader = self.segments.lock.read();
        self.segments.at(addr, false).map(f)
    }

    /// Asks the segments of a range, in order, each about its part, until one answers other than 0; `ENOMEM` at a hole.
    pub fn ask_each(&self, addr: u64, len: u64, mut f: impl FnMut(*mut seg, u64, u64) -> c_int) -> c_int {
        let _reader = self.segments.lock.read();
        let (mut at, end) = (addr, addr.saturating_add(len));
        while at < end {
            let Some(segment) = self.segments.at(at, false) else { return ENOMEM };
            let (base, size) = bounds(segment);
            let to = (base + size).min(end);
            let answer = f(segment, at, to - at);
            if answer != 0 {
                return answer;
            }
            at = to;
        }
        0
    }

    /// as_ctl: asks the segments of a range for what a process's advice and the like ask for. 0 or an errno.
    pub fn control_segments(&self, addr: u64, len: u64, control: Control, argument: u32) -> c_int {
        self.ask_each(addr, len, |segment, at, len| {
            let (base, size) = (at as caddr_t, len as usize);
            match control {
                Control::Sync => operate!(segment, sync(segment, base, size, 0, argument), EIO),
                Control::Advise => operate!(segment, advise(segment, base, size, argument), EIO),
                Control::Lock | Control::Unlock => {
                    let op = if control == Control::Lock { MC_LOCK } else { MC_UNLOCK };
                    // A bit for each page that the driver has locked.
                    let mut map = vec![0; (len / PAGE_SIZE).div_ceil(64) as usize];
                    operate!(segment, lockop(segment, base, size, 0, op, map.as_mut_ptr(), 0), EIO)
                }
            }
        })
    }

    /// as_incore: what the segments of a range say of its pages, a byte each.
    pub fn incore_segments(&self, addr: u64, len: u64, vec: &mut [u8]) {
        self.ask_each(addr, len, |segment, at, len| {
            let first = ((at - addr) / PAGE_SIZE) as usize;
            let Some(bytes) = vec.get_mut(first..first + (len / PAGE_SIZE) as usize) else { return EIO };
            incore(segment, at, len, bytes.as_mut_ptr().cast());
            0
        });
    }

    /// as_dup: duplicates every segment into a new address space.
    ///
    /// # Errors
    /// The error of a segment's driver; the new address space has no segment then.
    pub fn fork_segments(&self, child: &Entry) -> Result<(), c_int> {
        let refused = {
            let _parent = self.segments.lock.write();
            let _child = child.segments.lock.write();
            self.segments.within(0, u64::MAX).into_iter().find_map(|segment| {
                let (base, size) = bounds(segment);
                let Some(new) = child.segments.alloc(child.as_address(), base, size) else {
                    return Some(ENOMEM);
                };
                let error = operate!(segment, dup(segment, new), EIO);
                if error != 0 {
                    child.segments.free(new);
                }
                (error != 0).then_some(error)
            })
        };
        let Some(error) = refused else { return Ok(()) };
        let _ = child.unmap_segments(0, u64::MAX);
        Err(error)
    }

    /// as_free: the process has gone, and its segments go whole.
    pub fn exit_segments(&self) {
        let writer = self.segments.lock.write();
        for (addr, len) in self.segments.parts(0, u64::MAX) {
            // Soft locks are held by calls in progress only, and there are none any more.
            let _ = self.unmap_locked(&writer, addr, addr + len);
        }
    }
}

/// seg_free, in the segment's address space. Returns false if it is in none.
pub(crate) fn free(segment: *mut seg) -> bool {
    super::client::all().iter().any(|entry| entry.segments.free(segment))
}

/// A segment's `checkprot`.
pub(crate) fn checkprot(segment: *mut seg, addr: u64, len: u64, prot: u32) -> c_int {
    operate!(segment, checkprot(segment, addr as caddr_t, len as usize, prot), EIO)
}

/// A segment's `incore`: how many bytes it has said something of.
pub(crate) fn incore(segment: *mut seg, addr: u64, len: u64, vec: *mut std::ffi::c_char) -> usize {
    operate!(segment, incore(segment, addr as caddr_t, len as usize, vec), 0)
}

/// A segment's `getmemid`.
pub(crate) fn getmemid(segment: *mut seg, addr: caddr_t, memid: *mut ddi_sys::memid_t) -> c_int {
    operate!(segment, getmemid(segment, addr, memid), EIO)
}

/// The client whose translations a `hat` is, if it is one that lives.
pub(crate) fn client_of_hat(hat: usize) -> Option<Client> {
    super::client::of_as(hat).map(|entry| entry.client.clone())
}

/// `AS_UNMAPWAIT` among an address space's flags.
const AS_UNMAPWAIT: u8 = ddi_sys::AS_UNMAPWAIT as u8;
