//! Entries that handles share: callbacks, a context and a softlock, kept once; and mappings that are one handle.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use common::*;
use segdev::sim::script::ScriptDevice;
use segdev::{Errno, FaultCode, FaultType, Live, Sharing};

fn sharing(rig: &Rig, number: u64) -> Option<Sharing> {
    rig.fw.sharing(&rig.handle(number))
}

/// Handles of one device with the same callbacks have one context and one softlock; cuts and copies count.
#[test]
fn handles_of_a_device_share() {
    let rig = Rig::new(vec![devmem(0, 4), devmem(4, 4)], Driver::Default);
    rig.mmap(0, 0, 4).unwrap();
    rig.mmap(1, 0, 8).unwrap();
    let three = Sharing { contexts: 3, softlocks: 3, owned: false };
    assert_eq!(sharing(&rig, 1), Some(three));
    rig.munmap(0, 1, 2).unwrap();
    let four = Sharing { contexts: 4, softlocks: 4, owned: false };
    assert_eq!(sharing(&rig, 3), Some(four));
    rig.space(1).fork(&rig.fw, rig.space(2)).unwrap();
    assert_eq!(sharing(&rig, 3), Some(Sharing { contexts: 6, softlocks: 6, owned: false }));
    let live = Live { handles: 6, segments: 4, contexts: 1, softlocks: 1 };
    assert_eq!(rig.fw.live(), live);
    rig.end(&[]);
}

/// The entry used last is kept for the next mapping and does not count; another takes its place, and [`segdev::Framework::trim`] gives it back.
#[test]
fn callbacks_are_kept_for_the_next_mapping() {
    let rig = Rig::new(vec![devmem(0, 4)], Driver::Default);
    let others = Rig::new(vec![devmem(0, 4)], Driver::Default);
    let alone = Arc::strong_count(&rig.device);
    rig.mmap(0, 0, 4).unwrap();
    rig.munmap(0, 0, 4).unwrap();
    assert_eq!(rig.fw.live(), Live::default());
    let kept = Arc::strong_count(&rig.device);
    assert!(kept > alone, "the callbacks keep their device");
    rig.mmap(0, 0, 4).unwrap();
    rig.munmap(0, 0, 4).unwrap();
    assert_eq!(Arc::strong_count(&rig.device), kept, "they are kept once");
    let request = segdev::MapRequest { device: &others.device, ..rig.request(0, 4, RW) };
    rig.space(0).mmap(&rig.fw, &request, None).unwrap();
    assert_eq!(Arc::strong_count(&rig.device), alone, "others have taken their place");
    rig.munmap(0, 0, 4).unwrap();
    let foreign = Arc::strong_count(&others.device);
    rig.fw.trim();
    assert!(Arc::strong_count(&others.device) < foreign, "nothing is kept");
    rig.end(&[]);
}

/// Two tables with the same access callback are two entries with one context; other access callbacks in one mapping are refused, and leave
/// nothing.
#[test]
fn other_callbacks_are_others() {
    let region = |first, set| segdev::sim::script::Region { callbacks: Some(set), ..devmem(first, 2) };
    let mut rig = Rig::new(vec![region(0, 0), region(2, 1), devmem(4, 2).plain()], Driver::Default);
    let device: &mut ScriptDevice<_> = Arc::get_mut(&mut rig.device).unwrap();
    device.callbacks.push(segdev::sim::script::CallbackSet {
        access: Some(Driver::Default),
        map: true,
        dup: true,
        unmap: true,
    });
    assert_eq!(rig.mmap(0, 0, 4), Err(Errno::ENOTSUP));
    assert_eq!(rig.fw.live(), Live::default());
    rig.mmap(0, 0, 2).unwrap();
    rig.mmap(0, 2, 4).unwrap();
    assert_eq!(sharing(&rig, 3), Some(Sharing { contexts: 1, softlocks: 1, owned: false }));
    assert_eq!(rig.fw.live(), Live { handles: 3, segments: 2, contexts: 2, softlocks: 2 });
    rig.end(&[]);
}

/// Faults that are served at the same time, one within the other, come to an end in any order.
#[test]
fn a_fault_within_a_fault() {
    static DEPTH: AtomicU64 = AtomicU64::new(0);
    let rig = Arc::new(std::sync::OnceLock::<Rig>::new());
    // The machine has the driver, which has no more than a name of the machine.
    let inner = Arc::downgrade(&rig);
    let access = custom(move |fw, handle, pvt, range| {
        let rig = inner.upgrade().expect("the machine is there");
        let rig = rig.get().expect("the driver is called by faults only");
        if DEPTH.fetch_add(1, Relaxed) < 3 {
            assert_eq!(rig.fault(1, DEPTH.load(Relaxed), 1, FaultType::Inval, range.rw), FaultCode::OK);
        }
        fw.default_access(handle, pvt, range).0
    });
    let machine = rig.get_or_init(|| Rig::new(vec![devmem(0, 4)], access));
    machine.mmap(0, 0, 4).unwrap();
    machine.mmap(1, 0, 4).unwrap();
    assert_eq!(machine.read(0, 0), FaultCode::OK);
    assert_eq!(DEPTH.load(Relaxed), 4);
    // None of them is left to keep a softlock off.
    assert_eq!(machine.softlock(0, 0, 4), FaultCode::OK);
    assert_eq!(machine.softunlock(0, 0, 4), FaultCode::OK);
    for id in 0..2 {
        machine.space(id).exit(&machine.fw).unwrap();
    }
    assert_eq!(machine.fw.live(), Live::default());
}

/// A mapping that is one handle keeps that through cuts, and a piece that is cut off is one of its own.
#[test]
fn pieces_of_a_single_handle() {
    let rig = Rig::new(vec![devmem(0, 16)], Driver::Default);
    rig.mmap(0, 0, 16).unwrap();
    for page in 0..16 {
        assert_eq!(rig.read(0, page), FaultCode::OK);
    }
    rig.munmap(0, 0, 1).unwrap();
    rig.munmap(0, 15, 1).unwrap();
    rig.munmap(0, 5, 2).unwrap();
    assert_eq!(
        rig.unmaps(),
        [(1, 0, 1, None, Some(1)), (1, 15, 1, Some(1), None), (1, 5, 2, Some(1), Some(2))]
    );
    let pages: Vec<u64> = rig.pages(0).into_iter().map(|(page, ..)| page).collect();
    assert_eq!(pages, [1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13, 14]);
    let (front, behind) = (rig.handle(1).info(), rig.handle(2).info());
    assert_eq!((front.off, front.addr, front.len), (PAGE, BASE + PAGE, 4 * PAGE));
    assert_eq!((behind.off, behind.addr, behind.len), (7 * PAGE, BASE + 7 * PAGE, 8 * PAGE));
    assert_eq!(rig.fw.live(), Live { handles: 2, segments: 2, contexts: 1, softlocks: 1 });
    assert_eq!(rig.fw.unload(&rig.handle(2), 7 * PAGE, 0), FaultCode::OK);
    assert_eq!(rig.fw.unload(&rig.handle(2), 0, 0), FaultCode::EINVAL, "it begins later now");
    rig.end(&[]);
}
