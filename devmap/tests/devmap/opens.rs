//! Opens: private data, minor numbers, exclusive opens, who calls.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use ddi_sys as sys;
use devmap::caller::{Privilege, Process};
use devmap::{Device, Errno, raw};

use crate::desk::{Desk, LIVE, boot, desk, events, ioctl, refuse};
use crate::driver::probe;
use crate::mapping::{RW, SHARED};
use crate::mock::{self, Config, Kernel, PAGE, kernel};

const FIRST: u64 = 1 << 17;

#[test]
fn minor_nodes_are_as_the_device_says() {
    let mut booted = boot();
    assert_eq!(booted.attach(Config::default()), Some(0));
    assert_eq!(booted.attach(Config { properties: vec![("one", 1)], ..Config::default() }), Some(1));
    assert_eq!(booted.minors(0), [("desk0".into(), 0), ("drawer0".into(), 1)]);
    assert_eq!(booted.kinds(0), ["ddi_pseudo", "ddi_drawer sys_devices all 640"]);
    assert_eq!(booted.minors(1), [("desk1".into(), 2)]);
    kernel().refuse.insert("ddi_create_minor_node", 1);
    assert_eq!(booted.attach(Config::default()), None, "one of two");
    kernel().refuse.clear();
    assert!(booted.minors(2).is_empty());
}

#[test]
fn each_open_with_data_has_a_number_and_a_close_of_its_own() {
    let (_kernel, dev, first) = desk();
    kernel().caller.pid = 77;
    let second = mock::open_new(dev + 1, sys::FREAD).unwrap();
    assert_eq!((first, second), (FIRST, FIRST + 1));
    assert_eq!(events(), ["open 1 of 0 by 0", "open 2 of 1 by 77"]);
    assert_eq!(mock::write(second, &5_u64.to_ne_bytes()), Ok(8));
    let words = |open| {
        let bytes = mock::read(open, 16, 0).unwrap();
        [0, 8].map(|at| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap()))
    };
    assert_eq!((words(first), words(second)), ([1, 0], [2, 5]));
    assert_eq!(mock::read(second, 7, 0), Ok(vec![5, 0, 0, 0, 0, 0, 0]), "no room for the first value");
    assert_eq!(events(), ["read 1 by 77", "read 2 by 77", "read 2 by 77"]);
    assert_eq!(LIVE.load(SeqCst), 2);
    assert_eq!(mock::close(first), 0);
    assert_eq!((events(), LIVE.load(SeqCst)), (vec!["close 1".into()], 1), "closed, and dropped");
    // Its number is the next one's.
    assert_eq!(mock::open_new(dev, sys::FREAD), Ok(first));
    assert_eq!(words(first), [3, 0]);
    assert_eq!((mock::close(first), mock::close(second)), (0, 0));
    assert_eq!(LIVE.load(SeqCst), 0);
}

#[test]
fn numbers_of_opens_cannot_be_opened_and_those_of_nobody_are_nothing() {
    let (_kernel, dev, open) = desk();
    assert_eq!(mock::open(open, sys::FREAD), sys::ENXIO);
    for nobody in [open + 1, FIRST + 1000, (1 << 18) - 1, u64::from(u32::MAX), dev, dev + 1, 9] {
        assert_eq!(mock::ioctl(nobody, 1, 0).0, sys::ENXIO, "{nobody:#x}");
        assert_eq!(mock::read(nobody, 8, 0), Err(sys::ENXIO));
        assert_eq!(mock::polls::poll(nobody, sys::POLLIN, false), Err(sys::ENXIO));
        assert_eq!(mock::mmap(nobody, 0, PAGE as i64, RW, SHARED), Err(sys::ENXIO));
    }
    assert_eq!(mock::close(open), 0);
    assert_eq!(mock::ioctl(open, 1, 0).0, sys::ENXIO);
}

