//! A mapping's life: mmap, access, context switches, fork, every shape of unmap.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use ddi_sys as sys;
use devmap::Protection;
use devmap::prelude::*;

use crate::driver::{
    self, Behaviour, CHANGED, LIVE, Plan, behave, cx, events, forget_mappings, handles, mappings, probe, set,
};
use crate::mock::{self, PAGE, kernel, loaded, mmap, touch};

pub const RW: u32 = sys::PROT_READ | sys::PROT_WRITE;
pub const SHARED: u32 = sys::MAP_SHARED;
pub const PRIVATE: u32 = sys::MAP_PRIVATE;
pub const LEN: i64 = 8 * PAGE as i64;

/// The one handle of an mmap.
pub fn map(dev: u64, off: i64, len: i64) -> usize {
    let made = mmap(dev, off, len, RW, SHARED).unwrap();
    assert_eq!(made.len(), 1, "one mapping, one handle");
    made[0]
}

#[test]
fn mmap_touch_munmap() {
    let (_kernel, dev) = probe();
    events();
    let handle = map(dev, 0, LEN);
    assert_eq!(events(), ["devmap 0x0 0x8000 Shared Protection(READ | WRITE)"]);
    assert!(handles()[0].is_live());
    assert_eq!(loaded(handle), 0, "nothing is loaded before the first access");
    assert_eq!(touch(handle, 0x2000, sys::DEVMAP_WRITE), Ok(()));
    assert_eq!((loaded(handle), LIVE.load(SeqCst)), (1, 1));
    assert_eq!(events(), ["access m0x0 0x2000 w"]);
    mock::unmap(handle);
    assert_eq!(events(), ["unmap m0x0 whole 0x0+0x8000"]);
    assert_eq!(LIVE.load(SeqCst), 0, "the private data is dropped with the mapping");
    assert!(!handles()[0].is_live());
}

/// The kernel passes mmap(2)'s length as it is.
#[test]
fn lengths_are_rounded_up_to_pages() {
    let (_kernel, dev) = probe();
    let page = PAGE as i64;
    for (off, len, pages) in [
        (0, 1, 1),
        (0, 100, 1),
        (page, page - 1, 1),
        (page, page + 1, 2),
        (0, LEN - 1, 8),
        (LEN, 3 * page + 7, 4),
    ] {
        events();
        let handle = map(dev, off, len);
        assert_eq!(
            events(),
            [format!("devmap {off:#x} {:#x} Shared Protection(READ | WRITE)", pages * PAGE)]
        );
        assert_eq!(kernel().handles[&handle].len, pages * PAGE);
        assert_eq!(handles().last().unwrap().len(), pages * PAGE);
        touch(handle, off + (pages as i64 - 1) * page, sys::DEVMAP_WRITE).unwrap();
        events();
        mock::unmap(handle);
        assert_eq!(events(), [format!("unmap m{off:#x} whole {off:#x}+{:#x}", pages * PAGE)]);
    }
    assert_eq!(mmap(dev, 0, LEN + 1, RW, SHARED), Err(sys::ENXIO), "a page more than there is");
    for off in [i64::MAX - 4095, i64::MAX - 8191] {
        assert_eq!(mmap(dev, off, 4095, RW, SHARED), Err(sys::ENXIO));
    }
    set(Plan { parts: Some(3), ..Plan::default() });
    let made = mmap(dev, 0, 6 * page + 1, RW, SHARED).unwrap();
    let lens: Vec<usize> = made.iter().map(|handle| kernel().handles[handle].len).collect();
    assert_eq!(lens, [3 * PAGE, 3 * PAGE, PAGE]);
}

#[test]
fn private_is_told_from_shared() {
    let (_kernel, dev) = probe();
    mmap(dev, 0, LEN, sys::PROT_READ, PRIVATE).unwrap();
    assert!(events().contains(&"devmap 0x0 0x8000 Private Protection(READ)".to_owned()));
}

