//! One test for each shield of docs/shield.md, named after the defect's number. The mock notes what would have set a
//! defect off, and a test that ends with one noted fails.

use std::time::Duration;

use ddi_sys as sys;
use devmap::Errno;
use devmap::umem::{Kind, Umem};

use crate::driver::{Behaviour, Plan, behave, cx, events, handles, mappings, probe, set};
use crate::mapping::{LEN, RW, SHARED, map};
use crate::mock::{self, PAGE, fault, kernel, mmap, touch};

/// 1 to 3: several handles in one mapping, of which a tail is unmapped. A driver that does not ask for parts never
/// has them: memory that does not reach to the end of the request is an error, not the first of several handles.
#[test]
fn d01_d02_d03_one_handle_for_each_mapping() {
    let (_kernel, dev) = probe();
    assert_eq!(mmap(dev, 6 * PAGE as i64, 4 * PAGE as i64, RW, SHARED), Err(sys::ENXIO));
    assert!(events().pop().unwrap().contains("does not cover the mapping"));
    assert_eq!(mmap(dev, 0, LEN, RW, SHARED).unwrap().len(), 1);
}

/// 4: kernel memory that is invalid from the start, or later. The framework never hears of it.
#[test]
fn d04_invalid_kernel_memory_is_the_layers_own() {
    let (_kernel, dev) = probe();
    let handle = map(dev, 0, LEN);
    assert_eq!(kernel().handles[&handle].flags & sys::DEVMAP_MAPPING_INVALID, 0);
    handles()[0].invalidate().unwrap();
    assert_eq!(touch(handle, 0, sys::DEVMAP_READ), Err(sys::EIO));
}

/// 5: a remap of an invalid handle to kernel memory that stays invalid for ever.
#[test]
fn d05_an_invalid_mapping_can_be_made_valid_again() {
    let (_kernel, dev) = probe();
    let handle = map(dev, 0, LEN);
    handles()[0].invalidate().unwrap();
    handles()[0].remap(Umem::new(&cx(), Kind::Locked, 8 * PAGE).unwrap(), 0).unwrap();
    assert_eq!(touch(handle, 0, sys::DEVMAP_READ), Err(sys::EIO), "a remap alone does not");
    handles()[0].validate();
    assert_eq!(touch(handle, 0, sys::DEVMAP_READ), Ok(()));
}

/// 6: a remap that fails makes an invalid handle map a nonsense page.
#[test]
fn d06_a_failed_remap_leaves_an_invalid_mapping_invalid() {
    let (_kernel, dev) = probe();
    let handle = map(dev, LEN, 4 * PAGE as i64);
    handles()[0].invalidate().unwrap();
    let small = Umem::new(&cx(), Kind::Locked, PAGE).unwrap();
    assert_eq!(handles()[0].remap(small, 0).unwrap_err().errno(), Errno::EINVAL);
    kernel().refuse.insert("devmap_remap", 0);
    let good = Umem::new(&cx(), Kind::Locked, 4 * PAGE).unwrap();
    assert_eq!(handles()[0].remap(good, 0).unwrap_err().errno(), Errno::EIO);
    assert_eq!(touch(handle, LEN, sys::DEVMAP_READ), Err(sys::EIO));
}

/// 7 and 8: a map callback that fails. Everything that can fail has been done in devmap(9E): the map callback does
/// not ask the driver.
#[test]
fn d07_d08_the_map_callback_does_not_fail() {
    let (_kernel, dev) = probe();
    set(Plan { devmap: Some(Errno::ENOMEM), ..Plan::default() });
    for _ in 0..3 {
        assert_eq!(mmap(dev, 0, LEN, RW, SHARED), Err(sys::ENXIO));
    }
    set(Plan { parts: Some(1), ..Plan::default() });
    assert_eq!(mmap(dev, 0, LEN, RW, SHARED).unwrap().len(), 8);
}

/// 9: a remap to no memory at all. There is no Umem without a cookie.
#[test]
fn d09_no_null_cookie() {
    let (_kernel, dev) = probe();
    map(dev, 0, LEN);
    kernel().refuse.insert("ddi_umem_alloc", 0);
    let result = Umem::new(&cx(), Kind::Locked, 8 * PAGE).map(|memory| handles()[0].remap(memory, 0));
    assert_eq!(result.unwrap_err().errno(), Errno::ENOMEM);
}

