//! Pinned memory of processes: read, written, mapped by others, lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::mpsc::channel;

use ddi_sys as sys;
use devmap::Protection;
use devmap::pinned::{Held, Pins, UserMemory};
use devmap::prelude::*;

use crate::driver::{Plan, attaching, boot, handles, in_ioctl, map_instead, one_register_set, set};
use crate::mapping::{RW, SHARED, map};
use crate::mock::{self, Booted, Object, PAGE, kernel, mmap, pinned, touch};

/// Memory of a process, which others write to by its address.
pub struct Pages(*mut [[u64; PAGE / 8]]);

impl Pages {
    pub fn new(count: usize) -> Pages {
        // One page more, to begin at one.
        Pages(Box::into_raw(vec![[0; PAGE / 8]; count + 1].into()))
    }

    pub fn address(&self) -> u64 {
        self.0.expose_provenance().next_multiple_of(PAGE) as u64
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: from `Box::into_raw`.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

const ALL: Protection = Protection::READ.union(Protection::WRITE);

fn pins() -> (Booted, u64, Pins) {
    let mut booted = boot();
    let (sender, receiver) = channel();
    attaching(move |attach| sender.send(Pins::new(attach).unwrap()).unwrap());
    let dev = booted.attach(one_register_set()).expect("attach");
    (booted, dev, receiver.recv().unwrap())
}

/// Pins memory, and holds it; how often it was lost.
struct Lent {
    memory: Held,
    lost: Arc<AtomicU32>,
}

fn lend(dev: u64, pins: &Pins, pages: &Pages, count: usize, access: Protection) -> Lent {
    let (pins, at) = (pins.clone(), pages.address());
    let lost = Arc::new(AtomicU32::new(0));
    let times = Arc::clone(&lost);
    let memory = in_ioctl(dev, move |argument| {
        let tell = move |_: &mut _| {
            times.fetch_add(1, SeqCst);
        };
        pins.lock(argument, at, count * PAGE, access, tell).unwrap().hold().unwrap()
    });
    Lent { memory, lost }
}

impl Lent {
    fn get(&self) -> UserMemory {
        self.memory.get().unwrap()
    }
}

fn run_tasks() {
    while mock::work::run_task() {}
}

fn refused<T>(result: Result<T, devmap::Error>) -> Errno {
    result.err().expect("an error").errno()
}

#[test]
fn the_driver_reads_and_writes_it() {
    let (_kernel, dev, pins) = pins();
    let pages = Pages::new(2);
    let lent = lend(dev, &pins, &pages, 2, ALL);
    let at = pages.address() as *mut u32;
    in_ioctl(dev, {
        let memory = lent.get();
        move |argument| {
            let view = memory.view(argument).unwrap();
            view.write(PAGE as u64, 7_u32).unwrap();
            assert_eq!(view.len(), 2 * PAGE);
            assert_eq!(refused(view.write(2 * PAGE as u64, 7_u32)), Errno::EINVAL);
            let second = memory.read_only(argument).unwrap();
            assert_eq!(second.read::<u32>(PAGE as u64), Ok(7));
            assert_eq!((memory.len(), memory.is_writable(), memory.is_lost()), (2 * PAGE, true, false));
            drop(memory);
            assert_eq!(view.read::<u32>(PAGE as u64), Ok(7), "kept by the view");
        }
    });
    // SAFETY: in the second of two pages.
    assert_eq!(unsafe { at.wrapping_add(1024).read_volatile() }, 7);
    drop(lent);
    assert_eq!(pinned::pins().len(), 1, "given back by a task");
    run_tasks();
    assert!(pinned::pins().is_empty());
}

#[test]
fn what_is_pinned_for_reading_is_read() {
    let (_kernel, dev, pins) = pins();
    let pages = Pages::new(1);
    let lent = lend(dev, &pins, &pages, 1, Protection::READ);
    in_ioctl(dev, {
        let memory = lent.get();
        move |argument| {
            assert_eq!(refused(memory.view(argument)), Errno::EACCES);
            assert_eq!(memory.read_only(argument).unwrap().read::<u64>(0), Ok(0));
        }
    });
    map_instead(lent.get());
    assert_eq!(mmap(dev, 0, PAGE as i64, RW, SHARED), Err(sys::ENXIO));
    let handle = mmap(dev, 0, PAGE as i64, sys::PROT_READ, SHARED).unwrap()[0];
    let max = kernel().handles[&handle].max_protection;
    assert_eq!(max & sys::PROT_WRITE, 0, "nor by mprotect(2)");
    assert_eq!(mock::load(handle, 0), Ok(0));
    // What may be written cannot become what may not.
    map_instead(Umem::new(&crate::driver::cx(), Kind::Locked, PAGE).unwrap());
    map(dev, 0, PAGE as i64);
    assert_eq!(refused(handles().last().unwrap().remap(lent.get(), 0)), Errno::EACCES);
    handles()[1].remap(lent.get(), 0).unwrap();
}

#[test]
fn what_cannot_be_pinned_is_an_error() {
    let (_kernel, dev, pins) = pins();
    let pages = Pages::new(2);
    let at = pages.address();
    let result = move |address: u64, len: usize, access: Protection| {
        let pins = pins.clone();
        in_ioctl(dev, move |argument| refused(pins.lock(argument, address, len, access, |_| ())))
    };
    assert_eq!(result(at + 8, PAGE, ALL), Errno::EINVAL);
    assert_eq!(result(at, 0, ALL), Errno::EINVAL);
    assert_eq!(result(at, PAGE + 1, ALL), Errno::EINVAL);
    assert_eq!(result(at, PAGE, Protection::empty()), Errno::EINVAL);
    assert_eq!(result(at, PAGE, Protection::EXECUTE), Errno::EINVAL);
    assert_eq!(result(0, PAGE, ALL), Errno::EFAULT);
    kernel().refuse.insert("umem_lockmemory", 0);
    assert_eq!(result(at, PAGE, ALL), Errno::ENOMEM);
    kernel().refuse.clear();
    kernel().refuse.insert("ddi_umem_alloc", 0);
    assert_eq!(result(at, PAGE, ALL), Errno::ENOMEM);
    kernel().refuse.clear();
    assert!(pinned::pins().is_empty());
}

#[test]
fn no_thread_no_pins() {
    let mut booted = boot();
    kernel().refuse.insert("ddi_taskq_create", 0);
    attaching(|attach| assert_eq!(refused(Pins::new(attach)), Errno::ENOMEM));
    booted.attach(one_register_set()).expect("attach");
}

/// The process ends: others see no more of it, and it gets its memory back although they keep their mappings.
#[test]
fn others_lose_their_mappings_when_the_process_ends() {
    let (_kernel, dev, pins) = pins();
    let pages = Pages::new(8);
    let lent = lend(dev, &pins, &pages, 8, ALL);
    map_instead(lent.get());
    let first = map(dev, 0, 4 * PAGE as i64);
    let second = map(dev, 4 * PAGE as i64, 4 * PAGE as i64);
    mock::store(first, 8, 5).unwrap();
    // SAFETY: in the first of the pages.
    assert_eq!(unsafe { (pages.address() as *mut u64).wrapping_add(1).read_volatile() }, 5);
    mock::load(second, 4 * PAGE as i64).unwrap();
    let child = mock::fork(&[first]).unwrap()[0];
    let rest = mock::cut(second, PAGE, PAGE).unwrap();
    mock::load(rest, 6 * PAGE as i64).unwrap();
    map_instead(Umem::new(&crate::driver::cx(), Kind::Locked, PAGE).unwrap());
    let cookie = pinned::pins()[0];
    assert!(pinned::lose(cookie));
    assert_eq!(lent.lost.load(SeqCst), 1);
    assert_eq!(pinned::pins().len(), 1, "not in the process's own thread");
    run_tasks();
    assert!(pinned::pins().is_empty(), "given back: the process goes on");
    for (handle, off) in [(first, 0), (child, 0), (second, 4), (rest, 6)] {
        assert_eq!(touch(handle, off * PAGE as i64, sys::DEVMAP_READ), Err(sys::EIO));
    }
    assert_eq!(mock::loaded(first), 0);
    assert!(!pinned::lose(cookie), "told once");
    // They can be given something else.
    handles()[0].remap(Umem::new(&crate::driver::cx(), Kind::Locked, 4 * PAGE).unwrap(), 0).unwrap();
    handles()[0].validate();
    assert_eq!(mock::load(first, 8), Ok(0));
}

/// Who does not let go keeps the process waiting, but cannot use the memory otherwise than it does already.
#[test]
fn lost_memory_is_not_used_anew() {
    let (_kernel, dev, pins) = pins();
    let pages = Pages::new(1);
    let lent = lend(dev, &pins, &pages, 1, ALL);
    let kept = lent.get();
    let more = [kept.clone().hold().unwrap(), kept.clone().hold().unwrap()];
    let view = in_ioctl(dev, {
        let kept = kept.clone();
        move |argument| kept.view(argument).unwrap()
    });
    pinned::lose(pinned::pins()[0]);
    assert!(kept.is_lost());
    assert!(lent.memory.get().is_none() && more.iter().all(|held| held.get().is_none()));
    view.write(0, 1_u8).unwrap();
    in_ioctl(dev, {
        let kept = kept.clone();
        move |argument| assert_eq!(refused(kept.view(argument)), Errno::ESTALE)
    });
    map_instead(&kept);
    let handle = map(dev, 0, PAGE as i64);
    assert_eq!(touch(handle, 0, sys::DEVMAP_READ), Err(sys::EIO), "a mapping of it is one of nothing");
    run_tasks();
    assert!(kernel().handles[&handle].object != Object::None);
    map_instead(Umem::new(&crate::driver::cx(), Kind::Locked, PAGE).unwrap());
    let other = map(dev, 0, PAGE as i64);
    assert_eq!(refused(handles().last().unwrap().remap(&kept, 0)), Errno::ESTALE);
    assert_eq!(mock::load(other, 0), Ok(0));
    drop(kept);
    run_tasks();
    assert_eq!(pinned::pins().len(), 1);
    drop(view);
    run_tasks();
    assert!(pinned::pins().is_empty());
}

/// Another thread of the process unmaps the memory while it is being pinned: the driver is told as soon as it has it.
#[test]
fn memory_can_be_lost_before_it_is_there() {
    let (_kernel, dev, pins) = pins();
    let pages = Pages::new(1);
    *pinned::MEANWHILE.lock().unwrap() = Some(Box::new(|cookie| assert!(pinned::lose(cookie))));
    let lent = lend(dev, &pins, &pages, 1, ALL);
    assert_eq!(lent.lost.load(SeqCst), 1);
    assert!(lent.memory.get().is_none());
    run_tasks();
    assert!(pinned::pins().is_empty(), "not held when it is lost already");
    drop(lent);
    // What is heard of a cookie that nobody pins any more is forgotten.
    *pinned::MEANWHILE.lock().unwrap() = Some(Box::new(|_| ()));
    let lent = lend(dev, &pins, &pages, 1, ALL);
    assert!(!lent.get().is_lost());
}

/// A mapping that is lost before the framework has it (the map callback of its mmap(2)), or while it is copied or cut.
#[test]
fn memory_can_be_lost_while_a_mapping_is_made() {
    let (_kernel, dev, pins) = pins();
    let pages = Pages::new(4);
    let lent = lend(dev, &pins, &pages, 4, ALL);
    map_instead(lent.get());
    mock::between(|_| assert!(pinned::lose(pinned::pins()[0])));
    let handle = map(dev, 0, 4 * PAGE as i64);
    mock::nothing_between();
    map_instead(Umem::new(&crate::driver::cx(), Kind::Locked, PAGE).unwrap());
    run_tasks();
    assert!(pinned::pins().is_empty(), "the map callback has let go of it");
    assert_eq!(touch(handle, 0, sys::DEVMAP_READ), Err(sys::EIO));
    let child = mock::fork(&[handle]).unwrap()[0];
    assert_eq!(touch(child, 0, sys::DEVMAP_READ), Err(sys::EIO));
}

/// The framework refuses to let a mapping go elsewhere: it keeps the memory, and the process waits.
#[test]
fn a_mapping_that_cannot_be_moved_keeps_the_memory() {
    let (_kernel, dev, pins) = pins();
    let pages = Pages::new(1);
    let lent = lend(dev, &pins, &pages, 1, ALL);
    map_instead(lent.get());
    let handle = map(dev, 0, PAGE as i64);
    mock::load(handle, 0).unwrap();
    map_instead(Umem::new(&crate::driver::cx(), Kind::Locked, PAGE).unwrap());
    kernel().refuse.insert("devmap_remap", 0);
    pinned::lose(pinned::pins()[0]);
    kernel().refuse.clear();
    run_tasks();
    assert_eq!(pinned::pins().len(), 1);
    assert_eq!(touch(handle, 0, sys::DEVMAP_READ), Err(sys::EIO), "nobody gets at it by faults");
    mock::unmap(handle);
    run_tasks();
    assert!(pinned::pins().is_empty());
}

/// Threads map, copy, cut and unmap while the process's memory is lost, again and again.
#[test]
fn losing_races_with_mapping() {
    let (_kernel, dev, pins) = pins();
    let pages = Pages::new(4);
    set(Plan::default());
    for _ in 0..crate::rounds(100) {
        let lent = lend(dev, &pins, &pages, 4, ALL);
        map_instead(lent.get());
        let cookie = pinned::pins()[0];
        std::thread::scope(|scope| {
            scope.spawn(|| pinned::lose(cookie));
            let handle = map(dev, 0, 4 * PAGE as i64);
            let _ = touch(handle, 0, sys::DEVMAP_READ);
            let child = mock::fork(&[handle]).unwrap()[0];
            let _ = touch(child, 0, sys::DEVMAP_READ);
            let behind = mock::cut(handle, PAGE, PAGE).unwrap();
            let _ = touch(behind, 2 * PAGE as i64, sys::DEVMAP_READ);
            [handle, child, behind].into_iter().for_each(mock::unmap);
        });
        map_instead(Umem::new(&crate::driver::cx(), Kind::Locked, PAGE).unwrap());
        assert_eq!(lent.lost.load(SeqCst), 1);
        drop(lent);
        run_tasks();
        assert!(pinned::pins().is_empty());
    }
}

/// Whatever is left of it keeps the node attached.
#[test]
fn pinned_memory_keeps_the_node() {
    let (mut kernel_, dev, pins) = pins();
    let pages = Pages::new(1);
    let lent = lend(dev, &pins, &pages, 1, ALL);
    drop(pins);
    assert!(!kernel_.detach(dev));
    drop(lent);
    assert!(kernel_.detach(dev));
    assert!(kernel().pins.is_empty(), "given back before the node goes");
}
