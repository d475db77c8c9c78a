//! The situations in which the reference crashes, corrupts, exposes memory or hangs, by the numbers of
//! `docs/defects.md`: what segdev does in them. After each, nothing is left of anything.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use common::*;
use segdev::sim::SimUmem;
use segdev::sim::script::{Behaviour, EntryPoint, RegionKind};
use segdev::{Access, Errno, FaultCode, FaultType, Prot, Rw, SetupError, SetupFlags, UmemKind};

/// What an errno becomes on its way through an access callback: `FC_MAKE_ERR`.
fn wrapped(errno: i32) -> FaultCode {
    FaultCode::from_errno(errno)
}

/// Three handles of four pages.
fn three() -> Rig {
    let rig = Rig::new(vec![devmem(0, 4), devmem(4, 4), devmem(8, 4)], Behaviour::Default);
    assert_eq!(rig.mmap(0, 0, 12), Ok(BASE));
    assert_eq!(rig.fault(0, 0, 12, FaultType::Inval, Rw::Read), FaultCode::OK);
    rig.unmaps();
    rig
}

#[test]
fn defect_01_tail_cut_before_the_last_handle() {
    // Pages 2 to 11, 4 to 11, 6 to 11.
    let cuts: [(u64, &[_]); 3] = [
        (2, &[(1, 2, 2, Some(1), None), (2, 4, 4, None, None), (3, 8, 4, None, None)]),
        (4, &[(2, 4, 4, None, None), (3, 8, 4, None, None)]),
        (6, &[(2, 6, 2, Some(2), None), (3, 8, 4, None, None)]),
    ];
    for (first, callbacks) in cuts {
        let rig = three();
        assert_eq!(rig.munmap(0, first, 12 - first), Ok(()));
        assert_eq!(rig.unmaps(), callbacks);
        assert_eq!(rig.pages(0).len() as u64, first, "what stays keeps its translations, the rest has none");
        assert_eq!(rig.read(0, first), FaultCode::NOMAP);
        rig.end(&[]);
    }
}

#[test]
fn defect_02_tail_cut_inside_the_last_handle() {
    let rig = three();
    assert_eq!(rig.munmap(0, 10, 2), Ok(()));
    assert_eq!(rig.unmaps(), [(3, 10, 2, Some(3), None)]);
    let info = rig.handle(3).info();
    assert_eq!((info.off, info.len), (8 * PAGE, 2 * PAGE));
    // A whole load stays within what is mapped.
    let load = || rig.fw.load(&rig.handle(3), 8 * PAGE, 0, FaultType::Inval, Rw::Read);
    assert_eq!(rig.fw.platform().holding(Some(0), load), FaultCode::OK);
    assert_eq!(rig.pages(0).len(), 10);
    rig.end(&[]);
}

#[test]
fn defect_03_tail_cut_at_the_start_of_the_last_handle() {
    let rig = three();
    assert_eq!(rig.munmap(0, 8, 4), Ok(()));
    assert_eq!(rig.unmaps(), [(3, 8, 4, None, None)]);
    assert_eq!(rig.fw.live().handles, 2, "the handle is freed at once");
    rig.end(&[]);
}

#[test]
fn defect_04_access_to_invalid_kernel_memory() {
    let k = memory(0, 4);
    for plain in [false, true] {
        let mut region = umem(0, 4, &k).invalid();
        if plain {
            region = region.plain();
        }
        let rig = Rig::new(vec![region], Behaviour::Default);
        assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
        // As for an invalid device mapping: no mapping, wrapped where a callback passes it on.
        let expected = if plain { FaultCode::NOMAP } else { wrapped(FaultCode::NOMAP.0) };
        assert_eq!(rig.read(0, 1), expected);
        let space = rig.space(0);
        assert_eq!(space.mprotect(&rig.fw, BASE, PAGE, Prot::READ), Ok(()));
        let expected = if plain { FaultCode::EFAULT } else { wrapped(FaultCode::EFAULT.0) };
        assert_eq!(rig.read(0, 1), expected, "and no page, once protections are by page");
        assert_eq!(rig.pages(0), []);
        rig.end(std::slice::from_ref(&k));
    }
}

