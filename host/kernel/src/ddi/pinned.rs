//! A process's own memory, pinned: ddi_umem_lock(9F), umem_lockmemory, ddi_umem_iosetup(9F).
//!
//! The pages of the range are replaced by pages of physical memory with the same contents, which kernel and process share and which can be mapped into other
//! processes. They stay until the process unmaps them or ends, even if the driver frees its cookie. A forked child has a copy of private memory, and shares shared memory. User context; blocks.
//!
//! A process that unmaps memory that umem_lockmemory has pinned, changes its protection or ends, waits until it is unlocked; before that the driver's callback is called. Locking: the list of
//! what waits for that is a leaf.
//!
//! What differs from illumos: pinned memory of a shared mapping of a file is the file's no more, and other processes that map the same do not see what
//! is written there; ranges that overlap without one holding the other cannot both stay pinned; a thread that forks while its stack is pinned shares that with its child until the
//! child has its own.

use std::ffi::c_int;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ddi_process::failpoint::fails;
use ddi_process::proc::{self, Mapping};
use ddi_process::{Call, Prot};
use ddi_sys::{buf, caddr_t, daddr_t, ddi_umem_cookie_t, dev_t, off_t, proc_t, umem_callback_ops};
use parking_lot::{Condvar, Mutex};
use segdev::UmemKind;

use super::args::{In, Out};
use super::{bufs, sync};
use crate::board::report;
use crate::kern::entry;
use crate::kern::fields::Structure;
use crate::vm::client;
use crate::vm::umem::{self, Memory};

use ddi_process::physmem::PAGE_SIZE as PAGE;
use ddi_sys::{EACCES, EFAULT, EINVAL, ENOMEM};

/// The protection that all of a range of a process has, and whether any of it is shared (`MAP_SHARED`); None when part of it has no memory.
fn protection(pid: i32, start: u64, end: u64) -> Option<(Prot, bool)> {
    let mut at = start;
    let mut prot = Prot::all();
    let mut shared = false;
    for Mapping { start: from, end: to, mode, .. } in proc::mappings(pid) {
        if to <= at || from > at {
            continue;
        }
        for (letter, bit) in [('r', Prot::READ), ('w', Prot::WRITE), ('x', Prot::EXEC)] {
            prot.set(bit, prot.contains(bit) && mode.contains(letter));
        }
        shared |= mode.contains('s');
        at = to;
        if at >= end {
            return Some((prot, shared));
        }
    }
    None
}

/// Pins memory of the calling process for as long as the process has it.
pub(crate) fn pin(addr: u64, len: u64, flags: c_int) -> Result<Arc<Memory>, c_int> {
    let (read, write) = (flags & ddi_sys::DDI_UMEMLOCK_READ != 0, flags & ddi_sys::DDI_UMEMLOCK_WRITE != 0);
    if len == 0 || !addr.is_multiple_of(PAGE) || !(read || write) {
        return Err(EINVAL);
    }
    let len = len.checked_next_multiple_of(PAGE).ok_or(EINVAL)?;
    let end = addr.checked_add(len).ok_or(EFAULT)?;
    let client = client::current().ok_or(EFAULT)?;
    let entry = client::of(client.process());
    // Memory that was pinned before is shared already.
    let pinned = entry.pinned(addr, len);
    let (found, shared) = protection(client.process().pid(), addr, end).ok_or(EFAULT)?;
    // What is there must be copied: memory that cannot be read cannot be pinned.
    if write && !found.contains(Prot::WRITE) || !found.contains(Prot::READ) {
        return Err(EACCES);
    }
    match pinned {
        Some((memory, off)) => Ok(Memory::part(memory, off, len)),
        None => {
            let new = Memory::new(UmemKind::User, len).ok_or(ENOMEM)?;
            let pinned = Call::with_current(|call| Some(call?.pin(addr, len, new.pfn(), found)));
            pinned.and_then(Result::ok).ok_or(EFAULT)?;
            entry.pin(addr, len, new.clone(), shared);
            // The process keeps its pages after the driver has freed its cookie.
            Ok(Memory::part(new, 0, len))
        }
    }
}

type Cleanup = unsafe extern "C-unwind" fn(*mut ddi_umem_cookie_t);

/// Memory that umem_lockmemory has pinned and that is not unlocked.
struct Lent {
    process: u64,
    start: u64,
    len: u64,
    cookie: usize,
    /// Called once.
    cleanup: Option<Cleanup>,
}

/// State of this file.
struct State {
    lent: Mutex<Vec<Lent>>,
    unlocked: Condvar,
}