#[test]
fn what_a_process_writes_the_driver_reads() {
    let (_kernel, dev) = probe();
    let handle = map(dev, PAGE as i64, 2 * PAGE as i64);
    mock::store(handle, PAGE as i64 + 8, 77).unwrap();
    assert_eq!(mock::load(handle, PAGE as i64 + 8), Ok(77));
    let whole = map(dev, 0, LEN);
    assert_eq!(mock::load(whole, PAGE as i64 + 8), Ok(77));
}

#[test]
fn a_part_of_the_device_and_registers() {
    let (_kernel, dev) = probe();
    let memory = map(dev, 3 * PAGE as i64, 2 * PAGE as i64);
    let registers = map(dev, LEN, 4 * PAGE as i64);
    let kernel = kernel();
    let (memory, registers) = (&kernel.handles[&memory], &kernel.handles[&registers]);
    assert_eq!((memory.start, memory.len), (3 * PAGE as i64, 2 * PAGE));
    assert_eq!((registers.object, registers.start), (mock::Object::Registers(0), 0));
}

#[test]
fn load_all_saves_faults() {
    let (_kernel, dev) = probe();
    behave(Behaviour::LoadAll);
    let handle = map(dev, 0, LEN);
    touch(handle, 0x3000, sys::DEVMAP_READ).unwrap();
    assert_eq!(loaded(handle), 8);
}

#[test]
fn retry_later_sleeps_and_loads_nothing() {
    let (_kernel, dev) = probe();
    behave(Behaviour::RetryLater);
    let handle = map(dev, 0, LEN);
    assert_eq!(touch(handle, 0, sys::DEVMAP_READ), Ok(()), "the access is simply tried again");
    assert_eq!(loaded(handle), 0);
    assert_eq!(kernel().slept, 3);
}

#[test]
fn a_switch_takes_the_translations_of_the_others() {
    let (_kernel, dev) = probe();
    behave(Behaviour::Switch);
    let (first, second) = (map(dev, 0, LEN), map(dev, 0, LEN));
    for page in 0..3 {
        touch(first, page * PAGE as i64, sys::DEVMAP_READ).unwrap();
    }
    events();
    touch(second, 0, sys::DEVMAP_WRITE).unwrap();
    assert_eq!(events(), ["access m0x0 0x0 w", "switch to m0x0"]);
    assert_eq!((loaded(first), loaded(second)), (0, 1));
}

#[test]
fn threads_switch_at_once() {
    let (_kernel, dev) = probe();
    for behaviour in [Behaviour::Switch, Behaviour::Alone] {
        behave(behaviour);
        let (first, second) = (map(dev, 0, LEN), map(dev, 0, LEN));
        std::thread::scope(|scope| {
            for handle in [first, second, first, second] {
                scope.spawn(move || {
                    for _ in 0..crate::rounds(50) {
                        touch(handle, 0, sys::DEVMAP_WRITE).unwrap();
                    }
                });
            }
        });
        assert_eq!(loaded(first) + loaded(second), 1, "one owner at the end");
        [first, second].into_iter().for_each(mock::unmap);
        forget_mappings();
    }
}

#[test]
fn hysteresis_reaches_every_mapping() {
    let (_kernel, dev) = probe();
    behave(Behaviour::Switch);
    let (first, second) = (map(dev, 0, LEN), map(dev, 0, LEN));
    mappings().set_hysteresis(Duration::from_millis(15));
    touch(first, 0, sys::DEVMAP_READ).unwrap();
    assert_eq!(kernel().handles[&first].ticks, 2, "15 ms are two ticks of 10");
    touch(second, 0, sys::DEVMAP_READ).unwrap();
    assert_eq!(kernel().context_waits, 1, "the second waits for the first's time to pass");
    mappings().set_hysteresis(Duration::ZERO);
    touch(first, 0, sys::DEVMAP_READ).unwrap();
    let kernel = kernel();
    assert_eq!((kernel.handles[&first].ticks, kernel.context_waits), (0, 1));
}

