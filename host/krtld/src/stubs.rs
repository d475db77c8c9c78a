//! How a module reaches the host, which lives far above the 2 GiB that a module can address: each function that a module imports has
//! a stub below 2 GiB that jumps to it; each data symbol has its copy there.
//!
//! A stub stands for its function wherever addresses are compared: every module gets the same stub, and [`real_function`] leads from a
//! stub that a driver put into its `dev_ops` back to the function. On the way a stub records the stack and frame pointer in the thread's
//! `cpu` ([`CALL_SP`]), so that the host can show the driver's own call stack.
//!
//! Stubs and data copies are never freed. Locking: one mutex around the table, a leaf; [`real_function`] takes none.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::low::{Access, Block};

/// Offset from `%gs` of the stack pointer at the last call from a module; it points to the return address. Behind `struct cpu`.
pub const CALL_SP: u32 = 1568;
/// Offset from `%gs` of the frame pointer at that call.
pub const CALL_FP: u32 = 1576;

/// Bytes of one stub: two stores, a jump, the target.
const STUB: usize = 32;
const STUBS: usize = 8192;
const DATA: usize = 256 << 10;

struct Far {
    code: Block,
    /// The same memory as `code`, writable.
    writable: Block,
    data: Block,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    stubs: HashMap<usize, usize>,
    /// The functions that have stubs, by the names that were asked for first.
    names: HashMap<usize, String>,
    /// Places for stubs that are taken.
    used: usize,
    copies: HashMap<usize, usize>,
    /// Copies, in order of address: (copy, length, original).
    originals: Vec<(usize, usize, usize)>,
    data_used: usize,
}

static FAR: OnceLock<Far> = OnceLock::new();

