//! 30 and 31 of docs/shield.md: the framework puts a mapping into the process's address space, and then calls the map callback, without a lock in
//! between. Other threads of the process touch, duplicate and unmap the mapping meanwhile. Whatever comes first and whatever never comes: an access
//! is served, nothing is left, and nothing is done to a handle that is gone. (That nothing is left `mock::Booted` sees at each test's end.)

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ddi_sys as sys;

use crate::driver::{
    Behaviour, LIVE, Plan, behave, boot, events, handles, mappings, one_register_set, probe, set,
};
use crate::mapping::{LEN, RW, SHARED, map};
use crate::mock::{self, PAGE, between, kernel, loaded, locks, mmap, nothing_between, touch};

/// Does something in a thread of its own, as another thread of the process would.
fn elsewhere<R: Send>(what: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| scope.spawn(what).join().unwrap())
}

fn read(handle: usize, page: i64) -> Result<(), i32> {
    touch(handle, page * PAGE as i64, sys::DEVMAP_READ)
}

#[test]
fn d31_an_access_before_the_map_callback_is_served() {
    for behaviour in [Behaviour::Load, Behaviour::LoadAll, Behaviour::Switch, Behaviour::RetryLater] {
        let (_kernel, dev) = probe();
        behave(behaviour);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let results = Arc::clone(&seen);
        between(move |handle| results.lock().unwrap().push(elsewhere(|| read(handle, 2))));
        let handle = map(dev, 0, LEN);
        assert_eq!(seen.lock().unwrap()[..], [Ok(())], "{behaviour:?}");
        assert_eq!(loaded(handle) > 0, behaviour != Behaviour::RetryLater);
        assert!(events().contains(&"access m0x0 0x2000 r".to_owned()), "{behaviour:?}");
        assert_eq!(read(handle, 3), Ok(()), "{behaviour:?}");
        handles()[0].unload().unwrap();
        assert_eq!(loaded(handle), 0, "{behaviour:?}: the driver can unload what was loaded before");
    }
}

#[test]
fn d31_the_drivers_errors_reach_the_process_as_ever() {
    let (_kernel, dev) = probe();
    behave(Behaviour::Fail(devmap::Errno::EIO));
    between(|handle| assert_eq!(elsewhere(|| read(handle, 0)), Err(sys::EIO)));
    map(dev, 0, LEN);
}

#[test]
fn d31_each_part_of_a_mapping_is_there_before_its_map_callback() {
    let (_kernel, dev) = probe();
    set(Plan { parts: Some(3), access: Behaviour::Switch, ..Plan::default() });
    between(|handle| {
        let off = kernel().handles[&handle].off;
        elsewhere(|| touch(handle, off, sys::DEVMAP_READ)).unwrap();
    });
    assert_eq!(mmap(dev, 0, LEN, RW, SHARED).unwrap().len(), 3);
    let accesses: Vec<String> = events().into_iter().filter(|event| event.starts_with("access")).collect();
    assert_eq!(accesses, ["access m0x0 0x0 r", "access m0x3000 0x3000 r", "access m0x6000 0x6000 r"]);
}

#[test]
fn d31_an_access_that_began_before_the_map_callback_and_comes_after_it() {
    for behaviour in [Behaviour::Load, Behaviour::Switch] {
        let (_kernel, dev) = probe();
        let others = [map(dev, 0, LEN), map(dev, 0, LEN)];
        behave(behaviour);
        let handle = map(dev, 0, LEN);
        assert_eq!(mock::as_if_read_early(|| read(handle, 1)), Ok(()));
        assert_eq!(loaded(handle), 1);
        assert!(others.iter().all(|other| loaded(*other) == 0));
    }
}

/// From the moment on that the framework has the private pointer, an access goes by it, whatever else the map callback has to do.
#[test]
fn d31_the_private_pointer_comes_last() {
    let (_kernel, dev) = probe();
    let accesses = Arc::new(Mutex::new(Vec::new()));
    let begun = Arc::clone(&accesses);
    between(move |handle| {
        let begun = Arc::clone(&begun);
        locks::at_locks(Some(Box::new(move || {
            let known = !kernel().handles[&handle].pvt.get().is_null();
            if known {
                // Not waited for: it takes the lock that this thread gives back next.
                begun.lock().unwrap().push(std::thread::spawn(move || read(handle, 0)));
            }
        })));
    });
    let handle = map(dev, 0, LEN);
    locks::at_locks(None);
    let accesses = std::mem::take(&mut *accesses.lock().unwrap());
    assert!(!accesses.is_empty(), "it is known before the lock is given back");
    assert!(accesses.into_iter().all(|access| access.join().unwrap() == Ok(())));
    assert_eq!(loaded(handle), 1);
}