#[test]
fn unload_makes_the_next_access_fault() {
    let (_kernel, dev) = probe();
    behave(Behaviour::LoadAll);
    let handle = map(dev, 0, LEN);
    touch(handle, 0, sys::DEVMAP_READ).unwrap();
    let ours = &handles()[0];
    ours.unload_range(PAGE as u64, 2 * PAGE).unwrap();
    assert_eq!(loaded(handle), 6);
    ours.unload().unwrap();
    assert_eq!(loaded(handle), 0);
    let before = kernel().unloads;
    ours.unload().unwrap();
    assert_eq!(kernel().unloads, before, "the framework is not asked to unload what is not loaded");
}

#[test]
fn revoke_all_reaches_every_process() {
    let (_kernel, dev) = probe();
    let made: Vec<usize> = (0..20).map(|_| map(dev, 0, LEN)).collect();
    for handle in &made {
        touch(*handle, 0, sys::DEVMAP_READ).unwrap();
    }
    mappings().revoke_all().unwrap();
    assert!(made.iter().all(|handle| loaded(*handle) == 0));
    assert_eq!(mappings().len(), 20);
}

#[test]
fn an_invalid_mapping_refuses_until_it_is_valid() {
    let (_kernel, dev) = probe();
    let handle = map(dev, 0, LEN);
    touch(handle, 0, sys::DEVMAP_READ).unwrap();
    handles()[0].invalidate().unwrap();
    assert_eq!(loaded(handle), 0);
    assert_eq!(touch(handle, 0, sys::DEVMAP_READ), Err(sys::EIO));
    handles()[0].validate();
    assert_eq!(touch(handle, 0, sys::DEVMAP_READ), Ok(()));
}

#[test]
fn remap_points_at_other_memory_and_keeps_it() {
    let (_kernel, dev) = probe();
    let handle = map(dev, 0, 4 * PAGE as i64);
    touch(handle, 0, sys::DEVMAP_READ).unwrap();
    let other = Umem::new(&cx(), Kind::Locked, 6 * PAGE).unwrap();
    handles()[0].remap(&other, 2 * PAGE as u64).unwrap();
    assert_eq!(loaded(handle), 0, "what was loaded of the old memory is gone");
    let before = kernel().umems.len();
    drop(other);
    assert_eq!(kernel().umems.len(), before, "mapped memory stays");
    mock::unmap(handle);
    assert_eq!(kernel().umems.len(), before - 1, "and goes with the mapping");
}

#[test]
fn remap_to_trash_and_to_registers() {
    let (_kernel, dev) = probe();
    let handle = map(dev, 0, 4 * PAGE as i64);
    handles()[0].remap(Umem::new(&cx(), Kind::Trash, 4 * PAGE).unwrap(), 0).unwrap();
    assert_eq!(touch(handle, 0, sys::DEVMAP_READ), Ok(()));
    let without_driver = kernel().umems.values().filter(|umem| umem.base == 0).count();
    assert_eq!(without_driver, 1);
}

#[test]
fn fork_copies_and_the_child_starts_without_translations() {
    let (_kernel, dev) = probe();
    let parent = map(dev, 0, LEN);
    touch(parent, 0, sys::DEVMAP_READ).unwrap();
    events();
    let child = mock::fork(&[parent]).unwrap()[0];
    assert_eq!(events(), ["dup m0x0"]);
    assert_eq!((loaded(parent), loaded(child)), (1, 0));
    touch(child, PAGE as i64, sys::DEVMAP_READ).unwrap();
    assert_eq!(events(), ["access m0x0' 0x1000 r"]);
    assert!(handles()[1].is_live());
    mock::unmap(parent);
    assert!(!handles()[0].is_live() && handles()[1].is_live());
    assert_eq!(touch(child, 0, sys::DEVMAP_READ), Ok(()));
}

