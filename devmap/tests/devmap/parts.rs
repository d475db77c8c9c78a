//! The parts that a driver is made of: locks, memory, registers, counters, timeouts, messages.

use std::alloc::{GlobalAlloc, Layout};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use devmap::kmem::{KmemAllocator, try_box, try_push, try_words};
use devmap::sync::{Condvar, Mutex, RwLock};
use devmap::text::Text;
use devmap::time::ticks;
use devmap::umem::{Kind, Umem};
use devmap::{Errno, Limit};

use crate::driver::{boot, cx, with_node};
use crate::mock::{self, PAGE, kernel};

#[test]
fn mutex_excludes_and_moves() {
    let _kernel = boot();
    let counter = Mutex::new(0_u64);
    let counter = Arc::new(counter); // moved after it was made
    let each = crate::rounds(500);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..each).for_each(|_| *counter.lock() += 1));
        }
    });
    assert_eq!(*counter.lock(), 4 * each as u64);
    let guard = counter.lock();
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(counter.try_lock().is_none()));
    });
    drop(guard);
    assert_eq!(Arc::into_inner(counter).unwrap().into_inner(), 4 * each as u64);
}

#[test]
fn condvar_wakes_times_out_and_is_interrupted() {
    let _kernel = boot();
    let (ready, condvar) = (Mutex::new(false), Condvar::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            *ready.lock() = true;
            condvar.notify_all();
        });
        let mut guard = ready.lock();
        while !*guard {
            let _ = condvar.wait_for(&cx(), &mut guard, Duration::from_secs(1));
        }
    });
    let mut guard = ready.lock();
    assert_eq!(condvar.wait_for(&cx(), &mut guard, Duration::from_millis(1)), Err(Errno::ETIMEDOUT));
    assert_eq!(condvar.wait_sig(&cx(), &mut guard), Err(Errno::EINTR));
    assert_eq!(condvar.wait_for_sig(&cx(), &mut guard, Duration::from_millis(1)), Err(Errno::ETIMEDOUT));
    assert_eq!(condvar.wait_for_sig(&cx(), &mut guard, Duration::from_millis(50)), Err(Errno::EINTR));
}

#[test]
fn rwlock_shares_and_excludes() {
    let _kernel = boot();
    let lock = RwLock::new(1);
    {
        let one = lock.read();
        let two = lock.try_read().unwrap();
        assert_eq!(*one + *two, 2);
        assert!(lock.try_write().is_none());
    }
    let mut writer = lock.write();
    *writer = 5;
    assert!(lock.try_read().is_none());
    let reader = writer.downgrade();
    assert_eq!((*reader, lock.try_read().is_some()), (5, true));
    let other = lock.read();
    let reader = reader.try_upgrade().err().unwrap();
    drop(other);
    let mut writer = reader.try_upgrade().ok().unwrap();
    *writer = 6;
    assert!(lock.try_read().is_none());
    drop(writer);
    assert!(lock.try_write().is_some());
}

#[test]
fn kmem_meets_every_alignment_and_gives_back_the_very_size() {
    let _kernel = boot();
    for size in [1, 7, 8, 100, 5000] {
        for align in [1, 2, 4, 8, 16, 64, 4096] {
            let layout = Layout::from_size_align(size, align).unwrap();
            // SAFETY: a size that is not 0.
            let memory = unsafe { KmemAllocator.alloc(layout) };
            assert_eq!(memory.expose_provenance() % align, 0, "{layout:?}");
            // SAFETY: so many bytes were allocated.
            unsafe { memory.write_bytes(0xab, size) };
            // SAFETY: allocated with this layout. The mock checks pointer and size.
            unsafe { KmemAllocator.dealloc(memory, layout) };
        }
    }
}

