//! DMA: attributes, memory, bindings, what the device and processes share.

use ddi_sys as sys;
use devmap::Protection;
use devmap::access::{ByteOrder, Order};
use devmap::context::Interrupt;
use devmap::dma::{Attributes, Binding, Buffer, BusMaster, Cookie, Direction, Handle, Towards, Transfer};
use devmap::fm::{Capabilities, FaultManagement};
use devmap::pinned::Pins;
use devmap::prelude::*;

use crate::driver::{Probe, attaching, boot, cx, in_ioctl, map_instead, one_register_set};
use crate::mapping::{LEN, RW, SHARED, map};
use crate::mock::{self, PAGE, dma, kernel, mmap};

/// Does something in attach of a device that does DMA.
fn with_master(what: impl FnOnce(&Attach<'_>, &BusMaster) + Send + 'static) {
    let mut booted = boot();
    attaching(move |attach| what(attach, &BusMaster::new::<Probe>(attach)));
    booted.attach(one_register_set()).expect("attach");
}

fn refused<T>(result: Result<T, devmap::Error>) -> Errno {
    result.err().expect("an error").errno()
}

#[test]
fn attributes_are_the_devices() {
    with_master(|attach, master| {
        let all = Attributes::bits32()
            .first(0x1000)
            .aligned(64)
            .segments(17)
            .segment_len(0x8000)
            .boundary(0xffff)
            .transfer_len(0x10_0000)
            .granularity(512)
            .bursts(0x78, 8)
            .relaxed();
        let _one = Handle::new(attach, master, &all).unwrap();
        let attributes = |lowest: bool| {
            dma::with(|dma| {
                let mut all = dma.handles.iter();
                let (_, handle) = all.find(|(_, h)| (h.attributes.dma_attr_addr_lo == 0) != lowest).unwrap();
                handle.attributes
            })
        };
        let a = attributes(true);
        assert_eq!((a.dma_attr_version, a.dma_attr_addr_lo, a.dma_attr_addr_hi), (0, 0x1000, 0xffff_ffff));
        assert_eq!((a.dma_attr_count_max, a.dma_attr_align, a.dma_attr_sgllen), (0x7fff, 64, 17));
        assert_eq!((a.dma_attr_seg, a.dma_attr_maxxfer, a.dma_attr_granular), (0xffff, 0x10_0000, 512));
        assert_eq!((a.dma_attr_burstsizes, a.dma_attr_minxfer), (0x78, 8));
        assert_eq!(a.dma_attr_flags, sys::DDI_DMA_RELAXED_ORDERING as u32);
        let _two = Handle::try_new(attach, master, &Attributes::bits64()).unwrap();
        let a = attributes(false);
        assert_eq!((a.dma_attr_addr_hi, a.dma_attr_seg, a.dma_attr_sgllen), (u64::MAX, u64::MAX, 1));
        assert_eq!(refused(Handle::new(attach, master, &all.clone().aligned(3))), Errno::EINVAL);
        assert_eq!(refused(Handle::new(attach, master, &all.segments(0))), Errno::EINVAL);
        kernel().refuse.insert("ddi_dma_alloc_handle", 0);
        assert_eq!(refused(Handle::try_new(attach, master, &Attributes::bits64())), Errno::ENOMEM);
        kernel().refuse.clear();
    });
}

/// Whatever is dropped first.
#[test]
fn memory_outlives_its_bindings_and_handles_their_memory() {
    with_master(|attach, master| {
        let attributes = Attributes::bits64();
        let handle = Handle::new(attach, master, &attributes).unwrap();
        let buffer = Buffer::new(attach, &handle, 100).unwrap();
        assert_eq!((buffer.len(), buffer.read::<u64>(96)), (128, Ok(0)), "what there is, all zero");
        buffer.write(8, 7_u32).unwrap();
        let bound = handle.bind(attach, buffer, Transfer::coherent(Direction::Both)).unwrap();
        drop(handle);
        assert_eq!(bound.bound_len(), 128);
        assert_eq!(bound.read::<u32>(8), Ok(7));
        let one = bound.cookies().next().unwrap();
        assert_eq!((Ok(one.address), one.len), (bound.address(), 128));
        let buffer = bound.unbind();
        assert_eq!(buffer.read::<u32>(8), Ok(7));
        drop(buffer);

        // All at once, and freed in any order.
        let (a, b) = (master.coherent(attach, &attributes, 1), master.coherent(attach, &attributes, PAGE));
        drop(a);
        drop(b);
    });
}

#[test]
fn a_handle_has_one_binding() {
    with_master(|attach, master| {
        let handle = Handle::new(attach, master, &Attributes::bits64()).unwrap();
        let other = Handle::new(attach, master, &Attributes::bits64()).unwrap();
        let [a, b] = [&handle, &other].map(|handle| Buffer::new(attach, handle, PAGE).unwrap());
        let to = Transfer::coherent(Direction::ToDevice);
        let bound = handle.bind(attach, a, to).unwrap();
        assert_eq!(refused(handle.bind(attach, b, to)), Errno::EBUSY);
        drop(bound);
        let umem = Umem::new(attach, Kind::Locked, PAGE).unwrap();
        assert_eq!(handle.bind(attach, umem.clone(), to).unwrap().cookies().len(), 1);
        assert_eq!(handle.bind(attach, umem, to).unwrap().bound_len(), PAGE);
    });
}

#[test]
fn a_binding_says_what_it_is_for() {
    with_master(|attach, master| {
        let handle = Handle::new(attach, master, &Attributes::bits64()).unwrap();
        let umem = Umem::new(attach, Kind::Locked, 4 * PAGE).unwrap();
        let flags = || dma::with(|dma| dma.handles.values().find_map(|h| Some(h.bound.as_ref()?.flags)));
        for (transfer, expected) in [
            (Transfer::coherent(Direction::ToDevice), sys::DDI_DMA_WRITE | sys::DDI_DMA_CONSISTENT),
            (Transfer::streaming(Direction::FromDevice), sys::DDI_DMA_READ as u32 | sys::DDI_DMA_STREAMING),
            (
                Transfer::coherent(Direction::Both).windows(),
                sys::DDI_DMA_RDWR | sys::DDI_DMA_CONSISTENT | sys::DDI_DMA_PARTIAL as u32,
            ),
        ] {
            let _bound = handle.bind(attach, umem.clone(), transfer).unwrap();
            assert_eq!(flags(), Some(expected));
        }
        let part = Transfer::coherent(Direction::Both).part(100, 50);
        let bound = handle.bind(attach, umem.clone(), part).unwrap();
        let start = kernel().umems.values().find(|umem| umem.len == 4 * PAGE).unwrap().base as u64;
        assert_eq!(bound.cookies().collect::<Vec<_>>(), [Cookie { address: start + 100, len: 50 }]);
        drop(bound);
        for (offset, len) in [(0, 0), (1, 4 * PAGE), (4 * PAGE as u64, 1), (u64::MAX, 1), (8, usize::MAX)] {
            let transfer = Transfer::coherent(Direction::Both).part(offset, len);
            assert_eq!(refused(handle.bind(attach, umem.clone(), transfer)), Errno::EINVAL);
        }
    });
}

#[test]
fn memory_in_pieces_and_windows() {
    with_master(|attach, master| {
        dma::with(|dma| dma.scattered = true);
        let umem = Umem::new(attach, Kind::Locked, 5 * PAGE).unwrap();
        let transfer = Transfer::coherent(Direction::Both);
        let two = Handle::new(attach, master, &Attributes::bits64().segments(2)).unwrap();
        assert_eq!(refused(two.bind(attach, umem.clone(), transfer)), Errno::ERANGE);
        let eight = Handle::new(attach, master, &Attributes::bits64().segments(8)).unwrap();
        let bound = eight.bind(attach, umem.clone(), transfer).unwrap();
        let all: Vec<Cookie> = bound.cookies().collect();
        assert_eq!(all.len(), 5);
        assert_eq!(bound.cookies().collect::<Vec<_>>(), all, "again and again");
        assert!(all.iter().all(|cookie| cookie.len == PAGE as u64));
        assert_eq!(refused(bound.address()), Errno::ERANGE);
        assert_eq!((bound.windows(), bound.window()), (1, (0, 5 * PAGE)));
        // What follows a byte, to the end of its piece.
        let (page, end) = (PAGE as u64, 5 * PAGE as u64);
        for (offset, cookie, left) in [(0, 0, page), (page - 1, 0, 1), (page, 1, page), (end - 8, 4, 8)] {
            let address = all[cookie].address + offset % page;
            assert_eq!(bound.piece(offset), Ok(Cookie { address, len: left }), "{offset:#x}");
        }
        assert!([end, u64::MAX].into_iter().all(|offset| refused(bound.piece(offset)) == Errno::EINVAL));
        assert!(bound.has(0, end) && bound.has(end, 0) && bound.has(8, end - 8));
        assert!(!bound.has(0, end + 1) && !bound.has(end, 1) && !bound.has(u64::MAX, 2));
        drop(bound);

        let mut bound = two.bind(attach, umem, transfer.windows()).unwrap();
        assert_eq!(bound.windows(), 3);
        let mut seen = Vec::new();
        for window in 0..bound.windows() {
            bound.move_to(attach, window).unwrap();
            let (offset, len) = bound.window();
            assert_eq!(offset, u64::from(window) * 2 * PAGE as u64);
            assert_eq!(bound.cookies().map(|cookie| cookie.len as usize).sum::<usize>(), len);
            assert!(bound.has(offset, len as u64) && !bound.has(offset, len as u64 + 1));
            assert_eq!(
                bound.piece(offset).map(|piece| piece.address),
                Ok(bound.cookies().next().unwrap().address)
            );
            assert_eq!(
                offset.checked_sub(1).map_or(Errno::EINVAL, |before| refused(bound.piece(before))),
                Errno::EINVAL
            );
            seen.extend(bound.cookies());
        }
        assert_eq!(seen, all);
        assert_eq!(refused(bound.move_to(attach, 3)), Errno::EINVAL);
        assert_eq!(bound.cookies().len(), 1, "the last window's");
    });
}

#[test]
fn synchronised_is_what_is_bound() {
    with_master(|attach, master| {
        let bound = master.coherent(attach, &Attributes::bits64(), PAGE).unwrap();
        bound.sync(Towards::Device).unwrap();
        bound.sync_part(Towards::Cpu, 64, 128).unwrap();
        bound.sync_part(Towards::Cpu, 64, 0).unwrap();
        for (offset, len) in [(0, PAGE + 1), (PAGE as u64, 1), (u64::MAX, 2)] {
            assert_eq!(refused(bound.sync_part(Towards::Cpu, offset, len)), Errno::EINVAL);
        }
        let (device, cpu) = (sys::DDI_DMA_SYNC_FORDEV as u32, sys::DDI_DMA_SYNC_FORCPU as u32);
        dma::with(|dma| assert_eq!(dma.syncs, [(0, PAGE, device), (64, 128, cpu)]));
    });
}

#[test]
fn what_the_device_does_not_reach_or_the_system_has_not_is_an_error() {
    with_master(|attach, master| {
        let near = Handle::new(attach, master, &Attributes::new(0xffff)).unwrap();
        let far = Handle::new(attach, master, &Attributes::bits64()).unwrap();
        let umem = Umem::new(attach, Kind::Locked, PAGE).unwrap();
        let transfer = Transfer::coherent(Direction::Both);
        assert_eq!(refused(near.bind(attach, umem.clone(), transfer)), Errno::EFAULT);
        for kind in [Kind::Pageable, Kind::Trash] {
            let other = Umem::new(attach, kind, PAGE).unwrap();
            assert_eq!(refused(far.bind(attach, other, transfer)), Errno::ENOTSUP);
        }
        assert_eq!(refused(Buffer::new(attach, &far, 0)), Errno::EINVAL);
        kernel().refuse.insert("ddi_dma_mem_alloc", 0);
        assert_eq!(refused(Buffer::new(attach, &far, 1)), Errno::ENOMEM);
        assert_eq!(refused(Buffer::try_new(attach, &far, 1)), Errno::ENOMEM);
        kernel().refuse.insert("ddi_dma_bind", 0);
        assert_eq!(refused(far.bind(attach, umem.clone(), transfer)), Errno::ENOMEM);
        kernel().refuse.clear();
        far.bind(attach, umem, transfer).unwrap();
        let swapped = devmap::access::Attributes::new(Order::Unordered).byte_order(ByteOrder::Big);
        let buffer = Buffer::streaming(attach, &far, 64, swapped).unwrap();
        far.bind(attach, buffer, Transfer::streaming(Direction::FromDevice)).unwrap();
    });
}

#[test]
fn an_interrupt_binds_without_sleeping() {
    with_master(|attach, master| {
        let handle = Handle::new(attach, master, &Attributes::bits64()).unwrap();
        let buffer = Buffer::new(attach, &handle, PAGE).unwrap();
        kernel().interrupt = true;
        // SAFETY: what this is from here on, for the mock.
        let cx = unsafe { Interrupt::assume() };
        let mut bound = handle.try_bind(&cx, buffer, Transfer::coherent(Direction::Both)).unwrap();
        bound.move_to(&cx, 0).unwrap();
        bound.sync(Towards::Cpu).unwrap();
        let buffer = bound.unbind();
        kernel().refuse.insert("kmem_alloc", 0);
        let _ = handle.try_bind(&cx, buffer, Transfer::coherent(Direction::Both));
        kernel().interrupt = false;
        kernel().refuse.clear();
    });
}

#[test]
fn errors_of_a_transfer_are_told_if_the_system_can() {
    let mut booted = boot();
    kernel().fm_capable = 0xf;
    attaching(|attach| {
        let fm = FaultManagement::new(attach, Capabilities::DMA);
        let master = BusMaster::new::<Probe>(attach);
        let plain = master.coherent(attach, &Attributes::bits64(), 64).unwrap();
        plain.check().unwrap();
        let flagged = master.coherent(attach, &Attributes::bits64().flag_errors(&fm), 64).unwrap();
        flagged.check().unwrap();
        dma::with(|dma| dma.handles.values_mut().for_each(|handle| handle.failed = true));
        assert_eq!(refused(flagged.check()), Errno::EIO);
        flagged.check().unwrap();
        plain.check().unwrap();
    });
    booted.attach(one_register_set()).expect("attach");
}

type Frames = Binding<Umem>;

/// The device writes, processes read the same bytes, without a copy. The memory goes when the last of all has gone.
#[test]
fn processes_map_what_the_device_fills() {
    let mut booted = boot();
    let (sender, receiver) = std::sync::mpsc::channel::<Frames>();
    attaching(move |attach| {
        let master = BusMaster::new::<Probe>(attach);
        let frames = master.shared(attach, &Attributes::bits64(), LEN as usize).unwrap();
        sender.send(frames).unwrap();
        // The device would not see what processes see.
        for bad in
            [Attributes::bits32(), Attributes::bits64().aligned(1 << 20), Attributes::bits64().first(1)]
        {
            assert_eq!(refused(master.shared(attach, &bad, PAGE)), Errno::ENOTSUP);
        }
    });
    let dev = booted.attach(one_register_set()).expect("attach");
    let frames = receiver.recv().unwrap();
    map_instead(&frames);
    let handle = map(dev, 0, LEN);
    let device = frames.address().unwrap() as *mut u64;
    // SAFETY: the mock's bus addresses are addresses.
    unsafe { device.wrapping_add(1024).write_volatile(42) };
    frames.sync(Towards::Cpu).unwrap();
    assert_eq!(mock::load(handle, 8192), Ok(42));
    mock::store(handle, 8, 7).unwrap();
    // SAFETY: as above.
    assert_eq!(unsafe { device.wrapping_add(1).read_volatile() }, 7);
    drop(frames);
    assert_eq!(mock::load(handle, 8192), Ok(42), "memory that is mapped stays");
    mock::unmap(handle);
    assert!(mmap(dev, 0, LEN, RW, SHARED).is_ok());
}

/// The process's own memory; it cannot go before the transfer has ended.
#[test]
fn pinned_memory_is_bound_without_a_copy() {
    let mut booted = boot();
    let (sender, receiver) = std::sync::mpsc::channel();
    attaching(move |attach| {
        let master = BusMaster::new::<Probe>(attach);
        let handle = Handle::new(attach, &master, &Attributes::bits64()).unwrap();
        sender.send((Pins::new(attach).unwrap(), handle)).unwrap();
    });
    let dev = booted.attach(one_register_set()).expect("attach");
    let (pins, handle) = receiver.recv().unwrap();
    let memory = crate::pinned::Pages::new(2);
    let at = memory.address();
    in_ioctl(dev, move |argument| {
        let user = pins.lock(argument, at, 2 * PAGE, Protection::READ, |_| ()).unwrap();
        let from = Transfer::streaming(Direction::FromDevice);
        assert_eq!(refused(handle.bind(argument, user, from)), Errno::EACCES);
        let user = pins.lock(argument, at, 2 * PAGE, Protection::WRITE, |_| ()).unwrap();
        let bound = handle.bind(argument, user.clone(), from.part(64, PAGE)).unwrap();
        drop(user);
        assert_eq!(bound.address(), Ok(at + 64));
        while mock::work::run_task() {}
        assert_eq!(kernel().pins.len(), 1, "the one that is bound");
        kernel().refuse.insert("ddi_umem_iosetup", 0);
        assert_eq!(refused(handle.bind(&cx(), bound.clone(), from)), Errno::ENOMEM);
        kernel().refuse.clear();
        drop(bound);
    });
    while mock::work::run_task() {}
    assert!(kernel().pins.is_empty());
}
