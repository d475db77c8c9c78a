//! Devices and callbacks: segdev's calls into a driver's C entry points.
//!
//! Context: user, except that unmap callbacks of a process that died have no process. No lock of the host's is held but
//! those that [`segdev::lock`] names.

use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ddi_process::physmem::PAGE_SIZE;
use ddi_sys::{EIO, ENXIO, devmap_callback_ctl, devmap_cookie_t};
use ddi_trace::Event;
use segdev::{Access, Entries, Framework, Given, Pfn, Prot, Rw, SetupFlags, UmemSetup, Unmap};

use super::cookie::{self, Handle, Object};
use super::host::Host;
use super::umem::{MmapPages, Pager, Umem};
use super::unserved;
use crate::board::report;
use crate::kern::drivers::Driver;
use crate::kern::heap;
use crate::kern::nodes::Node;
use crate::kern::opens;
use crate::kern::traced;

/// A driver's function that returns the frame of an offset, as mmap(9E) does.
pub type MapFunc = unsafe extern "C-unwind" fn(u64, i64, c_int) -> c_int;

/// A device that is being mapped.
#[derive(Clone)]
pub struct Device {
    /// The driver.
    pub driver: Arc<Driver>,
    /// The node.
    pub node: &'static Node,
    /// The device number.
    pub dev: u64,
    /// Mapped through mmap(9E), as old drivers are.
    pub old: bool,
    /// Keeps the device open while anything of the mapping is left.
    pub hold: Option<Arc<Hold>>,
    /// The mapping is made by as_map.
    pub by_hand: Option<ByHand>,
}

/// Memory of a mapping that a driver made with as_map.
#[derive(Clone)]
pub enum ByHand {
    /// A vnode's pages.
    Vnode(Arc<dyn Pager>),
    /// The frames that a function like mmap(9E) names.
    Frames(MapFunc),
}

/// A mapping keeps its device open: close(9E) comes when it is closed and unmapped.
pub struct Hold {
    driver: Arc<Driver>,
    dev: u64,
}

impl Hold {
    /// Holds a device number.
    pub fn new(driver: &Arc<Driver>, dev: u64, node: &'static Node) -> Arc<Hold> {
        opens::hold(driver, dev, node);
        Arc::new(Hold { driver: driver.clone(), dev })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        opens::unhold(&self.driver, self.dev);
    }
}

fn cookie_of(handle: &Arc<Handle>) -> devmap_cookie_t {
    cookie::of(handle) as devmap_cookie_t
}

impl segdev::Device<Host> for Device {
    type Entry = ();

    fn dev(&self) -> u64 {
        self.dev
    }

    fn entry(&self) -> Option<()> {
        let cb = self.driver.cb_ops()?;
        let mappable = self.old
            || self.by_hand.is_some()
            || cb.cb_devmap.is_some() && (cb.cb_flag & ddi_sys::D_DEVMAP != 0 || cb.cb_mmap.is_some());
        mappable.then_some(())
    }

    fn devmap(
        &self,
        _entry: (),
        fw: &Framework<Host>,
        handle: &Arc<Handle>,
        off: u64,
        len: u64,
        model: u32,
    ) -> (i32, u64) {
        let _ = handle.data().dev.set(self.dev);
        handle.data().dip.store(self.node.dip() as usize, Ordering::Relaxed);
        match &self.by_hand {
            Some(ByHand::Vnode(pages)) => return self.vnode(fw, handle, pages, len),
            Some(ByHand::Frames(f)) => return self.old_mmap(fw, handle, *f, off, len),
            None => {}
        }
        if self.old {
            let Some(mmap) = self.driver.cb_ops().and_then(|cb| cb.cb_mmap) else { return (ENXIO, 0) };
            return self.old_mmap(fw, handle, mmap, off, len);
        }
        let Some(devmap) = self.driver.cb_ops().and_then(|cb| cb.cb_devmap) else { return (ENXIO, 0) };
        let cookie = cookie_of(handle);
        let mut maplen = 0usize;
        // SAFETY: the driver's entry point, with a live handle and arguments as devmap(9E) says.
        let called = self.driver.call("devmap", || unsafe {
            devmap(self.dev, cookie, off as i64, len as usize, &mut maplen, model)
        });
        (called.unwrap_or(EIO), maplen as u64)
    }
}

