//! What a driver forgets (`core::mem::forget`): nothing of it lets the kernel call into a module that is gone, or destroys what is in use.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use ddi_sys as sys;
use devmap::prelude::*;
use devmap::sync::{Condvar, RwLock};
use devmap::timeout::Timeout;

use crate::driver::{LIVE, Plan, boot, cx, mappings, probe, set, with_node};
use crate::mapping::{LEN, RW, SHARED, map};
use crate::mock::{Config, kernel, locks, messages, mmap};

fn soon(what: impl FnOnce() + Send + 'static) -> Timeout {
    Timeout::after(Duration::from_millis(10), |_| what())
}

#[test]
fn the_module_stays_while_a_forgotten_timeout_can_still_run() {
    let mut booted = boot();
    let ran = Arc::new(());
    let in_routine = Arc::clone(&ran);
    std::mem::forget(soon(move || drop(in_routine)));
    assert_eq!(booted.unload(), sys::EBUSY);
    assert!(booted.attach(Config::default()).is_some(), "the module is as it was");
    assert_eq!(Arc::strong_count(&ran), 2);
    assert!(messages::fire_timeout());
    assert_eq!(Arc::strong_count(&ran), 1);
    locks::left(2); // memory of the kernel's, lost until it boots
    // `Booted` detaches and unloads: when the routine has returned (untimeout(9F) waits for it).
}

#[test]
fn the_module_stays_while_one_of_many_can_still_run() {
    let booted = boot();
    std::mem::forget([(); 3].map(|()| soon(|| ())));
    let (cancelled, dropped) = (soon(|| ()), soon(|| ()));
    assert!(cancelled.cancel());
    drop(dropped);
    for _ in 0..3 {
        assert_eq!(booted.unload(), sys::EBUSY);
        assert!(messages::fire_timeout());
        let other = soon(|| ());
        assert_eq!(
            kernel().returning.len(),
            0,
            "those that have run are waited for and forgotten at the next occasion"
        );
        drop(other);
    }
    locks::left(3 * 2);
}

#[test]
fn a_timeout_that_its_own_routine_drops() {
    let booted = boot();
    let own = Arc::new(StdMutex::new(None));
    let inside = Arc::clone(&own);
    *own.lock().unwrap() = Some(soon(move || {
        let own: Option<Timeout> = inside.lock().unwrap().take();
        assert!(!own.unwrap().cancel(), "it runs");
    }));
    assert_eq!(booted.unload(), sys::EBUSY);
    assert!(messages::fire_timeout());
    assert_eq!(kernel().returning.len(), 1, "nobody can wait for the routine inside the routine");
}

#[test]
fn a_routine_that_sets_the_next_one() {
    fn again(left: u32, next: Arc<StdMutex<Option<Timeout>>>) {
        let inside = Arc::clone(&next);
        let new = soon(move || {
            if left > 0 {
                again(left - 1, inside);
            }
        });
        *next.lock().unwrap() = Some(new);
    }
    let booted = boot();
    let next = Arc::new(StdMutex::new(None));
    again(5, Arc::clone(&next));
    for _ in 0..6 {
        assert_eq!(booted.unload(), sys::EBUSY);
        assert!(messages::fire_timeout());
        assert!(kernel().returning.len() <= 2, "they do not pile up");
    }
    assert!(!messages::fire_timeout());
    assert!(next.lock().unwrap().take().is_some_and(|last| !last.cancel()));
}

/// mutex_destroy(9F) and rw_destroy of a lock that is held stop the kernel.
#[test]
fn a_lock_whose_guard_was_forgotten_is_not_destroyed() {
    let _kernel = boot();
    let before = locks::live();
    let lock = Mutex::new(vec![1]);
    std::mem::forget(lock.lock());
    assert!(lock.try_lock().is_none());
    drop(lock);
    let (lock, never) = (Mutex::new(()), Condvar::new());
    let mut guard = lock.lock();
    assert!(never.wait_for(&cx(), &mut guard, Duration::from_millis(10)).is_err());
    std::mem::forget(guard);
    drop((lock, never));
    let lock = RwLock::new(1);
    std::mem::forget(lock.read());
    drop(lock);
    let lock = RwLock::new(2);
    std::mem::forget(lock.write());
    assert_eq!(lock.into_inner(), 2);
    assert_eq!(locks::live(), before + 4, "their words stay for good");
    locks::left(4);
}

#[test]
fn a_forgotten_setup_leaves_no_mapping() {
    let (_kernel, dev) = probe();
    set(Plan { forget_setup: true, ..Plan::default() });
    assert_eq!(mmap(dev, 0, LEN, RW, SHARED), Err(sys::ENXIO));
    set(Plan { forget_setup: true, parts: Some(3), ..Plan::default() });
    assert_eq!(mmap(dev, 0, LEN, RW, SHARED), Err(sys::ENXIO));
    assert_eq!((LIVE.load(SeqCst), mappings().len()), (0, 0));
    set(Plan::default());
    map(dev, 0, LEN);
    // And the instance can be detached, as `Booted` does.
}

/// ddi_regs_map_free(9F) needs the node.
#[test]
fn a_node_stays_while_its_registers_are_mapped() {
    let kept = Arc::new(StdMutex::new(None));
    let keep = Arc::clone(&kept);
    let mut booted = with_node(move |node| {
        *keep.lock().unwrap() = Some(Registers::map(node, 0, Order::Strict).unwrap());
    });
    assert!(!booted.detach(0));
    assert!(booted.minors(0).is_empty(), "nobody can open it any more");
    assert!(kernel().log.iter().any(|line| line.contains("registers that are still mapped")));
    assert!(!booted.detach(0));
    let registers = kept.lock().unwrap().take().unwrap();
    assert_eq!(registers.read::<u32>(0), Ok(0), "still good");
    drop(registers);
    assert!(booted.detach(0));
}

/// A timeout's routine keeps what it owns, so what has to go before the instance keeps that.
#[test]
fn registers_in_a_forgotten_timeout_keep_the_node() {
    let mut booted = with_node(|node| {
        let registers = Registers::map(node, 0, Order::Strict).unwrap();
        std::mem::forget(soon(move || assert_eq!(registers.read::<u32>(4), Ok(0))));
    });
    assert!(!booted.detach(0));
    assert!(messages::fire_timeout());
    assert!(booted.detach(0));
    locks::left(2);
}