#[test]
fn getinfo_knows_whose_an_open_is() {
    let mut booted = boot();
    booted.attach(Config::default()).unwrap();
    booted.attach(Config::default()).unwrap();
    let open = mock::open_new(3, sys::FREAD).unwrap();
    let getinfo = mock::dev_ops().devo_getinfo.unwrap();
    let ask = |dev: u64| {
        let mut answer = std::ptr::null_mut();
        // SAFETY: as getinfo(9E): a device number in place of an address, and where the answer goes.
        let result =
            unsafe { getinfo(std::ptr::null_mut(), sys::DDI_INFO_DEVT2INSTANCE, dev as *mut _, &mut answer) };
        (result == sys::DDI_SUCCESS).then_some(answer.expose_provenance())
    };
    assert_eq!((ask(2), ask(3), ask(open), ask(open + 1)), (Some(1), Some(1), Some(1), None));
    mock::close(open);
    assert_eq!(ask(open), None);
}

#[test]
fn an_open_that_fails_leaves_nothing() {
    let (_kernel, dev, open) = desk();
    refuse(Some(Errno::EACCES));
    assert_eq!(mock::open(dev, sys::FREAD), sys::EACCES);
    refuse(None);
    kernel().refuse.insert("ddi_soft_state_zalloc", 0);
    assert_eq!(mock::open_new(dev, sys::FREAD), Ok(open + 1), "the place of the one that failed");
    assert_eq!(mock::open(dev, sys::FREAD), sys::ENOMEM);
    kernel().refuse.clear();
    assert_eq!(mock::open_new(dev, sys::FREAD), Ok(open + 2));
    assert_eq!(LIVE.load(SeqCst), 3);
    for number in 0..3 {
        mock::close(open + number);
    }
}

#[test]
fn a_mapping_request_knows_its_open_and_is_set_up_once() {
    let (_kernel, dev, first) = desk();
    kernel().caller.uid = 501;
    let second = mock::open_new(dev + 1, sys::FREAD).unwrap();
    events();
    let page = PAGE as i64;
    let handles = [first, second].map(|open| mock::mmap(open, 0, page, RW, SHARED).unwrap()[0]);
    let both = mock::mmap(second, 0, 2 * page, RW, SHARED).unwrap()[0];
    assert_eq!(events(), ["map 1 by 501", "map 2 by 501", "map 2 by 501"]);
    let object = |handle| kernel().handles[&handle].object;
    assert!(object(handles[0]) != object(handles[1]) && object(handles[1]) == object(both));
    assert_eq!([handles[0], both].map(|handle| kernel().handles[&handle].start), [page, 0]);
    for handle in [handles[0], handles[1], both] {
        mock::unmap(handle);
    }
    assert_eq!((mock::close(first), mock::close(second)), (0, 0));
}

#[test]
fn opens_without_data_share_their_nodes_number() {
    let (_kernel, dev) = probe();
    assert_eq!(mock::open_new(dev, sys::FREAD), Ok(dev));
    assert_eq!(kernel().anchors.len(), 1, "nothing is kept for them");
    assert_eq!(mock::polls::poll(dev, sys::POLLIN, false), Err(sys::ENXIO), "as a driver without chpoll(9E)");
}

#[test]
fn a_module_whose_opens_have_no_place_is_not_loaded() {
    let booted = boot();
    assert_eq!(booted.unload(), 0);
    for served in [0, 1] {
        kernel().refuse.insert("ddi_soft_state_init", served);
        assert_eq!((crate::desk::MODULE.init)(), sys::EINVAL);
        kernel().refuse.clear();
    }
    assert_eq!((crate::desk::MODULE.init)(), 0);
}

#[test]
fn exclusive_opens_are_alone() {
    const ALONE: i32 = sys::FREAD | sys::FEXCL;
    let (_kernel, dev, open) = desk();
    assert_eq!(mock::open(dev, ALONE), sys::EBUSY);
    mock::close(open);
    kernel().caller.privileges.clear();
    assert_eq!(mock::open(dev, ALONE), sys::EPERM);
    kernel().caller.privileges.insert("sys_devices");
    let alone = mock::open_new(dev, ALONE).unwrap();
    assert_eq!((mock::open(dev, sys::FREAD), mock::open(dev, ALONE)), (sys::EBUSY, sys::EBUSY));
    mock::close(alone);
    let again = mock::open_new(dev, sys::FREAD).unwrap();
    mock::close(again);
}

