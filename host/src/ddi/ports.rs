//! inb(9F) and the rest: I/O ports. Simulated devices have none, so nothing answers, as on a machine without the device: reads give all ones,
//! writes go nowhere. The ports of the real machine are never touched. Instructions of a driver's own ([`instruction`])
//! do the same.
//!
//! Any context; the log's lock is a leaf.

use std::collections::BTreeSet;
use std::ffi::{c_int, c_uint};

use iced_x86::{Code, Decoder, DecoderOptions, Mnemonic, OpKind, Register};
use parking_lot::Mutex;

use crate::log;

/// Ports that were used, so that each is told once.
static USED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Tells the log, once for each port, that nobody is there.
fn used(port: u16) {
    if USED.lock().insert(port) {
        let text = format!("NOTICE: no device answers at I/O port {port:#x}: reads give all ones");
        log::line(log::To::Log, &text);
    }
}

/// Fills `count` numbers with ones.
///
/// # Safety
/// There is room for them at `to`.
unsafe fn ones<T>(port: c_int, to: *mut T, count: c_int) {
    used(port as u16);
    // SAFETY: the caller's promise.
    unsafe { to.write_bytes(0xff, usize::try_from(count).unwrap_or(0)) };
}

/// What an instruction for an I/O port at `code` does: its length, and the bits of %rax that it sets. `dx` is the register
/// %dx. None for any other instruction.
pub fn instruction(code: &[u8], dx: u16) -> Option<(usize, u64)> {
    let instruction = Decoder::with_ip(64, code, 0, DecoderOptions::NONE).decode();
    let (port, register) = match instruction.mnemonic() {
        Mnemonic::In => (1, 0),
        Mnemonic::Out => (0, 1),
        _ => return None,
    };
    debug_assert!(instruction.code() != Code::INVALID);
    let constant = instruction.op_kind(port) == OpKind::Immediate8;
    used(if constant { instruction.immediate8().into() } else { dx });
    let bits = match instruction.op_register(register) {
        _ if instruction.mnemonic() == Mnemonic::Out => 0,
        Register::AL => 8,
        Register::AX => 16,
        _ => 32,
    };
    Some((instruction.len(), (1 << bits) - 1))
}

ddi! {
    /// inb(9F).
    fn inb(port: c_int) -> u8 {
        used(port as u16);
        u8::MAX
    }
    /// inw(9F).
    fn inw(port: c_int) -> u16 {
        used(port as u16);
        u16::MAX
    }
    /// inl(9F).
    fn inl(port: c_int) -> c_uint {
        used(port as u16);
        u32::MAX
    }
    /// outb(9F).
    fn outb(port: c_int, _value: u8) {
        used(port as u16);
    }
    /// outw(9F).
    fn outw(port: c_int, _value: u16) {
        used(port as u16);
    }
    /// outl(9F).
    fn outl(port: c_int, _value: u32) {
        used(port as u16);
    }
    /// repinsb(9F).
    fn repinsb(port: c_int, to: *mut u8, count: c_int) {
        // SAFETY: the driver's promise.
        unsafe { ones(port, to, count) };
    }
    /// repinsw(9F).
    fn repinsw(port: c_int, to: *mut u16, count: c_int) {
        // SAFETY: the driver's promise.
        unsafe { ones(port, to, count) };
    }
    /// repinsd(9F).
    fn repinsd(port: c_int, to: *mut u32, count: c_int) {
        // SAFETY: the driver's promise.
        unsafe { ones(port, to, count) };
    }
    /// repoutsb(9F).
    fn repoutsb(port: c_int, _from: *mut u8, _count: c_int) {
        used(port as u16);
    }
    /// repoutsw(9F).
    fn repoutsw(port: c_int, _from: *mut u16, _count: c_int) {
        used(port as u16);
    }
    /// repoutsd(9F).
    fn repoutsd(port: c_int, _from: *mut u32, _count: c_int) {
        used(port as u16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions() {
        assert_eq!(instruction(&[0xe4, 0x60], 0), Some((2, 0xff)), "in $0x60,%al");
        assert_eq!(instruction(&[0x66, 0xed], 0x1f0), Some((2, 0xffff)), "in %dx,%ax");
        assert_eq!(instruction(&[0xed], 0x1f0), Some((1, 0xffff_ffff)), "in %dx,%eax");
        assert_eq!(instruction(&[0xee], 0x3f8), Some((1, 0)), "out %al,%dx");
        assert_eq!(instruction(&[0xfa], 0), None, "cli");
        assert!(USED.lock().iter().any(|port| *port == 0x60) && USED.lock().contains(&0x3f8));
    }
}
