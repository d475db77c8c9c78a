//! ioctl: data models, structures with twins, slices, offsets, addresses in structures, strings.

use ddi_sys as sys;
use devmap::argument::Model;
use devmap::plain::{Plain, Pointer};
use devmap::{Errno, plain};

use crate::desk::{desk, ioctl};
use crate::mock::{self, PAGE, kernel};

const NATIVE: i32 = sys::FREAD | sys::DATAMODEL_LP64 as i32;
const ILP32: i32 = sys::FREAD | sys::DATAMODEL_ILP32 as i32;

plain! {
    /// As a 64-bit program has it.
    pub struct Order {
        pub what: Pointer,
        pub len: usize,
        pub change: isize,
        pub serial: u64,
        pub sizes: [usize; 2],
    }

    /// The same for all.
    pub struct Same {
        pub a: u32,
        pub b: u32,
        pub c: u64,
    }
}

/// As a 32-bit program has it, on this processor.
#[repr(C, packed(4))]
#[derive(Clone, Copy, Debug, PartialEq)]
struct Order32 {
    what: u32,
    len: u32,
    change: i32,
    serial: u64,
    sizes: [u32; 2],
}

const ORDER: Order =
    Order { what: Pointer::NULL, len: 7, change: -3, serial: 1 << 40, sizes: [5, u32::MAX as usize] };
const ORDER32: Order32 = Order32 { what: 0, len: 7, change: -3, serial: 1 << 40, sizes: [5, u32::MAX] };

#[test]
fn a_structure_has_a_twin_for_32_bit_programs() {
    assert_eq!(size_of::<<Order as Plain>::Ilp32>(), size_of::<Order32>());
    assert_eq!(size_of::<<Same as Plain>::Ilp32>(), size_of::<Same>());
    let twin = ORDER.to_ilp32().unwrap();
    assert_eq!(Order::from_ilp32(twin), ORDER);
    assert!(Order { len: 1 << 32, ..ORDER }.to_ilp32().is_none(), "it does not fit");
    assert!(Order { change: -1 << 40, ..ORDER }.to_ilp32().is_none());
    assert_eq!(isize::from_ilp32(-1), -1, "with its sign");
}

#[test]
fn values_are_copied_as_the_caller_has_them() {
    let (_kernel, _, open) = desk();
    let (mut native, mut small) = (ORDER, ORDER32);
    let double = |argument: &devmap::Argument<'_>| {
        let mut order: Order = argument.copyin()?;
        (order.len, order.serial) = (order.len * 2, order.serial + 1);
        argument.copyout(&order)?;
        Ok(i32::from(argument.model() == Model::Ilp32))
    };
    let at = (&raw mut native).expose_provenance();
    assert_eq!(ioctl(open, at, NATIVE, move |_, argument| double(argument)), (0, 0));
    assert_eq!((native.len, native.serial), (14, (1 << 40) + 1));
    // A caller of 32 bits is lent an address below 4 GiB: here the structure lies where ours does.
    let at = (&raw mut small).expose_provenance();
    let through = move |_: &_, argument: &devmap::Argument<'_>| {
        let place = argument.at(at);
        let mut order: Order = place.read()?;
        order.len *= 2;
        place.write(&order)?;
        order.len = 1 << 32;
        assert_eq!(place.write(&order), Err(Errno::EOVERFLOW));
        Ok(i32::from(argument.model() == Model::Ilp32))
    };
    assert_eq!(ioctl(open, 0, ILP32, through), (0, 1));
    assert_eq!(small, Order32 { len: 14, ..ORDER32 });
    mock::close(open);
}

#[test]
fn the_argument_of_a_32_bit_caller_is_an_address_of_32_bits() {
    let (_kernel, _, open) = desk();
    let check = |_: &_, argument: &devmap::Argument<'_>| {
        assert_eq!(argument.pointer().address(), 0x8000_1000);
        assert!(!argument.from_kernel() && argument.reads() && !argument.writes());
        Ok(0)
    };
    assert_eq!(ioctl(open, 0xffff_ffff_8000_1000, ILP32, check), (0, 0));
    mock::close(open);
}

