//! inb(9F) and the rest: I/O ports. Simulated devices have none, so nothing answers, as on a machine without the device: reads give all ones,
//! writes go nowhere. The ports of the real machine are never touched. Instructions of a driver's own ([`crate::kern::ports`])
//! do the same.
//!
//! Any context.

use std::ffi::{c_int, c_uint};

use super::args::Memory;
use crate::kern::ports::used;

/// Fills `count` numbers with ones.
fn ones<T>(port: c_int, to: Memory<'_, T>, count: c_int) {
    used(port as u16);
    to.sized(usize::try_from(count).unwrap_or(0) * size_of::<T>()).fill(0xff);
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
    fn repinsb(port: c_int, to: Memory<u8>, count: c_int) {
        ones(port, to, count);
    }
    /// repinsw(9F).
    fn repinsw(port: c_int, to: Memory<u16>, count: c_int) {
        ones(port, to, count);
    }
    /// repinsd(9F).
    fn repinsd(port: c_int, to: Memory<u32>, count: c_int) {
        ones(port, to, count);
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
