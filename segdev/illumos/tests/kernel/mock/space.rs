//! Address spaces: their lock, their segments, and what processes do to them, the way the kernel does it.

use std::cell::{RefCell, UnsafeCell};
use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::SeqCst};

use ddi_sys as sys;

use super::{Hat, PAGE, Pte, enter, exit, kernel_wait, machine, me, number, pointer, until};

/// An address space: what the framework sees of it, and what it does not.
#[repr(C)]
pub struct Space {
    /// Changed under its mutex, by the framework, too; but for the translations, which are set once.
    head: UnsafeCell<sys::as_>,
    /// Readers, or -1 for a writer.
    lock: AtomicI64,
    writers: AtomicUsize,
    /// The thread that keeps the layout (`as_rangelock`), or 0.
    claimed: AtomicU64,
    segs: Mutex<BTreeMap<u64, usize>>,
    /// How often a fault was begun again.
    retries: AtomicU64,
}

thread_local! {
    /// The address spaces that the calling thread has locked, and whether as writer.
    static HELD: RefCell<Vec<(usize, bool)>> = const { RefCell::new(Vec::new()) };
}

fn held(space: *mut Space) -> Option<bool> {
    HELD.with_borrow(|held| held.iter().find(|h| h.0 == space.addr()).map(|h| h.1))
}

pub fn holds(space: *mut Space) -> bool {
    held(space).is_some()
}

pub fn writes(space: *mut Space) -> bool {
    held(space) == Some(true)
}

/// Where user addresses begin.
pub const BASE: u64 = 0x1000_0000;

/// A process, as far as its address space goes.
#[derive(Clone, Copy)]
pub struct Process(*mut Space);

// SAFETY: the mock synchronises what it points to.
unsafe impl Send for Process {}
// SAFETY: as above.
unsafe impl Sync for Process {}

/// The lock of an address space, held.
struct Lock(Process, bool);

impl Lock {
    fn take(process: Process, write: bool) -> Self {
        assert!(!holds(process.0), "recursive rw_enter");
        let space = process.space();
        space.writers.fetch_add(usize::from(write), SeqCst);
        until(|| {
            let now = space.lock.load(SeqCst);
            let waits = !write && space.writers.load(SeqCst) > 0;
            let next = if write { -1 } else { now + 1 };
            let free = if write { now == 0 } else { now >= 0 && !waits };
            free && space.lock.compare_exchange(now, next, SeqCst, SeqCst).is_ok()
        });
        space.writers.fetch_sub(usize::from(write), SeqCst);
        HELD.with_borrow_mut(|held| held.push((process.0.addr(), write)));
        Self(process, write)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        HELD.with_borrow_mut(|held| held.retain(|h| h.0 != self.0.0.addr()));
        if self.1 {
            self.0.space().lock.store(0, SeqCst);
        } else {
            self.0.space().lock.fetch_sub(1, SeqCst);
        }
    }
}

fn operations<'a>(seg: *mut sys::seg) -> &'a sys::seg_ops {
    // SAFETY: a segment of ours that lives.
    let ops = unsafe { (*seg).s_ops };
    // SAFETY: what its driver has set.
    unsafe { &*ops }
}

/// Where a segment is: its first address and its end.
fn bounds(seg: *mut sys::seg) -> (u64, u64) {
    // SAFETY: a segment of ours that lives.
    let seg = unsafe { &*seg };
    (number(seg.s_base), number(seg.s_base) + seg.s_size as u64)
}

impl Process {
    pub fn new() -> Self {
        let zero = sys::kmutex_t { _opaque: [null_mut()] };
        let head = sys::as_ {
            a_contents: zero,
            a_flags: 0,
            a_vbits: 0,
            a_cv: sys::kcondvar_t { _opaque: 0 },
            a_hat: null_mut(),
        };
        let space = Box::into_raw(Box::new(Space {
            head: UnsafeCell::new(head),
            lock: AtomicI64::new(0),
            writers: AtomicUsize::new(0),
            claimed: AtomicU64::new(0),
            segs: Mutex::new(BTreeMap::new()),
            retries: AtomicU64::new(0),
        }));
        let hat = Box::into_raw(Box::new(Hat { space: space.expose_provenance(), ..Hat::default() }));
        let process = Self(space);
        // SAFETY: just made.
        unsafe { (*process.as_ptr()).a_hat = hat.cast() };
        process
    }

    pub fn space<'a>(self) -> &'a Space {
        // SAFETY: made by `new`, and freed by `exit` only, after which no test uses it.
        unsafe { &*self.0 }
    }

    pub fn as_ptr(self) -> *mut sys::as_ {
        self.0.cast()
    }

    fn hat<'a>(self) -> &'a Hat {
        // SAFETY: made by `new`, and lives as long.
        unsafe { &*self.hat_ptr().cast() }
    }