#[test]
fn slices_offsets_and_addresses_in_structures() {
    let (_kernel, _, open) = desk();
    let mut values = [1_usize, 2, 3, 4];
    let mut order = Order { what: (&raw mut values).into(), len: 4, ..ORDER };
    let work = |client: &crate::desk::Client, argument: &devmap::Argument<'_>| {
        let order: Order = argument.copyin()?;
        let place = argument.at(order.what);
        let mut some = [0_usize; 2];
        place.offset(8)?.read_into(&mut some)?;
        assert_eq!(some, [2, 3]);
        place.write_from(&[9_usize, 8])?;
        // Kernel memory, which processes may have mapped.
        place.read_into_memory(&client.memory, 16, 32)?;
        client.memory.write_from(40, &[77])?;
        place.offset(24)?.write_from_memory(&client.memory, 40, 8)?;
        let end = 2 * PAGE as u64;
        assert_eq!(place.read_into_memory(&client.memory, end - 8, 16), Err(Errno::EINVAL));
        assert_eq!(place.write_from_memory(&client.memory, end, 1), Err(Errno::EINVAL));
        let nowhere = argument.at(8_usize);
        assert_eq!(nowhere.read::<u32>(), Err(Errno::EFAULT));
        assert_eq!(nowhere.write_from(&[1_u8]), Err(Errno::EFAULT));
        assert_eq!(nowhere.offset(usize::MAX).err(), Some(Errno::EFAULT));
        Ok(0)
    };
    assert_eq!(ioctl(open, (&raw mut order).expose_provenance(), NATIVE, work), (0, 0));
    assert_eq!(values, [9, 8, 3, 77]);
    let mut small = [1_u32, 2, 3];
    let at = (&raw mut small).expose_provenance();
    let work = move |_: &crate::desk::Client, argument: &devmap::Argument<'_>| {
        let mut some = [0_usize; 3];
        argument.at(at).read_into(&mut some)?;
        assert_eq!(some, [1, 2, 3]);
        argument.at(at).write_from(&[7_isize, -1])?;
        assert_eq!(argument.at(at).write_from(&[1_usize << 40]), Err(Errno::EOVERFLOW));
        Ok(0)
    };
    assert_eq!(ioctl(open, 0, ILP32, work), (0, 0));
    assert_eq!(small, [7, u32::MAX, 3]);
    mock::close(open);
}

#[test]
fn strings_have_a_limit_and_end_in_their_page() {
    let (_kernel, _, open) = desk();
    // Three pages, of which the string takes the end of the first and the beginning of the second.
    let mut pages = vec![b'x'; 4 * PAGE];
    let start = (&raw const pages[0]).expose_provenance().next_multiple_of(PAGE)
        - (&raw const pages[0]).expose_provenance()
        + PAGE
        - 3;
    pages[start + 10] = 0;
    let at = pages.as_ptr().expose_provenance() + start;
    let work = move |_: &crate::desk::Client, argument: &devmap::Argument<'_>| {
        let mut room = [0; 64];
        assert_eq!(argument.pointer().read_str(&mut room), Ok(&[b'x'; 10][..]));
        assert_eq!(argument.pointer().read_str(&mut room[..11]), Ok(&[b'x'; 10][..]));
        for short in [0, 1, 3, 10] {
            assert_eq!(argument.pointer().read_str(&mut room[..short]), Err(Errno::ENAMETOOLONG));
        }
        assert_eq!(argument.at(3_usize).read_str(&mut room), Err(Errno::EFAULT));
        assert_eq!(argument.pointer().offset(10)?.read_str(&mut room), Ok(&[][..]));
        Ok(0)
    };
    kernel().copied.clear();
    assert_eq!(ioctl(open, at, NATIVE, work), (0, 0));
    let in_page = |(at, len): &(usize, usize)| at % PAGE + len <= PAGE;
    assert!(kernel().copied.iter().all(in_page), "the page behind the string's may not be there");
    mock::close(open);
}