#[test]
fn defect_05_umem_remap_makes_an_invalid_mapping_valid() {
    let k = memory(0, 4);
    let rig = Rig::new(vec![umem(0, 4, &k).invalid(), devmem(4, 4).remappable()], Behaviour::Default);
    assert_eq!(rig.mmap(0, 0, 8), Ok(BASE));
    // Handle 1 was set up as invalid, handle 2 becomes so.
    let invalid = segdev::DevmemSetup { flags: SetupFlags::MAPPING_INVALID, ..Rig::registers(0, 4) };
    assert_eq!(rig.devmem_remap(2, invalid), Ok(()));
    for handle in [1, 2] {
        assert!(!rig.read(0, (handle - 1) * 4).is_ok());
        assert_eq!(rig.umem_remap(handle, Some(&k), 0, 4), Ok(()));
        assert_eq!(rig.read(0, (handle - 1) * 4), FaultCode::OK);
    }
    assert_eq!(rig.pages(0), [(0, 0x20_0000, 0), (4, 0x20_0000, 0)]);
    rig.end(&[k]);
}

#[test]
fn defect_06_failed_remap_leaves_an_invalid_handle_invalid() {
    let rig = Rig::new(vec![devmem(0, 4).invalid()], Behaviour::Default);
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    let unknown = segdev::DevmemSetup { rnumber: 9, ..Rig::registers(0, 4) };
    for args in [unknown, Rig::registers(8 * LARGE / PAGE - 2, 4)] {
        assert_eq!(rig.devmem_remap(1, args), Err(SetupError));
        assert!(rig.handle(1).info().invalid);
        assert_eq!(rig.read(0, 0), wrapped(FaultCode::NOMAP.0));
    }
    assert_eq!(rig.pages(0), [], "no nonsense address was loaded");
    rig.end(&[]);
}

#[test]
fn defect_07_refused_map_callback_leaves_nothing() {
    for nth in 1..=3 {
        let regions = vec![devmem(0, 4), devmem(4, 4), devmem(8, 4)];
        let rig = Rig::failing(regions, Behaviour::Default, vec![fail(EntryPoint::Map, nth, 12)]);
        assert_eq!(rig.mmap(0, 0, 12), Err(Errno::ENXIO));
        let whole: Vec<_> = (1..nth).map(|h| (h, (h - 1) * 4, 4, None, None)).collect();
        assert_eq!(rig.unmaps(), whole);
        assert_eq!(rig.space(0).segments(&rig.fw).len(), 0);
        assert_eq!(rig.read(0, 0), FaultCode::NOMAP);
        assert_eq!(rig.fw.live(), segdev::Live::default());
        // Its addresses are free, and fork copies nothing.
        assert_eq!(rig.mmap(0, 0, 12), Ok(BASE));
        assert_eq!(rig.munmap(0, 0, 12), Ok(()));
        assert_eq!(rig.space(0).fork(&rig.fw, rig.space(1)), Ok(()));
        assert_eq!(rig.fw.live(), segdev::Live::default());
        rig.end(&[]);
    }
}

#[test]
fn defect_08_pages_loaded_by_a_map_callback_go_when_a_later_one_fails() {
    let rig = Rig::failing(
        vec![devmem(0, 4), devmem(4, 4)],
        Behaviour::Default,
        vec![fail(EntryPoint::Map, 2, 12)],
    );
    let loaded = Arc::new(AtomicBool::new(false));
    let seen = loaded.clone();
    rig.fw.platform().set_on_new(move |fw, handle| {
        let load = || fw.load(handle, handle.info().off, 0, FaultType::Inval, Rw::Read);
        seen.store(fw.platform().holding(Some(0), load).is_ok(), SeqCst);
        assert_eq!(fw.platform().pages().len(), 1);
    });
    assert_eq!(rig.mmap(0, 0, 8), Err(Errno::ENXIO));
    assert!(loaded.load(SeqCst), "the first map callback has loaded pages");
    rig.left_over_nothing(&[]);
}

