//! Pages that are locked, and waits: for pages, for a context, and what goes on meanwhile.

use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::scope;

use ddi_sys as sys;

use crate::driver::{self, Behaviour, Call, DEV, Event, attach, behave, events, registers};
use crate::mock::{PAGE, Process, RW, WAITS, boot, kill, machine, run_timeout, until};

/// A process that maps all pages of the device.
fn mapped(pages: u64) -> (Process, u64) {
    let process = Process::new();
    let at = process.mmap(DEV, 0, pages * PAGE, RW, None).unwrap();
    (process, at)
}

fn lock(process: Process, at: u64, pages: u64) -> i32 {
    process.fault(at, pages * PAGE, sys::F_SOFTLOCK, sys::S_WRITE)
}

fn unlock(process: Process, at: u64, pages: u64) -> i32 {
    process.fault(at, pages * PAGE, sys::F_SOFTUNLOCK, sys::S_WRITE)
}

fn unload(handle: usize) -> i32 {
    // SAFETY: a live handle.
    unsafe { sys::devmap_unload(driver::handles()[handle], 0, 0) }
}

#[test]
fn a_page_carries_one_lock_however_often_it_is_locked() {
    let _machine = boot();
    attach(vec![registers(0, 4)], Behaviour::Default);
    let (process, at) = mapped(4);
    assert_eq!(lock(process, at, 3), 0);
    assert_eq!(lock(process, at + PAGE, 3), 0);
    assert_eq!(process.locks(), 4);
    assert_eq!(unlock(process, at, 3), 0);
    assert_eq!(process.locks(), 3, "a page that is locked twice is unlocked once");
    assert_eq!(unlock(process, at + PAGE, 3), 0);
    assert_eq!(process.locks(), 0);
    process.exit();
}

#[test]
fn an_unload_takes_the_locks_along() {
    let _machine = boot();
    attach(vec![registers(0, 4)], Behaviour::Default);
    let (process, at) = mapped(4);
    assert_eq!(lock(process, at, 4), 0);
    assert_eq!(unload(0), 0);
    assert_eq!((process.ptes().len(), process.locks()), (0, 0));
    // An access loads a page again, without a lock, before the softunlock comes.
    assert_eq!(process.touch(at, sys::S_WRITE), 0);
    assert_eq!(unlock(process, at, 4), 0);
    assert_eq!((process.ptes().len(), process.locks()), (1, 0));
    process.exit();
}

#[test]
fn a_softlock_that_fails_locks_nothing() {
    let _machine = boot();
    attach(vec![registers(0, 2)], Behaviour::Default);
    let (process, at) = mapped(2);
    process.munmap(at + PAGE, PAGE);
    assert_eq!(lock(process, at, 2), sys::FC_NOMAP);
    assert_eq!(process.locks(), 0);
    process.exit();
}

#[test]
fn a_softunlock_unlocks_what_its_driver_refuses_and_what_comes_behind() {
    let _machine = boot();
    attach(vec![registers(0, 1), registers(4, 1), registers(8, 1)], Behaviour::Default);
    let process = Process::new();
    // Three segments of a handle each, side by side.
    let at = process.mmap(DEV, 0, PAGE, RW, None).unwrap();
    for page in 1..3 {
        process.mmap(DEV, page * PAGE, PAGE, RW, Some(at + page * PAGE)).unwrap();
    }
    assert_eq!(lock(process, at, 3), 0);
    assert_eq!(process.locks(), 3);
    behave(Behaviour::Fail(sys::EIO));
    assert_eq!(unlock(process, at, 3), 0, "the kernel would stop at an error");
    assert_eq!(process.locks(), 0);
    process.exit();
}

/// The kernel waits when an operation says that pages are locked, and is woken when they are not any more.
#[test]
fn an_unmap_waits_for_locked_pages() {
    for direct in [false, true] {
        let _machine = boot();
        attach(vec![registers(0, 4)], Behaviour::Default);
        let (process, at) = mapped(4);
        assert_eq!(lock(process, at, 1), 0);
        events();
        let (done, waits) = (AtomicBool::new(false), || process.waits_for_unlock());
        scope(|s| {
            s.spawn(|| {
                match direct {
                    true => process.munmap(at + 2 * PAGE, PAGE),
                    false => process.unmap_all(),
                }
                done.store(true, SeqCst);
            });
            until(waits);
            assert!(!done.load(SeqCst));
            assert_eq!(events(), [], "the unmap callback is called while pages are locked");
            // The address space is free meanwhile.
            assert_eq!(process.touch(at + PAGE, sys::S_READ), 0);
            assert_eq!(unlock(process, at, 1), 0);
        });
        assert!(done.load(SeqCst));
        process.exit();
    }
}

