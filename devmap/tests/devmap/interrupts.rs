//! Interrupts: their kinds, handlers, priorities, masks, blocks; soft ones; and the mutex that handlers share with the rest.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use devmap::interrupt::{
    Allocated, Claim, Interrupts, Kind, Mutex, Priority, SoftInterrupt, SoftPriority, Vectors,
};
use devmap::prelude::*;
use devmap::sync::Condvar;

use crate::driver::{attaching, boot, cx};
use crate::mock::interrupts::{Source, raise, run_soft};
use crate::mock::{Booted, Config, PAGE, kernel, locks};

const MASKS: u32 = (ddi_sys::DDI_INTR_FLAG_MASKABLE | ddi_sys::DDI_INTR_FLAG_PENDING) as u32;

fn source(kind: i32, count: usize, flags: u32, priority: u32) -> Source {
    Source { kind: kind as u32, count, available: count, flags, priority }
}

fn pin() -> Source {
    source(ddi_sys::DDI_INTR_TYPE_FIXED, 1, 0, 5)
}

fn msix(count: usize) -> Source {
    source(ddi_sys::DDI_INTR_TYPE_MSIX, count, MASKS, 6)
}

fn block(count: usize) -> Source {
    source(ddi_sys::DDI_INTR_TYPE_MSI, count, ddi_sys::DDI_INTR_FLAG_BLOCK as u32, 6)
}

/// A kernel with a device that has these interrupts, and what was done in its attach.
fn with_device<R: Send + 'static>(
    interrupts: &[Source],
    what: impl FnOnce(&Attach<'_>) -> R + Send + 'static,
) -> (Booted, u64, R) {
    let mut booted = boot();
    let done = Arc::new(StdMutex::new(None));
    let result = Arc::clone(&done);
    attaching(move |attach| *result.lock().unwrap() = Some(what(attach)));
    let config = Config { registers: vec![PAGE], interrupts: interrupts.to_vec(), ..Config::default() };
    let dev = booted.attach(config).expect("attach");
    let done = done.lock().unwrap().take().unwrap();
    (booted, dev, done)
}

/// Adds handlers that count, each for itself.
fn counting(vectors: &mut Vectors) -> Vec<Arc<AtomicU32>> {
    let counts: Vec<_> = (0..vectors.len()).map(|_| Arc::new(AtomicU32::new(0))).collect();
    for (index, count) in counts.iter().enumerate() {
        let count = Arc::clone(count);
        let handler = move |_: &mut devmap::context::Interrupt| {
            count.fetch_add(1, SeqCst);
            Claim::Claimed
        };
        vectors.handle(index, handler).unwrap();
    }
    counts
}

#[test]
fn each_message_comes_to_its_handler_until_they_are_dropped() {
    let (booted, dev, (interrupts, counts)) = with_device(&[pin(), msix(4)], |attach| {
        let node = attach.node();
        assert!(Allocated::kinds(node).eq([Kind::MsiX, Kind::Fixed]));
        let allocated = Allocated::new(node, Kind::MsiX, 3).unwrap();
        assert_eq!((allocated.len(), allocated.kind()), (3, Kind::MsiX));
        let mut vectors = allocated.low().unwrap();
        assert_eq!(vectors.priority().number(), 6);
        let counts = counting(&mut vectors);
        (vectors.enable().unwrap(), counts)
    });
    assert_eq!((raise(dev, 0), raise(dev, 2), raise(dev, 2)), (Some(1), Some(1), Some(1)));
    assert!(counts.iter().map(|count| count.load(SeqCst)).eq([1, 0, 2]));
    assert_eq!(raise(dev, 3), None, "not allocated");
    drop(interrupts);
    assert_eq!(raise(dev, 0), None);
    assert!(counts.iter().all(|count| Arc::strong_count(count) == 1), "the handlers are gone");
    drop(booted);
}

#[test]
fn a_handler_says_whether_the_interrupt_was_its_own() {
    let (_booted, dev, (_interrupts, ours)) = with_device(&[pin()], |attach| {
        let mut vectors = Allocated::best(attach.node(), 8).unwrap().low().unwrap();
        assert_eq!((vectors.kind(), vectors.len(), vectors.is_empty()), (Kind::Fixed, 1, false));
        let ours = Arc::new(AtomicU32::new(0));
        let flag = Arc::clone(&ours);
        let handler = move |_: &mut _| if flag.load(SeqCst) == 1 { Claim::Claimed } else { Claim::NotOurs };
        vectors.handle(0, handler).unwrap();
        (vectors.enable().unwrap(), ours)
    });
    assert_eq!(raise(dev, 0), Some(ddi_sys::DDI_INTR_UNCLAIMED as u32));
    ours.store(1, SeqCst);
    assert_eq!(raise(dev, 0), Some(ddi_sys::DDI_INTR_CLAIMED as u32));
}