/// 10: a remap to memory that is shorter than the mapping shows what lies behind it.
#[test]
fn d10_a_remap_covers_the_mapping() {
    let (_kernel, dev) = probe();
    map(dev, 0, LEN);
    let ten = Umem::new(&cx(), Kind::Locked, 10 * PAGE).unwrap();
    for (memory, offset) in [(&ten, 3 * PAGE as u64), (&Umem::new(&cx(), Kind::Locked, 4 * PAGE).unwrap(), 0)]
    {
        assert_eq!(handles()[0].remap(memory, offset).unwrap_err().errno(), Errno::EINVAL);
    }
    handles()[0].remap(&ten, 2 * PAGE as u64).unwrap();
}

/// 11: a small negative offset passes the framework's check.
#[test]
fn d11_no_negative_offset() {
    let (_kernel, dev) = probe();
    map(dev, 0, 4 * PAGE as i64);
    let memory = Umem::new(&cx(), Kind::Locked, 8 * PAGE).unwrap();
    for offset in [(-2 * PAGE as i64) as u64, u64::MAX - 4095, 1 << 63, 8] {
        assert_eq!(handles()[0].remap(&memory, offset).unwrap_err().errno(), Errno::EINVAL);
    }
}

/// 12: a remap with a smaller maximum protection than mprotect has granted. A remap keeps the mapping's.
#[test]
fn d12_a_remap_keeps_the_greatest_protection() {
    let (_kernel, dev) = probe();
    let handle = map(dev, 0, LEN);
    let before = kernel().handles[&handle].max_protection;
    handles()[0].remap(Umem::new(&cx(), Kind::Locked, 8 * PAGE).unwrap(), 0).unwrap();
    assert_eq!(kernel().handles[&handle].max_protection, before);
}

/// 13: lengths just below 2^64.
#[test]
fn d13_lengths_are_cut_to_the_mapping() {
    let (_kernel, dev) = probe();
    behave(Behaviour::LoadAll);
    let handle = map(dev, PAGE as i64, 4 * PAGE as i64);
    touch(handle, PAGE as i64, sys::DEVMAP_READ).unwrap();
    assert_eq!(mock::loaded(handle), 4);
    for len in [usize::MAX, usize::MAX - 4094, usize::MAX - 8192] {
        handles()[0].unload_range(2 * PAGE as u64, len).unwrap();
        assert_eq!(mock::loaded(handle), 1);
    }
    handles()[0].unload_range(u64::MAX, usize::MAX).unwrap();
    assert_eq!(mock::loaded(handle), 1);
}

/// 14: a length of 0 in devmap_setup.
#[test]
fn d14_no_empty_mapping() {
    let (_kernel, dev) = probe();
    for (off, len) in [(0, 0), (0, -1), (-1, 4096), (i64::MAX - 4095, 8192)] {
        assert_eq!(mmap(dev, off, len, RW, SHARED), Err(sys::EINVAL));
    }
    assert!(events().iter().all(|event| !event.starts_with("devmap")));
}

/// 16: devmap(9E) reports a length of 0.
#[test]
fn d16_no_empty_part() {
    let (_kernel, dev) = probe();
    set(Plan { parts: Some(0), ..Plan::default() });
    assert_eq!(mmap(dev, 0, LEN, RW, SHARED), Err(sys::ENXIO));
    assert!(events().pop().unwrap().contains("the part is empty"));
}

/// 17: devmap(9E) reports another length than it set up, or sets nothing up. The length comes with the setup.
#[test]
fn d17_the_length_reported_is_the_length_set_up() {
    let (_kernel, dev) = probe();
    set(Plan { parts: Some(3), ..Plan::default() });
    let made = mmap(dev, 0, LEN, RW, SHARED).unwrap();
    let total: usize = made.iter().map(|handle| mock::kernel().handles[handle].len).sum();
    assert_eq!((made.len(), total), (3, LEN as usize));
}

/// 18: a context switch for a mapping without an access callback. Only an access callback has a `Fault`, see the type.
#[test]
fn d18_switches_are_made_in_access_callbacks_only() {
    let (_kernel, dev) = probe();
    set(Plan { without_access: true, access: Behaviour::Switch, ..Plan::default() });
    let handle = map(dev, 0, LEN);
    assert_eq!(touch(handle, 0, sys::DEVMAP_READ), Ok(()));
    assert!(!events().iter().any(|event| event.starts_with("access") || event.starts_with("switch")));
}