#[test]
fn kmem_refuses_rather_than_waiting_where_it_must_not_wait() {
    let _kernel = boot();
    let layout = Layout::from_size_align(64, 8).unwrap();
    kernel().interrupt = true;
    kernel().refuse.insert("kmem_alloc", 0);
    // SAFETY: a size that is not 0.
    assert!(unsafe { KmemAllocator.alloc_zeroed(layout) }.is_null());
    kernel().interrupt = false;
    kernel().refuse.clear();
    for size in [KmemAllocator::LARGEST + 1, isize::MAX as usize - 4095] {
        let huge = Layout::from_size_align(size, 1).unwrap();
        // SAFETY: a size that is not 0.
        assert!(unsafe { KmemAllocator.alloc(huge) }.is_null(), "a size that would be waited for for ever");
        // SAFETY: as above.
        assert!(unsafe { KmemAllocator.alloc_zeroed(huge) }.is_null());
    }
    assert_eq!(*try_box(5).unwrap(), 5);
    assert_eq!(*try_words(3).unwrap(), [0; 3]);
    assert_eq!((try_words(0).unwrap().len(), try_words(usize::MAX).unwrap_err()), (0, Errno::ENOMEM));
    let mut many = Vec::new();
    assert!((0..100).all(|n| try_push(&mut many, n) == Ok(())));
    assert_eq!(many, (0..100).collect::<Vec<_>>());
}

#[test]
fn a_text_is_cut_where_its_room_ends() {
    let mut text = Text::<8>::new();
    write!(text, "{}-{}", 12, 345).unwrap();
    assert_eq!((text.as_bytes(), text.as_c_str(), text.is_cut()), (&b"12-345"[..], c"12-345", false));
    write!(text, "67").unwrap();
    assert_eq!((text.as_bytes(), text.as_c_str(), text.is_cut()), (&b"12-3456"[..], c"12-3456", true));
}

#[test]
fn umem_is_zeroed_checked_and_freed() {
    let _kernel = boot();
    let umem = Umem::new(&cx(), Kind::Locked, 5000).unwrap();
    assert_eq!(umem.len(), 2 * PAGE, "rounded up to pages");
    let mut words = [9_u64; 3];
    umem.read_into(8, &mut words).unwrap();
    assert_eq!(words, [0; 3]);
    umem.write_from(2 * PAGE as u64 - 8, &[7_u64]).unwrap();
    umem.read_into(2 * PAGE as u64 - 8, &mut words[..1]).unwrap();
    assert_eq!(words[0], 7);
    for offset in [2 * PAGE as u64, 2 * PAGE as u64 - 16, 4, u64::MAX, u64::MAX - 7] {
        assert_eq!(umem.read_into(offset, &mut words).unwrap_err().errno(), Errno::EINVAL, "{offset:#x}");
    }
    let other = umem.clone();
    drop(umem);
    assert_eq!(kernel().umems.len(), 1);
    drop(other);
    assert!(kernel().umems.is_empty());
    for len in [0, usize::MAX, usize::MAX - 4095, isize::MAX as usize + 1] {
        assert_eq!(Umem::new(&cx(), Kind::Locked, len).err().unwrap().errno(), Errno::EINVAL, "{len:#x}");
    }
    kernel().refuse.insert("ddi_umem_alloc", 0);
    assert_eq!(Umem::try_new(Kind::Pageable, PAGE).err().unwrap().errno(), Errno::ENOMEM);
}

#[test]
fn trash_cannot_be_looked_into() {
    let _kernel = boot();
    let trash = Umem::new(&cx(), Kind::Trash, PAGE).unwrap();
    assert_eq!(trash.read_into(0, &mut [0_u64]).unwrap_err().errno(), Errno::ENOTSUP);
}

devmap::counters! {
    struct Two { apples, pears }
}

