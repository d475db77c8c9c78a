//! Mappings: what is loaded where, what stays after an unmap, what a fork copies, and that a refusal leaves nothing.

use std::ffi::{c_char, c_int};
use std::ptr::null_mut;

use ddi_sys as sys;

use crate::bytes;
use crate::driver::{
    self, Behaviour, Call, DEV, Event, Region, alloc, attach, events, fail, free, memory, registers,
};
use crate::mock::{DEVICE, PAGE, Process, RW, boot, close, machine, pointer, vnode};

/// Touches every page of a range.
fn touch_all(process: Process, addr: u64, pages: u64) {
    for page in 0..pages {
        assert_eq!(process.touch(addr + page * PAGE, sys::S_WRITE), 0);
    }
}

/// The page frames that are mapped from `addr` on: page and frame.
fn frames(process: Process, addr: u64) -> Vec<(u64, u64)> {
    process.ptes().into_iter().map(|(va, pfn)| ((va - addr) / PAGE, pfn)).collect()
}

#[test]
fn registers_are_mapped_strictly_and_memory_is_cached() {
    let _machine = boot();
    let cookie = alloc(2, 0);
    attach(vec![registers(16, 3), memory(cookie, 2)], Behaviour::Default);
    let process = Process::new();
    let at = process.mmap(DEV, PAGE, 4 * PAGE, RW, None).unwrap();
    assert_eq!(events(), [Event::Map(1, 1, 2), Event::Map(2, 3, 2)]);
    touch_all(process, at, 4);
    assert_eq!(frames(process, at)[..2], [(0, DEVICE + 17), (1, DEVICE + 18)]);
    let (device, memory) = (process.pte(at).unwrap(), process.pte(at + 2 * PAGE).unwrap());
    assert_eq!((device.prot, device.attr), (RW, sys::HAT_STRICTORDER));
    assert_eq!((memory.prot, memory.attr), (RW, sys::HAT_UNORDERED_OK));
    assert_eq!(process.pte(at + 3 * PAGE).unwrap().pfn, memory.pfn + 1);
    process.exit();
    free(cookie);
}

/// The driver is told the length that the process asked for; what is mapped are whole pages.
#[test]
fn lengths_reach_the_driver_as_they_are() {
    let _machine = boot();
    attach(vec![registers(0, 3)], Behaviour::Default);
    let process = Process::new();
    for (len, pages) in [(1, 1), (PAGE + 1, 2), (3 * PAGE, 3)] {
        let at = process.mmap(DEV, 0, len, RW, None).unwrap();
        assert_eq!(driver::asked(), len);
        assert_eq!(process.segments(), [(at, pages * PAGE)]);
        process.munmap(at, pages * PAGE);
    }
    assert_eq!(process.mmap(DEV, 0, 0, RW, None), Err(sys::EINVAL));
    process.exit();
}

#[test]
fn cache_attributes_of_memory() {
    for (flag, attr) in [
        (sys::IOMEM_DATA_CACHED, sys::HAT_UNORDERED_OK),
        (sys::IOMEM_DATA_UC_WR_COMBINE, sys::HAT_MERGING_OK | sys::HAT_PLAT_NOCACHE),
        (sys::IOMEM_DATA_UNCACHED, sys::HAT_STRICTORDER | sys::HAT_PLAT_NOCACHE),
    ] {
        let _machine = boot();
        let cookie = alloc(1, 0);
        attach(vec![Region { flags: flag as u32, ..memory(cookie, 1) }], Behaviour::Default);
        let process = Process::new();
        let at = process.mmap(DEV, 0, PAGE, RW, None).unwrap();
        touch_all(process, at, 1);
        assert_eq!(process.pte(at).unwrap().attr, attr);
        process.exit();
        free(cookie);
    }
}

