//! A device that serves one mapping at a time: `Context::load_alone`.

use ddi_sys as sys;
use devmap::prelude::*;

use crate::driver::{Behaviour, Plan, behave, events, forget_mappings, handles, mappings, probe, set};
use crate::mapping::{LEN, map};
use crate::mock::{self, PAGE, loaded, touch};

/// Touches a page. Returns whether the device was switched.
fn switched(handle: usize, page: usize) -> bool {
    events();
    touch(handle, (page * PAGE) as i64, sys::DEVMAP_READ).unwrap();
    events().iter().any(|event| event.starts_with("switch"))
}

#[test]
fn one_has_the_device_until_another_takes_it() {
    let (_kernel, dev) = probe();
    behave(Behaviour::Alone);
    let (first, second) = (map(dev, 0, LEN), map(dev, 0, LEN));
    assert!(switched(first, 0), "nobody had it");
    assert!(!switched(first, 1) && !switched(first, 2));
    assert_eq!(loaded(first), 3, "only the pages that fault");
    assert!(switched(second, 0));
    assert_eq!((loaded(first), loaded(second)), (0, 1));
    mappings().revoke_all().unwrap();
    assert!(!switched(second, 5), "a revoke does not take the device away");
    assert!(switched(first, 0));
    assert_eq!((loaded(first), loaded(second)), (1, 0));
}

#[test]
fn who_is_unmapped_gives_it_up() {
    let (_kernel, dev) = probe();
    for keep_no_handles in [false, true] {
        set(Plan { access: Behaviour::Alone, keep_no_handles, ..Plan::default() });
        let (first, second) = (map(dev, 0, LEN), map(dev, 0, LEN));
        assert!(switched(first, 0));
        mock::unmap(first);
        assert!(switched(second, 0), "nobody has it");
        // A mapping where the first one was does not have it.
        let third = map(dev, 0, LEN);
        assert!(switched(third, 0));
        assert_eq!((loaded(second), loaded(third)), (0, 1));
        [second, third].into_iter().for_each(mock::unmap);
        forget_mappings();
    }
}

#[test]
fn what_a_cut_leaves_behind_has_to_ask() {
    let (_kernel, dev) = probe();
    for keep_no_handles in [false, true] {
        set(Plan { access: Behaviour::Alone, keep_no_handles, ..Plan::default() });
        let first = map(dev, 0, LEN);
        (0..8).for_each(|page| _ = switched(first, page));
        assert!(mock::cut(first, 0, PAGE).is_none());
        assert!(mock::cut(first, 6 * PAGE, PAGE).is_none());
        assert!(!switched(first, 1), "the head and the tail have gone, the device is its own still");
        let rest = mock::cut(first, 2 * PAGE, PAGE).unwrap();
        assert_eq!((loaded(first), loaded(rest)), (2, 0));
        assert!(!switched(first, 1));
        assert!(switched(rest, 4));
        assert_eq!((loaded(first), loaded(rest)), (0, 1));
        [first, rest].into_iter().for_each(mock::unmap);
        forget_mappings();
    }
}

#[test]
fn a_child_has_to_ask() {
    let (_kernel, dev) = probe();
    behave(Behaviour::Alone);
    let parent = map(dev, 0, LEN);
    assert!(switched(parent, 0));
    let child = mock::fork(&[parent]).unwrap()[0];
    assert!(!switched(parent, 1));
    assert!(switched(child, 0));
    assert_eq!((loaded(parent), loaded(child)), (0, 1));
    mock::unmap(child);
    assert!(switched(parent, 0));
}

#[test]
fn a_switch_that_fails_leaves_the_device_to_nobody() {
    let (_kernel, dev) = probe();
    behave(Behaviour::Alone);
    let (first, second) = (map(dev, 0, LEN), map(dev, 0, LEN));
    assert!(switched(first, 0));
    set(Plan { access: Behaviour::Alone, switch: Some(Errno::EBUSY), ..Plan::default() });
    assert_eq!(touch(second, 0, sys::DEVMAP_READ), Err(sys::EBUSY));
    assert_eq!((loaded(first), loaded(second)), (0, 0));
    mock::unmap(second);
    set(Plan { access: Behaviour::Alone, ..Plan::default() });
    assert!(switched(first, 0), "it has to be switched back");
}

#[test]
fn who_may_not_be_served_does_not_get_it() {
    let (_kernel, dev) = probe();
    behave(Behaviour::Alone);
    let (first, second) = (map(dev, 0, LEN), map(dev, 0, LEN));
    assert!(switched(first, 0));
    handles()[1].invalidate().unwrap();
    assert_eq!(touch(second, 0, sys::DEVMAP_READ), Err(sys::EIO));
    assert_eq!(loaded(first), 1);
    assert!(!switched(first, 1));
}

#[test]
fn engines_serve_one_each() {
    let (_kernel, dev) = probe();
    let made: Vec<usize> = [0, 1, 1]
        .into_iter()
        .map(|engine| {
            set(Plan { engine, access: Behaviour::Alone, ..Plan::default() });
            map(dev, 0, LEN)
        })
        .collect();
    assert!(made[..2].iter().all(|handle| switched(*handle, 0)));
    assert!(made[..2].iter().all(|handle| !switched(*handle, 1)));
    assert!(switched(made[2], 0));
    assert_eq!(made.iter().map(|handle| loaded(*handle)).collect::<Vec<_>>(), [2, 0, 1]);
    mock::unmap(made[2]);
    assert!(!switched(made[0], 2));
    assert!(switched(made[1], 0));
}