static STATE: State = State { lent: Mutex::new(Vec::new()), unlocked: Condvar::new() };
/// Time that a process waits for a driver. Then the driver is reported, and the process continues.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process wants a range of its memory back: calls the drivers that have pinned any of it for long, and waits until they have let go.
pub(crate) fn reclaim(process: u64, start: u64, len: u64) {
    let end = start.saturating_add(len);
    let is_it = |lent: &Lent| lent.process == process && lent.start < end && start < lent.start + lent.len;
    loop {
        let next = STATE
            .lent
            .lock()
            .iter_mut()
            .filter(|lent| is_it(lent))
            .find_map(|lent| Some((lent.cookie, lent.cleanup.take()?)));
        let Some((cookie, cleanup)) = next else { break };
        let name = || "umem_lockmemory's callback".to_owned();
        // The argument is the cookie itself, although its type is a pointer to one.
        // SAFETY: what the driver gave to umem_lockmemory for this cookie; its module stays while its instance is attached.
        let _ = entry::call(name, || unsafe { cleanup(cookie as *mut ddi_umem_cookie_t) });
    }
    let deadline = Instant::now() + PATIENCE;
    let mut all = STATE.lent.lock();
    while all.iter().any(is_it) {
        if STATE.unlocked.wait_until(&mut all, deadline).timed_out() {
            let waiting = all.iter().filter(|lent| is_it(lent)).count();
            all.retain(|lent| !is_it(lent));
            drop(all);
            if waiting > 0 {
                let what = "a process waits for pinned memory that its driver has not unlocked after its callback was called";
                report::mistake("umem_lockmemory", what, "ddi_umem_unlock(9F)");
            }
            return;
        }
    }
}

/// ddi_umem_lock(9F): the cookie, which is stored, or an errno.
fn lock(
    addr: caddr_t,
    len: usize,
    flags: c_int,
    cookiep: Out<'_, ddi_umem_cookie_t>,
) -> Result<usize, c_int> {
    sync::may_block("ddi_umem_lock", "ddi_umem_lock", "ddi_umem_lock(9F)");
    cookiep.set(std::ptr::null_mut());
    if fails("ddi_umem_lock(9F)") {
        return Err(ENOMEM);
    }
    let cookie = umem::publish(pin(addr as u64, len as u64, flags)?);
    cookiep.set(cookie as ddi_umem_cookie_t);
    Ok(cookie)
}

ddi! {
    /// ddi_umem_lock(9F).
    fn ddi_umem_lock(addr: caddr_t, len: usize, flags: c_int, cookiep: Out<ddi_umem_cookie_t>) -> c_int {
        lock(addr, len, flags, cookiep).err().unwrap_or(0)
    }
    /// umem_lockmemory: the same with a callback for the process wanting its memory back. No process is the calling one.
    fn umem_lockmemory(
        addr: caddr_t,
        len: usize,
        flags: c_int,
        cookiep: Out<ddi_umem_cookie_t>,
        ops: In<umem_callback_ops, *mut umem_callback_ops>,
        procp: *mut proc_t,
    ) -> c_int {
        let Some(client) = client::current() else { return EFAULT };
        if !procp.is_null() && client.image().proc() != procp as usize {
            report::mistake(NAME, "the process is not the calling one", "ddi_umem_lock(9F)");
            return EINVAL;
        }
        let long = flags & ddi_sys::DDI_UMEMLOCK_LONGTERM as c_int != 0;
        let result = lock(addr, len, flags & !(ddi_sys::DDI_UMEMLOCK_LONGTERM as c_int), cookiep);
        let cleanup = ops.get().and_then(|ops| ops.cbo_umem_lock_cleanup);
        if let Ok(cookie) = result && long {
            let (start, len) = (addr as u64, (len as u64).next_multiple_of(PAGE));
            STATE.lent.lock().push(Lent { process: client.process().id(), start, len, cookie, cleanup });
        }
        result.err().unwrap_or(0)
    }
    /// ddi_umem_unlock(9F).
    fn ddi_umem_unlock(cookie: ddi_umem_cookie_t) {
        let known = umem::find(cookie as usize).filter(|m| m.kind() == UmemKind::User);
        if known.is_none() {
            let what = format!("{cookie:p} is not a cookie of ddi_umem_lock, or it has been unlocked");
            return report::mistake(NAME, &what, "ddi_umem_unlock(9F)");
        }
        umem::retract(cookie as usize);
        STATE.lent.lock().retain(|lent| lent.cookie != cookie as usize);
        STATE.unlocked.notify_all();
    }
    /// ddi_umem_iosetup(9F).
    fn ddi_umem_iosetup(
        cookie: ddi_umem_cookie_t,
        off: off_t,
        len: usize,
        direction: c_int,
        dev: dev_t,
        block: daddr_t,
        iodone: Option<unsafe extern "C-unwind" fn(*mut buf) -> c_int>,
        sleep: c_int,
    ) -> *mut buf {
        let known = umem::find(cookie as usize);
        let fits = |m: &Memory| u64::try_from(off).is_ok_and(|off| off.saturating_add(len as u64) <= m.size());
        let Some(known) = known.filter(|m| fits(m)) else {
            report::mistake(NAME, "a bad cookie, or a range beyond its memory", "ddi_umem_iosetup(9F)");
            return std::ptr::null_mut();
        };
        let flags = if sleep == ddi_sys::DDI_UMEM_NOSLEEP { ddi_sys::KM_NOSLEEP } else { ddi_sys::KM_SLEEP };
        let Some(b) = bufs::new(flags) else { return std::ptr::null_mut() };
        let kind = ddi_sys::B_BUSY | ddi_sys::B_PHYS | ddi_sys::B_REMAPPED;
        b.set_flags(kind | (direction & ddi_sys::B_READ));
        b.set_bcount(len);
        b.set_bufsize(len);
        b.set_addr((known.address() + off as usize) as caddr_t);
        b.set_edev(dev);
        b.set_blkno(block as u64);
        b.set_iodone(iodone);
        b.pointer()
    }
}