#[test]
fn messages_of_a_block_are_enabled_at_once_and_are_a_power_of_two() {
    let (_booted, dev, interrupts) = with_device(&[pin(), block(4)], |attach| {
        let mut vectors = Allocated::new(attach.node(), Kind::Msi, 3).unwrap().low().unwrap();
        assert_eq!(vectors.len(), 2);
        counting(&mut vectors);
        vectors.enable().unwrap()
    });
    assert_eq!(raise(dev, 1), Some(1));
    assert_eq!(interrupts.mask(0).unwrap_err().errno(), Errno::ENOTSUP, "messages without masks");
    assert_eq!(interrupts.is_pending(0).unwrap_err().errno(), Errno::ENOTSUP);
    interrupts.suspend();
    interrupts.suspend();
    assert_eq!(raise(dev, 1), None);
    interrupts.resume().unwrap();
    interrupts.resume().unwrap();
    assert_eq!(raise(dev, 0), Some(1));
}

#[test]
fn masked_interrupts_come_later() {
    let (_booted, dev, (interrupts, counts)) = with_device(&[msix(2)], |attach| {
        let mut vectors = Allocated::best(attach.node(), 2).unwrap().low().unwrap();
        let counts = counting(&mut vectors);
        (vectors.enable().unwrap(), counts)
    });
    interrupts.mask(1).unwrap();
    assert_eq!(
        (raise(dev, 1), interrupts.is_pending(1), interrupts.is_pending(0)),
        (None, Ok(true), Ok(false))
    );
    interrupts.unmask(1).unwrap();
    assert_eq!((counts[1].load(SeqCst), interrupts.is_pending(1)), (1, Ok(false)));
    for error in [interrupts.mask(2), interrupts.unmask(2), interrupts.is_pending(2).map(|_| ())] {
        assert_eq!(error.unwrap_err().errno(), Errno::EINVAL);
    }
}

#[test]
fn what_cannot_be_had_is_an_error_and_leaves_nothing() {
    let (_booted, _, ()) = with_device(&[msix(2), pin()], |attach| {
        let node = attach.node();
        let errno = |result: Result<Allocated, devmap::Error>| result.err().unwrap().errno();
        assert_eq!(errno(Allocated::new(node, Kind::Msi, 1)), Errno::ENOTSUP);
        assert_eq!(errno(Allocated::new(node, Kind::MsiX, 0)), Errno::EINVAL);
        kernel().refuse.insert("ddi_intr_alloc", 0);
        assert_eq!(errno(Allocated::best(node, 1)), Errno::EAGAIN);
        kernel().refuse.clear();
        kernel().fewer_interrupts = true;
        assert_eq!(Allocated::new(node, Kind::MsiX, 2).unwrap().len(), 1);
        assert_eq!(errno(Allocated::new(node, Kind::MsiX, 1)), Errno::EAGAIN, "none was given");
        kernel().fewer_interrupts = false;

        let mut vectors = Allocated::best(node, 2).unwrap().low().unwrap();
        vectors.handle(0, |_| Claim::Claimed).unwrap();
        assert_eq!(vectors.handle(0, |_| Claim::Claimed).unwrap_err().errno(), Errno::EINVAL);
        assert_eq!(vectors.handle(2, |_| Claim::Claimed).unwrap_err().errno(), Errno::EINVAL);
        kernel().refuse.insert("ddi_intr_add_handler", 0);
        assert_eq!(vectors.handle(1, |_| Claim::Claimed).unwrap_err().errno(), Errno::EIO);
        kernel().refuse.clear();
        assert_eq!(vectors.enable().err().unwrap().errno(), Errno::EINVAL, "one has no handler");

        let mut vectors = Allocated::best(node, 2).unwrap().low().unwrap();
        let counts = counting(&mut vectors);
        kernel().refuse.insert("ddi_intr_enable", 1);
        assert_eq!(vectors.enable().err().unwrap().errno(), Errno::EIO, "the second is refused");
        assert!(counts.iter().all(|count| Arc::strong_count(count) == 1));
        assert!(kernel().interrupts.is_empty());
        kernel().refuse.clear();
    });
    let (_booted, _, ()) = {
        drop(_booted);
        with_device(&[], |attach| {
            assert_eq!(Allocated::best(attach.node(), 1).err().unwrap().errno(), Errno::ENOTSUP);
        })
    };
}