#[test]
fn a_driver_that_says_deadlock_is_not_asked_for_ever() {
    let _machine = boot();
    attach(vec![registers(0, 1)], Behaviour::Fail(sys::EDEADLK));
    let (process, at) = mapped(1);
    assert_eq!(process.touch(at, sys::S_READ), sys::FC_MAKE_ERR(sys::EAGAIN));
    assert_eq!(process.retries(), 0);
    process.exit();
}

/// A wait for another's context leaves the address space free: somebody unmaps in it meanwhile.
#[test]
fn a_wait_for_a_context_lets_go_of_the_address_space() {
    let _machine = boot();
    attach(vec![registers(0, 4)], Behaviour::Exclusive(5));
    let ((one, here), (two, there)) = (mapped(4), mapped(4));
    assert_eq!(one.touch(here, sys::S_WRITE), 0);
    assert_eq!(machine(|m| m.timeouts.len()), 1);
    events();
    scope(|s| {
        let waits = s.spawn(|| two.touch(there, sys::S_WRITE));
        until(|| two.retries() >= 3);
        // As writer; and another process's accesses go on, too.
        two.munmap(there + 2 * PAGE, 2 * PAGE);
        assert_eq!(one.touch(here, sys::S_READ), 0);
        assert!(!waits.is_finished());
        assert!(run_timeout());
        assert_eq!(waits.join().unwrap(), 0);
    });
    assert!(events().contains(&Event::Switch(2)));
    assert_eq!(one.ptes(), [], "both have translations");
    assert_eq!(two.ptes().len(), 1);
    one.exit();
    two.exit();
    while run_timeout() {}
}

#[test]
fn the_last_mapping_takes_the_pending_timeout_along() {
    let _machine = boot();
    attach(vec![registers(0, 4)], Behaviour::Exclusive(1000));
    let ((one, here), (two, _)) = (mapped(4), mapped(4));
    assert_eq!(one.touch(here, sys::S_WRITE), 0);
    one.exit();
    assert_eq!(machine(|m| m.timeouts.len()), 1, "the context is kept for as long as was said");
    two.exit();
    assert_eq!(machine(|m| m.timeouts.len()), 0);
}

#[test]
fn who_is_killed_does_not_wait() {
    let _machine = boot();
    attach(vec![registers(0, 1)], Behaviour::Exclusive(5));
    let ((one, here), (two, there)) = (mapped(1), mapped(1));
    assert_eq!(one.touch(here, sys::S_WRITE), 0);
    let before = WAITS.load(SeqCst);
    kill(true);
    assert_eq!(two.touch(there, sys::S_WRITE), sys::FC_MAKE_ERR(sys::EINTR));
    kill(false);
    assert_eq!((two.retries(), WAITS.load(SeqCst) - before), (0, 1));
    one.exit();
    two.exit();
}

/// A softunlock cannot begin again, so it waits where it is, and not for ever.
#[test]
fn a_softunlock_waits_for_the_context_and_comes_to_its_end() {
    for served in [true, false] {
        let _machine = boot();
        attach(vec![registers(0, 2), registers(4, 2)], Behaviour::Exclusive(5));
        let ((one, here), two) = (mapped(2), Process::new());
        let there = two.mmap(DEV, 2 * PAGE, 2 * PAGE, RW, None).unwrap();
        assert_eq!(lock(two, there, 2), 0);
        assert!(run_timeout());
        assert_eq!(one.touch(here, sys::S_WRITE), 0);
        events();
        scope(|s| {
            let waits = s.spawn(|| unlock(two, there, 2));
            if served {
                let before = WAITS.load(SeqCst);
                until(|| WAITS.load(SeqCst) >= before + 3);
                assert!(!waits.is_finished());
                assert!(run_timeout());
            }
            assert_eq!(waits.join().unwrap(), 0);
        });
        assert_eq!(two.locks(), 0);
        assert_eq!(events().contains(&Event::Access(2, 2, 2)), served);
        one.exit();
        two.exit();
    }
}

