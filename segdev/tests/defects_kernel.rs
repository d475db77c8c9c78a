//! The situations that go wrong on a whole kernel only, by the numbers of `docs/defects.md` (30 to 33): what segdev does in them. After each,
//! nothing is left of anything.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use common::*;
use segdev::sim::script::Behaviour;
use segdev::{Errno, FaultCode, FaultType, Prot, Rw};

/// Runs `other` on another thread while the first map callback of process 0 runs, and waits for it.
fn meanwhile(rig: &Rig, other: impl Fn(&Fw) + Send + Sync + 'static) {
    let first = AtomicBool::new(true);
    rig.fw.platform().set_on_new(move |fw, _| {
        if first.swap(false, SeqCst) {
            thread::scope(|scope| scope.spawn(|| other(fw)).join().expect("no panic"));
        }
    });
}

#[test]
fn defect_30_munmap_fork_and_exit_while_a_mapping_is_made() {
    for fixed in [None, Some(BASE)] {
        let rig = Rig::new(vec![devmem(0, 4), devmem(4, 4)], Behaviour::Default);
        let (space, child) = (rig.space(0).clone(), rig.space(1).clone());
        meanwhile(&rig, move |fw| {
            assert_eq!(space.munmap(fw, BASE, 8 * PAGE), Ok(()), "there is nothing yet");
            assert_eq!(space.fork(fw, &child), Ok(()));
            assert_eq!(child.segments(fw).len(), 0);
        });
        let req = rig.request(0, 8, RW);
        assert_eq!(rig.space(0).mmap(&rig.fw, &req, fixed), Ok(BASE));
        assert_eq!(rig.fault(0, 0, 8, FaultType::Inval, Rw::Read), FaultCode::OK);
        rig.unmaps();
        assert_eq!(rig.munmap(0, 0, 8), Ok(()));
        assert_eq!(rig.unmaps(), [(1, 0, 4, None, None), (2, 4, 4, None, None)]);

        let space = rig.space(0).clone();
        meanwhile(&rig, move |fw| assert_eq!(space.exit(fw), Ok(())));
        assert_eq!(rig.space(0).mmap(&rig.fw, &req, fixed), Err(Errno::ENOMEM), "the process has gone");
        assert_eq!(rig.unmaps(), [(3, 0, 4, None, None), (4, 4, 4, None, None)]);
        rig.end(&[]);
    }
}

#[test]
fn defect_30_two_mappings_of_one_place_are_made_one_after_the_other() {
    let rig = Rig::new(vec![devmem(0, 4)], Behaviour::Default);
    rig.fw.platform().set_interrupted(false);
    thread::scope(|scope| {
        let first = AtomicBool::new(true);
        let (started, wait) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (begun, go_on) = (started.clone(), wait.clone());
        rig.fw.platform().set_on_new(move |_, _| {
            if first.swap(false, SeqCst) {
                begun.store(true, SeqCst);
                while !go_on.load(SeqCst) {
                    thread::yield_now();
                }
            }
        });
        let map = || rig.space(0).mmap(&rig.fw, &rig.request(0, 4, RW), Some(BASE));
        let one = scope.spawn(map);
        while !started.load(SeqCst) {
            thread::yield_now();
        }
        let other = scope.spawn(map);
        while rig.fw.platform().waits() == 0 {
            thread::yield_now();
        }
        wait.store(true, SeqCst);
        assert_eq!(one.join().expect("no panic"), Ok(BASE));
        assert_eq!(other.join().expect("no panic"), Ok(BASE), "replaces what the first has made");
    });
    assert_eq!(rig.unmaps(), [(1, 0, 4, None, None)]);
    rig.end(&[]);
}

#[test]
fn defect_31_access_while_a_mapping_is_made() {
    let access = custom(|fw, handle, pvt, range| {
        assert_ne!(pvt, 0, "the map callback has returned");
        fw.default_access(handle, pvt, range).0
    });
    let rig = Rig::new(vec![devmem(0, 4), devmem(4, 4)], access);
    let space = rig.space(0).clone();
    meanwhile(&rig, move |fw| {
        for page in [0, 4] {
            let rc = space.fault(fw, BASE + page * PAGE, PAGE, FaultType::Inval, Rw::Read);
            assert_eq!(rc, FaultCode::NOMAP);
        }
    });
    assert_eq!(rig.mmap(0, 0, 8), Ok(BASE));
    assert_eq!(rig.fault(0, 0, 8, FaultType::Inval, Rw::Read), FaultCode::OK);
    rig.end(&[]);
}

#[test]
fn defect_32_a_protection_holds_when_mprotect_returns() {
    let rig = Rig::new(vec![devmem(0, 4)], Behaviour::Default);
    assert_eq!(rig.mmap(0, 0, 4), Ok(BASE));
    assert_eq!(rig.fault(0, 0, 4, FaultType::Inval, Rw::Write), FaultCode::OK);
    for prot in [Prot::READ, RW, Prot::empty(), RW] {
        for (first, pages) in [(0, 4), (1, 2)] {
            let (from, len) = (BASE + first * PAGE, pages * PAGE);
            assert_eq!(rig.space(0).mprotect(&rig.fw, from, len, prot), Ok(()));
            for at in (from..from + len).step_by(PAGE as usize) {
                let loaded = rig.fw.platform().pte(0, at).map(|p| p.prot);
                assert!(loaded.is_none_or(|have| have == prot), "{prot:?} at {at:#x}, loaded {loaded:?}");
            }
        }
    }
    rig.end(&[]);
}

#[test]
fn defect_33_a_waiter_that_is_killed_ends_its_wait() {
    let rig = Rig::build(2, vec![devmem(0, 4)], Behaviour::CtxLast, Vec::new(), None);
    for id in [0, 1] {
        assert_eq!(rig.mmap(id, 0, 4), Ok(BASE));
        rig.fw.set_ctx_timeout(&rig.handle(u64::from(id) + 1), 10);
    }
    assert_eq!(rig.read(0, 0), FaultCode::OK);
    rig.fw.platform().take_events();
    // Killed before or while it waits: the fault ends, and the driver is not called.
    assert_eq!(rig.read(1, 0), FaultCode::EINTR);
    assert_eq!(rig.fw.platform().take_events(), []);
    rig.end(&[]);
}