impl segdev::Node for Device {
    fn registers(&self, rnumber: u32, off: u64, len: u64) -> Option<(Pfn, u32)> {
        let set = self.node.registers().get(rnumber as usize)?;
        let end = off.checked_add(len)?;
        (end <= set.len.next_multiple_of(PAGE_SIZE)).then_some((set.pfn + off / PAGE_SIZE, 0))
    }
}

impl Device {
    /// Maps what mmap(9E) names, page by page.
    fn old_mmap(
        &self,
        fw: &Framework<Host>,
        handle: &Arc<Handle>,
        mmap: MapFunc,
        off: u64,
        len: u64,
    ) -> (i32, u64) {
        let mut frames = Vec::new();
        for at in (off..off.saturating_add(len)).step_by(PAGE_SIZE as usize) {
            // SAFETY: the driver's entry point, with arguments as mmap(9E) says.
            let called = self.driver.call("mmap", || unsafe { mmap(self.dev, at as i64, 7) });
            match called {
                Ok(frame) if frame >= 0 => frames.push(frame as u64),
                _ => return (ENXIO, 0),
            }
        }
        let umem = Umem::Mmap(Arc::new(MmapPages { frames, address: 0 }));
        self.set_up(fw, handle, umem, len, Callbacks::plain(self.driver.clone()))
    }

    /// Maps a vnode's pages, which are looked for at each access.
    fn vnode(
        &self,
        fw: &Framework<Host>,
        handle: &Arc<Handle>,
        pages: &Arc<dyn Pager>,
        len: u64,
    ) -> (i32, u64) {
        let mut callbacks = Callbacks::plain(self.driver.clone());
        (callbacks.plain, callbacks.vnode) = (false, Some(pages.clone()));
        self.set_up(fw, handle, Umem::Vnode(pages.clone()), len, callbacks)
    }

    fn set_up(
        &self,
        fw: &Framework<Host>,
        handle: &Arc<Handle>,
        umem: Umem,
        len: u64,
        callbacks: Callbacks,
    ) -> (i32, u64) {
        let len = len.next_multiple_of(PAGE_SIZE);
        cookie::maps_now(handle, Object::Umem(umem.clone(), 0));
        let args = UmemSetup {
            umem: Some(umem),
            off: 0,
            len,
            maxprot: Prot::READ | Prot::WRITE | Prot::EXEC | Prot::USER,
            flags: SetupFlags::empty(),
            attr: 0,
            callbacks: Some(Given { instance: self.node.dip() as u64, callbacks: &callbacks }),
        };
        if fw.umem_setup(handle, args).is_ok() { (0, len) } else { (ENXIO, 0) }
    }
}

/// A driver's callback table, copied.
#[derive(Clone)]
pub struct Callbacks {
    driver: Arc<Driver>,
    table: devmap_callback_ctl,
    /// No driver callbacks: every access is loaded (mmap(9E), which may be mapped privately).
    plain: bool,
    /// The vnode whose operations stand for callbacks.
    vnode: Option<Arc<dyn Pager>>,
}

impl PartialEq for Callbacks {
    fn eq(&self, other: &Self) -> bool {
        let entries = |table: &devmap_callback_ctl| {
            [
                table.devmap_map.map_or(0, |f| f as usize),
                table.devmap_access.map_or(0, |f| f as usize),
                table.devmap_dup.map_or(0, |f| f as usize),
                table.devmap_unmap.map_or(0, |f| f as usize),
            ]
        };
        let same_vnode = match (&self.vnode, &other.vnode) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        Arc::ptr_eq(&self.driver, &other.driver)
            && self.plain == other.plain
            && same_vnode
            && entries(&self.table) == entries(&other.table)
    }
}

impl Callbacks {
    /// Those of a driver.
    pub fn new(driver: Arc<Driver>, table: devmap_callback_ctl) -> Self {
        Callbacks { driver, table, plain: false, vnode: None }
    }

    /// Returns the table.
    pub fn table(&self) -> &devmap_callback_ctl {
        &self.table
    }