    fn hat_ptr(self) -> *mut sys::hat {
        // SAFETY: set by `new` only.
        unsafe { (*self.as_ptr()).a_hat }
    }

    /// Whether the layout of its address space is kept.
    pub fn claimed(self) -> bool {
        self.space().claimed.load(SeqCst) != 0
    }

    /// The segment that holds an address, or the next one.
    fn seg(self, addr: u64) -> Option<*mut sys::seg> {
        let segs = self.space().segs.lock().unwrap();
        segs.values().map(|seg| pointer::<sys::seg>(*seg as u64)).find(|seg| bounds(*seg).1 > addr)
    }

    /// Every segment: address and bytes.
    pub fn segments(self) -> Vec<(u64, u64)> {
        let _lock = Lock::take(self, false);
        let segs = self.space().segs.lock().unwrap();
        segs.values().map(|seg| bounds(pointer(*seg as u64))).map(|(base, end)| (base, end - base)).collect()
    }

    /// mmap(2) of the device, at `addr` if that is given.
    pub fn mmap(self, dev: u64, off: u64, len: u64, prot: u32, addr: Option<u64>) -> Result<u64, i32> {
        let flags = sys::MAP_SHARED | if addr.is_some() { sys::MAP_FIXED } else { 0 };
        self.map(dev, off, len, prot, flags, addr.unwrap_or(0))
    }

    pub fn map(self, dev: u64, off: u64, len: u64, prot: u32, flags: u32, addr: u64) -> Result<u64, i32> {
        let mut address: sys::caddr_t = pointer(addr);
        // SAFETY: as segmap(9E) of a driver that passes everything on.
        let error = unsafe {
            sys::ddi_devmap_segmap(
                dev,
                off as i64,
                self.as_ptr(),
                &mut address,
                len as i64,
                prot,
                sys::PROT_ALL,
                flags,
                null_mut(),
            )
        };
        assert_ne!(self.space().claimed.load(SeqCst), me(), "the layout is still kept");
        if error == 0 { Ok(number(address)) } else { Err(error) }
    }

    /// As as_fault.
    pub fn fault(self, addr: u64, len: u64, ty: sys::fault_type, rw: sys::seg_rw) -> i32 {
        let (hat, end) = (self.hat_ptr(), addr + len);
        let mut over = 0;
        until(|| {
            let lock = Lock::take(self, false);
            let mut at = addr;
            let mut rc = 0;
            while at < end {
                let Some(seg) = self.seg(at).filter(|seg| bounds(*seg).0 <= at) else {
                    rc = sys::FC_NOMAP;
                    break;
                };
                let to = end.min(bounds(seg).1);
                let fault = operations(seg).fault.unwrap();
                // SAFETY: as the kernel: the address space is locked as reader.
                rc = unsafe { fault(hat, seg, pointer(at), (to - at) as usize, ty, rw) };
                if rc != 0 {
                    break;
                }
                at = to;
            }
            if rc != 0 && ty == sys::F_SOFTLOCK {
                let mut undo = addr;
                while undo < at {
                    let seg = self.seg(undo).unwrap();
                    let to = at.min(bounds(seg).1);
                    let fault = operations(seg).fault.unwrap();
                    // SAFETY: as above.
                    unsafe {
                        fault(hat, seg, pointer(undo), (to - undo) as usize, sys::F_SOFTUNLOCK, sys::S_OTHER)
                    };
                    undo = to;
                }
            }
            drop(lock);
            over = rc;
            let again = rc == sys::FC_MAKE_ERR(sys::EDEADLK);
            self.space().retries.fetch_add(again.into(), SeqCst);
            !again
        });
        over
    }

    /// An access to a page: 0, or the fault's code.
    pub fn touch(self, addr: u64, rw: sys::seg_rw) -> i32 {
        let needs = if rw == sys::S_WRITE { sys::PROT_WRITE } else { sys::PROT_READ };
        let page = addr & !(PAGE - 1);
        for _ in 0..1000 {
            match self.pte(page) {
                Some(pte) if pte.prot & needs != 0 => return 0,
                found => {
                    let ty = if found.is_some() { sys::F_PROT } else { sys::F_INVAL };
                    let rc = self.fault(page, PAGE, ty, rw);
                    if rc != 0 {
                        return rc;
                    }
                }
            }
        }
        panic!("an access is never over");
    }

    pub fn pte(self, page: u64) -> Option<Pte> {
        self.hat().ptes.lock().unwrap().get(&page).copied()
    }

    /// Its translations: address and page frame.
    pub fn ptes(self) -> Vec<(u64, u64)> {
        self.hat().ptes.lock().unwrap().iter().map(|(va, pte)| (*va, pte.pfn)).collect()
    }