#[test]
fn d30_an_unmap_before_the_map_callback_leaves_nothing() {
    let (_kernel, dev) = probe();
    events();
    between(|handle| {
        elsewhere(|| mock::unmap(handle));
        assert_eq!((LIVE.load(SeqCst), mappings().len()), (0, 0));
        assert!(!handles()[0].is_live());
    });
    for _ in 0..3 {
        mmap(dev, 0, LEN, RW, SHARED).unwrap();
        assert!(kernel().handles.is_empty());
        assert_eq!(events()[1], "unmap m0x0 whole 0x0+0x8000", "the driver is told as of every unmap");
    }
    nothing_between();
    let handle = map(dev, 0, LEN);
    assert_eq!(read(handle, 0), Ok(()));
}

#[test]
fn d30_an_access_and_then_an_unmap_before_the_map_callback() {
    let (_kernel, dev) = probe();
    behave(Behaviour::Switch);
    between(|handle| {
        elsewhere(|| read(handle, 0)).unwrap();
        elsewhere(|| mock::unmap(handle));
    });
    mmap(dev, 0, LEN, RW, SHARED).unwrap();
    assert_eq!((LIVE.load(SeqCst), mappings().len()), (0, 0));
    mappings().revoke_all().unwrap();
}

#[test]
fn d30_an_unmap_that_began_before_the_map_callback_and_comes_after_it() {
    let (_kernel, dev) = probe();
    let kept = map(dev, 0, LEN);
    let handle = map(dev, 0, LEN);
    mock::as_if_read_early(|| mock::unmap(handle));
    assert_eq!((LIVE.load(SeqCst), mappings().len()), (1, 1));
    let child = mock::as_if_read_early(|| mock::fork(&[kept])).unwrap()[0];
    assert_eq!(read(child, 0), Ok(()));
    let rest = mock::as_if_read_early(|| mock::cut(kept, PAGE, PAGE)).unwrap();
    assert_eq!((read(kept, 0), read(rest, 5), LIVE.load(SeqCst)), (Ok(()), Ok(()), 3));
}