fn far() -> io::Result<&'static Far> {
    if let Some(far) = FAR.get() {
        return Ok(far);
    }
    // SAFETY: a constant name and no pointers kept by the kernel.
    let fd = unsafe { libc::memfd_create(c"ddi-host stubs".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and is owned by nobody else.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len((STUBS * STUB) as u64)?;
    let far = Far {
        code: Block::of_file(&file, STUBS * STUB, Access::ReadExecute)?,
        writable: Block::of_file(&file, STUBS * STUB, Access::ReadWrite)?,
        data: Block::new(DATA)?,
        table: Mutex::default(),
    };
    Ok(FAR.get_or_init(|| far))
}

/// The stub's instructions: record rsp and rbp in the thread's cpu, go to the target.
fn code(target: usize) -> [u8; STUB] {
    let mut code = [0; STUB];
    // mov %rsp, %gs:CALL_SP and mov %rbp, %gs:CALL_FP
    code[..5].copy_from_slice(&[0x65, 0x48, 0x89, 0x24, 0x25]);
    code[5..9].copy_from_slice(&CALL_SP.to_le_bytes());
    code[9..14].copy_from_slice(&[0x65, 0x48, 0x89, 0x2c, 0x25]);
    code[14..18].copy_from_slice(&CALL_FP.to_le_bytes());
    // jmp *0(%rip)
    code[18..24].copy_from_slice(&[0xff, 0x25, 0, 0, 0, 0]);
    code[24..].copy_from_slice(&(target as u64).to_le_bytes());
    code
}

/// The address below 2 GiB at which modules call a function of the host.
///
/// # Errors
/// No memory below 2 GiB, or all stubs are used up.
pub fn function(name: &str, target: usize) -> io::Result<usize> {
    let far = far()?;
    let mut table = far.table.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(&stub) = table.stubs.get(&target) {
        return Ok(stub);
    }
    let stub = far.write(&mut table, code(target))?;
    table.stubs.insert(target, stub);
    table.names.insert(target, name.to_owned());
    Ok(stub)
}

/// An address below 2 GiB at which modules call `target` with `number` as its only argument, whatever they pass.
///
/// # Errors
/// No memory below 2 GiB, or all stubs are used up.
pub fn numbered(target: usize, number: u32) -> io::Result<usize> {
    let far = far()?;
    let mut table = far.table.lock().unwrap_or_else(PoisonError::into_inner);
    let mut second = [0; STUB];
    // mov $number, %edi
    second[0] = 0xbf;
    second[1..5].copy_from_slice(&number.to_le_bytes());
    // jmp *0(%rip)
    second[5..11].copy_from_slice(&[0xff, 0x25, 0, 0, 0, 0]);
    second[11..19].copy_from_slice(&(target as u64).to_le_bytes());
    let second = far.write(&mut table, second)?;
    far.write(&mut table, code(second))
}

/// An address below 2 GiB that pushes `word` and goes to `target`. Changes no register.
///
/// # Errors
/// No memory below 2 GiB, or all stubs are used up.
pub fn pushing(word: usize, target: usize) -> io::Result<usize> {
    let far = far()?;
    let mut table = far.table.lock().unwrap_or_else(PoisonError::into_inner);
    let mut code = [0; STUB];
    // push 10(%rip)
    code[..6].copy_from_slice(&[0xff, 0x35, 10, 0, 0, 0]);
    // jmp *12(%rip)
    code[6..12].copy_from_slice(&[0xff, 0x25, 12, 0, 0, 0]);
    code[16..24].copy_from_slice(&(word as u64).to_le_bytes());
    code[24..].copy_from_slice(&(target as u64).to_le_bytes());
    far.write(&mut table, code)
}

impl Far {
    /// Puts a stub into the next free place; its address.
    fn write(&self, table: &mut Table, code: [u8; STUB]) -> io::Result<usize> {
        let index = table.used;
        if index == STUBS {
            return Err(io::Error::other("out of stubs for kernel functions"));
        }
        table.used += 1;
        let place = self.writable.base().as_ptr().wrapping_add(index * STUB);
        // SAFETY: the place at `index` lies within the writable view and was not given to anybody yet, so that no thread executes or
        // reads it now; the table is locked.
        unsafe { place.cast::<[u8; STUB]>().write_unaligned(code) };
        Ok(self.code.address() + index * STUB)
    }
}

/// The address below 2 GiB at which modules see a data symbol of the host: a copy, made when the first module asks for it.
///
/// # Errors
/// No memory below 2 GiB.
///
/// # Safety
/// `original` must be the address of `size` initialised bytes that live as long as the process and are not written meanwhile.
pub unsafe fn data(original: usize, size: usize) -> io::Result<usize> {
    let far = far()?;
    let mut table = far.table.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(&copy) = table.copies.get(&original) {
        return Ok(copy);
    }
    // 64 bytes is more than any kernel variable's alignment.
    let len = size.max(1).next_multiple_of(64);
    let at = table.data_used;
    if at + len > DATA {
        return Err(io::Error::other("out of memory for kernel data symbols"));
    }
    table.data_used += len;
    let place = far.data.base().as_ptr().wrapping_add(at);
    let from = original as *const u8;
    // SAFETY: the caller vouches for the source; the target range is within the data block and not yet given to anyone.
    unsafe { std::ptr::copy_nonoverlapping(from, place, size) };
    let copy = far.data.address() + at;
    table.copies.insert(original, copy);
    table.originals.push((copy, len, original));
    Ok(copy)
}

/// The host function behind a function pointer that a driver handed over: the target if it points to a stub, else the pointer itself.
pub fn real_function(pointer: usize) -> usize {
    let Some(far) = FAR.get() else {
        return pointer;
    };
    let start = far.code.address();
    if pointer < start || pointer >= start + STUBS * STUB || !(pointer - start).is_multiple_of(STUB) {
        return pointer;
    }
    // SAFETY: the target field of a stub within the read-execute view. A driver can hold only addresses of finished stubs; a made-up
    // one reads a zero.
    let target = unsafe { ((pointer + 24) as *const u64).read() };
    if target == 0 { pointer } else { target as usize }
}

/// The name of a function that modules call.
pub fn function_name(target: usize) -> Option<String> {
    let table = FAR.get()?.table.lock().unwrap_or_else(PoisonError::into_inner);
    table.names.get(&target).cloned()
}

/// The host's original of a data symbol's address that a driver handed over; the address itself when it is no copy.
pub fn real_data(pointer: usize) -> usize {
    let Some(far) = FAR.get() else {
        return pointer;
    };
    let table = far.table.lock().unwrap_or_else(PoisonError::into_inner);
    let after = table.originals.partition_point(|&(copy, ..)| copy <= pointer);
    match after.checked_sub(1).map(|index| table.originals[index]) {
        Some((copy, len, original)) if pointer < copy + len => original + (pointer - copy),
        _ => pointer,
    }
}

/// The address at which drivers see a data symbol of the host: that of its copy, if a module has asked for one.
pub fn seen_data(original: usize) -> usize {
    let Some(far) = FAR.get() else {
        return original;
    };
    let table = far.table.lock().unwrap_or_else(PoisonError::into_inner);
    table.copies.get(&original).copied().unwrap_or(original)
}

#[cfg(test)]
mod tests {
    use super::*;

    extern "C" fn add(a: i32, b: i32) -> i32 {
        a + b
    }

    #[test]
    fn a_stub_leads_back_to_its_function() {
        let target = add as *const () as usize;
        let stub = function("add", target).unwrap();
        assert!(stub < crate::low::LIMIT);
        assert_eq!(function("add", target).unwrap(), stub);
        assert_eq!(real_function(stub), target);
        assert_eq!(real_function(target), target);
    }

    #[test]
    fn a_data_symbol_has_one_copy_within_reach() {
        static HZ: i32 = 100;
        let original = &raw const HZ as usize;
        // SAFETY: a static of four bytes that nobody writes.
        let copy = unsafe { data(original, 4) }.unwrap();
        assert!(copy < crate::low::LIMIT);
        // SAFETY: the copy just made.
        assert_eq!(unsafe { *(copy as *const i32) }, 100);
        // SAFETY: as above.
        assert_eq!(unsafe { data(original, 4) }.unwrap(), copy);
        assert_eq!(real_data(copy), original);
        assert_eq!(real_data(original), original);
    }
}