    /// The locks that its page tables carry.
    pub fn locks(self) -> i64 {
        self.hat().locks.lock().unwrap().values().sum()
    }

    /// munmap(2).
    pub fn munmap(self, addr: u64, len: u64) {
        // SAFETY: as the kernel.
        assert_eq!(unsafe { as_unmap(self.as_ptr(), pointer(addr), len as usize) }, 0);
    }

    /// mprotect(2).
    pub fn mprotect(self, addr: u64, len: u64, prot: u32) -> Result<(), i32> {
        let (mut at, end) = (addr, addr + len);
        let mut write = false;
        while at < end {
            let lock = Lock::take(self, write);
            let Some(seg) = self.seg(at).filter(|seg| bounds(*seg).0 <= at) else { return Err(sys::ENOMEM) };
            let to = end.min(bounds(seg).1);
            let setprot = operations(seg).setprot.unwrap();
            // SAFETY: as the kernel: the address space is locked.
            match unsafe { setprot(seg, pointer(at), (to - at) as usize, prot | sys::PROT_USER) } {
                0 => at = to,
                sys::EAGAIN if !write => write = true,
                sys::EAGAIN => self.wait_unlocked(lock),
                error => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until pages are unlocked, as the kernel does when an operation says EAGAIN.
    fn wait_unlocked(self, lock: Lock) {
        let head = self.as_ptr();
        // SAFETY: lives as long as the process.
        let (contents, cv, flags) =
            unsafe { (&raw mut (*head).a_contents, &raw mut (*head).a_cv, &raw mut (*head).a_flags) };
        enter(contents);
        // SAFETY: the mutex is held.
        unsafe { *flags |= sys::AS_UNMAPWAIT as u8 };
        drop(lock);
        // SAFETY: as above; others change them while this thread waits.
        while unsafe { flags.read_volatile() } & sys::AS_UNMAPWAIT as u8 != 0 {
            kernel_wait(cv, contents);
        }
        exit(contents);
    }

    /// Whether somebody waits until pages are unlocked.
    pub fn waits_for_unlock(self) -> bool {
        let head = self.as_ptr();
        // SAFETY: lives as long as the process; the flags are read under their mutex.
        let contents = unsafe { &raw mut (*head).a_contents };
        enter(contents);
        // SAFETY: as above.
        let flags = unsafe { (*head).a_flags };
        exit(contents);
        flags & sys::AS_UNMAPWAIT as u8 != 0
    }

    /// How often a fault was begun again.
    pub fn retries(self) -> u64 {
        self.space().retries.load(SeqCst)
    }

    /// fork(2): the child.
    pub fn fork(self) -> Result<Process, i32> {
        let child = Process::new();
        let refused = {
            let _parent = Lock::take(self, true);
            let _child = Lock::take(child, true);
            let all: Vec<u64> = self.space().segs.lock().unwrap().values().map(|seg| *seg as u64).collect();
            all.into_iter().map(pointer::<sys::seg>).find_map(|seg| {
                let (base, end) = bounds(seg);
                // SAFETY: as the kernel.
                let new = unsafe { seg_alloc(child.as_ptr(), pointer(base), (end - base) as usize) };
                let dup = operations(seg).dup.unwrap();
                // SAFETY: as the kernel: both are locked as writer.
                let error = unsafe { dup(seg, new) };
                if error != 0 {
                    // SAFETY: as the kernel.
                    unsafe { seg_free(new) };
                }
                (error != 0).then_some(error)
            })
        };
        match refused {
            None => Ok(child),
            Some(error) => {
                child.exit();
                Err(error)
            }
        }
    }

    /// exit(2).
    pub fn exit(self) {
        self.unmap_all();
        assert_eq!(self.segments(), []);
        assert_eq!((self.ptes(), self.locks()), (vec![], 0), "translations or locks are left");
        // SAFETY: made by `new`; nobody uses them after its exit.
        drop(unsafe { Box::from_raw(self.hat_ptr().cast::<Hat>()) });
        // SAFETY: as above.
        drop(unsafe { Box::from_raw(self.0) });
    }

    /// What exit(2) and exec(2) do first.
    pub fn unmap_all(self) {
        self.munmap(PAGE, 1 << 47);
    }

    /// Calls one of the queries with the segment that holds `addr`.
    pub fn query<R>(self, addr: u64, f: impl FnOnce(&sys::seg_ops, *mut sys::seg) -> R) -> R {
        let _lock = Lock::take(self, false);
        let seg = self.seg(addr).expect("a segment");
        f(operations(seg), seg)
    }
}

fn process(space: *mut sys::as_) -> Process {
    Process(space.cast())
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn as_rangelock(space: *mut sys::as_) {
    let space = process(space).space();
    assert_ne!(space.claimed.load(SeqCst), me(), "as_rangelock twice");
    until(|| space.claimed.compare_exchange(0, me(), SeqCst, SeqCst).is_ok());
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn as_rangeunlock(space: *mut sys::as_) {
    assert_eq!(process(space).space().claimed.swap(0, SeqCst), me(), "the layout was not kept");
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn choose_addr(
    space: *mut sys::as_,
    addrp: *mut sys::caddr_t,
    len: usize,
    off: sys::offset_t,
    _vacalign: c_int,
    flags: sys::uint_t,
) -> c_int {
    let process = process(space);
    assert_eq!(process.space().claimed.load(SeqCst), me(), "an address is chosen and the layout not kept");
    if flags & sys::MAP_FIXED != 0 {
        // SAFETY: as the kernel; the place of the address.
        unsafe { as_unmap(space, *addrp, len) };
        return 0;
    }
    let align = if len >= 2 << 20 { 2 << 20 } else { PAGE };
    let mut at = BASE + (off as u64 & (align - 1));
    for (base, len_there) in process.segments() {
        if at + len as u64 <= base {
            break;
        }
        while at < base + len_there {
            at += align;
        }
    }
    // SAFETY: as above.
    unsafe { *addrp = pointer(at) };
    0
}

type Create = unsafe extern "C-unwind" fn(*mut *mut sys::seg, *mut c_void) -> c_int;

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn as_map(
    space: *mut sys::as_,
    addr: sys::caddr_t,
    len: usize,
    create: Option<Create>,
    arg: *mut c_void,
) -> c_int {
    assert_eq!(
        process(space).space().claimed.load(SeqCst),
        me(),
        "a segment is made and the layout not kept"
    );
    let _lock = Lock::take(process(space), true);
    if machine(|m| m.no_room) {
        return sys::ENOMEM;
    }
    // SAFETY: as the kernel.
    let mut seg = unsafe { seg_alloc(space, addr, len) };
    if seg.is_null() {
        return sys::ENOMEM;
    }
    let place = if machine(|m| m.old) { seg.cast() } else { &raw mut seg };
    // SAFETY: the caller's function, with a segment or a place for it, as the kernel's age has it.
    let error = unsafe { create.unwrap()(place, arg) };
    if error != 0 {
        // SAFETY: as the kernel.
        unsafe { seg_free(seg) };
    }
    error
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn as_unmap(space: *mut sys::as_, addr: sys::caddr_t, len: usize) -> c_int {
    let process = process(space);
    let (addr, end) = (number(addr), number(addr) + len as u64);
    'top: loop {
        let lock = Lock::take(process, true);
        let mut at = addr;
        while let Some(seg) = process.seg(at).filter(|seg| bounds(*seg).0 < end) {
            let (base, stop) = bounds(seg);
            let (from, to) = (at.max(base), end.min(stop));
            let unmap = operations(seg).unmap.unwrap();
            // SAFETY: as the kernel: locked as writer.
            match unsafe { unmap(seg, pointer(from), (to - from) as usize) } {
                0 => at = to,
                sys::EAGAIN => {
                    process.wait_unlocked(lock);
                    continue 'top;
                }
                error => panic!("unmap says {error}"),
            }
            // The bounds may have changed: keyed anew.
            let mut segs = process.space().segs.lock().unwrap();
            let all: Vec<usize> = segs.values().copied().collect();
            *segs = all.into_iter().map(|seg| (bounds(pointer(seg as u64)).0, seg)).collect();
        }
        return 0;
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn seg_alloc(
    space: *mut sys::as_,
    base: sys::caddr_t,
    size: usize,
) -> *mut sys::seg {
    let process = process(space);
    assert!(writes(process.0), "the address space is not locked as writer");
    let (from, to) = (number(base), number(base) + size as u64);
    let mut segs = process.space().segs.lock().unwrap();
    if segs.values().map(|seg| bounds(pointer(*seg as u64))).any(|(a, b)| a < to && from < b) {
        return null_mut();
    }
    // SAFETY: numbers and null pointers.
    let mut seg: sys::seg = unsafe { std::mem::zeroed() };
    (seg.s_base, seg.s_size, seg.s_as) = (base, size, space);
    let seg = Box::into_raw(Box::new(seg));
    segs.insert(from, seg.expose_provenance());
    seg
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn seg_free(seg: *mut sys::seg) {
    // SAFETY: a segment of ours.
    let (space, data) = unsafe { ((*seg).s_as, (*seg).s_data) };
    let process = process(space);
    assert!(writes(process.0), "the address space is not locked as writer");
    process.space().segs.lock().unwrap().retain(|_, s| *s != seg.addr());
    if !data.is_null() {
        let free = operations(seg).free.unwrap();
        // SAFETY: as the kernel.
        unsafe { free(seg) };
    }
    // SAFETY: boxed by `seg_alloc`.
    drop(unsafe { Box::from_raw(seg) });
}