#[test]
fn a_refused_fork_leaves_nothing() {
    let (_kernel, dev) = probe();
    let parent = map(dev, 0, LEN);
    set(Plan { dup: Some(Errno::EAGAIN), ..Plan::default() });
    assert_eq!(mock::fork(&[parent]), Err(sys::EAGAIN));
    assert_eq!((LIVE.load(SeqCst), mappings().len()), (1, 1));
    set(Plan::default());
    let two = map(dev, 0, LEN);
    let children = mock::fork(&[parent, two]).unwrap();
    assert_eq!((children.len(), LIVE.load(SeqCst)), (2, 4));
}

#[test]
fn head_tail_and_middle() {
    let (_kernel, dev) = probe();
    behave(Behaviour::LoadAll);
    let handle = map(dev, 0, LEN);
    touch(handle, 0, sys::DEVMAP_READ).unwrap();
    events();
    assert_eq!(mock::cut(handle, 0, PAGE), None);
    assert_eq!(mock::cut(handle, 6 * PAGE, PAGE), None);
    let ours = handles()[0].clone();
    assert_eq!((ours.offset(), ours.len()), (PAGE as u64, 6 * PAGE));
    let rest = mock::cut(handle, 2 * PAGE, PAGE).unwrap();
    assert_eq!(
        events(),
        ["unmap m0x0 head 0x0+0x1000", "unmap m0x0 tail 0x7000+0x1000", "unmap m0x0 middle 0x3000+0x1000"]
    );
    let behind = handles()[1].clone();
    assert_eq!((ours.offset(), ours.len()), (PAGE as u64, 2 * PAGE));
    assert_eq!((behind.offset(), behind.len()), (4 * PAGE as u64, 3 * PAGE));
    assert_eq!((loaded(handle), loaded(rest)), (2, 3), "what stays keeps its translations");
    behind.unload().unwrap();
    assert_eq!((loaded(handle), loaded(rest)), (2, 0));
    touch(rest, 5 * PAGE as i64, sys::DEVMAP_READ).unwrap();
    assert_eq!(events(), ["access m0x0/ 0x5000 r"], "the part behind has data of its own");
    mock::unmap(handle);
    assert!(!ours.is_live() && behind.is_live());
    assert_eq!((LIVE.load(SeqCst), mappings().len()), (1, 1));
}

#[test]
fn an_unload_that_meets_a_cut_under_way_takes_what_stays() {
    // The framework has cut the head off, but the driver does not know yet.
    let (_kernel, dev) = probe();
    behave(Behaviour::LoadAll);
    let handle = map(dev, 0, LEN);
    touch(handle, 0, sys::DEVMAP_READ).unwrap();
    for gone in [3, 5, 7] {
        let before = kernel().handles[&handle].clone();
        {
            let mut kernel = kernel();
            let state = kernel.handles.get_mut(&handle).unwrap();
            state.off += gone * PAGE as i64;
            state.len -= gone as usize * PAGE;
            let from = state.off;
            state.loaded.retain(|page| *page >= from);
        }
        handles()[0].unload().unwrap();
        assert_eq!(loaded(handle), 0, "{gone} pages cut");
        kernel().handles.insert(handle, before);
        touch(handle, 0, sys::DEVMAP_READ).unwrap();
    }
}

#[test]
fn a_cut_unloads_what_a_racing_unload_missed() {
    let (_kernel, dev) = probe();
    behave(Behaviour::LoadAll);
    let handle = map(dev, 0, LEN);
    touch(handle, 0, sys::DEVMAP_READ).unwrap();
    handles()[0].unload().unwrap();
    // As if the unload had come when the part behind was a mapping already that nobody knew.
    kernel().handles.get_mut(&handle).unwrap().loaded.insert(7 * PAGE as i64);
    let rest = mock::cut(handle, 2 * PAGE, PAGE).unwrap();
    assert_eq!(loaded(rest), 0);
}

#[test]
fn handles_outlive_their_mappings() {
    let (_kernel, dev) = probe();
    let handle = map(dev, 0, LEN);
    mock::unmap(handle);
    let gone = &handles()[0];
    gone.unload().unwrap();
    gone.unload_range(0, PAGE).unwrap();
    let error = gone.remap(Umem::new(&cx(), Kind::Trash, 8 * PAGE).unwrap(), 0).unwrap_err();
    assert_eq!(error.errno(), Errno::ESTALE);
}