#[test]
fn a_process_is_sent_signals_while_it_lives() {
    let (_kernel, _, open) = desk();
    kernel().caller.pid = 9;
    let process: Arc<Mutex<Option<Process>>> = Arc::default();
    let keep = Arc::clone(&process);
    let registered = ioctl(open, 0, sys::FREAD, move |_, argument| {
        *keep.lock().unwrap() = Some(argument.caller().process_ref());
        Ok(0)
    });
    let process = process.lock().unwrap().take().unwrap();
    assert_eq!((registered, process.signal(sys::SIGIO)), ((0, 0), Ok(())));
    kernel().caller.pid = 10;
    assert_eq!(process.signal(sys::SIGIO), Err(Errno::ESRCH));
    let seen = |kernel: &Kernel| (kernel.caller.references, kernel.caller.signals.clone());
    assert_eq!(seen(&kernel()), (1, vec![sys::SIGIO]));
    drop(process);
    assert_eq!(seen(&kernel()), (0, vec![sys::SIGIO]));
    mock::close(open);
}

/// What is behind the types, and entry points of the driver's own.
#[test]
fn the_way_out() {
    let (booted, dev, open) = desk();
    // SAFETY: as in an entry point for this open.
    let number = unsafe { raw::with_device(open, |_: &Desk, client| client.number) };
    assert_eq!(number, Some(1));
    for nobody in [dev, open + 1] {
        // SAFETY: as above; nobody has it open.
        assert!(unsafe { raw::with_device(nobody, |_: &Desk, _| ()) }.is_none());
    }
    // SAFETY: as in an entry point for this node.
    let minors = unsafe { raw::with_node(booted.node(dev), |_: &Desk| Desk::MINORS) };
    assert_eq!(minors, Some(2));
    let handle = mock::mmap(open, 0, 2 * PAGE as i64, RW, SHARED).unwrap()[0];
    let same = ioctl(open, 0, sys::FREAD, move |client, argument| {
        assert!(kernel().umems.contains_key(&client.memory.as_raw().expose_provenance()));
        assert!(!client.head.as_raw().is_null() && argument.caller().as_raw().is_null());
        let seen = client.mapping.lock().unwrap().clone().unwrap();
        assert_eq!(seen.with_raw(|cookie| cookie.expose_provenance()), Some(handle));
        mock::unmap(handle);
        assert_eq!(seen.with_raw(|_| ()), None);
        Ok(0)
    });
    assert_eq!(same, (0, 0));
    mock::close(open);
}

#[test]
fn who_calls() {
    let (_kernel, _, open) = desk();
    {
        let mut kernel = kernel();
        let caller = &mut kernel.caller;
        (caller.pid, caller.uid, caller.ruid, caller.gid, caller.rgid, caller.zone) = (9, 1, 2, 3, 4, 5);
        caller.groups.insert(30);
    }
    let seen = ioctl(open, 0, sys::FREAD, |_, argument| {
        let caller = argument.caller();
        assert_eq!((caller.process(), caller.user(), caller.real_user()), (9, 1, 2));
        assert_eq!((caller.group(), caller.real_group(), caller.zone()), (3, 4, 5));
        assert_eq!([3, 30, 31].map(|group| caller.in_group(group)), [true, true, false]);
        assert!(!caller.in_global_zone() && caller.privileged() && argument.privileged());
        assert_eq!(caller.may_exclude(), Ok(()));
        let (has, has_not) =
            (Privilege::named("sys_devices").unwrap(), Privilege::named("sys_config").unwrap());
        assert_eq!((caller.must_have(has), caller.must_have(has_not)), (Ok(()), Err(Errno::EPERM)));
        assert_eq!((caller.has(has), caller.has(has_not)), (true, false));
        assert_eq!(Privilege::named("wisdom").unwrap_err().errno(), Errno::EINVAL);
        Ok(3)
    });
    assert_eq!(seen, (0, 3));
    mock::close(open);
}
