//! I/O ports, where no device answers: which were used, and what an instruction for one does. Any context; one leaf lock.

use std::collections::BTreeSet;

use iced_x86::{Code, Decoder, DecoderOptions, Mnemonic, OpKind, Register};
use parking_lot::Mutex;

use crate::board::log;

/// Ports that were used, so that each is told once.
static USED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Logs, once for each port, that no device is there.
pub fn used(port: u16) {
    if USED.lock().insert(port) {
        let text = format!("NOTICE: no device answers at I/O port {port:#x}: reads give all ones");
        log::line(log::To::Log, &text);
    }
}

/// Decodes an instruction for an I/O port at `code`: its length, and the bits of %rax that it sets. `dx` is the register
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
