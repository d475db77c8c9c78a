//! Reads a driver's memory at an address that may be wrong.
//!
//! A table of entry points, a linkage or a string is read here before it is used, so that a pointer that leads nowhere becomes a report that
//! names it. What lies in a module, or in the program with its linked-in drivers, is there; about other memory Linux is asked. Locking: none; any context.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::OnceLock;

use ddi_sys::{
    cb_ops, dev_ops, devmap_callback_ctl, kstat_intr_t, kstat_io_t, kstat_named_t, kstat_timer_t, modldrv,
    modlinkage, modlmisc,
};

/// A structure of the driver's of which every bit pattern is a value.
///
/// # Safety
/// That is so: numbers, raw pointers, and `Option`s of functions that are not called before they were checked.
pub unsafe trait Plain: Copy {}

// SAFETY: an address.
unsafe impl Plain for usize {}
// SAFETY: a number and raw pointers.
unsafe impl Plain for modlinkage {}
// SAFETY: raw pointers.
unsafe impl Plain for modldrv {}
// SAFETY: raw pointers.
unsafe impl Plain for modlmisc {}
// SAFETY: numbers, raw pointers and functions.
unsafe impl Plain for dev_ops {}
// SAFETY: as above.
unsafe impl Plain for cb_ops {}
// SAFETY: a number and functions.
unsafe impl Plain for devmap_callback_ctl {}

// SAFETY: numbers, and a union of numbers and characters.
unsafe impl Plain for kstat_named_t {}
// SAFETY: numbers.
unsafe impl Plain for kstat_intr_t {}
// SAFETY: numbers.
unsafe impl Plain for kstat_io_t {}
// SAFETY: numbers and characters.
unsafe impl Plain for kstat_timer_t {}

/// Copies the value at an address. Returns None if there is no memory, or none that may be read.
pub fn read<T: Plain>(address: usize) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    let room = (&raw mut value).cast::<u8>();
    // SAFETY: room for the value, which nobody else has.
    if !unsafe { copy(address, room, size_of::<T>()) } {
        return None;
    }
    // SAFETY: all its bytes were written, and every bit pattern is a value of the type.
    Some(unsafe { value.assume_init() })
}

/// Copies the string at an address, without its NUL, at most `most` bytes. Returns None if it runs into what is no memory.
pub fn string(address: usize, most: usize) -> Option<Vec<u8>> {
    const PAGE: usize = ddi_process::physmem::PAGE_SIZE as usize;
    let mut text = Vec::new();
    while text.len() < most {
        let at = address.checked_add(text.len())?;
        // What a page has is there as a whole.
        let mut piece = vec![0_u8; (PAGE - at % PAGE).min(most - text.len())];
        // SAFETY: room for the piece.
        if !unsafe { copy(at, piece.as_mut_ptr(), piece.len()) } {
            return None;
        }
        match piece.iter().position(|&byte| byte == 0) {
            Some(end) => {
                text.extend(&piece[..end]);
                return Some(text);
            }
            None => text.extend(piece),
        }
    }
    Some(text)
}

/// Copies memory of this process. Returns false if it cannot be read.
///
/// # Safety
/// `to` has room for `len` bytes.
unsafe fn copy(from: usize, to: *mut u8, len: usize) -> bool {
    let range = from..from.saturating_add(len);
    if ddi_krtld::holds(&range) || program().iter().any(|part| contains(part, &range)) {
        // SAFETY: memory that can be read, of a module that is loaded or of the program, by the check; the caller's promise for `to`.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to, len) };
        return true;
    }
    let local = libc::iovec { iov_base: to.cast::<c_void>(), iov_len: len };
    let remote = libc::iovec { iov_base: from as *mut c_void, iov_len: len };
    let pid = std::process::id().cast_signed();
    // SAFETY: the caller's promise for `to`; the kernel checks the other range.
    let n = unsafe { libc::process_vm_readv(pid, &local, 1, &remote, 1, 0) };
    if n >= 0 {
        return n as usize == len;
    }
    if std::io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT) {
        return false;
    }
    // The call is not allowed here: the access itself shows it, and a bad one is reported as any other of the driver's.
    // SAFETY: the driver's promise of its own pointer; the caller's for `to`.
    unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to, len) };
    true
}

/// Returns whether one range holds all of another.
fn contains(part: &Range<usize>, range: &Range<usize>) -> bool {
    part.start <= range.start && range.end <= part.end
}

/// The parts of this program's own image that can be read. They stay where they are as long as it runs.
fn program() -> &'static [Range<usize>] {
    static PARTS: OnceLock<Vec<Range<usize>>> = OnceLock::new();

    /// Takes the first object, which is the program.
    unsafe extern "C" fn first(info: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> libc::c_int {
        // SAFETY: dl_iterate_phdr(3) passes an object's description.
        let info = unsafe { &*info };
        // SAFETY: the vector that `program` has passed, and uses again afterwards.
        let found = unsafe { &mut *found.cast::<Vec<Range<usize>>>() };
        // SAFETY: the object's headers, as many as it says.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
        let read = headers.iter().filter(|h| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_R != 0);
        found.extend(read.map(|header| {
            let start = (info.dlpi_addr + header.p_vaddr) as usize;
            start..start + header.p_memsz as usize
        }));
        1
    }

    PARTS.get_or_init(|| {
        let mut found: Vec<Range<usize>> = Vec::new();
        // SAFETY: the function is as dl_iterate_phdr(3) asks, and the vector lives until it returns.
        unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut found).cast()) };
        found
    })
}

/// Returns whether modules may be made to call the function at `address`: NULL, code of a module or a function of the host's.
pub fn is_function(address: usize) -> bool {
    address == 0
        || ddi_krtld::region(address) == Some(ddi_krtld::Region::Text)
        || ddi_krtld::real_function(address) != address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_not_there_cannot_be_read() {
        let word = 0x1234_usize;
        assert_eq!(read::<usize>(&raw const word as usize), Some(0x1234));
        for nowhere in [0, 8, 0xdead_beef_dead_beef, usize::MAX - 3, 0xffff_ffff_8000_0000] {
            assert_eq!(read::<usize>(nowhere), None, "{nowhere:#x}");
            assert_eq!(string(nowhere, 100), None, "{nowhere:#x}");
        }
    }

    #[test]
    fn a_string_ends_with_its_nul_or_where_the_memory_does() {
        let text = c"a description";
        assert_eq!(string(text.as_ptr() as usize, 100).unwrap(), text.to_bytes());
        assert_eq!(string(text.as_ptr() as usize, 5).unwrap(), b"a des");
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping of two pages.
        let base = unsafe {
            libc::mmap(std::ptr::null_mut(), 8192, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
        };
        let behind = base.wrapping_byte_add(4096);
        // SAFETY: the second page of the mapping.
        unsafe { libc::munmap(behind, 4096) };
        let near = base as usize + 4090;
        // SAFETY: the last bytes of the first page.
        unsafe { (near as *mut [u8; 6]).write(*b"no end") };
        assert_eq!(string(near, 100), None);
        assert_eq!(string(near, 6).unwrap(), b"no end");
    }
}
