//! Drivers that use the kernel's own names: pages, physical addresses, block devices, power levels, other drivers.

use crate::devices::*;
use crate::run;

tests!(
    a_disk_of_pages_is_read_and_written_as_block_and_raw_device,
    physical_addresses_are_mapped,
    a_driver_uses_another_s_device,
    pages_are_mapped_by_hand,
    frames_are_mapped_by_hand
);

const COUNTS: u32 = 0x7e01;
const NAME: u32 = 0x7e02;
const POWER: u32 = 0x7e03;
const ALLOC: u32 = 0x7f01;
const FREE: u32 = 0x7f02;
const STORE: u32 = 0x7f03;
const LEFT: u32 = 0x7f04;

const SIZE: usize = 30000;

fn pread(fd: i32, to: &mut [u8], at: usize) -> Result<usize, i32> {
    // SAFETY: a buffer of that many bytes.
    let n = unsafe { libc::pread(fd, to.as_mut_ptr().cast(), to.len(), at as i64) };
    if n < 0 { Err(errno()) } else { Ok(n as usize) }
}

fn pwrite(fd: i32, from: &[u8], at: usize) -> Result<usize, i32> {
    // SAFETY: a buffer of that many bytes.
    let n = unsafe { libc::pwrite(fd, from.as_ptr().cast(), from.len(), at as i64) };
    if n < 0 { Err(errno()) } else { Ok(n as usize) }
}

fn kind(fd: i32) -> u32 {
    // SAFETY: all-zero is a valid stat structure.
    let mut st: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: room for the answer.
    assert_eq!(unsafe { libc::fstat(fd, &mut st) }, 0);
    st.st_mode & libc::S_IFMT
}

fn a_disk_of_pages_is_read_and_written_as_block_and_raw_device() {
    let client = half!(client_of_a_disk_of_pages_is_read_and_written_as_block_and_raw_device);
    run::passes("store", client);
}
fn client_of_a_disk_of_pages_is_read_and_written_as_block_and_raw_device() {
    let (raw, block) = (open("/dev/store0"), open("/dev/disk"));
    assert_eq!((kind(raw), kind(block)), (libc::S_IFCHR, libc::S_IFBLK));
    let pattern: Vec<u8> = (0..SIZE).map(|i| (i * 31 + i / 256) as u8).collect();
    let mut back = vec![0; SIZE];
    assert_eq!(pwrite(raw, &pattern[..9216], 512), Ok(9216));
    assert_eq!(pread(raw, &mut back[..9216], 512), Ok(9216));
    assert!(back[..9216] == pattern[..9216]);
    assert_eq!(pread(raw, &mut back[..512], 0), Ok(512));
    assert!(back[..512].iter().all(|&b| b == 0));

    // A block device takes any length at any place, and ends where the disk does.
    assert_eq!(pwrite(block, b"hello", 20001), Ok(5));
    assert_eq!(pread(block, &mut back[..7], 20000), Ok(7));
    assert_eq!(&back[..7], b"\0hello\0");
    assert_eq!(pread(block, &mut back[..9000], 600), Ok(9000));
    assert!(back[..9000] == pattern[88..9088]);
    assert_eq!(pread(block, &mut back[..1000], SIZE - 10), Ok(10));
    assert_eq!(pread(block, &mut back[..1000], SIZE), Ok(0));
    assert_eq!(pwrite(block, &pattern[..10], SIZE), Err(libc::ENXIO));
    assert_eq!(pread(raw, &mut back[..512], SIZE), Err(libc::EINVAL));
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::lseek(block, -1, libc::SEEK_END) }, SIZE as i64 - 1);

    // physio goes buffer by buffer.
    let mut counts = [0u32; 4];
    assert_eq!(ioctl(raw, COUNTS, counts.as_mut_ptr() as u64), Ok(0));
    let (one, two) = back.split_at_mut(512);
    let iov =
        [one, &mut two[..1024]].map(|b| libc::iovec { iov_base: b.as_mut_ptr().cast(), iov_len: b.len() });
    // SAFETY: two buffers of the test's.
    assert_eq!(unsafe { libc::preadv(raw, iov.as_ptr(), 2, 512) }, 1536);
    assert!(back[..1536] == pattern[..1536]);
    let before = counts[0];
    assert_eq!(ioctl(raw, COUNTS, counts.as_mut_ptr() as u64), Ok(0));
    assert_eq!(counts[0], before + 2);
    assert_eq!(counts[2..], [2, 1], "what power(9E) was told while it attached");
    assert_eq!(ioctl(raw, POWER, 5), Ok(0));
    assert_eq!(ioctl(raw, POWER, 2), Ok(0), "it is there already");
    assert_eq!(ioctl(raw, POWER, 3), Err(libc::EINVAL), "there is no such level");
    assert_eq!(ioctl(raw, COUNTS, counts.as_mut_ptr() as u64), Ok(0));
    assert_eq!(counts[2..], [5, 1]);

    let mut data = [0u64; 6];
    assert_eq!(ioctl(raw, NAME, data.as_ptr() as u64), Ok(99));
    data[4] = c"child".as_ptr() as u64;
    assert_eq!(ioctl(raw, NAME, data.as_ptr() as u64), Ok(5));
    data[4] = 8;
    assert_eq!(ioctl(raw, NAME, data.as_ptr() as u64), Err(libc::EFAULT));
}