    fn plain(driver: Arc<Driver>) -> Self {
        let table = devmap_callback_ctl {
            devmap_rev: 0,
            devmap_map: None,
            devmap_access: None,
            devmap_dup: None,
            devmap_unmap: None,
        };
        Callbacks { driver, table, plain: true, vnode: None }
    }
}

fn pointer(pvt: usize) -> *mut c_void {
    pvt as *mut c_void
}

impl segdev::Callbacks<Host> for Callbacks {
    fn entries(&self) -> Entries {
        Entries {
            map: self.table.devmap_map.is_some(),
            access: self.plain || self.vnode.is_some() || self.table.devmap_access.is_some(),
            dup: self.vnode.is_some() || self.table.devmap_dup.is_some(),
            unmap: self.vnode.is_some() || self.table.devmap_unmap.is_some(),
        }
    }

    fn access_id(&self) -> u64 {
        self.table.devmap_access.map_or(0, |f| f as usize as u64)
    }

    fn hash(&self) -> u64 {
        self.access_id() ^ self.vnode.as_ref().map_or(0, |vnode| Arc::as_ptr(vnode).addr() as u64)
    }

    fn map(
        &self,
        _fw: &Framework<Host>,
        handle: &Arc<Handle>,
        device: &Device,
        flags: u32,
        off: u64,
        len: u64,
        pvt: &mut usize,
    ) -> i32 {
        handle.data().flags.store(flags, Ordering::Relaxed);
        let Some(map) = self.table.devmap_map else { return 0 };
        let cookie = cookie_of(handle);
        let span = ddi_trace::span();
        let mut private = pointer(*pvt);
        // SAFETY: the driver's callback, with a live handle and arguments as devmap_map(9E) says.
        let called = self.driver.call("devmap_map", || unsafe {
            map(cookie, device.dev, flags, off as i64, len as usize, &mut private)
        });
        *pvt = private as usize;
        cookie::private(handle, *pvt);
        if called == Ok(0) {
            not_freed("devmap_map", *pvt);
        }
        let error = called.unwrap_or(EIO);
        span.end(traced::device(device.node), || Event::Map { offset: off, length: len, error });
        error
    }

    fn access(&self, fw: &Framework<Host>, handle: &Arc<Handle>, pvt: usize, range: Access) -> i32 {
        if let Some(pages) = &self.vnode {
            let base = handle.info();
            for off in (range.off..range.off + range.len.max(1)).step_by(PAGE_SIZE as usize) {
                let (address, rw) = (base.addr + (off - base.off), range.rw as i32);
                let called = self.driver.call("getpage", || pages.getpage(off, address, rw));
                // The framework makes a fault code of the errno, as it does of a driver's.
                let error = called.unwrap_or(EIO);
                if error != 0 {
                    return error;
                }
            }
            return fw.default_access(handle, pvt, range).0;
        }
        let Some(access) = self.table.devmap_access else {
            return fw.default_access(handle, pvt, range).0;
        };
        let (cookie, info) = cookie::of_now(handle);
        let (cookie, loaded) = (cookie as devmap_cookie_t, unserved::loaded());
        let span = ddi_trace::span();
        // SAFETY: the driver's callback, with a live handle and arguments as devmap_access(9E) says.
        let called = self.driver.call("devmap_access", || unsafe {
            access(
                cookie,
                pointer(pvt),
                range.off as i64,
                range.len as usize,
                range.ty as u32,
                range.rw as u32,
            )
        });
        let result = called.unwrap_or(EIO);
        let address = info.addr.wrapping_add(range.off.wrapping_sub(info.off));
        let device = if span.is_on() { traced::of(handle.data().dip.load(Ordering::Relaxed)) } else { 0 };
        ddi_trace::note(device, range.off);
        span.end(device, || {
            let access = match range.rw {
                Rw::Write => ddi_trace::Access::Write,
                Rw::Exec => ddi_trace::Access::Exec,
                _ => ddi_trace::Access::Read,
            };
            Event::Access { offset: range.off, length: range.len, access, error: result }
        });
        // A wait for the context, which the framework makes of it, refuses nothing.
        if !handle.must_wait() {
            unserved::answered(&self.driver.name, address, result, unserved::loaded() != loaded);
        }
        result
    }

