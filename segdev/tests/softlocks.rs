//! Softlocks: what is undone, by whom, and that nobody waits for himself. After each test nothing is left.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

use common::*;
use segdev::sim::SimUmem;
use segdev::sim::script::{Behaviour, EntryPoint};
use segdev::{Errno, FaultCode, FaultType, Rw, UmemKind};

/// The locks of a process's translations, together.
fn locks(rig: &Rig, id: u32) -> u32 {
    rig.pages(id).iter().map(|p| p.2).sum()
}

#[test]
fn a_softunlock_gives_back_what_its_softlock_locked_whatever_the_driver_does_now() {
    // The driver locks the whole handle for one page; at the softunlock it fails, or says that it has done something.
    for (ret, rc) in [(14, FaultCode::from_errno(14)), (0, FaultCode::OK)] {
        let k = SimUmem::new(0, UmemKind::Pageable, 4 * PAGE, 1);
        let fails = vec![fail(EntryPoint::Access, 2, ret)];
        let rig = Rig::failing(vec![umem(0, 4, &k)], Behaviour::LoadAll, fails);
        assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
        assert_eq!(rig.softlock(0, 1, 1), FaultCode::OK);
        assert_eq!((locks(&rig, 0), k.page_locks()), (4, 4));
        assert_eq!(rig.softunlock(0, 1, 1), rc);
        assert_eq!((locks(&rig, 0), k.page_locks()), (0, 0));
        assert_eq!(rig.munmap(0, 0, 4), Ok(()));
        rig.end(&[k]);
    }
}

#[test]
fn softlocks_of_one_range_are_counted() {
    // The second one locks nothing: the driver says so only once.
    let rig = Rig::failing(vec![devmem(0, 4)], Behaviour::LoadAll, vec![fail(EntryPoint::Access, 2, 0)]);
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    for _ in 0..3 {
        assert_eq!(rig.softlock(0, 1, 1), FaultCode::OK);
    }
    assert_eq!(locks(&rig, 0), 8);
    for _ in 0..3 {
        assert_eq!(rig.softunlock(0, 1, 1), FaultCode::OK);
    }
    assert_eq!(locks(&rig, 0), 0);
    assert_eq!(rig.softunlock(0, 1, 1), FaultCode::EINVAL);
    rig.end(&[]);
}

#[test]
fn a_lock_of_the_drivers_own_is_its_own() {
    let rig = Rig::new(vec![devmem(0, 4)], Behaviour::LoadAll);
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    let handle = rig.handle(1);
    let load = |ty| {
        let load = || rig.fw.load(&handle, 0, PAGE, ty, Rw::Read);
        rig.fw.platform().holding(Some(0), load)
    };
    assert_eq!(rig.softlock(0, 0, 1), FaultCode::OK);
    // The same page, locked and unlocked by the driver meanwhile: the fault's locks stay.
    assert_eq!(load(FaultType::Softlock), FaultCode::OK);
    assert_eq!(load(FaultType::Softunlock), FaultCode::OK);
    assert_eq!(locks(&rig, 0), 4);
    assert_eq!(rig.softunlock(0, 0, 1), FaultCode::OK);
    assert_eq!(locks(&rig, 0), 0);
    // A range that no softlock asked for: page by page.
    assert_eq!(load(FaultType::Softlock), FaultCode::OK);
    assert_eq!(rig.softunlock(0, 0, 2), FaultCode::OK);
    assert_eq!(locks(&rig, 0), 0);
    drop(handle);
    rig.end(&[]);
}

