//! A driver's code for 32-bit programs, with a program that passes 32-bit structures under `--model ilp32`.

use crate::devices::{ioctl, map, open, set_word, unmap, word};
use crate::run;

tests!(programs_of_64_bits, programs_as_of_32_bits);

const SUM: u32 = 0x7e01;
const SEEN: u32 = 0x7e02;
const MODE: u32 = 0x7e03;
const CURRENT: u32 = 0x7e04;

const ILP32: i32 = 0x10_0000;
const LP64: i32 = 0x20_0000;

fn programs_of_64_bits() {
    run::passes("model", half!(client_of_programs_of_64_bits));
}
fn client_of_programs_of_64_bits() {
    #[repr(C)]
    struct Request {
        flags: u32,
        buffer: u64,
        length: u64,
        total: i64,
    }
    let fd = open("/dev/model0");
    let bytes = [1u8, 2, 3];
    let mut request = Request { flags: 0, buffer: bytes.as_ptr() as u64, length: 3, total: 0 };
    assert_eq!(ioctl(fd, SUM, (&raw mut request) as u64), Ok(0));
    assert_eq!((request.total, request.flags), (-6, 0));
    let at = map(fd, 0, 0x1000, libc::MAP_SHARED);
    assert_eq!([SEEN, MODE, CURRENT].map(|cmd| ioctl(fd, cmd, 0)), [Ok(LP64), Ok(0), Ok(LP64)]);
    unmap(at, 0x1000);
}

fn programs_as_of_32_bits() {
    run::passes_with_options("model", half!(client_of_programs_as_of_32_bits), &["--model", "ilp32"]);
}
fn client_of_programs_as_of_32_bits() {
    #[repr(C)]
    struct Request {
        flags: u32,
        buffer: u32,
        length: u32,
        total: i32,
    }
    let fd = open("/dev/model0");
    // What a pointer of 32 bits can name.
    let low = map(-1, 0, 0x1000, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT);
    set_word(low, 0, 0x0302_0104);
    let mut request = Request { flags: 7, buffer: low as u32, length: 4, total: 0 };
    assert_eq!(ioctl(fd, SUM, (&raw mut request) as u64), Ok(0));
    assert_eq!((request.total, request.flags), (-10, 7));
    request.buffer = 0x10;
    assert_eq!(ioctl(fd, SUM, (&raw mut request) as u64), Err(libc::EFAULT));
    // Devices are mapped where 32 bits reach, whatever the hint.
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    for hint in [0usize, 0x5000_0000, 0x7000_0000_0000] {
        // SAFETY: a new mapping at a place of the kernel's choice.
        let at = unsafe { libc::mmap(hint as *mut _, 0x1000, prot, libc::MAP_SHARED, fd, 0) };
        assert_ne!(at, libc::MAP_FAILED);
        assert!((at as usize) < 1 << 32 && (hint != 0x5000_0000 || at as usize == hint), "{at:p}");
        set_word(at.cast(), 0, 5);
        assert_eq!(word(at.cast(), 0), 5);
        unmap(at.cast(), 0x1000);
    }
    assert_eq!([SEEN, MODE, CURRENT].map(|cmd| ioctl(fd, cmd, 0)), [Ok(ILP32), Ok(ILP32), Ok(ILP32)]);
}
