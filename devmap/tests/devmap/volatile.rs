//! Memory that others change: values of all widths and byte orders, structures, atomics, and what lies outside.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use devmap::endian::{Be, Le};
use devmap::umem::{Kind, Umem};
use devmap::{Errno, Volatile};

use crate::driver::{boot, cx};
use crate::mock::PAGE;

devmap::plain! {
    struct Descriptor { address: Le<u64>, len: Be<u32>, flags: u32 }
}

fn bytes(memory: &Volatile, offset: u64, count: usize) -> Vec<u8> {
    let mut bytes = vec![0_u8; count];
    memory.read_into(offset, &mut bytes).unwrap();
    bytes
}

#[test]
fn values_of_all_widths_lie_as_the_processor_has_them() {
    let _kernel = boot();
    let memory = Umem::new(&cx(), Kind::Locked, PAGE).unwrap();
    memory.write(0, 0x11_u8).unwrap();
    memory.write(2, -2_i16).unwrap();
    memory.write(4, 0x2233_4455_u32).unwrap();
    memory.write(8, -1_i64).unwrap();
    assert_eq!(bytes(&memory, 0, 12), [0x11, 0, 0xfe, 0xff, 0x55, 0x44, 0x33, 0x22, 255, 255, 255, 255]);
    assert_eq!((memory.read::<i8>(3), memory.read::<u16>(4)), (Ok(-1), Ok(0x4455)));
    memory.write_from(16, &[1_u32, 2, 3]).unwrap();
    assert_eq!(memory.read::<u64>(16), Ok(2 << 32 | 1));
}

#[test]
fn byte_orders_are_those_of_the_types() {
    let _kernel = boot();
    let memory = Umem::new(&cx(), Kind::Locked, PAGE).unwrap();
    memory.write(0, Le::new(0x0102_0304_u32)).unwrap();
    memory.write(4, Be::from(0x0102_i16)).unwrap();
    assert_eq!(bytes(&memory, 0, 6), [4, 3, 2, 1, 1, 2]);
    assert_eq!(memory.read::<Be<u32>>(0).unwrap().get(), 0x0403_0201);
    let descriptor = Descriptor { address: Le::new(0x10), len: Be::new(0x20), flags: 7 };
    memory.write_plain(16, &descriptor).unwrap();
    assert_eq!(bytes(&memory, 16, 16), [0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 7, 0, 0, 0]);
    let copy: Descriptor = memory.read_plain(16).unwrap();
    assert_eq!((copy, copy.len.get()), (descriptor, 0x20));
    assert_eq!(format!("{copy:?}"), "Descriptor { address: 16, len: 32, flags: 7 }");
}

#[test]
fn atomics_are_the_memory_itself() {
    let _kernel = boot();
    let memory = Umem::new(&cx(), Kind::Locked, PAGE).unwrap();
    let head: &AtomicU32 = memory.atomic(64).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            memory.write(128, 99_u64).unwrap();
            head.store(1, Ordering::Release);
        });
        while head.load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        assert_eq!(memory.read::<u64>(128), Ok(99));
    });
    memory.atomic::<AtomicU64>(0).unwrap().fetch_add(5, Ordering::Relaxed);
    memory.atomic::<AtomicI64>(0).unwrap().fetch_sub(6, Ordering::Relaxed);
    memory.atomic::<AtomicU16>(8).unwrap().store(3, Ordering::Relaxed);
    if cfg!(miri) {
        // It does not bear atomics of two sizes in one place.
        memory.write(9, 1_u8).unwrap();
    } else {
        memory.atomic::<AtomicU8>(9).unwrap().store(1, Ordering::Relaxed);
    }
    assert_eq!((memory.read::<i64>(0), memory.read::<u16>(8)), (Ok(-1), Ok(0x103)));
}

#[test]
fn ranges_are_zeroed_and_copied() {
    let _kernel = boot();
    let (one, two) =
        (Umem::new(&cx(), Kind::Locked, PAGE).unwrap(), Umem::new(&cx(), Kind::Locked, PAGE).unwrap());
    one.write_from(0, &[7_u8; PAGE]).unwrap();
    one.zero(16, 8).unwrap();
    one.zero(33, 2).unwrap();
    assert_eq!(bytes(&one, 14, 12), [7, 7, 0, 0, 0, 0, 0, 0, 0, 0, 7, 7]);
    assert_eq!(bytes(&one, 32, 4), [7, 0, 0, 7]);
    two.copy_from(8, &one, 16, 16).unwrap();
    two.copy_from(1, &one, 32, 3).unwrap();
    assert_eq!(bytes(&two, 0, 26), [&[0, 7, 0, 0][..], &[0; 12], &[7; 8], &[0; 2]].concat());
}

#[test]
fn what_lies_outside_or_askew_is_refused() {
    let _kernel = boot();
    let memory = Umem::new(&cx(), Kind::Locked, PAGE).unwrap();
    let end = PAGE as u64;
    let refused = |result: Result<(), devmap::Error>| {
        let error = result.unwrap_err();
        assert_eq!((error.errno(), error.page()), (Errno::EINVAL, "ddi_umem_alloc(9F)"), "{error}");
    };
    for offset in [end - 3, end, 2, u64::MAX, u64::MAX - 3] {
        refused(memory.read::<u32>(offset).map(|_| ()));
        refused(memory.write(offset, 1_i32));
        refused(memory.atomic::<AtomicU32>(offset).map(|_| ()));
        refused(memory.read_plain::<Descriptor>(offset).map(|_| ()));
        refused(memory.write_from(offset, &[0_u32; 2]));
    }
    refused(memory.zero(end - 7, 8));
    refused(memory.zero(8, usize::MAX));
    refused(memory.copy_from(0, &memory, end - 7, 8));
    assert_eq!(memory.read_into(end, &mut [0_u64; 0]), Ok(()));
    let trash = Umem::new(&cx(), Kind::Trash, PAGE).unwrap();
    assert_eq!(trash.read::<u8>(0).unwrap_err().errno(), Errno::ENOTSUP);
}