#[test]
fn defect_09_umem_remap_with_a_null_cookie() {
    let k = memory(0, 4);
    let rig = Rig::new(vec![umem(0, 4, &k).remappable()], Behaviour::Default);
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    assert_eq!(rig.umem_remap(1, None, 0, 4), Err(SetupError));
    assert_eq!(rig.read(0, 3), FaultCode::OK);
    rig.end(&[k]);
}

#[test]
fn defect_10_remap_shorter_than_the_handle() {
    let (k, other) = (memory(0, 4), memory(1, 8));
    let rig = Rig::new(vec![devmem(0, 4).remappable(), umem(4, 4, &k).remappable()], Behaviour::Default);
    assert_eq!(rig.mmap(0, 0, 8), Ok(BASE));
    // The last two pages of the register set and of a cookie, for handles of four.
    assert_eq!(rig.devmem_remap(1, Rig::registers(8 * LARGE / PAGE - 2, 2)), Err(SetupError));
    assert_eq!(rig.umem_remap(2, Some(&other), 6 * PAGE, 2), Err(SetupError));
    // Where four pages follow, the handle's length counts.
    assert_eq!(rig.umem_remap(2, Some(&other), 4 * PAGE, 2), Ok(()));
    assert_eq!(rig.fault(0, 0, 8, FaultType::Inval, Rw::Read), FaultCode::OK);
    let frames: Vec<u64> = rig.pages(0).iter().map(|p| p.1).collect();
    assert_eq!(frames[..4], [0x10_0000, 0x10_0001, 0x10_0002, 0x10_0003]);
    assert_eq!(frames[4..], [0x21_0004, 0x21_0005, 0x21_0006, 0x21_0007]);
    rig.end(&[k, other]);
}

#[test]
fn defect_11_negative_offset_into_kernel_memory() {
    let k = memory(0, 8);
    let negative = (-2i64 * PAGE as i64) as u64;
    let rig = Rig::new(vec![region(0, 4, RegionKind::Umem(Some(k.clone()), negative))], Behaviour::Default);
    assert_eq!(rig.mmap(0, 0, 4), Err(Errno::ENXIO), "the setup call is refused");
    rig.end(&[]);
    let rig = Rig::new(vec![umem(0, 4, &k).remappable()], Behaviour::Default);
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    assert_eq!(rig.umem_remap(1, Some(&k), negative, 4), Err(SetupError));
    rig.end(&[k]);
}

#[test]
fn defect_12_remap_below_what_mprotect_has_granted() {
    let rig = Rig::new(vec![devmem(0, 4).remappable()], Behaviour::Default);
    assert_eq!(rig.mmap_prot(0, 0, 4, Prot::READ), Ok(BASE));
    assert_eq!(rig.space(0).mprotect(&rig.fw, BASE, 4 * PAGE, RW), Ok(()));
    let args = segdev::DevmemSetup { maxprot: Prot::READ, ..Rig::registers(8, 4) };
    assert_eq!(rig.devmem_remap(1, args), Ok(()), "the remap is accepted");
    assert_eq!(rig.fault(0, 0, 1, FaultType::Inval, Rw::Write), wrapped(FaultCode::PROT.0));
    assert_eq!(rig.read(0, 0), FaultCode::OK);
    assert_eq!(rig.fw.platform().pte(0, BASE).map(|p| p.prot), Some(Prot::READ), "and loads what it may");
    rig.end(&[]);
}