/// The four shapes of an unmap, in a mapping of three handles of four pages.
#[test]
fn what_stays_after_an_unmap() {
    for (from, pages, left, called) in [
        (0, 12, vec![], vec![(1, 0, 4, false, false), (2, 4, 4, false, false), (3, 8, 4, false, false)]),
        (0, 5, vec![(5, 7)], vec![(1, 0, 4, false, false), (2, 4, 1, false, true)]),
        (6, 6, vec![(0, 6)], vec![(2, 6, 2, true, false), (3, 8, 4, false, false)]),
        (
            2,
            8,
            vec![(0, 2), (10, 2)],
            vec![(1, 2, 2, true, false), (2, 4, 4, false, false), (3, 8, 2, false, true)],
        ),
        (5, 2, vec![(0, 5), (7, 5)], vec![(2, 5, 2, true, true)]),
        (4, 4, vec![(0, 4), (8, 4)], vec![(2, 4, 4, false, false)]),
    ] {
        let _machine = boot();
        attach(vec![registers(0, 4), registers(8, 4), registers(16, 4)], Behaviour::Default);
        let process = Process::new();
        let at = process.mmap(DEV, 0, 12 * PAGE, RW, None).unwrap();
        touch_all(process, at, 12);
        events();
        process.munmap(at + from * PAGE, pages * PAGE);
        let unmaps: Vec<_> = events()
            .into_iter()
            .map(|event| match event {
                Event::Unmap(name, off, len, before, behind) => {
                    (name, off, len, before.is_some(), behind.is_some())
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(unmaps, called, "from {from}, {pages} pages");
        let segments: Vec<_> =
            process.segments().into_iter().map(|(base, len)| ((base - at) / PAGE, len / PAGE)).collect();
        assert_eq!(segments, left);
        let frame = |page| DEVICE + page / 4 * 8 + page % 4;
        let all = (0..12).filter(|page| !(from..from + pages).contains(page));
        assert_eq!(frames(process, at), all.clone().map(|page| (page, frame(page))).collect::<Vec<_>>());
        // What stays is served as before: the driver checks the private data.
        for page in all {
            let addr = at + page * PAGE;
            assert_eq!(process.fault(addr, PAGE, sys::F_INVAL, sys::S_READ), 0);
            assert_eq!(process.pte(addr).unwrap().pfn, frame(page));
            assert_eq!(process.query(addr, |ops, seg| offset(ops, seg, addr)), page * PAGE);
        }
        assert_eq!(process.touch(at + from * PAGE, sys::S_READ), sys::FC_NOMAP);
        process.exit();
    }
}

fn offset(ops: &sys::seg_ops, seg: *mut sys::seg, addr: u64) -> u64 {
    // SAFETY: as the kernel: the address space is locked.
    unsafe { ops.getoffset.unwrap()(seg, pointer(addr)) }
}

#[test]
fn both_ages_of_the_kernel_create_segments() {
    for old in [false, true] {
        let _machine = boot();
        machine(|m| m.old = old);
        attach(vec![registers(0, 4)], Behaviour::Default);
        let process = Process::new();
        let at = process.mmap(DEV, 0, 4 * PAGE, RW, None).unwrap();
        touch_all(process, at, 4);
        assert_eq!(process.segments(), [(at, 4 * PAGE)]);
        process.exit();
    }
}

#[test]
fn a_fixed_mapping_replaces_what_is_there() {
    let _machine = boot();
    attach(vec![registers(0, 8)], Behaviour::Default);
    let process = Process::new();
    let at = process.mmap(DEV, 0, 8 * PAGE, RW, None).unwrap();
    touch_all(process, at, 8);
    events();
    assert_eq!(process.mmap(DEV, 0, 2 * PAGE, RW, Some(at + 3 * PAGE)), Ok(at + 3 * PAGE));
    assert_eq!(events(), [Event::Unmap(1, 3, 2, Some(1), Some(2)), Event::Map(3, 0, 2)]);
    assert_eq!(process.segments(), [(at, 3 * PAGE), (at + 3 * PAGE, 2 * PAGE), (at + 5 * PAGE, 3 * PAGE)]);
    touch_all(process, at, 8);
    assert_eq!(process.pte(at + 4 * PAGE).unwrap().pfn, DEVICE + 1);
    process.exit();
}

#[test]
fn a_segment_enters_the_address_space_after_its_map_callbacks() {
    let _machine = boot();
    attach(vec![registers(0, 1), registers(4, 1)], Behaviour::Default);
    let process = Process::new();
    driver::on(Call::Map, move || {
        assert!(process.claimed(), "the layout is not kept");
        assert_eq!(process.segments(), [], "a mapping is found before it is complete");
    });
    process.mmap(DEV, 0, 2 * PAGE, RW, None).unwrap();
    assert!(!process.claimed());
    assert_eq!(process.segments().len(), 1);
    process.exit();
}

#[test]
fn a_refusal_leaves_nothing() {
    let _machine = boot();
    attach(vec![registers(0, 2), registers(4, 2)], Behaviour::Default);
    let process = Process::new();
    let map = || process.mmap(DEV, 0, 4 * PAGE, RW, None);

    fail(1, sys::EPERM);
    assert_eq!(map(), Err(sys::ENXIO));
    assert_eq!(events(), []);

    // The first handle is mapped, so it is unmapped again.
    fail(2, sys::EBUSY);
    assert_eq!(map(), Err(sys::ENXIO));
    assert_eq!(events(), [Event::Map(1, 0, 2), Event::Unmap(1, 0, 2, None, None)]);

    machine(|m| m.no_room = true);
    assert_eq!(map(), Err(sys::ENOMEM));
    assert_eq!(
        events(),
        [
            Event::Map(2, 0, 2),
            Event::Map(3, 2, 2),
            Event::Unmap(2, 0, 2, None, None),
            Event::Unmap(3, 2, 2, None, None)
        ]
    );
    assert_eq!(process.segments(), []);
    machine(|m| m.no_room = false);

    assert_eq!(process.mmap(DEV, 4 * PAGE, PAGE, RW, None), Err(sys::ENXIO));
    assert_eq!(process.mmap(DEV, 1, PAGE, RW, None), Err(sys::EINVAL));
    assert_eq!(process.mmap(DEV, 0, 0, RW, None), Err(sys::EINVAL));
    assert_eq!(process.mmap(DEV + 1, 0, PAGE, RW, None), Err(sys::ENXIO), "a device that is not open");
    process.exit();
}

#[test]
fn fork_copies_and_a_dup_callback_may_refuse() {
    let _machine = boot();
    attach(vec![registers(0, 2), registers(4, 2)], Behaviour::Default);
    let process = Process::new();
    let at = process.mmap(DEV, 0, 4 * PAGE, RW, None).unwrap();
    touch_all(process, at, 4);
    events();

    fail(2, sys::ENOMEM);
    assert_eq!(process.fork().err(), Some(sys::ENOMEM));
    assert_eq!(events(), [Event::Dup(1, 3), Event::Unmap(3, 0, 2, None, None)]);
    assert_eq!(vnode(DEV, |v| v.pages), 4);

    let child = process.fork().unwrap();
    assert_eq!(events(), [Event::Dup(1, 4), Event::Dup(2, 5)]);
    assert_eq!(vnode(DEV, |v| v.pages), 8);
    assert_eq!(child.segments(), process.segments());
    process.munmap(at, PAGE);
    process.exit();
    touch_all(child, at, 4);
    assert_eq!(frames(child, at), [(0, DEVICE), (1, DEVICE + 1), (2, DEVICE + 4), (3, DEVICE + 5)]);
    child.exit();
}

#[test]
fn a_device_that_is_mapped_is_not_closed() {
    let _machine = boot();
    attach(vec![registers(0, 8)], Behaviour::Default);
    let process = Process::new();
    let at = process.mmap(DEV, 0, 8 * PAGE, RW, None).unwrap();
    let child = process.fork().unwrap();
    close(DEV);
    process.munmap(at + 2 * PAGE, PAGE);
    process.exit();
    assert_eq!(vnode(DEV, |v| (v.pages, v.closes)), (8, 0));
    child.munmap(at, 5 * PAGE);
    assert_eq!(vnode(DEV, |v| (v.pages, v.closes)), (3, 0));
    child.munmap(at + 5 * PAGE, 3 * PAGE);
    assert_eq!(vnode(DEV, |v| (v.pages, v.closes, v.references)), (0, 1, 0));
    child.exit();
}

#[test]
fn mprotect_changes_loaded_pages_of_devices_and_of_memory() {
    let _machine = boot();
    let cookie = alloc(2, 0);
    attach(vec![registers(0, 2), memory(cookie, 2)], Behaviour::Default);
    let process = Process::new();
    let at = process.mmap(DEV, 0, 4 * PAGE, RW, None).unwrap();
    touch_all(process, at, 4);
    let read = sys::PROT_READ | sys::PROT_USER;
    assert_eq!(process.mprotect(at + PAGE, 2 * PAGE, sys::PROT_READ), Ok(()));
    assert_eq!(frames(process, at)[..2], [(0, DEVICE), (1, DEVICE + 1)]);
    let registers = process.pte(at + PAGE).unwrap();
    assert_eq!((registers.prot, registers.attr), (read, sys::HAT_STRICTORDER));
    assert_eq!(process.pte(at + 2 * PAGE).unwrap().prot, read);
    assert_eq!(process.pte(at + 3 * PAGE).unwrap().prot, RW);
    // A translation that forbids the access: the driver is not asked.
    events();
    assert_eq!(process.touch(at + PAGE, sys::S_WRITE), sys::FC_PROT);
    assert_eq!(events(), []);
    // What is not loaded is not loaded by a change. The driver's callback returns what devmap_load(9F) does, and that counts as an error number.
    driver::revoke();
    assert_eq!(process.mprotect(at, 2 * PAGE, sys::PROT_READ), Ok(()));
    assert_eq!(frames(process, at).iter().map(|f| f.0).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(process.touch(at + PAGE, sys::S_WRITE), sys::FC_MAKE_ERR(sys::FC_PROT));
    assert_eq!(process.touch(at + PAGE, sys::S_READ), 0);
    assert_eq!(process.pte(at + PAGE).unwrap().prot, read);
    assert_eq!(protections(process, at, 4 * PAGE as usize), [read, read, read, RW]);
    assert_eq!(process.mprotect(at, 4 * PAGE, sys::PROT_READ | sys::PROT_WRITE), Ok(()));
    touch_all(process, at, 4);
    process.exit();
    free(cookie);
}

/// The protections of a range, of one page for no length.
fn protections(process: Process, at: u64, len: usize) -> Vec<u32> {
    let mut all = vec![0; len.div_ceil(PAGE as usize).max(1)];
    process.query(at, |ops, seg| {
        // SAFETY: as the kernel: the address space is locked; a place for each page.
        assert_eq!(unsafe { ops.getprot.unwrap()(seg, pointer(at), len, all.as_mut_ptr()) }, 0);
    });
    all
}

/// Whatever was mapped: when the last mapping has gone, the framework has no memory any more.
#[test]
fn the_last_mapping_takes_all_memory_along() {
    let _machine = boot();
    let cookie = alloc(2, 0);
    attach(vec![registers(0, 2), memory(cookie, 2)], Behaviour::Exclusive(5));
    let all = || {
        let process = Process::new();
        let at = process.mmap(DEV, 0, 4 * PAGE, RW, None).unwrap();
        assert_eq!(process.fault(at, 4 * PAGE, sys::F_SOFTLOCK, sys::S_READ), 0);
        assert_eq!(process.fault(at, 4 * PAGE, sys::F_SOFTUNLOCK, sys::S_READ), 0);
        assert_eq!(process.mprotect(at, PAGE, sys::PROT_READ), Ok(()));
        let child = process.fork().unwrap();
        child.munmap(at + PAGE, PAGE);
        child.exit();
        process.exit();
        drop(events());
    };
    // What is made once is made.
    all();
    let before = bytes();
    all();
    assert_eq!(bytes(), before);
    free(cookie);
}

#[test]
fn what_the_kernel_asks_of_a_segment() {
    let _machine = boot();
    attach(vec![registers(0, 8)], Behaviour::Default);
    let process = Process::new();
    let at = process.mmap(DEV, 2 * PAGE, 4 * PAGE, sys::PROT_READ | sys::PROT_USER, None).unwrap();
    let addr = at + PAGE;
    assert_eq!(protections(process, addr, 0), [sys::PROT_READ | sys::PROT_USER]);
    process.query(addr, |ops, seg| {
        let place = pointer(addr);
        let page = PAGE as usize;
        // SAFETY: as the kernel: the address space is locked as reader, and all results have a place.
        unsafe {
            assert_eq!(ops.checkprot.unwrap()(seg, place, page, sys::PROT_READ), 0);
            assert_eq!(ops.checkprot.unwrap()(seg, place, page, sys::PROT_WRITE), sys::EACCES);
            assert_eq!(ops.getoffset.unwrap()(seg, place), 3 * PAGE);
            assert_eq!(ops.gettype.unwrap()(seg, place), sys::MAP_SHARED as c_int);
            let mut vnode = null_mut();
            assert_eq!(ops.getvp.unwrap()(seg, place, &mut vnode), 0);
            assert_eq!(vnode.addr(), machine(|m| m.vnodes[&DEV]));
            let mut id = std::mem::zeroed();
            assert_eq!(ops.getmemid.unwrap()(seg, place, &mut id), 0);
            assert_eq!(id.val, [DEV, 3 * PAGE]);
            let mut there: [c_char; 4] = [7; 4];
            assert_eq!(ops.incore.unwrap()(seg, place, 2 * page, there.as_mut_ptr()), 2 * page);
            assert_eq!(there, [1, 1, 7, 7]);
            let lock = ops.pagelock.unwrap()(seg, place, page, null_mut(), sys::L_PAGELOCK, sys::S_READ);
            assert_eq!(lock, sys::ENOTSUP);
            assert_eq!(ops.setpagesize.unwrap()(seg, place, page, 1), sys::ENOTSUP);
            assert_eq!(ops.inherit.unwrap()(seg, place, page, 1), sys::ENOTSUP);
            assert_eq!(ops.faulta.unwrap()(seg, place), 0);
            assert_eq!(ops.kluster.unwrap()(seg, place, 1), -1);
            assert_eq!(ops.swapout.unwrap()(seg), 0);
            assert_eq!(ops.sync.unwrap()(seg, place, page, 0, 0), 0);
            assert_eq!(ops.lockop.unwrap()(seg, place, page, 0, 0, null_mut(), 0), 0);
            assert_eq!(ops.advise.unwrap()(seg, place, page, 0), 0);
            assert!(ops.getpolicy.unwrap()(seg, place).is_null());
            assert_eq!(ops.capable.unwrap()(seg, 0), 0);
            ops.dump.unwrap()(seg);
        }
    });
    process.exit();
}

/// A large page must not be unloaded in part, so none is used; the memory layer panics otherwise, and the mock with it.
#[test]
fn long_mappings_are_loaded_by_pieces() {
    let _machine = boot();
    let cookie = alloc(2048, 0);
    attach(vec![memory(cookie, 2048)], Behaviour::LoadAll);
    let process = Process::new();
    let at = process.mmap(DEV, 0, 2048 * PAGE, RW, None).unwrap();
    assert_eq!(process.touch(at, sys::S_READ), 0);
    assert_eq!(process.ptes().len(), 2048);
    process.munmap(at + 3 * PAGE, PAGE);
    assert_eq!(process.ptes().len(), 2047);
    process.exit();
    free(cookie);
}

#[test]
fn memory_need_not_be_contiguous() {
    let _machine = boot();
    machine(|m| m.stride = 3);
    let cookie = alloc(4, 0);
    attach(vec![memory(cookie, 4)], Behaviour::LoadAll);
    let process = Process::new();
    let at = process.mmap(DEV, 0, 4 * PAGE, RW, None).unwrap();
    assert_eq!(process.touch(at, sys::S_READ), 0);
    let frames = frames(process, at);
    assert_eq!(frames, (0..4).map(|n| (n, frames[0].1 + 3 * n)).collect::<Vec<_>>());
    process.exit();
    free(cookie);
}

#[test]
fn trash_is_one_page_as_long_as_anybody_has_it() {
    let _machine = boot();
    let cookie = alloc(3, sys::DDI_UMEM_TRASH);
    attach(vec![memory(cookie, 3)], Behaviour::Default);
    let (one, two) = (Process::new(), Process::new());
    let at = one.mmap(DEV, 0, 3 * PAGE, RW, None).unwrap();
    let there = two.mmap(DEV, 0, 3 * PAGE, RW, None).unwrap();
    touch_all(one, at, 3);
    touch_all(two, there, 1);
    let pfn = one.pte(at).unwrap().pfn;
    assert_eq!(frames(one, at), [(0, pfn), (1, pfn), (2, pfn)]);
    assert_eq!(frames(two, there), [(0, pfn)]);
    assert_eq!(machine(|m| m.cookies.len()), 2, "the driver's cookie and the page");
    one.exit();
    assert_eq!(machine(|m| m.cookies.len()), 2);
    two.exit();
    assert_eq!(machine(|m| m.cookies.len()), 1, "the page is kept");
    free(cookie);
}

#[test]
fn pageable_memory_is_locked_by_softlocks() {
    let _machine = boot();
    let cookie = alloc(2, sys::DDI_UMEM_PAGEABLE);
    attach(vec![memory(cookie, 2)], Behaviour::Default);
    let process = Process::new();
    let at = process.mmap(DEV, 0, 2 * PAGE, RW, None).unwrap();
    let locked = || machine(|m| m.page_locks.values().sum::<u32>());
    touch_all(process, at, 2);
    assert_eq!(locked(), 0);
    assert_eq!(process.fault(at, 2 * PAGE, sys::F_SOFTLOCK, sys::S_WRITE), 0);
    assert_eq!((locked(), process.locks()), (2, 2));
    assert_eq!(process.fault(at, 2 * PAGE, sys::F_SOFTUNLOCK, sys::S_WRITE), 0);
    assert_eq!((locked(), process.locks()), (0, 0));
    process.exit();
    free(cookie);
}

/// What a remap call with these arguments returns.
fn remap(cookie: Option<usize>, off: u64, pages: u64, flags: u32) -> c_int {
    let handle = driver::handles()[0];
    let (off, len, all) = (off as i64, (pages * PAGE) as usize, sys::PROT_ALL);
    // SAFETY: a live handle.
    unsafe {
        match cookie {
            Some(cookie) => {
                let cookie = pointer(cookie as u64);
                sys::devmap_umem_remap(handle, driver::dip(), cookie, off, len, all, flags, null_mut())
            }
            None => sys::devmap_devmem_remap(handle, driver::dip(), 0, off, len, all, flags, null_mut()),
        }
    }
}

#[test]
fn remaps_drop_what_is_loaded() {
    let _machine = boot();
    let (cookie, other) = (alloc(2, 0), alloc(3, 0));
    let remappable = |region| Region { flags: sys::DEVMAP_ALLOW_REMAP, ..region };
    for (first, registers) in [(registers(0, 2), true), (memory(cookie, 2), false)] {
        attach(vec![remappable(first)], Behaviour::Default);
        let process = Process::new();
        let at = process.mmap(DEV, 0, 2 * PAGE, RW, None).unwrap();
        touch_all(process, at, 2);
        let before = frames(process, at);
        let kind = (!registers).then_some(other);
        assert_eq!(remap(kind, PAGE, 2, 0), sys::DDI_SUCCESS);
        assert_eq!(process.ptes(), []);
        touch_all(process, at, 2);
        let after = frames(process, at);
        assert_eq!(after[1].1, after[0].1 + 1);
        match registers {
            true => assert_eq!(after[0].1, DEVICE + 1),
            false => assert_ne!(after[0].1 - 1, before[0].1),
        }
        assert_eq!(remap(Some(0), 0, 2, 0), sys::DDI_FAILURE);
        if registers {
            assert_eq!(remap(None, 0, 2, sys::DEVMAP_MAPPING_INVALID), sys::DDI_SUCCESS);
            assert_eq!(process.ptes(), []);
            assert_ne!(process.touch(at, sys::S_READ), 0);
        }
        process.exit();
    }
    free(cookie);
    free(other);
}

#[test]
fn null_handles_and_cookies_are_refused() {
    let _machine = boot();
    attach(vec![registers(0, 1)], Behaviour::Default);
    let process = Process::new();
    process.mmap(DEV, 0, PAGE, RW, None).unwrap();
    let handle = driver::handles()[0];
    let (none, dip, table, page) = (null_mut(), driver::dip(), driver::table(), PAGE as usize);
    let (load, write) = (sys::F_INVAL, sys::S_WRITE);
    let invalid = sys::FC_MAKE_ERR(sys::EINVAL);
    // SAFETY: NULL is allowed for, and the other handle lives.
    unsafe {
        let umem = |dhp, cookie, ops| {
            sys::devmap_umem_setup(dhp, dip, ops, cookie, 0, page, sys::PROT_ALL, 0, null_mut())
        };
        let cookie = std::ptr::null_mut();
        assert_eq!(umem(none, cookie, table), sys::DDI_FAILURE);
        assert_eq!(umem(handle, cookie, table), sys::DDI_FAILURE);
        let devmem = |ops| sys::devmap_devmem_setup(none, dip, ops, 0, 0, page, sys::PROT_ALL, 0, null_mut());
        assert_eq!(devmem(table), sys::DDI_FAILURE);
        assert_eq!(devmem(null_mut()), sys::DDI_FAILURE);
        assert_eq!(sys::devmap_load(none, 0, page, load, write), invalid);
        assert_eq!(sys::devmap_load(handle, 0, page, load, write), invalid, "outside of a fault");
        assert_eq!(sys::devmap_load(handle, 0, page, 99, write), invalid);
        assert_eq!(sys::devmap_unload(none, 0, page), invalid);
        assert_ne!(sys::devmap_do_ctxmgt(none, null_mut(), 0, page, load, write, None), 0);
        assert_ne!(sys::devmap_do_ctxmgt(handle, null_mut(), 0, page, load, write, None), 0);
        sys::devmap_set_ctx_timeout(none, 1);
        assert_eq!(sys::devmap_default_access(handle, null_mut(), 0, page, load, write), invalid);
    }
    process.exit();
}

/// Registers are looked up without mapping more of them than a page.
#[test]
fn registers_that_are_not_there_are_refused() {
    let _machine = boot();
    attach(vec![registers(0xfff, 1), registers(0xfff, 2)], Behaviour::Default);
    let process = Process::new();
    process.mmap(DEV, 0, PAGE, RW, None).unwrap();
    assert_eq!(process.mmap(DEV, PAGE, 2 * PAGE, RW, None), Err(sys::ENXIO));
    process.exit();
}