#[test]
fn handles_outlive_their_instance() {
    let (mut booted, dev) = probe();
    let whole = map(dev, 0, LEN);
    let child = mock::fork(&[whole]).unwrap()[0];
    touch(child, 0, sys::DEVMAP_READ).unwrap();
    [whole, child].iter().for_each(|handle| mock::unmap(*handle));
    assert!(booted.detach(dev));
    forget_mappings();
    for gone in handles() {
        assert!(!gone.is_live());
        gone.unload().unwrap();
        assert_eq!(gone.invalidate().map_err(|error| error.errno()), Ok(()));
        assert_eq!(gone.len(), LEN as usize);
    }
}

/// A mapping to which the framework alone refers: what is done to it then takes fewer locks, and leaves as little.
#[test]
fn mappings_that_nobody_else_refers_to() {
    let (_kernel, dev) = probe();
    for access in [Behaviour::Load, Behaviour::Switch] {
        set(Plan { access, keep_no_handles: true, ..Plan::default() });
        let whole = map(dev, 0, LEN);
        touch(whole, 0, sys::DEVMAP_READ).unwrap();
        let child = mock::fork(&[whole]).unwrap()[0];
        touch(child, PAGE as i64, sys::DEVMAP_READ).unwrap();
        let rest = mock::cut(whole, 2 * PAGE, PAGE).unwrap();
        assert!(mock::cut(rest, 0, PAGE).is_none());
        assert!(mock::cut(rest, 3 * PAGE, PAGE).is_none());
        for (handle, page) in [(whole, 1), (rest, 4), (rest, 6), (child, 7)] {
            touch(handle, page * PAGE as i64, sys::DEVMAP_READ).unwrap();
        }
        assert_eq!((mappings().len(), LIVE.load(SeqCst)), (3, 3));
        mappings().revoke_all().unwrap();
        assert!([whole, rest, child].iter().all(|handle| loaded(*handle) == 0));
        set(Plan { dup: Some(Errno::ENOMEM), ..Plan { access, keep_no_handles: true, ..Plan::default() } });
        assert_eq!(mock::fork(&[whole]), Err(sys::ENOMEM));
        [whole, rest, child].iter().for_each(|handle| mock::unmap(*handle));
        assert_eq!((mappings().len(), LIVE.load(SeqCst), handles().len()), (0, 0, 0));
    }
}

#[test]
fn a_page_is_loaded_if_the_mapping_shows_it() {
    let (_kernel, dev) = probe();
    behave(Behaviour::LoadOf);
    let handle = map(dev, 0, LEN);
    assert_eq!(touch(handle, PAGE as i64, sys::DEVMAP_READ), Ok(()));
    assert_eq!(loaded(handle), 1);
    let refused = |handle: usize| {
        let before = loaded(handle);
        assert_eq!(touch(handle, 2 * PAGE as i64, sys::DEVMAP_READ), Err(sys::ENOENT));
        assert_eq!(loaded(handle), before);
    };
    // Somebody has changed something meanwhile.
    CHANGED.store(true, SeqCst);
    refused(handle);
    CHANGED.store(false, SeqCst);
    // Other memory, the same from elsewhere on, and accesses that are refused.
    let ours = &handles()[0];
    let other = Umem::new(&cx(), Kind::Locked, LEN as usize).unwrap();
    ours.remap(&other, 0).unwrap();
    refused(handle);
    let moved = map(dev, 4 * PAGE as i64, 2 * PAGE as i64);
    assert_eq!(touch(moved, 5 * PAGE as i64, sys::DEVMAP_READ), Ok(()));
    handles()[1].invalidate().unwrap();
    assert_eq!(touch(moved, 5 * PAGE as i64, sys::DEVMAP_READ), Err(sys::ENOENT));
    handles()[1].validate();
    assert_eq!(touch(moved, 5 * PAGE as i64, sys::DEVMAP_READ), Ok(()));
}

