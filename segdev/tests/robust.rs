//! Whatever a driver or process does, nothing is corrupted, leaked or stuck. After each test nothing is left.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

use common::*;
use segdev::sim::SimUmem;
use segdev::sim::script::{Behaviour, EntryPoint, Event};
use segdev::{Access, Errno, FaultCode, FaultType, MapFlags, MapRequest, Prot, Rw, SetupError, UmemKind};

#[test]
fn dup_refused_at_any_handle_of_any_segment() {
    for nth in 1..=4 {
        let regions = vec![devmem(0, 4), devmem(4, 4)];
        let rig = Rig::failing(regions, Behaviour::Default, vec![fail(EntryPoint::Dup, nth, 11)]);
        assert_eq!(rig.mmap(0, 0, 8), Ok(BASE));
        assert_eq!(rig.mmap(0, 0, 8), Ok(BASE + 8 * PAGE));
        let before = rig.fw.live();
        rig.unmaps();
        assert_eq!(rig.space(0).fork(&rig.fw, rig.space(1)), Err(Errno(11)), "with the driver's error");
        let unmapped: Vec<u64> = rig.unmaps().iter().map(|u| u.0).collect();
        assert_eq!(unmapped.len() as u64, nth - 1, "those duplicated before it get their unmap callback");
        assert_eq!(rig.fw.live(), before);
        assert_eq!(rig.space(1).segments(&rig.fw).len(), 0);
        assert_eq!(rig.space(0).fork(&rig.fw, rig.space(2)), Ok(()), "the next fork works");
        rig.end(&[]);
    }
}

#[test]
fn setup_repeated_changes_nothing() {
    let k = memory(0, 4);
    let mut twice = umem(0, 4, &k);
    twice.twice = true;
    let rig = Rig::new(vec![twice], Behaviour::Default);
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    let args = Rig::registers(8, 4);
    assert_eq!(rig.fw.devmem_setup(&rig.handle(1), &rig.device, args), Err(SetupError));
    assert_eq!(rig.read(0, 3), FaultCode::OK);
    assert_eq!(rig.pages(0), [(3, 0x20_0003, 0)]);
    rig.end(&[k]);
}

#[test]
fn remap_of_handles_that_cannot_be() {
    let k = memory(0, 4);
    let rig = Rig::new(vec![devmem(0, 4), devmem(4, 4).remappable()], Behaviour::Default);
    assert_eq!(rig.mmap(0, 0, 8), Ok(BASE));
    let dead = rig.handle(2);
    assert_eq!(rig.devmem_remap(1, Rig::registers(8, 4)), Err(SetupError), "not remappable");
    assert_eq!(rig.umem_remap(1, Some(&k), 0, 4), Err(SetupError));
    // Another process's handle can be remapped from anywhere, until it is gone.
    assert_eq!(rig.umem_remap(2, Some(&k), 0, 4), Ok(()));
    assert_eq!(rig.read(0, 4), FaultCode::OK);
    assert_eq!(rig.munmap(0, 0, 8), Ok(()));
    assert_eq!(rig.fw.devmem_remap(&dead, &rig.device, Rig::registers(8, 4)), Err(SetupError));
    assert_eq!(rig.fw.unload(&dead, 4 * PAGE, 0), FaultCode::EINVAL);
    let load = || rig.fw.load(&dead, 4 * PAGE, 0, FaultType::Inval, Rw::Read);
    assert_eq!(rig.fw.platform().holding(Some(0), load), FaultCode::EINVAL);
    let range = Access { off: 4 * PAGE, len: PAGE, ty: FaultType::Inval, rw: Rw::Read };
    let routine = |_: &Handles, _, _| panic!("no routine runs for a dead handle");
    assert_eq!(rig.fw.do_ctxmgt(&dead, 0, range, Some(routine)), FaultCode::HWERR);
    rig.fw.set_ctx_timeout(&dead, 10);
    assert!(!dead.info().live);
    drop(dead);
    rig.end(&[k]);
}