#[test]
fn a_softlock_that_fails_takes_back_its_own_locks_only() {
    // Two threads of a process lock the same page at the same time; one of them fails after it has locked it.
    let inside = Arc::new(AtomicU64::new(0));
    let seen = inside.clone();
    let access = custom(move |fw, handle, pvt, range| {
        let rc = fw.default_access(handle, pvt, range).0;
        if range.ty != FaultType::Softlock {
            return rc;
        }
        let order = seen.fetch_add(1, SeqCst);
        while seen.load(SeqCst) < 2 {
            thread::yield_now();
        }
        if order == 0 { rc } else { 14 }
    });
    let rig = Rig::new(vec![devmem(0, 4)], access);
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    for _ in 0..if cfg!(miri) { 3 } else { 20 } {
        inside.store(0, SeqCst);
        let results: Vec<_> = thread::scope(|scope| {
            let threads = [1, 2].map(|pages| {
                let rig = &rig;
                scope.spawn(move || (pages, rig.softlock(0, 0, pages)))
            });
            threads.map(|t| t.join().expect("no panic")).into()
        });
        let locked: Vec<_> = results.iter().filter(|r| r.1.is_ok()).map(|r| r.0).collect();
        assert_eq!(locked.len(), 1, "{results:?}");
        assert_eq!(u64::from(locks(&rig, 0)), locked[0], "what the other has locked stays, and no more");
        assert_eq!(rig.softunlock(0, 0, locked[0]), FaultCode::OK);
        assert_eq!(locks(&rig, 0), 0);
    }
    rig.end(&[]);
}

#[test]
fn a_softlock_that_fails_takes_nothing_back_that_is_gone() {
    // While the second handle is served, another thread unlocks the first; the driver's own lock there stays.
    let rig = Arc::new(std::sync::OnceLock::<Rig>::new());
    // The machine has the driver, which has no more than a name of the machine.
    let other = Arc::downgrade(&rig);
    let access = custom(move |fw, handle, pvt, range| {
        if handle.info().off == 0 || range.ty != FaultType::Softlock {
            return fw.default_access(handle, pvt, range).0;
        }
        let rig = other.upgrade().expect("the machine is there");
        let rig = rig.get().expect("the machine is there");
        thread::scope(|scope| {
            let unlock = scope.spawn(|| rig.softunlock(0, 0, 4));
            assert_eq!(unlock.join().expect("no panic"), FaultCode::OK);
        });
        14
    });
    assert!(rig.set(Rig::new(vec![devmem(0, 4), devmem(4, 4)], access)).is_ok());
    let on = rig.get().expect("the machine is there");
    assert_eq!(on.mmap(0, 0, 8), Ok(BASE));
    let load = |ty| {
        let load = || on.fw.load(&on.handle(1), 0, PAGE, ty, Rw::Read);
        on.fw.platform().holding(Some(0), load)
    };
    assert_eq!(load(FaultType::Softlock), FaultCode::OK);
    assert_eq!(on.softlock(0, 0, 8), FaultCode::from_errno(14));
    assert_eq!(locks(on, 0), 1, "the driver's own");
    assert_eq!(load(FaultType::Softunlock), FaultCode::OK);
    assert_eq!(on.space(0).exit(&on.fw), Ok(()));
    assert_eq!(on.fw.live(), segdev::Live::default());
}

#[test]
fn a_softunlock_that_is_interrupted_unlocks_all_the_same() {
    let rig = Rig::build(2, vec![devmem(0, 2), devmem(2, 2)], Behaviour::CtxLast, Vec::new(), None);
    for id in [0, 1] {
        assert_eq!(rig.mmap(id, 0, 4), Ok(BASE));
    }
    assert_eq!(rig.softlock(0, 0, 4), FaultCode::OK);
    // Another process gets the context for a while.
    rig.fw.set_ctx_timeout(&rig.handle(4), 10);
    let routine = |_: &Handles, _, _| 0;
    let range = segdev::Access { off: 2 * PAGE, len: PAGE, ty: FaultType::Inval, rw: Rw::Read };
    assert_eq!(rig.fw.do_ctxmgt(&rig.handle(4), 0, range, Some(routine)), FaultCode::OK);
    rig.fw.set_ctx_timeout(&rig.handle(1), 10);
    rig.fw.set_ctx_timeout(&rig.handle(2), 10);
    rig.fw.platform().take_events();
    assert_eq!(rig.softunlock(0, 0, 4), FaultCode::EINTR, "its wait was interrupted");
    assert_eq!(locks(&rig, 0), 0);
    assert_eq!(rig.fw.platform().take_events(), [], "the driver was not called without its context");
    assert_eq!(rig.munmap(0, 0, 4), Ok(()));
    rig.end(&[]);
}

