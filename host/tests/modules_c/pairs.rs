//! Lists of name-value pairs in a driver, and packed ones between driver and process.

use crate::devices::*;
use crate::run;

tests!(lists_are_made_walked_and_packed);

const RUN: u32 = 0x7e51;
const PACK: u32 = 0x7e52;
const COUNT: u32 = 0x7e53;

#[repr(C)]
struct Packet {
    encoding: i32,
    error: i32,
    len: u64,
    bytes: [u8; 512],
}

/// `example = 5`, `name = "ab"`, and a list `in` with the flag `b`, as a program on illumos would get it.
#[rustfmt::skip]
const NATIVE: &[u8] = &[
    0, 1, 0, 0,
    0, 0, 0, 0,  1, 0, 0, 0,
    32, 0, 0, 0,  8, 0, 0, 0,  1, 0, 0, 0,  5, 0, 0, 0,  b'e', b'x', b'a', b'm', b'p', b'l', b'e', 0,
    5, 0, 0, 0, 0, 0, 0, 0,
    32, 0, 0, 0,  5, 0, 0, 0,  1, 0, 0, 0,  9, 0, 0, 0,  b'n', b'a', b'm', b'e', 0, 0, 0, 0,
    b'a', b'b', 0, 0, 0, 0, 0, 0,
    48, 0, 0, 0,  3, 0, 0, 0,  1, 0, 0, 0,  19, 0, 0, 0,  b'i', b'n', 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0,  2, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,
    24, 0, 0, 0,  2, 0, 0, 0,  0, 0, 0, 0,  1, 0, 0, 0,  b'b', 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0,
    0, 0, 0, 0,
];

/// The same in XDR.
#[rustfmt::skip]
const XDR: &[u8] = &[
    1, 1, 0, 0,
    0, 0, 0, 0,  0, 0, 0, 1,
    0, 0, 0, 32,  0, 0, 0, 32,  0, 0, 0, 7,  b'e', b'x', b'a', b'm', b'p', b'l', b'e', 0,  0, 0, 0, 5,  0, 0, 0, 1,
    0, 0, 0, 5,
    0, 0, 0, 32,  0, 0, 0, 32,  0, 0, 0, 4,  b'n', b'a', b'm', b'e',  0, 0, 0, 9,  0, 0, 0, 1,
    0, 0, 0, 2,  b'a', b'b', 0, 0,
    0, 0, 0, 64,  0, 0, 0, 48,  0, 0, 0, 2,  b'i', b'n', 0, 0,  0, 0, 0, 19,  0, 0, 0, 1,
    0, 0, 0, 0,  0, 0, 0, 2,
    0, 0, 0, 24,  0, 0, 0, 24,  0, 0, 0, 1,  b'b', 0, 0, 0,  0, 0, 0, 1,  0, 0, 0, 0,
    0, 0, 0, 0,  0, 0, 0, 0,
    0, 0, 0, 0,  0, 0, 0, 0,
];

fn lists_are_made_walked_and_packed() {
    run::passes("pairs", half!(client_of_lists_are_made_walked_and_packed));
}
fn client_of_lists_are_made_walked_and_packed() {
    let fd = open("/dev/pairs0");
    assert_eq!(ioctl(fd, RUN, 0), Ok(0), "the line of the fixture's check that does not hold");
    for (encoding, expected) in [(0, NATIVE), (1, XDR)] {
        let mut packet = Packet { encoding, error: 0, len: 0, bytes: [0xaa; 512] };
        assert_eq!(ioctl(fd, PACK, &raw mut packet as u64), Ok(0));
        assert_eq!((packet.error, packet.len as usize), (0, expected.len()));
        assert_eq!(&packet.bytes[..expected.len()], expected);
        assert_eq!(packet.bytes[expected.len()], 0xaa, "nothing is written behind the end");
        assert_eq!(ioctl(fd, COUNT, &raw mut packet as u64), Ok(5));
        packet.bytes[16..20].fill(0xff);
        assert_eq!(ioctl(fd, COUNT, &raw mut packet as u64), Ok(0));
        assert_eq!(packet.error, 14, "a driver that is told nonsense hears EFAULT");
    }
}