#[test]
fn kernel_memory_lives_until_its_last_mapping_goes() {
    let rig = {
        let k = memory(0, 4);
        let rig = Rig::new(vec![umem(0, 4, &k)], Behaviour::Default);
        assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
        assert_eq!(rig.space(0).fork(&rig.fw, rig.space(1)), Ok(()));
        assert_eq!(rig.mmap(2, 0, 4), Ok(BASE));
        // The device's table, and three handles.
        assert_eq!(k.references(), 1 + 1 + 3);
        assert_eq!(rig.munmap(1, 0, 1), Ok(()));
        assert_eq!(rig.munmap(0, 0, 4), Ok(()));
        assert_eq!(k.references(), 1 + 1 + 2);
        rig
        // The driver frees it here.
    };
    assert_eq!(rig.read(1, 1), FaultCode::OK);
    assert_eq!(rig.pages(1), [(1, 0x20_0001, 0)], "still its own pages");
    rig.end(&[]);
}

#[test]
fn offsets_and_lengths_that_overflow() {
    let rig = Rig::new(vec![devmem(0, 4)], Behaviour::Default);
    let request = |off, len| MapRequest::<segdev::sim::Sim> {
        device: &rig.device,
        off,
        len,
        prot: RW,
        maxprot: ALL,
        flags: MapFlags::SHARED,
        model: 0,
    };
    let space = rig.space(0);
    let top = u64::MAX - PAGE + 1;
    assert_eq!(space.mmap(&rig.fw, &request(top, 4 * PAGE), None), Err(Errno::EINVAL));
    assert_eq!(space.mmap(&rig.fw, &request(0, top), None), Err(Errno::ENXIO));
    assert_eq!(space.mmap(&rig.fw, &request(0, 4 * PAGE), Some(top)), Err(Errno::ENOMEM));
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    for (addr, len) in [(BASE, u64::MAX), (top, 2 * PAGE), (u64::MAX, 1)] {
        assert_eq!(space.munmap(&rig.fw, addr, len), Err(Errno::EINVAL));
        assert_eq!(space.mprotect(&rig.fw, addr, len, RW), Err(Errno::ENOMEM));
        assert_eq!(space.fault(&rig.fw, addr, len, FaultType::Inval, Rw::Read), FaultCode::NOMAP);
        assert!(space.prots(&rig.fw, addr, len).is_err());
    }
    // (The requests that were refused have used up handle numbers.)
    let (_, handle) = rig.fw.platform().handles_of(0).remove(0);
    for off in [u64::MAX, top, 4 * PAGE] {
        assert_eq!(rig.fw.unload(&handle, off, 0), FaultCode::EINVAL);
        assert_eq!(rig.fw.unload(&handle, off, u64::MAX), FaultCode::EINVAL);
    }
    drop(handle);
    rig.end(&[]);
}

#[test]
fn the_driver_is_asked_for_the_length_as_it_is() {
    for (report, mapped) in [(None, Err(Errno::EINVAL)), (Some(2 * PAGE), Ok(BASE))] {
        // One driver reports the length as it was asked, which is not in pages; the other one rounds.
        let rig = Rig::build(1, vec![devmem(0, 4)], Behaviour::Default, Vec::new(), report);
        let request = MapRequest { len: PAGE + 100, ..rig.request(0, 1, RW) };
        assert_eq!(rig.space(0).mmap(&rig.fw, &request, None), mapped);
        let asked = rig.fw.platform().take_events().into_iter().find_map(|event| match event {
            Event::Devmap { len, .. } => Some(len),
            _ => None,
        });
        assert_eq!(asked, Some(PAGE + 100));
        let whole = rig.space(0).segments(&rig.fw).iter().map(|segment| segment.len).collect::<Vec<_>>();
        assert_eq!(whole, if mapped.is_ok() { vec![2 * PAGE] } else { Vec::new() });
        rig.end(&[]);
    }
}