#[test]
fn unload_while_mappings_come_and_go() {
    let (_kernel, dev) = probe();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let revoker = scope.spawn(|| {
            while !stop.load(SeqCst) {
                mappings().revoke_all().unwrap();
            }
        });
        for _ in 0..crate::rounds(200) {
            // One thread makes mappings: `map` finds the new handle by comparing.
            let handle = map(dev, 0, LEN);
            touch(handle, 0, sys::DEVMAP_READ).unwrap();
            mock::unmap(handle);
        }
        stop.store(true, SeqCst);
        revoker.join().unwrap();
    });
}

#[test]
fn parts_only_when_asked_for() {
    let (_kernel, dev) = probe();
    set(Plan { parts: Some(3), ..Plan::default() });
    events();
    let made = mmap(dev, 0, LEN, RW, SHARED).unwrap();
    assert_eq!(made.len(), 3);
    let events = events();
    assert_eq!(events.len(), 5);
    assert_eq!(events[2], "after m0x0");
    assert_eq!(events[4], "after m0x3000");
}

#[test]
fn without_access_the_framework_loads() {
    let (_kernel, dev) = probe();
    set(Plan { without_access: true, ..Plan::default() });
    let handle = map(dev, 0, LEN);
    touch(handle, 0, sys::DEVMAP_READ).unwrap();
    assert!(!events().iter().any(|event| event.starts_with("access")));
    handles()[0].unload().unwrap();
    assert_eq!(loaded(handle), 0, "the driver can unload what the framework loaded");
    assert_eq!(handles()[0].invalidate().unwrap_err().errno(), Errno::ENOTSUP);
    assert_eq!(mmap(dev, 0, LEN, RW, PRIVATE), Err(sys::ENXIO));
}

#[test]
fn protections_have_a_most() {
    let (_kernel, dev) = probe();
    set(Plan { max: Some(Protection::READ), ..Plan::default() });
    assert_eq!(mmap(dev, 0, LEN, RW, SHARED), Err(sys::ENXIO));
    assert!(events().last().unwrap().contains("EACCES"));
    let handle = mmap(dev, 0, LEN, sys::PROT_READ, SHARED).unwrap()[0];
    assert_eq!(kernel().handles[&handle].max_protection, sys::PROT_READ | sys::PROT_USER);
}

#[test]
fn memory_is_checked_before_the_framework_is_asked() {
    let (_kernel, dev) = probe();
    for (off, len) in [(0, LEN + PAGE as i64), (6 * PAGE as i64, 3 * PAGE as i64), (1 << 40, PAGE as i64)] {
        if off + len > LEN && off < LEN {
            assert_eq!(mmap(dev, off, len, RW, SHARED), Err(sys::ENXIO));
            let last = events().pop().unwrap();
            assert!(last.contains("devmap_umem_setup(9F)") || last.contains("does not cover"), "{last}");
        }
    }
    assert_eq!(LIVE.load(SeqCst), 0);
}

#[test]
fn a_panic_of_the_driver_leaves_the_rest_usable() {
    let (kernel, dev) = probe();
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let handle = map(dev, 0, LEN);
    behave(Behaviour::Panic);
    let result = std::panic::catch_unwind(|| touch(handle, 0, sys::DEVMAP_READ));
    assert!(result.is_err());
    behave(Behaviour::Switch);
    assert_eq!(touch(handle, 0, sys::DEVMAP_READ), Ok(()));
    set(Plan { panic_in_unmap: true, ..Plan::default() });
    let result = std::panic::catch_unwind(|| mock::cut(handle, 0, PAGE));
    assert!(result.is_err());
    assert!(!handles()[0].is_live(), "a mapping whose private data is lost is not touched again");
    driver::set(Plan::default());
    std::panic::set_hook(quiet);
    mock::kernel().handles.clear();
    drop(kernel);
}