#[test]
fn defect_13_lengths_that_wrap() {
    let k = memory(0, 4);
    let rig = Rig::new(vec![devmem(0, 4), umem(4, 4, &k)], Behaviour::Default);
    assert_eq!(rig.mmap(0, 0, 8), Ok(BASE));
    for handle in [1, 2] {
        let (handle, off) = (rig.handle(handle), (handle - 1) * 4 * PAGE);
        for len in [u64::MAX, u64::MAX - 4094, u64::MAX - 4095, 1 << 63] {
            let load = || rig.fw.load(&handle, off + PAGE, len, FaultType::Inval, Rw::Read);
            assert_eq!(rig.fw.platform().holding(Some(0), load), FaultCode::EINVAL);
            assert_eq!(rig.fw.unload(&handle, off + PAGE, len), FaultCode::EINVAL);
        }
    }
    assert_eq!(rig.pages(0), []);
    rig.end(&[k]);
}

#[test]
fn defect_14_setup_of_length_zero() {
    let rig = Rig::new(vec![devmem(0, 4)], Behaviour::Default);
    assert_eq!(rig.mmap(0, 0, 0), Err(Errno::EINVAL));
    rig.left_over_nothing(&[]);
}

#[test]
fn defect_15_protections_up_to_the_end_of_the_segment() {
    let rig = Rig::new(vec![devmem(0, 4)], Behaviour::Default);
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    assert_eq!(rig.space(0).mprotect(&rig.fw, BASE + 3 * PAGE, PAGE, Prot::READ), Ok(()));
    let prots = rig.space(0).prots(&rig.fw, BASE, 4 * PAGE);
    assert_eq!(prots, Ok(vec![RW, RW, RW, Prot::READ]));
    rig.end(&[]);
}

#[test]
fn defect_16_driver_reports_length_zero() {
    let rig = Rig::build(1, vec![devmem(0, 4)], Behaviour::Default, Vec::new(), Some(0));
    assert_eq!(rig.mmap(0, 0, 4), Err(Errno::EINVAL));
    rig.left_over_nothing(&[]);
}

#[test]
fn defect_17_driver_reports_another_length_or_sets_nothing_up() {
    for report in [2 * PAGE, 8 * PAGE] {
        let rig = Rig::build(1, vec![devmem(0, 4)], Behaviour::Default, Vec::new(), Some(report));
        assert_eq!(rig.mmap(0, 0, 4), Err(Errno::EINVAL));
        rig.left_over_nothing(&[]);
    }
    let rig = Rig::new(vec![devmem(0, 4), region(4, 4, RegionKind::Unset)], Behaviour::Default);
    assert_eq!(rig.mmap(0, 0, 8), Err(Errno::EINVAL));
    rig.left_over_nothing(&[]);
}

#[test]
fn defect_18_context_management_without_an_access_callback() {
    let rig = Rig::build(2, vec![devmem(0, 4).plain()], Behaviour::Default, Vec::new(), None);
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    let handle = rig.handle(1);
    let range = Access { off: 0, len: PAGE, ty: FaultType::Inval, rw: Rw::Read };
    for (ticks, routine_returns) in [(0, -1), (0, 0), (10, -1), (10, 0)] {
        rig.fw.set_ctx_timeout(&handle, ticks);
        let routine = |_: &Handles, _, _| routine_returns;
        assert_eq!(rig.fw.do_ctxmgt(&handle, 0, range, Some(routine)), FaultCode::HWERR);
    }
    rig.end(&[]);
}

#[test]
fn defect_19_pageable_memory_is_locked_while_it_is_loaded() {
    let k = SimUmem::new(0, UmemKind::Pageable, 4 * PAGE, 1);
    let rig = Rig::new(vec![umem(0, 4, &k)], Behaviour::Default);
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    assert_eq!(rig.read(0, 0), FaultCode::OK);
    assert_eq!(k.page_locks(), 0);
    assert_eq!(rig.softlock(0, 0, 2), FaultCode::OK);
    assert_eq!(k.page_locks(), 2);
    assert_eq!(rig.softunlock(0, 0, 2), FaultCode::OK);
    assert_eq!(k.page_locks(), 0);
    rig.end(&[k]);
}