#[test]
fn softlock_interrupted_half_way_locks_nothing() {
    let k = SimUmem::new(0, UmemKind::Pageable, 4 * PAGE, 1);
    let rig = Rig::new(vec![umem(0, 4, &k), devmem(4, 4)], Behaviour::Default);
    for id in [0, 1] {
        assert_eq!(rig.mmap(id, 0, 8), Ok(BASE));
    }
    assert_eq!(rig.softlock(0, 6, 1), FaultCode::OK);
    // The other process gets its first handle locked and is interrupted at the second.
    assert_eq!(rig.softlock(1, 0, 8), FaultCode::EINTR);
    assert!(rig.pages(1).iter().all(|p| p.2 == 0));
    assert_eq!(k.page_locks(), 0);
    assert_eq!(rig.munmap(1, 0, 8), Ok(()));
    assert_eq!(rig.softunlock(0, 6, 1), FaultCode::OK);
    rig.end(&[k]);
}

#[test]
fn unload_during_a_fault_of_the_same_handle() {
    let access = custom(|fw, handle, pvt, range| {
        let rc = fw.default_access(handle, pvt, range);
        assert!(rc.is_ok());
        fw.unload(handle, handle.info().off, 0).0
    });
    let rig = Rig::new(vec![devmem(0, 4)], access);
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    assert_eq!(rig.read(0, 2), FaultCode::OK);
    assert_eq!(rig.pages(0), [], "the access will be tried again");
    rig.end(&[]);
}

#[test]
fn remap_during_a_fault_takes_effect_at_once() {
    let k = memory(0, 4);
    let other = k.clone();
    let access = custom(move |fw, handle, pvt, range| {
        let rc = fw.default_access(handle, pvt, range);
        let args = segdev::UmemSetup {
            umem: Some(other.clone()),
            off: 0,
            len: 4 * PAGE,
            maxprot: ALL,
            flags: segdev::SetupFlags::empty(),
            attr: 0,
            callbacks: None,
        };
        assert!(rc.is_ok() && fw.umem_remap(handle, args).is_ok());
        fw.default_access(handle, pvt, range).0
    });
    let rig = Rig::new(vec![devmem(0, 4).remappable()], access);
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    assert_eq!(rig.fault(0, 0, 4, FaultType::Inval, Rw::Read), FaultCode::OK);
    let frames: Vec<u64> = rig.pages(0).iter().map(|p| p.1).collect();
    assert_eq!(frames, [0x20_0000, 0x20_0001, 0x20_0002, 0x20_0003], "no page of the old memory is left");
    rig.end(&[k]);
}

#[test]
fn callbacks_may_call_anything_on_any_handle_with_a_mutex_of_their_own() {
    let own = std::sync::Mutex::new(());
    let access = custom(move |fw, handle, pvt, range| {
        let _guard = own.lock().expect("never poisoned");
        for (_, other) in fw.platform().handles_of(0) {
            let off = other.info().off;
            assert!(fw.unload(&other, off, 0).is_ok());
            fw.set_ctx_timeout(&other, 0);
            if other.space() != handle.space() {
                assert_eq!(fw.load(&other, off, 0, range.ty, range.rw), FaultCode::EINVAL);
            }
        }
        fw.default_access(handle, pvt, range).0
    });
    let rig = Rig::new(vec![devmem(0, 4)], access);
    for id in 0..3 {
        assert_eq!(rig.mmap(id, 0, 4), Ok(BASE));
    }
    for id in [0, 1, 2, 0] {
        assert_eq!(rig.read(id, 0), FaultCode::OK);
        for other in 0..3 {
            assert_eq!(rig.pages(other).len(), usize::from(other == id));
        }
    }
    rig.end(&[]);
}

#[test]
fn last_unmap_while_another_process_waits_for_the_context() {
    let rig = Rig::build(2, vec![devmem(0, 4)], Behaviour::CtxLast, Vec::new(), None);
    for id in [0, 1] {
        assert_eq!(rig.mmap(id, 0, 4), Ok(BASE));
        rig.fw.set_ctx_timeout(&rig.handle(u64::from(id) + 1), 10);
    }
    rig.fw.platform().set_interrupted(false);
    assert_eq!(rig.read(0, 0), FaultCode::OK);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| rig.read(1, 0));
        while rig.fw.platform().waits() == 0 {
            thread::yield_now();
        }
        // The owner goes, and so does the waiter's own mapping: it finds nothing mapped when its turn comes.
        assert_eq!(rig.munmap(0, 0, 4), Ok(()));
        assert_eq!(rig.munmap(1, 0, 4), Ok(()));
        assert_eq!(waiter.join().expect("no panic"), FaultCode::NOMAP);
    });
    rig.end(&[]);
}