#[test]
fn priorities_decide_which_handlers_and_mutexes() {
    let (_booted, dev, (_interrupts, soft)) = with_device(&[msix(1)], |attach| {
        let node = attach.node();
        let mut allocated = Allocated::best(node, 1).unwrap();
        assert_eq!(allocated.set_priority(13).unwrap_err().errno(), Errno::EINVAL);
        kernel().refuse.insert("ddi_intr_set_pri", 0);
        assert_eq!(allocated.set_priority(3).unwrap_err().errno(), Errno::ENOTSUP);
        kernel().refuse.clear();
        allocated.set_priority(12).unwrap();
        assert_eq!(allocated.low().err().unwrap().errno(), Errno::ENOTSUP, "a high-level interrupt");

        let allocated = Allocated::best(node, 1).unwrap();
        assert_eq!(allocated.high().err().unwrap().errno(), Errno::ENOTSUP, "a low-level one");

        let mut allocated = Allocated::best(node, 1).unwrap();
        allocated.set_priority(11).unwrap();
        let mut vectors = allocated.high().unwrap();
        let count = Arc::new(Mutex::new(vectors.priority(), 0));
        let soft_count = Arc::new(AtomicU32::new(0));
        let of_soft = Arc::clone(&soft_count);
        let handler = move |_: &mut devmap::context::Interrupt| {
            of_soft.fetch_add(1, SeqCst);
        };
        let rest = SoftInterrupt::new(node, SoftPriority::new(4).unwrap(), handler).unwrap();
        assert_eq!(rest.priority().number(), 4);
        let handler = move |cx: &mut devmap::context::HighLevel| {
            *count.lock(cx) += 1;
            rest.trigger();
            rest.trigger();
            Claim::Claimed
        };
        vectors.handle(0, handler).unwrap();
        (vectors.enable().unwrap(), soft_count)
    });
    assert!(locks::PRIORITIES.lock().unwrap().contains(&11));
    assert_eq!((raise(dev, 0), soft.load(SeqCst)), (Some(1), 0));
    assert_eq!((run_soft(), soft.load(SeqCst), run_soft()), (1, 1, 0));
    assert_eq!((SoftPriority::new(0), SoftPriority::new(10)), (None, None));
}

#[test]
fn a_soft_interrupt_that_is_refused_leaves_nothing() {
    let (_booted, _, ()) = with_device(&[], |attach| {
        kernel().refuse.insert("ddi_intr_add_softint", 0);
        let refused = SoftInterrupt::new(attach.node(), SoftPriority::LOWEST, |_| ());
        assert_eq!(refused.err().unwrap().errno(), Errno::EIO);
    });
}

#[test]
fn a_mutex_waits_by_its_guard_and_two_are_held_in_order() {
    let _booted = boot();
    let (ready, changed) = (Mutex::new(Priority::NONE, 0), Condvar::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            *ready.lock(&mut cx()) = 1;
            changed.notify_all();
        });
        let mut cx = cx();
        let mut guard = ready.lock(&mut cx);
        while *guard == 0 {
            let _ = guard.wait_for(&changed, Duration::from_secs(1));
        }
    });
    let mut cx = cx();
    let mut guard = ready.lock(&mut cx);
    assert_eq!(guard.wait_for(&changed, Duration::from_millis(1)), Err(Errno::ETIMEDOUT));
    assert_eq!(guard.wait_sig(&changed), Err(Errno::EINTR));
    assert_eq!(guard.wait_for_sig(&changed, Duration::from_millis(50)), Err(Errno::EINTR));
    let other = Mutex::new(Priority::NONE, 5);
    let (one, mut two) = guard.and(&other);
    std::mem::swap(one, &mut two);
    drop(two);
    assert_eq!((*guard, other.into_inner()), (5, 1));
    drop(guard);
    let mut ready = ready;
    *ready.get_mut() += 1;
    assert_eq!(ready.into_inner(), 6);
}

/// Whoever keeps the interrupts keeps the node attached, and the handlers alive.
#[test]
fn interrupts_that_are_kept_keep_the_node() {
    static KEPT: StdMutex<Option<Interrupts>> = StdMutex::new(None);
    let (mut booted, dev, ()) = with_device(&[msix(1)], |attach| {
        let mut vectors = Allocated::best(attach.node(), 1).unwrap().low().unwrap();
        counting(&mut vectors);
        *KEPT.lock().unwrap() = Some(vectors.enable().unwrap());
    });
    assert!(!booted.detach(dev));
    assert_eq!(raise(dev, 0), Some(1));
    KEPT.lock().unwrap().take();
    assert!(booted.detach(dev));
}