const PHYSICAL: &str = "name=\"physical\" class=\"root\" reg=0,0,0xffffffff;\n";

fn physical_addresses_are_mapped() {
    run::passes_with("physical", PHYSICAL, half!(client_of_physical_addresses_are_mapped));
}
fn client_of_physical_addresses_are_mapped() {
    let fd = open("/dev/physical0");
    assert!(try_open("/devices/physical@0,0:physical0", libc::O_RDWR).is_ok(), "named after its registers");
    let mut address = 0x1fff_ffffu64;
    assert_eq!(ioctl(fd, ALLOC, &raw mut address as u64), Ok(0));
    assert!(address.is_multiple_of(4096) && address + 8191 <= 0x1fff_ffff, "{address:#x}");
    let at = map(fd, address, 8192, libc::MAP_SHARED);
    assert_eq!(ioctl(fd, STORE, 0x5a), Ok(0));
    assert_eq!(word(at, 0), 0x5a);
    set_word(at, 4096, 7);
    let second = map(fd, address + 4096, 4096, libc::MAP_SHARED);
    assert_eq!(word(second, 0), 7);
    assert_eq!(ioctl(fd, LEFT, 0), Ok(2));
    unmap(at, 8192);
    unmap(second, 4096);
    assert_eq!(ioctl(fd, LEFT, 0), Ok(0));
    assert_eq!(ioctl(fd, FREE, 0), Ok(0));

    // The display's memory is none, and memory that nobody has allocated can be looked at.
    let display = map(fd, 0xa0000, 4096, libc::MAP_SHARED);
    assert_eq!(ioctl(fd, LEFT, 0), Ok(0));
    set_word(display, 8, 9);
    let again = map(fd, 0xa0000, 4096, libc::MAP_SHARED);
    assert_eq!(word(again, 8), 9);
    let free = map(fd, 0x4000_0000, 4096, libc::MAP_SHARED);
    assert_eq!((word(free, 0), ioctl(fd, LEFT, 0)), (0, Ok(1)));
    // No memory there, and beyond the registers.
    // SAFETY: a new mapping at a place of the kernel's choice.
    let none = unsafe {
        libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, fd, 0x7000_0000_0000)
    };
    assert_eq!((none, errno()), (libc::MAP_FAILED, libc::ENXIO));
    let mut low = 0xfffu64;
    assert_eq!(ioctl(fd, ALLOC, &raw mut low as u64), Err(libc::ENOMEM), "there is no memory that low");
    // The rest is unmapped at exit.
}

fn a_driver_uses_another_s_device() {
    let conf = "name=\"layers\" parent=\"pseudo\" instance=0 answer=42;\nname=\"layers\" parent=\"pseudo\" instance=1;\n";
    run::passes_with("layers", conf, half!(client_of_a_driver_uses_another_s_device));
}
fn client_of_a_driver_uses_another_s_device() {
    let upper = open("/dev/layers1");
    assert_eq!(
        ioctl(upper, 0x7e11, 0),
        Ok(0),
        "the result is the line of the fixture's check that does not hold"
    );
    let lower = open("/dev/layers0");
    assert_eq!(ioctl(lower, 0x7e12, 0), Ok(2 | 2 << 16), "layered opens and closes");
}

const SETUP: u32 = 0x7e21;
const CAPTURE: u32 = 0x7e22;
const AS_UNMAP: u32 = 0x7e23;
const STATE: u32 = 0x7e24;
const FRAMES: u32 = 0x7e25;
const SEGMENT: u32 = 0x7e26;
const OFFSET: u32 = 0x7e27;
const LOCKS: u32 = 0x7e28;