#[test]
fn d30_partial_unmaps_before_the_map_callback() {
    type Cut = (&'static str, usize, usize);
    let cuts: [(Cut, &[i64]); 3] =
        [(("head", 0, 3), &[3, 7]), (("tail", 5, 3), &[0, 4]), (("middle", 2, 4), &[0, 1])];
    for ((name, at, len), left) in cuts {
        for touched in [false, true] {
            let (_kernel, dev) = probe();
            let rest = Arc::new(Mutex::new(None));
            let behind = Arc::clone(&rest);
            between(move |handle| {
                if touched {
                    elsewhere(|| read(handle, at as i64)).unwrap();
                }
                *behind.lock().unwrap() = elsewhere(|| mock::cut(handle, at * PAGE, len * PAGE));
                assert_eq!(kernel().unloads, 0, "nothing was unloaded, so nothing can have been missed");
                assert_eq!(elsewhere(|| read(handle, left[0])), Ok(()));
            });
            let handle = map(dev, 0, LEN);
            assert!(events().iter().any(|event| event.starts_with(&format!("unmap m0x0 {name} "))));
            assert!(left.iter().all(|page| read(handle, *page) == Ok(())), "{name}");
            let rest = rest.lock().unwrap().take();
            assert_eq!(rest.is_some(), name == "middle");
            if let Some(rest) = rest {
                assert_eq!(read(rest, 7), Ok(()));
                mock::unmap(rest);
            }
            assert_eq!(LIVE.load(SeqCst), 1);
            let ours = &handles()[0];
            assert!(ours.is_live());
            ours.unload().unwrap();
            assert_eq!(loaded(handle), 0);
            mock::unmap(handle);
            assert_eq!(LIVE.load(SeqCst), 0);
        }
    }
}

#[test]
fn d30_a_part_goes_before_the_map_callbacks_of_the_others() {
    for gone in 0..3 {
        let (_kernel, dev) = probe();
        set(Plan { parts: Some(3), ..Plan::default() });
        let done = AtomicBool::new(false);
        between(move |_| {
            if !done.swap(true, SeqCst) {
                let segment = kernel().segments[0].handles.clone();
                elsewhere(|| mock::unmap(segment[gone]));
            }
        });
        mmap(dev, 0, LEN, RW, SHARED).unwrap();
        assert_eq!((LIVE.load(SeqCst), mappings().len(), kernel().handles.len()), (2, 2, 2));
    }
}

#[test]
fn d30_a_new_mapping_has_the_address_of_a_handle_whose_map_callback_is_still_to_come() {
    let (_kernel, dev) = probe();
    let new = Arc::new(Mutex::new(0));
    let made = Arc::clone(&new);
    between(move |handle| {
        nothing_between();
        elsewhere(|| {
            mock::unmap(handle);
            *made.lock().unwrap() = map(dev, PAGE as i64, PAGE as i64);
        });
        assert_eq!(*made.lock().unwrap(), handle, "the same address");
    });
    mmap(dev, 0, LEN, RW, SHARED).unwrap();
    events();
    let new = *new.lock().unwrap();
    assert_eq!(read(new, 1), Ok(()));
    assert_eq!(
        events(),
        ["access m0x1000 0x1000 r"],
        "the map callback for the old one did nothing to the new one"
    );
    assert_eq!(LIVE.load(SeqCst), 1);
}

#[test]
fn d30_two_mappings_wait_for_their_map_callbacks_at_one_address() {
    let (_kernel, dev) = probe();
    between(move |first| {
        between(move |second| {
            assert_eq!(first, second);
            assert_eq!(elsewhere(|| touch(second, PAGE as i64, sys::DEVMAP_READ)), Ok(()));
        });
        elsewhere(|| {
            mock::unmap(first);
            map(dev, PAGE as i64, PAGE as i64);
        });
        nothing_between();
    });
    mmap(dev, 0, LEN, RW, SHARED).unwrap();
    let accesses: Vec<String> = events().into_iter().filter(|event| event.starts_with("access")).collect();
    assert_eq!(accesses, ["access m0x1000 0x1000 r"]);
    assert_eq!(LIVE.load(SeqCst), 1);
}

#[test]
fn d30_the_address_of_a_handle_of_an_mmap_that_is_failing_is_used_again() {
    let (_kernel, dev) = probe();
    kernel().refuse.insert("as_map", 0);
    let new = Arc::new(Mutex::new(0));
    let made = Arc::clone(&new);
    between(move |freed| {
        nothing_between();
        kernel().refuse.clear();
        between(move |handle| {
            assert_eq!(handle, freed);
            assert_eq!(elsewhere(|| touch(handle, PAGE as i64, sys::DEVMAP_READ)), Ok(()));
        });
        *made.lock().unwrap() = elsewhere(|| map(dev, PAGE as i64, PAGE as i64));
    });
    assert_eq!(mmap(dev, 0, LEN, RW, SHARED), Err(sys::ENOMEM));
    assert_eq!(LIVE.load(SeqCst), 1, "the one that failed has gone");
    let accesses: Vec<String> = events().into_iter().filter(|event| event.starts_with("access")).collect();
    assert_eq!(accesses, ["access m0x1000 0x1000 r"]);
    assert_eq!(read(*new.lock().unwrap(), 1), Ok(()));
}

#[test]
fn d30_a_map_callback_for_a_handle_that_another_mmap_has_and_is_failing() {
    let (_kernel, dev) = probe();
    let map_callback = {
        let other = map(dev, 0, LEN);
        kernel().handles[&other].table.devmap_map.unwrap()
    };
    kernel().refuse.insert("as_map", 0);
    between(move |freed| {
        elsewhere(|| {
            let mut place = std::ptr::null_mut();
            let at = std::ptr::without_provenance_mut(freed);
            // SAFETY: as devmap_map(9E), of a handle that is gone: a place to write to.
            assert_eq!(unsafe { map_callback(at, dev, SHARED, 0, LEN as usize, &mut place) }, 0);
            assert!(place.is_null());
        });
    });
    assert_eq!(mmap(dev, 0, LEN, RW, SHARED), Err(sys::ENOMEM));
    assert_eq!(LIVE.load(SeqCst), 1);
}

#[test]
fn d30_the_map_callback_never_comes() {
    let (mut booted, dev) = probe();
    kernel().refuse.insert("devmap_map", 0);
    let lost = map(dev, 0, LEN);
    let other = map(dev, 0, LEN);
    kernel().refuse.clear();
    for handle in [lost, other] {
        kernel().handles.get_mut(&handle).unwrap().placed = true;
        assert_eq!(elsewhere(|| read(handle, 0)), Ok(()));
    }
    assert!(!booted.detach(dev), "they are mappings as others are");
    let child = mock::fork(&[lost]).unwrap()[0];
    assert_eq!(read(child, 1), Ok(()));
    mock::cut(other, 0, PAGE);
    assert_eq!(read(other, 1), Ok(()));
    for handle in [lost, child, other] {
        elsewhere(|| mock::unmap(handle));
    }
    assert_eq!((LIVE.load(SeqCst), mappings().len()), (0, 0));
    assert!(booted.detach(dev));
}

#[test]
fn d30_a_fork_before_the_map_callback_gives_the_child_a_mapping_of_its_own() {
    for then_unmap in [false, true] {
        let (_kernel, dev) = probe();
        let child = Arc::new(Mutex::new(0));
        let made = Arc::clone(&child);
        between(move |handle| {
            *made.lock().unwrap() = elsewhere(|| mock::fork(&[handle])).unwrap()[0];
            if then_unmap {
                elsewhere(|| mock::unmap(handle));
            }
        });
        mmap(dev, 0, LEN, RW, SHARED).unwrap();
        let child = *child.lock().unwrap();
        events();
        assert_eq!(read(child, 4), Ok(()));
        assert_eq!(events(), ["access m0x0' 0x4000 r"]);
        assert_eq!(LIVE.load(SeqCst), if then_unmap { 1 } else { 2 });
        mock::unmap(child);
    }
}

#[test]
fn d30_a_refused_fork_before_the_map_callback() {
    let (_kernel, dev) = probe();
    set(Plan { dup: Some(devmap::Errno::EAGAIN), ..Plan::default() });
    between(|handle| assert_eq!(elsewhere(|| mock::fork(&[handle])), Err(sys::EAGAIN)));
    let handle = map(dev, 0, LEN);
    assert_eq!((read(handle, 0), LIVE.load(SeqCst)), (Ok(()), 1));
}

/// An instance is detached while another is, at each point of that: the instances that stay are found afterwards.
#[test]
fn instances_are_detached_at_once() {
    let mut points = 0..;
    let reached = |point: u32| {
        let mut kernel = boot();
        let [stays, first, second] = [(); 3].map(|()| kernel.attach(one_register_set()).expect("attach"));
        let (left, meanwhile) = (Arc::new(AtomicU32::new(point)), Arc::new(Mutex::new(None)));
        let (counted, detacher) = (left.clone(), Mutex::new(Some(kernel.detacher(first))));
        let other = meanwhile.clone();
        locks::at_locks(Some(Box::new(move || {
            if counted.fetch_sub(1, SeqCst) != 0 {
                return;
            }
            let thread = std::thread::spawn(detacher.lock().unwrap().take().unwrap());
            // It may want what is held here.
            (0..100)
                .take_while(|_| !thread.is_finished())
                .for_each(|_| std::thread::sleep(Duration::from_micros(100)));
            *other.lock().unwrap() = Some(thread);
        })));
        assert!(kernel.detach(second));
        locks::at_locks(None);
        let Some(thread) = meanwhile.lock().unwrap().take() else { return false };
        assert!(thread.join().unwrap());
        between(|handle| assert_eq!(elsewhere(|| read(handle, 0)), Ok(())));
        let handle = map(stays, 0, LEN);
        assert_eq!(loaded(handle), 1, "point {point}");
        true
    };
    while reached(points.next().unwrap()) {}
    assert!(points.start > 3, "{points:?}");
}

/// Everything at once. Handles get the addresses of freed ones all the time.
#[test]
fn d30_d31_mmap_munmap_access_and_fork_in_loops() {
    for parts in [None, Some(3)] {
        let (_kernel, dev) = probe();
        set(Plan { parts, access: Behaviour::Switch, ..Plan::default() });
        between(|_| std::thread::yield_now());
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let mapping = [(); 2].map(|()| {
                scope.spawn(|| {
                    for _ in 0..crate::rounds(300) {
                        mmap(dev, 0, LEN - 1, RW, SHARED).unwrap();
                    }
                })
            });
            let others = |what: fn() -> bool| {
                let stop = &stop;
                scope.spawn(move || {
                    while !stop.load(SeqCst) || what() {
                        what();
                        std::thread::yield_now();
                    }
                })
            };
            others(|| mock::unmap_first(0));
            others(|| {
                mock::exit(mock::fork_process(0).expect("a fork that the driver does not refuse"));
                false
            });
            others(|| {
                assert!(mock::touch_any(0).is_none_or(|result| result == Ok(())));
                false
            });
            let ended = mapping.map(|thread| thread.join());
            stop.store(true, SeqCst);
            assert!(ended.iter().all(Result::is_ok));
        });
        assert_eq!((LIVE.load(SeqCst), mappings().len(), kernel().handles.len()), (0, 0, 0));
        events();
    }
}