#[test]
fn defect_20_softlock_over_two_segments_of_a_device() {
    let rig = Rig::new(vec![devmem(0, 4)], Behaviour::Default);
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE + 4 * PAGE));
    assert_eq!(rig.softlock(0, 0, 8), FaultCode::OK, "the thread does not wait for itself");
    assert_eq!(rig.space(0).exit(&rig.fw), Err(Errno::EAGAIN));
    assert_eq!(rig.softunlock(0, 0, 8), FaultCode::OK);
    assert!(rig.pages(0).iter().all(|p| p.2 == 0));
    rig.end(&[]);
}

#[test]
fn defect_21_softlock_that_fails_behind_a_handle_without_access_callback() {
    let k = memory(0, 4);
    let rig = Rig::failing(
        vec![umem(0, 4, &k).plain(), devmem(4, 4)],
        Behaviour::Default,
        vec![fail(EntryPoint::Access, 1, 14)],
    );
    assert_eq!(rig.mmap(0, 0, 8), Ok(BASE));
    assert_eq!(rig.softlock(0, 0, 8), FaultCode(14));
    assert!(rig.pages(0).iter().all(|p| p.2 == 0), "the first handle is unlocked again");
    assert_eq!(rig.fault(0, 0, 8, FaultType::Inval, Rw::Read), FaultCode::OK, "the next fault works");
    assert_eq!(rig.softlock(0, 0, 8), FaultCode::OK);
    assert_eq!(rig.softunlock(0, 0, 8), FaultCode::OK);
    rig.end(&[k]);
}

#[test]
fn defect_22_the_same_where_the_lock_was_widened_to_a_large_page() {
    let large = LARGE / PAGE;
    let rig = Rig::failing(
        vec![devmem(0, large).plain(), devmem(large, 4)],
        Behaviour::Default,
        vec![fail(EntryPoint::Access, 1, 14)],
    );
    assert_eq!(rig.mmap(0, 0, large + 4), Ok(BASE));
    assert_eq!(rig.softlock(0, large - 1, 2), FaultCode(14));
    assert_eq!(rig.pages(0).len() as u64, large, "the lock was widened");
    assert!(rig.pages(0).iter().all(|p| p.2 == 0), "and undone as wide");
    assert_eq!(rig.softlock(0, large - 1, 2), FaultCode::OK);
    assert_eq!(rig.softunlock(0, large - 1, 2), FaultCode::OK);
    rig.end(&[]);
}

#[test]
fn defect_23_access_callback_fails_during_softunlock() {
    let access = custom(|fw, handle, pvt, range| match range.ty {
        FaultType::Softunlock => 5,
        _ => fw.default_access(handle, pvt, range).0,
    });
    let rig = Rig::new(vec![devmem(0, 4)], access);
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    assert_eq!(rig.softlock(0, 0, 4), FaultCode::OK);
    assert_eq!(rig.softunlock(0, 0, 4), wrapped(5), "the driver's answer is passed on");
    assert_eq!(rig.pages(0).iter().map(|p| p.2).sum::<u32>(), 0, "and the pages are unlocked all the same");
    assert_eq!(rig.munmap(0, 0, 4), Ok(()));
    rig.end(&[]);
}