#[test]
fn a_softunlock_over_what_was_unmapped_meanwhile() {
    // The middle mapping's driver locks nothing, so it may be unmapped; what is behind the hole is unlocked all the same.
    let access = custom(|fw, handle, pvt, range| match handle.info().off / PAGE {
        4..8 => 0,
        _ => fw.default_access(handle, pvt, range).0,
    });
    let rig = Rig::new(vec![devmem(0, 4), devmem(4, 4), devmem(8, 4)], access);
    for first in [0, 4, 8] {
        assert_eq!(rig.mmap(0, first, 4), Ok(BASE + first * PAGE));
    }
    assert_eq!(rig.softlock(0, 0, 12), FaultCode::OK);
    assert_eq!(rig.munmap(0, 4, 4), Ok(()));
    assert_eq!(rig.softunlock(0, 0, 12), FaultCode::NOMAP);
    assert_eq!(locks(&rig, 0), 0);
    rig.end(&[]);
}

#[test]
fn others_get_in_when_a_group_has_locked_nothing() {
    // The first and third of three mappings belong to one softlock whose driver loads nothing; the second is locked.
    let access = custom(|fw, handle, pvt, range| match handle.info().off / PAGE {
        0..4 => 0,
        _ => fw.default_access(handle, pvt, range).0,
    });
    let rig = Rig::new(vec![devmem(0, 4), devmem(4, 4)], access);
    for first in [0, 4, 0] {
        assert!(rig.mmap(0, first, 4).is_ok());
    }
    assert_eq!(rig.softlock(0, 2, 8), FaultCode::OK);
    assert_eq!(rig.softunlock(0, 2, 8), FaultCode::OK);
    assert_eq!(rig.space(0).fork(&rig.fw, rig.space(1)), Ok(()));
    assert_eq!(rig.fault(1, 0, 12, FaultType::Inval, Rw::Read), FaultCode::OK);
    assert_eq!(rig.fw.platform().waits(), 0);
    assert_eq!(rig.munmap(0, 3, 6), Ok(()));
    rig.end(&[]);
}

#[test]
fn what_a_driver_locked_in_a_mapping_that_fails_goes_with_it() {
    // In the map callback before the one that fails, and in those that fail themselves, of mmap and of fork.
    let k = SimUmem::new(0, UmemKind::Pageable, 12 * PAGE, 1);
    let lock = |fw: &Fw, handle: &Handles| {
        let off = handle.info().off;
        let load = || fw.load(handle, off, 0, FaultType::Softlock, Rw::Read);
        let space = *handle.space();
        assert_eq!(fw.platform().holding(Some(space), load), FaultCode::OK);
    };
    for entry in [EntryPoint::Map, EntryPoint::Dup] {
        for nth in 1..=3 {
            let regions = vec![umem(0, 4, &k), umem(4, 4, &k), umem(8, 4, &k)];
            let rig = Rig::failing(regions, Behaviour::Default, vec![fail(entry, nth, 12)]);
            if entry == EntryPoint::Map {
                // What is locked is everything that the driver knows.
                rig.fw.platform().set_on_new(move |fw, _| {
                    for (_, handle) in fw.platform().handles_of(0) {
                        lock(fw, &handle);
                    }
                });
                assert_eq!(rig.mmap(0, 0, 12), Err(Errno::ENXIO));
            } else {
                // Two mappings: the first is duplicated when the second fails.
                assert_eq!(rig.mmap(0, 0, 8), Ok(BASE));
                assert_eq!(rig.mmap(0, 8, 4), Ok(BASE + 8 * PAGE));
                rig.fw.platform().set_on_new(move |fw, new| lock(fw, new));
                assert_eq!(rig.space(0).fork(&rig.fw, rig.space(1)), Err(Errno(12)));
                assert_eq!(rig.space(1).segments(&rig.fw).len(), 0);
            }
            assert_eq!((rig.pages(0), rig.pages(1)), (vec![], vec![]), "{entry:?} {nth}");
            assert_eq!(k.page_locks(), 0, "{entry:?} {nth}");
            rig.end(&[]);
        }
    }
    assert_eq!(k.check_free(), Ok(()));
}
