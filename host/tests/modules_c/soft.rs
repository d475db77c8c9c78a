//! Soft state, properties, minor nodes, ioctl, read and write.

use std::ffi::CStr;

use crate::devices::*;
use crate::run;

tests!(properties_and_ioctl, reading_writing_and_opening, no_instance_attaches);

const GET: u32 = 0x7301;
const LIMIT: u32 = 0x7302;
const FAIL: u32 = 0x7303;
const RVAL: u32 = 0x7304;

#[repr(C)]
struct Answer {
    instance: i32,
    limit: i32,
    ntable: u32,
    table: [i32; 4],
    opens: i32,
    model: u32,
    pid: i32,
    uid: u32,
    absent: i32,
    greeting: [u8; 32],
    name: [u8; 32],
}

fn get(fd: i32) -> Answer {
    // SAFETY: integers and bytes.
    let mut answer: Answer = unsafe { std::mem::zeroed() };
    assert_eq!(ioctl(fd, GET, &raw mut answer as u64), Ok(0));
    answer
}

fn text(bytes: &[u8]) -> &str {
    CStr::from_bytes_until_nul(bytes).unwrap().to_str().unwrap()
}

fn read(fd: i32, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    // SAFETY: room for that many bytes.
    let n = unsafe { libc::read(fd, bytes.as_mut_ptr().cast(), len) };
    bytes.truncate(usize::try_from(n).unwrap());
    bytes
}

fn write(fd: i32, bytes: &[u8]) -> Result<isize, i32> {
    // SAFETY: that many bytes are there.
    let n = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    if n < 0 { Err(errno()) } else { Ok(n) }
}

fn properties_and_ioctl() {
    let conf = "name=\"soft\" parent=\"pseudo\" instance=0 limit=25 table=1,2,0x10;\n\
                name=\"soft\" parent=\"pseudo\" instance=1;\n\
                name=\"soft\" parent=\"pseudo\" instance=2 limit=-1;\ngreeting=\"good day\";\n";
    run::passes_with("soft", conf, half!(client_of_properties_and_ioctl));
}
fn client_of_properties_and_ioctl() {
    let fd = open("/dev/soft0");
    let first = get(fd);
    assert_eq!((first.instance, first.limit, first.ntable, first.table), (0, 25, 3, [1, 2, 16, 0]));
    assert_eq!((first.opens, first.model, first.absent), (1, 0, -5));
    assert_eq!(first.pid, std::process::id() as i32);
    // SAFETY: no arguments, no effects.
    assert_eq!(first.uid, unsafe { libc::geteuid() });
    assert_eq!(text(&first.greeting), "good day");
    assert_eq!(text(&first.name), "soft0 soft x007|ab  |0x1f|-3");
    let second = get(open("/dev/soft1"));
    assert_eq!((second.instance, second.limit, second.ntable), (1, 10, 0));
    // Instance 2 did not attach: no such device.
    assert_eq!(try_open("/dev/soft2", libc::O_RDWR).unwrap_err().raw_os_error(), Some(libc::ENOENT));

    let limit = 99_i32;
    assert_eq!(ioctl(fd, LIMIT, &raw const limit as u64), Ok(0));
    assert_eq!(get(fd).limit, 99);
    let limit = -1_i32;
    assert_eq!(ioctl(fd, LIMIT, &raw const limit as u64), Err(libc::EINVAL));
    assert_eq!(ioctl(fd, LIMIT, 8), Err(libc::EFAULT));
    assert_eq!(ioctl(fd, GET, 8), Err(libc::EFAULT));
    assert_eq!(ioctl(fd, RVAL, 7), Ok(7));
    assert_eq!(ioctl(fd, 0x7399, 0), Err(libc::ENOTTY));
    // illumos and Linux number errors differently: ETIMEDOUT, EOVERFLOW, EPERM.
    assert_eq!(ioctl(fd, FAIL, 145), Err(libc::ETIMEDOUT));
    assert_eq!(ioctl(fd, FAIL, 79), Err(libc::EOVERFLOW));
    assert_eq!(ioctl(fd, FAIL, 1), Err(libc::EPERM));
    assert_eq!(ioctl(fd, FAIL, u64::MAX), Err(-1));
}

fn reading_writing_and_opening() {
    run::passes("soft", half!(client_of_reading_writing_and_opening));
}
fn client_of_reading_writing_and_opening() {
    let fd = open("/dev/soft0");
    assert_eq!(read(fd, 3), b"hel");
    assert_eq!(read(fd, 30), b"lo");
    assert_eq!(read(fd, 30), b"");
    assert_eq!(write(fd, &[b'x'; 40]), Err(libc::ENOSPC));
    assert_eq!(write(fd, b"welcome"), Ok(7));
    let again = open("/dev/soft0");
    assert_eq!(read(again, 30), b"welcome");
    assert_eq!(get(fd).opens, 2);
    assert_eq!(
        try_open("/dev/soft0", libc::O_RDWR | libc::O_EXCL).unwrap_err().raw_os_error(),
        Some(libc::EBUSY)
    );
    for fd in [fd, again] {
        // SAFETY: a descriptor of the test's.
        unsafe { libc::close(fd) };
    }
    // After the last close the next open is the first, also an exclusive one.
    let fd = try_open("/dev/soft0", libc::O_RDWR | libc::O_EXCL).unwrap();
    assert_eq!(get(fd).opens, 1);
}

fn no_instance_attaches() {
    let conf = "name=\"soft\" parent=\"pseudo\" instance=0 limit=-1;\n";
    let ran = run::run("soft", conf, half!(client_of_no_instance_attaches));
    assert!(ran.text.contains("limit -1 is negative"), "{}", ran.text);
    assert!(ran.text.contains("soft instance 0: attach(9E) failed"), "{}", ran.text);
}
fn client_of_no_instance_attaches() {
    assert!(try_open("/dev/soft0", libc::O_RDWR).is_err());
}