#[test]
fn defect_23_softunlock_goes_on_behind_the_handle_that_fails() {
    // Over three handles of one mapping, and over three mappings.
    for apart in [false, true] {
        let rig = Rig::failing(
            vec![devmem(0, 4), devmem(4, 4), devmem(8, 4)],
            Behaviour::Default,
            vec![fail(EntryPoint::Access, 5, 14)],
        );
        let maps: &[(u64, u64)] = if apart { &[(0, 4), (4, 4), (8, 4)] } else { &[(0, 12)] };
        for &(first, pages) in maps {
            assert_eq!(rig.mmap(0, first, pages), Ok(BASE + first * PAGE));
        }
        assert_eq!(rig.softlock(0, 1, 10), FaultCode::OK);
        rig.unmaps();
        assert_eq!(rig.softunlock(0, 1, 10), wrapped(14), "the first error is the answer");
        assert!(rig.pages(0).iter().all(|p| p.2 == 0), "all three are unlocked");
        assert_eq!(rig.munmap(0, 0, 12), Ok(()));
        rig.end(&[]);
    }
}

#[test]
fn defect_24_access_callback_loads_more_than_asked_during_a_softlock() {
    let rig = Rig::new(vec![devmem(0, 4)], Behaviour::LoadAll);
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    for _ in 0..2 {
        assert_eq!(rig.softlock(0, 1, 1), FaultCode::OK);
        assert_eq!(rig.handle(1).info().softlocks, 4, "what was really locked counts");
        assert_eq!(rig.softunlock(0, 1, 1), FaultCode::OK);
        assert_eq!(rig.handle(1).info().softlocks, 0);
    }
    rig.end(&[]);
}

#[test]
fn defect_25_access_callback_loads_nothing_during_a_softlock() {
    let rig = Rig::new(vec![devmem(0, 4)], Behaviour::NoLoad);
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    assert_eq!(rig.softlock(0, 0, 1), FaultCode::OK);
    assert_eq!(rig.handle(1).info().softlocks, 0, "nothing was locked, and no one is kept out");
    assert_eq!(rig.read(0, 0), FaultCode::OK);
    assert_eq!(rig.softunlock(0, 0, 1), FaultCode::OK, "the softunlock that belongs to it");
    assert_eq!(rig.softunlock(0, 0, 1), FaultCode::EINVAL, "and one that belongs to none");
    assert_eq!(rig.munmap(0, 0, 4), Ok(()));
    rig.end(&[]);
}

#[test]
fn defect_26_unlocks_without_a_lock_and_locks_taken_by_load() {
    let rig = Rig::new(vec![devmem(0, 4)], Behaviour::Default);
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    let handle = rig.handle(1);
    let load = |ty| {
        let load = || rig.fw.load(&handle, 0, PAGE, ty, Rw::Write);
        rig.fw.platform().holding(Some(0), load)
    };
    // An unlock without a lock is refused, by fault or by load.
    assert_eq!(rig.softunlock(0, 0, 1), FaultCode::EINVAL);
    assert_eq!(load(FaultType::Softunlock), FaultCode::EINVAL);
    // A lock is a lock, whoever took it: a fault may undo a load's, a load a fault's.
    assert_eq!(load(FaultType::Softlock), FaultCode::OK);
    assert_eq!(rig.softunlock(0, 0, 1), FaultCode::OK);
    assert_eq!(rig.softlock(0, 0, 1), FaultCode::OK);
    assert_eq!(load(FaultType::Softunlock), FaultCode::OK);
    assert_eq!(handle.info().softlocks, 0);
    assert_eq!(rig.munmap(0, 0, 4), Ok(()));
    drop(handle);
    rig.end(&[]);
}