    fn dup(
        &self,
        _fw: &Framework<Host>,
        old: &Arc<Handle>,
        pvt: usize,
        new: &Arc<Handle>,
        newpvt: &mut usize,
    ) -> i32 {
        if let Some(pages) = &self.vnode {
            let (info, space) = (new.info(), new.space().image().space());
            pages.hold();
            let called = self
                .driver
                .call("addmap", || pages.addmap(info.off, space, info.addr, info.len, 7))
                .unwrap_or(EIO);
            if called != 0 {
                pages.release();
            }
            return called;
        }
        let Some(dup) = self.table.devmap_dup else { return 0 };
        let (old, child) = (cookie_of(old), cookie_of(new));
        let span = ddi_trace::span();
        let mut private = pointer(*newpvt);
        // SAFETY: the driver's callback, with two live handles and arguments as devmap_dup(9E) says.
        let called =
            self.driver.call("devmap_dup", || unsafe { dup(old, pointer(pvt), child, &mut private) });
        *newpvt = private as usize;
        cookie::private(new, *newpvt);
        if called == Ok(0) {
            not_freed("devmap_dup", *newpvt);
        }
        let error = called.unwrap_or(EIO);
        span.end(traced::of(new.data().dip.load(Ordering::Relaxed)), || {
            let (info, child) = (new.info(), new.space().process().id());
            Event::Dup { offset: info.off, length: info.len, child, error }
        });
        error
    }

    fn unmap_whole(&self, fw: &Framework<Host>, handle: &Arc<Handle>, _space_locked: bool) {
        let (off, len) = (handle.off(), handle.len());
        let mut cut = Unmap { off, len, before: None, behind: None, pvts: [0; 2] };
        self.unmap_part(fw, handle, &mut cut);
    }

    fn unmap_part(&self, _fw: &Framework<Host>, handle: &Arc<Handle>, cut: &mut Unmap<'_, Host>) {
        if let Some(pages) = &self.vnode {
            // A mapping that came to nothing: as_map fails.
            if !pages.is_live() {
                return;
            }
            let (info, space) = (handle.info(), handle.space().image().space());
            let address = info.addr.wrapping_add(cut.off.wrapping_sub(info.off));
            let _ = self.driver.call("delmap", || pages.delmap(cut.off, space, address, cut.len));
            match (&cut.before, &cut.behind) {
                (Some(_), Some(_)) => pages.hold(),
                (None, None) => _ = self.driver.call("inactive", || pages.release()),
                _ => {}
            }
            return;
        }
        let Some(unmap) = self.table.devmap_unmap else { return };
        let (cookie, pvt) = (cookie_of(handle), handle.pvt());
        let rest = [cut.before, cut.behind].map(|rest| rest.map_or(std::ptr::null_mut(), cookie_of));
        let [mut private1, mut private2] = cut.pvts.map(pointer);
        let span = ddi_trace::span();
        // SAFETY: the driver's callback, with live handles and arguments as devmap_unmap(9E) says.
        let _ = self.driver.call("devmap_unmap", || unsafe {
            let (off, len) = (cut.off as i64, cut.len as usize);
            unmap(cookie, pointer(pvt), off, len, rest[0], &mut private1, rest[1], &mut private2)
        });
        let (before, behind) = (cut.before.is_some(), cut.behind.is_some());
        span.end(traced::of(handle.data().dip.load(Ordering::Relaxed)), || Event::Cut {
            offset: cut.off,
            length: cut.len,
            before,
            behind,
        });
        cut.pvts = [private1 as usize, private2 as usize];
        for (rest, pvt) in [cut.before, cut.behind].into_iter().zip(cut.pvts) {
            if let Some(rest) = rest {
                cookie::private(rest, pvt);
                not_freed("devmap_unmap", pvt);
            }
        }
    }
}

/// Reports a private pointer that a callback returns for a mapping that lives on, when it leads to freed memory (check mode).
fn not_freed(function: &str, pvt: usize) {
    if !heap::checking() || pvt == 0 {
        return;
    }
    if let Some(freed) = heap::freed_at(pvt) {
        let what =
            format!("the private pointer {pvt:#x} returned for a mapping that stays is one of freed memory");
        report::mistake_after(function, &what, &format!("{function}(9E)"), &freed.earlier());
    }
}