/// The parts that need a node.
#[test]
fn registers_properties_and_counters() {
    use devmap::prelude::*;

    let _kernel = with_node(|node| {
        let registers = Registers::map(node, 0, Order::Strict).unwrap();
        assert_eq!(registers.len(), 4 * PAGE as u64);
        registers.write(8, 0x1122_3344_u32).unwrap();
        assert_eq!(registers.read::<u8>(8), Ok(0x44));
        assert_eq!(registers.read::<u16>(10), Ok(0x1122));
        registers.write_from(16, &[1_u64, 2]).unwrap();
        let mut words = [0_u64; 2];
        registers.read_into(16, &mut words).unwrap();
        assert_eq!(words, [1, 2]);
        let end = registers.len();
        for offset in [end, end - 3, 2, u64::MAX] {
            assert_eq!(registers.read::<u32>(offset).unwrap_err().errno(), Errno::EINVAL, "{offset:#x}");
        }
        assert_eq!(Registers::map(node, 1, Order::Strict).err().unwrap().errno(), Errno::ENXIO);

        assert_eq!((node.property("answer", 0), node.property("nothing", 3)), (42, 3));
        assert_eq!(node.unsigned_property("answer", 0).unwrap(), 42);
        assert!(node.has_property("answer") && !node.has_property("nothing"));
        assert_eq!((node.node_name(), node.binding_name()), (c"display", c"pci1af4,1110"));
        assert_eq!(node.string_property("label"), None);

        let two = Two::new(node, "fruit").unwrap();
        two.apples().add(3);
        two.pears().set(9);
        two.pears().sub(1);
        two.pears().replace(8, 10);
        two.pears().replace(8, 11);
        assert_eq!(mock::kstats::kstat("probe:0:fruit"), [("apples".into(), 3), ("pears".into(), 10)]);
        assert_eq!(two.iter().collect::<Vec<_>>(), [("apples", 3), ("pears", 10)]);
        assert_eq!((two.values(), two.to_string()), ([3, 10], "apples 3 pears 10".to_owned()));
        assert_eq!(Two::new(node, "fruit").err().unwrap().errno(), Errno::ENOMEM, "the name is taken");
        drop(two);
        assert!(kernel().kstats.is_empty());
    });
}

#[test]
fn ticks_round_up_and_do_not_overflow() {
    let _kernel = boot();
    let of = |micros| ticks(Duration::from_micros(micros));
    assert_eq!((of(0), of(1), of(10_000), of(10_001)), (0, 1, 1, 2));
    assert!(ticks(Duration::MAX) > 0);
}

#[test]
fn messages_are_strings_and_are_cut() {
    let _kernel = boot();
    devmap::note!("{} %s {:#x}", "plain", 255);
    devmap::warn!("{}", "x".repeat(1000));
    devmap::log_only!("quiet");
    assert!(!devmap::log::in_panic());
    let log = kernel().log.clone();
    assert_eq!(log[0], "1 plain %s 0xff");
    assert_eq!(log[1], format!("2 {}", "x".repeat(240)));
    assert_eq!(log[2], "1 quiet");
}

#[test]
fn a_limit_gives_back() {
    let limit = Limit::new(2);
    let (one, two) = (limit.take(), limit.take());
    assert!(one.is_some() && two.is_some() && limit.take().is_none());
    drop(one);
    assert!(limit.take().is_some());
    limit.set(0);
    assert!(limit.take().is_some());
    assert_eq!(limit.taken(), 1);
}

#[test]
fn errors_say_where_to_read() {
    let _kernel = boot();
    let error = Umem::new(&cx(), Kind::Locked, 0).err().unwrap();
    assert_eq!(error.to_string(), "ddi_umem_alloc(9F): no such length: EINVAL (22)");
    assert_eq!((Errno::EAGAIN.raw(), Errno::ENOTSUP.raw(), Errno::ETIMEDOUT.raw()), (11, 48, 145));
    assert_eq!((Errno::new(0), Errno::new(-1), Errno::new(4096)), (None, None, None));
    let known = [
        (Errno::EPERM, "EPERM"),
        (Errno::EIO, "EIO"),
        (Errno::EALREADY, "EALREADY"),
        (Errno::ESTALE, "ESTALE"),
    ];
    known.iter().for_each(|(errno, name)| assert_eq!(errno.name(), *name));
    assert_eq!(Errno::new(100).map(Errno::name), Some("errno"));
}