#[test]
fn defect_27_faults_while_pages_of_the_device_are_softlocked() {
    let rig = Rig::new(vec![devmem(0, 4)], Behaviour::Default);
    for id in [0, 1] {
        assert_eq!(rig.mmap(id, 0, 4), Ok(BASE));
    }
    assert_eq!(rig.softlock(0, 0, 1), FaultCode::OK);
    // The holder goes on: ordinary faults anywhere, further softlocks too.
    assert_eq!(rig.fault(0, 0, 4, FaultType::Inval, Rw::Read), FaultCode::OK);
    assert_eq!(rig.softlock(0, 0, 2), FaultCode::OK);
    assert_eq!(rig.softunlock(0, 0, 2), FaultCode::OK);
    // Others go on with other pages, and wait (here: are interrupted) only for the locked one.
    assert_eq!(rig.fault(1, 1, 3, FaultType::Inval, Rw::Read), FaultCode::OK);
    assert_eq!(rig.softlock(1, 2, 1), FaultCode::OK);
    assert_eq!(rig.softunlock(1, 2, 1), FaultCode::OK);
    assert_eq!(rig.read(1, 0), FaultCode::EINTR);
    assert_eq!(rig.softlock(1, 0, 1), FaultCode::EINTR);
    assert_eq!(rig.softunlock(0, 0, 1), FaultCode::OK);
    assert_eq!(rig.read(1, 0), FaultCode::OK);
    rig.end(&[]);
}

#[test]
fn defect_28_one_timer_for_a_context() {
    let rig =
        Rig::build(2, vec![devmem(0, 4)], Behaviour::CtxLast, vec![fail(EntryPoint::Ctxmgt, 2, 1)], None);
    for id in [0, 1] {
        assert_eq!(rig.mmap(id, 0, 4), Ok(BASE));
    }
    rig.fw.set_ctx_timeout(&rig.handle(1), 10);
    assert_eq!(rig.read(0, 0), FaultCode::OK);
    assert_eq!(rig.fw.platform().pending_timers(), 1);
    // The other mapping has no timeout; its routine fails, and gives the context up.
    assert_eq!(rig.read(1, 0), wrapped(FaultCode::HWERR.0));
    assert_eq!(rig.fw.platform().pending_timers(), 1, "the pending timer is left alone");
    assert_eq!(rig.read(0, 1), FaultCode::OK);
    assert_eq!(rig.fw.platform().pending_timers(), 1, "and stays the only one");
    // It was for an earlier turn: the present one is not cut short, and ends in its own time.
    assert!(rig.fw.platform().fire_timer(&rig.fw));
    assert_eq!(rig.fw.platform().pending_timers(), 1);
    assert!(rig.fw.platform().fire_timer(&rig.fw));
    assert_eq!(rig.fw.platform().pending_timers(), 0);
    // The last release cancels one that is pending.
    assert_eq!(rig.read(0, 2), FaultCode::OK);
    assert_eq!(rig.fw.platform().pending_timers(), 1);
    rig.end(&[]);
}

#[test]
fn defect_29_the_owner_of_a_context_does_not_wait() {
    let regions = vec![devmem(0, 4), devmem(4, 4)];
    let rig = Rig::build(2, regions, Behaviour::CtxLast, Vec::new(), None);
    assert_eq!(rig.mmap(0, 0, 8), Ok(BASE));
    for handle in [1, 2] {
        rig.fw.set_ctx_timeout(&rig.handle(handle), 10);
    }
    assert_eq!(rig.read(0, 0), FaultCode::OK);
    // The same thread again, and both handles in one fault; a wait would be interrupted.
    assert_eq!(rig.read(0, 1), FaultCode::OK);
    assert_eq!(rig.fault(0, 3, 2, FaultType::Inval, Rw::Read), FaultCode::OK);
    assert_eq!(rig.fw.platform().pending_timers(), 1);

    // Another mapping of the process waits, without the space: mmap and munmap go on meanwhile.
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE + 8 * PAGE));
    rig.fw.set_ctx_timeout(&rig.handle(3), 10);
    rig.fw.platform().set_interrupted(false);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| rig.read(0, 8));
        while rig.fw.platform().waits() == 0 {
            thread::yield_now();
        }
        assert_eq!(rig.mmap(0, 0, 4), Ok(BASE + 12 * PAGE));
        assert_eq!(rig.munmap(0, 12, 4), Ok(()));
        assert!(rig.fw.platform().fire_timer(&rig.fw), "the turn is over");
        assert_eq!(waiter.join().expect("no panic"), FaultCode::OK);
    });
    rig.end(&[]);
}