/// 20 to 22 and 24 to 27: softlocks. The framework refuses them itself for mappings that may be remapped, before it
/// counts.
#[test]
fn d20_to_d27_no_softlocks() {
    let (_kernel, dev) = probe();
    let (one, two) = (map(dev, 0, LEN), map(dev, LEN, 4 * PAGE as i64));
    for (handle, off) in [(one, 0), (two, LEN)] {
        events();
        assert_eq!(fault(handle, off, PAGE, sys::DEVMAP_LOCK, sys::DEVMAP_READ), Err(sys::ENOTSUP));
        assert!(events().is_empty(), "the driver is not asked");
    }
    // And should it ask nevertheless, the callback refuses.
    let (access, pvt) = {
        let kernel = kernel();
        (kernel.handles[&one].table.devmap_access.unwrap(), kernel.handles[&one].pvt.get())
    };
    // SAFETY: as devmap_access(9E): a live handle and its private data.
    let code = unsafe { access(one as *mut _, pvt, 0, PAGE, sys::DEVMAP_LOCK, sys::DEVMAP_READ) };
    assert_eq!((code, events()), (sys::ENOTSUP, vec![]));
}

/// 23: an access callback that fails during an unlock leaves pages locked for ever.
#[test]
fn d23_an_unlock_is_never_refused() {
    let (_kernel, dev) = probe();
    let handle = map(dev, 0, LEN);
    behave(Behaviour::Fail(Errno::EIO));
    handles()[0].invalidate().unwrap();
    assert_eq!(fault(handle, 0, PAGE, sys::DEVMAP_UNLOCK, sys::DEVMAP_OTHER), Ok(()));
}

/// 28: a routine of an untimed mapping that fails gives up a context that a timer still holds; the next timed one
/// arms a second timer.
#[test]
fn d28_no_timer_is_lost() {
    let (_kernel, dev) = probe();
    let (one, two) = (map(dev, 0, LEN), map(dev, 0, LEN));
    mappings().set_hysteresis(Duration::from_millis(10));
    behave(Behaviour::Switch);
    touch(one, 0, sys::DEVMAP_READ).unwrap();
    // From here on the timer of the first is pending.
    mappings().set_hysteresis(Duration::ZERO);
    behave(Behaviour::SwitchFails);
    assert_eq!(touch(two, 0, sys::DEVMAP_READ), Err(sys::EBUSY));
    mappings().set_hysteresis(Duration::from_millis(10));
    behave(Behaviour::Switch);
    touch(one, 0, sys::DEVMAP_READ).unwrap();
    assert!(kernel().timers <= 1, "one timer at most");
}

/// 28, the other half: a routine that fails does not keep others waiting.
#[test]
fn d28_a_routine_that_fails_gives_the_context_up() {
    let (_kernel, dev) = probe();
    let (one, two) = (map(dev, 0, LEN), map(dev, 0, LEN));
    mappings().set_hysteresis(Duration::from_millis(10));
    behave(Behaviour::SwitchFails);
    assert_eq!(touch(one, 0, sys::DEVMAP_READ), Err(sys::EBUSY));
    behave(Behaviour::Switch);
    touch(two, 0, sys::DEVMAP_READ).unwrap();
    assert_eq!(kernel().context_waits, 0);
}

/// "Kept in the corpora": what access returns is taken for an error number. A fault code passed on would be a wrong
/// one.
#[test]
fn access_returns_error_numbers() {
    let (_kernel, dev) = probe();
    let handle = mmap(dev, 0, LEN, sys::PROT_READ, SHARED).unwrap()[0];
    assert_eq!(touch(handle, 0, sys::DEVMAP_WRITE), Err(sys::EACCES), "FC_PROT is 4, which would be EINTR");
    kernel().refuse.insert("devmap_load", 0);
    assert_eq!(touch(handle, 0, sys::DEVMAP_READ), Err(sys::EIO));
    kernel().refuse.clear();
    assert_eq!(fault(handle, LEN, PAGE, sys::DEVMAP_ACCESS, sys::DEVMAP_READ), Err(sys::EINVAL));
    behave(Behaviour::Fail(Errno::EAGAIN));
    assert_eq!(touch(handle, 0, sys::DEVMAP_READ), Err(sys::EAGAIN));
}