fn pages_are_mapped_by_hand() {
    run::passes("bare", half!(client_of_pages_are_mapped_by_hand));
}
fn client_of_pages_are_mapped_by_hand() {
    let fd = open("/dev/bare0");
    // The process's first mapping of all is made by an ioctl.
    let mut range = [0x4000_0000u64, 0x4000, 0];
    assert_eq!(ioctl(fd, SETUP, range.as_mut_ptr() as u64), Ok(0));
    let at = range[2] as *mut u8;
    assert_eq!(ioctl(fd, SEGMENT, range[2]), Ok(0x4000));
    assert_eq!(ioctl(fd, SEGMENT, range[2] + 0x8000), Ok(0));
    assert_eq!(ioctl(fd, STATE, 0), Ok(1));
    assert_eq!(ioctl(fd, CAPTURE, 0x4000_1000), Ok(0));
    assert_eq!(ioctl(fd, CAPTURE, 0x4000_1000), Err(libc::EAGAIN), "it is captured");
    assert_eq!(ioctl(fd, CAPTURE, 0xa_0000), Err(libc::EPERM), "that is no memory");
    assert_eq!(ioctl(fd, STATE, 0), Ok(1 | 1 << 16));
    assert_eq!(word(at, 0x1000), 0);
    set_word(at, 0x1008, 7);
    assert_eq!(word(at, 0x1008), 7);
    // The operations' offsets begin with the mapping's in the vnode: getpage's, addmap's.
    assert_eq!([0, 1].map(|which| ioctl(fd, OFFSET, which)), [Ok(0x4_0001), Ok(0x4_0000)]);
    // addmap refuses a child, so there is none.
    // SAFETY: the child, if there is one, does nothing.
    let child = unsafe { libc::fork() };
    assert_eq!((child, errno()), (-1, libc::EAGAIN));
    // An address that is taken, and one that is free.
    let mut second = [0x5000_0000u64, 0x1000, range[2]];
    assert_eq!(ioctl(fd, SETUP, second.as_mut_ptr() as u64), Err(libc::ENOMEM));
    assert_eq!(ioctl(fd, STATE, 0), Ok(1 | 1 << 16));
    assert_eq!(ioctl(fd, AS_UNMAP, 0), Ok(0));
    assert_eq!(ioctl(fd, STATE, 0), Ok(0));
    assert_eq!(ioctl(fd, OFFSET, 2), Ok(0x4_0000), "delmap's");
    assert_eq!(ioctl(fd, LOCKS, 0), Ok(1 + 256), "the kernel's pages stay share-locked");
    second[2] = range[2];
    assert_eq!(ioctl(fd, SETUP, second.as_mut_ptr() as u64), Ok(0));
    assert_eq!(second[2], range[2]);
    // Its page was not captured: getpage's error is the access's.
    let toucher = std::thread::spawn(move || {
        // SAFETY: all-zero is a sigaction.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = at_sigbus as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        // SAFETY: a handler that only ends the thread's access by ending the process.
        unsafe { libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut()) };
        word(second[2] as *mut u8, 0)
    });
    drop(toucher.join());
    unreachable!("the access must fail");
}

extern "C" fn at_sigbus(_signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a siginfo.
    let info = unsafe { &*info };
    let (code, errno) = (info.si_code, info.si_errno);
    const OBJERR: i32 = 3;
    if (code, errno) != (OBJERR, libc::ENOMEM) {
        println!("SIGBUS with si_code {code}, si_errno {errno}");
        std::process::exit(1);
    }
    println!("{}", run::PASSED);
    std::process::exit(0);
}

fn frames_are_mapped_by_hand() {
    run::passes("bare", half!(client_of_frames_are_mapped_by_hand));
}
fn client_of_frames_are_mapped_by_hand() {
    let fd = open("/dev/bare0");
    let mut range = [0xb_8000u64, 0x2000, 0];
    assert_eq!(ioctl(fd, FRAMES, range.as_mut_ptr() as u64), Ok(0));
    let at = range[2] as *mut u8;
    set_word(at, 0x1000, 3);
    let mut second = [0xb_9000u64, 0x1000, 0];
    assert_eq!(ioctl(fd, FRAMES, second.as_mut_ptr() as u64), Ok(0));
    assert_eq!(word(second[2] as *mut u8, 0), 3);
    let child = fork(|| (word(at, 0x1000) != 3) as i32);
    assert_eq!(wait(child), 0);
    unmap(at, 0x2000);
}