#[test]
fn a_timer_that_fires_as_its_context_goes_away() {
    let rig = Rig::build(2, vec![devmem(0, 4)], Behaviour::CtxLast, Vec::new(), None);
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    rig.fw.set_ctx_timeout(&rig.handle(1), 10);
    assert_eq!(rig.read(0, 0), FaultCode::OK);
    let late = rig.fw.platform().expire_timer().expect("a timer is pending");
    assert_eq!(rig.munmap(0, 0, 4), Ok(()));
    assert_eq!(rig.fw.live().contexts, 0);
    rig.fw.ctx_timeout(&late);
    drop(late);
    rig.end(&[]);
}

#[test]
fn a_fault_that_fails_half_way_keeps_what_it_has_loaded() {
    let rig = Rig::failing(
        vec![devmem(0, 4), devmem(4, 4), devmem(8, 4)],
        Behaviour::Default,
        vec![fail(EntryPoint::Access, 2, 14)],
    );
    assert_eq!(rig.mmap(0, 0, 12), Ok(BASE));
    assert_eq!(rig.fault(0, 0, 12, FaultType::Inval, Rw::Read), FaultCode::from_errno(14));
    assert_eq!(rig.pages(0).len(), 4);
    assert_eq!(rig.fault(0, 0, 12, FaultType::Inval, Rw::Read), FaultCode::OK);
    assert_eq!(rig.pages(0).len(), 12);
    rig.end(&[]);
}

#[test]
fn a_refused_wait_in_the_callback_is_waited_for_outside() {
    // The callback itself sets the first timeout, so the framework could not wait before it called it.
    let calls = Arc::new(AtomicU64::new(0));
    let seen = calls.clone();
    let access = custom(move |fw, handle, pvt, range| {
        seen.fetch_add(1, SeqCst);
        fw.set_ctx_timeout(handle, 10);
        let routine =
            |handle: &Handles, _, range: Access| fw.load(handle, range.off, range.len, range.ty, range.rw).0;
        fw.do_ctxmgt(handle, pvt, range, Some(routine)).0
    });
    let rig = Rig::build(2, vec![devmem(0, 4)], access, Vec::new(), None);
    for id in [0, 1] {
        assert_eq!(rig.mmap(id, 0, 4), Ok(BASE));
    }
    rig.fw.platform().set_interrupted(false);
    assert_eq!(rig.read(0, 0), FaultCode::OK);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| rig.read(1, 0));
        while rig.fw.platform().waits() == 0 {
            thread::yield_now();
        }
        assert!(rig.fw.platform().fire_timer(&rig.fw));
        assert_eq!(waiter.join().expect("no panic"), FaultCode::OK);
    });
    assert_eq!(calls.load(SeqCst), 3, "once for the first process, twice for the second");
    rig.end(&[]);
}

#[test]
fn many_handles_are_found_wherever_they_are() {
    // Handles of one to three pages, so that guessing from the mean length is often wrong.
    let mut regions = Vec::new();
    let mut first = 0;
    for n in 0..if cfg!(miri) { 60 } else { 500 } {
        let pages = 1 + n % 3;
        regions.push(devmem(first, pages));
        first += pages;
    }
    let rig = Rig::new(regions, Behaviour::Default);
    assert_eq!(rig.mmap_prot(0, 0, first, Prot::READ), Ok(BASE));
    for page in (0..first).step_by(7) {
        assert_eq!(rig.read(0, page), FaultCode::OK);
    }
    let expected: Vec<_> = (0..first).step_by(7).map(|page| (page, 0x10_0000 + page, 0)).collect();
    assert_eq!(rig.pages(0), expected);
    rig.end(&[]);
}