/// A softlock excludes the others of its group; who waits for one leaves the address space free.
#[test]
fn a_wait_for_a_softlock_lets_go_of_the_address_space() {
    let _machine = boot();
    attach(vec![registers(0, 4)], Behaviour::Default);
    let ((one, here), (two, there)) = (mapped(4), mapped(4));
    assert_eq!(lock(one, here, 1), 0);
    scope(|s| {
        let waits = s.spawn(|| two.touch(there, sys::S_READ));
        until(|| two.retries() >= 3);
        two.munmap(there + 2 * PAGE, 2 * PAGE);
        assert!(!waits.is_finished());
        assert_eq!(unlock(one, here, 1), 0);
        assert_eq!(waits.join().unwrap(), 0);
    });
    one.exit();
    two.exit();
}

/// Who holds an address space is known by thread: a load for another's works in none.
#[test]
fn loads_are_for_address_spaces_that_this_thread_holds() {
    let _machine = boot();
    attach(vec![registers(0, 1)], Behaviour::Exclusive(0));
    let ((one, here), (two, there)) = (mapped(1), mapped(1));
    let other = driver::handles()[1].expose_provenance();
    let load = move || {
        let other = std::ptr::with_exposed_provenance_mut(other);
        // SAFETY: a live handle.
        unsafe { sys::devmap_load(other, 0, PAGE as usize, sys::F_INVAL, sys::S_READ) }
    };
    driver::on(Call::Switch, move || assert_eq!(load(), sys::FC_MAKE_ERR(sys::EINVAL)));
    assert_eq!(one.touch(here, sys::S_READ), 0);
    assert_eq!(two.ptes(), []);
    driver::on(Call::Switch, move || assert_eq!(load(), 0));
    assert_eq!(two.touch(there, sys::S_READ), 0);
    one.exit();
    two.exit();
}

/// Callbacks run with the address space locked, the one of fork with two: who asks for a context there must not wait.
#[test]
fn callbacks_do_not_wait_for_a_context() {
    let _machine = boot();
    attach(vec![registers(0, 1)], Behaviour::Exclusive(5));
    let ((one, here), (two, there)) = (mapped(1), mapped(1));
    assert_eq!(two.touch(there, sys::S_READ), 0);
    assert!(run_timeout());
    let another = two.mmap(DEV, 0, PAGE, RW, None).unwrap();
    assert_eq!(one.touch(here, sys::S_READ), 0);
    let handle = driver::handles()[1].expose_provenance();
    static ANSWERS: Mutex<Vec<i32>> = Mutex::new(Vec::new());
    let ask = move || {
        let (handle, len) = (std::ptr::with_exposed_provenance_mut(handle), PAGE as usize);
        // SAFETY: a live handle.
        let answer = unsafe {
            let (ty, rw) = (sys::F_INVAL, sys::S_READ);
            sys::devmap_do_ctxmgt(handle, null_mut(), 0, len, ty, rw, Some(driver::switch))
        };
        ANSWERS.lock().unwrap().push(answer);
    };
    driver::on(Call::Unmap, ask);
    driver::on(Call::Dup, ask);
    // A wait would be interrupted.
    kill(true);
    two.munmap(another, PAGE);
    let child = two.fork().unwrap();
    ask();
    driver::on(Call::Unmap, || {});
    kill(false);
    let interrupted = sys::FC_MAKE_ERR(sys::EINTR);
    assert_eq!(*ANSWERS.lock().unwrap(), [sys::FC_HWERR, sys::FC_HWERR, interrupted]);
    for process in [one, two, child] {
        process.exit();
    }
}

#[test]
fn protections_of_locked_pages_wait() {
    let _machine = boot();
    attach(vec![registers(0, 2)], Behaviour::Default);
    let (process, at) = mapped(2);
    assert_eq!(lock(process, at, 2), 0);
    scope(|s| {
        let changes = s.spawn(|| process.mprotect(at, PAGE, sys::PROT_READ));
        until(|| process.waits_for_unlock() || changes.is_finished());
        if !changes.is_finished() {
            assert_eq!(unlock(process, at, 2), 0);
            assert_eq!(changes.join().unwrap(), Ok(()));
        } else {
            panic!("the protections of a locked page have changed");
        }
    });
    process.exit();
}
