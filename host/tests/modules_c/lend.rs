//! Memory of one process, mapped by others with access callbacks, taken away from all of them by remaps.

use crate::devices::*;
use crate::run;

tests!(memory_is_lent_split_inherited_paused_and_called_back);

const LEND: u32 = 0x7d01;
const PAUSE: u32 = 0x7d02;
const CALL_BACK: u32 = 0x7d03;
const STATE: u32 = 0x7d04;
const PAGES: usize = 4;

#[repr(C)]
struct Loan {
    addr: u64,
    len: u64,
}

fn memory_is_lent_split_inherited_paused_and_called_back() {
    run::passes_with_all_faults(
        "lend",
        half!(client_of_memory_is_lent_split_inherited_paused_and_called_back),
    );
}
fn client_of_memory_is_lent_split_inherited_paused_and_called_back() {
    let fd = open("/dev/lend0");
    // SAFETY: a new mapping that must fail: nothing is lent yet.
    let none = unsafe { libc::mmap(std::ptr::null_mut(), 0x1000, 1, libc::MAP_SHARED, fd, 0) };
    assert_eq!((none, errno()), (libc::MAP_FAILED, libc::ENODEV));
    let mine = map(-1, 0, PAGES * 0x1000, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    for page in 0..PAGES {
        set_word(mine, page * 0x1000, 10 + page as u64);
    }
    let loan = Loan { addr: mine as u64, len: (PAGES * 0x1000) as u64 };
    assert_eq!(ioctl(fd, LEND, &raw const loan as u64), Ok(0));
    let state = || ioctl(fd, STATE, 0).unwrap();
    let borrower = fork(|| {
        let lent = map(fd, 0, PAGES * 0x1000, libc::MAP_SHARED);
        for page in 0..PAGES {
            assert_eq!(word(lent, page * 0x1000), 10 + page as u64);
        }
        set_word(lent, 0x2000, 99);
        unmap(lent.wrapping_add(0x1000), 0x1000);
        assert_eq!(state(), 2);
        assert_eq!(ioctl(fd, PAUSE, 1), Ok(0));
        let heir = fork(|| {
            // Waits until the loan goes on; the store comes last: with it the borrower calls the loan back.
            assert_eq!(word(lent, 0x3000), 13);
            set_word(lent, 0, word(lent, 0) + 1);
            until(|| state() >= 10_000);
            // It has been called back meanwhile.
            assert_eq!(word(lent, 0x3000), 0);
            until(|| word(lent, 0) == 77);
            set_word(lent, 0x3000, 78);
            0
        });
        until(|| state() == 104);
        assert_eq!(ioctl(fd, PAUSE, 0), Ok(0));
        until(|| word(lent, 0) == 11);
        until(|| state() == 4);
        assert_eq!(ioctl(fd, CALL_BACK, 0), Ok(0));
        set_word(lent, 0, 77);
        assert_eq!(wait(heir), 0);
        assert_eq!(word(lent, 0x3000), 78);
        0
    });
    assert_eq!(wait(borrower), 0);
    assert_eq!([0, 1, 2, 3].map(|page| word(mine, page * 0x1000)), [11, 11, 99, 13]);
    assert_eq!(state() % 10_000, 0);
}
