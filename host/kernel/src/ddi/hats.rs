//! The memory layer's functions: translations of the kernel at addresses of heap_arena, and those of a process, which the segment drivers that
//! modules bring along change ([`crate::vm::segments`]).
//!
//! A `hat` is the address space's address here. Locking: none.

use std::ffi::{c_int, c_uint};

use ddi_process::Prot;
use ddi_process::physmem::PAGE_SIZE;
use ddi_sys::{caddr_t, hat, page, pfn_t};

use super::data;
use super::pages::of;
use crate::board::report;
use crate::vm::client::Client;
use crate::vm::segments::client_of_hat;
use crate::vm::{kva, memory, platform};

/// Owner of a `hat`'s translations.
enum Whose {
    Kernel,
    Process(Client),
    /// A process that has ended, without translations.
    Nobody,
}

fn whose(hat: *mut hat) -> Whose {
    let kernel = ddi_krtld::real_data(hat as usize) == data::kas.address();
    match client_of_hat(hat as usize) {
        Some(client) => Whose::Process(client),
        None if kernel || hat.is_null() => Whose::Kernel,
        None => Whose::Nobody,
    }
}

fn pages(len: usize) -> u64 {
    (len as u64).div_ceil(PAGE_SIZE)
}

/// Enters translations; what cannot be is reported.
fn load(function: &str, hat: *mut hat, addr: caddr_t, len: usize, pfn: pfn_t, attributes: c_uint) {
    match whose(hat) {
        Whose::Kernel if kva::load(addr as usize, len, pfn) => {}
        Whose::Kernel => {
            let what = format!(
                "{len} bytes at {addr:p}, frame {pfn:#x}: not addresses of heap_arena, or no such frame"
            );
            report::mistake(function, &what, function);
        }
        Whose::Process(client) => {
            memory().touch(pfn, pages(len));
            let prot = Prot::from_bits_truncate(attributes);
            platform::load(client.process(), addr as u64, pages(len), pfn, prot);
        }
        Whose::Nobody => {}
    }
}

ddi! {
    /// hat_devload: enters translations to page frames.
    fn hat_devload(hat: *mut hat, addr: caddr_t, len: usize, pfn: pfn_t, attributes: c_uint, _flags: c_int) {
        load(NAME, hat, addr, len, pfn, attributes);
    }
    /// hat_memload: enters the translation of a page.
    fn hat_memload(hat: *mut hat, addr: caddr_t, pp: *mut page, attributes: c_uint, _flags: c_uint) {
        if let Some(page) = of(pp, NAME) {
            load(NAME, hat, addr, PAGE_SIZE as usize, super::pages::frame(page), attributes);
        }
    }
    /// hat_unload: drops translations.
    fn hat_unload(hat: *mut hat, addr: caddr_t, len: usize, _flags: c_uint) {
        match whose(hat) {
            Whose::Kernel => kva::unload(addr as usize, len),
            Whose::Process(client) => platform::unload(client.process(), addr as u64, pages(len)),
            Whose::Nobody => {}
        }
    }
    /// hat_unlock: translations stay here until they are unloaded.
    fn hat_unlock(_hat: *mut hat, _addr: caddr_t, _len: usize) {}
    /// hat_chgprot: changes the protection of a process's translations.
    fn hat_chgprot(hat: *mut hat, addr: caddr_t, len: usize, prot: c_uint) {
        if let Whose::Process(client) = whose(hat) {
            let _ = client.process().protect(addr as u64, pages(len), Prot::from_bits_truncate(prot));
        }
    }
    /// hat_getpfnum: the page frame behind an address; all ones where there is none.
    fn hat_getpfnum(hat: *mut hat, addr: caddr_t) -> pfn_t {
        frame(hat, addr)
    }
}

/// The page frame behind an address; all ones where there is none.
pub(super) fn frame(hat: *mut hat, addr: caddr_t) -> pfn_t {
    let frame = match whose(hat) {
        Whose::Kernel => kva::frame(addr as usize),
        Whose::Process(client) => client.process().frame(addr as u64),
        Whose::Nobody => None,
    };
    frame.unwrap_or(pfn_t::MAX)
}
